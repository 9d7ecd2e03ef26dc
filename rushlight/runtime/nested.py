"""Containers of tensors and plain values, as JSON beside named tensors, as bytes, and from process to process."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import safetensors.torch
import torch
from torch import Tensor

from rushlight.runtime import distributed

_DESCRIPTION = "described"

Value = TypeVar("Value")


def of_writer(make: Callable[[], Value]) -> Value:
    """What a function returns on the writer, the same on every rank; it is called there alone.

    As `distributed.from_writer`, for containers that `pack` takes; tensors come on the CPU.

    Raises:
        RushlightError: what the function raised, on every rank.
    """
    if distributed.ranks() == 1:
        return make()
    made: list[Value] = []
    distributed.from_writer(lambda: made.append(make()))  # what it raises, all raise
    data = distributed.bytes_of_writer(_to_bytes(made[0]) if made else None)
    value: Value = made[0] if made else _from_bytes(data)
    return value


def of_all(value: Any) -> list[Any]:
    """What each rank gave, in their order; tensors come on the CPU."""
    if distributed.ranks() == 1:
        return [value]
    data = torch.frombuffer(bytearray(_to_bytes(value)), dtype=torch.uint8)
    return [_from_bytes(part.numpy().tobytes()) for part in distributed.gathered(data)]


def _to_bytes(value: Any) -> bytes:
    tensors: dict[str, Tensor] = {}
    described = json.dumps(pack(value, "", tensors))
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return safetensors.torch.save(copies, metadata={_DESCRIPTION: described})


def _from_bytes(data: bytes) -> Any:
    length = int.from_bytes(data[:8], "little")
    described = json.loads(data[8 : 8 + length])["__metadata__"][_DESCRIPTION]
    return unpack(json.loads(described), safetensors.torch.load(data))


def pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """JSON for a value, with every tensor put into `tensors` and named in its place.

    Args:
        value: a tensor, a number, a word, None, or dicts, lists and tuples of them.
        name: of the value; those of its parts begin with it.
        tensors: where its tensors are put.

    Raises:
        TypeError: something in it has no such form.
    """
    if isinstance(value, Tensor):
        if name in tensors:
            raise ValueError(f"two parts of the state are called '{name}'")
        tensors[name] = value
        # A kernel may go through memory in its order, so the order is part of the state.
        strides = value.stride()
        usual = torch.empty(value.shape, device="meta").stride()
        can_be_kept = torch.empty_like(value, device="meta").stride() == strides
        return {"$tensor": name, "strides": list(strides)} if can_be_kept and strides != usual else {"$tensor": name}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        items = [[key, pack(part, f"{name}.{key}" if name else str(key), tensors)] for key, part in value.items()]
        is_plain = all(isinstance(key, str) and not key.startswith("$") for key in value)
        return dict(items) if is_plain else {"$items": items}
    if isinstance(value, list | tuple):
        parts = [pack(part, f"{name}.{index}", tensors) for index, part in enumerate(value)]
        return {"$tuple": parts} if isinstance(value, tuple) else parts
    raise TypeError(f"'{name}' is a {type(value).__name__}, which a saved state cannot hold")


def unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `pack` was given.

    Args:
        value: what it returned.
        tensors: what it put there; the result holds these tensors or others.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: it makes no sense.
    """
    if isinstance(value, list):
        return [unpack(part, tensors) for part in value]
    if not isinstance(value, dict):
        return value
    if "$tensor" in value:
        return _laid_out(tensors[value["$tensor"]], value.get("strides"))
    if "$float" in value:
        return float(value["$float"])
    if "$tuple" in value:
        return tuple(unpack(part, tensors) for part in value["$tuple"])
    if "$items" in value:
        return {key: unpack(part, tensors) for key, part in value["$items"]}
    return {key: unpack(part, tensors) for key, part in value.items()}


def _laid_out(tensor: Tensor, strides: list[int] | None) -> Tensor:
    """A tensor with its numbers in that order in memory, of which none is left out."""
    if strides is None:
        return tensor
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, strides, strict=True))
    if last + 1 != tensor.numel() or min(strides) < 1:
        raise ValueError("a tensor's order in memory is impossible")
    return torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype).copy_(tensor)
