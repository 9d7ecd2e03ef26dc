"""Measure a saved model again: on the images or the text it was trained beside, or on others."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rushlight.app.evaluation_pictures import draw_evaluation
from rushlight.app.image_runs import ImageSource, source_of_run
from rushlight.app.runs import add_result
from rushlight.app.text_runs import TextSource
from rushlight.data.batches import ImageBatches
from rushlight.data.images import ImageData
from rushlight.data.text import TextData
from rushlight.inference.adaptive import dynamic_evaluation, neural_cache
from rushlight.inference.answers import AnyEvaluation
from rushlight.inference.conformal import SetScores
from rushlight.inference.evaluation import Evaluation
from rushlight.inference.model_file import task_of
from rushlight.inference.predictor import Predictor
from rushlight.inference.text_evaluation import TextEvaluation
from rushlight.inference.writer import Writer
from rushlight.runtime.errors import InputError, RunFolderBusyError, StorageError, nearest_name
from rushlight.runtime.run_folder import RunFolder
from rushlight.runtime.terminal import note

SPLITS = ("valid", "test")

_CHANGED = (
    "'{}' has changed since the training, so the parts are not those of then: some of {} may have been trained on"
)


@dataclass(frozen=True)
class AdaptiveEvaluations:
    """How well a language model expects a text, and on lines of their own how well it does while it learns from it.

    Attributes:
        plain: of the model as it is.
        dynamic: of the model that goes on training.
        cache: of the model with a neural cache.
        fingerprint: of the text and its parts.
    """

    plain: TextEvaluation
    dynamic: TextEvaluation | None
    cache: TextEvaluation | None
    fingerprint: str = ""

    def _adapted(self) -> dict[str, TextEvaluation]:
        ways = {"dynamic_evaluation": self.dynamic, "neural_cache": self.cache}
        return {name: found for name, found in ways.items() if found is not None}

    def to_json(self) -> dict[str, Any]:
        """As `evaluate --json` prints it."""
        return self.plain.to_json() | {name: found.to_json() for name, found in self._adapted().items()}

    def table(self) -> str:
        """As text for a terminal."""
        lines = [self.plain.table()]
        if self._adapted():
            lines.append(f"Learning from the text on the way, nats a {self.plain.unit}:")
        lines += [f"  {name.replace('_', ' '):<20} {found.loss}" for name, found in self._adapted().items()]
        return "\n".join(lines)


@dataclass(frozen=True)
class ImageEvaluation:
    """How good an image classifier is, and how its sets of classes did where a coverage was asked for.

    Attributes:
        plain: the evaluation.
        sets: of the coverage that was asked for.
        fingerprint: of the images and their parts.
    """

    plain: AnyEvaluation
    sets: SetScores | None = None
    fingerprint: str = ""

    def to_json(self) -> dict[str, Any]:
        """As `evaluate --json` prints it."""
        return self.plain.to_json() | ({} if self.sets is None else {"sets": self.sets.to_json()})

    def table(self) -> str:
        """As text for a terminal."""
        return self.plain.table() + ("" if self.sets is None else f"\n\n{self.sets.table()}")

    def write_pictures(self, folder: Path) -> None:
        """Draw into a folder what is taken for what, or how far off the answers are."""
        draw_evaluation(self.plain, folder)


def evaluate_run(
    run: Path,
    split: str,
    *,
    data: str | None,
    encoding: str | None = None,
    tta: bool = False,
    coverage: float | None = None,
    dynamic: bool = False,
    cache: bool = False,
    device: str = "auto",
    precision: str = "auto",
) -> ImageEvaluation | AdaptiveEvaluations:
    """Evaluate the model of a run.

    Args:
        run: a run folder or model file.
        split: `valid` or `test`.
        data: a path or catalog name of other images or another text, which is measured whole unless it has parts of
            its own; the run's own, cut in the same parts, if None.
        encoding: of another text.
        tta: average over several views of each image.
        coverage: measure the sets of an image classifier that have this coverage, too.
        dynamic: measure a language model also while it goes on training.
        cache: measure it also with a neural cache.
        device: `auto` or a device name of PyTorch.
        precision: of an image classifier: `auto`, `float32` or `bfloat16`.

    Raises:
        InputError: there is no such run or part, or the images have a class the model does not know.
        ModelFileError: the model file is not ours or is damaged.
    """
    if split not in SPLITS:
        raise InputError(f"--split {split}: {nearest_name(split, SPLITS)}")
    model_file = RunFolder.find(run)
    if data is not None and _is_own(data, _run_json(model_file)):
        data = None  # else what the model was trained on would be measured too
    if task_of(model_file) == "text":
        if tta:
            raise InputError("--tta looks at several views of an image; this is a model of text")
        if coverage is not None:
            raise InputError("--coverage asks for sets of classes; this is a model of text")
        return _evaluate_text(model_file, split, data, encoding, device, dynamic, cache)
    if dynamic or cache:
        raise InputError("--dynamic and --cache are for models of text; this is an image classifier")
    return _evaluate_images(model_file, split, data, tta, coverage, device, precision)


def keep_in_run(run: Path, part: str, evaluation: ImageEvaluation | AdaptiveEvaluations) -> None:
    """Add a result to `run.json`, for the report.

    Data that has changed since the training leaves nothing there. Where nothing can be written, that is said.

    Args:
        run: a run folder; beside a model file alone nothing is kept.
        part: that was measured.
        evaluation: of the model as it is, on data of its own.
    """
    run_json = run / "run.json"
    if not run_json.is_file() or _facts(run_json)["data"].get("fingerprint") != evaluation.fingerprint:
        return
    try:
        add_result(run, part, evaluation.plain)
    except (RunFolderBusyError, StorageError) as error:
        note(f"the result is not kept in the run: {error}")


def _evaluate_text(
    model_file: Path, split: str, data: str | None, encoding: str | None, device: str, dynamic: bool, cache: bool
) -> AdaptiveEvaluations:
    writer = Writer.load(model_file, device=device)
    if data is None:
        text = text_of_run(model_file, device)
    else:
        text = TextSource.of(data, lowercase=writer.lowercase, encoding=encoding).load(device=device)
    if split == "test" and not text.has_test:
        raise InputError(f"'{text.name}' has no test text; see --split and --data")
    part = text.whole() if data is not None and split == "valid" and text.was_cut else text.part(split)
    if text.tokenizer.to_json() != writer.tokenizer.to_json():  # the numbers must be those that the model knows
        part = part.with_tokens(writer.tokenizer.encode(text.tokenizer.decode(part.tokens)))
    return AdaptiveEvaluations(
        writer.evaluate(part, split),
        dynamic_evaluation(writer, part.tokens, split) if dynamic else None,
        neural_cache(writer, part.tokens, split) if cache else None,
        text.fingerprint,
    )


def _evaluate_images(
    model_file: Path, split: str, data: str | None, tta: bool, coverage: float | None, device: str, precision: str
) -> ImageEvaluation:
    predictor = Predictor.load(model_file, device=device, precision=precision)
    images = images_of_run(model_file, split, device) if data is None else _other_images(predictor, data, device)
    part = images.test if split == "test" else images.valid
    if part is None and data is not None and split == "valid":  # no parts of its own: none was trained on
        part = images.train.as_they_are()
    if part is None:
        others = " (nothing was set aside)" if split == "valid" else " (it has no test/ folder)"
        raise InputError(f"'{images.name}' has no {split} images{others}; see --split and --data")
    own = data is None and split == "valid"
    evaluation = predictor.evaluate(
        batches_as_trained(predictor, part, images.classes), split=split, tta=tta, calibrated_on_them=own
    )
    if coverage is None:
        return ImageEvaluation(evaluation, fingerprint=images.fingerprint)
    if not isinstance(evaluation, Evaluation):
        raise InputError(
            "--coverage measures sets of classes, and this model does not answer with one of several classes"
        )
    sets = predictor.score_sets(evaluation, coverage, calibrated_on_them=own)
    return ImageEvaluation(evaluation, sets, images.fingerprint)


def _other_images(predictor: Predictor, data: str, device: str) -> ImageData:
    """Images from elsewhere, with the kind of target that the model has learned."""
    kind = predictor.answers.kind
    columns = predictor.classes if kind == "number" else None
    # A folder has classes only, and says itself that nothing else is to be had from it.
    settings: dict[str, Any] = {} if kind == "label" else {"target": kind, "columns": columns}
    return ImageSource.of(data, size=predictor.size, valid_fraction=0.0, **settings).load(augment="none", device=device)


def images_of_run(model_file: Path, split: str, device: str) -> ImageData:
    """The images of a run, with the parts cut as they were then.

    Raises:
        InputError: the run does not say which images they were, or it was trained on all of them.
    """
    run_json = _run_json(model_file)
    source, fingerprint = source_of_run(_facts(run_json), run_json)
    if source.fit_all and split == "valid":
        raise InputError(
            "this model was trained on the validation images too (--fit-all), so they say nothing about it; "
            "use --split test, or --data with other images"
        )
    images = source.load(augment="none", device=device)
    if images.fingerprint != fingerprint:
        note(_CHANGED.format(source.name_or_path, "these images"))
    return images


def _is_own(data: str, run_json: Path) -> bool:
    """Whether a path or name is that of the data which a run was trained on."""
    try:
        kept = _facts(run_json)["data"]["name_or_path"]
    except (InputError, KeyError, TypeError):
        return False
    return bool(kept == ImageSource.of(data).name_or_path)


def _run_json(model_file: Path) -> Path:
    """Where a model's run says what it did; the checkpoints of cycles lie one folder deeper."""
    beside = model_file.with_name("run.json")
    above = model_file.parent.with_name("run.json")
    return above if not beside.exists() and above.exists() else beside


