"""Batch normalisation, written out.

Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate
Shift", 2015. Each channel is shifted and scaled to mean 0 and variance 1 over the batch and all positions,
then given a learned scale and shift of its own. The batch's statistics are folded into running averages,
which serve when there is no batch to speak of.

Everything here equals `torch.nn.BatchNorm2d` (forward, backward, statistics, state-dict names); it is written
to be read and changed. The models take PyTorch's fused layer unless they are asked for this one.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class BatchNormResult(NamedTuple):
    """The output of `batch_norm` and the running statistics to keep: (B, C, H, W), (C,), (C,)."""

    output: Tensor
    running_mean: Tensor
    running_var: Tensor


def batch_norm(
    x: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> BatchNormResult:
    """Normalise each channel, then scale and shift it (Ioffe and Szegedy 2015, algorithms 1 and 2).

    A pure function: nothing it is given is changed. Inputs in half precision are computed in float32 and
    returned in their own precision.

    Args:
        x: (B, C, H, W).
        running_mean: (C,) the average so far of the batches' means.
        running_var: (C,) the average so far of the batches' unbiased variances.
        weight: (C,) learned scale.
        bias: (C,) learned shift.
        training: normalise with this batch's own statistics and fold them into the running ones; otherwise
            normalise with the running ones and leave them alone.
        momentum: share of the new batch in the running statistics: `(1 - momentum) * old + momentum * new`.
            With 1 they are those of the last batch.
        eps: added to the variance, so that a constant channel gives its shift and not 0 / 0.

    Returns:
        The output, of x's shape and dtype, and the running statistics to keep.

    Raises:
        ValueError: in training with a single value a channel, which has no variance.
    """
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    if training:
        values_a_channel = x.shape[0] * x.shape[2] * x.shape[3]
        if values_a_channel <= 1:
            raise ValueError(
                f"batch norm cannot train on an input of shape {tuple(x.shape)}: one value a channel has no "
                "variance; give more than one image a batch, or larger images"
            )
        # The batch is normalised by its own, biased variance; what is kept estimates the variance of the
        # data, so it is the unbiased one.
        var, mean = torch.var_mean(wide, dim=(0, 2, 3), correction=0)
        unbiased = var.detach() * (values_a_channel / (values_a_channel - 1))
        running_mean = running_mean + momentum * (mean.detach().to(running_mean.dtype) - running_mean)
        running_var = running_var + momentum * (unbiased.to(running_var.dtype) - running_var)
    else:
        mean, var = running_mean, running_var
    scale = weight * torch.rsqrt(var + eps)
    output = (wide - by_channel(mean)) * by_channel(scale) + by_channel(bias)
    return BatchNormResult(output.to(x.dtype), running_mean, running_var)


def by_channel(values: Tensor) -> Tensor:
    """Reshape (C,) to (1, C, 1, 1), so that it meets the channels of a (B, C, H, W) tensor."""
    return values.view(1, -1, 1, 1)


class BatchNorm2d(nn.Module):
    """`batch_norm` with its parameters and running statistics, named as in `torch.nn.BatchNorm2d`.

    Args:
        num_features: channels, C.
        eps: see `batch_norm`.
        momentum: see `batch_norm`; None keeps the plain average over all batches seen.
        frozen: normalise with the running statistics and never update them, also in training mode; the scale
            and shift go on learning. For fine-tuning on batches too small or too unlike the first training's
            to estimate from. An attribute, so it can be set at any time.

    Shape:
        (B, C, H, W) to (B, C, H, W).
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, *, frozen: bool = False
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.frozen = frozen
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W).

        Raises:
            ValueError: the input is not of that form, or trains with one value a channel.
        """
        if x.ndim != 4 or x.shape[1] != self.num_features:
            raise ValueError(
                f"this batch norm takes (B, {self.num_features}, H, W), but was given shape {tuple(x.shape)}"
            )
        learning = self.training and not self.frozen
        output, running_mean, running_var = batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=learning,
            momentum=1 / (int(self.num_batches_tracked) + 1) if self.momentum is None else self.momentum,
            eps=self.eps,
        )
        if learning:
            # In place, so that whoever holds the buffers (a state dict, DistributedDataParallel) sees the new
            # values.
            self.running_mean.copy_(running_mean)
            self.running_var.copy_(running_var)
            self.num_batches_tracked.add_(1)
        return output

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, frozen={self.frozen}"
