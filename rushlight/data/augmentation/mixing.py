"""Two images in one: mixup and cutmix.

The partner of a sample is the next one in the batch (the first, for the last), so the numbers belong to the
sample but the mixed image depends on the order of the batch, which the seed and the epoch decide.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from rushlight.data.augmentation.boxes import inside_boxes


def mixup(images: Tensor, targets: Tensor, weights: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Blend each image, and its label, with the next one in the batch.

    Source: Zhang et al., "mixup: beyond empirical risk minimization" (2018).

    Args:
        images: (B, C, H, W).
        targets: (B,) int64.
        weights: how much of itself a sample keeps, (B,) in 0 .. 1.
        classes: how many classes there are.

    Returns:
        Images as they came, and probabilities, (B, classes) float32.
    """
    weights_of_images = weights.to(images.dtype).view(-1, 1, 1, 1)
    return torch.lerp(_partners(images), images, weights_of_images), mix_targets(targets, weights, classes)


def cutmix(images: Tensor, targets: Tensor, boxes: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Paste a box of the next image in the batch into each image; labels count by area.

    Source: Yun et al., "CutMix: regularization strategy to train strong classifiers with localizable
    features" (2019).

    Args:
        images: (B, C, H, W).
        targets: (B,) int64.
        boxes: top, left, bottom, right in pixels, bottom and right exclusive, (B, 4) int64; parts outside
            the image do not count.
        classes: how many classes there are.

    Returns:
        Images as they came, and probabilities, (B, classes) float32.
    """
    inside = inside_boxes(images, boxes)
    kept = 1 - inside.float().mean(dim=(1, 2, 3))
    return torch.where(inside, _partners(images), images), mix_targets(targets, kept, classes)


def cutmix_boxes(kept: Tensor, centres: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes of the image's own shape that leave about the share `kept` of it.

    Args:
        kept: share of the area outside a box that lies wholly inside the image, (B,) in 0 .. 1.
        centres: row and column as fractions of height and width, (B, 2) in 0 .. 1.
        size: height and width in pixels.

    Returns:
        Top, left, bottom, right, clipped to the image, (B, 4) int64.
    """
    extent = torch.tensor(size, device=kept.device)
    half = (1 - kept).sqrt()[:, None] * extent / 2
    middle = centres * extent
    corners = torch.stack([middle - half, middle + half], dim=1).round().long()
    return corners.clamp(min=torch.zeros_like(extent), max=extent).flatten(1)


def mix_targets(targets: Tensor, weights: Tensor, classes: int) -> Tensor:
    """Labels (B,) int64 as probabilities (B, classes) float32, mixed with the next one in the batch."""
    own = F.one_hot(targets, classes).float()
    return torch.lerp(_partners(own), own, weights.float()[:, None])


def _partners(batch: Tensor) -> Tensor:
    return batch.roll(-1, dims=0)
