"""Every file opened once: whether it can be read, what it is, and a small picture and a hash that know it again.

The hash is that of Zauner ("Implementation and benchmarking of perceptual image hash functions", 2010): the signs of
the lowest frequencies of the whole picture against their median. It hardly changes when a picture is scaled or packed.
Mirrored left to right, the odd frequencies change their sign, so the hash of the mirror image costs nothing more.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from rushlight.data.cache import in_threads, tasks_of
from rushlight.data.decode import DescribedImage, UnreadableImage, describe_image, read_bytes
from rushlight.runtime.terminal import progress

THUMBNAIL = 32  # pixels; the whole picture squashed, so that a copy of another size has the same one
_FREQUENCIES = 8  # a side
_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue (ITU-R BT.601)
_BLOCK = 4096  # images at once


@dataclass(frozen=True)
class InspectedImages:
    """What was found in each file, in the order in which they were given.

    Attributes:
        reasons: why a file cannot be used; None where it can.
        digests: a hash of the content; empty where the file could not be opened.
        sizes: (N, 2) width and height in pixels, 0 where unknown.
        modes: colour mode as Pillow names it; empty where unknown.
        formats: likewise the file format.
        taken: (N,) datetime64[s] at which the photograph was taken, by its EXIF; NaT where it does not say.
        thumbnails: (N, 32, 32, 3) uint8; black where there is none.
        hashes: (N, 64) float32 of -1 and 1.
        mirrored: (N, 64) likewise of the mirror image.
    """

    reasons: list[str | None]
    digests: list[str]
    sizes: np.ndarray
    modes: list[str]
    formats: list[str]
    taken: np.ndarray
    thumbnails: np.ndarray
    hashes: np.ndarray
    mirrored: np.ndarray

    @property
    def readable(self) -> np.ndarray:
        """Rows of the files that can be used, ascending."""
        return np.array([row for row, reason in enumerate(self.reasons) if reason is None], np.int64)


def inspect_images(paths: Sequence[Path]) -> InspectedImages:
    """Open every file.

    Args:
        paths: the files.
    """
    count = len(paths)
    reasons: list[str | None] = []
    digests: list[str] = []
    sizes = np.zeros((count, 2), np.int64)
    modes, formats = [""] * count, [""] * count
    taken = np.full(count, "NaT", "datetime64[s]")
    thumbnails = np.zeros((count, THUMBNAIL, THUMBNAIL, 3), np.uint8)
    with progress("Looking at every file", count, "images") as bar:
        for found in in_threads(lambda rows: [_inspect(paths[row]) for row in rows], tasks_of(count)):
            for digest, image in found:
                row = len(digests)
                digests.append(digest)
                if isinstance(image, str):
                    reasons.append(image)
                    continue
                reasons.append(None)
                sizes[row], modes[row], formats[row] = image.size, image.mode, image.format
                thumbnails[row] = image.thumbnail
                moment = _moment(image.taken)
                if moment is not None:
                    taken[row] = np.datetime64(moment, "s")
            bar.advance(len(found))
    hashes, mirrored = perceptual_hashes(thumbnails)
    return InspectedImages(reasons, digests, sizes, modes, formats, taken, thumbnails, hashes, mirrored)


def perceptual_hashes(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hash of each picture and of its mirror image.

    Args:
        thumbnails: (N, 32, 32, 3) uint8.

    Returns:
        Two arrays (N, 64) float32 of -1 and 1: 32 less half the product of two of them is the number of bits in which
        they differ.
    """
    basis = cosines(_FREQUENCIES, THUMBNAIL)
    mirror = np.where(np.arange(_FREQUENCIES) % 2, -1, 1).astype(np.float32)
    hashes, mirrored = (np.zeros((len(thumbnails), _FREQUENCIES**2), np.float32) for _ in range(2))
    for start in range(0, len(thumbnails), _BLOCK):
        rows = slice(start, start + _BLOCK)
        spectrum = basis @ (thumbnails[rows].astype(np.float32) @ _GREY) @ basis.T
        hashes[rows], mirrored[rows] = _signs(spectrum), _signs(spectrum * mirror)
    return hashes, mirrored


def _signs(spectrum: np.ndarray) -> np.ndarray:
    # Rounded: where a picture is of one colour, the values are nothing but errors of rounding, up to a hundredth, whose
    # signs would depend on the processor. One level of grey more in half of the picture comes to hundreds.
    values = spectrum.reshape(len(spectrum), -1).round()
    # The first value is the mean brightness, which says nothing beside the others.
    return np.where(values > np.median(values[:, 1:], axis=1, keepdims=True), 1, -1).astype(np.float32)


def cosines(count: int, length: int) -> np.ndarray:
    """The first rows of the discrete cosine transform (DCT-II), (count, length): orthogonal, not of unit length."""
    places = np.pi / length * (np.arange(length) + 0.5)
    return np.cos(np.arange(count)[:, None] * places).astype(np.float32)


def _inspect(path: Path) -> tuple[str, DescribedImage | str]:
    """The hash of a file's content, and what is in it or why it cannot be used."""
    try:
        data = read_bytes(path)
    except UnreadableImage as error:
        return "", error.reason
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    try:
        return digest, describe_image(data, THUMBNAIL)
    except UnreadableImage as error:
        return digest, error.reason


def _moment(text: str | None) -> datetime | None:
    """A date as EXIF writes it; cameras without a clock write zeros or blanks."""
    try:
        return datetime.strptime((text or "")[:19], "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
