"""A file to a square of RGB pixels, or to the reason why not.

Pillow decodes; this module decides what is let in and what the pixels mean: only common formats, found by
their content and never by their extension; the size is checked before a pixel is decoded; every file is
decoded to its end, so a truncated one is refused and not filled up with grey; and each colour mode becomes
8-bit RGB by a rule.
"""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
EXTENSIONS = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"))

# Pillow's own threshold, at which it warns: a quarter of a gibibyte of RGB. It refuses only at twice as much.
MAXIMUM_PIXELS = 89_478_485

DECODER_VERSION = 1  # raise it when the pixels of any file come out differently: caches made before are then redone

Fit = Literal["crop", "squash", "pad"]
FITS: tuple[Fit, ...] = ("crop", "squash", "pad")

_WHITE = (255, 255, 255)
_GREY = (128, 128, 128)

# Where the formats keep a turned camera's orientation. Asking Pillow for it costs more than decoding a small
# image, so it is asked only where one of these is present. (TIFF keeps it among its own tags.)
_EXIF_KEYS = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")
_ORIENTATION = 0x0112
_EXIF_PART, _DATE_TAKEN, _DATE = 0x8769, 0x9003, 0x0132

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadableImage(ValueError):
    """A file that cannot be used as an image.

    Attributes:
        reason: why, in a few words, without the file's name.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """Pixels, and whether the file held more frames than the one that was taken.

    Attributes:
        pixels: (size, size, 3) uint8.
        animated: the file is an animation, of which this is the first frame.
    """

    pixels: np.ndarray
    animated: bool


@dataclass(frozen=True, slots=True)
class DescribedImage:
    """What a file is.

    Attributes:
        size: width and height in pixels, as they lie in the file.
        mode: colour mode, as Pillow names it.
        format: as Pillow names it.
        taken: when the photograph was taken, as its EXIF says it; None where it does not.
        thumbnail: (side, side, 3) uint8, the whole picture squashed.
    """

    size: tuple[int, int]
    mode: str
    format: str
    taken: str | None
    thumbnail: np.ndarray


def decode_image(source: Path | str | bytes, size: int, fit: Fit = "crop") -> np.ndarray:
    """Read one image as a square of RGB pixels.

    The image is turned as its EXIF says, transparency lies over white, 16-bit values are scaled to 8 bits,
    and of an animation the first frame counts.

    Args:
        source: a path, or the bytes of a file.
        size: side of the square, in pixels.
        fit: `crop` scales the shorter side to `size` and keeps the centre, `squash` ignores the aspect, and
            `pad` scales the longer side to `size` on a grey ground.

    Returns:
        (size, size, 3) uint8.

    Raises:
        UnreadableImage: with the reason.
    """
    with pillow_warnings_ignored():
        return decode_first_frame(read_bytes(source), size, fit).pixels


@contextmanager
def pillow_warnings_ignored() -> Iterator[None]:
    """Silence what Pillow warns about in passing (odd EXIF, a large image): it is either harmless or refused
    here.

    Python's warning filters belong to the process, so code with threads enters this once, around all of them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_bytes(source: Path | str | bytes) -> bytes:
    """The bytes of a file.

    Raises:
        UnreadableImage: the file is missing, empty or may not be read.
    """
    if not isinstance(source, bytes):
        try:
            with open(source, "rb") as file:  # noqa: PTH123 (half the cost of Path.open, 60,000 times)
                source = file.read()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise UnreadableImage(
                f"cannot be read: {_first_line(getattr(error, 'strerror', None) or error)}"
            ) from error
    if not source:
        raise UnreadableImage("empty file")
    return source


