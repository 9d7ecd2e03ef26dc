"""Several language models that answer together: the mean of their probabilities.

Models that started from different weights, or are of different kinds, err in different places, so their mean is nearer
to the truth than any of them, at the price of the work of all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class MixtureLanguageModel(nn.Module):
    """The mean of the probabilities that several language models give.

    Args:
        members: with the interface of `rushlight.nn.language_model`, over the same tokens.
        weights: of each in the mean, above 0; equal if not given. They are scaled to the sum 1.

    Raises:
        ValueError: there is no member, or not one positive weight for each.
    """

    def __init__(self, members: Sequence[nn.Module], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if not members:
            raise ValueError("a mixture needs at least one member")
        weights = [1.0] * len(members) if weights is None else list(weights)
        if len(weights) != len(members) or not all(0 < weight < math.inf for weight in weights):
            raise ValueError(f"a mixture of {len(members)} needs a positive weight for each, not {weights}")
        self.members = nn.ModuleList(members)
        self.weights = [weight / sum(weights) for weight in weights]

    def forward(self, tokens: Tensor, state: list[Any] | None = None) -> tuple[Tensor, list[Any]]:
        """Read a window.

        Args:
            tokens: (T, B) int64.
            state: what the window before left, a list with one for each member; None at the start of a text.

        Returns:
            Logarithms of the mean probabilities (T, B, V), which are logits too, and the states.
        """
        features, state = self.forward_features(tokens, state)
        return self.forward_head(features), state

    def forward_features(self, tokens: Tensor, state: list[Any] | None = None) -> tuple[Tensor, list[Any]]:
        """What each member's body gives (T, B, H), side by side, and the states."""
        before = state or [None] * len(self.members)
        read = [member.forward_features(tokens, part) for member, part in zip(self.members, before, strict=True)]  # type: ignore[operator]
        self._widths = [features.shape[-1] for features, _ in read]
        return torch.cat([features for features, _ in read], dim=-1), [after for _, after in read]

    def forward_head(self, features: Tensor) -> Tensor:
        """What the bodies gave, side by side, to logarithms of the mean probabilities (T, B, V)."""
        parts = features.split(self._widths, dim=-1)
        each = [
            torch.log_softmax(member.forward_head(part).float(), dim=-1) + math.log(weight)  # type: ignore[operator]
            for member, part, weight in zip(self.members, parts, self.weights, strict=True)
        ]
        return torch.logsumexp(torch.stack(each), dim=0)

    def layer_groups(self) -> dict[str, nn.Module]:
        """One for each member."""
        groups = {f"member{number}": member for number, member in enumerate(self.members, start=1)}
        return {name: member for name, member in groups.items() if any(True for _ in member.parameters())}
