"""Nothing lost: the state of training on disk as it goes on, and the way back into it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rushlight.runtime import distributed, nested
from rushlight.runtime.errors import Interrupted
from rushlight.runtime.state_file import StateFile
from rushlight.runtime.stop_signals import StopSignals
from rushlight.training.callbacks import Callback

if TYPE_CHECKING:
    from rushlight.training.learner import Learner

SECONDS_BETWEEN = 30.0
LARGEST_SHARE = 0.01  # of the time, spent on saving; where a save takes long, the next one comes later
BYTES_A_SECOND = 200e6  # that are written, as long as no save has been timed
LONG_VALIDATION = 5.0  # seconds; before a longer one the state is saved, so that a signal need not wait for its end


class Resumable(Callback):
    """Save the state of training as it goes on, and go on from a saved one.

    It comes last among the callbacks, so that what the others do at the same moment is saved too.

    A program may fit several times: a head, then everything. Fits are numbered as they begin. A program that resumes
    makes the same calls again: fits that were over are passed over, the one under way goes on in the middle of its
    epoch, and those after it run as ever.

    Of several processes the first has the clock and writes; a signal that any of them gets ends all of them.

    Args:
        file: where states are kept.
        facts: what the training was begun with, as JSON; written with every state.
        signals: whether somebody asks for an end; the state is then saved and `Interrupted` raised.
        seconds: save so often. By default every 30 seconds, or less often where saving would take more than a
            hundredth of the time.
        steps: save after every so many optimizer steps instead.
        saved: the state to go on from.

    Attributes:
        seconds_saving: how long saving has taken in all.
        step_saved: the step of the newest state; -1 before the first.
        seconds_before: how long the training had been going on in earlier processes.
    """

    def __init__(
        self,
        file: StateFile,
        facts: Mapping[str, Any] | None = None,
        *,
        signals: StopSignals | None = None,
        seconds: float | None = None,
        steps: int | None = None,
        saved: dict[str, Any] | None = None,
    ) -> None:
        self.file = file
        self.facts = {} if facts is None else facts
        self.signals = StopSignals() if signals is None else signals
        self.seconds, self.steps = seconds, steps
        self.seconds_saving = 0.0
        self.seconds_before = 0.0 if saved is None else saved["seconds"]
        self._saved = saved if saved is not None and saved["fit"] else None  # before the first fit there is nothing
        self._fit = 0
        self._started = self._last = time.monotonic()
        self._expected = 0.0  # seconds that a save takes
        self._signal = 0  # that all processes know of
        self.step_saved = -1

    @property
    def seconds_training(self) -> float:
        """How long the training has been going on in all processes; what a kill threw away is not counted."""
        return self.seconds_before + time.monotonic() - self._started

    @classmethod
    def in_folder(cls, folder: str | Path, **settings: Any) -> Resumable:
        """One that goes on where the states in a folder say, or begins where there is none.

        Args:
            folder: where states are kept.
            **settings: as of the class.

        Raises:
            ModelFileError: the states there are damaged.
        """
        file = StateFile(folder)
        return cls(file, saved=nested.of_writer(lambda: file.read()[0] if file.exists() else None), **settings)

    def fit_planned(self, learner: Learner) -> None:
        self._fit += 1
        saved = self._saved
        if saved is None or self._fit > saved["fit"]:
            return
        if self._fit < saved["fit"]:
            learner.stop = True
        elif saved["finished"]:
            self._saved = None
            learner.load_state_dict(saved["learner"])
            learner.stop = True

    def fit_start(self, learner: Learner) -> None:
        if self._saved is not None:
            saved, self._saved = self._saved, None
            learner.load_state_dict(saved["learner"], making_ready=time.monotonic() - self._started)
            self.step_saved = learner.step
        elif self._fit == 1:
            # A state from which all begins anew, a time limit too: there is a run now, and it can be written.
            anew = {"fit": 0, "finished": False, "learner": {"step": learner.step, "history": []}}
            self._write(learner, anew | {"seconds": 0.0})
            self._expected = 3 * sum(p.nbytes for p in learner.model.parameters()) / BYTES_A_SECOND
        elif self._is_wanted(learner, self._is_affordable()):
            self._save(learner)
        self.signals.at_once = True

    def batch_start(self, learner: Learner) -> None:
        self.signals.at_once = False

    def step_end(self, learner: Learner) -> None:
        if self._is_wanted(learner, self._is_due(learner)):
            self._save(learner)
            self._stop_if_asked()

    def validation_start(self, learner: Learner) -> None:
        self.signals.at_once = self.step_saved == learner.step

    def validation_done(self, learner: Learner) -> None:
        self.signals.at_once = False

    def epoch_end(self, learner: Learner) -> None:
        if self._is_wanted(learner, False):
            self._save(learner)
            self._stop_if_asked()

    def fit_end(self, learner: Learner) -> None:
        if self._is_wanted(learner, self._is_affordable()):
            self._save(learner, finished=True)
        self._stop_if_asked()
        self.signals.at_once = True

    def _is_wanted(self, learner: Learner, is_due: bool) -> bool:
        """Whether the state is to be saved now, because that is due or somebody asks for an end."""
        if distributed.ranks() == 1:
            self._signal = self.signals.received
            return is_due or self._signal > 0
        own = [self.signals.received, int(is_due and distributed.is_writer())]
        self._signal, due = distributed.largest(own, learner.device)
        return due > 0 or self._signal > 0

    def _is_due(self, learner: Learner) -> bool:
        if self.steps is not None:
            return learner.step % self.steps == 0
        since = time.monotonic() - self._last
        if self.seconds is not None:
            return since >= self.seconds
        if since >= SECONDS_BETWEEN and self._is_affordable():
            return True
        return learner.epoch_is_over and learner.evaluation_seconds > LONG_VALIDATION

    def _is_affordable(self) -> bool:
        """Whether all saving, with one more, stays within its share of the time; what was asked for always is."""
        if self.steps is not None or self.seconds is not None:
            return True
        return self.seconds_saving + self._expected <= LARGEST_SHARE * (time.monotonic() - self._started)

    def _save(self, learner: Learner, finished: bool = False) -> None:
        started = time.monotonic()
        state = {"fit": self._fit, "finished": finished, "learner": learner.state_dict()}
        self._write(learner, state | {"seconds": self.seconds_training})
        self._expected = time.monotonic() - started

    def _write(self, learner: Learner, state: dict[str, Any]) -> None:
        started = time.monotonic()
        if distributed.is_writer():
            self.file.write(state, self.facts)
        self.step_saved = learner.step
        self._last = time.monotonic()
        self.seconds_saving += self._last - started

    def _stop_if_asked(self) -> None:
        if distributed.ranks() == 1:
            self._signal = self.signals.received  # one that came while the state was written counts too
        if self._signal:
            error = Interrupted("training was stopped, and its state is saved", self._signal)
            error.is_known_to_all = True
            raise error
