"""Images and targets that are arrays already: checked, made square, grey ones made RGB."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from rushlight.data.decode import Fit, fit_square
from rushlight.data.targets import AUTO, TARGETS
from rushlight.runtime.errors import InputError


def check_images(images: np.ndarray, what: str = "images") -> np.ndarray:
    """The same images as an array, if they can be used.

    Args:
        images: (N, H, W), (N, H, W, 1), (N, H, W, 3) or (N, H, W, 4) uint8. Four channels are taken as they are, such
            as red, green, blue and near infrared.
        what: what to call them in an error.

    Raises:
        InputError: wrong type or shape, or none.
    """
    images = np.asarray(images)
    if not images.size:
        raise InputError(f"{what} have the shape {images.shape}: there is nothing in them")
    if images.dtype != np.uint8:
        raise InputError(f"{what} must be uint8, 0 to 255, not {images.dtype}; scale and convert them first")
    channels_last = images.ndim == 4 and images.shape[-1] in (1, 3, 4)
    if not (images.ndim == 3 or channels_last):
        raise InputError(
            f"{what} must have the shape (N, H, W) or (N, H, W, C) with C of 1, 3 or 4, not {images.shape}"
        )
    return images


def square_images(images: np.ndarray, size: int, fit: Fit = "crop") -> np.ndarray:
    """Bring images to `size` x `size`, grey ones to RGB; those that are so already are not copied.

    Args:
        images: as `check_images` returns them.
        size: side of the square.
        fit: how a rectangle becomes a square; see `rushlight.data.decode.decode_image`.

    Returns:
        (N, size, size, 3) uint8, or with the four channels that there are.
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.shape[1:3] != (size, size):
        resized = np.empty((len(images), size, size, images.shape[-1]), np.uint8)
        for i, image in enumerate(images):
            resized[i] = square_image(image, size, fit)
        images = resized
    return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images


def square_image(image: np.ndarray, size: int, fit: Fit = "crop") -> np.ndarray:
    """One image (H, W, C) uint8 at `size` x `size`; each channel for itself, as none of them is how opaque it is."""
    if image.shape[-1] == 3:
        return np.asarray(fit_square(Image.fromarray(image), size, fit))
    channels = [fit_square(Image.fromarray(np.ascontiguousarray(c)), size, fit) for c in np.moveaxis(image, -1, 0)]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)


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


def targets_of_values(
    values: Any, names: Sequence[str] | None, count: int, kind: str = AUTO, what: str = "labels"
) -> tuple[str, np.ndarray, list[str]]:
    """Targets that are in memory, checked.

    Args:
        values: (N,) class numbers or names; N lists of label names, or (N, labels) of 0 and 1; (N,) or (N, columns)
            numbers.
        names: of the classes, labels or columns; None to take those that occur, or to call the numbers `number`.
        count: how many targets there should be.
        kind: a key of `TARGETS`, or `auto`: floating-point numbers that are not all whole are numbers, lists and
            matrices of 0 and 1 are several labels, everything else is one label.
        what: what to call them in an error.

    Returns:
        The kind, the targets as an array, and the names.

    Raises:
        InputError: they are of another shape or number, or one of them cannot be used.
    """
    if kind == AUTO:
        kind = _kind_of_values(values)
    if kind == "label":
        array, known = label_indices(values, names, count, what)
        return kind, array, known
    targets, known = (_label_matrix if kind == "labels" else _numbers)(values, names, what)
    if len(targets) != count:
        raise InputError(f"{what} must be one an image, {count:,}, not {len(targets):,}")
    return kind, targets, known


def _kind_of_values(values: Any) -> str:
    try:
        array = np.asarray(values)
    except ValueError:  # lists of unequal length
        return "labels"
    if array.dtype.kind == "f" and not (array == np.round(array)).all():
        return "number"
    if array.ndim == 2:
        return "labels" if array.dtype.kind in "USO" or np.isin(array, (0, 1)).all() else "number"
    return "labels" if array.dtype.kind == "O" and any(isinstance(v, (list, tuple, set)) for v in array) else "label"


def _label_matrix(values: Any, names: Sequence[str] | None, what: str) -> tuple[np.ndarray, list[str]]:
    lists = list(values)
    if lists and all(isinstance(row, (list, tuple, set)) and all(isinstance(v, str) for v in row) for row in lists):
        known = list(names) if names is not None else sorted({label for row in lists for label in row})
        number = {name: i for i, name in enumerate(known)}
        unknown = next((label for row in lists for label in row if label not in number), None)
        if unknown is not None:
            raise InputError(f"{what}: '{unknown}' is not one of the labels {', '.join(known[:10])}")
        return TARGETS["labels"].array([tuple(sorted(number[v] for v in row)) for row in lists], known), known
    try:
        array: np.ndarray = np.asarray(values, np.float32)
    except (ValueError, TypeError):
        array = np.zeros(0)
    if array.ndim != 2 or not np.isin(array, (0, 1)).all():
        raise InputError(f"{what}: several labels are lists of names, or a matrix (N, labels) of 0 and 1")
    known = [f"label {i}" for i in range(array.shape[1])] if names is None else list(names)
    if len(known) != array.shape[1]:
        raise InputError(f"{what} have {array.shape[1]} columns, but {len(known)} labels are named")
    return array, known


def _numbers(values: Any, names: Sequence[str] | None, what: str) -> tuple[np.ndarray, list[str]]:
    try:
        array: np.ndarray = np.asarray(values, np.float64)
    except (ValueError, TypeError):
        raise InputError(f"{what} are not all numbers") from None
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not array.shape[1]:
        raise InputError(f"{what}: numbers have the shape (N,) or (N, columns), not {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise InputError(f"{what}: number {bad[0]} is {array[bad[0]].tolist()}, not finite")
    columns = array.shape[1]
    known = (
        list(names) if names is not None else ["number"] if columns == 1 else [f"number {i}" for i in range(columns)]
    )
    if len(known) != columns:
        raise InputError(f"{what} have {columns} columns, but {len(known)} are named")
    return array.astype(np.float32), known
