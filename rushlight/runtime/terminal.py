"""What a person sees while they wait: progress and notes, on stderr, so that stdout holds results alone.

The form follows the place: a moving bar in a terminal, one line that rewrites itself in a notebook (no widget
needed), and a plain line now and then where stderr goes to a file or a pipe.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from rushlight.runtime.distributed import is_writer
from rushlight.runtime.guarded_stream import unguarded

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

QUIET_SECONDS = 0.5  # shorter work shows nothing at all
SECONDS_BETWEEN_LINES = 5.0
_SECONDS_BETWEEN_REWRITES = 0.2


class Progress(Protocol):
    """Work that goes on, in steps that can be counted."""

    def advance(self, n: int = 1) -> None:
        """Say that `n` more steps are done."""


@contextmanager
def progress(description: str, total: int, unit: str = "") -> Iterator[Progress]:
    """Show how far a piece of work has come.

    Args:
        description: what is being done, such as `Reading images`.
        total: steps in all.
        unit: what a step is, such as `images`; shown after the count.

    Yields:
        An object with `advance(n=1)`. Work that ends within half a second shows nothing, and of several processes only
        the first shows anything.
    """
    if not is_writer():
        yield _Nothing()
        return
    shown: _Bar | _Rewritten | _Lines
    if in_notebook():
        shown = _Rewritten(description, total, unit, sys.stdout)
    elif _is_terminal(sys.stderr):
        shown = _Bar(description, total, unit)
    else:
        shown = _Lines(description, total, unit, sys.stderr)
    try:
        yield shown
    finally:
        shown.close()


def note(message: str) -> None:
    """Print one line for the person, on stderr; of several processes the first does."""
    if is_writer():
        print(message, file=sys.stderr, flush=True)


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel, whose output is a page and not a terminal."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def _is_terminal(stream: TextIO) -> bool:
    if not stream.isatty():
        return False
    from rich.console import Console  # a tenth of a second to import, so only where it draws

    return not Console(file=stream).is_dumb_terminal


class _Nothing:
    """Shows nothing."""

    def advance(self, n: int = 1) -> None:
        pass


class _Counter:
    """Counts steps and knows how long it has been since the start and since something was shown."""

    def __init__(self, description: str, total: int, unit: str) -> None:
        self.description, self.total, self.unit = description, total, unit
        self.done = 0
        self.started = self.last_shown = time.monotonic()
        self.visible = False

    def advance(self, n: int = 1) -> None:
        self.done += n
        now = time.monotonic()
        if self.is_due(now):
            self.last_shown = now
            self.visible = True
            self.show()

    def is_due(self, now: float) -> bool:
        """Whether it is time to show something."""
        raise NotImplementedError

    def show(self) -> None:
        """Show the present state."""
        raise NotImplementedError

    def line(self) -> str:
        share = f" ({100 * self.done / self.total:.0f} %)" if self.total else ""
        counted = f"{self.done:,} of {self.total:,}" + (f" {self.unit}" if self.unit else "")
        return f"{self.description}: {counted}{share}, {time.monotonic() - self.started:.0f} s"


class _Lines(_Counter):
    """A whole line, seldom: for a file or a pipe, where a moving bar would be thousands of lines."""

    def __init__(self, description: str, total: int, unit: str, stream: TextIO) -> None:
        super().__init__(description, total, unit)
        self.stream = stream

    def is_due(self, now: float) -> bool:
        return now - self.last_shown >= SECONDS_BETWEEN_LINES

    def show(self) -> None:
        print(self.line(), file=self.stream, flush=True)

    def close(self) -> None:
        if time.monotonic() - self.started >= QUIET_SECONDS:
            self.show()


class _Rewritten(_Lines):
    """One line that rewrites itself: a notebook understands the carriage return, and needs no widget."""

    def is_due(self, now: float) -> bool:
        waited = _SECONDS_BETWEEN_REWRITES if self.visible else QUIET_SECONDS
        return now - self.last_shown >= waited

    def show(self) -> None:
        print(f"\r{self.line()}", end="", file=self.stream, flush=True)

    def close(self) -> None:
        if self.visible:
            self.show()
            print(file=self.stream, flush=True)


class _Bar(_Counter):
    """A moving bar with the time that is left."""

    def __init__(self, description: str, total: int, unit: str) -> None:
        super().__init__(description, total, unit)
        self.bar: RichProgress | None = None

    def is_due(self, now: float) -> bool:
        waited = _SECONDS_BETWEEN_REWRITES if self.visible else QUIET_SECONDS
        return now - self.last_shown >= waited

    def show(self) -> None:
        if self.bar is None:
            self.bar = _rich_progress(self.unit)
            self.bar.add_task(self.description, total=self.total)
            self.bar.start()
        self.bar.update(self.bar.task_ids[0], completed=self.done)

    def close(self) -> None:
        if self.bar is not None:
            self.show()
            self.bar.stop()


def _rich_progress(unit: str) -> "RichProgress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as RichProgress

    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    columns += [TextColumn(unit)] if unit else []
    columns += [TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()]
    return RichProgress(*columns, console=Console(file=unguarded(sys.stderr)))
