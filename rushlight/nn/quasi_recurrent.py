"""A recurrent layer without a matrix in its recurrence: everything but an average over time is computed at once.

Bradbury, Merity, Xiong & Socher, "Quasi-recurrent neural networks" (2017). What is remembered changes by
`c' = f c + (1 - f) z` alone, where `z` and the gates look at the input and the one before it, never at the state; so
the large products need not wait for each other.

Letters in shapes: T positions, B streams side by side, E size of an input, H of a state.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def running_average(candidates: Tensor, keep: Tensor, start: Tensor) -> Tensor:
    """`c_t = keep_t c_(t-1) + (1 - keep_t) candidate_t` at every position, written out.

    Args:
        candidates: (T, B, H).
        keep: (T, B, H), between 0 and 1.
        start: c before the first position (B, H).

    Returns:
        (T, B, H).
    """
    memory, shown = start, []
    for candidate, share in zip(candidates, keep, strict=True):
        memory = candidate + share * (memory - candidate)
        shown.append(memory)
    return torch.stack(shown)


class FastRunningAverage(torch.autograd.Function):
    """`running_average` with its gradient by hand: one pass forward and one back, and nothing is kept a position.

    With g the gradient of what c_t does from t on, g_t = from_above_t + keep_(t+1) g_(t+1); the candidate gets
    (1 - keep) g, the gate (c_(t-1) - candidate) g.
    """

    @staticmethod
    def forward(ctx: Any, candidates: Tensor, keep: Tensor, start: Tensor) -> Tensor:
        """As `running_average`."""
        memories = torch.empty_like(candidates)
        memory = start
        for position in range(len(candidates)):
            memory = torch.lerp(candidates[position], memory, keep[position], out=memories[position])
        ctx.save_for_backward(candidates, keep, start, memories)
        return memories

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of the three inputs."""
        candidates, keep, start, memories = ctx.saved_tensors
        whole = torch.empty_like(candidates)
        carried = torch.zeros_like(start)
        for position in reversed(range(len(candidates))):
            total = torch.add(gradient[position], carried, out=whole[position])
            carried = total * keep[position]
        before = torch.cat([start[None], memories[:-1]])
        return whole * (1 - keep), whole * (before - candidates), carried


class QuasiRecurrent(nn.Module):
    """A quasi-recurrent layer with a filter of two positions and an output gate ("fo-pooling").

    Args:
        input_size: E.
        hidden_size: H.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.linear = nn.Linear(2 * input_size, 3 * hidden_size)

    def forward(self, inputs: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Inputs (T, B, E), and c (B, H) and the last input (B, E), to outputs (T, B, H) and the new two."""
        memory, last = state
        pairs = torch.cat([torch.cat([last[None].to(inputs.dtype), inputs[:-1]]), inputs], dim=2)
        candidate, keep, show = self.linear(pairs).chunk(3, dim=2)
        # In float32 also under autocast: a long average of rounded numbers would stand still.
        memories = FastRunningAverage.apply(torch.tanh(candidate.float()), torch.sigmoid(keep.float()), memory)
        return torch.sigmoid(show) * memories, (memories[-1], inputs[-1])

    def initial_state(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """Zeros, on the device of the weights."""
        weight = self.linear.weight
        return weight.new_zeros(batch_size, self.hidden_size), weight.new_zeros(batch_size, self.input_size)
