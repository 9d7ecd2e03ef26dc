"""Modules built without drawing their first weights, for where a file brings others or only the structure counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

# Some functions of `nn.init` come here as a whole, and what they call inside then does not.
_DRAWS = {
    Tensor.normal_,
    Tensor.uniform_,
    Tensor.bernoulli_,
    Tensor.random_,
    init.uniform_,
    init.normal_,
    init.trunc_normal_,
    init.kaiming_uniform_,
    init.kaiming_normal_,
    init.xavier_uniform_,
    init.xavier_normal_,
    init.orthogonal_,
}


class _NoDraws(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _DRAWS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def without_random_weights() -> Iterator[None]:
    """A context in which tensors are not filled with random numbers: they hold what their memory held."""
    with _NoDraws():
        yield


@contextmanager
def structure_only() -> Iterator[None]:
    """A context in which modules are built without memory, on the meta device.

    Nor are weights drawn, for which PyTorch would load its compiler there: that takes as long as loading all the rest.
    """
    with torch.device("meta"), without_random_weights():
        yield
