"""What a step of `Learner` costs above the same training written as a plain PyTorch script.

    python benchmarks/loop_overhead.py

Both sides train the same small net on the same batches with the same optimizer; the batch size is chosen so that a
plain step takes about 5 ms. The learner does what it always does: sets rates by a schedule, checks loss and
gradients for NaN, keeps the training loss, measures the validation part, and has two callbacks with hooks a step.
The plain script sets the rate, checks the loss for NaN, keeps its sum and measures the validation part: what a careful
person writes. Both sides take turns in one process; the median of the rounds counts.
"""

import argparse
import math
import time
from statistics import median

import torch
from torch import nn

from rushlight.training.callbacks import Callback
from rushlight.training.learner import Learner
from rushlight.training.metrics import Accuracy


class CountSteps(Callback):
    """A callback that does something at every step."""

    def fit_start(self, learner: Learner) -> None:
        self.steps = 0

    def step_done(self, learner: Learner) -> None:
        self.steps += 1


def make_model() -> nn.Module:
    """A small convolutional net, 20,000 parameters."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 48, 3, padding=1), nn.BatchNorm2d(48), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(48, 10),
    )  # fmt: skip


def make_batches(count: int, batch_size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Noise with labels, in the memory layout that both sides use."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, batch_size, 3, 16, 16, generator=generator)
    targets = torch.randint(10, (count, batch_size), generator=generator)
    return [(x.contiguous(memory_format=torch.channels_last), y) for x, y in zip(images, targets, strict=True)]


def plain(train: list, valid: list, epochs: int) -> float:
    """Seconds a step of the plain script."""
    model = make_model().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    total = epochs * len(train)
    started = time.perf_counter()
    step = 0
    for _ in range(epochs):
        model.train()
        loss_sum = torch.zeros(())
        for inputs, targets in train:
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * 0.5 * (1 + math.cos(math.pi * step / total))
            loss = nn.functional.cross_entropy(model(inputs), targets)
            if not math.isfinite(loss.item()):
                raise RuntimeError("loss is not finite")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach() * len(targets)
            step += 1
        model.eval()
        with torch.inference_mode():
            outputs = [(model(inputs), targets) for inputs, targets in valid]
            sum(nn.functional.cross_entropy(o, t) for o, t in outputs)
            sum((o.argmax(-1) == t).sum() for o, t in outputs)
    return (time.perf_counter() - started) / total


def with_learner(train: list, valid: list, epochs: int) -> float:
    """Seconds a step of the learner."""
    learner = Learner(
        make_model(),
        (train, valid),
        loss=nn.functional.cross_entropy,
        optimizer="adamw",
        metrics=[Accuracy()],
        callbacks=[CountSteps(), CountSteps()],
        device="cpu",
        precision="float32",
    )
    started = time.perf_counter()
    learner.fit(epochs, lr=1e-3, weight_decay=0.01, schedule="cosine")
    return (time.perf_counter() - started) / (epochs * len(train))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    train, valid = make_batches(100, arguments.batch_size), make_batches(10, arguments.batch_size)
    for measure in (plain, with_learner):  # warm-up
        measure(train, valid, 1)
    ratios, plain_times = [], []
    for number in range(arguments.rounds):
        # Whoever goes second has the warmer caches, so the order changes from round to round.
        pair = (plain, with_learner) if number % 2 else (with_learner, plain)
        seconds = {measure: measure(train, valid, arguments.epochs) for measure in pair}
        ratios.append(seconds[with_learner] / seconds[plain])
        plain_times.append(seconds[plain])
    ratios.sort()
    print(f"a plain step takes {1000 * median(plain_times):.2f} ms; {torch.get_num_threads()} threads")
    print(
        f"the learner's step takes {median(ratios):.4f} times as long "
        f"(median of {len(ratios)} rounds; {ratios[0]:.4f} to {ratios[-1]:.4f})"
    )


if __name__ == "__main__":
    main()
