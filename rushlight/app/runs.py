"""Train anything into a run folder: what all tasks leave behind, and how a run that ends badly ends.

The folder then holds the model in one file, its history, and `run.json`: the exact command, its arguments, versions,
data and results.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from rushlight.app.failures import is_out_of_memory
from rushlight.app.live import LiveRun
from rushlight.app.printing import command_line
from rushlight.app.resuming import folder_before_restart, require_facts, require_same, with_batches_of
from rushlight.runtime import nested
from rushlight.runtime.distributed import all_here, from_writer, is_writer
from rushlight.runtime.errors import Interrupted, MemoryLimitError, NonFiniteError
from rushlight.runtime.memory import reuse_freed_memory
from rushlight.runtime.run_folder import RunFolder, environment_versions
from rushlight.runtime.state_file import StateFile
from rushlight.runtime.stop_signals import StopSignals
from rushlight.runtime.terminal import note
from rushlight.training.callbacks import Callback
from rushlight.training.display import ShowProgress
from rushlight.training.learner import Learner
from rushlight.training.resuming import Resumable
from rushlight.training.saving import SaveEachEpoch
from rushlight.training.state import begin_epoch_again, forget_settings

CALLBACKS_OF_THIS_PROCESS: list[Callback] = []
"""Called in every run of this process after its own; a search has its trainings, each a process, report this way."""

Fit = Callable[[RunFolder, list[Callback]], object]
"""Trains a task; it is given the run folder and the callbacks that keep it up to date."""


class Trainable(Protocol):
    """What a task has to offer: its learner, and a way to write its model."""

    @property
    def learner(self) -> Learner:
        """What is trained."""

    def save(self, path: Path) -> None:
        """Write the model."""


@dataclass(frozen=True)
class Keeping:
    """How a run is kept against interruptions.

    Attributes:
        command: the words that go on with it, but for its folder.
        save_every: seconds between two states; None for what costs a hundredth of the time at most.
        force: go on although the data or a setting has changed.
        auto_batch: go on with other batches than it began with.
    """

    command: tuple[str, ...]
    save_every: float | None = None
    force: bool = False
    auto_batch: bool = False


class HistoryFile(Callback):
    """Appends each finished epoch to the run folder's `history.jsonl`."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def epoch_end(self, learner: Learner) -> None:
        """Write the row, so that a run that is killed still tells what it did."""
        if is_writer():
            self.run.append_history(learner.row)