def decode_first_frame(data: bytes, size: int, fit: Fit = "crop") -> DecodedImage:
    """Decode the bytes of a file; for its rules see `decode_image`.

    Raises:
        UnreadableImage: with the reason.
    """
    with _faults_named(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
        _refuse_huge(image)
        animated = _is_animated(image)
        # A JPEG can be decoded at a half, quarter or eighth of its size, at a fraction of the cost. Twice
        # the size that is needed leaves the antialiasing filter enough to work with (the same gap as
        # Pillow's thumbnail).
        image.draft(None, (2 * size, 2 * size))
        image.load()
        pixels = np.asarray(fit_square(to_rgb(_upright(image)), size, fit))
    return DecodedImage(pixels, animated)


def describe_image(data: bytes, side: int) -> DescribedImage:
    """What the bytes of a file are, with the whole picture squashed to a small square; decoded to its end.

    Args:
        data: of the file.
        side: of the square, in pixels.

    Raises:
        UnreadableImage: with the reason.
    """
    with _faults_named(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
        _refuse_huge(image)
        size, mode, kind = image.size, image.mode, image.format or ""
        taken = _date_taken(image)
        image.draft(None, (4 * side, 4 * side))
        image.load()
        small = to_rgb(_upright(image)).resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0)
    return DescribedImage(size, mode, kind, taken, np.asarray(small))


def whole_picture(source: Path | str | bytes) -> Image.Image:
    """Read one image at full size, upright and in RGB; for its rules see `decode_image`.

    Raises:
        UnreadableImage: with the reason.
    """
    with _faults_named(), Image.open(io.BytesIO(read_bytes(source)), formats=FORMATS) as image:
        _refuse_huge(image)
        image.load()
        return to_rgb(_upright(image))


@contextmanager
def _faults_named() -> Iterator[None]:
    """Whatever Pillow raises at a file that cannot be used comes out as `UnreadableImage` with a reason."""
    try:
        yield
    except UnreadableImage:
        raise
    except UnidentifiedImageError:
        raise UnreadableImage(f"not an image in a known format ({', '.join(FORMATS)})") from None
    except Image.DecompressionBombError:
        raise UnreadableImage(f"too large: more than {MAXIMUM_PIXELS:,} pixels") from None
    except MemoryError:
        raise UnreadableImage("not enough memory to decode it") from None
    except Exception as error:  # damaged files make Pillow's decoders raise almost anything
        raise UnreadableImage(f"damaged: {_first_line(error)}") from error


def shorter_side(source: Path | str) -> int | None:
    """The shorter side of an image in pixels, from its header alone; None where it cannot be read."""
    try:
        with Image.open(source, formats=FORMATS) as image:
            return min(image.size)
    except Exception:  # reported with its reason when it is decoded
        return None


def to_rgb(image: Image.Image) -> Image.Image:
    """The same picture in 8-bit RGB.

    Transparency is laid over white. 16 bits are scaled to 8 by dropping the lower ones: Pillow's own
    conversion clips at 255, which leaves an ordinary 16-bit photograph white. Floating-point pixels count as
    0 to 1, or as 0 to 255 where one lies above 1.

    Args:
        image: a loaded image of any mode.

    Raises:
        UnreadableImage: numbers of unknown scale, which would be a guess.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_eight_bits(image)
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        ground = Image.new("RGB", image.size, _WHITE)
        ground.paste(coloured, mask=coloured.getchannel("A"))
        return ground
    return image.convert("RGB")


def fit_square(image: Image.Image, size: int, fit: Fit = "crop") -> Image.Image:
    """Bring an RGB image to `size` x `size` with antialiasing; one of that size already stays as it is."""
    width, height = image.size
    if (width, height) == (size, size):
        return image
    if fit == "squash":
        return image.resize((size, size), Image.Resampling.BICUBIC)
    if fit == "pad":
        return ImageOps.pad(image, (size, size), Image.Resampling.BICUBIC, color=_GREY)
    # Cut and scale at once: an image of 1 x 10,000 pixels must not grow to 128 x 1,280,000 on the way.
    return image.resize((size, size), Image.Resampling.BICUBIC, box=square_of(image.size))


def square_of(size: tuple[int, int], fit: Fit = "crop") -> tuple[float, float, float, float]:
    """What of an image `fit_square` shows, in its pixels: left, top, right, bottom; padding lies outside.

    Args:
        size: width and height of the image.
        fit: as for `fit_square`.
    """
    width, height = size
    if fit == "squash":
        return 0.0, 0.0, float(width), float(height)
    side = max(size) if fit == "pad" else min(size)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _refuse_huge(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAXIMUM_PIXELS:
        raise UnreadableImage(f"too large: {width:,} x {height:,} pixels, at most {MAXIMUM_PIXELS:,} are decoded")


def _is_animated(image: Image.Image) -> bool:
    if image.format == "MPO":  # a photograph with its preview, not a film
        return False
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # a later frame is damaged; the first one counts
        return True


def _upright(image: Image.Image) -> Image.Image:
    if image.format != "TIFF" and not any(key in image.info for key in _EXIF_KEYS):
        return image
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged EXIF block; the picture itself is fine
        return image
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _date_taken(image: Image.Image) -> str | None:
    if image.format != "TIFF" and "exif" not in image.info:
        return None
    try:
        exif = image.getexif()
        return str(exif.get_ifd(_EXIF_PART).get(_DATE_TAKEN) or exif.get(_DATE) or "") or None
    except Exception:  # a damaged EXIF block; the picture itself is fine
        return None


def _to_eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if image.mode == "F":
        values = np.nan_to_num(values)
        scaled = values * 255 if values.max() <= 1 else values
        if scaled.min() < 0 or scaled.max() > 255:
            raise UnreadableImage(f"floating-point pixels from {values.min():g} to {values.max():g}: unknown scale")
        return Image.fromarray(np.rint(scaled).astype(np.uint8))
    # Mode I has 32 bits, but in the allowed formats it carries 16-bit values, or 8-bit ones where none is
    # above 255.
    if values.min() < 0 or values.max() > 65_535:
        raise UnreadableImage(f"32-bit pixels from {values.min()} to {values.max()}: unknown scale")
    if image.mode == "I" and values.max() <= 255:
        grey = values.astype(np.uint8)
    else:
        grey = (values.astype(np.int32) >> 8).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):  # a grey PNG may name one value as transparent
        grey[values == transparent] = 255
    return Image.fromarray(grey)


def _first_line(error: object) -> str:
    text = str(error).strip() or type(error).__name__
    return os.fsencode(text.splitlines()[0]).decode("utf-8", "replace")[:200]
