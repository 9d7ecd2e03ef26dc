"""Heads that are solved in seconds from features computed once, for each kind of target.

The regularisation is chosen by cross-validation among the training images; all views of an image are on one side of
every fold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from rushlight.runtime.seeds import epoch_order

STRENGTHS = tuple(10.0**power for power in (-4, -3.5, -3, -2.5, -2, -1.5, -1, -0.5, 0))  # scikit-learn's C
RIDGE_STRENGTHS = tuple(10.0**power for power in (-5.5, -5, -4.5, -4, -3.5, -3, -2.5, -2, -1.5, -1))  # 1 / alpha
USUAL_STRENGTH, USUAL_RIDGE_STRENGTH = 1e-2, 1e-3  # where there are too few images to choose
FOLDS = 5
MOST_IMAGES_FOR_CHOICE = 4000  # more would not change which strength is chosen, only take longer
MOST_IMAGES_FOR_RIDGE = 2000  # likewise, where time goes with the cube
_ITERATIONS, _TOLERANCE = 500, 1e-4  # of L-BFGS


@dataclass(frozen=True)
class Solution:
    """A linear head that was solved.

    Attributes:
        weight: (outputs, F), for features of zero mean and unit deviation.
        bias: (outputs,).
        mean: of each feature over the training images.
        std: likewise the deviation.
        strength: the inverse of the regularisation that was chosen, as scikit-learn's C, or 1 / alpha of numbers.
        losses: mean loss over the folds, by strength; empty where there were too few images to choose.
    """

    weight: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    strength: float
    losses: dict[float, float]

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """What a head of one label answers: (N, F) to (N, classes)."""
        logits = (np.asarray(features, np.float32) - self.mean) / self.std @ self.weight.T + self.bias
        logits -= logits.max(axis=1, keepdims=True)
        odds = np.exp(logits.astype(np.float64))
        return odds / odds.sum(axis=1, keepdims=True)

    def copy_to(self, head: nn.Module) -> None:
        """Write the solution into a `PooledHead` without a hidden layer."""
        norm: Any = head.norm
        linear: Any = head.linear
        with torch.no_grad():
            norm.running_mean.copy_(torch.from_numpy(self.mean))
            norm.running_var.copy_(torch.from_numpy(self.std**2))
            norm.weight.fill_(1)
            norm.bias.zero_()
            linear.weight.copy_(torch.from_numpy(self.weight))
            linear.bias.copy_(torch.from_numpy(self.bias))


# --- one of several classes ------------------------------------------------------------------------------------------


def solve_linear_head(
    features: Sequence[np.ndarray],
    targets: np.ndarray,
    classes: int,
    seed: int = 0,
    balanced: bool = False,
    strength: float | None = None,
) -> Solution:
    """Logistic regression on features.

    Args:
        features: one or several views (N, F) of the same images.
        targets: (N,) class numbers.
        classes: how many there are.
        seed: of the folds.
        balanced: rare classes count as much as frequent ones.
        strength: the inverse of the regularisation, where it is not to be chosen.
    """
    from sklearn.metrics import log_loss

    views, mean, std = _standardised(features)
    labels = np.unique(targets)

    def loss(model: Any, inputs: np.ndarray, truth: np.ndarray) -> float:
        return float(log_loss(truth, model.predict_proba(inputs), labels=labels))

    def fit(inputs: np.ndarray, truth: np.ndarray, strength: float, before: Any = None) -> Any:
        return _logistic(inputs, truth, strength, balanced, before)

    losses: dict[float, float] = {}
    if strength is None:
        losses = _losses_by_strength(views, targets, _folds_by_class(targets, seed), STRENGTHS, fit, loss)
        strength = min(losses, key=lambda c: losses[c]) if losses else USUAL_STRENGTH
    fitted = fit(np.concatenate(views), np.tile(targets, len(views)), strength)
    weight, bias = _all_classes(fitted, classes, views[0].shape[1])
    return Solution(weight, bias, mean, std, strength, losses)


def _folds_by_class(targets: np.ndarray, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of the images to fit and those to judge by; none where a class has a single image."""
    from sklearn.model_selection import StratifiedKFold

    chosen = _some(targets, seed)
    counts = np.bincount(targets[chosen])
    present = counts[counts > 0]
    folds = min(FOLDS, int(present.min()))
    if folds < 2 or len(present) < 2:
        return
    for inside, outside in StratifiedKFold(folds, shuffle=True, random_state=seed).split(chosen, targets[chosen]):
        yield chosen[inside], chosen[outside]


