"""The temperature: found where it is known, harmless where it is not, saved with the model and used by it."""

import numpy as np
import pytest
import torch

from rushlight.inference.calibration import MOST_LOSSES, calibrate, fit_temperature
from rushlight.inference.evaluation import calibration_error


def calibrated_outputs(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs whose softmax is the very distribution that the targets are drawn from."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, 5, generator=generator)
    targets = torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1)
    return logits, targets


def error_of(logits: torch.Tensor, targets: torch.Tensor) -> float:
    probabilities = logits.softmax(1).numpy()
    return calibration_error(probabilities.max(1), probabilities.argmax(1) == targets.numpy())


@pytest.mark.parametrize("true_temperature", [0.25, 1.0, 6.0])
def test_the_temperature_that_spoilt_the_outputs_is_found(true_temperature):
    logits, targets = calibrated_outputs(5000)
    found = fit_temperature(logits * true_temperature, targets)
    assert found == pytest.approx(true_temperature, rel=0.06)
    assert error_of(logits * true_temperature / found, targets) < 0.02


def test_what_was_found_on_some_images_serves_others():
    logits, targets = calibrated_outputs(2000)
    timid = 0.3 * logits
    found = fit_temperature(timid[:1000], targets[:1000])
    assert error_of(timid[1000:] / found, targets[1000:]) < 0.5 * error_of(timid[1000:], targets[1000:])


@pytest.mark.parametrize("count", [1, 3, 10, 300])
def test_a_few_right_answers_do_not_make_it_certain(count):
    targets = torch.arange(count) % 4
    logits = 2.0 * torch.nn.functional.one_hot(targets, 4).double()
    sure = (logits / fit_temperature(logits, targets)).softmax(1).max(1).values
    assert float((1 - sure).sum()) > 0.05  # wrong answers still expected among so many
    assert float(sure[0]) >= float(logits.softmax(1).max())


def test_without_images_nothing_changes():
    assert fit_temperature(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)) == 1.0


def test_hopeless_outputs_keep_the_temperature_within_its_range():
    targets = torch.zeros(500, dtype=torch.int64)
    wrong = torch.tensor(np.tile([-900.0, 900.0], (500, 1)))
    assert 1.0 < fit_temperature(wrong, targets) <= 50.0


def test_the_losses_that_are_kept_are_those_of_the_calibrated_outputs_in_order():
    logits, targets = calibrated_outputs(300)
    found = calibrate(3 * logits, targets)
    expected = torch.nn.functional.cross_entropy(3 * logits.double() / found.temperature, targets, reduction="none")
    assert found.losses == pytest.approx(sorted(expected.tolist()), rel=1e-6)


def test_of_very_many_losses_some_are_kept_that_stand_for_all():
    logits, targets = calibrated_outputs(MOST_LOSSES + 5000)
    found = calibrate(logits, targets)
    assert len(found.losses) == MOST_LOSSES
    everything = torch.nn.functional.cross_entropy(logits.double() / found.temperature, targets, reduction="none")
    for share in (0.5, 0.9, 0.99):
        assert (everything <= np.quantile(found.losses, share)).double().mean() == pytest.approx(share, abs=0.015)
