"""Intervals by drawing the images again."""

import numpy as np
import pytest

from rushlight.inference.bootstrap import mean_of_images


def test_the_interval_of_few_skewed_losses_stays_above_0_and_holds_the_mean():
    losses = np.full(400, 0.001)
    losses[:2] = 6.0
    found = mean_of_images(losses)
    assert found.value == pytest.approx(losses.mean())
    assert found.method == "bootstrap"
    low, high = found.interval
    assert 0 <= low < found.value < high


def test_it_covers_the_true_mean_as_often_as_it_says():
    random = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        low, high = mean_of_images(random.exponential(size=100)).interval
        held += low <= 1 <= high
    assert 0.89 <= held / 300 <= 0.98


def test_of_many_images_it_is_the_formula_and_both_agree():
    values = np.random.default_rng(0).exponential(size=2001)
    many, few = mean_of_images(values), mean_of_images(values[:2000])
    assert (many.method, few.method) == ("normal", "bootstrap")
    np.testing.assert_allclose(many.interval, few.interval, atol=0.01)


def test_of_one_image_there_is_no_interval():
    assert mean_of_images(np.array([0.3])).interval is None
