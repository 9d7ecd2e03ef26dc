"""The augmentations by name, and the presets a person chooses from.

To add one: its pure function in a module beside this one, its class in `transforms`, its line in
`AUGMENTATIONS`; to offer it to everyone, put it in a preset.
"""

from collections.abc import Callable

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
from rushlight.runtime.errors import InputError, nearest_name

AUGMENTATIONS: dict[str, Callable[..., Augmentation]] = {
    "horizontal_flip": HorizontalFlip,
    "alternating_flip": AlternatingFlip,
    "pad_and_crop": PadAndCrop,
    "flip_and_crop": FlipAndCrop,
    "dihedral": Dihedral,
    "affine": Affine,
    "brightness_contrast": BrightnessContrast,
    "cutout": Cutout,
    "mixup": Mixup,
    "cutmix": CutMix,
}


def none() -> list[Augmentation]:
    """Nothing is changed."""
    return []


def small() -> list[Augmentation]:
    """For small images of things that may be mirrored: alternating flip, crop of the padded image."""
    return [FlipAndCrop()]


def side_on() -> list[Augmentation]:
    """For photographs taken upright: alternating flip, small turns, zoom up to 1.1, light."""
    return [AlternatingFlip(), Affine(rotation=10, zoom=(1.0, 1.1)), BrightnessContrast(0.2, 0.2)]


def top_down() -> list[Augmentation]:
    """For photographs with no up, from above or through a microscope: also all quarter turns."""
    return [Dihedral(), Affine(rotation=10, zoom=(1.0, 1.1)), BrightnessContrast(0.2, 0.2)]


def strong(classes: int) -> list[Augmentation]:
    """More of everything in `side_on`, with cutout and mixed labels, for long training on little data."""
    return [
        AlternatingFlip(),
        Affine(rotation=15, zoom=(0.9, 1.25), shift=0.1, squeeze=1.15, probability=0.9),
        BrightnessContrast(0.4, 0.4),
        Cutout(0.25),
        Mixup(classes, alpha=0.2),
    ]


PRESETS: dict[str, Callable[..., list[Augmentation]]] = {
    "none": none,
    "small": small,
    "side_on": side_on,
    "top_down": top_down,
    "strong": strong,
}
# Presets that mix labels, and so must know how many classes there are.
MIXING_PRESETS = frozenset({"strong"})


def preset(name: str, classes: int | None = None) -> Compose:
    """The augmentation that a preset names.

    Args:
        name: a key of `PRESETS`.
        classes: how many classes there are; only presets that mix labels need it.

    Raises:
        InputError: there is no such preset, or it mixes labels and `classes` is missing.
    """
    if name not in PRESETS:
        raise InputError(f"unknown augmentation preset '{name}': {nearest_name(name, PRESETS)}")
    if name not in MIXING_PRESETS:
        return Compose(PRESETS[name]())
    if classes is None:
        raise InputError(f"augmentation preset '{name}' mixes labels: give the number of classes too")
    return Compose(PRESETS[name](classes))


_MIRRORING = (HorizontalFlip, AlternatingFlip, FlipAndCrop, Dihedral)


def mirrors(augmentation: Augmentation | None) -> bool:
    """Whether mirrored images occur in training, so that mirrored views make sense when predicting."""
    if isinstance(augmentation, Compose):
        return any(mirrors(part) for part in augmentation.augmentations)
    return isinstance(augmentation, _MIRRORING)


def reduced(augmentation: Augmentation | None, *, mirroring: bool, shifts: bool) -> Augmentation | None:
    """The same augmentation without mirroring or without shifts; other changes stay.

    Args:
        augmentation: what there is.
        mirroring: whether mirrored images may stay.
        shifts: whether shifted ones may.
    """
    if augmentation is None or (mirroring and shifts):
        return augmentation
    if isinstance(augmentation, Compose):
        kept = [reduced(part, mirroring=mirroring, shifts=shifts) for part in augmentation.augmentations]
        return Compose([part for part in kept if part is not None])
    if isinstance(augmentation, FlipAndCrop):
        if mirroring:
            return AlternatingFlip()
        return PadAndCrop(augmentation.padding, augmentation.mode) if shifts else None
    if isinstance(augmentation, PadAndCrop):
        return augmentation if shifts else None
    if isinstance(augmentation, _MIRRORING):
        return augmentation if mirroring else None
    return augmentation


def mixes(augmentation: Augmentation | None) -> bool:
    """Whether a sample also shows the next one of its batch; such an augmentation says so by an attribute `mixes`."""
    if isinstance(augmentation, Compose):
        return any(mixes(part) for part in augmentation.augmentations)
    return bool(getattr(augmentation, "mixes", False))
