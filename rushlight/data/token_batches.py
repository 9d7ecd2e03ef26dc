"""A text as contiguous streams read side by side, in windows that follow on each other.

The tokens are cut in as many equal streams as a batch has columns. A batch is the next window of every stream, so what
a recurrent model remembers of one batch is the very past of the next:

    tokens   a b c d e f g h i j k l m            windows   a b | c d
    streams  a b c d / e f g h / i j k l                    e f | g h      each row one stream
                                                            i j | k l

The target at each position is the token that follows.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from rushlight.runtime.errors import InputError
from rushlight.runtime.sharing import PartOfBatch, slice_of_rank

FULL_WINDOWS = 0.95  # the share of windows whose length is drawn around the full one; the rest around half of it
DEVIATION = 0.07  # standard deviation of a window's length, as a share of it
SHORTEST = 2.0  # tokens in a window


class TokenBatches:
    """Batches `(inputs, targets)` of one part of a text, each (T, B) int64; if asked for, with the place of each input.

    The number of batches in an epoch is always the same; their lengths are drawn anew each epoch from (seed, epoch), so
    that the same tokens meet the ends of a window ever elsewhere (Merity et al. 2017). Every rank of several draws the
    same lengths and takes its own streams.

    Args:
        tokens: (N,) integers of any kind; may be memory-mapped, and is never written to.
        batch_size: streams side by side, over all ranks.
        window: tokens in a window, about (backpropagation through time goes no further).
        vary: let the lengths vary; without it all are `window`, but for the last.
        shift: begin each epoch at another of the first tokens (of a window), so that the streams are cut elsewhere.
        keep_all: append a batch of one stream with the tokens that are left over when the streams are cut equal.
        seed: of the lengths and the shifts.
        rank: which part of the streams to take.
        ranks: how many share them.
        places: a batch has a third tensor: which token of the part each input is.
        device: where the batches are made.

    Raises:
        InputError: there are fewer tokens than two a stream, or a number is out of range.
    """

    def __init__(
        self,
        tokens: np.ndarray,
        batch_size: int = 64,
        window: int = 100,
        *,
        vary: bool = True,
        shift: bool = False,
        keep_all: bool = False,
        seed: int = 0,
        rank: int = 0,
        ranks: int = 1,
        places: bool = False,
        device: str | torch.device = "cpu",
    ) -> None:
        if batch_size < 1 or window < 1:
            raise InputError(f"a batch has at least one stream and one token, not {batch_size} and {window}")
        if len(tokens) <= batch_size:
            raise InputError(f"{len(tokens):,} tokens are too few for {batch_size} streams: use a smaller batch size")
        self.tokens = tokens
        self.batch_size, self.window = batch_size, window
        self.vary = vary and window >= 2 * SHORTEST
        self.shift, self.keep_all = shift, keep_all
        self.seed, self.rank, self.ranks = seed, rank, ranks
        self.places = places
        self.device = torch.device(device)
        self.epoch = 0

    @property
    def samples(self) -> int:
        """How many tokens are predicted in an epoch, at most."""
        return len(self.tokens) - 1

    @property
    def stream_length(self) -> int:
        """Positions in a stream that is not shifted."""
        return self.samples // self.batch_size

    @property
    def _windows(self) -> int:
        mean = self.window * (FULL_WINDOWS + (1 - FULL_WINDOWS) / 2) if self.vary else self.window
        return max(1, round(self.stream_length / mean) if self.vary else -(-self.stream_length // self.window))

    @property
    def _left_over(self) -> int:
        return self.samples - self.stream_length * self.batch_size if self.keep_all else 0

    def __len__(self) -> int:
        return self._windows + bool(self._left_over)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next pass is of: its windows and its shift."""
        self.epoch = epoch

    def as_they_are(self) -> TokenBatches:
        """The same text in equal windows, all of its tokens, to measure on."""
        part = copy.copy(self)
        part.vary = part.shift = part.places = False
        part.keep_all = True
        return part

    def for_rank(self, rank: int, ranks: int) -> TokenBatches:
        """The rank's streams of the same windows; the batch of what is left over falls to the first.

        Args:
            rank: from 0.
            ranks: how many share the streams.
        """
        part = copy.copy(self)
        part.rank, part.ranks = rank, ranks
        return part

    def with_places(self) -> TokenBatches:
        """The same batches with a third tensor, which says the place of every input in the part."""
        part = copy.copy(self)
        part.places = True
        return part

    def with_tokens(self, tokens: np.ndarray) -> TokenBatches:
        """Other tokens, cut in the same way."""
        part = copy.copy(self)
        part.tokens = tokens
        part.batch_size = min(self.batch_size, len(tokens) - 1)
        return part

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        return self.iterate_from(0)

    def iterate_from(self, batch_index: int) -> Iterator[tuple[Tensor, ...]]:
        """The batches of the present epoch from one on, as they would have come.

        A pass to the end moves on to the next epoch; `set_epoch` chooses another.
        """
        epoch = self.epoch
        first, ends = self._plan(epoch)
        length = ends[-1]
        mine = range(self.batch_size)[slice_of_rank(self.batch_size, self.rank, self.ranks)]
        share = len(mine) / self.batch_size
        rows = mine if share else range(1)  # there may be more ranks than streams
        starts = [first + row * length for row in rows]
        for start, end in list(zip([0, *ends], ends, strict=False))[batch_index:]:
            batch = self._window(starts, start, end)
            yield batch if self.ranks == 1 else PartOfBatch(batch, share)
        if self._left_over:
            batch = self._window([len(self.tokens) - 1 - self._left_over], 0, self._left_over)
            yield batch if self.ranks == 1 else PartOfBatch(batch, 0.0 if self.rank else 1.0)
        self.epoch = epoch + 1

    def _plan(self, epoch: int) -> tuple[int, list[int]]:
        """The first token of an epoch, and where in a stream each window ends."""
        if not self.vary and not self.shift:
            return 0, [*range(self.window, self.stream_length, self.window), self.stream_length]
        random = np.random.default_rng([self.seed, epoch])
        first = int(random.integers(max(1, min(self.window, self.stream_length // 2)))) if self.shift else 0
        length = (self.samples - first) // self.batch_size
        if not self.vary:
            ends = np.linspace(0, length, self._windows + 1).round().astype(int)[1:]
            return first, ends.tolist()
        base = np.where(random.random(self._windows) < FULL_WINDOWS, self.window, self.window / 2)
        drawn = np.maximum(SHORTEST, random.normal(base, max(1.0, DEVIATION * self.window)))
        # Scaled a little, so that the windows fill the stream exactly and their number is that of every epoch.
        ends = (drawn.cumsum() * (length / drawn.sum())).round().astype(int)
        return first, ends.tolist()

    def _window(self, starts: list[int], start: int, end: int) -> tuple[Tensor, ...]:
        """Inputs and targets (T, B) int64 on the device, and the places if asked for: a window of some streams."""
        places = np.arange(start, end)[:, None] + np.array(starts)
        parts = [self.tokens[places], self.tokens[places + 1], *([places] if self.places else [])]
        return tuple(
            torch.from_numpy(np.ascontiguousarray(part, dtype=np.int64)).to(self.device, non_blocking=True)
            for part in parts
        )
