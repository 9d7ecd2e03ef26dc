"""What a person may hand over for prediction, turned into pixels: files, folders, arrays, PIL images."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from rushlight.data.arrays import square_image
from rushlight.data.decode import EXTENSIONS, Fit, UnreadableImage, decode_image, fit_square, to_rgb, whole_picture
from rushlight.runtime.errors import InputError

_CHANNELS = (1, 3, 4)  # grey, RGB, RGB with alpha


@dataclass(frozen=True)
class Source:
    """One image to answer about.

    Attributes:
        name: the file's path, or `image 0`, `image 1`, ... by position for what has none.
        content: what to read the pixels from.
    """

    name: str
    content: Path | np.ndarray | Image.Image


def list_sources(inputs: Any) -> list[Source]:
    """Every image in what was handed over, in its order; folders are searched to the bottom, by name.

    Args:
        inputs: a file, a folder, a PIL image, a uint8 array (H, W), (H, W, 1), (H, W, 3), (H, W, 4),
            (N, H, W) or (N, H, W, C), or any sequence of these.

    Raises:
        InputError: a path does not exist, a folder holds no images, an array has another shape or kind, or
            there is nothing at all.
    """
    contents = list(_contents(inputs))
    if not contents:
        raise InputError("there is no image to answer about; name files or folders")
    return [
        Source(str(content) if isinstance(content, Path) else f"image {position}", content)
        for position, content in enumerate(contents)
    ]


def read_pixels(source: Source, size: int, fit: Fit = "crop", channels: int = 3) -> np.ndarray:
    """The pixels of one image as the model was trained on them.

    Args:
        source: the image.
        size: wanted side.
        fit: how a rectangle becomes a square.
        channels: that the model takes. Other than three are those of an array, as they are.

    Returns:
        (size, size, channels) uint8.

    Raises:
        UnreadableImage: the file or image cannot be decoded.
        InputError: the model takes other channels than the image has.
    """
    if channels != 3:
        content = source.content
        if not isinstance(content, np.ndarray) or content.shape[2:] != (channels,):
            raise InputError(
                f"'{source.name}': this model takes arrays (H, W, {channels}), and answers about no others"
            )
        return square_image(content, size, fit)
    if isinstance(source.content, Path):
        return decode_image(source.content, size, fit)
    return square_pixels(read_picture(source), size, fit)


def square_pixels(picture: Image.Image, size: int, fit: Fit = "crop") -> np.ndarray:
    """An upright RGB picture as a model is shown it: (size, size, 3) uint8."""
    return np.asarray(fit_square(picture, size, fit))


def read_picture(source: Source) -> Image.Image:
    """One image at full size, upright and in RGB.

    Raises:
        UnreadableImage: the file or image cannot be decoded.
    """
    content = source.content
    if isinstance(content, Path):
        return whole_picture(content)
    try:
        if isinstance(content, np.ndarray):
            content = Image.fromarray(np.ascontiguousarray(content))
        return to_rgb(ImageOps.exif_transpose(content))
    except UnreadableImage:
        raise
    except Exception as error:  # a PIL image decodes late, and its decoders raise almost anything
        raise UnreadableImage(f"damaged: {error}") from error


def _contents(inputs: Any) -> Iterable[Path | np.ndarray | Image.Image]:
    if isinstance(inputs, (str, Path)):
        return _files(Path(inputs))
    if isinstance(inputs, Image.Image):
        return [inputs]
    if isinstance(inputs, np.ndarray):
        return _images_of(inputs)
    if isinstance(inputs, Iterable) and not isinstance(inputs, (bytes, dict)):
        return [content for item in inputs for content in _contents(item)]
    raise InputError(f"cannot take an image from a {type(inputs).__name__}; give paths, uint8 arrays or PIL images")


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = _images_below(path)
        if not files:
            raise InputError(f"folder '{path}' holds no images ({', '.join(sorted(EXTENSIONS))})")
        return files
    if not path.exists():
        raise InputError(f"there is no file or folder '{path}'")
    return [path]


def _images_below(folder: Path) -> list[Path]:
    """Image files by extension; hidden ones, and links that lead out of the folder, are left out."""
    root = folder.resolve()
    found = []
    for parent, folders, names in os.walk(folder):  # does not follow links to folders, so it ends
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if name.startswith(".") or path.suffix.lower() not in EXTENSIONS:
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                continue
            found.append(path)
    return found


def _images_of(array: np.ndarray) -> list[np.ndarray]:
    """The images of an array, each (H, W), (H, W, 3) or (H, W, 4)."""
    if array.dtype != np.uint8:
        raise InputError(f"images are arrays of uint8 (0 to 255), not of {array.dtype}")
    if 0 in array.shape:
        raise InputError(f"an array of shape {array.shape} holds no pixels")
    if array.ndim == 4 or (array.ndim == 3 and array.shape[2] not in _CHANNELS):
        return [image for part in array for image in _images_of(part)]
    if array.ndim == 3 and array.shape[2] in _CHANNELS:
        return [array[:, :, 0] if array.shape[2] == 1 else array]
    if array.ndim == 2:
        return [array]
    raise InputError(f"an image is (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), not {array.shape}")
