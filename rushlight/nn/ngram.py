"""An n-gram model with the interface of the language models: it counts which token followed which few.

It learns nothing by gradients, and what it is wrong about differs from what a network is wrong about, so the mean of
the two expects a text better than either (see `rushlight.nn.mixture`).

Letters in shapes: T positions, B streams side by side, V tokens in the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

CHARACTER_ORDER, WORD_ORDER = 6, 2  # tokens of context that serve best
BLOCK = 1024  # rows: tables are filled up to whole blocks
NOTHING = -1  # stands in the state for what was before the text
_UNUSED = torch.iinfo(torch.int64).max  # fills up the sorted keys
_MULTIPLIER = -7046029254386353131  # odd (2^64 divided by the golden ratio), so that keys are mixed up but by chance
_ALL_BITS = (1 << 64) - 1
_PROBABILITIES_AT_ONCE = 4_000_000


def order_for(unit: str) -> int:
    """Tokens of context that serve best.

    Args:
        unit: what a token is: `character`, `word` or `unit`.
    """
    return CHARACTER_ORDER if unit == "character" else WORD_ORDER


class NGramLanguageModel(nn.Module):
    """An interpolated n-gram model with modified Kneser-Ney smoothing (Chen & Goodman 1999).

    The longer a context, the less often it was seen. So each order takes a little from every count it has, gives what
    it took to the order below, `p(token | context) = (count - discount) / all + share_taken p(token | shorter)`, and
    the orders below the longest count not how often a token followed but after how many different contexts it did.
    Below all is the uniform distribution.

    Make one with `learned`; the constructor makes empty tables for a file to fill.

    Args:
        tokens: V.
        order: the longest context, in tokens.
        contexts: for each length of context from 0 up, blocks of 1,024 rows for the contexts that were seen.
        pairs: likewise for the pairs of a context and what followed.

    Raises:
        ValueError: there is not one number for each length.
    """

    def __init__(
        self,
        tokens: int,
        order: int = CHARACTER_ORDER,
        contexts: Sequence[int] | None = None,
        pairs: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        contexts, pairs = contexts or [1] * (order + 1), pairs or [1] * (order + 1)
        if not len(contexts) == len(pairs) == order + 1:
            raise ValueError(f"an order of {order} has {order + 1} tables, not {len(contexts)} and {len(pairs)}")
        self.tokens, self.order = tokens, order
        for length, (rows, entries) in enumerate(zip(contexts, pairs, strict=True)):
            self.register_buffer(f"keys{length}", torch.full((rows * BLOCK,), _UNUSED))
            self.register_buffer(f"starts{length}", torch.zeros(rows * BLOCK + 1, dtype=torch.int32))
            self.register_buffer(f"shares{length}", torch.ones(rows * BLOCK))
            self.register_buffer(f"followers{length}", torch.zeros(entries * BLOCK, dtype=torch.int32))
            self.register_buffer(f"given{length}", torch.zeros(entries * BLOCK))

    @classmethod
    def learned(cls, text: np.ndarray, tokens: int, order: int = CHARACTER_ORDER) -> NGramLanguageModel:
        """Count a text.

        Args:
            text: (N,) token numbers.
            tokens: V.
            order: the longest context, in tokens.
        """
        tables = [_Table.of(*part) for part in _contexts_by_length(text, order)]
        contexts = [max(1, -(-len(table.keys) // BLOCK)) for table in tables]
        pairs = [max(1, -(-len(table.followers) // BLOCK)) for table in tables]
        model = cls(tokens, order, contexts, pairs)
        for length, table in enumerate(tables):
            rows, entries = len(table.keys), len(table.followers)
            model._table(length, "keys")[:rows] = torch.from_numpy(table.keys)
            model._table(length, "starts")[:rows] = torch.from_numpy(table.starts)
            model._table(length, "starts")[rows:] = entries
            model._table(length, "shares")[:rows] = torch.from_numpy(table.shares)
            model._table(length, "followers")[:entries] = torch.from_numpy(table.followers)
            model._table(length, "given")[:entries] = torch.from_numpy(table.given)
        return model

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor needs to make tables of these sizes."""
        lengths = range(self.order + 1)
        return {
            "order": self.order,
            "contexts": [len(self._table(length, "keys")) // BLOCK for length in lengths],
            "pairs": [len(self._table(length, "followers")) // BLOCK for length in lengths],
        }

    def forward(self, tokens: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Read a window.

        Args:
            tokens: (T, B) int64.
            state: the tokens before (B, order), -1 where there were none; None at the start of a text.

        Returns:
            Logarithms of the probabilities of the next token (T, B, V), and the last tokens.
        """
        history = self._history(tokens, state)
        return self.after(history), history[len(history) - self.order :].T

    def remembered(self, tokens: Tensor, state: Tensor | None = None) -> Tensor:
        """The state that `forward` returns, without its probabilities."""
        history = self._history(tokens, state)
        return history[len(history) - self.order :].T

    def _history(self, tokens: Tensor, state: Tensor | None) -> Tensor:
        """What was before and the window: (order + T, B)."""
        if state is None:
            state = tokens.new_full((tokens.shape[1], self.order), NOTHING)
        return torch.cat([state.T, tokens])

    def after(self, history: Tensor) -> Tensor:
        """Logarithms of the probabilities of what follows each position but the first `order` of a history.

        Args:
            history: (order + T, B) int64; -1 for what was before the text.

        Returns:
            (T, B, V).
        """
        if history.is_cpu and history.shape == (self.order + 1, 1):
            found = self._probabilities_of_one(history[1:, 0].tolist())
        else:
            found = self._probabilities(history)
        return found.clamp_min(torch.finfo(torch.float32).tiny).log()

    def losses(self, text: Tensor) -> Tensor:
        """Nats of each token of a text from its second on, a stretch at a time: (N,) to (N - 1,)."""
        found, state = [torch.zeros(0)], None
        at_once = max(1, _PROBABILITIES_AT_ONCE // self.tokens)
        for start in range(0, len(text) - 1, at_once):
            part = text[start : start + at_once + 1]
            logarithms, state = self(part[:-1, None], state)
            found.append(-logarithms[:, 0].gather(1, part[1:, None])[:, 0])
        return torch.cat(found)

    def forward_features(self, tokens: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """There is no body: the logarithms of the probabilities (T, B, V), and the state."""
        return self(tokens, state)

    def forward_head(self, features: Tensor) -> Tensor:
        """What `forward_features` gave."""
        return features

    def layer_groups(self) -> dict[str, nn.Module]:
        """None: there is nothing to train."""
        return {}

    def _probabilities(self, history: Tensor) -> Tensor:
        """Of each token after each position but the first `order` of a history (order + T, B): (T, B, V)."""
        positions, streams = len(history) - self.order, history.shape[1]
        result = torch.full((positions * streams, self.tokens), 1 / self.tokens, device=history.device)
        for length in range(self.order + 1):
            window = history[self.order - length :]
            keys = context_keys(window, length, positions).flatten()
            is_whole = torch.ones(positions, streams, dtype=torch.bool, device=history.device)
            for offset in range(1, length + 1):
                is_whole &= window[offset : offset + positions] != NOTHING
            table = self._table(length, "keys")
            row = torch.searchsorted(table, keys).clamp_max(len(table) - 1)
            seen = (table[row] == keys) & is_whole.flatten()
            starts = self._table(length, "starts")
            first = starts[row].long()
            count = torch.where(seen, starts[row + 1] - first, 0)
            result *= torch.where(seen, self._table(length, "shares")[row], 1.0)[:, None]
            position = torch.repeat_interleave(count)
            before = count.cumsum(0) - count
            entry = torch.arange(len(position), device=history.device) - before[position] + first[position]
            followers = self._table(length, "followers")[entry].long()
            result.index_put_((position, followers), self._table(length, "given")[entry], accumulate=True)
        return result.view(positions, streams, self.tokens)

    def _probabilities_of_one(self, context: list[int]) -> Tensor:
        """Those of `_probabilities` after one position: (1, 1, V). A writer asks for one at a time, and waits.

        Args:
            context: the last `order` tokens, -1 for what was before the text.
        """
        result = np.full(self.tokens, 1 / self.tokens, np.float32)
        for length in range(self.order + 1):
            tokens = context[len(context) - length :]
            if NOTHING in tokens:
                break
            keys = self._table(length, "keys").numpy()
            key = _key_of(tokens)
            row = int(keys.searchsorted(key))
            if row == len(keys) or keys[row] != key:
                break  # and no longer context was seen
            first, end = self._table(length, "starts")[row : row + 2].tolist()
            result *= self._table(length, "shares")[row].item()
            followers = self._table(length, "followers")[first:end].numpy()
            result[followers] += self._table(length, "given")[first:end].numpy()
        return torch.from_numpy(result)[None, None]

    def _table(self, length: int, name: str) -> Tensor:
        return self.get_buffer(f"{name}{length}")


def context_keys(tokens: Tensor, length: int, count: int) -> Tensor:
    """A number for each context of some length, the same for the same tokens.

    Args:
        tokens: (length + count, ...) int64; the contexts end at the last `count` of them.
        length: tokens in a context.
        count: how many contexts.

    Returns:
        (count, ...) int64.
    """
    keys = torch.zeros(count, *tokens.shape[1:], dtype=torch.int64, device=tokens.device)
    for offset in range(1, length + 1):
        keys = keys * _MULTIPLIER + tokens[offset : offset + count] + 1
        keys = keys ^ _shifted(keys, 29)
    return keys


def _key_of(tokens: Sequence[int]) -> int:
    """The number that `context_keys` gives a context."""
    key = 0
    for token in tokens:
        key = (key * _MULTIPLIER + token + 1) & _ALL_BITS
        key ^= key >> 29
    return key - ((key >> 63) << 64)


def _shifted(keys: Tensor, bits: int) -> Tensor:
    """To the right, filled up with zeros."""
    return (keys >> bits) & ((1 << (64 - bits)) - 1)


def _contexts_by_length(text: np.ndarray, order: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each length from 0 up: a key for each context that is counted, and what followed."""
    tokens = torch.from_numpy(np.asarray(text).astype(np.int64))
    result: list[tuple[np.ndarray, np.ndarray]] = []
    occurrences: np.ndarray | None = None  # where each pair of the longer order was met first
    for length in reversed(range(order + 1)):
        count = max(0, len(tokens) - length)
        # One in front, as the keys are those of contexts that end at a token, and these end just before one.
        contexts = context_keys(torch.cat([tokens[:1], tokens])[: length + count], length, count).numpy()
        followers = tokens[length : length + count].numpy()
        if occurrences is not None:
            # A pair of the longer order that began at a token has its shorter form one token on.
            contexts, followers = contexts[occurrences + 1], followers[occurrences + 1]
        result.insert(0, (contexts, followers))
        _, first = np.unique(_paired(contexts, followers), return_index=True)
        occurrences = first if occurrences is None else occurrences[first] + 1
    return result


@dataclass(frozen=True)
class _Table:
    """The counts of one length of context."""

    keys: np.ndarray  # of each context, sorted
    starts: np.ndarray  # of its followers
    shares: np.ndarray  # what was taken from all its counts, as a share of them
    followers: np.ndarray
    given: np.ndarray  # to each follower: its count, less the discount, as a share of all

    @classmethod
    def of(cls, contexts: np.ndarray, followers: np.ndarray) -> _Table:
        _, first, counts = np.unique(_paired(contexts, followers), return_index=True, return_counts=True)
        order = np.argsort(contexts[first], kind="stable")
        first, counts = first[order], counts[order]
        discounts = _discounts(counts)[np.minimum(counts, 3)]
        keys, starts, place = np.unique(contexts[first], return_index=True, return_inverse=True)
        totals = np.bincount(place, weights=counts, minlength=len(keys))
        taken = np.bincount(place, weights=discounts, minlength=len(keys))
        return cls(
            keys,
            starts.astype(np.int32),
            (taken / np.maximum(totals, 1)).astype(np.float32),
            followers[first].astype(np.int32),
            ((counts - discounts) / totals[place]).astype(np.float32) if len(counts) else np.zeros(0, np.float32),
        )


def _paired(contexts: np.ndarray, followers: np.ndarray) -> np.ndarray:
    keys = torch.from_numpy(contexts) * _MULTIPLIER + torch.from_numpy(followers) + 1
    return (keys ^ _shifted(keys, 32)).numpy()


def _discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken from a count of 0, 1, 2, and 3 or more: estimated from how many counts there are of each."""
    n1, n2, n3, n4 = (int((counts == number).sum()) for number in (1, 2, 3, 4))
    if not n1 * n2 * n3:  # too little text to tell, or none that is rare
        return np.array([0.0, 0.5, 0.75, 1.0])
    share = n1 / (n1 + 2 * n2)
    found = [0.0, 1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3]
    return np.clip(found, [0.0, 0.05, 0.05, 0.05], [0.0, 0.95, 1.9, 2.8])
