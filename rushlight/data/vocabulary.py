"""Tokens and their numbers, both ways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rushlight.runtime.errors import InputError

UNKNOWN, PADDING = "<unknown>", "<padding>"
REPLACEMENT = "\ufffd"  # what an unknown token is written as: Unicode's own sign for it


class Vocabulary:
    """Which tokens a model knows, and the number of each.

    Number 0 stands for everything unknown and number 1 for padding; neither is ever a token of a text.

    Args:
        tokens: the others, from number 2 up.

    Raises:
        InputError: a token stands there twice or is empty.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        if len(set(tokens)) != len(tokens) or "" in tokens:
            raise InputError("a vocabulary holds each token once, and none that is empty")
        self.tokens = [UNKNOWN, PADDING, *tokens]
        self._numbers = {token: number for number, token in enumerate(tokens, start=2)}

    @classmethod
    def of_counts(cls, counts: Counter[str], minimum_frequency: int = 1) -> Vocabulary:
        """The tokens that are frequent enough, the most frequent first.

        Args:
            counts: how often each token occurs in the training text.
            minimum_frequency: rarer ones become unknown.
        """
        if minimum_frequency < 1:
            raise InputError(f"the minimum frequency must be at least 1, not {minimum_frequency}")
        frequent = (item for item in counts.items() if item[1] >= minimum_frequency)
        return cls([token for token, _ in sorted(frequent, key=lambda item: (-item[1], item[0]))])

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._numbers

    def __repr__(self) -> str:
        return f"Vocabulary of {len(self):,} tokens, {''.join(self.tokens[2:12])!r} first"

    def number(self, token: str) -> int:
        """The number of a token, 0 where it is unknown."""
        return self._numbers.get(token, 0)

    def numbers(self, tokens: Iterable[str]) -> np.ndarray:
        """The numbers of tokens (N,), int64."""
        get = self._numbers.get
        return np.fromiter((get(token, 0) for token in tokens), np.int64)

    def text(self, numbers: Iterable[int]) -> str:
        """The tokens of numbers, written one after the other.

        Raises:
            InputError: a number is none of the vocabulary's.
        """
        known = [REPLACEMENT, "", *self.tokens[2:]]
        values = [int(number) for number in numbers]
        wrong = next((value for value in values if not 0 <= value < len(known)), None)
        if wrong is not None:
            raise InputError(f"there is no token {wrong}: the vocabulary has {len(known)}, from 0 up")
        return "".join(known[value] for value in values)

    def to_json(self) -> list[str]:
        """The tokens from number 2 up."""
        return self.tokens[2:]

    @classmethod
    def from_json(cls, value: Any) -> Vocabulary:
        """The vocabulary that `to_json` wrote.

        Raises:
            InputError: it is no list of distinct words.
        """
        if not isinstance(value, list) or not all(isinstance(token, str) for token in value):
            raise InputError("a vocabulary is a list of tokens")
        return cls(value)
