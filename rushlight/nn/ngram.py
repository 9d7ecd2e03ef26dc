"""An n-gram model with the interface of the language models: it counts which token followed which few.

It learns nothing by gradients, and what it is wrong about differs from what a network is wrong about, so the mean of
the two expects a text better than either (see `rushlight.nn.mixture`).

Letters in shapes: T positions, B streams side by side, V tokens in the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

CHARACTER_ORDER, WORD_ORDER = 6, 2  # tokens of context that serve best
BLOCK = 1024  # rows: tables are filled up to whole blocks
NOTHING = -1  # stands in the state for what was before the text
NO_CONTEXT = torch.iinfo(torch.int64).max  # the key of what was never counted; it also fills up the sorted keys
MULTIPLIER = -7046029254386353131  # odd (2^64 divided by the golden ratio), so that keys are mixed up but by chance
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
        contexts: for each table, which are those of each length of context from 0 up, blocks of 1,024 rows for the
            contexts that were seen.
        pairs: likewise for the pairs of a context and what followed.

    Raises:
        ValueError: there is not one number for each table.
    """

    NAME: ClassVar[str] = "ngram"  # in `rushlight.nn.language_models`
    FURTHER: ClassVar[tuple[str, ...]] = ()  # tables beside those of the lengths

    def __init__(
        self,
        tokens: int,
        order: int = CHARACTER_ORDER,
        contexts: Sequence[int] | None = None,
        pairs: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.tokens, self.order = tokens, order
        self._names = [*map(str, range(order + 1)), *self.FURTHER]
        count = len(self._names)
        contexts, pairs = contexts or [1] * count, pairs or [1] * count
        if not len(contexts) == len(pairs) == count:
            raise ValueError(f"an order of {order} has {count} tables, not {len(contexts)} and {len(pairs)}")
        for name, rows, entries in zip(self._names, contexts, pairs, strict=True):
            self.register_buffer(f"keys{name}", torch.full((rows * BLOCK,), NO_CONTEXT))
            self.register_buffer(f"starts{name}", torch.zeros(rows * BLOCK + 1, dtype=torch.int32))
            self.register_buffer(f"shares{name}", torch.ones(rows * BLOCK))
            self.register_buffer(f"followers{name}", torch.zeros(entries * BLOCK, dtype=torch.int32))
            self.register_buffer(f"given{name}", torch.zeros(entries * BLOCK))

    @classmethod
    def learned(cls, text: np.ndarray, tokens: int, order: int = CHARACTER_ORDER) -> Self:
        """Count a text.

        Args:
            text: (N,) token numbers.
            tokens: V.
            order: the longest context, in tokens.
        """
        return cls._of_counts(counted_by_length(text, order), tokens, order)

    @classmethod
    def _of_counts(cls, counted: Sequence[tuple[np.ndarray, np.ndarray]], tokens: int, order: int) -> Self:
        """From what is counted for each table: a key for each context, and what followed."""
        tables = [_Table.of(*part) for part in counted]
        contexts = [max(1, -(-len(table.keys) // BLOCK)) for table in tables]
        pairs = [max(1, -(-len(table.followers) // BLOCK)) for table in tables]
        model = cls(tokens, order, contexts, pairs)
        for name, table in zip(model._names, tables, strict=True):
            rows, entries = len(table.keys), len(table.followers)
            model._table(name, "keys")[:rows] = torch.from_numpy(table.keys)
            model._table(name, "starts")[:rows] = torch.from_numpy(table.starts)
            model._table(name, "starts")[rows:] = entries
            model._table(name, "shares")[:rows] = torch.from_numpy(table.shares)
            model._table(name, "followers")[:entries] = torch.from_numpy(table.followers)
            model._table(name, "given")[:entries] = torch.from_numpy(table.given)
        return model

    @property
    def arguments(self) -> dict[str, Any]:
        """What the constructor needs to make tables of these sizes."""
        return {
            "order": self.order,
            "contexts": [len(self._table(name, "keys")) // BLOCK for name in self._names],
            "pairs": [len(self._table(name, "followers")) // BLOCK for name in self._names],
        }

    def forward(self, tokens: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Read a window.

        Args:
            tokens: (T, B) int64.
            state: what is remembered of the text before (B, S) int64, of an n-gram model its last tokens, -1 where
                there were none; None at the start of a text.

        Returns:
            Logarithms of the probabilities of the next token (T, B, V), and the state after the last.
        """
        contexts, state = self.contexts(tokens, state)
        return self.after(contexts), state

    def contexts(self, tokens: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """For each position of a window the number of its context in each table, and the state; as `forward`.

        Which tables were counted from which text makes no difference.

        Returns:
            (tables, T, B) int64, and (B, S).
        """
        history = self._history(tokens, state)
        return self._contexts_by_length(history), self._last_of(history)

    def remembered(self, tokens: Tensor, state: Tensor | None = None) -> Tensor:
        """The state that `forward` returns, without its probabilities."""
        return self._last_of(self._history(tokens, state))

    def _history(self, tokens: Tensor, state: Tensor | None) -> Tensor:
        """What was before and the window: (order + T, B)."""
        before = tokens.new_full((self.order, tokens.shape[1]), NOTHING) if state is None else state[:, : self.order].T
        return torch.cat([before, tokens])

    def _last_of(self, history: Tensor) -> Tensor:
        """The last tokens of a history (order + T, B): (B, order)."""
        return history[len(history) - self.order :].T

    def _contexts_by_length(self, history: Tensor) -> Tensor:
        """From a history (order + T, B), -1 for what was before the text, to (order + 1, T, B)."""
        if history.is_cpu and history.shape == (self.order + 1, 1):
            return torch.tensor(_keys_by_length(history[1:, 0].tolist()))[:, None, None]
        positions, streams = len(history) - self.order, history.shape[1]
        found = []
        is_whole = torch.ones(positions, streams, dtype=torch.bool, device=history.device)
        for length in range(self.order + 1):
            window = history[self.order - length :]
            if length:
                is_whole = is_whole & (window[1 : 1 + positions] != NOTHING)
            found.append(context_keys(window, length, positions).masked_fill(~is_whole, NO_CONTEXT))
        return torch.stack(found)

    def after(self, contexts: Tensor) -> Tensor:
        """Logarithms of the probabilities of what follows some contexts.

        Args:
            contexts: as `contexts` gives them, (tables, ...) int64.

        Returns:
            (..., V).
        """
        flat = contexts.flatten(1)
        return logarithms_of(self._by_length(flat)).view(*contexts.shape[1:], self.tokens)

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

    def _by_length(self, contexts: Tensor) -> Tensor:
        """Probabilities after contexts (tables, N), of the tables by length alone, which come first: (N, V)."""
        result = torch.full((contexts.shape[1], self.tokens), 1 / self.tokens, device=contexts.device)
        for length in range(self.order + 1):
            result = self._refined(str(length), contexts[length], result)
        return result

    def _refined(self, name: str, keys: Tensor, shorter: Tensor) -> Tensor:
        """What a table makes of the probabilities after shorter contexts.

        Args:
            name: of the table.
            keys: of the contexts (N,).
            shorter: (N, V).
        """
        if len(keys) == 1 and keys.is_cpu:
            return self._refined_once(name, int(keys), shorter)
        table, starts = self._table(name, "keys"), self._table(name, "starts")
        row = torch.searchsorted(table, keys).clamp_max(len(table) - 1)
        seen = table[row] == keys
        first = starts[row].long()
        count = torch.where(seen, starts[row + 1] - first, 0)
        result = shorter * torch.where(seen, self._table(name, "shares")[row], 1.0)[:, None]
        position = torch.repeat_interleave(count)
        before = count.cumsum(0) - count
        entry = torch.arange(len(position), device=keys.device) - before[position] + first[position]
        followers = self._table(name, "followers")[entry].long()
        return result.index_put_((position, followers), self._table(name, "given")[entry], accumulate=True)

    def _refined_once(self, name: str, key: int, shorter: Tensor) -> Tensor:
        """`_refined` for a single context: a writer asks for one at a time, and waits."""
        keys = self._table(name, "keys").numpy()
        row = int(keys.searchsorted(key))
        if row == len(keys) or keys[row] != key:
            return shorter
        first, end = self._table(name, "starts")[row : row + 2].tolist()
        result = shorter.numpy() * self._table(name, "shares")[row].item()
        followers = self._table(name, "followers")[first:end].numpy()
        result[0, followers] += self._table(name, "given")[first:end].numpy()
        return torch.from_numpy(result)

    def _table(self, name: str, column: str) -> Tensor:
        found: Tensor = getattr(self, f"{column}{name}")  # `get_buffer` takes as long as looking up a context
        return found


def logarithms_of(probabilities: Tensor) -> Tensor:
    return probabilities.clamp_min(torch.finfo(torch.float32).tiny).log()


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
        keys = keys * MULTIPLIER + tokens[offset : offset + count] + 1
        keys = keys ^ shifted(keys, 29)
    return keys


def _keys_by_length(tokens: Sequence[int]) -> list[int]:
    """The numbers that `context_keys` gives the contexts of each length at the end of some tokens."""
    found = []
    for length in range(len(tokens) + 1):
        key = 0
        for token in tokens[len(tokens) - length :]:
            key = (key * MULTIPLIER + token + 1) & _ALL_BITS
            key ^= key >> 29
        is_whole = NOTHING not in tokens[len(tokens) - length :]
        found.append(signed(key) if is_whole else NO_CONTEXT)
    return found


def signed(number: int) -> int:
    """A number of 64 bits as int64 holds it."""
    return number - ((number >> 63) << 64)


def shifted(keys: Tensor, bits: int) -> Tensor:
    """To the right, filled up with zeros."""
    return (keys >> bits) & ((1 << (64 - bits)) - 1)


def counted_by_length(text: np.ndarray, order: int) -> list[tuple[np.ndarray, np.ndarray]]:
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
    keys = torch.from_numpy(contexts) * MULTIPLIER + torch.from_numpy(followers) + 1
    return (keys ^ shifted(keys, 32)).numpy()


def _discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken from a count of 0, 1, 2, and 3 or more: estimated from how many counts there are of each."""
    n1, n2, n3, n4 = (int((counts == number).sum()) for number in (1, 2, 3, 4))
    if not n1 * n2 * n3:  # too little text to tell, or none that is rare
        return np.array([0.0, 0.5, 0.75, 1.0])
    share = n1 / (n1 + 2 * n2)
    found = [0.0, 1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3]
    return np.clip(found, [0.0, 0.05, 0.05, 0.05], [0.0, 0.95, 1.9, 2.8])
