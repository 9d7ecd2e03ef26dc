"""Train anything into a run folder: what all tasks leave behind, and how a run that ends badly ends.

The folder then holds the model in one file, its history, and `run.json`: the exact command, its arguments, versions,
data and results.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from rushlight.runtime.errors import NonFiniteError
from rushlight.runtime.memory import reuse_freed_memory
from rushlight.runtime.run_folder import RunFolder, environment_versions
from rushlight.runtime.terminal import note
from rushlight.training.callbacks import Callback
from rushlight.training.display import ShowProgress
from rushlight.training.learner import Learner
from rushlight.training.saving import SaveEachEpoch

Fit = Callable[[RunFolder, list[Callback]], object]
"""Trains a task; it is given the run folder and the callbacks that keep it up to date."""


class Trainable(Protocol):
    """What a task has to offer: its learner, and a way to write its model."""

    @property
    def learner(self) -> Learner:
        """What is trained."""

    def save(self, path: Path) -> None:
        """Write the model."""


class HistoryFile(Callback):
    """Appends each finished epoch to the run folder's `history.jsonl`."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def epoch_end(self, learner: Learner) -> None:
        """Write the row, so that a run that is killed still tells what it did."""
        self.run.append_history(learner.row)


class RunInProgress:
    """A run folder that is being filled. Use it as a context manager.

    Attributes:
        folder: the run folder, which is held until the end.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._started, self._clock = datetime.now(UTC), time.monotonic()

    @classmethod
    def create(cls, output: Path | None, kind: str, name: str) -> RunInProgress:
        """Make the folder of a new run; see `RunFolder.create`."""
        reuse_freed_memory()
        return cls(RunFolder.create(output, kind=kind, name=name))

    def fit(self, task: Trainable, fit: Fit) -> None:
        """Fit, and leave a model also where a person, the system or a non-finite loss ends it early."""
        run = self.folder
        display = ShowProgress()
        try:
            fit(run, [HistoryFile(run), SaveEachEpoch(run.model, task.save), display])
        except (KeyboardInterrupt, SystemExit, NonFiniteError):
            if not run.model.exists() and _is_worth_keeping(task):  # within the first epoch
                task.save(run.model)
            if run.model.exists():
                note(f"stopped early; the model as it was last is in {run.path}")
            raise
        finally:
            display.close()

    @property
    def seconds(self) -> float:
        """How long the run has been going on."""
        return time.monotonic() - self._clock

    def finish(
        self, task: Trainable, arguments: Mapping[str, Any], data: Mapping[str, Any], results: Mapping[str, Any]
    ) -> None:
        """Write `run.json`.

        Args:
            task: what was trained.
            arguments: what the person chose.
            data: where the data came from, and its fingerprint.
            results: measured quantities by the part they were measured on.
        """
        self.folder.write_run(
            {
                "command": sys.argv,
                "arguments": dict(arguments),
                "versions": environment_versions(),
                "device": str(task.learner.device),
                "precision": task.learner.precision.name,
                "data": dict(data),
                "results": dict(results),
                "started": self._started.isoformat(timespec="seconds"),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(self.seconds, 2),
            }
        )

    def __enter__(self) -> RunInProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.folder.close()


def _is_worth_keeping(task: Trainable) -> bool:
    """Whether anything was learned, and nothing in the model is NaN or infinite.

    The weights never are, but a forward pass that overflows leaves its mark in the statistics of batch norm.
    """
    tensors = task.learner.model.state_dict().values()
    return task.learner.step > 0 and all(bool(tensor.isfinite().all()) for tensor in tensors)
