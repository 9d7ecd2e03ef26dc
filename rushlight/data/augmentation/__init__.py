"""Augmentation of whole batches on the training device, with random numbers that belong to the sample."""

from rushlight.data.augmentation.colour import brightness_contrast
from rushlight.data.augmentation.erasing import cutout
from rushlight.data.augmentation.geometry import (
    affine,
    alternating_flip,
    dihedral,
    flip_and_crop,
    horizontal_flip,
    pad_and_crop,
)
from rushlight.data.augmentation.mixing import cutmix, mixup
from rushlight.data.augmentation.presets import AUGMENTATIONS, PRESETS, mirrors, mixes, preset, reduced
from rushlight.data.augmentation.transforms import (
    Affine,
    AlternatingFlip,
    Augmentation,
    BrightnessContrast,
    Compose,
    CutMix,
    Cutout,
    Dihedral,
    FlipAndCrop,
    HorizontalFlip,
    Mixup,
    PadAndCrop,
)

__all__ = [
    "AUGMENTATIONS",
    "PRESETS",
    "Affine",
    "AlternatingFlip",
    "Augmentation",
    "BrightnessContrast",
    "Compose",
    "CutMix",
    "Cutout",
    "Dihedral",
    "FlipAndCrop",
    "HorizontalFlip",
    "Mixup",
    "PadAndCrop",
    "affine",
    "alternating_flip",
    "brightness_contrast",
    "cutmix",
    "cutout",
    "dihedral",
    "flip_and_crop",
    "horizontal_flip",
    "mirrors",
    "mixes",
    "mixup",
    "pad_and_crop",
    "preset",
    "reduced",
]
