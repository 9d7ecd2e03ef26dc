"""Limit the size of gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from rushlight.runtime.errors import InputError
from rushlight.training.callbacks import Callback

if TYPE_CHECKING:
    from rushlight.training.learner import Learner


class GradientClipping(Callback):
    """Scale all gradients down together where their norm is above a limit (Pascanu et al. 2013).

    Args:
        max_norm: the largest Euclidean norm of all gradients taken together.
    """

    def __init__(self, max_norm: float = 1.0) -> None:
        if not max_norm > 0:
            raise InputError(f"the largest gradient norm must be more than 0, not {max_norm}")
        self.max_norm = max_norm

    def gradients_ready(self, learner: Learner) -> None:
        nn.utils.clip_grad_norm_(learner.model.parameters(), self.max_norm)
