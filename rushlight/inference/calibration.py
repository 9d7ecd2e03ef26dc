"""Make a classifier as sure as it is right.

Label smoothing teaches a network to hold back, and long training teaches it to boast; neither changes which class comes
first. One number puts both right: the temperature by which all outputs are divided before the softmax (Guo et al., "On
calibration of modern neural networks", 2017).
"""

import math

import torch

LOWEST, HIGHEST = 0.02, 50.0  # temperatures; a network beyond them has other troubles


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
    from scipy.optimize import minimize_scalar

    if not len(targets):
        return 1.0
    outputs, truth = logits.double(), targets.long()

    def cost(log_temperature: float) -> float:
        loss = torch.nn.functional.cross_entropy(outputs / math.exp(log_temperature), truth, reduction="sum")
        return float(loss) + 0.5 * log_temperature**2

    found = minimize_scalar(cost, bounds=(math.log(LOWEST), math.log(HIGHEST)), method="bounded")
    return math.exp(float(found.x))
