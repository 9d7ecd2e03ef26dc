"""Which labels are most likely wrong: those that a model which has not seen the image contradicts with confidence.

Every image is answered by a linear model that was solved from the features of the others, in folds. A label is doubted
where another class is more probable, and the images are ranked by how much more. The doubt is confident where that
class is at least as probable for the image as it usually is for images that carry its label, which is the rule of
confident learning (Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", 2021).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rushlight.tasks.linear_heads import solve_linear_head

FOLDS = 5


@dataclass(frozen=True)
class LabelDoubt:
    """A label that is likely wrong.

    Attributes:
        row: of the image.
        given: its label.
        suggested: the class that is most probable instead.
        given_probability: of the label, by models that have not seen the image.
        suggested_probability: of the other class.
        confident: by the rule of confident learning.
    """

    row: int
    given: int
    suggested: int
    given_probability: float
    suggested_probability: float
    confident: bool


def out_of_fold_probabilities(
    features: np.ndarray, targets: np.ndarray, classes: int, seed: int = 0, groups: np.ndarray | None = None
) -> np.ndarray:
    """Probabilities of each image by a model that was solved from the other folds.

    Args:
        features: (N, F).
        targets: (N,) class numbers.
        classes: how many there are.
        seed: of the folds.
        groups: (N,) images of one number are in one fold, as copies of a picture must be; None where all are apart.

    Returns:
        (N, classes). Where a class is in a single fold, its images are answered without knowing it.
    """
    fold_of = _folds(targets, np.arange(len(targets)) if groups is None else groups, seed)
    values = np.asarray(features, np.float32)
    probabilities = np.full((len(targets), classes), 1.0 / classes)
    strength = None
    for fold in range(FOLDS):
        held, inside = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        if not len(held) or len(np.unique(targets[inside])) < 2:
            continue
        solution = solve_linear_head([values[inside]], targets[inside], classes, seed, strength=strength)
        strength = solution.strength  # what the first fold chose serves the others
        probabilities[held] = solution.probabilities(values[held])
    return probabilities


def label_doubts(probabilities: np.ndarray, targets: np.ndarray) -> list[LabelDoubt]:
    """The labels that are doubted, the most doubtful first.

    Args:
        probabilities: (N, C) of models that had not seen the image.
        targets: (N,) labels as they are.
    """
    count, classes = probabilities.shape
    given = probabilities[np.arange(count), targets]
    # How probable a class usually is for images that carry its label.
    usual = np.array(
        [given[targets == label].mean() if (targets == label).any() else np.inf for label in range(classes)]
    )
    others = probabilities.copy()
    others[np.arange(count), targets] = -1
    suggested = others.argmax(axis=1)
    margin = others[np.arange(count), suggested] - given
    confident: np.ndarray = np.any(others >= usual[None], axis=1)
    rows = np.flatnonzero(margin > 0)
    order: Sequence[int] = rows[np.argsort(-margin[rows], kind="stable")].tolist()
    return [
        LabelDoubt(
            row,
            int(targets[row]),
            int(suggested[row]),
            float(given[row]),
            float(others[row, suggested[row]]),
            bool(confident[row]),
        )
        for row in order
    ]


def _folds(targets: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """The fold of each image: every class spread evenly, every group in one."""
    _, first, member_of = np.unique(groups, return_index=True, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(first))
    fold_of_group = np.zeros(len(first), np.int64)
    labels = targets[first][order]
    for label in np.unique(labels):
        members = order[labels == label]
        fold_of_group[members] = (np.arange(len(members)) + label) % FOLDS
    return fold_of_group[member_of]
