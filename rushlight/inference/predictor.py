"""Answers from a saved classifier: no training code and no training data are needed.

predictor = Predictor.load("runs/images/photos-1")
for answer in predictor.predict(["cat.jpg", "holiday/"]):
    print(answer.source, answer.label, answer.probability)
"""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from rushlight.data.decode import UnreadableImage, pillow_warnings_ignored
from rushlight.inference.classifier_file import load_classifier, save_classifier
from rushlight.inference.evaluation import Evaluation, evaluate_logits
from rushlight.inference.inputs import Source, list_sources, read_pixels
from rushlight.inference.tta import VIEWS, tta_probabilities
from rushlight.runtime.device import Precision, select_device, select_precision
from rushlight.runtime.errors import InputError, NonFiniteError, nearest_name
from rushlight.runtime.run_folder import RunFolder

__all__ = ["Prediction", "Predictions", "Predictor", "Skipped", "save_classifier"]

Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]

_BATCH_SIZE = 64


@dataclass(frozen=True)
class Prediction:
    """The answer about one image.

    Attributes:
        source: the file's path, or `image 0`, `image 1`, ... by position.
        label: the most probable class.
        probability: of that class, 0 to 1.
        probabilities: of every class, the most probable first.
    """

    source: str
    label: str
    probability: float
    probabilities: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """The object that `rushlight predict --json` holds for the image."""
        return asdict(self)


@dataclass(frozen=True)
class Skipped:
    """An image that could not be read, and why."""

    source: str
    reason: str


class Predictions(list[Prediction]):
    """The answers in the order of the inputs, and in `skipped` the images that could not be read."""

    def __init__(self, answers: Iterable[Prediction] = (), skipped: Iterable[Skipped] = ()) -> None:
        super().__init__(answers)
        self.skipped = list(skipped)