def text_of_run(model_file: Path, device: str) -> TextData:
    """The text of a run, with the parts cut as they were then.

    Raises:
        InputError: the run does not say which text it was, or it is not there any more.
    """
    run_json = _run_json(model_file)
    source, fingerprint = TextSource.of_run(_facts(run_json), run_json)
    text = source.load(device=device)
    if text.fingerprint != fingerprint:
        note(_CHANGED.format(source.name_or_path, "this text"))
    return text


def facts_of_run(model_file: Path) -> dict[str, Any]:
    """What `run.json` says of the run that a model file belongs to.

    Raises:
        InputError: there is none that can be read.
    """
    return _facts(_run_json(model_file))


def _facts(run_json: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads(run_json.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"there is no readable {run_json}; name the data with --data") from None
    return facts


def batches_as_trained(predictor: Predictor, part: ImageBatches, classes: list[str]) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of a part, scaled as in the training of the model, with the model's own class numbers.

    Raises:
        InputError: the part has a class that the model does not know.
    """
    unknown = [name for name in classes if name not in predictor.classes]
    if unknown:
        raise InputError(
            f"the model does not know the class '{unknown[0]}': {nearest_name(unknown[0], predictor.classes)}"
        )
    numbers = torch.tensor([predictor.classes.index(name) for name in classes])
    if part.targets.ndim == 1:
        return _rescaled(predictor, part, numbers[part.targets])
    targets = torch.zeros(part.samples, len(predictor.classes))
    targets[:, numbers] = part.targets
    return _rescaled(predictor, part, targets)


def _rescaled(predictor: Predictor, part: ImageBatches, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    for rows in torch.arange(part.samples).split(part.batch_size):
        yield from ImageBatches(
            part.pixels(rows),
            targets[rows],
            predictor.mean,
            predictor.std,
            batch_size=len(rows),
            device=predictor.device,
        )
