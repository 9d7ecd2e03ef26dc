"""The lecture's ladder: seven models for CIFAR-10, each with its recipe, beside the figures that were printed then.

From a fully connected net to a wide residual one, every rung adds one idea. The recipes are the lecture's: stochastic
gradient descent with momentum 0.9, batches of 256, random flips and padded crops, first a constant rate, then cosine
annealing with warm restarts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from rushlight.data.images import ImageData
from rushlight.inference.evaluation import Evaluation
from rushlight.runtime.errors import InputError
from rushlight.runtime.measured import Measured, mean_of_runs
from rushlight.studies.stages import Stage
from rushlight.tasks.image_classifier import ImageClassifier
from rushlight.training.callbacks import Callback

BATCH_SIZE = 256


@dataclass(frozen=True)
class Rung:
    """A model of the ladder with its recipe and what the lecture printed.

    Attributes:
        number: its place.
        model: its name in `MODELS`.
        stages: what to train, in order.
        lecture: accuracy at the end of the lecture's training, on the 10,000 test images of the original CIFAR-10.
        weight_decay: coupled, as L2.
        tta: whether the lecture's figure was with test-time augmentation.
    """

    number: int
    model: str
    stages: tuple[Stage, ...]
    lecture: float
    weight_decay: float = 0.0
    tta: bool = False

    @property
    def epochs(self) -> int:
        """Of the whole recipe."""
        return sum(stage.total_epochs for stage in self.stages)


_LONG = (
    Stage(1e-2, epochs=2),
    Stage(1e-2, cycles=3, cycle_multiplier=2),
    Stage(1e-2, cycles=8, cycle_length=4),
)

RUNGS = (
    Rung(1, "fully_connected", (Stage(1e-2, epochs=2), Stage(1e-2, cycles=2)), lecture=0.475),
    Rung(2, "convolutions", (Stage(1e-1, epochs=2), Stage(1e-1, cycles=4)), lecture=0.601),
    Rung(3, "conv_layers", (Stage(1e-1, epochs=2), Stage(1e-1, cycles=2)), lecture=0.561),
    Rung(4, "batch_norm_net", (Stage(3e-2, epochs=2), Stage(1e-1, cycles=4)), lecture=0.702),
    Rung(5, "deep_net", (Stage(1e-2, epochs=2), Stage(1e-2, cycles=2)), lecture=0.655),
    Rung(6, "residual_net", _LONG, lecture=0.797, weight_decay=1e-5),
    Rung(7, "wide_residual_net", _LONG, lecture=0.85, weight_decay=1e-6, tta=True),
)


@dataclass(frozen=True)
class RungResult:
    """What one rung reached, over all seeds."""

    rung: Rung
    parameters: int
    epochs: int
    seconds_an_epoch: float
    evaluations: list[Evaluation]

    @property
    def accuracies(self) -> list[float]:
        """One a seed."""
        return [evaluation.accuracy.value for evaluation in self.evaluations]

    @property
    def accuracy(self) -> Measured:
        """Of one seed, with its Wilson interval; of several their mean, with the t interval over seeds."""
        return self.evaluations[0].accuracy if len(self.evaluations) == 1 else mean_of_runs(self.accuracies)

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "rung": self.rung.number,
            "model": self.rung.model,
            "parameters": self.parameters,
            "epochs": self.epochs,
            "seconds_an_epoch": round(self.seconds_an_epoch, 2),
            "accuracy": self.accuracy.to_json(),
            "median_accuracy": median(self.accuracies),
            "accuracies": self.accuracies,
            "tta": self.rung.tta,
            "lecture": self.rung.lecture,
        }


@dataclass(frozen=True)
class LadderResult:
    """The whole table."""

    data: str
    split: str
    seeds: int
    rows: list[RungResult]

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        rows = [row.to_json() for row in self.rows]
        return {"data": self.data, "split": self.split, "seeds": self.seeds, "rungs": rows}

    def table(self) -> str:
        """Markdown, with the lecture's figure beside each of ours."""
        several = self.seeds > 1
        head = ["rung", "model", "parameters", "epochs", "s an epoch"]
        head += ["median" if several else "accuracy", "mean, 95 %" if several else "95 %", "lecture"]
        lines = []
        for row in self.rows:
            low, high = row.accuracy.interval or (row.accuracy.value,) * 2
            interval = f"{100 * low:.1f} to {100 * high:.1f}"
            lines.append(
                [
                    str(row.rung.number),
                    row.rung.model.replace("_", " ") + (", TTA" if row.rung.tta else ""),
                    f"{row.parameters:,}",
                    str(row.epochs),
                    f"{row.seconds_an_epoch:.1f}",
                    f"{100 * median(row.accuracies):.1f} %",
                    f"{100 * row.accuracy.value:.1f} ({interval})" if several else interval,
                    f"{100 * row.rung.lecture:.1f} %",
                ]
            )
        return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *lines])


