"""What was encoded comes back; what is rare or new is unknown, or spelt."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rushlight.data.tokenizers import TOKENIZERS, WordTokenizer, tokenizer_class
from rushlight.data.vocabulary import REPLACEMENT, Vocabulary
from rushlight.runtime.errors import InputError

NAMES = list(TOKENIZERS)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100)


@pytest.mark.parametrize("name", NAMES)
@given(text=TEXTS)
def test_decoding_what_was_encoded_gives_the_text_back(name, text):
    tokenizer = TOKENIZERS[name].learn([text])
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("name", NAMES)
@given(text=TEXTS)
def test_pieces_are_the_text_one_number_after_the_other(name, text):
    tokenizer = TOKENIZERS[name].learn([text])
    numbers = tokenizer.encode(text)
    pieces = list(tokenizer.pieces(numbers))
    assert len(pieces) == len(numbers)
    assert "".join(pieces) == text


@given(text=TEXTS, new=TEXTS)
def test_nothing_is_unknown_to_byte_pairs(text, new):
    tokenizer = TOKENIZERS["byte_pair"].learn([text])
    assert tokenizer.encode(new).all()
    assert tokenizer.decode(tokenizer.encode(new)) == new


def test_byte_pairs_join_what_often_stands_together():
    tokenizer = TOKENIZERS["byte_pair"].learn(["the cat and the hat\n"] * 50)
    assert len(tokenizer.encode("the cat and the hat\n")) <= 8
    assert tokenizer.size > 258


@pytest.mark.parametrize(
    "value",
    [None, {}, {"units": ["a"]}, {"units": ["a"], "joins": [["a"]]}, {"units": ["a", 1], "joins": []},
     {"units": ["a", "b"], "joins": [["a", "b"]]}, {"units": ["\u4e00"], "joins": []}],
)  # fmt: skip
def test_damaged_byte_pairs_are_refused(value):
    with pytest.raises(InputError):
        TOKENIZERS["byte_pair"].from_json(value)


@pytest.mark.parametrize("name", ["character", "word"])
@given(known=TEXTS, new=TEXTS)
def test_what_is_unknown_comes_back_as_its_sign_and_nothing_else_changes(name, known, new):
    tokenizer = TOKENIZERS[name].learn([known])
    expected = "".join(character if character in known else REPLACEMENT for character in new)
    assert tokenizer.decode(tokenizer.encode(new)) == expected


@pytest.mark.parametrize("name", NAMES)
@given(text=TEXTS, cuts=st.lists(st.integers(1, 99), max_size=3))
def test_it_is_the_same_again_from_its_json(name, text, cuts):
    tokenizer = TOKENIZERS[name].learn([text])
    again = TOKENIZERS[name].from_json(json.loads(json.dumps(tokenizer.to_json())))
    assert again.size == tokenizer.size
    np.testing.assert_array_equal(again.encode(text), tokenizer.encode(text))


@pytest.mark.parametrize("name", NAMES)
def test_numbers_lie_within_the_size_and_begin_behind_unknown_and_padding(name):
    tokenizer = TOKENIZERS[name].learn(["to be or not to be"])
    numbers = tokenizer.encode("to be or not to be, that")
    assert numbers.dtype == np.int64
    assert numbers.max() < tokenizer.size
    assert (tokenizer.encode("to be or not to be") >= 2).all()


def test_rare_characters_are_unknown():
    tokenizer = TOKENIZERS["character"].learn(["aab", "bac"], minimum_frequency=2)
    assert tokenizer.vocabulary.tokens[2:] == ["a", "b"]
    assert tokenizer.decode(tokenizer.encode("abcd")) == f"ab{REPLACEMENT}{REPLACEMENT}"


def test_frequent_words_are_tokens_and_rare_ones_are_spelt():
    tokenizer = WordTokenizer.learn(["the cat and the dog and the end\n"], minimum_frequency=2)
    pieces = [tokenizer.decode([number]) for number in tokenizer.encode("the dog and the cat")]
    assert pieces == ["t", "h", "e", " ", "d", "o", "g", " and", " the", " ", "c", "a", "t"]


def test_a_known_word_is_one_token_with_the_space_before_it():
    tokenizer = WordTokenizer.learn(["I said: no, no, no!\nNo."])
    pieces = [tokenizer.decode([number]) for number in tokenizer.encode("I said: no, no!\nNo.")]
    assert pieces == ["I", " said", ":", " no", ",", " no", "!", "\n", "No", "."]


def test_characters_beyond_the_highest_known_are_unknown():
    tokenizer = TOKENIZERS["character"].learn(["az"])
    assert tokenizer.encode("a{\U0010ffff\0z").tolist() == [2, 0, 0, 0, 3]


def test_an_unknown_tokenizer_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'character'"):
        tokenizer_class("characters")


def test_the_vocabulary_puts_the_frequent_first_and_ties_in_order():
    vocabulary = Vocabulary.of_counts(Counter("bbbaacc"))
    assert vocabulary.tokens[2:] == ["b", "a", "c"]
    assert [vocabulary.number(token) for token in "bacx"] == [2, 3, 4, 0]
    assert "b" in vocabulary
    assert "x" not in vocabulary
    assert len(vocabulary) == 5


@pytest.mark.parametrize("value", [None, "abc", [1, 2], ["a", "a"], ["a", ""], {"a": 1}])
def test_a_damaged_vocabulary_is_refused(value):
    with pytest.raises(InputError):
        Vocabulary.from_json(value)


def test_a_character_vocabulary_of_words_is_refused():
    with pytest.raises(InputError, match="single characters"):
        TOKENIZERS["character"].from_json(["a", "bc"])


def test_a_number_beyond_the_vocabulary_is_refused():
    with pytest.raises(InputError, match="no token 9"):
        Vocabulary(["a"]).text([2, 9])
