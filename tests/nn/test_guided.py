"""A guided model begins as its n-gram model; while it learns, it is told what counts of the rest of the text expect."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from rushlight.nn import held_out
from rushlight.nn.guided import GuidedLanguageModel
from rushlight.nn.held_out import HeldOutNGrams
from rushlight.nn.language_model import RecurrentLanguageModel
from rushlight.nn.ngram import NGramLanguageModel
from rushlight.nn.word_ngram import WordNGramLanguageModel

V, ORDER = 5, 3
COUNTS = [
    partial(NGramLanguageModel.learned, tokens=V, order=ORDER),
    partial(WordNGramLanguageModel.learned_with, [True, True, True, False, False], tokens=V, order=ORDER),
]


@pytest.fixture(scope="module")
def text() -> np.ndarray:
    random = np.random.default_rng(0)
    return np.concatenate([random.permutation(V)[: random.integers(2, V)] for _ in range(150)])


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("cell", ["qrnn", "lstm"])
def test_an_untrained_one_answers_as_its_ngram_model(text, cell, count):
    ngram = count(text)
    model = GuidedLanguageModel(RecurrentLanguageModel(V, cell, 8, 8, 2), ngram).eval()
    tokens = torch.from_numpy(text[:60].astype(np.int64)).view(20, 3)
    logits, _ = model(tokens)
    torch.testing.assert_close(torch.log_softmax(logits, dim=-1), ngram(tokens)[0])


def test_with_tied_weights_it_can_still_learn(text):
    body = RecurrentLanguageModel(V, "lstm", 8, 8, 1, tie_weights=True)
    model = GuidedLanguageModel(body, NGramLanguageModel.learned(text, V, ORDER))
    model(torch.zeros(4, 2, dtype=torch.int64))[0].logsumexp(-1).sum().backward()
    assert body.embedding.weight.abs().sum() > 0
    assert body.recurrent[0].layer.weight_hh_l0.grad.abs().sum() > 0


@pytest.mark.parametrize("folds", [2, 3, 7])
@pytest.mark.parametrize("most_kept", [0, 10**6])
@pytest.mark.parametrize("count", COUNTS)
def test_each_part_is_asked_of_counts_that_left_it_out(text, folds, most_kept, count, monkeypatch):
    monkeypatch.setattr(held_out, "MOST_KEPT", most_kept)
    models = HeldOutNGrams(text, count, folds)
    ends = np.linspace(0, len(text), folds + 1).round().astype(int)
    tokens = torch.from_numpy(text.astype(np.int64))[:, None]
    for start, end in pairwise(ends):
        alone = count(np.concatenate([text[:start], text[end:]]))
        expected = alone(tokens)[0][start:end, 0]
        torch.testing.assert_close(models(torch.arange(start, end)), expected, rtol=1e-3, atol=2e-3)


def test_what_was_kept_is_what_was_computed(text):
    models = HeldOutNGrams(text, COUNTS[0], 4)
    places = torch.randperm(len(text), generator=torch.Generator().manual_seed(0))[:120].view(-1, 3)
    first = models(places)
    assert first.shape == (*places.shape, V)
    assert torch.equal(models(places), first)
    assert torch.equal(models(places.T), first.transpose(0, 1))


@pytest.mark.parametrize("count", COUNTS)
def test_a_text_of_which_little_is_known_is_no_fault(count):
    models = HeldOutNGrams(np.array([0, 1, 0]), count, 8)
    assert torch.isfinite(models(torch.arange(3))).all()


@pytest.mark.parametrize("count", COUNTS)
def test_told_what_it_would_have_said_itself_it_says_the_same(text, count):
    model = GuidedLanguageModel(RecurrentLanguageModel(V, "qrnn", 8, 8, 1), count(text))
    tokens = torch.from_numpy(text[:40].astype(np.int64)).view(20, 2)
    own, state = model.forward_features(tokens)
    told, other = model.forward_features(tokens, None, model.ngram(tokens)[0])
    torch.testing.assert_close(told, own)
    assert torch.equal(state[0], other[0])


def test_only_a_recurrent_network_can_be_guided(text):
    with pytest.raises(ValueError, match="only a recurrent network"):
        GuidedLanguageModel(nn.Linear(2, 2), NGramLanguageModel.learned(text, V, ORDER))
    with pytest.raises(ValueError, match="only an n-gram model"):
        GuidedLanguageModel(RecurrentLanguageModel(V, "qrnn", 8, 8, 1), nn.Linear(2, 2))
