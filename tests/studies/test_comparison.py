"""Verdicts over seeds: what they say, and how often they are wrong."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rushlight.studies.comparison import (
    ACCURACY,
    LOSS,
    bootstrap_of_mean,
    compare,
    mean_with_t_interval,
    seeds_needed,
)

BASELINE = {0: 0.700, 1: 0.706, 2: 0.694, 3: 0.701, 4: 0.699}


def shifted(by: float, noise: tuple[float, ...] = (0.001, -0.001, 0.002, -0.002, 0.0)) -> dict[int, float]:
    return {seed: value + by + extra for (seed, value), extra in zip(BASELINE.items(), noise, strict=True)}


def test_interval_is_that_of_the_paired_t_test() -> None:
    other = shifted(0.01)
    found = compare(BASELINE, other)
    reference = stats.ttest_rel(list(other.values()), list(BASELINE.values())).confidence_interval(0.95)
    assert found.difference.interval == pytest.approx(tuple(reference))
    assert found.difference.method == "paired t"
    assert found.alone == found.difference


def test_correction_widens_the_interval_to_that_of_a_stricter_test() -> None:
    other = shifted(0.01)
    found = compare(BASELINE, other, comparisons=4)
    reference = stats.ttest_rel(list(other.values()), list(BASELINE.values())).confidence_interval(1 - 0.05 / 4)
    assert found.difference.interval == pytest.approx(tuple(reference))
    assert found.difference.method == "paired t, Bonferroni 4"


@pytest.mark.parametrize(
    ("by", "higher_is_better", "outcome"),
    [(0.02, True, "better"), (-0.02, True, "worse"), (0.02, False, "worse"), (-0.02, False, "better")],
)
def test_better_and_worse_follow_the_direction_of_the_quantity(by: float, higher_is_better: bool, outcome: str) -> None:
    assert compare(BASELINE, shifted(by), higher_is_better=higher_is_better).outcome == outcome


def test_verdict_names_the_interval_in_the_unit_of_the_quantity() -> None:
    assert compare(BASELINE, shifted(0.02)).verdict(ACCURACY) == "better by 1.8 to 2.2 points"
    worse = compare(BASELINE, shifted(0.02), higher_is_better=False)
    assert worse.verdict(LOSS) == "worse by 0.0180 to 0.0220 nats"


def test_difference_too_small_to_tell_says_how_many_seeds_would_tell() -> None:
    found = compare(BASELINE, shifted(0.0015, (0.002, -0.002, 0.003, -0.003, 0.0)))
    assert found.outcome == "not distinguishable"
    needed = found.seeds_needed
    assert needed is not None
    assert found.verdict(ACCURACY) == f"not distinguishable with 5 seeds: about {needed} would be needed"
    # So many seeds of the same mean and deviation do tell, one fewer does not.
    differences = list(found.differences.values())
    for n, tells in ((needed, True), (needed - 1, False)):
        margin = stats.t.ppf(0.975, n - 1) * np.std(differences, ddof=1) / math.sqrt(n)
        assert (margin < abs(np.mean(differences))) == tells


@pytest.mark.parametrize("differences", [[0.0, 0.0, 0.0], [1e-9, 1.0, -1.0]])
def test_no_number_of_seeds_is_named_where_there_is_hardly_a_difference(differences: list[float]) -> None:
    assert seeds_needed(differences, 0.95) is None


def test_one_seed_says_that_it_cannot_tell() -> None:
    found = compare({0: 0.7}, {0: 0.9})
    assert (found.outcome, found.difference.interval) == ("cannot tell", None)
    assert "one seed cannot tell" in found.verdict(ACCURACY)


def test_the_same_difference_in_every_seed_is_no_certainty() -> None:
    found = compare({0: 0.5, 1: 0.7}, {0: 0.6, 1: 0.8})  # of ten images one more was right, twice
    assert found.outcome == "cannot tell"
    assert "the same difference in all 2 seeds" in found.verdict(ACCURACY)


def test_only_seeds_that_both_have_are_compared() -> None:
    found = compare(BASELINE, {0: 0.71, 1: 0.72, 9: 0.1})
    assert found.differences == pytest.approx({0: 0.01, 1: 0.014})
    assert compare(BASELINE, {}).outcome == "failed"


def test_identical_runs_are_not_distinguishable() -> None:
    assert compare(BASELINE, dict(BASELINE)).verdict(ACCURACY) == "not distinguishable with 5 seeds"


def test_bootstrap_agrees_with_scipy() -> None:
    values = np.random.default_rng(1).normal(1, 2, 30)
    ours = bootstrap_of_mean(values.tolist())
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=2).confidence_interval
    assert ours.interval == pytest.approx(tuple(theirs), abs=0.05)
    assert (ours.n, ours.method) == (30, "bootstrap")


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=12))
def test_intervals_hold_the_mean(values: list[float]) -> None:
    for found in (mean_with_t_interval(values, 0.95, "t"), bootstrap_of_mean(values)):
        assert found.interval is not None
        assert found.interval[0] - 1e-12 <= found.value <= found.interval[1] + 1e-12


def outcomes_of_nothing(studies: int, seeds: int, comparisons: int) -> list[list[str]]:
    """The outcomes of studies in which nothing differs but chance."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(studies):
        common = random.normal(0, 0.01, seeds)  # what a seed does to every variation
        runs = [dict(enumerate(0.7 + common + random.normal(0, 0.005, seeds))) for _ in range(comparisons + 1)]
        found.append([compare(runs[0], run, comparisons=comparisons).outcome for run in runs[1:]])
    return found


def test_of_200_comparisons_of_a_thing_with_itself_at_most_5_percent_raise_an_alarm() -> None:
    outcomes = [outcome for study in outcomes_of_nothing(50, seeds=5, comparisons=4) for outcome in study]
    assert len(outcomes) == 200
    assert sum(outcome in ("better", "worse") for outcome in outcomes) <= 10


@pytest.mark.parametrize(("seeds", "comparisons"), [(3, 1), (5, 1), (5, 4), (3, 12)])
def test_at_most_5_percent_of_whole_studies_raise_any_alarm(seeds: int, comparisons: int) -> None:
    studies = 400 if comparisons > 1 else 1000
    found = outcomes_of_nothing(studies, seeds, comparisons)
    alarms = sum(any(outcome in ("better", "worse") for outcome in study) for study in found)
    # A single comparison is made at 5 % exactly, so that chance takes the count to either side of it.
    allowed = stats.binom.ppf(0.999, studies, 0.05) if comparisons == 1 else 0.05 * studies
    assert alarms <= allowed


def test_without_the_correction_most_studies_of_twelve_would_be_fooled() -> None:
    random = np.random.default_rng(3)
    studies = [[dict(enumerate(random.normal(0.7, 0.01, 5))) for _ in range(13)] for _ in range(200)]
    alarms = sum(any(compare(runs[0], run).outcome in ("better", "worse") for run in runs[1:]) for runs in studies)
    assert alarms > 40
