"""Handwritten digits with a small residual net: the program with Rushlight.

    python examples/with_rushlight.py

`plain_torch.py` is the same program in plain PyTorch; compare them side by side. The model and the data are the same
functions: a `Learner` trains any module on any batches.
"""

import time

import torch
from plain_torch import BATCH_SIZE, EPOCHS, LR, SEED, WEIGHT_DECAY, digits, small_resnet
from torch.utils.data import DataLoader, TensorDataset

import rushlight as rl


def main() -> None:
    """Train; the learner shows an epoch a line, with everything it measures."""
    torch.manual_seed(SEED)
    train_images, valid_images, train_targets, valid_targets = digits()
    train = DataLoader(TensorDataset(train_images, train_targets), BATCH_SIZE, shuffle=True, drop_last=True)
    valid = DataLoader(TensorDataset(valid_images, valid_targets), BATCH_SIZE)
    learner = rl.Learner(
        small_resnet(),
        (train, valid),
        optimizer="adamw",
        metrics=[rl.Accuracy()],
        callbacks=[rl.ShowProgress()],
        precision="float32",
    )
    start = time.perf_counter()
    learner.fit(EPOCHS, lr=LR, weight_decay=WEIGHT_DECAY, schedule="one_cycle")
    accuracy = learner.history[-1]["accuracy"].percent()
    print(f"{time.perf_counter() - start:.1f} s; validation accuracy {accuracy}")


if __name__ == "__main__":
    main()
