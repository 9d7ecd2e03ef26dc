"""A small real task for tests of the loop: the embedded digits and a small convolutional net."""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn


class TensorBatches:
    """Re-iterable batches of tensors, in the same order every time."""

    def __init__(self, inputs: Tensor, targets: Tensor, batch_size: int) -> None:
        self.pairs = list(zip(inputs.split(batch_size), targets.split(batch_size), strict=True))
        self.epochs_set: list[int] = []

    def set_epoch(self, epoch: int) -> None:
        self.epochs_set.append(epoch)

    def __iter__(self):
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)


def digits(samples: int = 600, batch_size: int = 50) -> tuple[TensorBatches, TensorBatches]:
    """A training and a validation part of the handwritten digits, (B, 1, 8, 8)."""
    data = load_digits()
    images = torch.tensor(data.images / 16.0, dtype=torch.float32)[:, None]
    targets = torch.tensor(data.target)
    train = TensorBatches(images[:samples], targets[:samples], batch_size)
    return train, TensorBatches(images[samples : samples + 200], targets[samples : samples + 200], batch_size)


def small_net(seed: int = 0) -> nn.Sequential:
    """Convolutions, batch norm and a linear head: 4,000 parameters."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(144, 10),
    )
