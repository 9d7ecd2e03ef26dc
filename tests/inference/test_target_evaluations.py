"""Figures of several labels and of numbers: scikit-learn's values, intervals that hold, and what cannot be said."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from rushlight.inference.bootstrap import with_interval
from rushlight.inference.labels_evaluation import evaluate_labels, weighted_average_precision
from rushlight.inference.number_evaluation import evaluate_numbers
from rushlight.inference.thresholds import best_thresholds, cross_fitted_thresholds
from rushlight.runtime.errors import NonFiniteError

LABELS = ["ant", "bee", "cat", "dog"]


@pytest.fixture(scope="module")
def outputs():
    """Outputs that are right more often than not, some of them equal; and targets."""
    generator = torch.Generator().manual_seed(0)
    targets = (torch.rand(300, 4, generator=generator) < torch.tensor([0.5, 0.3, 0.1, 0.05])).float()
    logits = torch.randn(300, 4, generator=generator) + 2 * targets - 1
    return (4 * logits).round() / 4, targets


@pytest.fixture(scope="module")
def evaluation(outputs):
    return evaluate_labels(*outputs, LABELS, "valid")


def test_figures_of_labels_equal_scikit_learns(outputs, evaluation):
    probabilities, truth = outputs[0].double().sigmoid().numpy(), outputs[1].numpy()
    given = probabilities >= 0.5
    each = metrics.average_precision_score(truth, probabilities, average=None)
    assert [score.average_precision.value for score in evaluation.per_label] == pytest.approx(list(each))
    assert evaluation.mean_average_precision.value == pytest.approx(each.mean())
    assert evaluation.f1_micro.value == pytest.approx(metrics.f1_score(truth, given, average="micro"))
    assert evaluation.f1_macro.value == pytest.approx(metrics.f1_score(truth, given, average="macro"))
    assert evaluation.subset_accuracy.value == metrics.accuracy_score(truth, given)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(outputs[0].double(), outputs[1].double())
    assert evaluation.loss.value == pytest.approx(loss.item())
    precision, recall, _, support = metrics.precision_recall_fscore_support(truth, given)
    assert [score.precision.value for score in evaluation.per_label] == pytest.approx(list(precision))
    assert [score.recall.value for score in evaluation.per_label] == pytest.approx(list(recall))
    assert [score.support for score in evaluation.per_label] == list(support)


@given(
    rows=st.lists(st.tuples(st.integers(-3, 3), st.booleans(), st.integers(0, 3)), min_size=1, max_size=30),
)
def test_weighted_average_precision_is_that_of_the_images_repeated(rows):
    scores, truth, counts = (np.array(column) for column in zip(*rows, strict=True))
    found = weighted_average_precision(scores.astype(float), truth, counts[None].astype(np.float32))[0]
    repeated = np.repeat(truth, counts)
    if not repeated.any():
        assert np.isnan(found)
    else:
        assert found == pytest.approx(metrics.average_precision_score(repeated, np.repeat(scores, counts)))


def test_a_label_that_no_image_has_is_left_out_and_said_so():
    targets = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    evaluation = evaluate_labels(torch.tensor([[1.0, -2], [-1, -2], [2, -2]]), targets, ["a", "b"], "valid")
    assert evaluation.mean_average_precision.value == 1.0
    assert np.isnan(evaluation.per_label[1].average_precision.value)
    assert evaluation.f1_macro.value == 1.0
    assert evaluation.table().splitlines()[-1].split() == ["b", "0", "-", "-", "-"]


def test_what_is_perfect_has_no_interval_that_pretends_to_be_sure():
    targets = torch.tensor([[1.0], [0.0]]).repeat(20, 1)
    evaluation = evaluate_labels(8 * (targets - 0.5), targets, ["a"], "valid")
    assert evaluation.f1_micro.value == evaluation.mean_average_precision.value == 1.0
    assert evaluation.f1_micro.interval is None
    assert evaluation.subset_accuracy.interval[0] < 0.95


def test_thresholds_decide_which_labels_are_given(outputs):
    strict = evaluate_labels(*outputs, LABELS, "valid", thresholds=np.array([0.9] * 4))
    probabilities = outputs[0].double().sigmoid().numpy()
    assert (strict.decisions == (probabilities >= 0.9)).all()
    assert strict.f1_micro.value == pytest.approx(
        metrics.f1_score(outputs[1].numpy(), probabilities >= 0.9, average="micro")
    )


@given(rows=st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=25))
def test_no_threshold_has_a_better_f1_than_the_chosen_one(rows):
    probabilities = np.array([[level / 8] for level, _ in rows])
    truth = np.array([[has] for _, has in rows])
    (chosen,) = best_thresholds(probabilities, truth)
    if truth.all() or not truth.any():
        assert chosen == 0.5
        return

    def f1(threshold: float) -> float:
        return metrics.f1_score(truth[:, 0], probabilities[:, 0] >= threshold, zero_division=0)

    assert f1(chosen) == pytest.approx(max(f1(level / 8) for level in range(9)))


def test_an_image_plays_no_part_in_the_thresholds_it_is_judged_by():
    random = np.random.default_rng(0)
    probabilities, truth = random.random((60, 2)), random.random((60, 2)) < 0.3
    before = cross_fitted_thresholds(probabilities, truth)
    for row in (0, 31):
        changed, other = probabilities.copy(), truth.copy()
        changed[row], other[row] = 0.999, ~truth[row]
        assert (cross_fitted_thresholds(changed, other)[row] == before[row]).all()


def test_thresholds_chosen_where_there_is_nothing_to_learn_do_not_flatter():
    """Chosen and judged on the same noise F1 looks better than on other noise; judged on the others it does not."""
    random = np.random.default_rng(0)
    own, honest = [], []
    for _ in range(30):
        logits, targets = torch.tensor(random.normal(0, 1, (40, 3))), torch.tensor(random.random((40, 3)) < 0.2).float()
        probabilities, truth = logits.sigmoid().numpy(), targets.numpy() > 0.5
        for thresholds, found in (
            (best_thresholds(probabilities, truth), own),
            (cross_fitted_thresholds(probabilities, truth), honest),
        ):
            found.append(evaluate_labels(logits, targets, LABELS[:3], "valid", thresholds=thresholds).f1_macro.value)
    always = 2 * 0.2 / 1.2  # F1 of giving every label always
    assert np.mean(own) > always + 0.05
    assert np.mean(honest) < always + 0.03


def test_the_most_wrong_come_first_and_are_wrong(evaluation):
    worst = evaluation.most_wrong(5)
    assert ((evaluation.decisions != evaluation.targets)[worst]).any(axis=1).all()
    assert list(evaluation.losses[worst]) == sorted(evaluation.losses[worst], reverse=True)
    assert evaluation.truth_in_words(int(worst[0]))
    assert "%" in evaluation.answer_in_words(int(worst[0])) or "no label" in evaluation.answer_in_words(int(worst[0]))


@pytest.fixture(scope="module")
def numbers():
    random = np.random.default_rng(0)
    targets = random.normal([1e6, 0.01], [500, 0.003], (150, 2))
    return targets + random.normal(0, [200, 0.002], (150, 2)), targets


def test_figures_of_numbers_equal_scikit_learns(numbers):
    values, targets = numbers
    evaluation = evaluate_numbers(values, targets, ["price", "width"], "valid", np.array([500, 0.003]))
    for i, score in enumerate(evaluation.per_number):
        truth, answer = targets[:, i], values[:, i]
        assert score.mean_absolute_error.value == pytest.approx(metrics.mean_absolute_error(truth, answer))
        assert score.root_mean_square_error.value == pytest.approx(metrics.root_mean_squared_error(truth, answer))
        assert score.r2.value == pytest.approx(metrics.r2_score(truth, answer))
    assert evaluation.r2.value == pytest.approx(metrics.r2_score(targets, values))


def test_intervals_hold_the_value_and_narrow_with_more_images():
    random = np.random.default_rng(1)
    widths = []
    for count in (50, 800):
        targets = random.normal(0, 1, (count, 1))
        evaluation = evaluate_numbers(
            targets + random.normal(0, 0.5, (count, 1)), targets, ["x"], "valid", np.array([1.0])
        )
        for quantity in (evaluation.r2, evaluation.per_number[0].root_mean_square_error):
            low, high = quantity.interval
            assert low < quantity.value < high
            assert quantity.method == "bootstrap"
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.3)


def test_a_bootstrap_interval_covers_as_often_as_it_says():
    """Of a mean, whose normal interval is known to cover."""
    random = np.random.default_rng(2)
    covered = 0
    for seed in range(200):
        values = random.normal(3, 1, 60)
        (found,) = with_interval(lambda counts, v=values: (counts @ v / 60)[:, None], 60, seed=seed)
        covered += found.interval[0] <= 3 <= found.interval[1]
    assert 180 <= covered <= 199


def test_evaluations_are_strict_json(evaluation, numbers):
    found = evaluate_numbers(*numbers, ["price", "width"], "test", np.array([500, 0.003]))
    for each in (evaluation, found):
        facts = json.loads(json.dumps(each.to_json(), allow_nan=False))
        assert facts["n"] == each.n
        assert each.headline[1].count("95 % interval") == 1
        assert each.table()


def test_outputs_that_are_not_finite_are_refused():
    with pytest.raises(NonFiniteError):
        evaluate_labels(torch.tensor([[float("nan")]]), torch.ones(1, 1), ["a"], "valid")
    with pytest.raises(NonFiniteError):
        evaluate_numbers(np.array([[np.inf]]), np.ones((1, 1)), ["a"], "valid", np.ones(1))
    with pytest.raises(ValueError, match="differ"):
        evaluate_labels(torch.zeros(2, 3), torch.zeros(2, 2), ["a", "b"], "valid")
