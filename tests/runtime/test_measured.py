import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rushlight.runtime.measured import (
    Measured,
    mean_of_runs,
    mean_with_interval,
    proportion,
    wilson_interval,
)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 40), (40, 40), (3, 7), (912, 1000), (9120, 10_000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_wilson_interval_equals_scipys(successes, n, confidence):
    expected = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert wilson_interval(successes, n, confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_proportion_lies_in_its_interval_and_the_interval_in_0_to_1(counts):
    measured = proportion(*counts)
    low, high = measured.interval
    assert 0 <= low <= measured.value <= high <= 1


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for successes in rng.binomial(200, 0.93, size=2000):
        low, high = wilson_interval(int(successes), 200)
        covered += low <= 0.93 <= high
    assert covered / 2000 == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (1, 0)])
def test_an_impossible_proportion_is_refused(successes, n):
    with pytest.raises(ValueError, match="successes"):
        proportion(successes, n)


def test_a_mean_from_sums_has_scipys_interval():
    values = np.random.default_rng(1).exponential(size=500)
    measured = mean_with_interval(values.sum(), (values**2).sum(), len(values))
    expected = stats.norm.interval(0.95, loc=values.mean(), scale=stats.sem(values))
    assert measured.value == pytest.approx(values.mean())
    assert measured.interval == pytest.approx(expected)


def test_a_mean_of_equal_values_has_an_interval_without_width():
    low, high = mean_with_interval(0.1 * 3, 3 * 0.1**2, 3).interval
    assert low == pytest.approx(0.1)
    assert high == pytest.approx(0.1)


def test_runs_have_students_interval():
    runs = [0.912, 0.907, 0.915]
    expected = stats.t.interval(0.95, df=2, loc=np.mean(runs), scale=stats.sem(runs))
    measured = mean_of_runs(runs)
    assert measured.value == pytest.approx(np.mean(runs))
    assert measured.interval == pytest.approx(expected)


def test_one_run_has_no_interval():
    assert mean_of_runs([0.5]).interval is None
    assert mean_with_interval(0.5, 0.25, 1).interval is None


def test_no_runs_are_refused():
    with pytest.raises(ValueError, match="no runs"):
        mean_of_runs([])


@given(
    st.builds(
        Measured,
        value=st.floats(allow_infinity=False),
        interval=st.none() | st.tuples(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9)),
        n=st.integers(0, 10**9),
        method=st.sampled_from(["wilson", "normal", "t", None]),
    )
)
def test_json_gives_the_quantity_back(measured):
    again = Measured.from_json(json.loads(json.dumps(measured.to_json(), allow_nan=False)))
    if math.isnan(measured.value):
        assert math.isnan(again.value)
        assert (again.interval, again.n, again.method) == (measured.interval, measured.n, measured.method)
    else:
        assert again == measured


def test_it_reads_as_a_sentence_would():
    assert proportion(9120, 10_000).percent() == "91.2 % (95 % interval 90.6 to 91.7, n = 10,000)"
    assert str(Measured(0.24123, (0.2301, 0.2523), 400, "normal")) == "0.2412 (95 % interval 0.2301 to 0.2523, n = 400)"
    assert Measured(0.5, None, 1, None).percent() == "50.0 % (n = 1)"


def test_a_narrow_interval_is_not_rounded_away():
    low, high = proportion(999_500, 1_000_000).percent().split("interval ")[1].split(",")[0].split(" to ")
    assert low != high


def test_nothing_measured_is_undefined_and_never_zero():
    nothing = proportion(0, 0)
    assert math.isnan(nothing.value)
    assert "undefined" in nothing.percent()
    assert nothing.to_json()["value"] is None
