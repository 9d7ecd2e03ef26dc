"""Show how training goes: one line an epoch, and on a terminal a bar beneath."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rushlight.runtime.distributed import is_writer
from rushlight.runtime.guarded_stream import unguarded
from rushlight.runtime.measured import Measured
from rushlight.training.callbacks import Callback

if TYPE_CHECKING:
    from rich.progress import Progress

    from rushlight.training.learner import Learner

SECONDS_BETWEEN_LINES = 2.0  # epochs that are over sooner share a line, or a small data set would scroll by


class ShowProgress(Callback):
    """Print a row of the history as epochs end, on stderr.

    On a terminal and in a notebook a bar shows how far the fit is; piped into a file, there are plain lines only. Of
    several processes the first shows it.
    """

    _bar: Progress | None = None  # there is none to close where a fit fails before it starts

    def fit_start(self, learner: Learner) -> None:
        from rich.console import Console

        self._console = Console(file=unguarded(sys.stderr), highlight=False, soft_wrap=True)
        self._started = time.monotonic()
        self._last_line = -SECONDS_BETWEEN_LINES
        self._last_update = 0.0
        self._columns: list[str] = []
        self.close()
        if is_writer() and (self._console.is_terminal or self._console.is_jupyter):
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(), console=self._console, transient=True,
            )  # fmt: skip
            self._task = self._bar.add_task("training", total=1.0)
            self._bar.start()

    def step_done(self, learner: Learner) -> None:
        if self._bar is not None:
            now = time.monotonic()
            if now - self._last_update > 0.2:
                self._last_update = now
                self._bar.update(self._task, completed=learner.progress)

    def epoch_end(self, learner: Learner) -> None:
        now = time.monotonic()
        is_last = learner.progress >= 1.0 or learner.stop
        if not is_writer() or (now - self._last_line < SECONDS_BETWEEN_LINES and not is_last):
            return
        self._last_line = now
        if not self._columns:
            self._columns = [name for name, value in learner.row.items() if isinstance(value, Measured)]
            self._print(self._line(["epoch", *(name.replace("_", " ") for name in self._columns), "rate", "time"]))
        measured = [learner.row.get(name) for name in self._columns]
        values = ["" if quantity is None else f"{quantity.value:.4f}" for quantity in measured]
        cells = [str(learner.row["epoch"]), *values, f"{learner.row['lr']:.2e}", _clock(now - self._started)]
        self._print(self._line(cells))

    def fit_end(self, learner: Learner) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away, also when training ended by an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _line(self, cells: list[str]) -> str:
        widths = [max(13, len(name) + 2) for name in [*self._columns, "rate", "time"]]
        return cells[0].rjust(5) + "".join(cell.rjust(width) for cell, width in zip(cells[1:], widths, strict=True))

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False)
        sys.stderr.flush()


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"
