"""An exponential moving average of the weights, used for measuring and kept at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from rushlight.runtime.errors import InputError
from rushlight.training.callbacks import Callback

if TYPE_CHECKING:
    from rushlight.training.learner import Learner


class AverageWeights(Callback):
    """Keep a running average of weights and normalisation statistics (Polyak & Juditsky 1992).

    The validation part is measured with the average, a callback that saves in `validation_done` saves the average,
    and the average is what remains at the end of a fit.

    Args:
        decay: how much of the average remains after a step, between 0 and 1. At the start a smaller one is used,
            (1 + steps) / (10 + steps), so that the random first weights are soon forgotten.

    Raises:
        InputError: the decay is not between 0 and 1.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 < decay < 1:
            raise InputError(f"the decay of averaged weights must lie between 0 and 1, not {decay}")
        self.decay = decay

    def state_dict(self) -> dict[str, Any]:
        """The average and its age; nothing between fits."""
        return {"average": self._average, "steps": self._steps} if hasattr(self, "_average") else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        torch._foreach_copy_(self._average, state["average"])
        self._steps = state["steps"]

    def fit_start(self, learner: Learner) -> None:
        self._live = [tensor for tensor in learner.model.state_dict().values() if tensor.is_floating_point()]
        self._average = [tensor.clone() for tensor in self._live]
        self._steps = 0
        self._average_in_place = False

    def step_done(self, learner: Learner) -> None:
        self._steps += 1
        decay = min(self.decay, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._average, self._live, 1 - decay)

    def validation_start(self, learner: Learner) -> None:
        self._swap()

    def epoch_end(self, learner: Learner) -> None:
        if self._average_in_place:
            self._swap()

    def fit_end(self, learner: Learner) -> None:
        self._swap()
        del self._live, self._average

    def _swap(self) -> None:
        kept = [tensor.clone() for tensor in self._live]
        torch._foreach_copy_(self._live, self._average)
        torch._foreach_copy_(self._average, kept)
        self._average_in_place = not self._average_in_place
