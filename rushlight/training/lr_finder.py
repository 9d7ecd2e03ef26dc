"""The learning-rate finder: raise the rate from step to step, watch the loss, put everything back."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rushlight.runtime import distributed
from rushlight.runtime.errors import InputError
from rushlight.runtime.seeds import random_state, set_random_state
from rushlight.runtime.sharing import share_of
from rushlight.training import groups
from rushlight.training.batches import move_to_device
from rushlight.training.ranks import StepExchange

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rushlight.training.learner import Learner

SMOOTHING = 0.9  # weight of the past in the running mean of the losses
DIVERGED = 4.0  # the sweep ends where the smoothed loss is this many times its lowest value


@dataclass(frozen=True)
class LRSweep:
    """Losses against learning rates.

    Attributes:
        lrs: the rate of each step.
        losses: the loss of each step.
        smoothed: its exponentially weighted mean, corrected for its start at zero.
        suggestion: the rate at which the smoothed loss falls fastest, or None where it never falls.
    """

    lrs: list[float]
    losses: list[float]
    smoothed: list[float]
    suggestion: float | None

    def plot(self) -> Figure:
        """The smoothed loss against the rate, with the suggestion marked."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.lrs, self.losses, ".", alpha=0.3, label="each step")
        axes.plot(self.lrs, self.smoothed, label="smoothed")
        if self.suggestion is not None:
            axes.axvline(self.suggestion, linestyle="--", color="black", label=f"suggested: {self.suggestion:.2g}")
        low, high = min(self.smoothed), max(self.smoothed[0], min(self.smoothed) * 1.5)
        axes.set(xscale="log", xlabel="learning rate", ylabel="training loss", ylim=(0.9 * low, 1.3 * high))
        axes.legend()
        return figure


def sweep_learning_rates(learner: Learner, start_lr: float, end_lr: float, steps: int) -> LRSweep:
    """Take up to `steps` steps at rates growing exponentially from `start_lr` to `end_lr` (Smith 2015, section 3.3).

    Groups with rates of their own keep their proportions; the rate reported is the largest.

    Raises:
        InputError: the rates are not 0 < start_lr < end_lr, or there are too few steps to see a slope.
    """
    if not 0 < start_lr < end_lr or not math.isfinite(end_lr):
        raise InputError(f"the finder needs 0 < start < end, not {start_lr} and {end_lr}")
    if steps < 10:
        raise InputError(f"the finder needs at least 10 steps to see a slope, not {steps}")
    lrs: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    with _everything_restored(learner):
        optimizer = learner.optimizer
        largest = max(group["initial_lr"] for group in optimizer.param_groups) or 1.0
        shares = [(group["initial_lr"] or 1.0) / largest for group in optimizer.param_groups]
        running = 0.0
        groups.set_training_mode(learner.model, learner.batch_norm_frozen, learner.batch_norm_frozen_before)
        exchange = _exchange(learner)
        for number, batch in zip(range(steps), _endless(learner.data.train), strict=False):
            lr = start_lr * (end_lr / start_lr) ** (number / (steps - 1))
            for group, share in zip(optimizer.param_groups, shares, strict=True):
                group["lr"] = lr * share
            with learner.precision.autocast():
                _, loss = learner.forward_step(learner.model, move_to_device(batch, learner.device))
            if exchange is not None:  # what follows is decided by the loss of all processes, which each of them has
                share = share_of(batch)
                (loss * share).backward()
                loss, _ = exchange.add_up(loss, share, 0.0)
            value = loss.item()
            if not math.isfinite(value):
                break
            running = SMOOTHING * running + (1 - SMOOTHING) * value
            lrs.append(lr)
            losses.append(value)
            smoothed.append(running / (1 - SMOOTHING ** (number + 1)))
            if smoothed[-1] > DIVERGED * min(smoothed):
                break
            if exchange is None:
                loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    if len(lrs) < 3:
        raise InputError(f"the loss was not finite after {len(lrs)} steps: start the sweep below {start_lr:g}")
    return LRSweep(lrs, losses, smoothed, steepest_rate(lrs, smoothed))


def steepest_rate(lrs: list[float], smoothed: list[float]) -> float | None:
    """The rate at which the smoothed loss falls fastest against the logarithm of the rate, before its minimum.

    The running mean lags behind the losses by about `1 / (1 - SMOOTHING)` steps, but so does the slope, and a rate
    that errs does so on the bold side by less than the sweep's own noise.
    """
    end = int(np.argmin(smoothed)) + 1
    if end < 3:
        return None
    slopes = np.gradient(np.asarray(smoothed[:end]), np.log(np.asarray(lrs[:end])))
    steepest = int(np.argmin(slopes))
    return lrs[steepest] if slopes[steepest] < 0 else None


def _exchange(learner: Learner) -> StepExchange | None:
    """The messages with other processes, where there are any."""
    if distributed.ranks() == 1:
        return None
    exchange = StepExchange(learner.model, list(learner.model.parameters()), learner.device)
    exchange.begin_epoch()
    return exchange


def _endless(batches: Any) -> Iterator[Any]:
    while True:
        yield from batches


@contextmanager
def _everything_restored(learner: Learner) -> Iterator[None]:
    """Put back weights, buffers, optimizer, random generators and training mode exactly, whatever happens inside."""
    model = learner.model
    tensors = [*model.parameters(), *model.buffers()]
    values = [tensor.detach().clone() for tensor in tensors]
    gradients = [p.grad for p in model.parameters()]
    modes = {module: module.training for module in model.modules()}
    optimizer = learner.optimizer
    optimizer_state = copy.deepcopy(optimizer.state_dict())
    step_state = copy.deepcopy(vars(learner.forward_step)) if hasattr(learner.forward_step, "__dict__") else {}
    generators = random_state()
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, values, strict=True):
                tensor.copy_(value)
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.grad = gradient
        for module, training in modes.items():
            module.training = training
        optimizer.load_state_dict(optimizer_state)
        if step_state:
            vars(learner.forward_step).update(step_state)
        set_random_state(generators)
