"""Batch norm over the whole batch, where several processes each have a part of it.

A layer goes on being what it is: only its forward pass while training is another. So its names, its weights and
whoever holds it stay as they are.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from rushlight.runtime import distributed
from rushlight.runtime.errors import InputError
from rushlight.training.groups import normalisation_layers


def synchronise_batch_norm(model: nn.Module) -> None:
    """Let every batch norm of a model take mean and variance over the parts of all ranks; alone nothing is changed.

    Raises:
        InputError: the model has a normalisation layer that is no batch norm.
    """
    if distributed.ranks() == 1:
        return
    for layer in normalisation_layers(model):
        if not (isinstance(getattr(layer, "running_var", None), Tensor) and hasattr(layer, "eps")):
            raise InputError(f"a layer of type {type(layer).__name__} cannot be synchronised: it is no batch norm")
        layer.forward = MethodType(_forward, layer)


def is_synchronised(layer: nn.Module) -> bool:
    """Whether a layer takes its statistics over all ranks."""
    return "forward" in vars(layer)


def set_share(model: nn.Module, share: float) -> None:
    """Tell synchronised layers which part of a batch comes next; of one that is 0 nothing is counted."""
    for layer in normalisation_layers(model):
        layer.counts = share > 0  # type: ignore[assignment]


def _forward(layer: Any, inputs: Tensor) -> Tensor:
    if not layer.training or getattr(layer, "frozen", False):
        output: Tensor = type(layer).forward(layer, inputs)
        return output
    wide = inputs.float() if inputs.dtype in (torch.float16, torch.bfloat16) else inputs
    others = [dimension for dimension in range(wide.ndim) if dimension != 1]
    shape = [1, -1] + [1] * (wide.ndim - 2)
    own_variance, own_mean = torch.var_mean(wide, dim=others, correction=0)
    count = wide.numel() // wide.shape[1] * getattr(layer, "counts", True)
    counts, means, variances = _of_all_ranks(count, own_mean, own_variance)
    total = counts.sum()
    share = (counts / total)[:, None]
    mean = (share * means).sum(0)
    variance = (share * (variances + (means - mean).square())).sum(0)
    own = getattr(layer, "scale_and_shift", None)  # of a layer with a forward pass of its own, which counts no batches
    with torch.no_grad():
        if own is None:
            layer.num_batches_tracked.add_(1)
        momentum = 1 / int(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
        layer.running_mean.lerp_(mean.to(layer.running_mean.dtype), momentum)
        layer.running_var.lerp_((variance * (total / (total - 1))).to(layer.running_var.dtype), momentum)
    weight, bias = (layer.weight, layer.bias) if own is None else own()
    scale = torch.rsqrt(variance + layer.eps)
    output = (wide - mean.view(shape)) * (scale if weight is None else scale * weight).view(shape)
    return (output if bias is None else output + bias.view(shape)).to(inputs.dtype)


def _of_all_ranks(count: int, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Counts (ranks,), means and variances (ranks, C) of all ranks, in one message; its gradient is another."""
    known = torch.cat([mean.new_tensor([float(count)]), mean, variance])
    table: Tensor = _Gathered.apply(known)
    means, variances = table[:, 1:].chunk(2, dim=1)
    return table[:, 0].detach(), means, variances


class _Gathered(torch.autograd.Function):
    """A vector of each rank, as the rows of one table on every rank."""

    @staticmethod
    def forward(context: Any, own: Tensor) -> Tensor:
        table = own.new_zeros(distributed.ranks(), len(own))
        table[distributed.rank()] = own
        return distributed.total(table)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return distributed.total(gradient)[distributed.rank()]
