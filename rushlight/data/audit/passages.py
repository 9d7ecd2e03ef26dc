"""Passages of one text that stand in another, found with a rolling hash in a time that grows with their length alone.

Every stretch of 32 characters of one text has a number (Rabin and Karp, "Efficient randomized pattern-matching
algorithms", 1987). Of the other text only every 16th stretch is looked up: a passage of 48 characters or more holds one
of them wherever it begins. What is found is then compared letter by letter.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

LEAST_LENGTH = 100  # characters of a passage that is reported; shorter ones are phrases
_STRETCH, _STEP = 32, 16
_FACTOR = np.uint64(0x9E3779B97F4A7C15 | 1)
_TRIES = 8  # places of one stretch that are compared; a stretch of blanks has thousands


@dataclass(frozen=True)
class Passage:
    """A passage that two texts share.

    Attributes:
        start: where it begins in the text that was searched, in characters.
        other: where it begins in the text that it was searched in.
        length: in characters.
    """

    start: int
    other: int
    length: int


def shared_passages(text: str, searched_in: str, least: int = LEAST_LENGTH) -> list[Passage]:
    """The passages of a text that stand in another too, without overlaps, in order.

    Blanks count as they are; the caller may even them out first.

    Args:
        text: whose passages are sought.
        searched_in: where they may stand.
        least: characters that a passage has at least; 48 or more.

    Raises:
        ValueError: passages so short may be missed.
    """
    if least < _STRETCH + _STEP:
        raise ValueError(f"passages of fewer than {_STRETCH + _STEP} characters may be missed")
    mine, theirs = _codes(text), _codes(searched_in)
    if min(len(mine), len(theirs)) < least:
        return []
    anchors = _hashes(mine)[::_STEP]
    hashes = _hashes(theirs)
    order = np.argsort(hashes, kind="stable")
    places = np.searchsorted(hashes[order], anchors, side="left")
    found: list[Passage] = []
    end = 0
    for number, place in enumerate(places.tolist()):
        start = number * _STEP
        if start + _STRETCH <= end or place >= len(order):
            continue
        best = max(
            (_extended(mine, theirs, start, int(other)) for other in _same(order, hashes, place, anchors[number])),
            key=lambda passage: passage.length,
            default=None,
        )
        if best is None or best.length < least:
            continue
        cut = max(0, end - best.start)  # what the passage before it covers already
        if best.length - cut >= least:
            found.append(Passage(best.start + cut, best.other + cut, best.length - cut))
            end = best.start + best.length
    return found


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _hashes(codes: np.ndarray) -> np.ndarray:
    """The number of each stretch: a polynomial of its characters, modulo 2**64."""
    result = np.zeros(max(0, len(codes) - _STRETCH + 1), np.uint64)
    for place in range(_STRETCH):  # Horner's rule, for all stretches at once
        result = result * _FACTOR + codes[place : place + len(result)].astype(np.uint64)
    return result


def _same(order: np.ndarray, hashes: np.ndarray, place: int, value: np.uint64) -> Iterator[int]:
    """The first few places of one number."""
    for candidate in order[place : place + _TRIES]:
        if hashes[candidate] != value:
            return
        yield candidate


def _extended(mine: np.ndarray, theirs: np.ndarray, start: int, other: int) -> Passage:
    """The longest equal passage around two places."""
    after = _equal(mine[start:], theirs[other:])
    before = _equal(mine[:start][::-1], theirs[:other][::-1]) if after else 0
    return Passage(start - before, other - before, before + after)


def _equal(one: np.ndarray, other: np.ndarray, block: int = 4096) -> int:
    """How many characters agree from the beginning."""
    count, length = 0, min(len(one), len(other))
    while count < length:
        differs = one[count : count + block][: length - count] != other[count : count + block][: length - count]
        if differs.any():
            return count + int(differs.argmax())
        count += len(differs)
    return count
