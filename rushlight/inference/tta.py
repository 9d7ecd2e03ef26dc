"""Test-time augmentation: ask about several views of an image and average the probabilities.

A view function takes a batch and yields `(weight, batch)` pairs one at a time, so that never more than one
view is in memory. Views work for any image size, and for batches in any memory format.

| name       | views | what they are |
|------------|-------|---------------|
| none       | 1     | the image |
| flip       | 2     | the image and its mirror image |
| shift      | 3     | the image; shifted up and left; shifted down and right |
| flip_shift | 6     | the same three, each with its mirror image |
| crops      | 10    | centre and four corners, each with its mirror image (Krizhevsky et al., 2012) |
"""

from collections.abc import Callable, Iterator

import torch

View = tuple[float, torch.Tensor]
Views = Callable[[torch.Tensor], Iterator[View]]

_SHIFT = 1 / 32  # of the shorter side: 1 pixel of a CIFAR-10 image
_MARGIN = 1 / 16  # of each side, which leaves 7/8: 224 of 256 pixels in the paper


def softmax(logits: torch.Tensor) -> torch.Tensor:
    """Logits (B, classes) of any precision to probabilities in float32."""
    return torch.softmax(logits.float(), dim=1)


def tta_probabilities(
    model_fn: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor,
    views: Views,
    activation: Callable[[torch.Tensor], torch.Tensor] = softmax,
) -> torch.Tensor:
    """The weighted mean of the probabilities that a model gives to the views of each image.

    Args:
        model_fn: (B, C, H, W) images to (B, classes) logits.
        images: (B, C, H, W).
        views: an entry of `VIEWS`, or any function like them.
        activation: makes probabilities, or whatever is to be averaged, of logits.

    Returns:
        (B, classes) probabilities in float32, each row with sum 1, or what else the activation gives.
    """
    total = torch.zeros(())
    weights = 0.0
    for weight, view in views(images):
        probabilities = activation(model_fn(view))
        total = total.to(probabilities.device) + weight * probabilities
        weights += weight
    return total / weights


def mirrored(images: torch.Tensor) -> torch.Tensor:
    """The batch, left and right exchanged."""
    return images.flip(3)


def shifted(images: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """The batch moved by whole pixels; what comes in from outside is the image, reflected at its edge.

    Args:
        images: (B, C, H, W) of any size, down to one pixel.
        down: pixels, negative for up.
        right: pixels, negative for left.
    """
    height, width = images.shape[2:]
    rows = _reflected(torch.arange(height, device=images.device) - down, height)
    columns = _reflected(torch.arange(width, device=images.device) - right, width)
    return _same_format(images[:, :, rows[:, None], columns], images)


def _reflected(positions: torch.Tensor, size: int) -> torch.Tensor:
    """Positions outside 0 to size - 1, reflected at the outermost pixel (which is not repeated)."""
    if size == 1:
        return torch.zeros_like(positions)
    period = 2 * (size - 1)
    positions = positions.remainder(period)
    return torch.minimum(positions, period - positions)


def _same_format(images: torch.Tensor, model: torch.Tensor) -> torch.Tensor:
    """Images in the memory format of others, so that the convolutions keep their fast path."""
    channels_last = model.is_contiguous(memory_format=torch.channels_last) and not model.is_contiguous()
    return images.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def no_views(images: torch.Tensor) -> Iterator[View]:
    """Only the image itself."""
    yield 1.0, images


def flip_views(images: torch.Tensor) -> Iterator[View]:
    """The image and its mirror image, counting the same."""
    yield 1.0, images
    yield 1.0, mirrored(images)


def shift_views(images: torch.Tensor) -> Iterator[View]:
    """The image, which counts half, and two diagonal shifts by 1/32 of the shorter side, a quarter each."""
    distance = max(1, round(min(images.shape[2:]) * _SHIFT))
    yield 0.5, images
    yield 0.25, shifted(images, -distance, -distance)
    yield 0.25, shifted(images, distance, distance)


def flip_shift_views(images: torch.Tensor) -> Iterator[View]:
    """The views of `shift_views`, each with its mirror image: the unshifted pair counts half.

    The weights are those of K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (2024).
    """
    for weight, view in shift_views(images):
        yield weight / 2, view
        yield weight / 2, mirrored(view)


def crop_views(images: torch.Tensor) -> Iterator[View]:
    """Centre and four corners at 7/8 of each side, brought back to full size, each with its mirror image.

    As in Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks"
    (2012), save that the crops are enlarged again, since a model may take one image size only.
    """
    height, width = images.shape[2:]
    top, left = _margin(height), _margin(width)
    for down, right in [(top, left), (0, 0), (0, 2 * left), (2 * top, 0), (2 * top, 2 * left)]:
        crop = images[:, :, down : down + height - 2 * top, right : right + width - 2 * left]
        crop = torch.nn.functional.interpolate(crop, (height, width), mode="bilinear", align_corners=False)
        crop = _same_format(crop, images)
        yield 1.0, crop
        yield 1.0, mirrored(crop)


def _margin(size: int) -> int:
    """Pixels that the centre crop leaves out at each side."""
    return min(max(1, round(size * _MARGIN)), (size - 1) // 2)


VIEWS: dict[str, Views] = {
    "none": no_views,
    "flip": flip_views,
    "shift": shift_views,
    "flip_shift": flip_shift_views,
    "crops": crop_views,
}
