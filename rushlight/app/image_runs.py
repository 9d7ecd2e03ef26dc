"""Train an image classifier into a run folder, and find the images of a run again.

The command `train images` and the demo share this: what they leave on disk is the same.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rushlight.app import plots
from rushlight.app.runs import Fit, RunInProgress
from rushlight.data.catalog import DATASETS
from rushlight.data.images import ImageData
from rushlight.inference.evaluation import Evaluation
from rushlight.runtime.errors import InputError
from rushlight.runtime.terminal import note
from rushlight.tasks.image_classifier import ImageClassifier

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
    note(data.summary())
    with RunInProgress.create(output, "images", data.name) as run:
        run.fit(classifier, fit)
        classifier.calibrate()
        classifier.save(run.folder.model)
        evaluation = None if data.valid is None else classifier.evaluate("valid")
        trained = TrainedRun(run.folder.path, classifier, evaluation, run.seconds)
        run.finish(
            classifier,
            arguments or {},
            data=asdict(source) | {"size": data.size, "fingerprint": data.fingerprint},
            results={} if evaluation is None else {"valid": evaluation},
        )
        write_pictures(trained)
    return trained


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
