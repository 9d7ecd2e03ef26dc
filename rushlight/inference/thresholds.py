"""The probability from which a label is given, chosen on images that were not trained on.

From one half on, a calibrated model is right more often than wrong. Where a label is rare it may then never be given;
the threshold of best F1 trades some wrong answers for those that would be missed.
"""

import numpy as np

from rushlight.runtime.seeds import epoch_order

USUAL_THRESHOLD = 0.5
FOLDS = 5


def best_thresholds(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The threshold of each label at which its F1 is best; one half where no image has it, or all have it.

    It lies in the middle between the last image that is given the label and the first that is not.

    Args:
        probabilities: (N, C).
        targets: (N, C) bool.

    Returns:
        (C,).
    """
    return np.array([_best(column, truth) for column, truth in zip(probabilities.T, targets.T, strict=True)])


def _best(probabilities: np.ndarray, truth: np.ndarray) -> float:
    if truth.all() or not truth.any():
        return USUAL_THRESHOLD
    order = np.argsort(-probabilities, kind="stable")
    falling = probabilities[order]
    given = np.arange(1, len(order) + 1)
    f1 = 2 * np.cumsum(truth[order]) / (given + truth.sum())
    f1[:-1][falling[:-1] == falling[1:]] = -1  # images of equal probability are given the label together or not at all
    last = int(f1.argmax())
    below = falling[last + 1] if last + 1 < len(falling) else 0.0
    return float((falling[last] + below) / 2)


def cross_fitted_thresholds(probabilities: np.ndarray, targets: np.ndarray, seed: int = 0) -> np.ndarray:
    """For each image the thresholds that were chosen on the others, so that it can be judged by them honestly.

    Args:
        probabilities: (N, C).
        targets: (N, C) bool.
        seed: of the folds.

    Returns:
        (N, C).
    """
    found = np.full(probabilities.shape, USUAL_THRESHOLD)
    order = epoch_order(len(targets), seed, 0).numpy()
    for held in np.array_split(order, min(FOLDS, len(order))):
        others = np.setdiff1d(order, held)
        if len(others):
            found[held] = best_thresholds(probabilities[others], targets[others])
    return found
