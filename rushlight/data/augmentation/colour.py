"""What the light does: brightness and contrast."""

from torch import Tensor


def brightness_contrast(images: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    """Scale each image around its own mean, and shift it.

    Args:
        images: normalised, (B, C, H, W).
        brightness: added, in standard deviations of the data set, (B,).
        contrast: factor of the distance from the image's mean, (B,); 1 leaves it.

    Returns:
        Images of the same shape, type and memory format, whose means moved by `brightness` alone.
    """
    contrast = contrast.to(images.dtype).view(-1, 1, 1, 1)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    offset = brightness.to(images.dtype).view(-1, 1, 1, 1) + mean * (1 - contrast)
    return offset.addcmul(images, contrast)
