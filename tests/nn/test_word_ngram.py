"""An n-gram model with words knows which word came before, however long that is; without words it is no worse."""

from itertools import groupby

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rushlight.data.tokenizers import CharacterTokenizer, WordTokenizer
from rushlight.inference.text_counts import count_text
from rushlight.nn.ngram import NOTHING, NGramLanguageModel
from rushlight.nn.word_ngram import WordNGramLanguageModel, is_letter, word_contexts

LETTERS = torch.tensor([True, True, False, False])


def told_by_hand(tokens: list[int]) -> list[tuple]:
    """The run so far, the last word and the one before it, at every position."""
    found, words = [], [(), ()]
    for letters, run in groupby(tokens, key=lambda token: bool(LETTERS[token])):
        so_far: tuple = ()
        for token in run:
            so_far += (token,)
            found.append((so_far, words[-1], words[-2]))
        if letters:
            words.append(so_far)
    return found


@given(texts=st.lists(st.lists(st.integers(0, 3), min_size=12, max_size=12), min_size=2, max_size=4))
def test_contexts_are_the_same_where_run_and_words_are_the_same_and_only_there(texts):
    tokens = torch.tensor(texts).T
    streams = tokens.shape[1]
    nothing = torch.full((streams,), NOTHING), torch.zeros(streams, 3, dtype=torch.int64)
    keys, last = word_contexts(tokens, LETTERS, *nothing)
    by_hand = [told_by_hand(text) for text in texts]
    for table, part in enumerate([lambda it: it[:1], lambda it: it[:2], lambda it: it[::2]]):
        expected = [part(by_hand[stream][place]) for stream in range(streams) for place in range(12)]
        found = keys[table].T.flatten().tolist()
        assert len(set(zip(expected, found, strict=True))) == len(set(expected)) == len(set(found))
    first, state = word_contexts(tokens[:5], LETTERS, *nothing)
    rest, again = word_contexts(tokens[5:], LETTERS, tokens[4], state)
    assert torch.equal(torch.cat([first, rest], dim=1), keys)
    assert torch.equal(again, last)


def sentences(pairs: dict[str, str], count: int, between: str) -> str:
    random = np.random.default_rng(0)
    return "".join(f"{word}{between}{pairs[word]}. " for word in random.choice(list(pairs), count))


@pytest.mark.parametrize("between", [" ", " -- ", " of "])
def test_a_word_is_expected_after_another_that_is_longer_than_the_order_reaches(between):
    """All first words end alike, further back than the characters are remembered."""
    pairs = {"awayonder": "cat", "byyonder": "mouse", "cyonder": "dog", "deeyonder": "fish"}
    text = sentences(pairs, 600, between)
    tokenizer = CharacterTokenizer.learn([text])
    tokens = tokenizer.encode(text)
    train, valid = tokens[: len(tokens) * 2 // 3], torch.from_numpy(tokens[len(tokens) * 2 // 3 :])
    alone = NGramLanguageModel.learned(train, tokenizer.size, 6).losses(valid).mean()
    assert count_text(train, tokenizer).losses(valid).mean() < 0.75 * alone


@pytest.mark.parametrize("letters", [True, False])
def test_of_a_text_without_words_it_expects_what_the_tokens_alone_do(letters):
    text = np.random.default_rng(0).integers(0, 4, 4000)
    text[1::2] = (text[::2] + text[1::2] // 3) % 4
    alone = NGramLanguageModel.learned(text[:3000], 4, 3)
    model = WordNGramLanguageModel.learned_with([letters] * 4, text[:3000], 4, 3)
    valid = torch.from_numpy(text[3000:])
    assert model.losses(valid).mean().item() == pytest.approx(alone.losses(valid).mean().item(), rel=0.01)


def test_letters_are_what_words_are_made_of_in_any_script():
    assert all(map(is_letter, "aZéß9дअा中"))
    assert not any(map(is_letter, " \n.,-'\u2019\ufffd"))
    assert not is_letter("")


def test_words_are_counted_where_tokens_are_characters():
    text = "a man, a plan, a canal. " * 20
    characters, words = CharacterTokenizer.learn([text]), WordTokenizer.learn([text])
    assert isinstance(count_text(characters.encode(text), characters), WordNGramLanguageModel)
    assert type(count_text(words.encode(text), words)) is NGramLanguageModel


def test_without_a_token_before_no_word_can_be_told():
    with pytest.raises(ValueError, match="at least 1, not 0"):
        WordNGramLanguageModel(4, 0)
