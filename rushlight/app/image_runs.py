"""Train an image classifier into a run folder, and find the images of a run again.

The command `train images` and the demo share this: what they leave on disk is the same.
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rushlight.app import plots
from rushlight.data.catalog import DATASETS
from rushlight.data.images import ImageData
from rushlight.inference.evaluation import Evaluation
from rushlight.runtime.errors import InputError, NonFiniteError
from rushlight.runtime.memory import reuse_freed_memory
from rushlight.runtime.run_folder import RunFolder, environment_versions
from rushlight.runtime.terminal import note
from rushlight.tasks.image_classifier import ImageClassifier
from rushlight.training.callbacks import Callback
from rushlight.training.display import ShowProgress
from rushlight.training.learner import Learner
from rushlight.training.saving import SaveEachEpoch

Fit = Callable[[RunFolder, list[Callback]], object]

WORST_SHOWN = 16


@dataclass(frozen=True)
class ImageSource:
    """Which images a run used, as `run.json` keeps it: enough to cut the same validation part again.

    Attributes:
        name_or_path: a name of the catalog, or the absolute path of a folder or CSV file.
        size: width and height in pixels; None lets the images decide.
        valid_fraction: part of the training images set aside, where the folder has no validation part.
        seed: of that choice.
        fit_all: whether the validation part was trained on too.
    """

    name_or_path: str
    size: int | None = None
    valid_fraction: float = 0.2
    seed: int = 0
    fit_all: bool = False

    @classmethod
    def of(cls, name_or_path: str, **settings: Any) -> "ImageSource":
        """A source whose path still holds from another working folder."""
        path = Path(name_or_path).expanduser()
        is_path = name_or_path not in DATASETS and path.exists()
        return cls(str(path.absolute()) if is_path else name_or_path, **settings)

    def load(self, **options: Any) -> ImageData:
        """Read the images; `options` are those of `ImageData.from_name`."""
        return ImageData.from_name(self.name_or_path, **(_settings(self) | options))


def _settings(source: ImageSource) -> dict[str, Any]:
    settings = asdict(source)
    del settings["name_or_path"]
    return settings


@dataclass(frozen=True)
class TrainedRun:
    """What training left behind.

    Attributes:
        folder: the run folder.
        classifier: the trained classifier.
        evaluation: on the validation part; None where there is none.
        seconds: from the first training step to the saved model.
    """

    folder: Path
    classifier: ImageClassifier
    evaluation: Evaluation | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        results = {} if self.evaluation is None else {"valid": self.evaluation.to_json()}
        return {"run": str(self.folder), "results": results, "seconds": round(self.seconds, 2)}


class HistoryFile(Callback):
    """Appends each finished epoch to the run folder's `history.jsonl`."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def epoch_end(self, learner: Learner) -> None:
        """Write the row, so that a run that is killed still tells what it did."""
        self.run.append_history(learner.row)


def train_into_run_folder(
    source: ImageSource,
    data: ImageData,
    classifier: ImageClassifier,
    fit: Fit,
    *,
    output: Path | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> TrainedRun:
    """Train, measure on the validation part, and leave everything about it in a run folder.

    Args:
        source: where `data` came from.
        data: the images.
        classifier: made for `data`.
        fit: trains the classifier; it is given the run folder and the callbacks that keep it up to date.
        output: the run folder to make; the next free one under `runs/images/` if None.
        arguments: what the person chose, for `run.json`.

    Raises:
        InputError: `output` already holds a run.
        StorageError: the folder cannot be written.
        NonFiniteError: the loss became non-finite; the last good model is saved.
    """
    reuse_freed_memory()
    note(data.summary())
    started, clock = datetime.now(UTC), time.monotonic()
    with RunFolder.create(output, kind="images", name=data.name) as run:
        _fit_and_keep(classifier, fit, run)
        evaluation = None if data.valid is None else classifier.evaluate("valid")
        trained = TrainedRun(run.path, classifier, evaluation, time.monotonic() - clock)
        run.write_run(
            {
                "command": sys.argv,
                "arguments": dict(arguments or {}),
                "versions": environment_versions(),
                "data": asdict(source) | {"size": data.size, "fingerprint": data.fingerprint},
                "results": {} if evaluation is None else {"valid": evaluation},
                "started": started.isoformat(timespec="seconds"),
                "finished": datetime.now(UTC).isoformat(timespec="seconds"),
                "seconds": round(trained.seconds, 2),
            }
        )
        write_pictures(trained)
    return trained


def _fit_and_keep(classifier: ImageClassifier, fit: Fit, run: RunFolder) -> None:
    """Fit, and leave a model also where a person, the system or a non-finite loss ends it early."""
    display = ShowProgress()
    try:
        fit(run, [HistoryFile(run), SaveEachEpoch(run.model, classifier.save), display])
    except (KeyboardInterrupt, SystemExit, NonFiniteError):
        if not run.model.exists() and _is_worth_keeping(classifier):  # within the first epoch
            classifier.save(run.model)
        if run.model.exists():
            note(f"stopped early; the model as it was last is in {run.path}")
        raise
    finally:
        display.close()
    classifier.calibrate()
    classifier.save(run.model)


def _is_worth_keeping(classifier: ImageClassifier) -> bool:
    """Whether anything was learned, and nothing in the model is NaN or infinite.

    The weights never are, but a forward pass that overflows leaves its mark in the statistics of batch norm.
    """
    tensors = classifier.learner.model.state_dict().values()
    return classifier.learner.step > 0 and all(bool(tensor.isfinite().all()) for tensor in tensors)


def write_pictures(trained: TrainedRun) -> None:
    """Draw curves, confusion matrix and the most wrong validation images into the run folder."""
    plots.save(trained.classifier.learner.history.plot(), trained.folder / "curves.png")
    valid, evaluation = trained.classifier.data.valid, trained.evaluation
    if valid is None or evaluation is None:
        return
    plots.save(plots.confusion_matrix(evaluation.confusion, evaluation.classes), trained.folder / "confusion.png")
    worst = evaluation.most_wrong(WORST_SHOWN)
    pictures = plots.most_wrong(
        valid.pixels(worst),
        [evaluation.classes[label] for label in evaluation.targets[worst]],
        [evaluation.classes[label] for label in evaluation.predictions[worst]],
        evaluation.probabilities[worst].max(axis=1),
    )
    plots.save(pictures, trained.folder / "most_wrong.png")


def source_of_run(run_json: Mapping[str, Any], path: Path) -> tuple[ImageSource, str]:
    """Which images a run used, and their fingerprint at that time.

    Args:
        run_json: the contents of the run's `run.json`.
        path: where they were read, for the message.

    Raises:
        InputError: the file says nothing about images.
    """
    try:
        kept = dict(run_json["data"])
        fingerprint = kept.pop("fingerprint")
        return ImageSource(**kept), fingerprint
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path} does not say which images the run used; name them with --data") from None
