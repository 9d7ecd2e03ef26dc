"""How good a model is that gives each image any of several labels."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rushlight.inference.bootstrap import mean_of_images, measured, resampled, with_interval
from rushlight.runtime.errors import NonFiniteError
from rushlight.runtime.measured import Measured, proportion

_LABELS_SHOWN = 30


@dataclass(frozen=True)
class LabelScore:
    """How well one label is recognised.

    Attributes:
        name: the label.
        average_precision: of the images ordered by its probability, the mean precision at each that has it (the area
            under the curve of precision over recall); undefined where none has it.
        precision: of the images that were given it, the part that has it.
        recall: of the images that have it, the part that was given it.
        support: the images that have it.
    """

    name: str
    average_precision: Measured
    precision: Measured
    recall: Measured
    support: int

    def to_json(self) -> dict[str, Any]:
        """Without the name."""
        names = ("average_precision", "precision", "recall")
        return {name: getattr(self, name).to_json() for name in names} | {"support": self.support}


@dataclass(frozen=True)
class LabelsEvaluation:
    """What `evaluate_labels` found.

    Attributes:
        split: which part of the data was looked at.
        classes: the labels, in the order of the outputs.
        mean_average_precision: over the labels that some image has; needs no threshold.
        f1_micro: of all pairs of image and label together.
        f1_macro: the mean over the labels, so that rare ones count as much.
        subset_accuracy: the part of the images whose labels are all right.
        loss: mean binary cross-entropy, in nats a label.
        per_label: one score a label.
        thresholds: (C,) the probability from which a label is given; (N, C) where each image was judged by those that
            were chosen on others.
        probabilities: (N, C).
        targets: (N, C) bool.
        losses: (N,) binary cross-entropy of each image, in nats a label.
        views: the name of the test-time augmentation, `none` without.
    """

    split: str
    classes: list[str]
    mean_average_precision: Measured
    f1_micro: Measured
    f1_macro: Measured
    subset_accuracy: Measured
    loss: Measured
    per_label: list[LabelScore]
    thresholds: np.ndarray
    probabilities: np.ndarray = field(repr=False)
    targets: np.ndarray = field(repr=False)
    losses: np.ndarray = field(repr=False)
    views: str = "none"

    @property
    def n(self) -> int:
        """The images that were evaluated."""
        return len(self.targets)

    @property
    def headline(self) -> tuple[str, str]:
        """The figure to look at first: its name, and what it is."""
        return "Mean average precision", self.mean_average_precision.percent()

    @property
    def decisions(self) -> np.ndarray:
        """(N, C) bool: which labels are given."""
        return self.probabilities >= self.thresholds

    def most_wrong(self, count: int = 9) -> np.ndarray:
        """Positions of images with a wrong set of labels, those with the highest loss first."""
        wrong = np.flatnonzero((self.decisions != self.targets).any(axis=1))
        return wrong[np.argsort(-self.losses[wrong], kind="stable")][:count]

    def truth_in_words(self, row: int) -> str:
        """What an image really has."""
        return ", ".join(name for name, has in zip(self.classes, self.targets[row], strict=True) if has) or "(no label)"

    def answer_in_words(self, row: int) -> str:
        """What was said about it."""
        given = zip(self.classes, self.decisions[row], self.probabilities[row], strict=True)
        return ", ".join(f"{name} {100 * p:.0f} %" for name, is_given, p in given if is_given) or "(no label)"

    def to_json(self) -> dict[str, Any]:
        """The object in `run.json` and from `evaluate --json`; without the images' own outputs."""
        names = ("mean_average_precision", "f1_micro", "f1_macro", "subset_accuracy", "loss")
        return {
            "split": self.split,
            "n": self.n,
            "views": self.views,
            **{name: getattr(self, name).to_json() for name in names},
            "classes": list(self.classes),
            "thresholds": self._thresholds_said(),
            "per_label": {score.name: score.to_json() for score in self.per_label},
        }

    def _thresholds_said(self) -> list[float] | str:
        if self.thresholds.ndim > 1:
            return "chosen on the other images of this part"
        return [round(float(threshold), 6) for threshold in self.thresholds]

    def table(self) -> str:
        """The evaluation as text for a terminal; of more than 30 labels, the worst recognised are shown."""
        views = "" if self.views == "none" else f", test-time augmentation {self.views}"
        lines = [
            f"{self.split}: {self.n:,} images{views}",
            f"mean average precision  {self.mean_average_precision.percent()}",
            f"F1 of all together      {self.f1_micro.percent()}",
            f"F1, mean over labels    {self.f1_macro.percent()}",
            f"all labels right        {self.subset_accuracy.percent()}",
            f"loss                    {self.loss}",
            *(["(each image judged by thresholds that were chosen on the others)"] if self.thresholds.ndim > 1 else []),
            "",
        ]
        shown = self.per_label
        if len(shown) > _LABELS_SHOWN:
            shown = sorted(shown, key=lambda score: (score.support == 0, score.average_precision.value))[:_LABELS_SHOWN]
        width = max(len("label"), *(len(score.name) for score in shown))
        lines.append(f"{'label':<{width}}  images  average precision  precision  recall")
        for score in shown:
            cells = [_cell(each) for each in (score.average_precision, score.precision, score.recall)]
            lines.append(f"{score.name:<{width}}  {score.support:>6,}  {cells[0]:>17}  {cells[1]:>9}  {cells[2]:>6}")
        if len(self.per_label) > len(shown):
            lines.append(f"(the {len(shown)} labels with the lowest average precision, of {len(self.per_label)})")
        return "\n".join(lines)


