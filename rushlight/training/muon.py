"""Muon: momentum whose every step is made orthogonal.

Momentum gradients of a weight matrix are nearly of low rank: a few directions take all of the step. Muon
replaces the step by the nearest matrix with all singular values equal, so that the rare directions learn as
fast as the common ones. (Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.)
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from rushlight.runtime.device import has_native_bfloat16
from rushlight.runtime.errors import InputError, nearest_name

# The quintic a x + b x^3 + c x^5 of Jordan (2024): steepest at 0 among those that keep 0..1 near 1. It does
# not converge to 1 but to about 0.7..1.2, which trains as well and takes fewer steps.
NEWTON_SCHULZ_COEFFICIENTS = (3.4445, -4.7750, 2.0315)

# A factor for the step of a matrix of (rows, columns); its norm is otherwise about sqrt(min(rows, columns)).
MATRIX_SCALES: dict[str, Callable[[int, int], float]] = {
    "none": lambda rows, columns: 1.0,
    # The same change of the outputs' size for any shape (Jordan 2024).
    "aspect": lambda rows, columns: max(1.0, rows / columns) ** 0.5,
    # The same size of step as AdamW's, so that AdamW's rate and weight decay serve (Liu et al. 2025).
    "adamw": lambda rows, columns: 0.2 * max(rows, columns) ** 0.5,
}


def newton_schulz(matrices: Tensor, steps: int = 3) -> Tensor:
    """Move every singular value of each matrix towards 1, and leave the singular vectors as they are.

    An odd polynomial of a matrix is the polynomial of its singular values, so products alone do it, without a
    decomposition, and bfloat16 is precise enough.

    Args:
        matrices: (..., M, N), floating.
        steps: how often the polynomial is applied; 5 bring values from 0.01 of the Frobenius norm up.

    Returns:
        The same shape and dtype. A matrix of zeros stays so.
    """
    a, b, c = NEWTON_SCHULZ_COEFFICIENTS
    # The largest singular value is at most the Frobenius norm, so all start in 0..1.
    result = matrices / (matrices.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = matrices.size(-2) > matrices.size(-1)
    if tall:  # the Gram matrix is then the smaller of the two
        result = result.mT
    for _ in range(steps):
        gram = result @ result.mT
        result = a * result + (b * gram + c * gram @ gram) @ result
    return result.mT if tall else result


def orthogonalised(tensors: Sequence[Tensor], steps: int = 3, dtype: torch.dtype | None = None) -> list[Tensor]:
    """`newton_schulz` of tensors of any shapes, with those of equal shape in one batch.

    Args:
        tensors: each (out, ...), of two dimensions or more, read as a matrix (out, the rest); tall ones share
            the batch of the wide ones of the transposed shape.
        steps: as in `newton_schulz`.
        dtype: what to compute in; None keeps that of the tensors.

    Returns:
        Tensors of the same shapes and dtypes, in the same order.
    """
    batches: dict[Any, list[int]] = defaultdict(list)
    matrices = []
    for index, tensor in enumerate(tensors):
        matrix = tensor.reshape(len(tensor), -1)
        matrix = matrix.mT if matrix.size(0) > matrix.size(1) else matrix
        matrices.append(matrix)
        batches[matrix.shape, matrix.dtype, matrix.device].append(index)
    results: list[Tensor] = list(tensors)
    for indices in batches.values():
        stacked = torch.stack([matrices[i] for i in indices]).to(dtype)
        for i, result in zip(indices, newton_schulz(stacked, steps), strict=True):
            tall = len(tensors[i]) > tensors[i].numel() // len(tensors[i])
            results[i] = (result.mT if tall else result).reshape(tensors[i].shape).to(tensors[i].dtype)
    return results


class Muon(Optimizer):
    """Muon, for the weights of hidden linear and convolutional layers.

    Biases, normalisation, embeddings and the last layer want another optimizer: join the two with
    `CombinedOptimizer`, or take `OPTIMIZERS["muon"]`, which does. The defaults are those of the CIFAR-10
    speed run (Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024, and its later Muon version).

    Args:
        params: parameters of two dimensions or more, or groups of them; a convolution counts as a matrix
            (out, the rest).
        lr: the rate: with `scale="none"`, the spectral norm of a step, about.
        momentum: the share of the old direction kept.
        nesterov: look ahead along the new direction.
        steps: of `newton_schulz`.
        weight_normalisation: bring each weight to the norm sqrt(out) before its step. For layers followed by
            normalisation, whose outputs do not depend on that norm: the rate then always means the same
            relative change, and weight decay is not needed.
        weight_decay: decoupled, as in AdamW.
        scale: a name in `MATRIX_SCALES`.
        dtype: what `newton_schulz` computes in: a dtype, or `auto` for bfloat16 where the device multiplies
            it natively, else that of the parameter.

    Raises:
        InputError: a setting is out of range, or a parameter has fewer than two dimensions.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.02,
        momentum: float = 0.6,
        nesterov: bool = True,
        steps: int = 3,
        weight_normalisation: bool = True,
        weight_decay: float = 0.0,
        scale: str = "none",
        dtype: str | torch.dtype = "auto",
    ) -> None:
        if scale not in MATRIX_SCALES:
            raise InputError(f"unknown scale '{scale}' for Muon: {nearest_name(scale, MATRIX_SCALES)}")
        if not (lr >= 0 and 0 <= momentum < 1 and steps >= 1 and weight_decay >= 0):
            raise InputError(
                "Muon needs lr >= 0, 0 <= momentum < 1, steps >= 1 and weight_decay >= 0, not "
                f"lr={lr}, momentum={momentum}, steps={steps}, weight_decay={weight_decay}"
            )
        if isinstance(dtype, str) and dtype != "auto":
            raise InputError(f"Muon's dtype is 'auto' or a dtype such as torch.bfloat16, not '{dtype}'")
        self.dtype = dtype  # a property of the machine, so not part of the saved state
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "steps": steps,
            "weight_normalisation": weight_normalisation,
            "weight_decay": weight_decay,
            "scale": scale,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, whose parameters must have two dimensions or more."""
        super().add_param_group(param_group)
        for parameter in self.param_groups[-1]["params"]:
            if parameter.ndim < 2:
                raise InputError(
                    f"Muon is for matrices and convolutions, not for a shape of {tuple(parameter.shape)}: "
                    "give vectors to another optimizer and join the two with CombinedOptimizer"
                )

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "dtype": self.dtype}

    def _dtype_on(self, device: torch.device) -> torch.dtype | None:
        if isinstance(self.dtype, torch.dtype):
            return self.dtype
        return torch.bfloat16 if has_native_bfloat16(device) else None

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; parameters without a gradient stay as they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            directions = [self._direction(p, p.grad, group) for p in parameters]
            dtype = self._dtype_on(parameters[0].device) if parameters else None
            for parameter, step in zip(parameters, orthogonalised(directions, group["steps"], dtype), strict=True):
                rows = len(parameter)
                if group["weight_normalisation"]:
                    parameter.mul_(math.sqrt(rows) / parameter.norm().clamp_min(1e-12))
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                scale = MATRIX_SCALES[group["scale"]](rows, parameter.numel() // rows)
                parameter.add_(step, alpha=-group["lr"] * scale)
        return loss

    def _direction(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        """The new momentum, or with Nesterov the gradient as it would be one such step further."""
        state = self.state[parameter]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(parameter)
        velocity: Tensor = state["velocity"]
        velocity.mul_(group["momentum"]).add_(gradient)
        return gradient.add(velocity, alpha=group["momentum"]) if group["nesterov"] else velocity
