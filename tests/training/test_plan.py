"""Progress by steps, by the clock, by whichever ends first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rushlight.training.plan import Plan


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_by_steps():
    plan = Plan(steps=8)
    assert [plan.progress(step) for step in (0, 2, 8, 9)] == [0.0, 0.25, 1.0, 1.0]


def test_by_the_clock_with_time_kept_for_validation():
    clock = Clock()
    plan = Plan(seconds=100, clock=clock)
    clock.now += 40
    assert plan.progress(step=10**6) == pytest.approx(0.4)
    plan.reserve(20)
    assert plan.progress(step=0) == pytest.approx(0.5)
    plan.reserve(1000)
    assert plan.progress(step=0) == pytest.approx(0.8)


@given(st.integers(0, 100), st.floats(0, 200))
def test_whichever_ends_first(step, elapsed):
    clock = Clock()
    plan = Plan(steps=50, seconds=100, clock=clock)
    clock.now += elapsed
    assert plan.progress(step) == pytest.approx(min(1, max(step / 50, elapsed / 100)))


def test_needs_a_length():
    with pytest.raises(ValueError, match="steps or seconds"):
        Plan()


def test_a_plan_can_be_ended_within_a_few_seconds_wherever_it_is() -> None:
    now = [0.0]
    plan = Plan(steps=1000, clock=lambda: now[0])
    assert plan.progress(100) == 0.1
    now[0] = 50.0
    plan.end_within(10.0)
    now[0] = 55.0
    plan.end_within(100.0)  # asked again: nothing changes
    assert plan.progress(101) == pytest.approx(0.1 + 0.9 / 2)
    now[0] = 60.0
    assert plan.progress(102) == 1.0
