"""The parts of a report: figures in words, charts, the command typed again, and the advice that evidence leads to."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rushlight.app.report import words
from rushlight.app.report.advice import validation_trend
from rushlight.app.report.charts import Line, line_chart
from rushlight.app.report.image_advice import image_advice
from rushlight.app.report.image_facts import ImageFacts
from rushlight.app.report.record import RunRecord
from rushlight.app.report.scores import ImageScores, TextScores
from rushlight.app.report.text_advice import text_advice
from rushlight.app.report.text_facts import Baseline, TextFacts
from rushlight.inference.evaluation import Evaluation, evaluate_logits
from rushlight.runtime.measured import Measured, proportion
from tests.app.report.conftest import Page


def record(history: list[float] = (), **facts: Any) -> RunRecord:
    rows = [
        {"epoch": epoch, "lr": 0.1, "valid_loss": Measured(loss, None, 100, None).to_json()}
        for epoch, loss in enumerate(history, start=1)
    ]
    return RunRecord(Path("runs/images/photos-1"), facts, rows)


# --- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "told"), [(3.21, "3.2 s"), (38, "38 s"), (725, "12 min 5 s"), (7440, "2 h 4 min"), (59.7, "1 min 0 s")]
)
def test_durations(seconds: float, told: str) -> None:
    assert words.duration(seconds) == told


@pytest.mark.parametrize(
    ("number", "told"), [(820, "820"), (15_300, "15.3 thousand"), (370_037, "370 thousand"), (3_400_000, "3.4 million")]
)
def test_large_numbers(number: int, told: str) -> None:
    assert words.large(number) == told


def test_one_is_not_many() -> None:
    assert [words.plural(n, "class") for n in (1, 2)] == ["1 class", "2 classes"]


@given(st.text(max_size=60), st.integers(3, 40))
def test_a_shortened_name_is_no_longer_than_asked(name: str, length: int) -> None:
    short = words.shortened(name, length)
    assert len(short) <= length
    assert short == name or "…" in short


# --- charts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5], [1e-6, 3e-6], [0, 1e6], list(np.linspace(-1, 1, 3000)), [0, 0]])
def test_a_chart_of_any_values_stays_within_its_frame(values: list[float]) -> None:
    line = Line("loss", list(enumerate(values)), band=[(value - 0.1, value + 0.1) for value in values])
    page = Page(str(line_chart("t <", "d &", [line], x_label="x", y_label="y")))
    (drawn,) = page.all("polyline")
    places = [tuple(map(float, place.split(","))) for place in drawn["points"].split()]
    assert 0 < len(places) <= 500
    assert all(0 <= x <= 380 and 0 <= y <= 250 for x, y in places)
    assert not page.all("script")
    assert "nan" not in page.html


def test_a_part_of_one_has_no_tick_beyond_all() -> None:
    line = Line("accuracy", [(1, 0.96), (2, 0.999)], band=[(0.9, 0.97), (0.98, 1.0)])
    text = Page(str(line_chart("t", "d", [line], x_label="epoch", y_label="accuracy", percent=True))).text
    assert "100" in text
    assert "102" not in text


# --- the record ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "changes", "expected"),
    [
        ("train images a --minutes 3 --seed 1 --output x", {"minutes": 6}, "train images a --seed 1 --minutes 6"),
        ("train images photos --minutes=3 --json", {"minutes": 6}, "train images photos --minutes 6"),
        ("demo", {"minutes": 6}, "train images digits --minutes 6"),
        ("train text book.txt", {"minutes": 6}, "train images digits --minutes 6"),
    ],
)  # fmt: skip
def test_the_command_is_typed_again_with_other_settings(typed: str, changes: dict[str, Any], expected: str) -> None:
    run = record(command=["rushlight", *typed.split()], data={"name_or_path": "digits"})
    assert " ".join(run.command_with("images", **changes)) == expected


def test_a_trend_takes_some_epochs() -> None:
    assert validation_trend(record([3, 2, 1])) is None
    falling = validation_trend(record([3, 2, 1.5, 1.2, 1.0]))
    assert falling is not None
    assert falling.is_falling
    assert not falling.has_risen
    rising = validation_trend(record([3, 2, 1, 1.2, 1.4]))
    assert rising is not None
    assert rising.has_risen
    assert rising.best_epoch == 3


# --- scores ----------------------------------------------------------------------------------------------------------


def judged(classes: int = 3, n: int = 300, wrong: int = 30) -> Evaluation:
    """An evaluation with so many mistakes, all of which take the second class for the first."""
    import torch

    targets = torch.arange(n) % classes
    said = targets.clone()
    said[torch.nonzero(targets == 1)[:wrong, 0]] = 0
    logits = torch.nn.functional.one_hot(said, classes).float() * 6
    return evaluate_logits(logits, targets, [f"class {i}" for i in range(classes)], "valid")


def test_scores_come_back_from_json_as_they_were_measured() -> None:
    evaluation = judged()
    scores = ImageScores.from_json(json.loads(json.dumps(evaluation.to_json())))
    assert scores is not None
    assert scores.accuracy == evaluation.accuracy
    assert scores.confusion is not None
    assert (scores.confusion == evaluation.confusion).all()
    assert [row.recall for row in scores.per_class] == [score.recall for score in evaluation.per_class]
    assert sum(found.right.n for found in scores.reliability) == evaluation.n
    assert scores.mistakes == 30
    (pair,) = scores.most_confused(5)
    assert (pair.truth, pair.answer, pair.count, pair.share) == ("class 1", "class 0", 30, 0.3)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
                        ["accuracy", "value", "interval", "n", "method", "loss", "classes", "confusion", "per_class",
                         "reliability", "unit"]), inner, max_size=6), max_leaves=20))  # fmt: skip
def test_scores_of_any_nonsense_are_none_or_sound(value: Any) -> None:
    for scores in (ImageScores.from_json(value), TextScores.from_json(value)):
        figure = None if scores is None else scores.accuracy if isinstance(scores, ImageScores) else scores.loss
        assert figure is None or not math.isnan(figure.value)


# --- advice ----------------------------------------------------------------------------------------------------------


def image_facts(evaluation: Evaluation | None = None, **changes: Any) -> ImageFacts:
    scores = ImageScores.from_json((evaluation or judged(n=3000, wrong=0)).to_json())
    facts = ImageFacts(
        record=record(command=["rushlight", "train", "images", "photos"], data={"name_or_path": "photos"}),
        scores=scores,
        test=None,
        training=proportion(256, 256),
        class_counts={"a": 100, "b": 100},
        valid_images=3000,
        has_test=False,
        examples=None,
        missing=None,
        model=[],
        size=32,
    )
    return replace(facts, **changes)


def advised(facts: ImageFacts | TextFacts) -> str:
    found = image_advice(facts) if isinstance(facts, ImageFacts) else text_advice(facts)
    assert 0 < len(found) <= 5
    return "\n".join(f"{advice.what}: {advice.why} {advice.command}" for advice in found)


def test_a_good_model_is_asked_about_new_images() -> None:
    assert [advice.what for advice in image_advice(image_facts())] == ["Ask it about new images"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"evaluation": judged(n=60, wrong=10)}, "more images aside"),
        ({"class_counts": {"rare": 10, "common": 200}}, "--class-weights balanced"),
        ({"record": record([3, 2, 1, 1.2, 1.4])}, "--early-stopping 3"),
        ({"evaluation": judged(n=3000, wrong=300), "record": record([3, 2, 1.5, 1.2, 1.0])}, "still falling"),
        ({"evaluation": judged(n=3000, wrong=600)}, "Add training images"),
        ({"evaluation": judged(n=3000, wrong=600), "training": proportion(205, 256)}, "larger network"),
        ({"evaluation": judged(n=3000, wrong=600)}, "“class 1” and “class 0”"),
        (
            {
                "record": record(
                    command=["rushlight", "train", "images", "photos", "--train-images", "200", "--minutes", "2"],
                    data={"name_or_path": "photos", "train_images": 200},
                )
            },
            "train images photos --minutes 2",
        ),
        ({"has_test": True}, "--split test"),
        ({"scores": None}, "Measure how good"),
    ],
)
def test_evidence_leads_to_advice(changes: dict[str, Any], told: str) -> None:
    assert told in advised(image_facts(**changes))


def test_balanced_weights_are_not_advised_twice() -> None:
    facts = image_facts(
        class_counts={"rare": 10, "common": 200}, record=record(arguments={"class_weights": "balanced"})
    )
    assert "balanced" not in advised(facts)


def text_facts(loss: float = 1.3, training: float = 1.25, **changes: Any) -> TextFacts:
    measured = Measured(loss, (loss - 0.01, loss + 0.01), 10_000, "blocks")
    facts = TextFacts(
        record=record(command=["rushlight", "train", "text", "book"], data={"name_or_path": "book"}),
        scores=TextScores("character", measured, None, None, None),
        baselines=[Baseline("an n-gram model", Measured(1.4, None, 10_000, None))],
        training=Measured(training, None, 10_000, None),
        training_tokens=100_000,
        passage=None,
        samples=[],
        missing=None,
        model=[],
        unit="character",
        has_ngram=False,
    )
    return replace(facts, **changes)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"loss": 1.6, "training": 1.55}, "An n-gram model expects this text better"),
        ({"record": record([3, 2, 1, 1.2, 1.4])}, "--early-stopping 3"),
        ({"training": 0.9}, "more dropout"),
        ({"training": 1.29}, "--hidden-size 1024"),
        ({}, "--ngram"),
        ({"scores": None}, "Measure how good"),
    ],
)
def test_evidence_of_a_text_leads_to_advice(changes: dict[str, Any], told: str) -> None:
    assert told in advised(text_facts(**changes))


def test_a_model_with_an_ngram_model_is_not_told_to_take_another() -> None:
    assert "--ngram" not in advised(text_facts(has_ngram=True))
