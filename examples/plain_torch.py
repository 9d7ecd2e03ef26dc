"""Handwritten digits with a small residual net: the program in plain PyTorch.

    python examples/plain_torch.py

`with_rushlight.py` is the same program with Rushlight.
"""

import time

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional

EPOCHS, BATCH_SIZE, LR, WEIGHT_DECAY, SEED = 12, 64, 1e-2, 1e-2, 0


class Residual(nn.Module):
    """Two 3 x 3 convolutions around which the input is added again."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        inside = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(x + self.second_norm(self.second(inside)))


def small_resnet(classes: int = 10, width: int = 32) -> nn.Module:
    """8 x 8 pixels at the width given, then 4 x 4 at twice that."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        Residual(width),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(),
        Residual(2 * width),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, classes),
    )


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Normalised images (N, 1, 8, 8) and targets, for training and, a fifth of each class, for validation."""
    images, targets = load_digits(return_X_y=True)
    parts = train_test_split(images, targets, test_size=0.2, stratify=targets, random_state=SEED)
    train_images, valid_images = (torch.tensor(x, dtype=torch.float32).view(-1, 1, 8, 8) for x in parts[:2])
    mean, std = train_images.mean(), train_images.std()
    train_targets, valid_targets = (torch.tensor(y) for y in parts[2:])
    return (train_images - mean) / std, (valid_images - mean) / std, train_targets, valid_targets


@torch.no_grad()
def accuracy(model: nn.Module, images: Tensor, targets: Tensor) -> float:
    """The share of images whose most probable class is the right one."""
    model.eval()
    return (model(images).argmax(1) == targets).float().mean().item()


def main() -> None:
    """Train, print an epoch a line."""
    torch.manual_seed(SEED)
    train_images, valid_images, train_targets, valid_targets = digits()
    model = small_resnet()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    steps_per_epoch = len(train_images) // BATCH_SIZE
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=EPOCHS * steps_per_epoch)
    start = time.perf_counter()
    for epoch in range(1, EPOCHS + 1):
        model.train()
        order = torch.randperm(len(train_images))
        total_loss = torch.zeros(())
        for indices in order[: steps_per_epoch * BATCH_SIZE].split(BATCH_SIZE):
            loss = functional.cross_entropy(model(train_images[indices]), train_targets[indices])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            total_loss += loss.detach()
        share = accuracy(model, valid_images, valid_targets)
        print(f"epoch {epoch:2}  training loss {total_loss.item() / steps_per_epoch:.4f}  accuracy {share:.4f}")
    print(f"{time.perf_counter() - start:.1f} s; validation accuracy {share:.2%} of {len(valid_targets)} images")


if __name__ == "__main__":
    main()
