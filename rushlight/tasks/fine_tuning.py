"""How a pretrained body and a new head are trained: the head from features computed once, then all of it with care.

The order is the one that works with few images: what is cheap and safe first, what may spoil it last, and only where
there is time for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rushlight.data.augmentation import mirrors
from rushlight.data.batches import ImageBatches
from rushlight.data.images import ImageData
from rushlight.nn.backbones import DEFAULT_BACKBONE, BackboneClassifier, is_backbone, preprocessing
from rushlight.nn.heads import PooledHead
from rushlight.nn.models import MODELS
from rushlight.runtime import distributed
from rushlight.runtime.measured import Measured
from rushlight.runtime.terminal import note
from rushlight.tasks import recipes
from rushlight.tasks.features import (
    AS_IT_IS,
    MIRRORED,
    FeatureBatches,
    View,
    are_kept,
    features_once,
)
from rushlight.tasks.linear_heads import Solution
from rushlight.training.callbacks import Callback
from rushlight.training.history import row_from_json, row_to_json
from rushlight.training.learner import Learner

MODEL_NAME = "backbone_classifier"
LARGEST_SMALL_IMAGE = 64  # pixels; a body that has learned from photographs of 224 has no use for smaller ones
AUGMENTATION = "side_on"
BATCH_SIZE = 32
HEAD_RATE, BODY_RATES = 1e-3, (1e-5, 1e-4, 1e-3)  # AdamW; one for each layer group once the body is unfrozen
WEIGHT_DECAY = 0.01
LABEL_SMOOTHING = 0.1
HEAD_EPOCHS = 20  # of a head that cannot be solved, on features: each takes less than a second
SHARE_OF_FEATURES = 0.9  # of the time for a head that is solved; the rest is for solving it
LEAST_SHARE_OF_TRAINING = 0.25  # of that time, however long the validation images take
FEWEST_IMAGES = 100  # to solve a head from, however little time there is
FEWEST_EPOCHS, MOST_EPOCHS = 3.0, 20.0  # of training everything: fewer spoil more than they teach


def backbone_for(model: str, chosen: str | None, size: int, auto: str) -> str | None:
    """Which pretrained body a classifier begins with; None for one from scratch.

    Args:
        model: the name of a model, or `auto`.
        chosen: the body that was asked for, if any.
        size: side of the images in pixels.
        auto: what leaves the choice to the library.
    """
    if chosen is not None:
        return chosen
    if model not in MODELS and is_backbone(model):
        return model
    return DEFAULT_BACKBONE if model == auto and size > LARGEST_SMALL_IMAGE else None


def prepared(data: ImageData, backbone: str, body: nn.Module) -> ImageData:
    """The images as that body expects them, with the augmentation and the batches that suit it."""
    expected = preprocessing(backbone, body)
    # A fourth channel meets the filters of red (`nn.backbones.adapted_filters`), so it is scaled as red is.
    mean, std = (tuple(each[i % len(each)] for i in range(data.channels)) for each in (expected.mean, expected.std))
    ready = data.prepared_for(mean, std, AUGMENTATION)
    if data.options.batch_size is None:
        ready.train.batch_size = min(BATCH_SIZE, max(1, ready.train.samples))
    return ready


def can_be_solved(head: nn.Module) -> bool:
    """Whether a head is linear in pooled features, so that it needs no steps."""
    return isinstance(head, PooledHead) and head.hidden is None


def solve_head(
    learner: Learner,
    data: ImageData,
    *,
    seed: int,
    augmented_views: int,
    solve: Callable[[Sequence[np.ndarray], np.ndarray, int], Solution],
    callbacks: Sequence[Callback],
    seconds: float | None = None,
    decisions: dict[str, Any] | None = None,
) -> None:
    """Solve a linear head from features computed once.

    Args:
        learner: of a `BackboneClassifier`.
        data: the images, prepared for the body.
        seed: of the folds in which the regularisation is chosen.
        augmented_views: how many random changes of every image to learn from beside the image itself and, where the
            augmentation mirrors, its mirror image.
        solve: gives the head of features, targets and the seed, as `Objective.solve`.
        callbacks: are told of the result as of an epoch.
        seconds: a limit; where it does not suffice for all features, the mirror images are left out, then some of the
            images.
        decisions: what was left out, for a run that goes on.
    """

    def learn() -> dict[str, Any]:
        started = time.perf_counter()
        model: Any = learner.model
        part, mirrored = _affordable_features(learner, data, seconds, {} if decisions is None else decisions)
        views: list[View] = [AS_IT_IS, *([MIRRORED] if mirrored else []), *range(augmented_views)]
        features = [features_once(model, part, learner.device, learner.precision, view) for view in views]
        solution = solve(features, part.targets.numpy(), seed)
        solution.copy_to(model.head)
        on_features = _feature_learner(learner, part, data.valid)
        train = on_features.validate(_feature_batches(features[0], part, on_features))
        row: dict[str, Any] = {"train_loss": train["valid_loss"]}
        if data.valid is not None:
            row |= on_features.validate()
        return row | {"seconds": time.perf_counter() - started}

    with learner.callbacks_for_one_fit(callbacks):
        learner.record(learn)


def _affordable_features(
    learner: Learner, data: ImageData, seconds: float | None, decisions: dict[str, Any]
) -> tuple[ImageBatches, bool]:
    """The images that a head is solved from, and whether from their mirror images too."""
    count, mirrored = data.train.samples, mirrors(data.train.augmentation)
    if seconds is None:
        return data.train, mirrored
    time_given = SHARE_OF_FEATURES * seconds

    @cache
    def each() -> float:
        return seconds_an_image(learner, data)

    def cost(part: ImageBatches | None, view: View) -> float:
        model: Any = learner.model
        return 0.0 if part is None or are_kept(model, part, learner.precision, view) else each() * part.samples

    @cache
    def left_for_training() -> float:
        return max(time_given - cost(data.valid, AS_IT_IS), LEAST_SHARE_OF_TRAINING * time_given)

    def affordable_images() -> float:
        if cost(data.train, AS_IT_IS) <= left_for_training():
            return count
        return min(count, max(FEWEST_IMAGES, int(left_for_training() / each())))

    def mirrors_are_affordable() -> bool:
        return cost(data.train, AS_IT_IS) + cost(data.train, MIRRORED) <= left_for_training()

    chosen = int(recipes.once(decisions, "images of the head", affordable_images))
    if chosen < count:
        note(f"there is time to learn from {chosen:,} of {count:,} training images; all of them need more minutes")
        return data.some_to_train_on(chosen), False
    return data.train, mirrored and recipes.once(decisions, "mirror images of the head", mirrors_are_affordable)


def train_head_on_features(
    learner: Learner, data: ImageData, epochs: float, callbacks: Sequence[Callback], **settings: Any
) -> None:
    """Train any head for some epochs on features computed once; its rows join the history.

    Args:
        learner: of a `BackboneClassifier`.
        data: the images, prepared for the body.
        epochs: passes over the features.
        callbacks: for this training.
        **settings: of `Learner.fit`.
    """
    on_features = _feature_learner(learner, data.train, data.valid)
    on_features.epoch, on_features.step, on_features.history = learner.epoch, learner.step, learner.history
    with on_features.callbacks_for_one_fit(callbacks):
        on_features.fit(epochs, **settings)
    learner.epoch, learner.step = on_features.epoch, on_features.step
    learner.progress, learner.row = on_features.progress, on_features.row


class _HeadAlone(nn.Module):
    """The head of a classifier, given what was computed once."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        alone = self.head.forward_pooled if isinstance(self.head, PooledHead) else self.head
        logits: Tensor = alone(features)
        return logits


