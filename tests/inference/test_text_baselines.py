"""The n-gram model is a distribution, knows what it has seen, and learns nothing from what it measures."""

import bz2
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rushlight.inference.text_baselines import NGramModel, compressed_bits_per_character


@given(
    tokens=st.lists(st.integers(0, 4), min_size=1, max_size=120).map(np.array),
    context=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    order=st.integers(0, 5),
)
def test_the_probabilities_of_all_tokens_sum_to_one_after_any_context(tokens, context, order):
    model = NGramModel(tokens, 5, order)
    total = sum(math.exp(-model.losses(np.array([*context, token]))[-1]) for token in range(5))
    assert total == pytest.approx(1)


def test_a_text_that_repeats_is_expected_after_its_context():
    tokens = np.tile([0, 1, 2, 3, 2], 100)
    losses = NGramModel(tokens, 4, 3).losses(tokens[:50])
    assert losses[3:].max() < 0.2


def test_longer_contexts_help_where_the_text_needs_them():
    random = np.random.default_rng(0)
    tokens = [0, 1]
    for _ in range(4000):  # the next is the sum of the last two, nine times in ten
        tokens.append((tokens[-1] + tokens[-2]) % 5 if random.random() < 0.9 else int(random.integers(5)))
    train, valid = np.array(tokens[:3000]), np.array(tokens[3000:])
    by_order = [NGramModel(train, 5, order).evaluate(valid).value for order in range(4)]
    assert by_order[2] < 0.6 < 1.5 < by_order[1]
    assert by_order[3] < by_order[2] + 0.15


def test_numbers_that_were_never_seen_cost_much_but_not_everything():
    model = NGramModel(np.zeros(50, np.int64), 10, 2)
    assert math.log(10) < model.losses(np.array([0, 0, 7]))[-1] < 20


def test_the_kind_of_the_numbers_makes_no_difference():
    tokens = np.random.default_rng(0).integers(0, 9, 500)
    wide, narrow = NGramModel(tokens, 9, 3), NGramModel(tokens.astype(np.uint8), 9, 3)
    np.testing.assert_allclose(wide.losses(tokens), narrow.losses(tokens.astype(np.uint8)))


def test_a_compressor_is_asked_for_what_the_second_text_adds():
    train, valid = "the quick brown fox jumps. " * 40, "the quick brown dog sleeps. " * 10
    name, bits = compressed_bits_per_character(train, valid)
    assert name in ("bz2", "xz")
    assert (
        0 < bits <= 8 * (len(bz2.compress((train + valid).encode())) - len(bz2.compress(train.encode()))) / len(valid)
    )
    assert math.isnan(compressed_bits_per_character(train, "")[1])