def run_ladder(
    data: Callable[[int], ImageData],
    rungs: Iterable[int] = range(1, 8),
    seeds: Sequence[int] = (0,),
    *,
    epochs_scale: float = 1.0,
    equal_epochs: int | None = None,
    lr: float | None = None,
    device: str = "auto",
    precision: str = "auto",
    callbacks: Sequence[Callback] = (),
    report: Callable[[str], None] = lambda line: None,
) -> LadderResult:
    """Train rungs of the ladder with the lecture's recipes.

    The recipes are fixed, so nothing is chosen: data should give all of the training images, and the test part, where
    there is one, is looked at once, at the end of each training.

    Args:
        data: makes the data for a seed.
        rungs: numbers from 1 to 7.
        seeds: every rung is trained once for each.
        epochs_scale: multiplies the epochs of every recipe.
        equal_epochs: instead of the recipes, this many epochs for every rung, one cosine after a short warm-up.
        lr: with `equal_epochs`, the rate for every rung; default: the rung's own.
        device: as for `ImageClassifier`.
        precision: as for `ImageClassifier`.
        callbacks: for every training.
        report: is told what is going on, a line at a time.

    Raises:
        InputError: there is no such rung, or a number is out of range.
    """
    chosen = [_rung(number) for number in rungs]
    if not epochs_scale > 0:
        raise InputError(f"the epochs scale must be more than 0, not {epochs_scale}")
    if equal_epochs is not None and equal_epochs < 1:
        raise InputError(f"equal epochs must be at least 1, not {equal_epochs}")
    rows = []
    name = split = ""
    for rung in chosen:
        evaluations, seconds, parameters, epochs = [], 0.0, 0, 0
        for seed in seeds:
            images = data(seed)
            split = "test" if images.has_test else "valid"
            name = images.name
            classifier = ImageClassifier(
                images,
                rung.model,
                optimizer="momentum",
                label_smoothing=0.0,
                seed=seed,
                device=device,
                precision=precision,
            )
            report(f"rung {rung.number}, {rung.model.replace('_', ' ')}, seed {seed}")
            started = time.perf_counter()
            _train(classifier, rung, epochs_scale, equal_epochs, lr, callbacks)
            seconds += time.perf_counter() - started
            epochs = classifier.learner.epoch
            evaluations.append(classifier.evaluate(split, tta=rung.tta))
            parameters = sum(p.numel() for p in classifier.learner.model.parameters())
        rows.append(RungResult(rung, parameters, epochs, seconds / len(seeds) / epochs, evaluations))
    return LadderResult(name, split, len(seeds), rows)


def _train(
    classifier: ImageClassifier,
    rung: Rung,
    scale: float,
    equal_epochs: int | None,
    lr: float | None,
    callbacks: Sequence[Callback],
) -> None:
    if equal_epochs is not None:
        classifier.fit(
            equal_epochs,
            lr=lr or max(stage.lr for stage in rung.stages),
            schedule="one_cycle",
            weight_decay=rung.weight_decay,
            callbacks=callbacks,
        )
        return
    with classifier.learner.callbacks_for_one_fit(callbacks):
        for stage in rung.stages:
            stage.run(classifier.learner, scale, rung.weight_decay)


def _rung(number: int) -> Rung:
    if not 1 <= number <= len(RUNGS):
        raise InputError(f"the ladder has rungs 1 to {len(RUNGS)}, so there is no rung {number}")
    return RUNGS[number - 1]
