"""Explain images into a folder of pictures: each with its heat map and a closer look, or the worst in one table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from rushlight.app import plots
from rushlight.app.run_evaluation import batches_as_trained, images_of_run
from rushlight.inference.explain import Check, Explainer, Explanation
from rushlight.inference.explanation_figure import heat_grid
from rushlight.inference.predictor import Predictor, Skipped
from rushlight.runtime.errors import InputError
from rushlight.runtime.run_folder import RunFolder

FOLDER = "explanations"


@dataclass(frozen=True)
class Explained:
    """One image, what a closer look says, and what blurring does.

    Attributes:
        explanation: of the image.
        closer: of its hottest region, then of that one's, as often as was asked for.
        check: what blurring the hottest fifth does; None where it was not asked for.
        picture: where the drawing is.
    """

    explanation: Explanation
    closer: list[Explanation]
    check: Check | None
    picture: Path

    @property
    def agrees(self) -> bool:
        """Whether the last closer look gives the same answer; True where there was none."""
        return not self.closer or self.explanation.prediction.agrees(self.closer[-1].prediction, self.explanation.label)

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints for the image."""
        checked = {} if self.check is None else {"check": {"hottest": self.check.hottest, "random": self.check.random}}
        return {
            **self.explanation.to_json(),
            "closer": [look.prediction.to_json() for look in self.closer],
            "agrees": self.agrees,
            **checked,
            "picture": str(self.picture),
        }


@dataclass(frozen=True)
class ExplainedImages:
    """All of them."""

    images: list[Explained]
    skipped: list[Skipped] = field(default_factory=list)

    def checks(self) -> dict[str, float]:
        """The medians of the falls of the probability, and how often the hottest fifth was missed more."""
        checks = [image.check for image in self.images if image.check is not None]
        if not checks:
            return {}
        return {
            "hottest": median(check.hottest for check in checks),
            "random": median(check.random for check in checks),
            "hottest_missed_more": sum(check.hottest > check.random for check in checks) / len(checks),
        }


def explain_into_folder(
    explainer: Explainer, inputs: Sequence[Any], folder: Path, *, label: str | None, zooms: int, check: bool
) -> ExplainedImages:
    """Explain images, and draw each into a folder.

    Args:
        explainer: of a predictor.
        inputs: files, folders or arrays.
        folder: where the drawings go.
        label: the class to explain; the model's answer if None.
        zooms: how many closer looks to take, each at the hottest region of the one before.
        check: blur the hottest fifth, and as much elsewhere.

    Raises:
        InputError: no image could be read, or another of `Explainer.explain`.
        StorageError: the folder cannot be written.
    """
    explanations = explainer.explain(list(inputs), label)
    if not explanations:
        first = explainer.skipped[0]
        raise InputError(f"none of the images could be read; '{first.source}': {first.reason}")
    names = _names([explanation.source for explanation in explanations])
    done = []
    for explanation, name in zip(explanations, names, strict=True):
        closer: list[Explanation] = []
        for _ in range(zooms):
            closer.append(explainer.zoom(closer[-1] if closer else explanation))
        picture = folder / f"{name}.png"
        plots.save(explanation.figure(closer[0] if closer else None), picture)
        for number, (before, look) in enumerate(pairwise(closer), start=2):
            plots.save(before.figure(look), folder / f"{name}-{number}.png")
        done.append(Explained(explanation, closer, explainer.check(explanation) if check else None, picture))
    return ExplainedImages(done, list(explainer.skipped))


def explain_worst(
    explainer: Explainer, run: Path, count: int, folder: Path, device: str
) -> tuple[Path | None, list[Explanation]]:
    """Draw the validation images that a run is most wrong about, with what speaks for its answers.

    Returns:
        The drawing, and the explanations; None and no explanation where nothing was wrong.

    Raises:
        InputError: the images of the run are not at hand.
    """
    predictor: Predictor = explainer.predictor
    images = images_of_run(RunFolder.find(run), "valid", device)
    if images.valid is None:
        raise InputError(f"'{images.name}' has no validation images, so there are no worst ones")
    evaluation = predictor.evaluate(batches_as_trained(predictor, images.valid, images.classes))
    worst = evaluation.most_wrong(count)
    if not len(worst):
        return None, []
    files = images.files("valid")
    inputs = [files[row] for row in worst] if files is not None else list(images.valid.pixels(worst))
    explanations = explainer.explain(inputs)
    titles = [f"{evaluation.truth_in_words(row)}\nsaid {evaluation.answer_in_words(row)}" for row in worst]
    picture = folder / "worst.png"
    plots.save(heat_grid(explanations, titles), picture)
    return picture, explanations


def _names(sources: Sequence[str]) -> list[str]:
    """A file name for each source, no two the same."""
    seen: dict[str, int] = {}
    names = []
    for source in sources:
        stem = re.sub(r"[^\w.-]+", "-", Path(source).stem).strip("-.") or "image"
        seen[stem] = seen.get(stem, 0) + 1
        names.append(stem if seen[stem] == 1 else f"{stem}-{seen[stem]}")
    return names
