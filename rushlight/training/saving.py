"""Write models while training goes on; of several processes the first does."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rushlight.runtime.distributed import is_writer
from rushlight.training.callbacks import Callback

if TYPE_CHECKING:
    from rushlight.training.learner import Learner

Save = Callable[[Path], None]


class SaveEachEpoch(Callback):
    """Write the model after every measured epoch, each time over the one before.

    A run that ends badly leaves the last good model behind: one whose validation loss is not finite is not written.

    Args:
        path: the file.
        save: writes the model to a path; the learner's own `save` if none is given.
    """

    def __init__(self, path: str | Path, save: Save | None = None) -> None:
        self.path = Path(path)
        self.save = save

    def validation_done(self, learner: Learner) -> None:
        if is_writer() and isfinite(learner.row["valid_loss"].value):
            (self.save or learner.save)(self.path)


class CycleCheckpoints(Callback):
    """Write a checkpoint at the end of every cycle of a schedule with restarts: `cycle-1.safetensors` and so on.

    Args:
        folder: where they go; made if missing.
        save: writes the model to a path; the learner's own `save` if none is given.
    """

    def __init__(self, folder: str | Path, save: Save | None = None) -> None:
        self.folder = Path(folder)
        self.save = save
        self.paths: list[Path] = []

    def state_dict(self) -> dict[str, Any]:
        """Where the checkpoints lie."""
        return {"paths": [str(path) for path in self.paths]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.paths = [Path(path) for path in state["paths"]]

    def cycle_end(self, learner: Learner) -> None:
        path = self.folder / f"cycle-{len(self.paths) + 1}.safetensors"
        if is_writer():
            path.parent.mkdir(parents=True, exist_ok=True)
            (self.save or learner.save)(path)
        self.paths.append(path)
