"""Stop early, and keep the best: what follows from the validation part."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from rushlight.runtime.errors import InputError, nearest_name
from rushlight.runtime.measured import Measured
from rushlight.training.callbacks import Callback

if TYPE_CHECKING:
    from rushlight.training.learner import Learner


class Monitor:
    """The best value so far of one measured quantity; losses are better when smaller, everything else when larger."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.best = math.inf if name.endswith("loss") else -math.inf

    def improved(self, learner: Learner) -> bool:
        """Take note of the learner's newest value; whether it is the best so far."""
        if self.name not in learner.row:
            measured = [key for key, value in learner.row.items() if isinstance(value, Measured)]
            raise InputError(f"nothing called '{self.name}' is measured: {nearest_name(self.name, measured)}")
        value = learner.row[self.name].value
        better = value < self.best if self.name.endswith("loss") else value > self.best
        if better:
            self.best = value
        return better


class EarlyStopping(Callback):
    """Stop when a quantity has not improved for a number of measurements.

    Args:
        patience: how many measurements in a row may pass without a new best.
        monitor: the name of the quantity in the history.
    """

    def __init__(self, patience: int = 5, monitor: str = "valid_loss") -> None:
        if patience < 1:
            raise InputError(f"the patience of early stopping must be at least 1, not {patience}")
        self.patience = patience
        self.monitor = monitor
        self._monitor = Monitor(monitor)
        self._without_improvement = 0

    def state_dict(self) -> dict[str, Any]:
        """The best value, and for how long there was no better one."""
        return {"best": self._monitor.best, "without_improvement": self._without_improvement}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._monitor.best, self._without_improvement = state["best"], state["without_improvement"]

    def fit_start(self, learner: Learner) -> None:
        self._monitor = Monitor(self.monitor)
        self._without_improvement = 0

    def validation_done(self, learner: Learner) -> None:
        self._without_improvement = 0 if self._monitor.improved(learner) else self._without_improvement + 1
        if self._without_improvement >= self.patience:
            learner.stop = True


class KeepBest(Callback):
    """End a fit with the weights that measured best, not with the last.

    Choosing among many epochs by the validation part makes its figure a little too good; the test part stays honest.

    Args:
        monitor: the name of the quantity in the history.
    """

    def __init__(self, monitor: str = "valid_loss") -> None:
        self.monitor = monitor
        self._monitor = Monitor(monitor)
        self._weights: dict[str, torch.Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """The best value and the weights that gave it."""
        return {"best": self._monitor.best, "weights": self._weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._monitor.best, self._weights = state["best"], state["weights"]

    def fit_start(self, learner: Learner) -> None:
        self._monitor = Monitor(self.monitor)
        self._weights = {}

    def validation_done(self, learner: Learner) -> None:
        if self._monitor.improved(learner):
            self._weights = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}

    def fit_end(self, learner: Learner) -> None:
        if self._weights:
            learner.model.load_state_dict(self._weights)
