"""What is hidden: cutout."""

import torch
from torch import Tensor

from rushlight.data.augmentation.boxes import inside_boxes


def cutout(images: Tensor, centres: Tensor, size: int) -> Tensor:
    """Paint a square of the mean colour over each image; what lies outside the image is lost.

    Source: DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout" (2017).

    Args:
        images: normalised, so that zero is the mean colour, (B, C, H, W).
        centres: row and column of each square's centre, (B, 2) int64; an even square reaches one pixel less
            far down and right of it.
        size: side of the square in pixels.
    """
    top_left = centres - size // 2
    inside = inside_boxes(images, torch.cat([top_left, top_left + size], dim=1))
    # A product keeps channels-last memory, which `masked_fill` does not, and takes half the time.
    return images * ~inside
