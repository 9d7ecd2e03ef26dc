"""A pretrained body that stays as it is, and what it says of each image: for studies and checks that train nothing."""

from __future__ import annotations

import numpy as np

from rushlight.data.images import ImageData
from rushlight.nn.backbones import DEFAULT_BACKBONE, backbone_classifier
from rushlight.runtime.device import select_device, select_precision
from rushlight.tasks import fine_tuning
from rushlight.tasks.features import features_once

SMALLEST_IMAGE = 64  # pixels; smaller ones are best read at that size, for the body halves the sides five times


class FrozenBody:
    """A body with published weights, and the images as it expects them.

    What it says is kept, so that a training of the same images with the same body finds it there, and the other way
    round.

    Args:
        data: the images.
        backbone: a key of `BACKBONES`, or `timm/NAME`.
        device: `auto` or a device name of PyTorch.
        precision: `auto`, `float32` or `bfloat16`.

    Raises:
        InputError: there is no such body, or its weights cannot be had.
    """

    def __init__(
        self, data: ImageData, backbone: str = DEFAULT_BACKBONE, device: str = "auto", precision: str = "auto"
    ) -> None:
        self.device = select_device(device)
        self.precision = select_precision(precision, self.device)
        model = backbone_classifier(len(data.classes), data.channels, data.size, backbone=backbone, pretrained=True)
        self.data = fine_tuning.prepared(data, backbone, model.body)
        self._model = model.to(self.device)

    def features(self, part: str) -> np.ndarray:
        """What the body says of each image of a part, pooled.

        Args:
            part: `train`, `valid` or `test`.

        Returns:
            (N, F) float32, in the order of the part; memory-mapped.

        Raises:
            InputError: there is no such part.
            StorageError: the cache cannot be written.
        """
        return features_once(self._model, self.data.part(part), self.device, self.precision)

    def targets(self, part: str) -> np.ndarray:
        """The class of each image of a part, (N,) int64."""
        return self.data.part(part).targets.numpy()
