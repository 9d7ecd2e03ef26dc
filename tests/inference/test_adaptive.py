"""Learning from the text that is measured: it helps, only after the fact, and leaves no trace."""

import numpy as np
import pytest
import torch

from rushlight.data.token_batches import TokenBatches
from rushlight.data.tokenizers import CharacterTokenizer
from rushlight.inference.adaptive import dynamic_evaluation, neural_cache
from rushlight.inference.writer import Writer
from rushlight.nn.language_models import build_language_model

TEXT = "abcdefgh"


@pytest.fixture(scope="module", params=["lstm", "gru", "transformer"])
def writer(request):
    tokenizer = CharacterTokenizer.learn([TEXT])
    torch.manual_seed(0)
    return Writer(
        build_language_model(request.param, tokenizer.size, hidden_size=32, layers=1), tokenizer, device="cpu"
    )


def evaluated(writer, tokens):
    return writer.evaluate(TokenBatches(tokens, 1, 50, vary=False, keep_all=True))


@pytest.mark.parametrize("way", [dynamic_evaluation, neural_cache])
def test_a_text_that_repeats_itself_is_learned_on_the_way(writer, way):
    tokens = writer.tokenizer.encode("abcdabce" * 60)
    settings = {"lr": 5e-3} if way is dynamic_evaluation else {"sharpness": 5.0, "share": 0.5}
    plain, adapted = evaluated(writer, tokens), way(writer, tokens, **settings)
    assert adapted.loss.value < plain.loss.value - 0.3
    assert adapted.losses[-50:].mean() < adapted.losses[:50].mean()
    assert adapted.loss.n == plain.loss.n == len(tokens) - 1


def test_without_a_step_or_a_share_nothing_changes(writer):
    tokens = writer.tokenizer.encode("abcdhgfe" * 20)
    plain = evaluated(writer, tokens).losses
    np.testing.assert_allclose(dynamic_evaluation(writer, tokens, lr=0.0).losses, plain, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(neural_cache(writer, tokens, share=0.0).losses, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("way", [dynamic_evaluation, neural_cache])
def test_a_loss_depends_on_nothing_that_comes_later(writer, way):
    first, second = (writer.tokenizer.encode("abcd" * 30 + end) for end in ("abcd" * 20, "hhhh" * 20))
    np.testing.assert_allclose(way(writer, first).losses[:119], way(writer, second).losses[:119], rtol=1e-4, atol=1e-5)


def test_the_writer_stays_as_it_is(writer):
    tokens = writer.tokenizer.encode("abcd" * 30)
    before = {name: tensor.clone() for name, tensor in writer.model.state_dict().items()}
    dynamic_evaluation(writer, tokens, lr=0.1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in writer.model.state_dict().items())


def test_the_cache_is_a_distribution(writer):
    start = writer.tokenizer.encode("abcdabcd" * 5)
    probabilities = [
        np.exp(-neural_cache(writer, np.append(start, number), share=0.4, length=7).losses[-1])
        for number in range(writer.tokenizer.size)
    ]
    assert sum(probabilities) == pytest.approx(1, abs=1e-4)
