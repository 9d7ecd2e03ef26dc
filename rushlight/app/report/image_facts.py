"""What there is to report about an image classifier: its scores, and example images where the images are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path

import numpy as np

from rushlight.app.report.pictures import PIXELS_SEEN_UP_TO, data_uri
from rushlight.app.report.record import RunRecord
from rushlight.app.report.scores import ImageScores
from rushlight.app.run_evaluation import batches_as_trained, images_of_run
from rushlight.data.batches import ImageBatches
from rushlight.data.images import ImageData
from rushlight.inference.answers import AnyEvaluation
from rushlight.inference.class_maps import METHOD_NAMES
from rushlight.inference.evaluation import Evaluation
from rushlight.inference.explain import Explainer, Explanation
from rushlight.inference.explanation_figure import heat_pixels
from rushlight.inference.predictor import Predictor
from rushlight.runtime.errors import InputError
from rushlight.runtime.measured import Measured

WRONG_SHOWN, SURE_SHOWN, UNSURE_SHOWN = 12, 6, 6
MOST_ANSWERED = 2_000  # validation images that examples are chosen from when a report is made later
# Training images, to see how well it knows what it has learned from: of small images, and of photographs.
SMALL_ASKED, PHOTOGRAPHS_ASKED = 256, 100
_OCCLUSION_UP_TO = 64  # pixels; covering one place after the other takes too long for larger images
_SEED = 0
_OUTPUTS = {"label": "classes", "labels": "labels", "number": "numbers"}


@dataclass(frozen=True)
class Example:
    """One validation image, what it is and what the model says.

    Attributes:
        name: the file, from the folder of the data on; None for images without files.
        truth: its class.
        answer: the model's.
        probability: of that answer.
        runner_up: the next class, with its probability.
        photo: what the model saw, as a `data:` address.
        heat: the same under its heat map; None where there is none.
    """

    name: str | None
    truth: str
    answer: str
    probability: float
    runner_up: tuple[str, float]
    photo: str
    heat: str | None


@dataclass(frozen=True)
class Examples:
    """The images that say most about a classifier.

    Attributes:
        wrong: the surest mistakes, the worst first.
        sure: the surest right answers, of as many classes as there are.
        unsure: those where two classes were nearest to each other.
        asked: how many images they were chosen from.
        of: how many validation images there are.
        method: how the heat was found, in words; None where there is none.
        small: whether each pixel should be seen.
    """

    wrong: list[Example]
    sure: list[Example]
    unsure: list[Example]
    asked: int
    of: int
    method: str | None
    small: bool


@dataclass(frozen=True)
class ImageMaterial:
    """What the facts are made from.

    Attributes:
        predictor: of the model.
        network: its name, and whether it began with published weights.
        data: the images; None where they are not at hand.
        evaluation: on the whole validation part, where one was just made.
        missing: why there are no images, or what is wrong with them.
    """

    predictor: Predictor
    network: tuple[str, bool]
    data: ImageData | None = None
    evaluation: AnyEvaluation | None = None
    missing: str | None = None

    @classmethod
    def of_run(cls, model_file: Path, record: RunRecord, device: str, precision: str) -> ImageMaterial:
        """The model of a run, and its images where they can still be read.

        Raises:
            ModelFileError: the model file cannot be used.
        """
        predictor = Predictor.load(model_file, device=device, precision=precision)
        backbone = predictor.metadata["model_arguments"].get("backbone")
        network = (str(backbone or predictor.metadata["model"]), backbone is not None)
        try:
            data = images_of_run(model_file, "valid", device)
        except InputError as error:
            return cls(predictor, network, missing=str(error))
        changed = data.fingerprint != record.fact("data", "fingerprint")
        note = (
            "The images have changed since the training: some of these may have been trained on." if changed else None
        )
        return cls(predictor, network, data, missing=note)


@dataclass(frozen=True)
class ImageFacts:
    """What the sections of an image classifier tell.

    Attributes:
        record: the words of the run folder.
        scores: on the validation part; None where nothing was measured.
        test: on the test part, where that was looked at.
        training: accuracy on some training images, as they are; None where they are not at hand.
        class_counts: training images of each class, likewise.
        valid_images: how many there are, likewise.
        has_test: whether the data has a test part; None where that is not known.
        examples: see there.
        missing: why there are no examples, or what to know about them.
        model: rows of name and value about the model.
        size: side of the images in pixels.
    """

    record: RunRecord
    scores: ImageScores | None
    test: ImageScores | None
    training: Measured | None
    class_counts: dict[str, int] | None
    valid_images: int | None
    has_test: bool | None
    examples: Examples | None
    missing: str | None
    model: list[tuple[str, str]]
    size: int


def image_facts(record: RunRecord, material: ImageMaterial) -> ImageFacts:
    """Gather them: answers for the validation images are computed once, or taken from the evaluation at hand."""
    predictor, data = material.predictor, material.data
    scores = ImageScores.from_json(record.fact("results", "valid"))
    examples = training = counts = None
    valid = None if data is None else data.valid
    missing = material.missing
    if data is not None:
        counts = data.class_counts("train")
        training = _training_accuracy(predictor, data)
        if valid is None:
            missing = missing or "No images were set aside, so there are none to show."
        else:
            rows, evaluation = _answers(predictor, data, valid, material.evaluation, everything=scores is None)
            examples = _examples(predictor, data, rows, evaluation)
            if len(rows) == valid.samples and (scores is None or not scores.reliability):
                scores = ImageScores.from_json(evaluation.to_json())
    return ImageFacts(
        record,
        scores,
        ImageScores.from_json(record.fact("results", "test")),
        training,
        counts,
        None if valid is None else valid.samples,
        None if data is None else data.has_test,
        examples,
        missing,
        about_model(predictor, *material.network),
        predictor.size,
    )


def _answers(
    predictor: Predictor, data: ImageData, valid: ImageBatches, ready: AnyEvaluation | None, everything: bool
) -> tuple[np.ndarray, Evaluation]:
    """Rows of the validation part, and the evaluation of those."""
    rows = np.arange(valid.samples)
    if isinstance(ready, Evaluation) and ready.n == valid.samples and ready.classes == predictor.classes:
        return rows, ready
    if not everything and valid.samples > MOST_ANSWERED:
        rows = np.sort(np.random.default_rng(_SEED).permutation(valid.samples)[:MOST_ANSWERED])
    return rows, _evaluated(predictor, valid.subset(rows), data)


def _training_accuracy(predictor: Predictor, data: ImageData) -> Measured:
    part = data.train.as_they_are()
    asked = SMALL_ASKED if predictor.size <= PIXELS_SEEN_UP_TO else PHOTOGRAPHS_ASKED
    rows = np.sort(np.random.default_rng(_SEED).permutation(part.samples)[:asked])
    return _evaluated(predictor, part.subset(rows), data).accuracy


def _evaluated(predictor: Predictor, part: ImageBatches, data: ImageData) -> Evaluation:
    evaluation = predictor.evaluate(batches_as_trained(predictor, part, data.classes))
    assert isinstance(evaluation, Evaluation)  # other kinds of target have a page of their own
    return evaluation


def _examples(predictor: Predictor, data: ImageData, rows: np.ndarray, evaluation: Evaluation) -> Examples:
    wrong = evaluation.most_wrong(WRONG_SHOWN)
    sure = _surest(evaluation, SURE_SHOWN)
    unsure = _least_sure(evaluation, UNSURE_SHOWN, without={*wrong.tolist(), *sure.tolist()})
    chosen = [*wrong, *sure, *unsure]
    part = data.part("valid")
    files = data.files("valid")
    pixels = part.pixels(rows[chosen])
    inputs = [files[row] for row in rows[chosen]] if files is not None else list(pixels)
    explanations, method = explained(predictor, inputs)
    names = _names(files, rows[chosen])
    made = []
    for place, (name, own) in enumerate(zip(names, pixels, strict=True)):
        probabilities = evaluation.probabilities[chosen[place]]
        first, second = np.argsort(-probabilities, kind="stable")[:2]
        explanation = explanations.get(place)
        made.append(
            Example(
                name,
                evaluation.classes[evaluation.targets[chosen[place]]],
                evaluation.classes[first],
                float(probabilities[first]),
                (evaluation.classes[second], float(probabilities[second])),
                data_uri(own if explanation is None else explanation.pixels),
                None if explanation is None else data_uri(heat_pixels(explanation)),
            )
        )
    ends = np.cumsum([len(wrong), len(sure)])
    return Examples(
        made[: ends[0]],
        made[ends[0] : ends[1]],
        made[ends[1] :],
        len(rows),
        part.samples,
        None if method is None else METHOD_NAMES[method],
        predictor.size <= PIXELS_SEEN_UP_TO,
    )


def _surest(evaluation: Evaluation, count: int) -> np.ndarray:
    """The surest right answers: the first of every class before the second of any."""
    right = np.flatnonzero(evaluation.predictions == evaluation.targets)
    order = right[np.argsort(-evaluation.probabilities[right].max(axis=1), kind="stable")]
    seen: dict[int, int] = {}
    turns = []
    for row in order:
        label = int(evaluation.targets[row])
        turns.append(seen.setdefault(label, 0))
        seen[label] += 1
    return order[np.argsort(turns, kind="stable")][:count]


def _least_sure(evaluation: Evaluation, count: int, without: set[int]) -> np.ndarray:
    """Where the two likeliest classes were nearest to each other."""
    two = -np.partition(-evaluation.probabilities, 1, axis=1)[:, :2]
    order = np.argsort(two[:, 0] - two[:, 1], kind="stable")
    return np.array([row for row in order if int(row) not in without][:count], dtype=np.int64)


def explained(predictor: Predictor, inputs: Sequence[Path | np.ndarray]) -> tuple[dict[int, Explanation], str | None]:
    """Explanations by position, and the method; none where the network keeps no places and is large."""
    if not inputs:
        return {}, None
    for method in ("auto", "occlusion"):
        try:
            found = Explainer(predictor, method).explain(list(inputs))
        except InputError:
            if predictor.size > _OCCLUSION_UP_TO:
                break
            continue
        names = [str(item) if isinstance(item, Path) else f"image {place}" for place, item in enumerate(inputs)]
        by_source = {explanation.source: explanation for explanation in found}
        by_place = {place: by_source[name] for place, name in enumerate(names) if name in by_source}
        return by_place, found[0].method if found else None
    return {}, None


def _names(files: list[Path] | None, rows: np.ndarray) -> list[str | None]:
    """Files from the folder on that all of the part share."""
    if files is None:
        return [None] * len(rows)
    try:
        root = Path(commonpath([path.parent for path in files]))
    except ValueError:  # on different drives
        return [files[row].name for row in rows]
    return [str(files[row].relative_to(root)) for row in rows]


def about_model(predictor: Predictor, network: str, is_pretrained: bool) -> list[tuple[str, str]]:
    """Rows of name and value about a model."""
    parameters = sum(parameter.numel() for parameter in predictor.model.parameters())
    return [
        ("network", network),
        ("begun from", "published weights" if is_pretrained else ""),
        ("parameters", f"{parameters:,}"),
        ("image size", f"{predictor.size} by {predictor.size} pixels"),
        (_OUTPUTS[predictor.answers.kind], f"{len(predictor.classes):,}"),
        ("temperature", f"{predictor.calibration.temperature:.3f}"),
    ]
