"""Schedules against PyTorch's, and the edges of each."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rushlight.runtime.errors import InputError
from rushlight.training import schedules
from rushlight.training.schedules import make_schedule

fractions = st.floats(0, 1)
progresses = st.floats(0, 1)


def rates_of_pytorch(scheduler_class, steps: int, **settings) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = scheduler_class(optimizer, **settings)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_cosine_is_pytorchs():
    expected = rates_of_pytorch(torch.optim.lr_scheduler.CosineAnnealingLR, 50, T_max=50, eta_min=0.1)
    assert [schedules.cosine(final=0.1)(step / 50) for step in range(50)] == pytest.approx(expected)


def test_warm_restarts_are_pytorchs():
    # three cycles of 10, 20 and 40 steps
    expected = rates_of_pytorch(torch.optim.lr_scheduler.CosineAnnealingWarmRestarts, 70, T_0=10, T_mult=2)
    factor = schedules.warm_restarts(3, cycle_length=1, cycle_multiplier=2)
    assert [factor(step / 70) for step in range(70)] == pytest.approx(expected)


def test_polynomial_is_pytorchs():
    expected = rates_of_pytorch(torch.optim.lr_scheduler.PolynomialLR, 30, total_iters=30, power=0.9)
    assert [schedules.polynomial(0.9)(step / 30) for step in range(30)] == pytest.approx(expected)


def test_one_cycle_is_pytorchs():
    steps = 100
    # PyTorch counts its phases in steps of which the last is number `steps - 1`.
    expected = rates_of_pytorch(
        torch.optim.lr_scheduler.OneCycleLR, steps - 1, max_lr=1.0, total_steps=steps, pct_start=0.3
    )
    factor = schedules.one_cycle(peak=(0.3 * steps - 1) / (steps - 1))
    assert [factor(step / (steps - 1)) for step in range(steps - 1)] == pytest.approx(expected)


@given(st.integers(1, 8), st.integers(1, 5), st.integers(1, 3), st.integers(1, 50))
@settings(max_examples=50, deadline=None)
def test_every_cycle_starts_at_the_full_rate_on_its_very_step(cycles, length, multiplier, steps_per_epoch):
    lengths = schedules.cycle_lengths(cycles, length, multiplier)
    steps = sum(lengths) * steps_per_epoch
    factor = schedules.warm_restarts(cycles, length, multiplier)
    ends = schedules.cycle_ends(cycles, length, multiplier)
    done = 0
    for cycle, cycle_length in enumerate(lengths):
        assert factor(done / steps) == 1.0
        if cycle_length * steps_per_epoch > 1:
            assert factor((done + 1) / steps) < 1.0
        done += cycle_length * steps_per_epoch
        assert ends[cycle] == done / steps
        assert factor((done - 0.001) / steps) < 1e-3
    assert factor(1.0) == 0.0


@given(st.floats(0.5, 4), st.floats(0.5, 3), st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_cycles_grow_by_the_multiplier(length, multiplier, cycles):
    ends = [0.0, *schedules.cycle_ends(cycles, length, multiplier)]
    widths = [b - a for a, b in pairwise(ends)]
    assert ends[-1] == 1.0
    for one, following in pairwise(widths):
        assert following == pytest.approx(multiplier * one)


@given(st.floats(0.01, 0.99), fractions, progresses)
@settings(max_examples=50, deadline=None)
def test_warm_up_rises_in_a_line_and_the_rest_is_squeezed_in_after_it(warm_up, final, progress):
    for make in (schedules.linear, schedules.cosine):
        factor = make(warm_up=warm_up, final=final)
        assert factor(warm_up * progress) == pytest.approx(progress, abs=1e-6)
        after = warm_up + (1 - warm_up) * progress
        assert factor(after) == pytest.approx(make(final=final)(progress), abs=1e-6)


@given(st.floats(1e-8, 1), st.floats(1e-8, 100), progresses)
@settings(max_examples=50, deadline=None)
def test_a_sweep_multiplies_by_the_same_at_every_step(start, end, progress):
    factor = schedules.exponential_sweep(start, end)
    assert factor(0.0) == pytest.approx(start)
    assert factor(1.0) == pytest.approx(end)
    assume(progress < 0.9)
    assert factor(progress + 0.1) / factor(progress) == pytest.approx(math.pow(end / start, 0.1))


def test_a_function_is_taken_as_it_is():
    assert make_schedule(math.sqrt) is math.sqrt


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("cosin", {}, "did you mean 'cosine'"),
        ("linear", {"warmup": 0.1}, "did you mean 'warm_up'"),
        ("linear", {"warm_up": 1.0}, "warm_up"),
        ("cosine", {"final": 1.5}, "final"),
        ("polynomial", {"power": 0}, "power"),
        ("one_cycle", {"peak": 0.0}, "peak"),
        ("warm_restarts", {"cycles": 0}, "cycles"),
        ("warm_restarts", {"cycle_multiplier": 0}, "cycle_multiplier"),
        ("exponential_sweep", {"start_lr": 0}, "start_lr"),
        (math.sqrt, {"final": 0.1}, "final"),
    ],
)
def test_what_a_person_gets_wrong_is_named(name, options, said):
    with pytest.raises(InputError, match=said):
        make_schedule(name, **options)
