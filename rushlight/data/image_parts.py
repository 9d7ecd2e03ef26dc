"""Parts of image data: pixels with their targets, and how they come from files or arrays."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rushlight.data.augmentation import Augmentation, preset
from rushlight.data.cache import CachedImages
from rushlight.data.decode import shorter_side
from rushlight.data.options import ImageOptions
from rushlight.data.samples import ImageSample, Scan
from rushlight.data.targets import TARGETS, TargetKind
from rushlight.runtime.errors import InputError

_HEADERS_READ = 200  # enough for a median


@dataclass(frozen=True)
class LabelledImages:
    """Pixels with targets; several parts may share one array, each with its own rows.

    Attributes:
        pixels: (N, size, size, C) uint8.
        targets: (N,) int64 classes, or (N, K) float32 labels or numbers; see `rushlight.data.targets`.
        rows: which of them belong here.
        files: path of each of the N, where they come from files.
    """

    pixels: np.ndarray
    targets: np.ndarray
    rows: np.ndarray
    files: list[Path] | None = None


def chosen_augmentation(augment: str | Augmentation | None, classes: int) -> Augmentation | None:
    """The augmentation that a name or `auto` stands for."""
    if augment is None or not isinstance(augment, str):
        return augment
    return preset("small" if augment == "auto" else augment, classes)


def of_same_channels(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The others, if they have four channels where the images have, and only then.

    Raises:
        InputError: they have not.
    """
    if (images.shape[3:] == (4,)) != (others.shape[3:] == (4,)):
        raise InputError(f"all parts need the same channels, not {images.shape[3:]} and {others.shape[3:]}")
    return others


def shorter_sides(samples: Sequence[ImageSample]) -> list[int]:
    """In pixels, of some of the files, as far as they can be read."""
    step = max(1, len(samples) // _HEADERS_READ)
    sides = (shorter_side(sample.path) for sample in samples[::step])
    return [side for side in sides if side is not None]


def validation_rows(kind: TargetKind, targets: np.ndarray, options: ImageOptions) -> np.ndarray:
    """Which rows of arrays are set aside to validate on.

    Raises:
        InputError: the fraction is none, or there are too few images.
    """
    fraction = options.split_fraction
    if not 0 <= fraction < 1:
        raise InputError(f"a validation fraction of {fraction:g} is not between 0 and 1; 0.2 is usual")
    if fraction == 0:
        return np.array([], np.int64)
    names = [str(i) for i in range(len(targets))]
    chosen = kind.choose_validation(kind.of_array(targets), names, fraction, options.seed_of_split)
    if not chosen:
        raise InputError(f"{kind.too_few}, so none can be kept to validate on; add images or use fit_all")
    return np.array(chosen, np.int64)


def labelled_images(scan: Scan, samples: Sequence[ImageSample], cached: CachedImages) -> LabelledImages:
    """What was scanned, with the pixels that were decoded."""
    targets = TARGETS[scan.kind].array([sample.target for sample in samples], scan.classes)
    return LabelledImages(cached.pixels, targets, cached.readable, [sample.path for sample in samples])


def refuse_lost_classes(scan: Scan, train: LabelledImages) -> None:
    """Refuse to go on where every training image of a class is unreadable.

    Raises:
        InputError: there is such a class.
    """
    if scan.kind == "number":
        return
    left = train.targets[train.rows]
    lost = np.setdiff1d(np.arange(len(scan.classes)), left if left.ndim == 1 else np.flatnonzero(left.any(axis=0)))
    if len(lost):
        names = ", ".join(f"'{scan.classes[label]}'" for label in lost[:5])
        raise InputError(f"no training image of the class {names} can be read; repair them or remove the class")


def fingerprint_of(scan: Scan, samples: Sequence[ImageSample], cached: CachedImages) -> str:
    """A hash of content and targets, the same for a copy of the folder elsewhere or with other file names."""

    def said(sample: ImageSample) -> str:
        if isinstance(sample.target, int):
            return scan.classes[sample.target]
        if scan.kind == "labels":
            return ";".join(scan.classes[int(label)] for label in sample.target)
        return ";".join(f"{name}={value!r}" for name, value in zip(scan.classes, sample.target, strict=True))

    lines = (f"{digest} {said(sample)}" for sample, digest in zip(samples, cached.digests, strict=True))
    return hashlib.sha256(os.fsencode("\n".join(sorted(lines)))).hexdigest()
