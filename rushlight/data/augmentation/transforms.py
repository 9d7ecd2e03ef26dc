"""The augmentations as objects: settings, and the draw of each sample's numbers.

Each class is a thin wrapper of the pure function it names. A draw is asked for by name, so adding or removing
an augmentation leaves the numbers of the others as they were.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from rushlight.data.augmentation import colour, erasing, geometry, mixing
from rushlight.data.augmentation.geometry import CropMode, FillMode
from rushlight.runtime.seeds import SampleRandom


class Augmentation(Protocol):
    """Anything that changes a whole batch, with random numbers that belong to its samples."""

    def __call__(self, images: Tensor, targets: Tensor, random: SampleRandom, epoch: int) -> tuple[Tensor, Tensor]:
        """Change a batch.

        Args:
            images: normalised, (B, C, H, W) of any float type, of another size in each batch if need be.
            targets: (B,) int64, or (B, classes) probabilities once labels are mixed.
            random: the numbers of these samples in this epoch.
            epoch: the number of the epoch, from 0.

        Returns:
            Images and targets; those given are never written to.
        """
        ...


class Compose:
    """Several augmentations, one after the other; none leaves the batch as it is."""

    def __init__(self, augmentations: Sequence[Augmentation] = ()) -> None:
        self.augmentations = list(augmentations)

    def __call__(self, images: Tensor, targets: Tensor, random: SampleRandom, epoch: int) -> tuple[Tensor, Tensor]:
        for augmentation in self.augmentations:
            images, targets = augmentation(images, targets, random, epoch)
        return images, targets

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.augmentations))}])"


class _Described:
    """Shows an augmentation with its settings, as it would be written."""

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in vars(self).items() if key[0] != "_")
        return f"{type(self).__name__}({settings})"


class HorizontalFlip(_Described):
    """Mirror left to right with a probability, each epoch anew; see `geometry.horizontal_flip`."""

    def __init__(self, probability: float = 0.5) -> None:
        self.probability = probability

    def __call__(self, images: Tensor, targets: Tensor, random: SampleRandom, epoch: int) -> tuple[Tensor, Tensor]:
        flip = random.uniform("horizontal flip")[:, 0] < self.probability
        return geometry.horizontal_flip(images, flip), targets


class AlternatingFlip(_Described):
    """Mirror at random in the first epoch, then in every other one; see `geometry.alternating_flip`."""

    def __call__(self, images: Tensor, targets: Tensor, random: SampleRandom, epoch: int) -> tuple[Tensor, Tensor]:
        return geometry.alternating_flip(images, _flip_first(random), epoch), targets


class PadAndCrop(_Described):
    """Shift by up to `padding` in each direction; see `geometry.pad_and_crop`.

    Args:
        padding: share of the shorter side that is added at each side; 1/8 is the customary 4 pixels of 32.
        mode: "reflect", or "constant" for the mean colour.
    """

    def __init__(self, padding: float = 1 / 8, mode: CropMode = "reflect") -> None:
        self.padding = padding
        self.mode = mode

    def __call__(self, images: Tensor, targets: Tensor, random: SampleRandom, epoch: int) -> tuple[Tensor, Tensor]:
        pixels = _pixels(self.padding, images)
        offsets = random.integers("crop", 2 * pixels + 1, 2)
        return geometry.pad_and_crop(images, offsets, pixels, self.mode), targets


class FlipAndCrop(PadAndCrop):
    """`AlternatingFlip` and `PadAndCrop` in one gather; see `geometry.flip_and_crop`.

    Args:
        padding: as in `PadAndCrop`.
        mode: as in `PadAndCrop`.
    """

    def __call__(self, images: Tensor, targets: Tensor, random: SampleRandom, epoch: int) -> tuple[Tensor, Tensor]:
        pixels = _pixels(self.padding, images)
        offsets = random.integers("crop", 2 * pixels + 1, 2)
        flip = geometry.alternate(_flip_first(random), epoch)
        return geometry.flip_and_crop(images, flip, offsets, pixels, self.mode), targets


class Dihedral(_Described):
    """Mirror and turn by quarters, all eight ways alike; see `geometry.dihedral`.

    Images that are not square get only the four ways that keep their shape.
    """

    def __call__(self, images: Tensor, targets: Tensor, random: SampleRandom, epoch: int) -> tuple[Tensor, Tensor]:
        symmetries = 8 if images.shape[-2] == images.shape[-1] else 4
        return geometry.dihedral(images, random.integers("dihedral", symmetries)[:, 0]), targets


class Affine(_Described):
    """Turn, zoom, shift and squeeze in one interpolation; see `geometry.affine`.

    Args:
        rotation: at most so many degrees either way.
        zoom: magnification, drawn evenly from this range.
        shift: at most this share of height and width, either way.
        squeeze: width over height of the content, at most this factor either way.
        probability: share of the samples that are changed; the others pass, up to rounding.
        fill: what lies outside, as in `geometry.affine`.

    Raises:
        ValueError: a magnification or a factor is not positive.
    """

    def __init__(
        self,
        rotation: float = 10.0,
        zoom: tuple[float, float] = (1.0, 1.1),
        shift: float = 0.0,
        squeeze: float = 1.0,
        probability: float = 0.75,
        fill: FillMode = "reflection",
    ) -> None:
        if min(*zoom, squeeze) <= 0:
            raise ValueError(f"zoom {zoom} and squeeze {squeeze} must be above 0")
        self.rotation = rotation
        self.zoom = zoom
        self.shift = shift
        self.squeeze = squeeze
        self.probability = probability
        self.fill: FillMode = fill

    def __call__(self, images: Tensor, targets: Tensor, random: SampleRandom, epoch: int) -> tuple[Tensor, Tensor]:
        # Where the strength is zero every setting is the identity: cheaper than choosing between two batches.
        strength = (random.uniform("affine")[:, 0] < self.probability).float()
        low, high = self.zoom
        zoom = low + (high - low) * random.uniform("zoom")[:, 0]
        changed = geometry.affine(
            images,
            rotation=self.rotation * strength * _either_way(random, "rotation")[:, 0],
            zoom=1 + strength * (zoom - 1),
            shift=self.shift * strength[:, None] * _either_way(random, "shift", 2),
            # Wider by a factor must be as likely as narrower by it: even in the exponent.
            squeeze=self.squeeze ** (strength * _either_way(random, "squeeze")[:, 0]),
            fill=self.fill,
        )
        return changed, targets


class BrightnessContrast(_Described):
    """Change the light; see `colour.brightness_contrast`.

    Args:
        brightness: at most so many standard deviations of the data set, either way.
        contrast: at most by this share, either way.
    """

    def __init__(self, brightness: float = 0.2, contrast: float = 0.2) -> None:
        self.brightness = brightness
        self.contrast = contrast

    def __call__(self, images: Tensor, targets: Tensor, random: SampleRandom, epoch: int) -> tuple[Tensor, Tensor]:
        brightness = self.brightness * _either_way(random, "brightness")[:, 0]
        contrast = 1 + self.contrast * _either_way(random, "contrast")[:, 0]
        return colour.brightness_contrast(images, brightness, contrast), targets


class Cutout(_Described):
    """Hide a square whose centre lies anywhere in the image; see `erasing.cutout`.

    Args:
        size: side of the square as a share of the shorter side of the image.
    """

    def __init__(self, size: float = 0.25) -> None:
        self.size = size

    def __call__(self, images: Tensor, targets: Tensor, random: SampleRandom, epoch: int) -> tuple[Tensor, Tensor]:
        height, width = images.shape[-2:]
        rows, columns = random.integers("cutout row", height), random.integers("cutout column", width)
        return erasing.cutout(images, torch.cat([rows, columns], dim=1), _pixels(self.size, images)), targets


class Mixup(_Described):
    """Blend each sample with the next in the batch, by a weight from Beta(alpha, alpha); see `mixing.mixup`.

    A batch whose labels are already mixed passes unchanged: probabilities are not mixed twice.

    Args:
        classes: how many classes there are.
        alpha: small values blend little, 1 draws every weight alike.
    """

    mixes = True

    def __init__(self, classes: int, alpha: float = 0.2) -> None:
        self.classes = classes
        self.alpha = alpha
        self._quantiles = _beta_quantiles(alpha)

    def __call__(self, images: Tensor, targets: Tensor, random: SampleRandom, epoch: int) -> tuple[Tensor, Tensor]:
        if targets.is_floating_point():
            return images, targets
        weights = _interpolated(self._quantiles, random.uniform("mixup")[:, 0])
        return mixing.mixup(images, targets, weights, self.classes)


class CutMix(_Described):
    """Paste a box of the next sample in the batch; see `mixing.cutmix`.

    A batch whose labels are already mixed passes unchanged: probabilities are not mixed twice.

    Args:
        classes: how many classes there are.
        alpha: the share kept is drawn from Beta(alpha, alpha); 1, the paper's, draws every share alike.
    """

    mixes = True

    def __init__(self, classes: int, alpha: float = 1.0) -> None:
        self.classes = classes
        self.alpha = alpha
        self._quantiles = _beta_quantiles(alpha)

    def __call__(self, images: Tensor, targets: Tensor, random: SampleRandom, epoch: int) -> tuple[Tensor, Tensor]:
        if targets.is_floating_point():
            return images, targets
        kept = _interpolated(self._quantiles, random.uniform("cutmix share")[:, 0])
        height, width = images.shape[-2:]
        boxes = mixing.cutmix_boxes(kept, random.uniform("cutmix centre", 2), (height, width))
        return mixing.cutmix(images, targets, boxes, self.classes)


def _flip_first(random: SampleRandom) -> Tensor:
    """Which samples an alternating flip mirrors in even epochs, (B,) bool: drawn once for the whole run."""
    return random.at_epoch(0).uniform("horizontal flip")[:, 0] < 0.5


def _either_way(random: SampleRandom, name: str, count: int = 1) -> Tensor:
    """Uniform numbers in [-1, 1), (B, count)."""
    return 2 * random.uniform(name, count) - 1


def _pixels(share: float, images: Tensor) -> int:
    """A share of the shorter side, in whole pixels."""
    return round(share * min(images.shape[-2:]))


def _beta_quantiles(alpha: float, steps: int = 1024) -> Tensor:
    """The quantiles of Beta(alpha, alpha) at 0, 1/steps, .. 1, float32.

    A table read at a uniform number draws from the distribution without rejection, which would use a
    different count of random numbers for each sample.
    """
    from scipy.special import betaincinv  # a tenth of a second to import, only for mixed labels

    if alpha <= 0:
        raise ValueError(f"alpha must be above 0, not {alpha}; leave the augmentation out to mix nothing")
    uniform = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    return torch.from_numpy(betaincinv(alpha, alpha, uniform.numpy())).float()


def _interpolated(table: Tensor, uniform: Tensor) -> Tensor:
    """Read a table between its entries, at positions from 0 to 1."""
    table = table.to(uniform.device)
    position = uniform * (len(table) - 1)
    below = position.long().clamp(max=len(table) - 2)
    return torch.lerp(table[below], table[below + 1], position - below)
