"""Layer groups of any model: names, parameters, rates, and what is frozen.

A model that has `layer_groups()` decides for itself; a plain module's groups are its direct children, in the order in
which they were defined.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from rushlight.runtime.errors import InputError, nearest_name


def layer_groups(model: nn.Module) -> dict[str, nn.Module]:
    """The model's named parts, from input to output.

    Its own `layer_groups()` is used where it has one. Otherwise the groups are its direct children that have
    parameters; or, where these do not hold every parameter exactly once, the module as a whole as "model".
    """
    own = getattr(model, "layer_groups", None)
    if callable(own):
        return dict(own())
    children = {name: child for name, child in model.named_children() if any(True for _ in child.parameters())}
    held = [id(parameter) for child in children.values() for parameter in child.parameters()]
    each_once = len(held) == len(set(held)) == sum(1 for _ in model.parameters())
    return children if children and each_once else {"model": model}


def group_index(model: nn.Module, group: str | int) -> int:
    """The position of a layer group given by name or (also negative) number.

    Raises:
        InputError: there is no such group.
    """
    names = list(layer_groups(model))
    if isinstance(group, str):
        if group not in names:
            raise InputError(f"the model has no layer group '{group}': {nearest_name(group, names)}")
        return names.index(group)
    if not -len(names) <= group < len(names):
        raise InputError(f"the model has {len(names)} layer groups ({', '.join(names)}), so there is no group {group}")
    return group % len(names)


def freeze_to(model: nn.Module, group: str | int) -> None:
    """Freeze every layer group before `group`, and make `group` and all after it trainable."""
    first_trainable = group_index(model, group)
    for position, module in enumerate(layer_groups(model).values()):
        module.requires_grad_(position >= first_trainable)


def normalisation_layers(module: nn.Module) -> Iterator[nn.Module]:
    """The layers that keep running statistics: PyTorch's batch norms and any other with `running_mean`."""
    return (layer for layer in module.modules() if isinstance(getattr(layer, "running_mean", None), Tensor))


def set_training_mode(model: nn.Module, freeze_batch_norm: bool, before: str | int | None = None) -> None:
    """Put the model in training mode, except normalisation layers whose statistics must not move.

    These are all of them if `freeze_batch_norm`, or all in the layer groups before `before`; else those with parameters
    of which none is trainable: a frozen layer that went on adapting its statistics would not be frozen.
    """
    model.train()
    held: set[nn.Module] = set()
    if freeze_batch_norm:
        parts = list(layer_groups(model).values())
        chosen = [model] if before is None else parts[: group_index(model, before)]
        held = {layer for part in chosen for layer in normalisation_layers(part)}
    for layer in normalisation_layers(model):
        parameters = list(layer.parameters())
        if layer in held or (parameters and not any(p.requires_grad for p in parameters)):
            layer.eval()


def parameter_groups(
    model: nn.Module, lr: float | Sequence[float], weight_decay: float | Sequence[float] = 0.0
) -> list[dict[str, Any]]:
    """Parameters for an optimizer, with one rate and weight decay for all, or one a layer group.

    With one for all there are just two groups, because an optimizer's step costs time by the group. Vectors (biases,
    scales and shifts of normalisation) are given no weight decay: pulling them to zero removes no complexity (Goyal et
    al. 2017, section 3.1).

    Args:
        model: any module.
        lr: one rate, or one a layer group from input to output.
        weight_decay: one strength, or one a layer group.

    Returns:
        Dicts with `params`, `lr`, `weight_decay` and `name`; a parameter shared between groups stands in the first.

    Raises:
        InputError: the number of rates is not the number of layer groups.
    """
    is_uniform = isinstance(lr, int | float) and isinstance(weight_decay, int | float)
    groups = {"model": model} if is_uniform else layer_groups(model)
    rates = per_group(lr, groups, "learning rate")
    decays = per_group(weight_decay, groups, "weight decay")
    seen: set[int] = set()
    result = []
    for (name, module), rate, decay in zip(groups.items(), rates, decays, strict=True):
        parameters = [p for p in module.parameters() if id(p) not in seen]
        seen.update(map(id, parameters))
        matrices = [p for p in parameters if p.ndim >= 2]
        vectors = [p for p in parameters if p.ndim < 2]
        for part, kind, strength in ((matrices, "weights", decay), (vectors, "vectors", 0.0)):
            if part:
                result.append({"params": part, "lr": rate, "weight_decay": strength, "name": f"{name}.{kind}"})
    return result


def per_group(value: float | Sequence[float], groups: dict[str, nn.Module], what: str) -> list[float]:
    """One value for each layer group, from one for all or a sequence."""
    if isinstance(value, int | float):
        return [float(value)] * len(groups)
    if len(value) != len(groups):
        raise InputError(
            f"{len(value)} values were given as {what}, but the model has {len(groups)} layer groups: "
            f"{', '.join(groups)}; give one value, or one a group"
        )
    return [float(v) for v in value]
