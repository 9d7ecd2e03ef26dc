"""Make a classifier as sure as it is right.

Label smoothing teaches a network to hold back, and long training teaches it to boast; neither changes which class comes
first. One number puts both right: the temperature by which all outputs are divided before the softmax (Guo et al., "On
calibration of modern neural networks", 2017).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

LOWEST, HIGHEST = 0.02, 50.0  # temperatures; a network beyond them has other troubles
MOST_LOSSES = 10_000  # kept with a model; a threshold from more would not be told from one from these


@dataclass(frozen=True)
class Calibration:
    """What images that were not trained on say of how sure the answers are.

    Attributes:
        temperature: what outputs are divided by before the softmax.
        losses: minus the logarithm of the probability of the right class, in nats, of each of these images, ascending;
            sets of classes come from them (`inference.conformal`). Of numbers, how far off each answer is, in units of
            `scales` (of several numbers, the one that is furthest off); intervals come from them. Empty where none were
            set aside.
        scales: of numbers, the root mean square error of each on these images.
        thresholds: of labels, the probability from which each is given, where that was chosen on these images.
    """

    temperature: float = 1.0
    losses: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    thresholds: tuple[float, ...] = ()


def calibrate(logits: torch.Tensor, targets: torch.Tensor) -> Calibration:
    """Find the temperature, and the losses that are left with it.

    One number is fitted to the same images whose losses are kept. With hundreds of them it moves each loss by little;
    with a few dozen the sets that come from them are a bit too small.

    Args:
        logits: (N, C) outputs on images that were not trained on.
        targets: (N,) true classes.
    """
    temperature = fit_temperature(logits, targets)
    losses = torch.nn.functional.cross_entropy(logits.double() / temperature, targets.long(), reduction="none").numpy()
    return Calibration(temperature, kept_losses(losses))


def kept_losses(losses: np.ndarray) -> tuple[float, ...]:
    """Losses (N,) as a model file keeps them: ascending, and of very many a part."""
    if len(losses) > MOST_LOSSES:  # as good as exchangeable with them all: drawn without looking at them
        losses = np.random.default_rng(0).choice(losses, MOST_LOSSES, replace=False)
    return tuple(float(f"{loss:.7g}") for loss in np.sort(losses))


def fit_temperature(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """The temperature at which the outputs are most probable, given what the images are.

    The logarithm of the temperature has a standard normal prior. It weighs as much as a single image or two, so it
    changes nothing where there are hundreds; where there are few, or all answers are right, it keeps the temperature
    from falling until every answer counts as certain.

    Args:
        logits: (N, C) outputs on images that were not trained on.
        targets: (N,) true classes.

    Returns:
        Above 1 for a network that is too sure, below 1 for one that is not sure enough; 1 without images.
    """
    outputs, truth = logits.double(), targets.long()
    return _best_temperature(
        lambda t: torch.nn.functional.cross_entropy(outputs / t, truth, reduction="sum"), len(truth)
    )


def fit_label_temperature(logits: torch.Tensor, targets: torch.Tensor) -> float:
    """The same for several labels, each of which is or is not.

    Args:
        logits: (N, C) outputs on images that were not trained on.
        targets: (N, C), 1 where an image has a label.
    """
    outputs, truth = logits.double(), targets.double()
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    return _best_temperature(lambda t: loss(outputs / t, truth, reduction="sum"), len(truth))


def _best_temperature(loss: Callable[[float], torch.Tensor], images: int) -> float:
    from scipy.optimize import minimize_scalar

    if not images:
        return 1.0

    def cost(log_temperature: float) -> float:
        return float(loss(math.exp(log_temperature))) + 0.5 * log_temperature**2

    found = minimize_scalar(cost, bounds=(math.log(LOWEST), math.log(HIGHEST)), method="bounded")
    return math.exp(float(found.x))
