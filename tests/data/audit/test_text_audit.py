"""Passages in two texts are found wherever they begin, and odd characters are called by name."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rushlight.data.audit.characters import character_findings, count_characters
from rushlight.data.audit.passages import shared_passages


def prose(length: int, seed: int) -> str:
    chooser = random.Random(seed)
    return "".join(chooser.choice("abcdefghijklmnopqrstuvwxyz ,.") for _ in range(length))


@given(st.integers(0, 400), st.integers(0, 400), st.integers(100, 300))
def test_a_planted_passage_is_found_at_its_place(before: int, other: int, length: int) -> None:
    passage = prose(length, 1)
    text = prose(before, 2) + "|" + passage + "#" + prose(300, 3)
    searched = prose(other, 4) + "!" + passage + "~" + prose(300, 5)
    (found,) = shared_passages(text, searched)
    assert (found.start, found.other, found.length) == (before + 1, other + 1, length)


def test_unlike_texts_share_nothing_and_like_ones_everything() -> None:
    assert shared_passages(prose(5000, 1), prose(5000, 2)) == []
    (all_of_it,) = shared_passages(prose(5000, 1), prose(5000, 1))
    assert all_of_it.length == 5000


def test_phrases_shorter_than_a_passage_are_left_alone() -> None:
    phrase = prose(80, 5)
    assert shared_passages(prose(300, 1) + phrase + prose(300, 2), prose(300, 3) + phrase + prose(300, 4)) == []
    with pytest.raises(ValueError, match="may be missed"):
        shared_passages("a", "b", least=20)


def test_a_text_of_blanks_ends_soon() -> None:
    assert sum(passage.length for passage in shared_passages(" " * 20_000, " " * 20_000)) <= 20_000


def test_passages_do_not_overlap() -> None:
    one, two = prose(400, 1), prose(400, 2)
    found = shared_passages(one + two, two + "|" + one)
    assert sum(passage.length for passage in found) <= 800
    ends = [passage.start + passage.length for passage in found]
    assert all(end <= later.start for end, later in zip(ends, found[1:], strict=False))


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("plain words " * 20, set()),
        ("na\u00c3\u00afve caf\u00c3\u00a9s " * 20, {"misread_encoding"}),
        ("broken \ufffd word " * 20, {"replaced"}),
        ("zero\u200bwidth and \x07 bell " * 20, {"control_characters"}),
        ("words " * 20 + "\u2603", {"rare_characters"}),
        ("S\u00c3O PAULO, \u00c2ngela " * 20, set()),  # letters of Portuguese, not a wrong encoding
    ],
)
def test_odd_characters_are_named(text: str, kinds: set[str]) -> None:
    found = list(character_findings(*count_characters([text])))
    assert {finding.kind for finding in found} == kinds


def test_a_character_is_called_by_its_name() -> None:
    (finding,) = character_findings(Counter({"a": 100, "\u2603": 1}), 0)
    assert finding.lines == ["U+2603 \u2603 (snowman): 1"]
