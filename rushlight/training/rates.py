"""The optimizer of a learner: how it is made, and how later fits change its rates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import isfinite

from torch import nn
from torch.optim import Optimizer

from rushlight.runtime.errors import InputError
from rushlight.training.groups import parameter_groups
from rushlight.training.optimizers import make_optimizer
from rushlight.training.schedules import Schedule

Rates = float | Sequence[float]
OptimizerChoice = str | Callable[..., Optimizer] | Optimizer


class Rated:
    """An optimizer whose every parameter group has a rate of its own (`initial_lr`) that schedules multiply.

    Args:
        model: whose parameters are trained.
        choice: a name of `OPTIMIZERS`, a factory that is given parameter groups, or a finished optimizer.
        lr: one rate, or one a layer group; None keeps the optimizer's default.
        weight_decay: one strength, or one a layer group; None keeps the optimizer's default.

    Raises:
        InputError: a rate or a strength is no number from 0 up, all rates are 0, or there are not as many as groups.
    """

    def __init__(
        self, model: nn.Module, choice: OptimizerChoice, lr: Rates | None = None, weight_decay: Rates | None = None
    ) -> None:
        _check(lr, weight_decay)
        self._model = model
        self._choice = choice
        self._lr, self._weight_decay = lr, weight_decay
        self.optimizer = choice if isinstance(choice, Optimizer) else _made(model, choice, lr, weight_decay)
        for group in self.optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        if isinstance(choice, Optimizer):
            self.change(lr, weight_decay)

    def change(self, lr: Rates | None, weight_decay: Rates | None) -> None:
        """Change the rates or the weight decay of all groups, and keep what the optimizer remembers; None leaves them.

        The groups of a finished optimizer keep their proportions, and `lr` becomes the largest rate.

        Raises:
            InputError: as of the class.
        """
        _check(lr, weight_decay)
        if isinstance(self._choice, Optimizer):
            self._scale(lr, weight_decay)
            return
        self._lr = self._lr if lr is None else lr
        self._weight_decay = self._weight_decay if weight_decay is None else weight_decay
        remembered = self.optimizer.state
        # Made anew, because one rate for all and one a layer group make different parameter groups.
        self.optimizer = _made(self._model, self._choice, self._lr, self._weight_decay)
        self.optimizer.state.update(remembered)
        for group in self.optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])

    def _scale(self, lr: Rates | None, weight_decay: Rates | None) -> None:
        if isinstance(lr, Sequence) or weight_decay is not None:
            raise InputError(
                "this optimizer was made with groups of its own: give one learning rate, which scales them all, "
                "and set weight decay where it is made"
            )
        if lr is not None:
            largest = self.largest_rate
            for group in self.optimizer.param_groups:
                group["initial_lr"] *= lr / largest

    @property
    def largest_rate(self) -> float:
        """The rate of the group that learns fastest, before any schedule."""
        return max(group["initial_lr"] for group in self.optimizer.param_groups)

    @property
    def rate_now(self) -> float:
        """The rate of the group that learns fastest, in the step being taken."""
        return max(group["lr"] for group in self.optimizer.param_groups)

    def follow(self, schedule: Schedule, progress: float) -> None:
        """Set every group's rate for a step; a group with a `schedule` of its own follows that."""
        factor = schedule(progress)
        for group in self.optimizer.param_groups:
            own = group.get("schedule")
            group["lr"] = group["initial_lr"] * (factor if own is None else own(progress))


def _check(lr: Rates | None, weight_decay: Rates | None) -> None:
    for what, given in (("learning rate", lr), ("weight decay", weight_decay)):
        values = [] if given is None else [given] if isinstance(given, int | float) else list(given)
        for value in values:
            if not (isfinite(value) and value >= 0):
                raise InputError(f"{what} {value} is no number from 0 up")
        if values and what == "learning rate" and not any(values):
            raise InputError("learning rate 0 would change nothing: give one above 0, or freeze what is to stay")


def _made(
    model: nn.Module, choice: str | Callable[..., Optimizer], lr: Rates | None, weight_decay: Rates | None
) -> Optimizer:
    factory = partial(make_optimizer, choice) if isinstance(choice, str) else choice
    groups = parameter_groups(model, 0.0 if lr is None else lr, 0.0 if weight_decay is None else weight_decay)
    for group in groups:
        if lr is None:
            del group["lr"]
        if weight_decay is None and not group["name"].endswith(".vectors"):
            del group["weight_decay"]
    return factory(groups)
