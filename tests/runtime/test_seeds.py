"""Random numbers by (seed, epoch, sample, name): fair, independent, and the same again."""

import itertools
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rushlight.runtime.seeds import SampleRandom, epoch_order, seed_everything

SEEDS = st.integers(-(2**63), 2**64)
INDICES = torch.arange(20_000)


def draws(seed: int = 0, epoch: int = 0, name: str = "a", count: int = 1) -> torch.Tensor:
    return SampleRandom(seed, epoch, INDICES).uniform(name, count)


@pytest.mark.parametrize("seed", [0, 1, -5, 2**40])
def test_uniform_numbers_are_uniform(seed: int) -> None:
    numbers = draws(seed)[:, 0].double().numpy()
    assert stats.kstest(numbers, "uniform").pvalue > 1e-3
    assert numbers.min() >= 0
    assert numbers.max() < 1


def test_normal_numbers_are_normal() -> None:
    numbers = SampleRandom(0, 0, INDICES).normal("a", 2)
    assert torch.isfinite(numbers).all()
    assert stats.kstest(numbers.flatten().double().numpy(), "norm").pvalue > 1e-3
    assert abs(stats.pearsonr(numbers[:, 0], numbers[:, 1]).statistic) < 0.03


@pytest.mark.parametrize("high", [2, 9, 1000])
def test_integers_are_even(high: int) -> None:
    numbers = SampleRandom(3, 1, INDICES).integers("a", high)
    counts = np.bincount(numbers.flatten().numpy(), minlength=high)
    assert len(counts) == high
    assert stats.chisquare(counts).pvalue > 1e-3


def test_integers_of_one_value_are_zero() -> None:
    assert not SampleRandom(3, 1, INDICES).integers("a", 1).any()


def test_integers_reach_the_largest_range_and_refuse_a_larger_one() -> None:
    numbers = SampleRandom(0, 0, INDICES).integers("a", 2**31)
    assert numbers.min() >= 0
    assert 0.99 * 2**31 < numbers.max() < 2**31
    for high in (0, -1, 2**31 + 1):
        with pytest.raises(ValueError, match="high"):
            SampleRandom(0, 0, INDICES).integers("a", high)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(0, 10_000), st.permutations(range(12)), st.integers(1, 11))
def test_a_number_does_not_depend_on_the_batch(seed: int, epoch: int, order: list[int], cut: int) -> None:
    together = SampleRandom(seed, epoch, torch.arange(12))
    for batch in (order[:cut], order[cut:]):
        alone = SampleRandom(seed, epoch, torch.tensor(batch))
        assert torch.equal(alone.uniform("x", 3), together.uniform("x", 3)[batch])
        assert torch.equal(alone.normal("x"), together.normal("x")[batch])
        assert torch.equal(alone.integers("x", 7, 2), together.integers("x", 7, 2)[batch])


def test_more_numbers_leave_the_first_ones_as_they_were() -> None:
    assert torch.equal(draws(count=4)[:, :2], draws(count=2))


def test_numbers_do_not_repeat_between_seeds_epochs_names_and_positions() -> None:
    columns = [
        draws(seed, epoch, name, count=2)
        for seed, epoch, name in itertools.product((0, 1), (0, 1, 2), ("a", "b", "a/1"))
    ]
    table = torch.cat(columns, dim=1)
    correlation = torch.corrcoef(table.T) - torch.eye(table.shape[1])
    # The standard deviation of a correlation of n independent pairs is 1 / sqrt(n).
    assert correlation.abs().max() < 5 / len(INDICES) ** 0.5
    # A number of 24 bits comes again by chance once in 16.7 million pairs; a repeated stream, every time.
    for first, second in itertools.combinations(table.T, 2):
        assert (first == second).sum() < 5


def test_neighbouring_samples_are_independent() -> None:
    numbers = draws()[:, 0]
    for distance in (1, 2, 64, 1000):
        pairs = torch.stack([numbers[:-distance], numbers[distance:]])
        assert torch.corrcoef(pairs)[0, 1].abs() < 5 / len(INDICES) ** 0.5


def test_global_generators_are_neither_used_nor_moved() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = draws()
    epoch_order(10, 0, 0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(draws(), first)


def test_another_process_draws_the_same() -> None:
    program = (
        "import torch; from rushlight.runtime.seeds import SampleRandom, epoch_order;"
        "print(SampleRandom(7, 3, torch.arange(5)).uniform('crop', 2).tolist(), end=' ');"
        "print(epoch_order(9, 7, 3).tolist())"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    here = SampleRandom(7, 3, torch.arange(5)).uniform("crop", 2).tolist(), epoch_order(9, 7, 3).tolist()
    assert answer.strip() == f"{here[0]} {here[1]}"


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 300), SEEDS, st.integers(0, 1000))
def test_epoch_order_is_a_permutation_that_comes_again(count: int, seed: int, epoch: int) -> None:
    order = epoch_order(count, seed, epoch)
    assert order.dtype == torch.int64
    assert sorted(order.tolist()) == list(range(count))
    assert torch.equal(order, epoch_order(count, seed, epoch))


def test_all_orders_are_alike() -> None:
    seen = [tuple(epoch_order(4, 0, epoch).tolist()) for epoch in range(4800)]
    counts = [seen.count(order) for order in itertools.permutations(range(4))]
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("seed", [0, 42, -1, 2**32 + 3, 2**63])
def test_seed_everything_repeats_every_generator(seed: int) -> None:
    def sample() -> tuple[float, float, float]:
        seed_everything(seed)
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002

    assert sample() == sample()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_draws_what_the_cpu_draws() -> None:
    on_gpu = SampleRandom(0, 1, INDICES.cuda())
    on_cpu = SampleRandom(0, 1, INDICES)
    assert torch.equal(on_gpu.uniform("a", 2).cpu(), on_cpu.uniform("a", 2))
    assert torch.equal(on_gpu.integers("a", 9).cpu(), on_cpu.integers("a", 9))
    torch.testing.assert_close(on_gpu.normal("a").cpu(), on_cpu.normal("a"), rtol=1e-5, atol=1e-5)
