"""Optimizers by name: PyTorch's own in their fastest form, Muon, and the seven written out in `by_hand`.

The ones by hand follow PyTorch's trajectories, so the default can be PyTorch's: `OPTIMIZERS["adam"]` is fused
where the device has that, `OPTIMIZERS["adam_by_hand"]` is the one to read and change.

To add an optimizer, write a factory and add one line to `OPTIMIZERS`.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from rushlight.runtime.errors import InputError, nearest_name
from rushlight.training.by_hand import SGD, Adagrad, Adam, AdamW, Momentum, Nesterov, RMSProp
from rushlight.training.combined import CombinedOptimizer
from rushlight.training.muon import Muon

# Where PyTorch (2.6 and newer) has the whole update in one kernel.
_FUSED_DEVICES: dict[type[Optimizer], set[str]] = {
    torch.optim.SGD: {"cpu", "cuda", "mps"},
    torch.optim.Adagrad: {"cpu"},
    torch.optim.Adam: {"cpu", "cuda", "mps"},
    torch.optim.AdamW: {"cpu", "cuda", "mps"},
}


def fastest(optimizer: type[Optimizer], params: Iterable[Any], **settings: Any) -> Optimizer:
    """PyTorch's optimizer in its fastest form for where the parameters lie.

    Fused where there is such a kernel, otherwise `foreach`. On one core, for a million parameters in 59
    tensors, a fused step of Adam or AdamW takes 0.2 to 0.3 of the time of the other two forms, one of
    Nesterov at most 0.4; RMSProp, which has no fused form, is a quarter faster with `foreach` than one by one
    (`benchmarks/optimizers.py --threads 1`).

    Args:
        optimizer: a class of `torch.optim`.
        params: parameters, or groups of them.
        **settings: of the optimizer.
    """
    groups = _as_groups(params)
    devices = _FUSED_DEVICES.get(optimizer, set())
    fused = all(p.device.type in devices and p.is_floating_point() for group in groups for p in group["params"])
    if not settings.keys() & {"fused", "foreach"}:
        settings["fused" if fused else "foreach"] = True
    return optimizer(groups, **settings)


def sgd(params: Iterable[Any], lr: float = 1e-2, **settings: Any) -> Optimizer:
    """PyTorch's SGD."""
    return fastest(torch.optim.SGD, params, lr=lr, **settings)


def momentum(params: Iterable[Any], lr: float = 1e-2, momentum: float = 0.9, **settings: Any) -> Optimizer:
    """PyTorch's SGD with momentum."""
    return fastest(torch.optim.SGD, params, lr=lr, momentum=momentum, **settings)


def nesterov(params: Iterable[Any], lr: float = 1e-2, momentum: float = 0.9, **settings: Any) -> Optimizer:
    """PyTorch's SGD with Nesterov momentum."""
    return fastest(torch.optim.SGD, params, lr=lr, momentum=momentum, nesterov=True, **settings)


def adagrad(params: Iterable[Any], lr: float = 1e-2, **settings: Any) -> Optimizer:
    """PyTorch's Adagrad."""
    return fastest(torch.optim.Adagrad, params, lr=lr, **settings)


def rmsprop(params: Iterable[Any], lr: float = 1e-2, **settings: Any) -> Optimizer:
    """PyTorch's RMSprop."""
    return fastest(torch.optim.RMSprop, params, lr=lr, **settings)


def adam(params: Iterable[Any], lr: float = 1e-3, **settings: Any) -> Optimizer:
    """PyTorch's Adam; weight decay is an L2 penalty."""
    return fastest(torch.optim.Adam, params, lr=lr, **settings)


def adamw(params: Iterable[Any], lr: float = 1e-3, **settings: Any) -> Optimizer:
    """PyTorch's AdamW; weight decay is decoupled."""
    return fastest(torch.optim.AdamW, params, lr=lr, **settings)