class RunInProgress:
    """A run folder that is being filled, perhaps not for the first time. Use it as a context manager.

    Of several processes the first has the folder and writes; the others go along, and know its path.

    Args:
        folder: the run folder.
        keeping: how the run is kept against interruptions.

    Attributes:
        folder: the run folder, which is held until the end.
    """

    def __init__(self, folder: RunFolder, keeping: Keeping) -> None:
        self.folder = folder
        self._keeping = keeping
        self._state = StateFile(folder.path)
        self._started, self._clock = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
        self._seconds_before = self._seconds_training = self._seconds_saving = 0.0
        self._live = LiveRun(folder)

    @classmethod
    def create(cls, output: Path | None, kind: str, name: str, keeping: Keeping | None = None) -> RunInProgress:
        """Make the folder of a new run, or take up an interrupted one; see `RunFolder.create`."""
        reuse_freed_memory()
        held: list[RunFolder] = []

        def create() -> str:
            held.append(RunFolder.create(output or folder_before_restart(kind, name), kind=kind, name=name))
            return str(held[0].path)

        all_here()  # each machine has read its data
        path = from_writer(create)
        folder = held[0] if held else RunFolder(path, is_held=False)
        return cls(folder, keeping or Keeping(command=("train", kind, "--resume")))

    def fit(self, task: Trainable, fit: Fit, facts: dict[str, Any], decisions: dict[str, Any] | None = None) -> None:
        """Fit, or go on with an interrupted fit, and leave a model also where it ends early.

        Args:
            task: what is trained.
            fit: trains it.
            facts: what the training is begun with (`resuming.facts_of_run`).
            decisions: what the task decides by measuring the machine; filled here where a run goes on.

        Raises:
            InputError: the run was begun with other data or settings.
            Interrupted: a signal came; the state is saved.
        """
        run, display = self.folder, ShowProgress()
        decisions = {} if decisions is None else decisions
        facts |= {"started": self._started, "decisions": decisions}
        saved, before = nested.of_writer(lambda: self._saved_state(facts))
        if before:
            decisions.update(before["decisions"])
            facts["started"] = self._started = before["started"]
            self._seconds_before = saved["seconds"]
        signals = StopSignals()
        resumable = Resumable(self._state, facts, signals=signals, seconds=self._keeping.save_every, saved=saved)
        try:
            with signals:
                own = [HistoryFile(run), SaveEachEpoch(run.model, task.save), self._live, display]
                fit(run, [*own, *CALLBACKS_OF_THIS_PROCESS, resumable])
        except (Interrupted, NonFiniteError) as error:
            if is_writer() and not run.model.exists() and _is_worth_keeping(task):  # within the first epoch
                task.save(run.model)
            if is_writer() and run.model.exists():
                note(f"stopped early; the model as it was last is in {run.path}")
            if isinstance(error, Interrupted):
                stopped = Interrupted(self._how_to_go_on(task.learner.step), error.number)
                stopped.is_known_to_all = error.is_known_to_all
                raise stopped from None
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise self._memory_error(task, nothing_learned=resumable.step_saved <= 0) from error
            raise
        finally:
            self._seconds_training = resumable.seconds_training
            self._seconds_saving = resumable.seconds_saving
            display.close()

    def _saved_state(self, facts: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The state to go on from, once it is known to belong to this training, and the facts that lie beside it.

        None and nothing for a new training.
        """
        if not self._state.exists():
            return None, {}
        damage = self._state.set_damaged_aside()
        if damage is not None:
            note(damage)
        saved, before = self._state.read()
        require_facts(before, self._state.newest)
        same_batches = with_batches_of(before, facts)
        if not require_same(
            self.folder.path, same_batches if self._keeping.auto_batch else before, facts, self._keeping.force
        ):
            forget_settings(saved["learner"])
        rows = saved["learner"]["history"]
        self.folder.write_history(rows)  # rows of epochs that are trained again now are left out
        how = ""
        if same_batches != before:  # what was counted in batches, or kept for each row of one, fits no longer
            begin_epoch_again(saved["learner"])
            how = "; with other batches, so that the epoch begins again and the last bits differ"
        note(f"going on with {self.folder.path} after step {saved['learner']['step']}, epoch {len(rows)}{how}")
        return saved, before

    def _memory_error(self, task: Trainable, nothing_learned: bool) -> MemoryLimitError:
        """What to do about memory; a run in which nothing was learned yet leaves its folder free."""
        learner = task.learner
        size = getattr(learner.data.train, "batch_size", None)
        smaller = f"--batch-size {size // 2} --accumulate {2 * learner.accumulate}" if size and size > 1 else None
        if nothing_learned and is_writer():
            self._state.remove()
        advice = f"use {smaller}" if smaller and nothing_learned else "use a smaller model or --size"
        if smaller and not nothing_learned:
            advice = f"go on with: {command_line(*self._keeping.command, self.folder.path)} {smaller} --force"
        message = f"out of memory at step {learner.step} with batches of {size}: {advice}, or close other programs"
        run = None if nothing_learned else self.folder.path
        return MemoryLimitError(message, size, can_be_halved=smaller is not None, run=run)

    def _how_to_go_on(self, step: int) -> str:
        command = command_line(*self._keeping.command, self.folder.path)
        return f"stopped, and everything up to step {step} is saved; go on with: {command}"

    @property
    def seconds(self) -> float:
        """How long the run has been going on, interruptions left out."""
        return self._seconds_before + time.monotonic() - self._clock

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
                "started": self._started,
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(self.seconds, 2),
                "seconds_training": round(self._seconds_training, 2),
                "seconds_saving": round(self._seconds_saving, 3),
            }
        )
        self._state.remove()  # there is nothing left to go on with

    def __enter__(self) -> RunInProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.close()
        self.folder.close()


def add_result(folder: Path, part: str, result: Any) -> None:
    """Add what was measured on another part to the `run.json` of a run that has ended.

    Args:
        folder: the run folder.
        part: the part of the data, such as `test`.
        result: an evaluation.

    Raises:
        RunFolderBusyError: another process is writing there.
        StorageError: it cannot be written.
    """
    with RunFolder(folder) as run:
        facts = json.loads(run.run_json.read_text(encoding="utf-8"))
        facts["results"][part] = result
        run.write_run(facts)


def _is_worth_keeping(task: Trainable) -> bool:
    """Whether anything was learned, and nothing in the model is NaN or infinite.

    The weights never are, but a forward pass that overflows leaves its mark in the statistics of batch norm.
    """
    tensors = task.learner.model.state_dict().values()
    return task.learner.step > 0 and all(bool(tensor.isfinite().all()) for tensor in tensors)
