"""One pass over the training part while it is under way: what was seen, and what comes next."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from rushlight.runtime.seeds import random_state, set_random_state
from rushlight.training.batches import BatchSource
from rushlight.training.metrics import BatchMeans


class Pass:
    """An epoch of which some batches are done.

    Args:
        batches: how many are done.
        seconds: how long they took.
        generators: the state of the random generators at its beginning, for batches that depend on them.

    Attributes:
        train_loss: over the batches that are done.
    """

    def __init__(self, batches: int = 0, seconds: float = 0.0, generators: dict[str, Any] | None = None) -> None:
        self.batches = batches
        self.train_loss = BatchMeans()
        self._generators = generators
        self._started = time.perf_counter() - seconds

    @classmethod
    def begin(cls, source: BatchSource) -> Pass:
        """The beginning of a pass; where the batches do not depend on random generators, none is noted."""
        return cls(generators=None if hasattr(source, "iterate_from") else random_state())

    @property
    def seconds(self) -> float:
        """How long the pass has been going on, interruptions aside."""
        return time.perf_counter() - self._started

    def is_over(self, source: BatchSource) -> bool:
        """Whether all batches are done, where it can be known how many there are."""
        return hasattr(source, "__len__") and self.batches >= len(source)

    def rest(self, source: BatchSource) -> Iterator[tuple[Any, bool]]:
        """The batches still to be done, each with whether it is the last."""
        if self.is_over(source):
            return
        count = len(source) if hasattr(source, "__len__") else None
        for number, batch in enumerate(self._from_here(source), start=self.batches + 1):
            yield batch, number == count

    def _from_here(self, source: Any) -> Iterator[Any]:
        if hasattr(source, "iterate_from"):
            yield from source.iterate_from(self.batches)
            return
        if self.batches and self._generators is not None:
            # A DataLoader draws its order when a pass begins, so that it begins again as it did, and its first batches
            # are left out.
            now = random_state()
            set_random_state(self._generators)
            batches = iter(source)
            for _ in range(self.batches):
                next(batches, None)
            set_random_state(now)
            yield from batches
        else:
            yield from source

    def state_dict(self) -> dict[str, Any]:
        """For `from_state_dict`."""
        return {
            "batches": self.batches,
            "seconds": self.seconds,
            "generators": self._generators,
            "train_loss": self.train_loss.state_dict(),
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> Pass:
        """The pass that `state_dict` described."""
        found = cls(state["batches"], state["seconds"], state["generators"])
        found.train_loss.load_state_dict(state["train_loss"])
        return found
