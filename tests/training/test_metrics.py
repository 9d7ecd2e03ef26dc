"""Metrics over batches equal the metric over everything."""

import pytest
import torch
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score

from rushlight.training.metrics import Accuracy, BatchMeans, samples_in


@pytest.mark.parametrize("soft", [False, True])
def test_accuracy(soft):
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(103, 7, generator=generator)
    targets = torch.randint(7, (103,), generator=generator)
    metric = Accuracy()
    for out, target in zip(outputs.split(10), targets.split(10), strict=True):
        metric.update(out, torch.nn.functional.one_hot(target, 7).float() if soft else target)
    measured = metric.compute()
    assert measured.value == pytest.approx(accuracy_score(targets, outputs.argmax(1)))
    correct = round(measured.value * 103)
    expected = binomtest(correct, 103).proportion_ci(method="wilson")
    assert measured.interval == pytest.approx((expected.low, expected.high))
    metric.reset()
    metric.update(outputs[:2], outputs[:2].argmax(1))
    assert metric.compute().value == 1.0


def test_accuracy_of_every_position_of_a_sequence():
    outputs = torch.eye(5)[torch.arange(10) % 5].reshape(2, 5, 5)
    metric = Accuracy()
    metric.update(outputs, torch.zeros(2, 5, dtype=torch.int64))
    assert metric.compute().value == pytest.approx(0.2)
    assert metric.compute().n == 10


def test_batch_means_weigh_by_samples():
    values = torch.tensor([1.0, 2.0, 6.0, 7.0, 8.0])
    means = BatchMeans()
    for part in (values[:2], values[2:]):
        means.update(part.mean(), len(part))
    measured = means.compute()
    assert measured.value == pytest.approx(values.mean().item())
    assert measured.n == 5
    low, high = measured.interval
    assert low < measured.value < high


def test_one_batch_has_no_spread():
    means = BatchMeans()
    means.update(torch.tensor(3.0), 4)
    assert means.compute().interval is None


def test_what_counts_as_a_sample():
    assert samples_in(torch.zeros(6, dtype=torch.int64)) == 6
    assert samples_in(torch.zeros(8, 4, dtype=torch.int64)) == 32
    assert samples_in(torch.zeros(6, 10)) == 6
