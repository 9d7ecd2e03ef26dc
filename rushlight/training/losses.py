"""Losses: what training makes small."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from rushlight.runtime.errors import InputError


def cross_entropy(
    outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0, class_weights: Tensor | None = None
) -> Tensor:
    """The mean cross-entropy, computed in float32 (or wider) whatever precision the outputs have.

    The logarithm of a softmax over bfloat16 numbers has two or three digits; its gradients fewer.

    Args:
        outputs: logits, (B, classes), any floating dtype.
        targets: class numbers, int64 (B,), or probabilities, float (B, classes), as mixup and cutmix give.
        label_smoothing: the share of each target spread evenly over all classes (Szegedy et al. 2016).
        class_weights: (classes,) on the device of the outputs. As in PyTorch, the mean is then over the
            weights with
            class numbers, and over the samples with probabilities.

    Returns:
        A scalar.
    """
    dtype = torch.promote_types(outputs.dtype, torch.float32)
    if targets.is_floating_point():
        targets = targets.to(dtype)
    if class_weights is not None:
        class_weights = class_weights.to(dtype)
    return functional.cross_entropy(outputs.to(dtype), targets, weight=class_weights, label_smoothing=label_smoothing)


class CrossEntropy:
    """`cross_entropy` with its settings: a loss for `Learner`.

    Args:
        label_smoothing: the share of each target spread evenly over all classes.
        class_weights: one weight a class, such as `balanced_class_weights` gives; None weighs all alike.

    Raises:
        InputError: a setting cannot be used, or (when called) the number of weights is not the number of
            classes.
    """

    def __init__(self, label_smoothing: float = 0.0, class_weights: Sequence[float] | Tensor | None = None) -> None:
        if not 0 <= label_smoothing < 1:
            raise InputError(f"label_smoothing is a share from 0 to below 1, not {label_smoothing}")
        self.label_smoothing = label_smoothing
        self.class_weights: Tensor | None = None
        if class_weights is not None:
            weights = torch.as_tensor(class_weights, dtype=torch.float32).detach()
            if weights.ndim != 1 or not bool((weights.isfinite() & (weights >= 0)).all()) or not bool(weights.any()):
                raise InputError("class_weights must be one number from 0 up for each class, and not all zero")
            self.class_weights = weights

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch; shapes as in `cross_entropy`."""
        weights = self.class_weights
        if weights is not None:
            if len(weights) != outputs.shape[1]:
                raise InputError(f"{len(weights)} class weights were given for {outputs.shape[1]} classes")
            if weights.device != outputs.device:  # moved once, then kept there
                weights = self.class_weights = weights.to(outputs.device)
        return cross_entropy(outputs, targets, self.label_smoothing, weights)

    def __repr__(self) -> str:
        weights = None if self.class_weights is None else [round(float(w), 4) for w in self.class_weights]
        return f"CrossEntropy(label_smoothing={self.label_smoothing}, class_weights={weights})"


def balanced_class_weights(targets: Tensor | Sequence[int], classes: int) -> Tensor:
    """Weights that let every class count alike, however many samples it has.

    `samples / (classes * samples of the class)`, the "balanced" rule of scikit-learn (King and Zeng 2001):
    their mean over the samples is 1, so the learning rate keeps its meaning.

    Args:
        targets: class numbers of the training part, integers (N,).
        classes: how many there are.

    Returns:
        float32 (classes,).

    Raises:
        InputError: a class has no sample, or a target is not a class number.
    """
    numbers = torch.as_tensor(targets, dtype=torch.int64).flatten().cpu()
    if len(numbers) == 0 or int(numbers.min()) < 0 or int(numbers.max()) >= classes:
        raise InputError(f"class weights need targets from 0 to {classes - 1}")
    counts = torch.bincount(numbers, minlength=classes)
    empty = (counts == 0).nonzero().flatten().tolist()
    if empty:
        raise InputError(f"class {empty[0]} has no training sample to balance: add some, or leave the class out")
    return (len(numbers) / (classes * counts.double())).float()


def binary_cross_entropy(
    outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0, label_weights: Tensor | None = None
) -> Tensor:
    """The mean binary cross-entropy over images and labels, computed in float32 or wider.

    Args:
        outputs: logits, (B, labels), any floating dtype.
        targets: (B, labels), 1 where an image has a label, else 0.
        label_smoothing: how far targets are drawn to the middle: 0.1 makes them 0.05 and 0.95.
        label_weights: (2, labels), what not having each label counts, and what having it counts.

    Returns:
        A scalar.
    """
    dtype = torch.promote_types(outputs.dtype, torch.float32)
    targets = targets.to(dtype)
    weights = None
    if label_weights is not None:
        weights = torch.where(targets > 0.5, label_weights[1], label_weights[0]).to(dtype)
    smooth = targets * (1 - label_smoothing) + label_smoothing / 2
    return functional.binary_cross_entropy_with_logits(outputs.to(dtype), smooth, weight=weights)


class BinaryCrossEntropy:
    """`binary_cross_entropy` with its settings, for images of several labels.

    Args:
        label_smoothing: as there.
        label_weights: as there, such as `balanced_label_weights` gives; None weighs all alike.

    Raises:
        InputError: a setting cannot be used.
    """

    def __init__(self, label_smoothing: float = 0.0, label_weights: Tensor | None = None) -> None:
        if not 0 <= label_smoothing < 1:
            raise InputError(f"label_smoothing is a share from 0 to below 1, not {label_smoothing}")
        self.label_smoothing = label_smoothing
        self.label_weights = label_weights

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch; shapes as in `binary_cross_entropy`."""
        if self.label_weights is not None and self.label_weights.device != outputs.device:
            self.label_weights = self.label_weights.to(outputs.device)  # moved once, then kept there
        return binary_cross_entropy(outputs, targets, self.label_smoothing, self.label_weights)


def balanced_label_weights(targets: Tensor) -> Tensor:
    """Weights that let having a label and not having it count alike, as `balanced_class_weights` does for classes.

    Args:
        targets: (N, labels) of the training part.

    Returns:
        float32 (2, labels).
    """
    having = targets.double().sum(dim=0)
    counts = torch.stack([len(targets) - having, having])
    return (len(targets) / (2 * counts.clamp_min(1))).float()


class NumberLoss:
    """The loss of outputs that stand for numbers, in deviations from the mean over the training images.

    Args:
        mean: of each number over the training images, in its unit.
        deviation: likewise the standard deviation.
        squared: the mean squared error; else smooth L1 (Girshick 2015), which a few wrong targets do not rule.
    """

    def __init__(self, mean: Sequence[float], deviation: Sequence[float], squared: bool = False) -> None:
        self.squared = squared
        self._mean = torch.tensor(mean, dtype=torch.float64)
        self._deviation = torch.tensor(deviation, dtype=torch.float64)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch.

        Args:
            outputs: (B, columns), in deviations.
            targets: (B, columns), in their units.
        """
        if self._mean.device != targets.device:
            self._mean, self._deviation = self._mean.to(targets.device), self._deviation.to(targets.device)
        wanted = ((targets.double() - self._mean) / self._deviation).float()
        function = functional.mse_loss if self.squared else functional.smooth_l1_loss
        return function(outputs.float(), wanted)
