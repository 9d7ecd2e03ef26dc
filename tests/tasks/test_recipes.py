"""The recipe of fast nets: the more time, the wider; rates follow the batch; limits hold."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rushlight.nn.fast import FAST_WIDTHS, fast_net
from rushlight.runtime.device import select_precision
from rushlight.tasks import recipes


def test_every_width_of_the_recipe_is_a_model():
    assert tuple(recipes.SAMPLES_WORTH_THE_WIDTH) == FAST_WIDTHS


@given(st.integers(2, 100_000))
def test_batches_and_epochs_stay_within_bounds(samples):
    assert 1 <= recipes.batch_size_for(samples) <= min(500, samples)
    assert recipes.MOST_EPOCHS <= recipes.epochs_for(samples) <= recipes.MOST_EPOCHS_OF_FEW


@given(st.integers(100, 100_000), st.floats(1, 10_000), st.floats(1e9, 1e14))
def test_more_time_never_gives_a_narrower_net(samples, seconds, speed):
    short = recipes.plan_by_time(samples, speed, seconds, 32, None)
    long = recipes.plan_by_time(samples, speed, 2 * seconds, 32, None)
    assert short.width <= long.width
    assert 0 < short.epochs <= recipes.epochs_for(samples)


def test_hardly_any_time_gives_the_narrowest_net_and_plenty_the_widest():
    assert recipes.plan_by_time(50_000, 1e9, 0.01, 32, None).width == min(FAST_WIDTHS)
    assert recipes.plan_by_time(50_000, 1e12, 1e6, 32, None).width == max(FAST_WIDTHS)


def test_a_width_that_was_chosen_stays():
    assert recipes.plan_by_time(50_000, 1e9, 0.01, 32, 48).width == 48
    assert recipes.plan_by_epochs(50_000, 1, 48).width == 48


@given(st.integers(2, 100_000), st.floats(0.01, 100))
def test_more_epochs_never_give_a_narrower_net(samples, epochs):
    plans = [recipes.plan_by_epochs(samples, n, None) for n in (epochs, 2 * epochs)]
    assert plans[0].width <= plans[1].width


def test_operations_count_the_convolutions_of_all_layers():
    # Width 64 at 32 pixels: multiply-adds by hand, from the shapes of the maps (31, 15, 7 and 3 wide).
    maps = 31**2 * (12 * 24 + 24 * 64 * 9) + 15**2 * (64 * 64 + 64 * 256) * 9
    maps += 7**2 * (256 * 256 + 256 * 256) * 9 + 3**2 * 256 * 256 * 9
    assert recipes.training_operations(64, 32) == pytest.approx(3 * 2 * maps, rel=1e-3)


def test_the_machine_is_measured():
    device = torch.device("cpu")
    assert recipes.measured_operations_a_second(32, device, select_precision("float32", device)) > 1e8


def test_rates_scale_with_the_square_root_of_the_batch():
    small, large = recipes.FastRates.for_batch(125), recipes.FastRates.for_batch(500)
    assert large.filters == pytest.approx(2 * small.filters)
    assert large.head == pytest.approx(2 * small.head)


def test_the_optimizer_trains_every_parameter_once():
    model = fast_net(10, width=16)
    optimizer = recipes.fast_optimizer(model, 128)
    grouped = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(grouped) == len(set(map(id, grouped)))
    assert set(map(id, grouped)) == set(map(id, model.parameters()))


def test_the_first_layer_is_done_before_the_others():
    assert recipes.whitening_schedule(0.0) == 1.0
    assert recipes.whitening_schedule(recipes.WHITENING_TRAINS_UNTIL) == 0.0
    assert recipes.whitening_schedule(1.0) == 0.0
