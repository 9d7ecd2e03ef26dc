"""What the figures beside a loss are: nothing is learned from what is measured, but by the compressor."""

import bz2
import math

from rushlight.data.tokenizers import CharacterTokenizer
from rushlight.inference.text_baselines import compressed_bits_per_character, ngram_loss


def test_an_n_gram_model_is_measured_with_an_interval_over_stretches():
    tokenizer = CharacterTokenizer.learn(["so is it"])
    train, valid = tokenizer.encode("so is it, " * 100), tokenizer.encode("so is it, " * 400)
    found = ngram_loss(train, valid, tokenizer)
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
