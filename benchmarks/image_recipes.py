"""Images for peers, decoded beforehand, and the net that several are given: what `time_to_accuracy.py` compares on.

Every peer gets the same arrays and the same batches, taken, mirrored and shifted as whole tensors, which is faster than
what it brings itself, and its convolutions in the memory layout and the arithmetic that are fastest here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

FOLDER = Path("runs/benchmarks/images")
MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of CIFAR-10's training images


def decoded(name: str, most: int | None = None) -> dict[str, Tensor]:
    """Images and classes of both parts, decoded once by Pillow.

    Args:
        name: a name of the catalog.
        most: images of each part, spread over the classes; None for all.

    Returns:
        `train_images` and `test_images` (N, 3, 32, 32) uint8, `train_targets` and `test_targets` (N,) int64.
    """
    kept = FOLDER / f"{name}-{most or 'all'}.npz"
    if not kept.is_file():
        from PIL import Image

        arrays: dict[str, np.ndarray] = {}
        for part in ("train", "test"):
            files = files_of(name, part, most)
            classes = sorted({file.parent.name for file in files})
            pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
            arrays[f"{part}_images"] = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
            arrays[f"{part}_targets"] = np.array([classes.index(file.parent.name) for file in files], np.int64)
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(kept, **arrays)
    with np.load(kept) as found:
        return {key: torch.from_numpy(found[key]) for key in found.files}


def files_of(name: str, part: str, most: int | None = None) -> list[Path]:
    """The files of a part, or `most` of them, spread over the classes."""
    from rushlight.data import catalog

    files = sorted((catalog.get(name) / part).glob("*/*.jpg"))
    return files[:: -(-len(files) // most) if most else 1]


def normalised(images: Tensor) -> Tensor:
    """(N, 3, H, W) uint8 to float32 of zero mean and unit deviation, in channels-last memory."""
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, DEVIATION))
    return ((images / 255 - mean) / deviation).contiguous(memory_format=torch.channels_last)


class Batches:
    """Shuffled batches of images, mirrored at random and shifted by up to `shift` pixels; going on is the next epoch.

    Args:
        images: (N, 3, H, W), normalised.
        targets: (N,).
        batch_size: images a batch; a last one that is not full is left out.
        shift: pixels by which the reflected image is moved at most.
        alternate: mirror every image in every other epoch, beginning at random, instead of at random.
        seed: of order, mirroring and shifts.
    """

    def __init__(
        self, images: Tensor, targets: Tensor, batch_size: int, shift: int = 4, alternate: bool = False, seed: int = 0
    ) -> None:
        self.images = functional.pad(images, (shift,) * 4, "reflect").contiguous(memory_format=torch.channels_last)
        self.targets, self.batch_size, self.shift, self.alternate = targets, batch_size, shift, alternate
        self.side = images.shape[-1]
        self.random = torch.Generator().manual_seed(seed)
        self.begins_mirrored = torch.rand(len(images), generator=self.random) < 0.5
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.targets) // self.batch_size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.targets), generator=self.random)
        for number in range(len(self)):
            rows = order[number * self.batch_size : (number + 1) * self.batch_size]
            yield self._shifted(rows), self.targets[rows]
        self.epoch += 1

    def _shifted(self, rows: Tensor) -> Tensor:
        images, side = self.images[rows], self.side
        places = torch.randint(2 * self.shift + 1, (2, len(rows)), generator=self.random)
        if self.alternate:
            mirror = self.begins_mirrored[rows] ^ (self.epoch % 2 == 1)
        else:
            mirror = torch.rand(len(rows), generator=self.random) < 0.5
        result = torch.empty(len(rows), 3, side, side).to(memory_format=torch.channels_last)
        for down in range(2 * self.shift + 1):  # all images of one shift at a time
            for right in range(2 * self.shift + 1):
                chosen = ((places[0] == down) & (places[1] == right)).nonzero().squeeze(1)
                if len(chosen):
                    result[chosen] = images[chosen, :, down : down + side, right : right + side]
        return torch.where(mirror[:, None, None, None], result.flip(3), result)


def fast_arithmetic() -> AbstractContextManager[None]:
    """bfloat16 where the processor computes with it, else float32."""
    has_bfloat16 = bool(torch.cpu._is_avx512_bf16_supported())
    return torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16)


class FastArithmetic(nn.Module):
    """A module that computes in it, for libraries whose own way to bfloat16 needs a GPU."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        with fast_arithmetic():
            outputs: Tensor = self.inner(x)
        return outputs.float()


@torch.inference_mode()
def accuracy(model: nn.Module, images: Tensor, targets: Tensor) -> float:
    """The share of images that are answered rightly."""
    model.eval()
    right = 0
    with fast_arithmetic():
        for inputs, truth in zip(images.split(500), targets.split(500), strict=True):
            right += int((model(inputs).argmax(1) == truth).sum())
    return right / len(targets)


class Residual(nn.Module):
    """Two 3 x 3 convolutions around which the input is added again."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inside = nn.Sequential(
            normalised_convolution(channels, channels), normalised_convolution(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        inside: Tensor = self.inside(x)
        return x + inside


def normalised_convolution(before: int, after: int, pool: bool = False) -> nn.Sequential:
    """A 3 x 3 convolution, batch norm, ReLU and, if asked for, pooling of pairs."""
    layers = [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, *[nn.MaxPool2d(2)] * pool)


def small_resnet(width: int = 32, classes: int = 10) -> nn.Module:
    """The nine-layer residual net of the DAWNBench entries (Page 2018, "How to train your ResNet"), of any width."""
    return nn.Sequential(
        normalised_convolution(3, width),
        normalised_convolution(width, 2 * width, pool=True),
        Residual(2 * width),
        normalised_convolution(2 * width, 4 * width, pool=True),
        normalised_convolution(4 * width, 8 * width, pool=True),
        Residual(8 * width),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(8 * width, classes),
    )
