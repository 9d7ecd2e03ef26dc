"""The table of a study: what it says of seeds that are missing, failed, or tell a difference."""

import json

import pytest

from rushlight.runtime.files import to_json_value
from rushlight.runtime.measured import Measured
from rushlight.studies.ablation import AblationResult
from rushlight.studies.comparison import ACCURACY, LOSS, Quantity
from rushlight.studies.store import Outcome
from rushlight.studies.variations import Cell, grid

BEFORE, AFTER, NONE = VARIATIONS = grid(["norm=before,after,none"])


def outcome(value: float, name: str = "accuracy") -> Outcome:
    measured = Measured(value, (value - 0.01, value + 0.01), 2500, "wilson").to_json()
    return Outcome({"results": {name: measured}, "seconds": 12.3})


def result_of(outcomes: dict[Cell, Outcome], seeds: list[int], quantity: Quantity = ACCURACY) -> AblationResult:
    return AblationResult.of("cifar10", "2,500 validation images", quantity, VARIATIONS, seeds, outcomes)


@pytest.fixture
def outcomes() -> dict[Cell, Outcome]:
    values = {BEFORE: (0.70, 0.71, 0.69), AFTER: (0.75, 0.76, 0.741), NONE: (0.70, 0.70, 0.70)}
    return {Cell(v, seed): outcome(value) for v, all_seeds in values.items() for seed, value in enumerate(all_seeds)}


def test_rows_are_paired_with_the_baseline_and_corrected_for_their_number(outcomes: dict[Cell, Outcome]) -> None:
    baseline, after, none = result_of(outcomes, [0, 1, 2]).rows
    assert baseline.comparison is None
    assert after.comparison is not None
    assert after.comparison.outcome == "better"
    assert after.comparison.difference.method == "paired t, Bonferroni 2"
    assert after.comparison.differences == pytest.approx({0: 0.05, 1: 0.05, 2: 0.051})
    assert none.comparison is not None
    assert none.comparison.outcome == "not distinguishable"


def test_markdown_has_the_verdicts_and_every_value(outcomes: dict[Cell, Outcome]) -> None:
    outcomes[Cell(NONE, 2)] = Outcome(failure="the loss became nan at step 7")
    page = result_of(outcomes, [0, 1, 2]).markdown()
    assert "| norm=after | 3 | 75.0 (72.7 to 77.4) |" in page
    assert "better by" in page
    assert "| norm=none | 2, 1 failed |" in page
    assert "- norm=none, seed 2, failed: the loss became nan at step 7" in page
    assert "Bonferroni's correction for 2 comparisons" in page


def test_study_that_is_not_finished_says_what_it_can(outcomes: dict[Cell, Outcome]) -> None:
    del outcomes[Cell(NONE, 0)], outcomes[Cell(NONE, 1)], outcomes[Cell(NONE, 2)], outcomes[Cell(AFTER, 2)]
    found = result_of(outcomes, [0, 1, 2])
    assert [len(row.values) for row in found.rows] == [3, 2, 0]
    assert found.rows[2].comparison is not None
    assert found.rows[2].comparison.outcome == "failed"
    assert "| norm=none | 0 | - |" in found.markdown()


def test_one_seed_cannot_tell(outcomes: dict[Cell, Outcome]) -> None:
    found = result_of(outcomes, [0])
    assert "one seed cannot tell" in found.markdown()
    assert found.rows[0].mean.interval is None


def test_smaller_loss_is_better() -> None:
    outcomes = {
        Cell(variation, seed): outcome(value + 0.001 * seed * place, "loss")
        for place, (variation, value) in enumerate(zip(VARIATIONS, (1.5, 1.4, 1.6), strict=True))
        for seed in range(3)
    }
    found = result_of(outcomes, [0, 1, 2], LOSS)
    assert [row.comparison.outcome for row in found.rows if row.comparison] == ["better", "worse"]
    assert "Less is better" in found.note()


def test_value_that_is_no_number_counts_as_a_failure(outcomes: dict[Cell, Outcome]) -> None:
    outcomes[Cell(AFTER, 1)] = outcome(float("nan"))
    assert result_of(outcomes, [0, 1, 2]).rows[1].failures == {1: "its accuracy is no finite number"}


def test_json_is_strict_and_has_measured_quantities_in_their_one_form(outcomes: dict[Cell, Outcome]) -> None:
    outcomes[Cell(NONE, 2)] = Outcome(failure="out of memory")
    found = json.loads(json.dumps(to_json_value(result_of(outcomes, [0, 1, 2])), allow_nan=False))
    row = found["rows"][1]
    for quantity in (row["mean"], *(row["comparison"][name] for name in ("difference", "alone", "bootstrap"))):
        assert Measured.from_json(quantity).n == 3
    assert row["values"] == {"0": 0.75, "1": 0.76, "2": 0.741}
