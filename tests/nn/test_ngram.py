"""An n-gram model, of tokens alone or with words, is a distribution, knows what it has seen, and remembers no more than
its state says."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rushlight.nn.language_model import map_state
from rushlight.nn.language_models import build_language_model
from rushlight.nn.ngram import NGramLanguageModel
from rushlight.nn.word_ngram import WordNGramLanguageModel

LETTERS = [True, False, True, True, False]  # of five tokens

of_both_kinds = pytest.mark.parametrize("words", [False, True], ids=["tokens", "words"])


def counted(words: bool, text: np.ndarray, tokens: int, order: int = 3) -> NGramLanguageModel:
    if words:
        return WordNGramLanguageModel.learned_with((LETTERS * tokens)[:tokens], text, tokens, order)
    return NGramLanguageModel.learned(text, tokens, order)


def losses(model: NGramLanguageModel, tokens) -> np.ndarray:
    return model.losses(torch.as_tensor(np.asarray(tokens), dtype=torch.int64)).numpy()


@of_both_kinds
@given(
    tokens=st.lists(st.integers(0, 4), min_size=1, max_size=120).map(np.array),
    context=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    order=st.integers(1, 5),
)
def test_the_probabilities_of_all_tokens_sum_to_one_after_any_context(words, tokens, context, order):
    model = counted(words, tokens, 5, order)
    total = sum(math.exp(-losses(model, [*context, token])[-1]) for token in range(5))
    assert total == pytest.approx(1, abs=1e-5)


@of_both_kinds
@given(
    tokens=st.lists(st.integers(0, 4), min_size=0, max_size=120).map(np.array),
    read=st.lists(st.integers(0, 4), min_size=1, max_size=20),
    order=st.integers(1, 5),
)
def test_token_by_token_it_expects_what_it_expects_of_a_window(words, tokens, read, order):
    model = counted(words, tokens, 5, order)
    window = torch.tensor(read)[:, None]
    state, single = None, []
    for token in window:
        found, state = model(token[None], state)
        single.append(found)
    torch.testing.assert_close(torch.cat(single), model(window)[0])


@of_both_kinds
def test_a_text_that_repeats_is_expected_after_its_context(words):
    tokens = np.tile([0, 1, 2, 3, 2], 100)
    found = losses(counted(words, tokens, 4), tokens[:50])
    assert found[3:].max() < 0.2


def test_longer_contexts_help_where_the_text_needs_them():
    random = np.random.default_rng(0)
    tokens = [0, 1]
    for _ in range(4000):  # the next is the sum of the last two, nine times in ten
        tokens.append((tokens[-1] + tokens[-2]) % 5 if random.random() < 0.9 else int(random.integers(5)))
    train, valid = np.array(tokens[:3000]), np.array(tokens[3000:])
    by_order = [losses(NGramLanguageModel.learned(train, 5, order), valid).mean() for order in range(4)]
    assert by_order[2] < 0.6 < 1.5 < by_order[1]
    assert by_order[3] < by_order[2] + 0.15


@of_both_kinds
def test_numbers_that_were_never_seen_cost_much_but_not_everything(words):
    model = counted(words, np.zeros(50, np.int64), 10, 2)
    assert math.log(10) < losses(model, [0, 0, 7])[-1] < 20


@of_both_kinds
def test_the_kind_of_the_numbers_makes_no_difference(words):
    tokens = np.random.default_rng(0).integers(0, 9, 500)
    wide, narrow = (counted(words, text, 9) for text in (tokens, tokens.astype(np.uint8)))
    np.testing.assert_allclose(losses(wide, tokens), losses(narrow, tokens))


def test_counts_are_discounted_and_shared_out_as_chen_and_goodman_say():
    """Bigrams by hand, without enough counts to estimate the discounts: 0.5, 0.75 and 1 of counts of 1, 2 and more."""
    text = [0, 1, 0, 1, 0, 2]  # after 0: 1 twice, 2 once; after 1: 0 twice
    model = NGramLanguageModel.learned(np.array(text), 3, 1)
    found = model(torch.tensor([[0]]))[0].exp()[0, 0]
    # Below: after how many different tokens each came. 0 after one, 1 after one, 2 after one: 3 in all.
    below = np.full(3, 0.5 / 3) + 3 * 0.5 / 3 * (1 / 3)
    expected = np.array([0, 2 - 0.75, 1 - 0.5]) / 3 + (0.75 + 0.5) / 3 * below
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@of_both_kinds
def test_the_state_carries_the_context_from_window_to_window(words):
    random = torch.Generator().manual_seed(0)
    model = counted(words, np.random.default_rng(0).integers(0, 4, 3000), 4)
    tokens = torch.randint(4, (20, 5), generator=random)
    whole, last = model(tokens)
    first, state = model(tokens[:1])
    rest, again = model(tokens[1:], state)
    torch.testing.assert_close(torch.cat([first, rest]), whole)
    assert torch.equal(again, last)
    assert torch.equal(model.remembered(tokens[1:], state), last)
    chosen = map_state(lambda part: part[[3, 0]], last)
    more = torch.randint(4, (2, 5), generator=random)
    torch.testing.assert_close(model(more[:, [3, 0]], chosen)[0], model(more, last)[0][:, [3, 0]])


@of_both_kinds
def test_tables_come_back_from_their_sizes_and_a_state_dict(words):
    model = counted(words, np.random.default_rng(0).integers(0, 30, 5000), 30)
    other = build_language_model(model.NAME, 30, **model.arguments)
    other.load_state_dict(model.state_dict())
    tokens = torch.randint(30, (50, 2))
    assert torch.equal(other(tokens)[0], model(tokens)[0])
    with pytest.raises(ValueError, match=f"an order of 3 has {7 if words else 4} tables"):
        build_language_model(model.NAME, 30, order=3, contexts=[1, 1])
