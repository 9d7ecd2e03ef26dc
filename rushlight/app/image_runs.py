"""Train an image classifier into a run folder, and find the images of a run again.

The command `train images` and the demo share this: what they leave on disk is the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rushlight.app import plots
from rushlight.app.evaluation_pictures import draw_evaluation
from rushlight.app.resuming import facts_of_run
from rushlight.app.runs import Fit, Keeping, RunInProgress
from rushlight.data.catalog import DATASETS
from rushlight.data.images import ImageData
from rushlight.runtime.distributed import is_writer
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
        seed: of the training, and of that choice where it has no seed of its own.
        train_images: how many of the training images were used; None for all.
        fit_all: whether the validation part was trained on too.
        split_seed: of that choice; `seed` if None.
        target: what was learned about them: `label`, `labels`, `number`, or `auto` for what they look like.
        columns: which columns of a table hold it; None for those called `label` or the like.
    """

    name_or_path: str
    size: int | None = None
    valid_fraction: float = 0.2
    seed: int = 0
    train_images: int | None = None
    fit_all: bool = False
    split_seed: int | None = None
    target: str = "auto"
    columns: Sequence[str] | None = None

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
        evaluation: on the validation part, an `Evaluation` or that of another kind of target; None where there is none.
        seconds: from the first training step to the saved model.
    """

    folder: Path
    classifier: ImageClassifier
    evaluation: Any
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
    choose_thresholds: bool = False,
    keeping: Keeping | None = None,
) -> TrainedRun | None:
    """Train, measure on the validation part, and leave everything about it in a run folder.

    Args:
        source: where `data` came from.
        data: the images.
        classifier: made for `data`.
        fit: trains the classifier; it is given the run folder and the callbacks that keep it up to date.
        output: the run folder to make; the next free one under `runs/images/` if None.
        arguments: what the person chose, for `run.json`.
        choose_thresholds: as in `ImageClassifier.calibrate`.
        keeping: how the run is kept against interruptions.

    Returns:
        What was left behind; None in all of several processes but the first, which alone measures and writes.

    Raises:
        InputError: `output` already holds a finished run, or was begun with other data or settings.
        Interrupted: a signal came; the state is saved.
        StorageError: the folder cannot be written.
        NonFiniteError: the loss became non-finite; the last good model is saved.
    """
    note(data.summary())
    with RunInProgress.create(output, "images", data.name, keeping) as run:
        facts = facts_of_run("images", dict(arguments or {}) | {"images": source.name_or_path}, data.fingerprint)
        run.fit(classifier, fit, facts, classifier.decisions)
        if not is_writer():
            return None
        classifier.calibrate(choose_thresholds)
        classifier.save(run.folder.model)
        evaluation = None if data.valid is None else classifier.evaluate("valid")
        trained = TrainedRun(run.folder.path, classifier, evaluation, run.seconds)
        write_pictures(trained)
        run.finish(
            classifier,
            arguments or {},
            data=asdict(source) | {"size": data.size, "target": data.target, "fingerprint": data.fingerprint},
            results={} if evaluation is None else {"valid": evaluation},
        )
    return trained


def write_pictures(trained: TrainedRun) -> None:
    """Draw curves, what is right and wrong, and the most wrong validation images into the run folder."""
    plots.save(trained.classifier.learner.history.plot(), trained.folder / "curves.png")
    valid, evaluation = trained.classifier.data.valid, trained.evaluation
    if valid is None or evaluation is None:
        return
    draw_evaluation(evaluation, trained.folder)
    worst = evaluation.most_wrong(WORST_SHOWN)
    truths = [evaluation.truth_in_words(row) for row in worst]
    answers = [evaluation.answer_in_words(row) for row in worst]
    plots.save(plots.most_wrong(valid.pixels(worst), truths, answers), trained.folder / "most_wrong.png")


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
