"""Callbacks: named moments of the training loop at which other code may act.

Every hook is a method that does nothing, so a callback overrides just what it needs, and a hook that nobody overrides
costs nothing. `Learner` draws the loop with each hook in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rushlight.training.learner import Learner

HOOKS = (
    "fit_planned",
    "fit_start",
    "epoch_start",
    "batch_start",
    "loss_ready",
    "gradients_ready",
    "step_done",
    "cycle_end",
    "step_end",
    "validation_start",
    "validation_done",
    "epoch_end",
    "fit_end",
)


class Callback:
    """Base of all callbacks. Each hook is given the learner, whose attributes say where training stands.

    To end training after the current step, set `learner.stop = True`.

    One that remembers something from step to step gives it in `state_dict`, so that an interrupted fit goes on as if
    nothing had happened.
    """

    def state_dict(self) -> dict[str, Any]:
        """What has to be remembered: tensors, numbers and words, in dicts and lists."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; called after `fit_start` of the fit that goes on, or alone where that fit was over."""

    def fit_planned(self, learner: Learner) -> None:
        """Before anything else of a fit. To pass it over, set `learner.stop = True`: no other hook is called then."""

    def fit_start(self, learner: Learner) -> None:
        """Before the first epoch; model, optimizer and plan are ready."""

    def epoch_start(self, learner: Learner) -> None:
        """Before the first batch of an epoch."""

    def batch_start(self, learner: Learner) -> None:
        """`learner.batch` holds the batch; the learning rates of this step are set."""

    def loss_ready(self, learner: Learner) -> None:
        """`learner.outputs` and `learner.loss` hold the forward pass; nothing has been differentiated yet."""

    def gradients_ready(self, learner: Learner) -> None:
        """Gradients of all accumulated batches are summed; the optimizer has not used them yet."""

    def step_done(self, learner: Learner) -> None:
        """The optimizer has taken its step."""

    def cycle_end(self, learner: Learner) -> None:
        """The schedule has reached its lowest rate and is about to restart (or to end)."""

    def step_end(self, learner: Learner) -> None:
        """The step is over for all callbacks, and no gradient is pending: the state may be saved here."""

    def validation_start(self, learner: Learner) -> None:
        """Before the validation part is measured; weights may be exchanged here (see `AverageWeights`)."""

    def validation_done(self, learner: Learner) -> None:
        """`learner.row` holds the measured quantities of the validation part."""

    def epoch_end(self, learner: Learner) -> None:
        """`learner.row` is complete and stands in the history."""

    def fit_end(self, learner: Learner) -> None:
        """After the last epoch, also when training was stopped early."""


def overridden_hooks(callbacks: Iterable[Callback]) -> dict[str, list[Callable[[Learner], None]]]:
    """For every hook the methods that do something, in the order of the callbacks."""
    return {hook: [getattr(callback, hook) for callback in callbacks if _overrides(callback, hook)] for hook in HOOKS}


def _overrides(callback: Callback, hook: str) -> bool:
    return getattr(type(callback), hook, None) is not getattr(Callback, hook) or hook in vars(callback)
