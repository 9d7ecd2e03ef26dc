"""Send what is measured to an experiment tracker: TensorBoard, Trackio or Weights & Biases, all by the same calls.

    tracker = Tracker("tensorboard", "runs/images/photos-1")
    learner.fit(epochs=5)   # with the tracker among its callbacks
    tracker.close()

Everything stays on this machine: in the folder that is given, and where the service itself is told to go elsewhere, by
its own settings. To add a service, write a class with `log` and `close`, and its line in `TRACKERS`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rushlight.runtime.distributed import is_writer
from rushlight.runtime.errors import InputError, nearest_name
from rushlight.runtime.files import to_json_value
from rushlight.runtime.measured import Measured
from rushlight.training.callbacks import Callback

if TYPE_CHECKING:
    from rushlight.training.learner import Learner

STEPS_BETWEEN = 10  # the loss of a step is read from the device, which makes it wait


class TrackerService(Protocol):
    """What every service offers behind `Tracker`."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Note values by name, at an optimizer step."""

    def close(self) -> None:
        """Write what is left to write."""


class TensorBoardService:
    """Event files that TensorBoard shows: `tensorboard --logdir runs`."""

    def __init__(self, folder: Path, name: str, settings: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder))
        self._writer.add_text("settings", f"```\n{json.dumps(dict(settings), indent=2)}\n```")

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()  # a run that is killed still tells what it did

    def close(self) -> None:
        self._writer.close()


class InitLogFinishService:
    """Trackio and Weights & Biases, whose modules have the same three functions: `init`, `log` and `finish`.

    Args:
        module: the imported module.
        name: of the run.
        settings: what was chosen for it.
        **options: further ones of the module's `init`.
    """

    def __init__(self, module: Any, name: str, settings: Mapping[str, Any], **options: Any) -> None:
        self._module = module
        with redirect_stdout(sys.stderr):  # stdout holds results alone
            module.init(project="rushlight", name=name, config=dict(settings), **options)

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._module.log(dict(values), step=step)

    def close(self) -> None:
        with redirect_stdout(sys.stderr):
            self._module.finish()


def _trackio(folder: Path, name: str, settings: Mapping[str, Any]) -> TrackerService:
    os.environ.setdefault("TRACKIO_DIR", str(folder))
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    return InitLogFinishService(import_module("trackio"), name, settings)


def _wandb(folder: Path, name: str, settings: Mapping[str, Any]) -> TrackerService:
    mode = os.environ.get("WANDB_MODE", "offline")  # nothing is sent unless the person has said so
    return InitLogFinishService(import_module("wandb"), name, settings, dir=str(folder), mode=mode)


TRACKERS: dict[str, Callable[[Path, str, Mapping[str, Any]], TrackerService]] = {
    "tensorboard": TensorBoardService,
    "trackio": _trackio,
    "wandb": _wandb,
}


class Tracker(Callback):
    """Notes what a fit measures with an experiment tracker.

    Each row of the history is noted as it is finished, with the bounds of its 95 % intervals as `NAME/low` and
    `NAME/high`; in between, every tenth step, the loss and the rate of the step. Several fits go on in one record. Of
    several processes the first notes it.

    Args:
        service: a name in `TRACKERS`.
        folder: where the record goes; made if missing.
        name: of the run; that of the folder if None.
        settings: what was chosen for the run, to be noted with it.

    Raises:
        InputError: there is no such service, or its package is not installed.
    """

    def __init__(
        self, service: str, folder: str | Path, name: str | None = None, settings: Mapping[str, Any] | None = None
    ) -> None:
        check_tracker(service)
        self._service: TrackerService | None = None
        if not is_writer():
            return
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._service = TRACKERS[service](folder, name or folder.resolve().name, to_json_value(dict(settings or {})))

    def step_done(self, learner: Learner) -> None:
        if self._service is not None and learner.step % STEPS_BETWEEN == 0:
            rate = max(group["lr"] for group in learner.optimizer.param_groups)
            self._service.log({"step_loss": float(learner.loss.detach()), "step_lr": rate}, learner.step)

    def epoch_end(self, learner: Learner) -> None:
        if self._service is not None:
            self._service.log(row_values(learner.row), learner.step)

    def close(self) -> None:
        """End the record; nothing can be noted afterwards."""
        if self._service is not None:
            self._service.close()


def row_values(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row of the history by name, those of an interval apart."""
    values: dict[str, float] = {}
    for name, value in row.items():
        if isinstance(value, Measured):
            values[name] = value.value
            if value.interval is not None:
                values[f"{name}/low"], values[f"{name}/high"] = value.interval
        elif isinstance(value, (int, float)) and name != "step":
            values[name] = float(value)
    return values


def check_tracker(service: str) -> None:
    """Refuse a service that there is not.

    Raises:
        InputError: its name is unknown, or its package is not installed.
    """
    if service not in TRACKERS:
        raise InputError(f"unknown tracker '{service}': {nearest_name(service, TRACKERS)}")
    if find_spec(service) is None:
        raise InputError(f"the tracker '{service}' needs a package of that name: pip install 'rushlight[{service}]'")
