"""Pictures of an evaluation, for each kind of target: what is taken for what, and how far off the answers are.

To draw for another kind: a function that draws into a folder, and its line in `PICTURES`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from rushlight.app import plots
from rushlight.inference.evaluation import Evaluation
from rushlight.inference.labels_evaluation import LabelsEvaluation
from rushlight.inference.number_evaluation import NumberEvaluation, in_its_unit
from rushlight.runtime.figures import as_written

_LABELS_DRAWN = 40
_COLUMNS_DRAWN = 6


def draw_evaluation(evaluation: Any, folder: Path) -> None:
    """Draw an evaluation into a folder.

    Args:
        evaluation: of any kind of target.
        folder: where the pictures go.
    """
    PICTURES[type(evaluation)](evaluation, folder)


def _of_classes(evaluation: Evaluation, folder: Path) -> None:
    plots.save(plots.reliability(evaluation), folder / "reliability.png")
    plots.save(plots.confusion_matrix(evaluation.confusion, evaluation.classes), folder / "confusion.png")


def _of_labels(evaluation: LabelsEvaluation, folder: Path) -> None:
    plots.save(label_scores(evaluation), folder / "labels.png")


def _of_numbers(evaluation: NumberEvaluation, folder: Path) -> None:
    plots.save(predicted_numbers(evaluation), folder / "predicted.png")


PICTURES: dict[type, Callable[[Any, Path], None]] = {
    Evaluation: _of_classes,
    LabelsEvaluation: _of_labels,
    NumberEvaluation: _of_numbers,
}


def label_scores(evaluation: LabelsEvaluation) -> Figure:
    """The average precision of each label with its interval, beside what guessing would give; the best on top.

    Of more than 40 labels the worst are drawn.
    """
    scores = [score for score in evaluation.per_label if score.support]
    scores = sorted(scores, key=lambda score: score.average_precision.value)[:_LABELS_DRAWN]
    figure = Figure(figsize=(6.5, max(2.4, 1.3 + 0.3 * len(scores))), layout="constrained")
    axes = figure.subplots()
    places = range(len(scores))
    values = [score.average_precision.value for score in scores]
    bounds = [score.average_precision.interval or (value, value) for score, value in zip(scores, values, strict=True)]
    low = [max(0.0, value - ends[0]) for value, ends in zip(values, bounds, strict=True)]
    high = [max(0.0, ends[1] - value) for value, ends in zip(values, bounds, strict=True)]
    axes.errorbar(values, places, xerr=[low, high], fmt="o", color="tab:blue", capsize=3, label="the model")
    guessing = [score.support / evaluation.n for score in scores]
    axes.plot(guessing, places, "|", color="0.4", markersize=11, label="guessing: the part that has the label")
    axes.set_yticks(places, [f"{as_written(plots.shortened(score.name, 24))} ({score.support:,})" for score in scores])
    axes.set(xlim=(-0.02, 1.02), xlabel="average precision", ylim=(-0.6, len(scores) - 0.4))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.set_title(f"{evaluation.n:,} images, mean {100 * evaluation.mean_average_precision.value:.1f} %")
    axes.grid(axis="x", color="0.9")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure


def predicted_numbers(evaluation: NumberEvaluation) -> Figure:
    """The answers over what is right, a drawing for each of at most six numbers; right answers lie on the line."""
    drawn = len(evaluation.classes[:_COLUMNS_DRAWN])
    columns = min(3, drawn)
    rows = -(-drawn // columns)
    figure = Figure(figsize=(4.6 * columns, 4.6 * rows), layout="constrained")
    for number, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if number >= drawn:
            axes.set_axis_off()
            continue
        score, truth, answer = (
            evaluation.per_number[number],
            evaluation.targets[:, number],
            evaluation.values[:, number],
        )
        low, high = min(truth.min(), answer.min()), max(truth.max(), answer.max())
        margin = 0.04 * (high - low) or 1.0
        ends = (low - margin, high + margin)
        axes.plot(ends, ends, color="0.6", linestyle="--", linewidth=1)
        axes.plot(truth, answer, ".", color="tab:blue", alpha=0.6 if len(truth) < 1000 else 0.2)
        axes.set(xlim=ends, ylim=ends, aspect="equal")
        axes.set_xlabel(f"{as_written(score.name)}, what is right")
        axes.set_ylabel("answer of the model")
        axes.set_title(
            f"mean absolute error {in_its_unit(score.mean_absolute_error).partition(' (')[0]}, "
            f"R2 {score.r2.value:.2f}, {evaluation.n:,} images",
            fontsize=9,
        )
    return figure
