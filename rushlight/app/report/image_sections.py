"""The sections of an image classifier's report, each a function from the facts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.app.report import words
from rushlight.app.report.charts import reliability_chart
from rushlight.app.report.image_advice import image_advice
from rushlight.app.report.image_facts import ImageFacts
from rushlight.app.report.scores import ImageScores, Reliability
from rushlight.app.report.sections import (
    Chart,
    Figure,
    Headline,
    Section,
    advice_section,
    curves_section,
    figure_of,
    origin_section,
)

MATRIX_UP_TO = 12  # classes; with more, the confused pairs are told and not the table
CLASSES_SHOWN = 40
PAIRS_SHOWN = 10


def headline(facts: ImageFacts) -> Headline:
    """The result in one sentence, and the figures beside it."""
    scores, test = facts.scores, facts.test
    figures = [] if scores is None else [_accuracy("validation", scores)]
    if test is not None:
        figures.append(_accuracy("test", test))
    if scores is not None:
        figures += figure_of("loss", scores.loss, " nats")
        if scores.calibration_error is not None:
            error = words.percent(scores.calibration_error.value)
            figures.append(Figure("calibration error", error, "between how sure it is and how often it is right"))
    if facts.class_counts is not None:
        total = sum(facts.class_counts.values())
        figures.append(Figure("learned from", words.count(total), words.plural(len(facts.class_counts), "class")))
    seconds = facts.record.fact("seconds")
    if isinstance(seconds, (int, float)):
        figures.append(Figure("took", words.duration(seconds)))
    return Headline(facts.record.folder.resolve().name, _sentence(facts), figures, _notes(facts), _aside(facts))


def next_section(facts: ImageFacts) -> Section:
    """What to do next."""
    return advice_section(image_advice(facts))


def learning_section(facts: ImageFacts) -> Section | None:
    """The curves; None where no epoch was recorded."""
    return curves_section(facts.record, "nats an image") if facts.record.history else None


def classes_section(facts: ImageFacts) -> Section | None:
    """How well each class is recognised, the worst first."""
    scores = facts.scores
    if scores is None or not scores.per_class:
        return None
    order = sorted(
        scores.per_class, key=lambda row: (row.recall is None, 0 if row.recall is None else row.recall.value)
    )
    values = {
        "rows": order[:CLASSES_SHOWN],
        "left_out": len(order) - min(len(order), CLASSES_SHOWN),
        "counts": facts.class_counts,
    }
    return Section("classes", "Class by class", "classes.html", values)


def confusion_section(facts: ImageFacts) -> Section | None:
    """Which class is taken for which: the whole table where it is small, and the pairs."""
    scores = facts.scores
    if scores is None or scores.confusion is None:
        return None
    counts, classes = scores.confusion, scores.classes
    rows = []
    if len(classes) <= MATRIX_UP_TO:
        for name, row in zip(classes, counts.tolist(), strict=True):
            total = max(1, sum(row))
            rows.append((name, [(count, round(count / total, 3)) for count in row]))
    values: dict[str, Any] = {
        "classes": classes,
        "rows": rows,
        "tall": max(map(len, classes)) > 4 and len(classes) > 3,
        "pairs": scores.most_confused(PAIRS_SHOWN) if len(classes) > 2 else [],
        "mistakes": scores.mistakes,
        "images": scores.accuracy.n,
    }
    return Section("confusions", "What it takes for what", "confusion.html", values)


def reliability_section(facts: ImageFacts) -> Section | None:
    """Whether it is as sure as it is right."""
    scores = facts.scores
    if scores is None or not scores.reliability:
        return None
    title = "How often the model is right, against how sure it says it is"
    told = ". ".join(_told(found) for found in scores.reliability)
    chart = Chart(
        reliability_chart(title, f"{told}.", scores.reliability),
        f"Each dot is the answers of about one probability, with its {words.INTERVAL} interval. On the dashed line the "
        "model is right as often as it says; below it, it boasts. The bars are how many answers there were.",
    )
    values = {"drawn": chart, "error": scores.calibration_error, "bins": scores.reliability}
    return Section("reliability", "As sure as it is right?", "reliability.html", values)


def wrong_section(facts: ImageFacts) -> Section:
    """Its surest mistakes."""
    return Section("mistakes", "Its worst mistakes", "mistakes.html", _of_examples(facts))


def sure_section(facts: ImageFacts) -> Section | None:
    """What it is sure of and right about, and what it cannot decide."""
    if facts.examples is None:
        return None
    return Section("examples", "Sure, and unsure", "examples.html", _of_examples(facts))


def made_section(facts: ImageFacts) -> Section:
    """How to make the run again."""
    return origin_section(facts.record, facts.model)


SECTIONS: list[Callable[[ImageFacts], Section | None]] = [
    next_section,
    learning_section,
    classes_section,
    confusion_section,
    wrong_section,
    sure_section,
    reliability_section,
    made_section,
]


def _of_examples(facts: ImageFacts) -> dict[str, Any]:
    return {"examples": facts.examples, "missing": facts.missing, "size": facts.size, "scores": facts.scores}


def _accuracy(part: str, scores: ImageScores) -> Figure:
    interval = words.percent_interval(scores.accuracy)
    about = f"{words.INTERVAL}: {interval}; {words.plural(scores.accuracy.n, 'image')}" if interval else ""
    return Figure(f"accuracy ({part})", words.percent(scores.accuracy), about)


def _sentence(facts: ImageFacts) -> str:
    scores, seen = facts.test or facts.scores, "test" if facts.test is not None else "validation"
    if scores is None:
        return "How good this model is was not measured."
    accuracy = scores.accuracy
    interval = words.percent_interval(accuracy)
    between = f" ({words.INTERVAL} interval {interval})" if interval else ""
    return (
        f"It gives the right answer for {words.percent(accuracy)} of images it has not learned from{between}, measured "
        f"on {words.plural(accuracy.n, f'{seen} image')} of {words.plural(len(scores.classes), 'class')}."
    )


def _notes(facts: ImageFacts) -> list[str]:
    notes = []
    if not facts.record.facts:
        notes.append("The run folder has no run.json, so the command, versions and results of the run are not known.")
    if facts.record.fact("data", "fit_all"):
        notes.append("The model was trained on the validation images too: nothing was left to measure it with.")
    return notes


def _aside(facts: ImageFacts) -> str:
    if facts.scores is None:
        return ""
    if facts.test is not None:
        return "Choices were made by the validation images; the test images played no part before the end."
    return (
        "The validation images are there to choose by: the best of many models looks a little better there than it is."
    )


def _told(found: Reliability) -> str:
    return (
        f"{found.right.n:,} answers were {words.percent(found.confidence)} sure, "
        f"and {words.percent(found.right)} of them right"
    )