def evaluate_labels(
    logits: Tensor,
    targets: Tensor,
    classes: list[str],
    split: str,
    *,
    thresholds: np.ndarray | None = None,
    views: str = "none",
) -> LabelsEvaluation:
    """Judge the outputs of a model of several labels.

    Args:
        logits: (N, C) outputs before the sigmoid.
        targets: (N, C), 1 where an image has a label.
        classes: the C labels.
        split: which part of the data this is.
        thresholds: (C,) the probability from which each label is given, or (N, C) for each image; 0.5 if None.
        views: the test-time augmentation behind the outputs.

    Raises:
        NonFiniteError: an output is NaN.
        ValueError: the shapes do not fit each other, or there is nothing to judge.
    """
    outputs = logits.detach().cpu().double()
    if not len(outputs) or outputs.shape != targets.shape or outputs.shape[1] != len(classes):
        raise ValueError(f"logits {tuple(logits.shape)}, targets {tuple(targets.shape)}, {len(classes)} labels differ")
    if outputs.isnan().any():
        raise NonFiniteError(
            f"the model's outputs are not finite ({split}); its training diverged, so train again with a lower "
            "learning rate"
        )
    wanted = targets.detach().cpu().double()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(outputs, wanted, reduction="none").mean(1).numpy()
    probabilities, truth = outputs.sigmoid().numpy(), wanted.numpy() > 0.5
    limits = np.full(len(classes), 0.5) if thresholds is None else np.asarray(thresholds, np.float64)
    given = probabilities >= limits
    count = len(truth)
    f1_micro, f1_macro = with_interval(lambda counts: f1_scores(given, truth, counts), count, len(classes))
    hits, predicted, support = (given & truth).sum(0), given.sum(0), truth.sum(0)
    precisions, mean = average_precisions(probabilities, truth)
    return LabelsEvaluation(
        split=split,
        classes=list(classes),
        mean_average_precision=mean,
        f1_micro=f1_micro,
        f1_macro=f1_macro,
        subset_accuracy=proportion(int((given == truth).all(axis=1).sum()), count),
        loss=mean_of_images(loss),
        per_label=[
            LabelScore(
                name, precisions[i], proportion(hits[i], predicted[i]), proportion(hits[i], support[i]), int(support[i])
            )
            for i, name in enumerate(classes)
        ],
        thresholds=limits,
        probabilities=probabilities,
        targets=truth,
        losses=loss,
        views=views,
    )


def average_precisions(scores: np.ndarray, truth: np.ndarray) -> tuple[list[Measured], Measured]:
    """The average precision of each label, and their mean over the labels that some image has.

    Args:
        scores: (N, C), larger where a label is more likely.
        truth: (N, C) bool.
    """
    count, labels = truth.shape

    def statistic(counts: np.ndarray) -> np.ndarray:
        return np.stack([weighted_average_precision(scores[:, i], truth[:, i], counts) for i in range(labels)], axis=1)

    values = statistic(np.ones((1, count), np.float32))[0]
    draws = resampled(statistic, count, labels) if count > 1 else np.full((1, labels), np.nan)
    each = [measured(float(value), column, int(count)) for value, column in zip(values, draws.T, strict=True)]
    return each, measured(float(_mean(values[None])[0]), _mean(draws), count)


def weighted_average_precision(scores: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Average precision where each image counts so often; images of equal score stand at one place.

    Args:
        scores: (N,).
        truth: (N,) bool.
        counts: (R, N).

    Returns:
        (R,); NaN where no image that counts has the label.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # the last of each group of equal scores
    drawn = counts[:, order]
    seen = np.cumsum(drawn, axis=1, dtype=np.float64)[:, ends]
    found = np.cumsum(drawn * truth[order], axis=1, dtype=np.float64)[:, ends]
    gained = np.diff(found, axis=1, prepend=0)
    total = found[:, -1]
    with np.errstate(invalid="ignore"):
        result: np.ndarray = (gained * found / np.maximum(seen, 1)).sum(axis=1) / np.where(total > 0, total, np.nan)
    return result


def f1_scores(given: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """F1 of all pairs of image and label together ("micro"), and its mean over the labels ("macro").

    A label that no image has and none was given says nothing and is left out of the mean.

    Args:
        given: (N, C) bool.
        truth: (N, C) bool.
        counts: (R, N) how often each image counts.

    Returns:
        (R, 2).
    """
    hits = counts @ (given & truth).astype(np.float32)
    wrong = counts @ (given != truth).astype(np.float32)
    with np.errstate(invalid="ignore"):
        micro = 2 * hits.sum(1) / (2 * hits.sum(1) + wrong.sum(1))
        macro = _mean(2 * hits / (2 * hits + wrong))
    return np.stack([micro, macro], axis=1)


def _mean(rows: np.ndarray) -> np.ndarray:
    """The mean of what is there in each row; NaN of a row where nothing is."""
    there = np.isfinite(rows)
    sums = np.where(there, rows, 0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = sums / np.where(there.any(axis=1), there.sum(axis=1), np.nan)
    return mean


def _cell(score: Measured) -> str:
    return "-" if score.n == 0 or not np.isfinite(score.value) else f"{100 * score.value:.1f} %"
