"""What the figures beside a loss are: nothing is learned from what is measured, but by the compressor."""

import bz2
import math

import numpy as np

from rushlight.inference.text_baselines import compressed_bits_per_character, ngram_loss


def test_an_n_gram_model_is_measured_with_an_interval_over_stretches():
    train, valid = np.tile([0, 1, 2, 3, 2], 100), np.tile([0, 1, 2, 3, 2], 400)
    found = ngram_loss(train, valid, 4, 3)
    assert found.value < 0.2
    assert found.n == len(valid) - 1
    assert found.method == "blocks"


def test_a_compressor_is_asked_for_what_the_second_text_adds():
    train, valid = "the quick brown fox jumps. " * 40, "the quick brown dog sleeps. " * 10
    name, bits = compressed_bits_per_character(train, valid)
    assert name in ("bz2", "xz")
    assert (
        0 < bits <= 8 * (len(bz2.compress((train + valid).encode())) - len(bz2.compress(train.encode()))) / len(valid)
    )
    assert math.isnan(compressed_bits_per_character(train, "")[1])
