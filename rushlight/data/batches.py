"""Whole batches from an array of pixels: gathered, moved to the device, scaled and augmented as tensors.

There are no worker processes. The images are decoded already, and taking a thousand rows of an array, scaling
and augmenting them at once costs less than handing them from one process to another.
"""

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from rushlight.data.augmentation import Augmentation, mixes
from rushlight.runtime.seeds import SampleRandom, epoch_order
from rushlight.runtime.sharing import PartOfBatch, slice_of_rank


class ImageBatches:
    """Batches `(images, targets)` of one part of the data; going through it again gives the next epoch.

    Images are float32 `(B, C, H, W)` in channels-last memory, scaled to zero mean and unit deviation a
    channel. Targets are int64 `(B,)` or float32 `(B, K)`, or what the augmentation makes of them. The order and
    every random number derive from `(seed, epoch, sample)`, so batches can be repeated exactly from any point
    on (`iterate_from`).

    `batch_size` and `augmentation` may be set between epochs, and `image_size` between any two batches: the
    images are then resized on the way (progressive resizing). `scaling` is the mean and deviation.

    Args:
        images: (N, H, W, C) uint8; may be memory-mapped, and is never written to.
        targets: (N,) class indices, or (N, K) floating-point numbers: labels (0 or 1) or numbers in their unit.
        mean: mean of each channel, in units of 0 to 1.
        std: standard deviation of each channel, in the same units.
        batch_size: images a batch.
        augmentation: changes whole batches at random; None for none.
        shuffle: take the images in a new order every epoch, and drop a last batch that is not full (the
            images in it come up in other epochs). Without it the order is the given one and nothing is
            dropped.
        seed: of the order and the augmentation.
        device: where the batches are made.
    """

    def __init__(
        self,
        images: np.ndarray | Tensor,
        targets: np.ndarray | Tensor | Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
        *,
        batch_size: int,
        augmentation: Augmentation | None = None,
        shuffle: bool = False,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self._images = torch.as_tensor(images)
        found = torch.as_tensor(targets)
        self.targets = found.float() if found.is_floating_point() else found.long()
        if self._images.dtype != torch.uint8 or self._images.ndim != 4:
            raise ValueError(f"images must be uint8 (N, H, W, C), not {self._images.dtype} {tuple(self._images.shape)}")
        if len(self.targets) != len(self._images):
            raise ValueError(f"{len(self._images)} images but {len(self.targets)} targets")
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.image_size: int = self._images.shape[1]
        self.shuffle, self.seed, self.device = shuffle, seed, torch.device(device)
        self.epoch = 0
        self._rows = torch.arange(len(self.targets))  # row in the array of each sample of this part
        self._rank, self._ranks = 0, 1
        self.scaling = (tuple(mean), tuple(std))
        scale = 1 / (255 * torch.tensor(std, dtype=torch.float64))
        self._scale = scale.float().to(self.device)
        self._shift = (-255 * torch.tensor(mean, dtype=torch.float64) * scale).float().to(self.device)

    @property
    def samples(self) -> int:
        """Number of images."""
        return len(self._rows)

    @property
    def numbers(self) -> Tensor:
        """(N,) int64, what the random numbers of each image derive from beside seed and epoch."""
        return self._rows

    def __len__(self) -> int:
        full, rest = divmod(self.samples, self.batch_size)
        return full if self.shuffle and full else full + bool(rest)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.iterate_from(0)

    def iterate_from(self, batch_index: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of the present epoch from one on, as they would have come.

        A pass to the end moves on to the next epoch; `set_epoch` chooses another.
        """
        epoch = self.epoch
        order = epoch_order(self.samples, self.seed, epoch) if self.shuffle else torch.arange(self.samples)
        batches = order.split(self.batch_size)[: len(self)]
        for indices in batches[batch_index:]:
            yield self._part_of_rank(indices, epoch)
        self.epoch = epoch + 1

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next pass is of: its order and its random numbers."""
        self.epoch = epoch

    def subset(self, indices: Tensor | np.ndarray | Sequence[int]) -> "ImageBatches":
        """The same batches of fewer samples; pixels are shared, not copied.

        Args:
            indices: positions in this part.
        """
        part = copy.copy(self)
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        part._rows = self._rows[chosen]
        part.targets = self.targets[chosen]
        return part

    def for_rank(self, rank: int, ranks: int) -> "ImageBatches":
        """The rank's part of every batch; together they are pixel for pixel the batches of one process.

        Args:
            rank: from 0.
            ranks: how many share each batch.
        """
        part = copy.copy(self)
        part._rank, part._ranks = rank, ranks
        return part

    def as_they_are(self) -> "ImageBatches":
        """The same images in their own order, all of them and without augmentation, to measure on."""
        part = copy.copy(self)
        part.shuffle, part.augmentation, part.image_size = False, None, self._images.shape[1]
        return part

    def pixels(self, indices: Tensor | np.ndarray | Sequence[int]) -> np.ndarray:
        """Images as they were decoded, for a picture.

        Args:
            indices: positions in this part.

        Returns:
            (B, H, W, C) uint8.
        """
        return self._gather(torch.as_tensor(indices, dtype=torch.int64)).numpy()

    def inputs(self, indices: Tensor | np.ndarray | Sequence[int]) -> Tensor:
        """Images as a model meets them, without augmentation: (B, C, H, W), scaled, on the device."""
        return self._scaled(self._gather(torch.as_tensor(indices, dtype=torch.int64)))

    def augmented(self, indices: Tensor, epoch: int) -> Tensor:
        """Images as a model meets them in an epoch of training: (B, C, H, W), scaled, on the device."""
        return self._batch(indices, epoch)[0]

    def _part_of_rank(self, indices: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        """What falls to this rank of a batch of all."""
        if self._ranks == 1:
            return self._batch(indices, epoch)
        mine = slice_of_rank(len(indices), self._rank, self._ranks)
        count = mine.stop - mine.start
        share = count / len(indices)
        if not count:
            return PartOfBatch(self._batch(indices[:1], epoch), share)
        if mixes(self.augmentation):  # the partner of the last sample is the first of the next rank
            images, targets = self._batch(indices.roll(-mine.start)[: count + 1], epoch)
            return PartOfBatch((images[:count], targets[:count]), share)
        return PartOfBatch(self._batch(indices[mine], epoch), share)

    def _batch(self, indices: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        images, targets = self.inputs(indices), self.targets[indices].to(self.device)
        if self.augmentation is not None:
            random = SampleRandom(self.seed, epoch, self._rows[indices].to(self.device))
            images, targets = self.augmentation(images, targets, random, epoch)
        return images, targets

    def _gather(self, indices: Tensor) -> Tensor:
        return self._images.index_select(0, self._rows[indices])

    def _scaled(self, pixels: Tensor) -> Tensor:
        """Pixels (B, H, W, C) uint8 as inputs (B, C, H, W) float32 of the present image size."""
        images = pixels.to(self.device, non_blocking=True).permute(0, 3, 1, 2)  # now in channels-last memory
        height, width = images.shape[2:]
        if self.image_size != height:
            if self.device.type != "cpu":  # on a CPU, PyTorch resizes bytes ten times as fast as floats
                images = images.float()
            size = (self.image_size, round(self.image_size * width / height))
            images = interpolate(images, size, mode="bilinear", antialias=True)
        # Every value of an image has its own factor here, laid out as the pixels are: broadcasting three
        # factors over a last dimension of three would keep the processor from scaling eight values at once.
        flat = images.permute(0, 2, 3, 1).flatten(1).float()
        count = images.shape[2] * images.shape[3]
        flat = flat.mul_(self._scale.repeat(count)).add_(self._shift.repeat(count))
        return flat.view(len(images), *images.shape[2:], images.shape[1]).permute(0, 3, 1, 2)
