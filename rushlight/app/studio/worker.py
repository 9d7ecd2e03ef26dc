"""Models answer one question after the other: visitors wait in a line, and training keeps its share of the machine."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

LONGEST_LINE = 200  # visitors that wait; further ones are asked to come again
MODELS_KEPT = 4

T = TypeVar("T")


class LineTooLong(Exception):
    """So many wait that one more would wait too long."""


@dataclass(eq=False)
class _Place:
    """A place in the line: two of the same ticket are not the same place."""

    ticket: str


class Worker:
    """One thread that does all work with models, in the order in which it was asked for."""

    def __init__(self) -> None:
        self._line: list[_Place] = []
        self._thread = ThreadPoolExecutor(1, "studio-models")
        self._models: OrderedDict[tuple[str, Path], tuple[int, Any]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many questions are in the line, that which is being answered among them."""
        return len(self._line)

    def before(self, ticket: str) -> int | None:
        """How many questions are answered before that with a ticket; None if there is none."""
        return next((number for number, place in enumerate(self._line) if place.ticket == ticket), None)

    async def do(self, work: Callable[[], T], ticket: str = "") -> T:
        """Wait for the turn, and do it.

        Args:
            work: what is to be done.
            ticket: by which `before` finds it while it waits.

        Raises:
            LineTooLong: too many wait.
        """
        if self.waiting >= LONGEST_LINE:
            raise LineTooLong
        place = _Place(ticket)
        self._line.append(place)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._line.remove(place)

    def loaded(self, kind: str, model_file: Path, load: Callable[[], T]) -> T:
        """What `load` makes of a model file, kept until the file changes or others are wanted; for use within `do`."""
        changed = model_file.stat().st_mtime_ns
        kept = self._models.get((kind, model_file))
        if kept is None or kept[0] != changed:
            kept = (changed, load())
            self._models[kind, model_file] = kept
        self._models.move_to_end((kind, model_file))
        while len(self._models) > MODELS_KEPT:
            self._models.popitem(last=False)
        return kept[1]

    def close(self) -> None:
        """Let what is being done end, and drop what waits."""
        self._thread.shutdown(wait=False, cancel_futures=True)
