"""The sections of the report of a model of several labels or of numbers, each a function from the facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rushlight.app.evaluation_pictures import label_scores, predicted_numbers
from rushlight.app.report import words
from rushlight.app.report.image_facts import ImageMaterial, about_model, explained
from rushlight.app.report.pictures import PIXELS_SEEN_UP_TO, data_uri, figure_uri
from rushlight.app.report.record import RunRecord
from rushlight.app.report.sections import Figure, Headline, Section, curves_section, figure_of, origin_section
from rushlight.app.run_evaluation import batches_as_trained
from rushlight.inference.class_maps import METHOD_NAMES
from rushlight.inference.explanation_figure import heat_pixels
from rushlight.inference.labels_evaluation import LabelsEvaluation
from rushlight.inference.number_evaluation import NumberEvaluation, in_its_unit
from rushlight.runtime.measured import Measured

WRONG_SHOWN = 12


@dataclass(frozen=True)
class Mistake:
    """One validation image, what is right about it and what the model says.

    Attributes:
        truth: what is right.
        answer: what was said.
        photo: what the model saw, as a `data:` address.
        heat: the same under its heat map; None where there is none.
        evidence: what the heat is, in words.
    """

    truth: str
    answer: str
    photo: str
    heat: str | None
    evidence: str


@dataclass(frozen=True)
class TargetFacts:
    """What the sections tell.

    Attributes:
        record: the words of the run folder.
        evaluation: of the validation part; None where it is not at hand.
        mistakes: the images that are most wrong, the worst first.
        method: how the heat was found, in words.
        missing: why there is no evaluation, or what to know about it.
        model: rows of name and value about the model.
        small: whether each pixel of the images should be seen.
    """

    record: RunRecord
    evaluation: LabelsEvaluation | NumberEvaluation | None
    mistakes: list[Mistake]
    method: str | None
    missing: str | None
    model: list[tuple[str, str]]
    small: bool


def target_facts(record: RunRecord, material: ImageMaterial) -> TargetFacts:
    """Gather them; the validation images are answered once, or taken from the evaluation at hand."""
    predictor, data = material.predictor, material.data
    model = about_model(predictor, *material.network)
    small = predictor.size <= PIXELS_SEEN_UP_TO
    if data is None or data.valid is None:
        missing = material.missing or "No images were set aside, so there are none to measure on."
        return TargetFacts(record, None, [], None, missing, model, small)
    evaluation: Any = material.evaluation
    if evaluation is None:
        evaluation = predictor.evaluate(batches_as_trained(predictor, data.valid, data.classes))
    worst = evaluation.most_wrong(WRONG_SHOWN)
    files, pixels = data.files("valid"), data.valid.pixels(worst)
    inputs = [files[row] for row in worst] if files is not None else list(pixels)
    explanations, method = explained(predictor, inputs)
    mistakes = []
    for place, row in enumerate(worst):
        found = explanations.get(place)
        mistakes.append(
            Mistake(
                evaluation.truth_in_words(int(row)),
                evaluation.answer_in_words(int(row)),
                data_uri(pixels[place] if found is None else found.pixels),
                None if found is None else data_uri(heat_pixels(found)),
                "" if found is None else found.evidence,
            )
        )
    name = None if method is None else METHOD_NAMES[method]
    return TargetFacts(record, evaluation, mistakes, name, material.missing, model, small)


def headline(facts: TargetFacts) -> Headline:
    """The result in one sentence, and the figures beside it."""
    record, evaluation = facts.record, facts.evaluation
    figures: list[Figure] = []
    sentence = "How good this model is was not measured."
    if isinstance(evaluation, LabelsEvaluation):
        name, told = evaluation.headline
        sentence = f"{name} on images it has not learned from: {told}."
        for name, quantity in (
            ("mean average precision", evaluation.mean_average_precision),
            ("F1, all labels together", evaluation.f1_micro),
            ("all labels right", evaluation.subset_accuracy),
        ):
            interval = words.percent_interval(quantity)
            figures.append(Figure(name, words.percent(quantity), f"{words.INTERVAL}: {interval}" if interval else ""))
    elif evaluation is not None:
        name, told = evaluation.headline
        sentence = f"{name} on images it has not learned from: {told}."
        figures += figure_of("explained variance R2", evaluation.r2, places=3)
    seconds = record.fact("seconds")
    if isinstance(seconds, (int, float)):
        figures.append(Figure("took", words.duration(seconds)))
    notes = [] if facts.missing is None else [facts.missing]
    return Headline(record.folder.resolve().name, sentence, figures, notes)


def scores_section(facts: TargetFacts) -> Section | None:
    """Label by label, or number by number, with the drawing."""
    evaluation = facts.evaluation
    if evaluation is None:
        return None
    if isinstance(evaluation, LabelsEvaluation):
        header = ["label", "images", "average precision", "precision", "recall"]
        rows = [
            [
                score.name,
                f"{score.support:,}",
                *(_percent(each) for each in (score.average_precision, score.precision, score.recall)),
            ]
            for score in evaluation.per_label
        ]
        picture, title = label_scores(evaluation), "Label by label"
        told = "Average precision of each label with its 95 % interval, beside what guessing would give."
    else:
        header = ["number", "mean absolute error", "root mean square error", "explained variance R2"]
        rows = [
            [
                score.name,
                in_its_unit(score.mean_absolute_error),
                in_its_unit(score.root_mean_square_error),
                str(score.r2),
            ]
            for score in evaluation.per_number
        ]
        picture, title = predicted_numbers(evaluation), "How far off"
        told = "Each dot is a validation image: the answer over what is right. Right answers lie on the dashed line."
    values = {"header": header, "rows": rows, "picture": figure_uri(picture), "told": told}
    return Section("scores", title, "target_scores.html", values)


def mistakes_section(facts: TargetFacts) -> Section | None:
    """The images that are most wrong."""
    if facts.evaluation is None:
        return None
    values = {"mistakes": facts.mistakes, "method": facts.method, "of": facts.evaluation.n, "small": facts.small}
    return Section("mistakes", "Its worst mistakes", "target_mistakes.html", values)


def learning_section(facts: TargetFacts) -> Section | None:
    """The curves; None where no epoch was recorded."""
    unit = "nats a label" if isinstance(facts.evaluation, LabelsEvaluation) else "squared deviations"
    return curves_section(facts.record, unit) if facts.record.history else None


def made_section(facts: TargetFacts) -> Section:
    """How to make the run again."""
    return origin_section(facts.record, facts.model)


SECTIONS: Sequence[Callable[[TargetFacts], Section | None]] = [
    scores_section,
    mistakes_section,
    learning_section,
    made_section,
]


def _percent(quantity: Measured) -> str:
    if not np.isfinite(quantity.value):
        return "none to measure"
    interval = words.percent_interval(quantity)
    return f"{words.percent(quantity)} ({interval})" if interval else words.percent(quantity)
