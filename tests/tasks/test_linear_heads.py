"""Heads that are solved: scikit-learn's answers, for several labels and for numbers."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier

from rushlight.nn.heads import HEADS
from rushlight.tasks.linear_heads import solve_label_head, solve_number_head


def answers_of(solution, features: np.ndarray) -> np.ndarray:
    head = HEADS["average"](features.shape[1], len(solution.bias)).eval()
    solution.copy_to(head)
    with torch.inference_mode():
        return head(torch.from_numpy(features)[:, :, None, None]).numpy()


def scaled(features: np.ndarray) -> np.ndarray:
    return (features - features.mean(0)) / features.std(0)


@pytest.fixture
def labelled() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    features = random.normal(2, 3, (200, 8)).astype(np.float32)
    targets = (features @ random.normal(0, 0.3, (8, 3)) + random.normal(0, 1, (200, 3)) > [1, 2, 3]).astype(np.float32)
    return features, targets


@pytest.mark.parametrize("balanced", [False, True])
def test_a_head_of_several_labels_answers_as_one_against_the_rest(labelled, balanced):
    features, targets = labelled
    solution = solve_label_head([features], targets, balanced=balanced)
    assert solution.strength == min(solution.losses, key=solution.losses.get)
    found = 1 / (1 + np.exp(-answers_of(solution, features)))
    each = LogisticRegression(C=solution.strength, tol=1e-6, class_weight="balanced" if balanced else None)
    expected = OneVsRestClassifier(each).fit(scaled(features), targets).predict_proba(scaled(features))
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_a_label_that_all_or_none_have_is_said_as_often_as_it_is(labelled):
    features, targets = labelled
    targets[:, 0], targets[:, 1] = 1, 0
    found = answers_of(solve_label_head([features], targets), features)
    assert (found[:, 0] > 4).all()
    assert (found[:, 1] < -4).all()
    assert np.isfinite(found).all()


@pytest.mark.parametrize("width", [6, 300])
def test_a_head_of_numbers_answers_as_ridge_regression(width):
    random = np.random.default_rng(0)
    features = random.normal(1, 2, (120, width)).astype(np.float32)
    targets = features @ random.normal(0, 1, (width, 2)) + random.normal(0, 3, (120, 2))
    targets = (targets - targets.mean(0)) / targets.std(0)
    solution = solve_number_head([features], targets)
    expected = Ridge(alpha=1 / solution.strength).fit(scaled(features), targets).predict(scaled(features))
    np.testing.assert_allclose(answers_of(solution, features), expected, atol=2e-3)


def test_where_nothing_can_be_learned_the_regularisation_is_strong():
    random = np.random.default_rng(0)
    noise = random.normal(0, 1, (80, 40)).astype(np.float32)
    numbers, labels = random.normal(0, 1, (80, 1)), (random.random((80, 2)) < 0.5).astype(np.float32)
    assert solve_number_head([noise], numbers).strength == min(solve_number_head([noise], numbers).losses)
    assert solve_label_head([noise], labels).strength <= 0.01


def test_few_images_are_no_obstacle():
    features = np.random.default_rng(0).normal(0, 1, (3, 5)).astype(np.float32)
    assert solve_number_head([features], np.array([[0.0], [1], [2]])).losses == {}
    assert solve_label_head([features], np.array([[0.0], [1], [1]])).losses == {}


def test_mirrored_views_are_fitted_too(labelled):
    features, targets = labelled
    both = solve_label_head([features, features[:, ::-1].copy()], targets)
    assert not np.allclose(both.weight, solve_label_head([features], targets).weight)
