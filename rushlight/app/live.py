"""A training that can be watched, and asked to end, from outside its process: by two small files in its run folder.

`live.json` says a few times a minute how far it is; it goes away with the training. Whoever writes a file named `stop`
asks for its end: the learning rate falls to its lowest in a few seconds, as at any end, and the model is saved.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rushlight.runtime.distributed import is_writer
from rushlight.runtime.run_folder import RunFolder
from rushlight.training.callbacks import Callback

if TYPE_CHECKING:
    from rushlight.training.learner import Learner

SECONDS_BETWEEN = 1.0
SHORTEST_END, LONGEST_END = 2.0, 30.0  # seconds from the request to the last step
STEPS_TO_END = 20  # that the rate takes to fall, where they fit between; or a tenth of the time spent, if that is more

_LIVE, _STOP = "live.json", "stop"


class LiveRun(Callback):
    """Keeps `live.json` up to date, and ends the fit where `stop` appears.

    Args:
        run: the run folder.
    """

    def __init__(self, run: RunFolder) -> None:
        self._live, self._stop = run.path / _LIVE, run.path / _STOP
        self._started = self._fit_started = time.monotonic()
        self._first_step = 0
        self._last = -SECONDS_BETWEEN
        self._loss = 0.0
        self._stopping = False

    def fit_start(self, learner: Learner) -> None:
        if not is_writer():
            return
        self._last = -SECONDS_BETWEEN
        self._fit_started, self._first_step = time.monotonic(), learner.step
        if self._stopping and len(learner.history):
            learner.stop = True  # a further part of a training that was asked to end

    def step_done(self, learner: Learner) -> None:
        now = time.monotonic()
        if now - self._last < SECONDS_BETWEEN or not is_writer():
            return
        self._last = now
        self._loss = float(learner.loss.detach())
        if not self._stopping and self._stop.exists():
            self._stopping = True
            learner.wind_down(self._time_to_end(learner.step, now))
        self._write(learner, "training")

    def validation_start(self, learner: Learner) -> None:
        self._write(learner, "measuring")

    def fit_end(self, learner: Learner) -> None:
        self._write(learner, "measuring")

    def close(self) -> None:
        """Take the files away: the training is over."""
        for path in (self._live, self._stop) if is_writer() else ():
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def _time_to_end(self, step: int, now: float) -> float:
        spent = now - self._fit_started
        seconds = max(STEPS_TO_END * spent / max(1, step - self._first_step), 0.1 * spent)
        return min(max(seconds, SHORTEST_END), LONGEST_END)

    def _write(self, learner: Learner, doing: str) -> None:
        if not is_writer():
            return
        said = {
            "doing": "ending" if self._stopping and doing == "training" else doing,
            "progress": round(learner.progress, 4),
            "epoch": learner.epoch,
            "step": learner.step,
            "loss": self._loss,
            "seconds": round(time.monotonic() - self._started, 1),
        }
        # Not forced to the disk as other files are: a second later it is written anew.
        temporary = self._live.with_suffix(".tmp")
        with suppress(OSError):
            temporary.write_text(json.dumps(said), encoding="utf-8")
            os.replace(temporary, self._live)  # noqa: PTH105


def read_live(run: Path) -> dict[str, Any] | None:
    """What a training says of itself; None where none is going on there."""
    try:
        said = json.loads((run / _LIVE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def ask_to_stop(run: Path) -> None:
    """Ask the training that writes to a run folder to anneal, to save, and to end."""
    (run / _STOP).touch()


def is_asked_to_stop(run: Path) -> bool:
    """Whether the training of a run folder has been asked to end and has not yet."""
    return (run / _STOP).exists()