class Predictor:
    """A classifier together with all it takes to ask it about an image."""

    def __init__(
        self,
        model: nn.Module,
        classes: Sequence[str],
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        metadata: dict[str, Any] | None = None,
        device: str | torch.device = "auto",
        precision: str | Precision = "auto",
    ) -> None:
        """Make a predictor of a model that is at hand; see `load` for one that was saved.

        Args:
            model: (B, 3, size, size) normalised images to (B, classes) logits; it is moved to the device.
            classes: names, in the order of the outputs.
            size: side of the square images, in pixels.
            mean: of each channel over the training images, in 0 to 1.
            std: likewise the standard deviation.
            metadata: what else `save_classifier` writes; `views`, `fit` and `temperature` are used here.
            device: where to compute; see `runtime.device.select_device`.
            precision: see `runtime.device.select_precision`.
        """
        self.device = select_device(device)
        if isinstance(precision, str):
            precision = select_precision(precision, self.device)
        self.precision = precision
        self.model = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.classes = list(classes)
        self.size = size
        self.mean = tuple(mean)
        self.std = tuple(std)
        self.metadata = dict(metadata or {})
        self.temperature: float = self.metadata.get("temperature", 1.0)

    @classmethod
    def load(cls, run_or_file: str | Path, device: str | torch.device = "auto", precision: str = "auto") -> "Predictor":
        """The predictor of a run folder or a model file.

        Raises:
            InputError: there is no such run or file.
            ModelFileError: the file is not an image classifier of ours, or is damaged.
        """
        model, metadata = load_classifier(RunFolder.find(run_or_file))
        classes, size, mean, std = (metadata[name] for name in ("classes", "size", "mean", "std"))
        return cls(model, classes, size, mean, std, metadata, device, precision)

    def predict(self, inputs: Any, tta: bool | str = False) -> Predictions:
        """Answer about images.

        Args:
            inputs: a file, a folder (searched to the bottom), a PIL image, a uint8 array (H, W[, C]) or
                (N, H, W[, C]), or any sequence of these.
            tta: average over the views that suit the data (True), or over an entry of `tta.VIEWS`.

        Returns:
            One answer an image, in the order of the inputs; `.skipped` lists those that could not be read.

        Raises:
            InputError: a path does not exist, an input is no image, or `tta` names no views.
        """
        views = self._views(tta)
        sources = list_sources(inputs)
        predictions = Predictions()
        with pillow_warnings_ignored(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
            for start in range(0, len(sources), _BATCH_SIZE):
                names, pixels = self._read(sources[start : start + _BATCH_SIZE], threads, predictions.skipped)
                if names:
                    rows = self.pixel_probabilities(np.stack(pixels), views).numpy()
                    predictions += [self._prediction(name, row) for name, row in zip(names, rows, strict=True)]
        return predictions

    def pixel_probabilities(self, pixels: np.ndarray, tta: bool | str = False) -> torch.Tensor:
        """The probabilities for images that have the model's size already.

        Args:
            pixels: (B, size, size, 3) uint8.
            tta: see `predict`.

        Returns:
            (B, classes) float32 on the CPU.

        Raises:
            NonFiniteError: the model gives NaN.
        """
        images = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float() / 255
        images = (images - self._channels(self.mean)) / self._channels(self.std)
        probabilities = tta_probabilities(self._logits, images, VIEWS[self._views(tta)])
        if not torch.isfinite(probabilities).all():
            raise NonFiniteError("the model's outputs are not finite; train it again with a lower learning rate")
        return probabilities

    def logits(self, batches: Batches) -> tuple[torch.Tensor, torch.Tensor]:
        """The outputs for every batch, divided by the temperature, and the targets; see `outputs`."""
        return self.outputs(batches, "none")

    def outputs(self, batches: Batches, views: str) -> tuple[torch.Tensor, torch.Tensor]:
        """The outputs for every batch, and the targets.

        Args:
            batches: (images, targets) with normalised images (B, 3, H, W), for example `ImageData.valid`;
                where they have a `mean` and `std` unlike the model's, the images are normalised anew.
            views: an entry of `tta.VIEWS`.

        Returns:
            (N, classes) float32, logits or, with several views, the logarithms of the averaged probabilities;
            and (N,) int64; both on the CPU.
        """
        change = self._renormalisation(batches)
        rows, targets = [], []
        for images, target in batches:
            images = images.to(self.device)
            if change is not None:
                images = images * change[0] + change[1]
            if views == "none":
                rows.append(self._logits(images))
            else:  # a probability that rounds to 0 must not become a loss of infinity
                probabilities = tta_probabilities(self._logits, images, VIEWS[views])
                rows.append(probabilities.clamp_min(torch.finfo(torch.float32).tiny).log())
            targets.append(target.cpu())
        if not rows:
            return torch.zeros(0, len(self.classes)), torch.zeros(0, dtype=torch.int64)
        return torch.cat(rows), torch.cat(targets)

    def evaluate(self, batches: Batches | None, split: str = "valid", tta: bool | str = False) -> Evaluation:
        """Judge the model on labelled images.

        Args:
            batches: see `outputs`; their classes must be the model's, in its order.
            split: which part they are, `valid` or `test`.
            tta: see `predict`.

        Raises:
            InputError: there are no images, or they have classes that the model does not know.
            NonFiniteError: the model gives NaN.
        """
        views = self._views(tta)
        logits, targets = self.outputs([] if batches is None else batches, views)
        if not len(targets):
            raise InputError(f"the data has no '{split}' part to evaluate on")
        if int(targets.max()) >= len(self.classes):
            raise InputError(f"the data has more classes than the model, which knows {len(self.classes)}")
        return evaluate_logits(logits, targets, self.classes, split, views=views)

    def _read(
        self, sources: list[Source], threads: Executor, skipped: list[Skipped]
    ) -> tuple[list[str], list[np.ndarray]]:
        """The pixels of what can be read; the rest goes to `skipped`."""
        fit = self.metadata.get("fit", "crop")

        def read(source: Source) -> np.ndarray | UnreadableImage:
            try:
                return read_pixels(source, self.size, fit)
            except UnreadableImage as error:
                return error

        names, pixels = [], []
        for source, result in zip(sources, threads.map(read, sources), strict=True):
            if isinstance(result, UnreadableImage):
                skipped.append(Skipped(source.name, result.reason))
            else:
                names.append(source.name)
                pixels.append(result)
        return names, pixels

    def _prediction(self, source: str, row: np.ndarray) -> Prediction:
        order = np.argsort(-row, kind="stable")
        probabilities = {self.classes[index]: float(row[index]) for index in order}
        label, probability = next(iter(probabilities.items()))
        return Prediction(source, label, probability, probabilities)

    @torch.inference_mode()
    def _logits(self, images: torch.Tensor) -> torch.Tensor:
        self.model.eval()  # each time: training may have gone on with the same model meanwhile
        images = images.contiguous(memory_format=torch.channels_last)
        with self.precision.autocast():
            return self.model(images).float().cpu() / self.temperature

    def _views(self, tta: bool | str) -> str:
        name = (self.metadata.get("views", "flip_shift") if tta else "none") if isinstance(tta, bool) else tta
        if name not in VIEWS:
            raise InputError(f"unknown views '{name}' for test-time augmentation: {nearest_name(name, VIEWS)}")
        return name

    def _renormalisation(self, batches: Batches) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Scale and offset from the batches' normalisation to the model's; None where they are the same."""
        mean, std = getattr(batches, "mean", None), getattr(batches, "std", None)
        if mean is None or std is None or (tuple(mean) == self.mean and tuple(std) == self.std):
            return None
        scale = self._channels(std) / self._channels(self.std)
        return scale, (self._channels(mean) - self._channels(self.mean)) / self._channels(self.std)

    def _channels(self, values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(tuple(values), dtype=torch.float32, device=self.device).view(1, -1, 1, 1)
