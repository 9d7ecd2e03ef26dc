"""What a loss on a text means: the figures that two old hands reach on the same parts.

An n-gram model counts which token followed which few; a compressor finds repetitions. A neural model that expects the
text no better than these has learned little.
"""

from __future__ import annotations

import bz2
import lzma
import math
from dataclasses import dataclass

import numpy as np

from rushlight.inference.text_evaluation import mean_of_blocks
from rushlight.runtime.measured import Measured

CHARACTER_ORDER, WORD_ORDER = 6, 2  # tokens of context
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no two contexts of a length are mixed up but by chance


class NGramModel:
    """An interpolated n-gram model with modified Kneser-Ney smoothing (Chen & Goodman 1999).

    The longer a context, the less often it was seen. So each order takes a little from every count it has, gives what
    it took to the order below, `p(token | context) = (count - discount) / all + share_taken p(token | shorter)`, and
    the orders below the longest count not how often a token followed but after how many different contexts it did.
    Below all is the uniform distribution.

    Args:
        tokens: (N,) the training text.
        vocabulary: how many tokens there are.
        order: the longest context, in tokens.
    """

    def __init__(self, tokens: np.ndarray, vocabulary: int, order: int = CHARACTER_ORDER) -> None:
        self.vocabulary, self.order = vocabulary, order
        self._orders: list[_Order] = []
        occurrences: np.ndarray | None = None  # where each pair of the longer order was met first
        for length in reversed(range(order + 1)):
            contexts, followers = _contexts(tokens, length)
            if occurrences is not None:
                # A pair of the longer order that began at a token has its shorter form one token on.
                contexts, followers = contexts[occurrences + 1], followers[occurrences + 1]
            found = _Order.of(contexts, followers)
            self._orders.insert(0, found)
            _, first = np.unique(_paired(contexts, followers), return_index=True)
            occurrences = first if occurrences is None else occurrences[first] + 1

    def losses(self, tokens: np.ndarray) -> np.ndarray:
        """Nats of each token of a text from its second on (N - 1,); nothing is learned from it."""
        result = np.full(len(tokens), 1 / self.vocabulary)
        for length, order in enumerate(self._orders):
            if length >= len(tokens):
                break
            contexts, followers = _contexts(tokens, length)
            result[length:] = order.probabilities(contexts, followers, result[length:])
        return -np.log(result[1:])

    def evaluate(self, tokens: np.ndarray) -> Measured:
        """The mean loss in nats a token."""
        return mean_of_blocks(self.losses(tokens))


@dataclass(frozen=True)
class _Order:
    """The counts of one length of context, as sorted keys with values."""

    pairs: np.ndarray
    kept: np.ndarray  # the count of each pair, less its discount
    contexts: np.ndarray
    totals: np.ndarray
    shares: np.ndarray  # of each context: what was taken from all its counts, as a share of them

    @classmethod
    def of(cls, contexts: np.ndarray, followers: np.ndarray) -> _Order:
        pairs, first, counts = np.unique(_paired(contexts, followers), return_index=True, return_counts=True)
        discounts = _discounts(counts)[np.minimum(counts, 3)]
        distinct = np.unique(contexts)
        place = np.searchsorted(distinct, contexts[first])
        totals = np.bincount(place, weights=counts, minlength=len(distinct))
        taken = np.bincount(place, weights=discounts, minlength=len(distinct))
        return cls(pairs, counts - discounts, distinct, totals, taken / np.maximum(totals, 1))

    def probabilities(self, contexts: np.ndarray, followers: np.ndarray, shorter: np.ndarray) -> np.ndarray:
        """Of each follower, given what the shorter context says of it."""
        totals = _looked_up(self.contexts, self.totals, contexts)
        kept = _looked_up(self.pairs, self.kept, _paired(contexts, followers))
        share = _looked_up(self.contexts, self.shares, contexts)
        return np.where(totals > 0, kept / np.maximum(totals, 1) + share * shorter, shorter)


def _discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken from a count of 0, 1, 2, and 3 or more: estimated from how many counts there are of each."""
    n1, n2, n3, n4 = (int((counts == number).sum()) for number in (1, 2, 3, 4))
    if not n1 * n2 * n3:  # too little text to tell, or none that is rare
        return np.array([0.0, 0.5, 0.75, 1.0])
    share = n1 / (n1 + 2 * n2)
    found = [0.0, 1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3]
    return np.clip(found, [0.0, 0.05, 0.05, 0.05], [0.0, 0.95, 1.9, 2.8])


def compressed_bits_per_character(train: str, valid: str) -> tuple[str, float]:
    """Bits a character that a general compressor adds for the validation text when it has read the training text.

    It learns while it reads, which a model that stays as it is may not.

    Returns:
        The name of the better of two compressors, and its figure; NaN for an empty text.
    """
    if not valid:
        return "bz2", math.nan
    before, whole = train.encode(), (train + valid).encode()
    added = {
        "bz2": len(bz2.compress(whole)) - len(bz2.compress(before)),
        "xz": len(_xz(whole)) - len(_xz(before)),
    }
    best = min(added, key=lambda name: added[name])
    return best, 8 * added[best] / len(valid)


def _xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)


def _contexts(tokens: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """A number for each context of so many tokens, and the token that follows it: both (N - length,)."""
    numbers = tokens.astype(np.uint64)
    count = max(0, len(numbers) - length)
    keys = np.zeros(count, np.uint64)
    for offset in range(length):
        keys = keys * _MULTIPLIER + numbers[offset : offset + count] + np.uint64(1)
        keys ^= keys >> np.uint64(29)
    return keys, numbers[length : length + count]


def _paired(contexts: np.ndarray, followers: np.ndarray) -> np.ndarray:
    keys = contexts * _MULTIPLIER + followers + np.uint64(1)
    return keys ^ (keys >> np.uint64(32))


def _looked_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The value of each wanted key, 0 where it is not among the (sorted) keys."""
    if not len(keys):
        return np.zeros(len(wanted))
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)
