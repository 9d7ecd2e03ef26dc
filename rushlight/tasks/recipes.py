"""How to train a fast net well in the time there is: which width, which batches, which rates.

Chosen on the training part of CIFAR-10 alone (a second validation part cut from it); the test part decided nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import sqrt
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

from rushlight.data.augmentation import Augmentation, FlipAndCrop
from rushlight.nn.fast import FAST_WIDTHS, FastNet, fast_net
from rushlight.runtime.device import Precision
from rushlight.runtime.distributed import from_writer
from rushlight.runtime.uninitialised import structure_only
from rushlight.training.batches import in_channels_last
from rushlight.training.callbacks import Callback
from rushlight.training.combined import CombinedOptimizer
from rushlight.training.muon import Muon
from rushlight.training.resizing import ProgressiveResizing

if TYPE_CHECKING:
    from rushlight.training.learner import Learner

Decision = TypeVar("Decision", bool, float)

# Width of a fast net and the samples it must see to be worth more than the next narrower one; with fewer, the narrower
# net gets further in the same time. Small data sets allow fewer, and are satisfied with less. That 32 is worth it from
# 130,000 on was measured where 24 takes three quarters of its time: after some 110,000 both reach 82.4 % of CIFAR-10's
# images that were held back from training, after some 165,000 it reaches 84.0 %, and 24 reaches 83.6 %.
SAMPLES_WORTH_THE_WIDTH = {16: 0, 24: 100_000, 32: 130_000, 48: 270_000, 64: 380_000, 96: 900_000}
MOST_EPOCHS = 60  # more adds nothing that measuring can see, but
LEAST_SAMPLES = 200_000  # a small data set is gone through as often as it takes to see this many,
MOST_EPOCHS_OF_FEW = 200  # up to a point
SHORT_TRAINING = 16  # epochs
LONGEST_PROBE = 2.0  # seconds after which no further step is taken to measure the machine
LABEL_SMOOTHING = 0.2
SMALLER_IMAGES_UNTIL = 0.3  # progress; at three quarters of the side a step costs half
SMALLEST_RESIZED = 24  # pixels
WHITENING_TRAINS_UNTIL = 0.375  # progress at which the bias of the first layer is done


class Stopwatch:
    """Minutes since it was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def minutes(self) -> float:
        return (time.monotonic() - self._started) / 60


def once(decisions: dict[str, Any], name: str, decide: Callable[[], Decision]) -> Decision:
    """What was decided before under that name, or else now: a run that goes on must not decide anew.

    Of several processes the writer decides for all.

    Args:
        decisions: by name; the new one is added.
        name: of this one.
        decide: measures, and gives a number or a truth value.
    """
    if name not in decisions:
        decisions[name] = from_writer(decide)
    decision: Decision = decisions[name]
    return decision