def _logistic(inputs: np.ndarray, targets: np.ndarray, strength: float, balanced: bool, start: Any = None) -> Any:
    from sklearn.linear_model import LogisticRegression

    model = start or LogisticRegression(
        max_iter=500, tol=1e-3, warm_start=True, class_weight="balanced" if balanced else None
    )
    return model.set_params(C=strength).fit(inputs, targets)


def _all_classes(fitted: Any, classes: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights and biases of every class; scikit-learn has one row for two classes, and none for absent ones."""
    weight, bias = np.zeros((classes, width), np.float32), np.full(classes, -30.0, np.float32)
    if len(fitted.classes_) == 2:
        first, second = fitted.classes_
        weight[first], weight[second] = -fitted.coef_[0] / 2, fitted.coef_[0] / 2
        bias[first], bias[second] = -fitted.intercept_[0] / 2, fitted.intercept_[0] / 2
    else:
        weight[fitted.classes_], bias[fitted.classes_] = fitted.coef_, fitted.intercept_
    return weight, bias


# --- any of several labels -------------------------------------------------------------------------------------------


def solve_label_head(
    features: Sequence[np.ndarray], targets: np.ndarray, seed: int = 0, balanced: bool = False
) -> Solution:
    """Logistic regression for each label against its absence, all of one strength and all at once.

    Args:
        features: one or several views (N, F) of the same images.
        targets: (N, labels), 1 where an image has a label, else 0.
        seed: of the folds.
        balanced: having a label counts as much as not having it.
    """
    views, mean, std = _standardised(features)
    targets = np.asarray(targets, np.float32)

    def fit(inputs: np.ndarray, truth: np.ndarray, strength: float, before: Any = None) -> np.ndarray:
        return _logistic_each(inputs, truth, strength, balanced, before)

    def loss(solved: np.ndarray, inputs: np.ndarray, truth: np.ndarray) -> float:
        logits = inputs @ solved[:, :-1].T + solved[:, -1]
        return float((np.logaddexp(0, logits) - truth * logits).mean())

    losses = _losses_by_strength(views, targets, _folds(targets, seed), STRENGTHS, fit, loss)
    strength = min(losses, key=lambda c: losses[c]) if losses else USUAL_STRENGTH
    solved = fit(np.concatenate(views), np.tile(targets, (len(views), 1)), strength)
    return Solution(solved[:, :-1], solved[:, -1], mean, std, strength, losses)


def _logistic_each(
    inputs: np.ndarray, targets: np.ndarray, strength: float, balanced: bool, start: np.ndarray | None = None
) -> np.ndarray:
    """Weights and bias (labels, F + 1) of least binary cross-entropy; the weights are regularised, the biases not.

    A label that all of the images have, or none, has weights of zero: only how frequent it is can be said.
    """
    from scipy.optimize import minimize

    samples, width = inputs.shape
    having = targets.sum(axis=0)
    varies = (having > 0) & (having < samples)
    solved = np.zeros((targets.shape[1], width + 1), np.float32)
    solved[:, -1] = np.log((having + 0.5) / (samples - having + 0.5))
    if not varies.any():
        return solved
    truth, some = targets[:, varies], having[varies]
    weights = np.ones_like(truth)
    if balanced:
        weights = np.where(truth > 0.5, samples / (2 * some), samples / (2 * (samples - some))).astype(np.float32)

    def cost(flat: np.ndarray) -> tuple[float, np.ndarray]:
        both = flat.reshape(-1, width + 1)
        coefficients = both[:, :-1].astype(np.float32)
        logits = inputs @ coefficients.T + both[:, -1].astype(np.float32)
        loss = (weights * (np.logaddexp(0, logits) - truth * logits)).sum(dtype=np.float64) / samples
        error = weights * (_sigmoid(logits) - truth) / samples
        gradient = np.concatenate([error.T @ inputs, error.sum(axis=0)[:, None]], axis=1).astype(np.float64)
        pull = 1 / (strength * samples)
        gradient[:, :-1] += pull * both[:, :-1]
        return loss + 0.5 * pull * float((both[:, :-1] ** 2).sum()), gradient.ravel()

    first = (solved if start is None else start)[varies].astype(np.float64)
    options = {"maxiter": _ITERATIONS, "gtol": _TOLERANCE, "ftol": 1e-9}
    found = minimize(cost, first.ravel(), jac=True, method="L-BFGS-B", options=options)
    solved[varies] = found.x.reshape(first.shape)
    return solved


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    positive: np.ndarray = 0.5 * (1 + np.tanh(0.5 * logits))  # does not overflow
    return positive


# --- numbers ---------------------------------------------------------------------------------------------------------


def solve_number_head(features: Sequence[np.ndarray], targets: np.ndarray, seed: int = 0) -> Solution:
    """Ridge regression (Hoerl and Kennard 1970).

    Args:
        features: one or several views (N, F) of the same images.
        targets: (N, columns), of zero mean and unit deviation.
        seed: of the folds.
    """
    views, mean, std = _standardised(features)
    targets = np.asarray(targets, np.float64)

    def loss(solved: np.ndarray, inputs: np.ndarray, truth: np.ndarray) -> float:
        return float(np.square(inputs @ solved[:, :-1].T + solved[:, -1] - truth).mean())

    losses: dict[float, list[float]] = {}
    for inside, outside in _folds(targets, seed, MOST_IMAGES_FOR_RIDGE):
        ridge = _Ridge(views[0][inside], targets[inside])  # the other views would cost much and choose alike
        for strength in RIDGE_STRENGTHS:
            found = loss(ridge.solved(strength), views[0][outside], targets[outside])
            losses.setdefault(strength, []).append(found)
    means = {strength: float(np.mean(found)) for strength, found in losses.items()}
    chosen = min(means, key=lambda c: means[c]) if means else USUAL_RIDGE_STRENGTH
    strength = chosen / len(views)  # so many views of an image weigh as much as one
    solved = _Ridge(np.concatenate(views), np.tile(targets, (len(views), 1))).solved(strength).astype(np.float32)
    return Solution(solved[:, :-1], solved[:, -1], mean, std, strength, means)


class _Ridge:
    """Ridge regression of one set of images at any strength; what the strengths share is computed once."""

    def __init__(self, inputs: np.ndarray, targets: np.ndarray) -> None:
        self._centre, self._level = inputs.mean(axis=0), targets.mean(axis=0)
        self._inputs = inputs - self._centre
        centred = targets - self._level
        self._by_images = inputs.shape[0] < inputs.shape[1]  # the smaller of the two systems of equations
        self._gram = (self._inputs @ self._inputs.T if self._by_images else self._inputs.T @ self._inputs).astype(float)
        self._right = centred if self._by_images else self._inputs.T @ centred

    def solved(self, strength: float) -> np.ndarray:
        """Weights and bias, (columns, F + 1)."""
        from scipy.linalg import solve

        system = self._gram + np.eye(len(self._gram)) / strength
        found = solve(system, self._right, assume_a="pos", overwrite_a=True)
        weights = (self._inputs.T @ found if self._by_images else found).T
        return np.concatenate([weights, (self._level - weights @ self._centre)[:, None]], axis=1)


# --- what they share -------------------------------------------------------------------------------------------------


def _standardised(features: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """The views with each feature of zero mean and unit deviation, and mean and deviation."""
    stacked = np.concatenate([np.asarray(view, np.float32) for view in features])
    mean, std = stacked.mean(axis=0), np.maximum(stacked.std(axis=0), 1e-3)
    return [(np.asarray(view, np.float32) - mean) / std for view in features], mean, std


def _some(targets: np.ndarray, seed: int, most: int = MOST_IMAGES_FOR_CHOICE) -> np.ndarray:
    return epoch_order(len(targets), seed, 0)[:most].numpy()


def _folds(
    targets: np.ndarray, seed: int, most: int = MOST_IMAGES_FOR_CHOICE
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of the images to fit and those to judge by; none where there are fewer than four."""
    chosen = _some(targets, seed, most)
    parts = np.array_split(chosen, FOLDS) if len(chosen) >= 4 else []
    for outside in parts:
        if len(outside):
            yield np.setdiff1d(chosen, outside), outside


def _losses_by_strength(
    views: Sequence[np.ndarray],
    targets: np.ndarray,
    folds: Iterator[tuple[np.ndarray, np.ndarray]],
    strengths: Sequence[float],
    fit: Callable[..., Any],
    loss: Callable[[Any, np.ndarray, np.ndarray], float],
) -> dict[float, float]:
    """The mean loss over the folds of each strength, judged on the images as they are."""
    losses: dict[float, list[float]] = {}
    for inside, outside in folds:
        inputs = np.concatenate([view[inside] for view in views])
        truth = np.concatenate([targets[inside]] * len(views))
        model = None
        for strength in strengths:  # from strong to weak, each from where the last ended
            model = fit(inputs, truth, strength, model)
            losses.setdefault(strength, []).append(loss(model, views[0][outside], targets[outside]))
    return {strength: float(np.mean(found)) for strength, found in losses.items()}
