"""Rectangles as masks, for what hides or replaces a part of each image."""

import torch
from torch import Tensor


def inside_boxes(images: Tensor, boxes: Tensor) -> Tensor:
    """Which pixels lie inside their sample's box.

    Args:
        images: (B, C, H, W).
        boxes: top, left, bottom, right in pixels, bottom and right exclusive, (B, 4) int64; parts outside
            the image do not matter.

    Returns:
        (B, 1, H, W) bool.
    """
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    top, left, bottom, right = boxes[:, :, None].unbind(dim=1)
    inside_rows = (rows >= top) & (rows < bottom)
    inside_columns = (columns >= left) & (columns < right)
    return inside_rows[:, None, :, None] & inside_columns[:, None, None, :]
