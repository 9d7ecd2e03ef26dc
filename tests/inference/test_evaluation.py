import json
import math

import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.calibration import calibration_curve

from rushlight.inference.evaluation import calibration_error, evaluate_logits, reliability_bins
from rushlight.runtime.errors import NonFiniteError
from rushlight.runtime.measured import Measured, wilson_interval

CLASSES = ["ant", "bee", "cat", "dog", "eel"]


def some_outputs(count=400, classes=5, seed=0):
    """Outputs that are right more often than not, and targets."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(classes, (count,), generator=generator)
    logits = 2 * torch.randn(count, classes, generator=generator)
    logits[torch.arange(count), targets] += 2
    return logits, targets


@pytest.fixture(scope="module")
def outputs():
    return some_outputs()


@pytest.fixture(scope="module")
def evaluation(outputs):
    return evaluate_logits(*outputs, CLASSES, "valid")


def test_accuracy_loss_and_confusion_equal_scikit_learns(outputs, evaluation):
    logits, targets = outputs
    predictions = logits.argmax(1)
    assert evaluation.accuracy.value == metrics.accuracy_score(targets, predictions)
    assert evaluation.accuracy.interval == wilson_interval(int((targets == predictions).sum()), 400)
    assert evaluation.loss.value == pytest.approx(metrics.log_loss(targets, logits.double().softmax(1)), rel=1e-9)
    assert np.array_equal(evaluation.confusion, metrics.confusion_matrix(targets, predictions))
    assert np.array_equal(evaluation.predictions, predictions)


def test_loss_equals_pytorchs_with_the_interval_of_its_mean(outputs, evaluation):
    losses = torch.nn.functional.cross_entropy(outputs[0].double(), outputs[1], reduction="none")
    low, high = evaluation.loss.interval
    assert evaluation.losses == pytest.approx(losses.numpy())
    # The losses are not skewed here, so that the formula says nearly what the resamples do.
    assert (high - low) / 2 == pytest.approx(1.96 * losses.std().item() / 20, rel=0.05)


def test_precision_recall_and_support_of_each_class_equal_scikit_learns(outputs, evaluation):
    precision, recall, _, support = metrics.precision_recall_fscore_support(outputs[1], outputs[0].argmax(1))
    assert [score.name for score in evaluation.per_class] == CLASSES
    assert [score.precision.value for score in evaluation.per_class] == pytest.approx(precision)
    assert [score.recall.value for score in evaluation.per_class] == pytest.approx(recall)
    assert [score.support for score in evaluation.per_class] == list(support)


@pytest.mark.parametrize("seed", range(3))
def test_calibration_error_equals_the_gaps_of_scikit_learns_curve(seed):
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.2, 1, size=1000)
    correct = rng.uniform(size=1000) < confidence**2
    accuracy_in_bin, confidence_in_bin = calibration_curve(correct, confidence, n_bins=15)
    counts = np.histogram(confidence, bins=15, range=(0, 1))[0]
    expected = (np.abs(accuracy_in_bin - confidence_in_bin) * counts[counts > 0]).sum() / 1000
    assert calibration_error(confidence, correct) == pytest.approx(expected)


def test_a_model_that_is_right_as_often_as_it_says_is_calibrated():
    confidence = np.random.default_rng(0).uniform(size=200_000)
    correct = np.random.default_rng(1).uniform(size=200_000) < confidence
    assert calibration_error(confidence, correct) < 0.01
    assert calibration_error(np.ones(4), np.array([True, False, True, False])) == pytest.approx(0.5)


def test_the_most_wrong_images_are_wrong_and_the_worst_come_first(outputs, evaluation):
    worst = evaluation.most_wrong(10)
    assert len(worst) == 10
    assert (evaluation.predictions[worst] != evaluation.targets[worst]).all()
    losses = evaluation.losses[worst]
    assert (np.diff(losses) <= 0).all()
    all_wrong = evaluation.most_wrong(10_000)
    assert len(all_wrong) == (evaluation.predictions != evaluation.targets).sum()
    assert losses.min() >= np.delete(evaluation.losses[all_wrong], range(10)).max()


def test_where_nothing_is_wrong_nothing_is_most_wrong():
    assert len(evaluate_logits(10 * torch.eye(5), torch.arange(5), CLASSES, "valid").most_wrong()) == 0


def test_json_is_strict_and_keeps_every_measured_quantity(evaluation):
    written = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert Measured.from_json(written["accuracy"]) == evaluation.accuracy
    assert Measured.from_json(written["loss"]) == evaluation.loss
    assert written["split"] == "valid"
    assert written["confusion"] == evaluation.confusion.tolist()
    assert Measured.from_json(written["per_class"]["cat"]["recall"]) == evaluation.per_class[2].recall


def test_a_class_that_never_occurs_has_no_recall_rather_than_zero():
    evaluation = evaluate_logits(torch.eye(3)[[0, 1]], torch.tensor([0, 1]), ["a", "b", "never"], "test")
    never = evaluation.per_class[2]
    assert math.isnan(never.recall.value)
    assert math.isnan(never.precision.value)
    json.dumps(evaluation.to_json(), allow_nan=False)
    assert "-" in evaluation.table().splitlines()[-1]


def test_the_table_shows_each_class_or_of_very_many_the_worst(evaluation):
    table = evaluation.table()
    assert all(name in table for name in CLASSES)
    assert evaluation.accuracy.percent() in table

    logits, targets = some_outputs(count=2000, classes=100)
    many = evaluate_logits(logits, targets, [f"class{index:03}" for index in range(100)], "valid")
    recalls = {score.name: score.recall.value for score in many.per_class}
    shown = {name for name in recalls if name in many.table()}
    assert 0 < len(shown) < 100
    assert max(recalls[name] for name in shown) <= min(recalls[name] for name in recalls.keys() - shown)


def test_logarithms_of_probabilities_are_judged_as_their_probabilities(outputs, evaluation):
    again = evaluate_logits(outputs[0].log_softmax(1), outputs[1], CLASSES, "valid")
    assert again.loss.value == pytest.approx(evaluation.loss.value, rel=1e-6)
    assert again.accuracy == evaluation.accuracy


def test_very_sure_outputs_do_not_overflow():
    evaluation = evaluate_logits(torch.tensor([[3e38, -3e38], [0.0, 1e4]]), torch.tensor([0, 0]), ["a", "b"], "valid")
    assert evaluation.losses[0] == 0
    assert evaluation.losses[1] == pytest.approx(1e4)


def test_outputs_that_are_not_numbers_stop_with_their_count(outputs):
    logits = outputs[0].clone()
    logits[3:5] = float("nan")
    with pytest.raises(NonFiniteError, match="2 of 400"):
        evaluate_logits(logits, outputs[1], CLASSES, "valid")


@pytest.mark.parametrize(
    ("logits", "targets"),
    [
        (torch.zeros(0, 5), torch.zeros(0, dtype=torch.int64)),
        (torch.zeros(3, 4), torch.zeros(3, dtype=torch.int64)),
        (torch.zeros(3, 5), torch.zeros(2, dtype=torch.int64)),
        (torch.zeros(1, 5), torch.tensor([5])),
        (torch.zeros(1, 5), torch.tensor([-1])),
    ],
)
def test_what_does_not_fit_together_is_refused(logits, targets):
    with pytest.raises(ValueError):
        evaluate_logits(logits, targets, CLASSES, "valid")


def test_the_bins_of_a_reliability_diagram_add_up_to_the_calibration_error() -> None:
    random = np.random.default_rng(0)
    confidence = random.uniform(0.2, 1, 500)
    correct = random.random(500) < confidence**2
    bins = reliability_bins(confidence, correct)
    assert sum(one.right.n for one in bins) == 500
    assert all(one.low < one.confidence <= one.high for one in bins if one.right.n)
    gaps = [abs(one.confidence - one.right.value) * one.right.n for one in bins if one.right.n]
    assert sum(gaps) / 500 == pytest.approx(calibration_error(confidence, correct))