def batch_size_for(samples: int) -> int:
    """Batches of 500 for large data sets; at least some 50 steps an epoch for small ones, in batches of 64 or more."""
    return max(1, min(500, max(64, samples // 50), samples))


def epochs_for(samples: int) -> int:
    """How many passes over the data are worth making at most, however much time is left."""
    return max(MOST_EPOCHS, min(MOST_EPOCHS_OF_FEW, LEAST_SAMPLES // max(1, samples)))


def augmentation_for(epochs: float) -> Augmentation:
    """Mirroring and shifts: by a sixteenth of the image in short trainings, by an eighth in long ones.

    Over 5 epochs of CIFAR-10 the smaller shifts gave 85.9 % on the second validation part, the larger 85.2 %: there is
    no time to overfit, and every image that is cut off teaches a little less.
    """
    return FlipAndCrop(1 / 16 if epochs <= SHORT_TRAINING else 1 / 8)


def resizing_for(size: int) -> list[Callback]:
    """Three quarters of the side at first, where that leaves enough to see.

    Over the time of 10 epochs at full size, the net of width 24 then reached 86.2 % instead of 85.8 % of the second
    validation part (87.3 % instead of 86.6 % with test-time augmentation).
    """
    smaller = round(0.75 * size)
    return [ProgressiveResizing([(SMALLER_IMAGES_UNTIL, smaller)])] if smaller >= SMALLEST_RESIZED else []


@cache
def training_operations(width: int, size: int) -> int:
    """Floating-point operations of one training step a sample: forward, and twice as many backward."""
    with structure_only():
        model = fast_net(10, size=size, width=width).eval()
        images = torch.empty(1, 3, size, size)
        with FlopCounterMode(display=False) as counter:
            model(images)
    return 3 * int(counter.get_total_flops())


def measured_operations_a_second(size: int, device: torch.device, precision: Precision) -> float:
    """Train a small fast net on noise for about a second and see how fast this machine is just now."""
    batch = 250
    model = in_channels_last(fast_net(10, size=size, width=32).to(device))
    images = torch.randn(batch, 3, size, size, device=device).to(memory_format=torch.channels_last)
    seconds: list[float] = []
    while len(seconds) < 4 and sum(seconds) < LONGEST_PROBE:
        started = time.perf_counter()
        with precision.autocast():
            loss = model(images).float().square().mean()
        loss.backward()
        loss.item()  # waits for the device
        seconds.append(time.perf_counter() - started)
    return batch * training_operations(32, size) / min(seconds)


@dataclass(frozen=True)
class FastPlan:
    """How a fast net is trained.

    Attributes:
        width: channels of its first group.
        epochs: how many passes over the data are to be expected.
    """

    width: int
    epochs: float


def plan_by_time(samples: int, operations_a_second: float, seconds: float, size: int, width: int | None) -> FastPlan:
    """The widest fast net that still sees enough samples in the time (or the width that was chosen already)."""
    most = samples * epochs_for(samples)
    seen = {w: min(most, seconds * operations_a_second / training_operations(w, size)) for w in FAST_WIDTHS}
    chosen = width or max(w for w in FAST_WIDTHS if seen[w] >= min(SAMPLES_WORTH_THE_WIDTH[w], most))
    return FastPlan(chosen, seen[chosen] / samples)


def plan_by_epochs(samples: int, epochs: float, width: int | None) -> FastPlan:
    """The widest fast net that so many passes are worth; the widest of all takes longer than one expects unasked."""
    worth = (w for w in FAST_WIDTHS if w <= 64 and SAMPLES_WORTH_THE_WIDTH[w] <= samples * epochs)
    return FastPlan(width or max(worth), epochs)


@dataclass(frozen=True)
class FastRates:
    """Rates for batches of `batch_size`: found at 500 and scaled with the square root of the batch.

    Attributes:
        filters: of the convolutions, by Muon: the spectral norm of a step.
        shifts: of the biases of normalisation and of the first layer; unusually large, which is half the speed.
        head: of the last layer.
        decay: the share that weight decay takes in a step at full rate.
    """

    filters: float
    shifts: float
    head: float
    decay: float

    @classmethod
    def for_batch(cls, batch_size: int) -> FastRates:
        factor = sqrt(batch_size / 500)
        return cls(0.17 * factor, 0.037 * factor, 0.47 * factor, 2e-6 * batch_size)


def fast_optimizer(
    model: FastNet, batch_size: int, *, muon: bool = True, weight_decay: bool = True, first_layer_stops: bool = True
) -> torch.optim.Optimizer:
    """Muon for the convolutions, Nesterov momentum for everything else.

    Args:
        model: what is trained.
        batch_size: decides the rates.
        muon: False has the convolutions follow momentum too, at the rate of the head.
        weight_decay: False leaves it out.
        first_layer_stops: False has the bias of the first layer follow the schedule of everything else.
    """
    rates = FastRates.for_batch(batch_size)
    filters = [p for p in model.groups.parameters() if p.ndim == 4]
    shifts = [p for p in model.groups.parameters() if p.ndim == 1 and p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [model.whiten.bias], "lr": rates.shifts},
        {"params": shifts, "lr": rates.shifts},
        {"params": [model.head.weight], "lr": rates.head},
    ]
    if first_layer_stops:
        groups[0]["schedule"] = whitening_schedule
    if not muon:
        groups.append({"params": filters, "lr": rates.head})
    for group in groups:
        group["weight_decay"] = rates.decay / group["lr"] if weight_decay else 0.0
    momentum = torch.optim.SGD(groups, momentum=0.85, nesterov=True)
    if not muon:
        return momentum
    return CombinedOptimizer([Muon(filters, lr=rates.filters, momentum=0.6), momentum])


def whitening_schedule(progress: float) -> float:
    """The factor for the bias of the first layer: a line that reaches zero before the others do."""
    return max(0.0, 1 - progress / WHITENING_TRAINS_UNTIL)


class FinishWhitening(Callback):
    """Freeze the first layer once its bias has stopped moving: no gradient needs to reach it any more."""

    def __init__(self, model: FastNet) -> None:
        self._bias = model.whiten.bias

    def fit_start(self, learner: Learner) -> None:
        self._bias.requires_grad_(True)

    def batch_start(self, learner: Learner) -> None:
        if learner.progress > WHITENING_TRAINS_UNTIL:
            self._bias.requires_grad_(False)

    def fit_end(self, learner: Learner) -> None:
        self._bias.requires_grad_(True)
