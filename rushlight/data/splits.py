"""Which images are set aside to validate on, and which are drawn where fewer are to be trained on.

Whether an image is set aside depends on the seed and its own name, so it mostly stays where it is when others are
added.
"""

import hashlib
import heapq
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from rushlight.runtime.errors import InputError

# 2,500 images put the interval of an accuracy of 90 % at +-1.2 points. More would narrow it little (by the
# square root), and take images from training.
MOST_VALIDATION_IMAGES = 2_500


def choose_validation(labels: Sequence[int | None], names: Sequence[str], fraction: float, seed: int) -> list[int]:
    """Which samples to validate on: of each class the rounded fraction, by a hash of seed and name.

    Args:
        labels: class of each sample, None for one that takes no part.
        names: a name for each sample that stays the same.
        fraction: share of each class; made smaller where it would choose more than `MOST_VALIDATION_IMAGES`.
        seed: which ones.

    Returns:
        Indices, ascending. A class with one sample has none among them.
    """
    by_class: dict[int, list[int]] = {}
    for i, label in enumerate(labels):
        if label is not None:
            by_class.setdefault(label, []).append(i)
    fraction = _capped(fraction, sum(len(members) for members in by_class.values()))
    rank = _ranking(names, seed)
    chosen: list[int] = []
    for members in by_class.values():
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        chosen += sorted(members, key=rank)[:count]
    return sorted(chosen)


def choose_validation_by_labels(
    labels: Sequence[Collection[int] | None], names: Sequence[str], fraction: float, seed: int
) -> list[int]:
    """Which samples to validate on where each may have several labels, or none.

    From the rarest label to the most frequent, so many of the samples that have it are chosen that it gets its share
    (Sechidis, Tsoumakas and Vlahavas, "On the stratification of multi-label data", 2011); those without a label come
    last.

    Args:
        labels: of each sample, None for one that takes no part.
        names, fraction, seed: as in `choose_validation`.

    Returns:
        Indices, ascending. Every label that two samples have is left in training, and most are among the chosen.
    """
    taking_part = [i for i, found in enumerate(labels) if found is not None]
    fraction = _capped(fraction, len(taking_part))
    members: dict[int, list[int]] = {}
    for i in sorted(taking_part, key=_ranking(names, seed)):
        for label in labels[i] or (-1,):  # -1: without a label
            members.setdefault(label, []).append(i)
    chosen: set[int] = set()
    decided: set[int] = set()
    for label in sorted(members, key=lambda label: (label < 0, len(members[label]), label)):
        have = members[label]
        wanted = min(max(1, round(fraction * len(have))), len(have) - 1) - sum(i in chosen for i in have)
        chosen.update([i for i in have if i not in decided][: max(0, wanted)])
        decided.update(have)
    for have in members.values():
        if all(i in chosen for i in have):  # by way of other labels: one goes back
            chosen.discard(have[-1])
    return sorted(chosen)


def draw_by_class(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """So many samples, from each class in proportion (and at least one), drawn with a seed.

    With one seed a smaller draw is part of a larger one, so that curves over the number of images compare.

    Args:
        labels: (N,) class of each sample.
        count: how many.
        seed: which ones.

    Returns:
        Positions, ascending.

    Raises:
        InputError: there are more classes than images wanted.
    """
    present, totals = np.unique(labels, return_counts=True)
    if count < len(present):
        raise InputError(f"{count} training images are fewer than the {len(present)} classes, and each needs one")
    order = np.random.default_rng(seed).permutation(len(labels))
    places = {label: order[labels[order] == label] for label in present}
    # The next image comes from the class that is furthest behind its share.
    taken = dict.fromkeys(present.tolist(), 1)
    sizes = dict(zip(present.tolist(), totals.tolist(), strict=True))
    behind = [(1 / size, label) for label, size in sizes.items()]
    heapq.heapify(behind)
    for _ in range(count - len(present)):
        label = behind[0][1]
        taken[label] += 1
        heapq.heapreplace(behind, (taken[label] / sizes[label], label))
    return np.sort(np.concatenate([places[label][: taken[label]] for label in taken]))


def draw_by_labels(matrix: np.ndarray, count: int, seed: int) -> np.ndarray:
    """So many samples of which each may have several labels: one for each label first, the others at random.

    Args:
        matrix: (N, labels), not zero where a sample has a label.
        count, seed: as in `draw_by_class`.

    Raises:
        InputError: so few images cannot show every label.
    """
    order = np.random.default_rng(seed).permutation(len(matrix))
    has = matrix[order] != 0
    first: list[int] = []
    for label in np.argsort(has.sum(axis=0), kind="stable"):
        if has[:, label].any() and not has[first, label].any():
            first.append(int(has[:, label].argmax()))
    if count < len(first):
        raise InputError(f"{count} training images are too few to show each of the {matrix.shape[1]} labels")
    others = np.setdiff1d(np.arange(len(order)), first)[: count - len(first)]
    return np.sort(order[np.concatenate([np.array(first, np.int64), others])])


def draw(samples: int, count: int, seed: int) -> np.ndarray:
    """So many samples at random: positions, ascending."""
    return np.sort(np.random.default_rng(seed).permutation(samples)[:count])


def counted(targets: Iterable[Collection[int]]) -> Counter[int]:
    """How many samples have each label."""
    return Counter(label for labels in targets for label in set(labels))


def _capped(fraction: float, total: int) -> float:
    return min(fraction, MOST_VALIDATION_IMAGES / total) if total else fraction


def _ranking(names: Sequence[str], seed: int) -> Callable[[int], bytes]:
    def rank(i: int) -> bytes:
        name = names[i].replace(os.sep, "/")
        return hashlib.blake2b(f"{seed}/{name}".encode("utf-8", "surrogateescape"), digest_size=8).digest()

    return rank
