"""Images that are arrays already: checked, made RGB and square."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from rushlight.data.decode import Fit, fit_square
from rushlight.runtime.errors import InputError


def check_images(images: np.ndarray, what: str = "images") -> np.ndarray:
    """The same images as an array, if they can be used.

    Args:
        images: (N, H, W), (N, H, W, 1) or (N, H, W, 3) uint8.
        what: what to call them in an error.

    Raises:
        InputError: wrong type or shape.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8:
        raise InputError(f"{what} must be uint8, 0 to 255, not {images.dtype}; scale and convert them first")
    channels_last = images.ndim == 4 and images.shape[-1] in (1, 3)
    if not (images.ndim == 3 or channels_last) or 0 in images.shape:
        raise InputError(f"{what} must have the shape (N, H, W), (N, H, W, 1) or (N, H, W, 3), not {images.shape}")
    return images


def square_rgb(images: np.ndarray, size: int, fit: Fit = "crop") -> np.ndarray:
    """Bring images to `size` x `size` RGB; those that are so already are not copied.

    Args:
        images: as `check_images` returns them.
        size: side of the square.
        fit: how a rectangle becomes a square; see `rushlight.data.decode.decode_image`.

    Returns:
        (N, size, size, 3) uint8.
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.shape[1:3] != (size, size):
        resized = np.empty((len(images), size, size, images.shape[-1]), np.uint8)
        for i, image in enumerate(images):
            picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
            resized[i] = np.asarray(fit_square(picture, size, fit)).reshape(size, size, -1)
        images = resized
    return images if images.shape[-1] == 3 else np.repeat(images, 3, axis=-1)


def label_indices(
    labels: np.ndarray | Sequence, classes: Sequence[str] | None, count: int, what: str = "labels"
) -> tuple[np.ndarray, list[str]]:
    """Labels as indices into class names.

    Args:
        labels: (N,) class indices, or names.
        classes: the names; None to take those that occur, sorted.
        count: how many labels there should be.
        what: what to call them in an error.

    Returns:
        (N,) int64, and the names.

    Raises:
        InputError: a wrong number of labels, or one that is no class.
    """
    values = np.asarray(labels)
    if values.shape != (count,):
        raise InputError(f"{what} must be one a image, shape ({count},), not {values.shape}")
    if classes is None:
        found, indices = np.unique(values, return_inverse=True)
        return indices.astype(np.int64), [str(value) for value in found.tolist()]
    names = list(classes)
    if np.issubdtype(values.dtype, np.integer):
        if count and not (values.min() >= 0 and values.max() < len(names)):
            raise InputError(f"{what} go from {values.min()} to {values.max()}, but there are {len(names)} classes")
        return values.astype(np.int64), names
    index = {name: i for i, name in enumerate(names)}
    unknown = [str(value) for value in values.tolist() if str(value) not in index]
    if unknown:
        raise InputError(f"{what}: '{unknown[0]}' is not one of the classes {', '.join(names[:10])}")
    return np.array([index[str(value)] for value in values.tolist()], np.int64), names
