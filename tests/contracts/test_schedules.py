"""What every schedule keeps to."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rushlight.training.schedules import SCHEDULES, cycle_ends, make_schedule

VARIANTS = [
    *((name, {}) for name in SCHEDULES),
    ("constant", {"warm_up": 0.2}),
    ("linear", {"warm_up": 0.2, "final": 0.1}),
    ("cosine", {"warm_up": 0.2, "final": 0.1}),
    ("polynomial", {"power": 0.5, "warm_up": 0.2, "final": 0.1}),
    ("one_cycle", {"peak": 0.5, "start": 0.0, "final": 0.2}),
    ("warm_restarts", {"cycles": 4, "cycle_length": 2, "cycle_multiplier": 1, "final": 0.1}),
    ("exponential_sweep", {"start_lr": 1e-4, "end_lr": 1.0}),
]


def restarts(name: str, options: dict) -> list[float]:
    if name != "warm_restarts":
        return []
    cycles = {key: value for key, value in options.items() if key != "final"}
    return cycle_ends(**{"cycles": 3, **cycles})[:-1]


@pytest.mark.parametrize(("name", "options"), VARIANTS)
@given(progress=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_is_bounded(name, options, progress):
    highest = options.get("end_lr", 10.0) if name == "exponential_sweep" else 1.0
    assert -1e-12 <= make_schedule(name, **options)(progress) <= highest * (1 + 1e-12)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_is_continuous_except_at_restarts(name, options):
    factor = make_schedule(name, **options)
    jumps = restarts(name, options)

    def largest_change(points: int) -> float:
        grid = [i / points for i in range(points + 1)]
        return max(
            abs(factor(b) - factor(a))
            for a, b in pairwise(grid)
            if not any(a <= jump + 1e-9 and jump <= b + 1e-9 for jump in jumps)
        )

    # A jump would stay as it is on a finer grid; the steepest of these, a square root at its end, shrinks
    # tenfold.
    assert largest_change(100_000) <= 0.11 * largest_change(1_000) + 1e-12


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_reaches_its_full_rate(name, options):
    factor = make_schedule(name, **options)
    highest = options.get("end_lr", 10.0) if name == "exponential_sweep" else 1.0
    assert max(factor(i / 1000) for i in range(1001)) == pytest.approx(highest)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_ends_at_its_final_factor(name, options):
    ends = {"constant": 1.0, "exponential_sweep": options.get("end_lr", 10.0)}
    expected = ends.get(name, options.get("final", 0.0))
    assert make_schedule(name, **options)(1.0) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_progress_out_of_range_is_the_nearer_end(name, options):
    factor = make_schedule(name, **options)
    assert factor(-0.5) == factor(0.0)
    assert factor(1.5) == factor(1.0)
