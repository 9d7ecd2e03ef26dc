"""Seven optimizers written out to be read.

Each rule is a pure function, `(weights, gradient, *state, settings) -> (new weights, *new state)`, with a
class of a few lines that keeps the state. They follow PyTorch's own to float tolerance (the tests compare
whole trajectories), and the settings have PyTorch's names.
"""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from rushlight.runtime.errors import InputError

# --- the mathematics ----------------------------------------------------------------------------------------
#
# `weights` and `gradient` have the same shape, as has each tensor of state; `step` is a scalar tensor that
# counts from 0. `weight_decay` is the L2 penalty's factor, added to the gradient, except in AdamW.


def sgd_update(weights: Tensor, gradient: Tensor, lr: float, weight_decay: float = 0.0) -> tuple[Tensor]:
    """Stochastic gradient descent: a step straight down (Robbins and Monro 1951)."""
    gradient = gradient + weight_decay * weights
    return (weights - lr * gradient,)


def momentum_update(
    weights: Tensor, gradient: Tensor, velocity: Tensor, lr: float, momentum: float, weight_decay: float = 0.0
) -> tuple[Tensor, Tensor]:
    """The heavy ball: gradients add up in a velocity that fades (Polyak 1964)."""
    gradient = gradient + weight_decay * weights
    velocity = momentum * velocity + gradient
    return weights - lr * velocity, velocity


def nesterov_update(
    weights: Tensor, gradient: Tensor, velocity: Tensor, lr: float, momentum: float, weight_decay: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Momentum that looks one step ahead (Nesterov 1983, in the form of Sutskever et al. 2013)."""
    gradient = gradient + weight_decay * weights
    velocity = momentum * velocity + gradient
    return weights - lr * (gradient + momentum * velocity), velocity


def adagrad_update(
    weights: Tensor,
    gradient: Tensor,
    sum_of_squares: Tensor,
    lr: float,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Every weight its own rate, lower the larger its gradients have been (Duchi et al. 2011)."""
    gradient = gradient + weight_decay * weights
    sum_of_squares = sum_of_squares + gradient**2
    return weights - lr * gradient / (sum_of_squares.sqrt() + eps), sum_of_squares


def rmsprop_update(
    weights: Tensor,
    gradient: Tensor,
    mean_of_squares: Tensor,
    velocity: Tensor,
    lr: float,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Adagrad that forgets: a fading mean, not a sum (Hinton, lecture 6e, 2012); with optional momentum."""
    gradient = gradient + weight_decay * weights
    mean_of_squares = alpha * mean_of_squares + (1 - alpha) * gradient**2
    velocity = momentum * velocity + gradient / (mean_of_squares.sqrt() + eps)
    return weights - lr * velocity, mean_of_squares, velocity


def adam_update(
    weights: Tensor,
    gradient: Tensor,
    step: Tensor,
    mean: Tensor,
    mean_of_squares: Tensor,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Momentum over RMSProp, with both means corrected for their start at zero (Kingma and Ba 2015)."""
    gradient = gradient + weight_decay * weights
    step = step + 1
    mean = betas[0] * mean + (1 - betas[0]) * gradient
    mean_of_squares = betas[1] * mean_of_squares + (1 - betas[1]) * gradient**2
    corrected_mean = mean / _share_seen(betas[0], step)
    corrected_squares = mean_of_squares / _share_seen(betas[1], step)
    return weights - lr * corrected_mean / (corrected_squares.sqrt() + eps), step, mean, mean_of_squares


def adamw_update(
    weights: Tensor,
    gradient: Tensor,
    step: Tensor,
    mean: Tensor,
    mean_of_squares: Tensor,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Adam, with the weights pulled to zero directly, not through the means (Loshchilov and Hutter 2019)."""
    weights = weights * (1 - lr * weight_decay)
    return adam_update(weights, gradient, step, mean, mean_of_squares, lr, betas, eps)


def _share_seen(beta: float, step: Tensor) -> float:
    """How much of a mean that started at zero is of real values, after `step` of them."""
    return 1.0 - beta ** step.item()


# --- the thin classes ---------------------------------------------------------------------------------------


class OptimizerByHand(Optimizer):
    """Applies a pure update function to every parameter, and keeps its state.

    A subclass gives the function, the names of its settings, and those of its state in order (`step` is a
    scalar, the others are shaped like the weights; all start at zero). The base class of PyTorch adds
    parameter groups with settings of their own, `zero_grad` and `state_dict`.

    Raises:
        InputError: a setting is negative.
    """

    update: ClassVar[Callable[..., tuple[Tensor, ...]]]
    setting_names: ClassVar[tuple[str, ...]]
    state_names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Iterable[Any], **settings: Any) -> None:
        for name, value in settings.items():
            if not all(v >= 0 for v in (value if isinstance(value, tuple) else (value,))):
                raise InputError(f"{name} of {type(self).__name__} must not be negative, but is {value}")
        super().__init__(params, settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            settings = {name: group[name] for name in self.setting_names}
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state.update({name: self._first(name, parameter) for name in self.state_names})
                values = [state[name] for name in self.state_names]
                new_weights, *new_values = type(self).update(parameter, parameter.grad, *values, **settings)
                parameter.copy_(new_weights)
                state.update(zip(self.state_names, new_values, strict=True))
        return loss

    @staticmethod
    def _first(name: str, parameter: Tensor) -> Tensor:
        # On the CPU, where PyTorch keeps it too: a count is read by Python at every step.
        return torch.zeros(()) if name == "step" else torch.zeros_like(parameter)


class SGD(OptimizerByHand):
    """`sgd_update`, written out."""

    update = staticmethod(sgd_update)
    setting_names = ("lr", "weight_decay")

    def __init__(self, params: Iterable[Any], lr: float = 1e-2, weight_decay: float = 0.0) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay)


class Momentum(OptimizerByHand):
    """`momentum_update`, written out."""

    update = staticmethod(momentum_update)
    setting_names = ("lr", "momentum", "weight_decay")
    state_names = ("velocity",)

    def __init__(
        self, params: Iterable[Any], lr: float = 1e-2, momentum: float = 0.9, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)


class Nesterov(Momentum):
    """`nesterov_update`, written out."""

    update = staticmethod(nesterov_update)


class Adagrad(OptimizerByHand):
    """`adagrad_update`, written out."""

    update = staticmethod(adagrad_update)
    setting_names = ("lr", "eps", "weight_decay")
    state_names = ("sum_of_squares",)

    def __init__(self, params: Iterable[Any], lr: float = 1e-2, eps: float = 1e-10, weight_decay: float = 0.0) -> None:
        super().__init__(params, lr=lr, eps=eps, weight_decay=weight_decay)


class RMSProp(OptimizerByHand):
    """`rmsprop_update`, written out."""

    update = staticmethod(rmsprop_update)
    setting_names = ("lr", "alpha", "eps", "momentum", "weight_decay")
    state_names = ("mean_of_squares", "velocity")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, momentum=momentum, weight_decay=weight_decay)


class Adam(OptimizerByHand):
    """`adam_update`, written out."""

    update = staticmethod(adam_update)
    setting_names = ("lr", "betas", "eps", "weight_decay")
    state_names = ("step", "mean", "mean_of_squares")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not all(beta < 1 for beta in betas):
            raise InputError(f"betas of {type(self).__name__} must be below 1, but are {betas}")
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)


class AdamW(Adam):
    """`adamw_update`, written out."""

    update = staticmethod(adamw_update)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)
