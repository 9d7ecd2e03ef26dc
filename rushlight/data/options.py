"""How images are read and served: the options that every way into `ImageData` shares, and their defaults."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypedDict

import numpy as np
import torch

from rushlight.data.augmentation import Augmentation
from rushlight.data.targets import AUTO, TARGETS
from rushlight.runtime.errors import InputError, nearest_name

# Images whose shorter side has up to 40 pixels are read at 32, up to 80 at 64. Larger ones are photographs, for
# pretrained networks; those have mostly learned at 224 pixels and tell more of slightly larger images (Touvron et al.
# 2019, "Fixing the train-test resolution discrepancy").
USUAL_SIZES = ((40, 32), (80, 64))
LARGEST_USUAL_SIZE = 256

_SIZE_LIMITS = (8, 1024)


@dataclass(frozen=True)
class ImageOptions:
    """How images are read and served; the arguments that every way into `ImageData` shares.

    Attributes:
        size: side of the square each image becomes; None for 32, 64 or 256, by the size of the files.
        batch_size: images a batch; None for an eighth of the training images, 8 to 256, a power of two.
        augment: name of a preset, an augmentation, or None for none; `auto` is `small`, without the mirroring
            where the catalog knows that a mirrored image is another thing (a digit).
        valid_fraction: share of the training images to validate on where no such part is given; 0 for none.
        seed: of the order of the batches and the augmentation, and of the split where it has no seed of its own.
        split_seed: of which images are validated on and, with `train_images`, which are trained on; `seed` if None.
        device: where the batches are made.
        train_images: train on only so many of the training images, drawn with the seed and stratified by class; None
            for all of them.
        fit_all: train on the validation images too, once every choice is made; there is no validation part
            then.
        target: what is learned about an image: `label`, one of several classes; `labels`, any of several labels;
            `number`, one or several numbers; or `auto`, what the data look like.
        columns: which columns of a table hold it; None for those called `label` or the like.
    """

    size: int | None = None
    batch_size: int | None = None
    augment: str | Augmentation | None = "auto"
    valid_fraction: float = 0.2
    seed: int = 0
    device: str | torch.device = "auto"
    train_images: int | None = None
    fit_all: bool = False
    target: str = AUTO
    columns: Sequence[str] | None = None
    split_seed: int | None = None

    def __post_init__(self) -> None:
        smallest, largest = _SIZE_LIMITS
        if self.size is not None and not smallest <= self.size <= largest:
            raise InputError(f"an image size of {self.size} is not between {smallest} and {largest} pixels")
        if self.train_images is not None and self.train_images < 1:
            raise InputError(f"{self.train_images} training images are too few")
        if self.batch_size is not None and self.batch_size < 1:
            raise InputError(f"a batch size of {self.batch_size} is less than 1")
        if self.target != AUTO and self.target not in TARGETS:
            raise InputError(f"unknown kind of target '{self.target}': {nearest_name(self.target, [AUTO, *TARGETS])}")

    @property
    def seed_of_split(self) -> int:
        """The seed that chooses the parts: several seeds of training can share one split."""
        return self.seed if self.split_seed is None else self.split_seed

    @property
    def split_fraction(self) -> float:
        """Share of the training images to set aside."""
        return 0.0 if self.fit_all and 0 <= self.valid_fraction < 1 else self.valid_fraction


class ImageOptionValues(TypedDict, total=False):
    """The fields of `ImageOptions` as keyword arguments, for editors and type checkers."""

    size: int | None
    batch_size: int | None
    augment: str | Augmentation | None
    valid_fraction: float
    seed: int
    device: str | torch.device
    train_images: int | None
    fit_all: bool
    target: str
    columns: Sequence[str] | None
    split_seed: int | None


def image_options(given: ImageOptionValues) -> ImageOptions:
    """The options that were given by name.

    Raises:
        TypeError: there is no such option.
        InputError: a value cannot be used.
    """
    known = [field.name for field in fields(ImageOptions)]
    for name in given:
        if name not in known:
            raise TypeError(f"unknown option '{name}': {nearest_name(name, known)}")
    return ImageOptions(**given)


def usual_size(shorter_sides: Sequence[int]) -> int:
    """The size to read images at that are about so large."""
    median = statistics.median(shorter_sides) if shorter_sides else LARGEST_USUAL_SIZE
    return next((size for limit, size in USUAL_SIZES if median <= limit), LARGEST_USUAL_SIZE)


def usual_batch_size(train_images: int) -> int:
    """An eighth of the training images, from 8 to 256, as a power of two."""
    wanted = max(8, min(256, train_images // 8))
    return 1 << round(np.log2(wanted))