def muon(
    params: Iterable[Any],
    lr: float = 1e-3,
    momentum: float = 0.95,
    steps: int = 5,
    weight_decay: float = 1e-2,
    **settings: Any,
) -> Optimizer:
    """Muon for the hidden matrices and convolutions of any model, AdamW for the rest, at one rate.

    The rest is every vector, and the last matrix: the layer that gives the answer (Jordan 2024). Muon's steps
    are scaled to the size of AdamW's, so that AdamW's rate and weight decay serve both (Liu et al., "Muon is
    scalable", 2025). A group that has some of each becomes two, with the same settings.

    Args:
        params: parameters, or groups of them, in the order from input to output.
        lr: as for AdamW.
        momentum: of Muon.
        steps: of Muon.
        weight_decay: decoupled, for both.
        **settings: other settings of `Muon`.
    """
    groups = _as_groups(params)
    matrices = [p for group in groups for p in group["params"] if p.ndim >= 2]
    hidden = {id(p) for p in matrices[:-1]}
    for_muon: list[dict[str, Any]] = []
    for_adamw: list[dict[str, Any]] = []
    for group in groups:
        for chosen, inside in ((for_muon, True), (for_adamw, False)):
            part = [p for p in group["params"] if (id(p) in hidden) == inside]
            if part:
                chosen.append({**group, "params": part})
    settings = {"scale": "adamw", "weight_normalisation": False, **settings}
    members: list[Optimizer] = []
    if for_muon:
        members.append(Muon(for_muon, lr=lr, momentum=momentum, steps=steps, weight_decay=weight_decay, **settings))
    members.append(adamw(for_adamw, lr=lr, weight_decay=weight_decay))
    return CombinedOptimizer(members)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
    "muon": muon,
    "sgd_by_hand": SGD,
    "momentum_by_hand": Momentum,
    "nesterov_by_hand": Nesterov,
    "adagrad_by_hand": Adagrad,
    "rmsprop_by_hand": RMSProp,
    "adam_by_hand": Adam,
    "adamw_by_hand": AdamW,
}


def make_optimizer(name: str, params: Iterable[Any], **settings: Any) -> Optimizer:
    """The optimizer of that name.

    Args:
        name: a key of `OPTIMIZERS`.
        params: parameters, or groups of them; the settings of a group go before those given here.
        **settings: `lr`, `weight_decay` and what else the optimizer has.

    Raises:
        InputError: the optimizer or a setting is unknown, or there is nothing to train.
    """
    if name not in OPTIMIZERS:
        raise InputError(f"unknown optimizer '{name}': {nearest_name(name, OPTIMIZERS)}")
    groups = _as_groups(params)
    if not any(group["params"] for group in groups):
        raise InputError("the model has no parameter to train")
    try:
        return OPTIMIZERS[name](groups, **settings)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise InputError(f"optimizer '{name}' has no such setting: {error}") from None
    except ValueError as error:  # PyTorch's own check of a value
        raise InputError(f"optimizer '{name}': {error}") from error


def decouple_weight_decay(optimizer: Optimizer) -> Optimizer:
    """Make any optimizer's weight decay pull on the weights directly, as AdamW's does (Loshchilov and Hutter
    2019).

    Every step then begins with `weights *= 1 - lr * weight_decay`, and the rule itself sees no weight decay.
    Each group keeps its own strength in `weight_decay`, so schedules and frozen parameters work as before.

    Args:
        optimizer: one whose groups have `weight_decay` as an L2 penalty; it is changed in place.

    Returns:
        The same optimizer.
    """
    strengths: list[float] = []

    @torch.no_grad()
    def shrink(optimizer: Optimizer, *_: Any) -> None:
        strengths[:] = [group["weight_decay"] for group in optimizer.param_groups]
        for group, strength in zip(optimizer.param_groups, strengths, strict=True):
            group["weight_decay"] = 0.0
            for parameter in group["params"]:
                if strength and parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * strength)

    def restore(optimizer: Optimizer, *_: Any) -> None:
        for group, strength in zip(optimizer.param_groups, strengths, strict=True):
            group["weight_decay"] = strength

    optimizer.register_step_pre_hook(shrink)
    optimizer.register_step_post_hook(restore)
    return optimizer


def _as_groups(params: Iterable[Any]) -> list[dict[str, Any]]:
    """Groups with lists of tensors, from parameters, named parameters, or groups of either."""
    items = list(params)
    if not items or not isinstance(items[0], dict):
        items = [{"params": items}]
    groups = []
    for group in items:
        inside = [group["params"]] if isinstance(group["params"], Tensor) else group["params"]
        groups.append({**group, "params": [item if isinstance(item, Tensor) else item[1] for item in inside]})
    return groups