def _feature_learner(learner: Learner, train: ImageBatches, valid: ImageBatches | None) -> Learner:
    model: Any = learner.model
    parts = [train] if valid is None else [train, valid]
    found = [features_once(model, part, learner.device, learner.precision) for part in parts]
    batches = [_feature_batches(features, part, learner) for features, part in zip(found, parts, strict=True)]
    batches[0].shuffle = True
    return Learner(
        _HeadAlone(model.head),
        (batches[0], batches[1] if len(batches) > 1 else None),
        forward_step=learner.forward_step,
        metrics=learner.metrics,
        device=learner.device,
        precision="float32",
    )


def _feature_batches(features: Any, part: ImageBatches, learner: Learner) -> FeatureBatches:
    return FeatureBatches(features, part.targets, batch_size=part.batch_size, seed=part.seed, device=learner.device)


def rates_for(learner: Learner) -> float | tuple[float, ...]:
    """The usual rates: one for a head alone, one a layer group once the body trains."""
    model: Any = learner.model
    if not any(parameter.requires_grad for parameter in model.body.parameters()):
        return HEAD_RATE
    groups = len(model.layer_groups())
    return BODY_RATES if groups == len(BODY_RATES) else tuple(HEAD_RATE / 10 ** (groups - 1 - i) for i in range(groups))


def seconds_an_image(learner: Learner, data: ImageData) -> float:
    """How long the model takes to answer about an image here, from a batch that is only read."""
    model: BackboneClassifier = learner.model  # type: ignore[assignment]
    model.eval()  # nothing is to move by it, the statistics of batch norm neither
    rows = torch.arange(min(BATCH_SIZE, data.train.samples))
    seconds = []
    with torch.inference_mode(), learner.precision.autocast():
        for _ in range(2):
            started = time.perf_counter()
            images = data.train.inputs(rows).to(learner.device)
            model(images.contiguous(memory_format=torch.channels_last)).sum().item()
            seconds.append(time.perf_counter() - started)
    return min(seconds) / len(rows)


def seconds_an_epoch(learner: Learner, data: ImageData) -> float:
    """How long an epoch of training everything will take here: 3.5 times as long as to answer about all images."""
    return 3.5 * seconds_an_image(learner, data) * data.train.samples / distributed.ranks()


class AtFitStart(Callback):
    """Keeps the weights with which a fit began, and what was measured of them.

    Attributes:
        row: of the history.
        weights: of the model.
    """

    def __init__(self) -> None:
        self.row: dict[str, Any] = {}
        self.weights: dict[str, Tensor] = {}

    def state_dict(self) -> dict[str, Any]:
        """Both."""
        return {"row": row_to_json(self.row), "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.row, self.weights = row_from_json(state["row"]), state["weights"]

    def fit_start(self, learner: Learner) -> None:
        self.row = learner.row
        self.weights = {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}


def is_better(row: dict[str, Measured], other: dict[str, Measured], metric: str) -> bool:
    """Whether a row of the history says more for a model than another: its metric first, then the loss."""

    def rank(candidate: dict[str, Measured]) -> tuple[float, float]:
        return candidate[metric].value, -candidate["valid_loss"].value

    return rank(row) > rank(other)
