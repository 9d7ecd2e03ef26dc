"""Answers from a saved classifier: no training code and no training data are needed.

For example:

    predictor = Predictor.load("runs/images/photos-1")
    for answer in predictor.predict(["cat.jpg", "holiday/"]):
        print(answer.source, answer.label, answer.probability)
"""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from rushlight.data.decode import UnreadableImage, pillow_warnings_ignored
from rushlight.inference.answers import answers_of
from rushlight.inference.calibration import Calibration
from rushlight.inference.classifier_file import load_classifier, save_classifier
from rushlight.inference.conformal import ConformalSets, SetScores, score_in_halves, score_sets
from rushlight.inference.evaluation import Evaluation
from rushlight.inference.inputs import Source, list_sources, read_pixels
from rushlight.inference.predictions import Prediction, Predictions, Skipped
from rushlight.inference.tta import VIEWS, tta_probabilities
from rushlight.runtime.device import Precision, select_device, select_precision
from rushlight.runtime.errors import InputError, NonFiniteError, nearest_name
from rushlight.runtime.run_folder import RunFolder

__all__ = ["Prediction", "Predictions", "Predictor", "Skipped", "save_classifier"]

Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]

_BATCH_SIZE = 64


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
            metadata: what else `save_classifier` writes; `target`, `views`, `fit`, `temperature`,
                `calibration_losses` and `calibration_scales` are used here.
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
        self.answers = answers_of(self.metadata.get("target"), self.classes)
        self.calibration = Calibration(
            self.metadata.get("temperature", 1.0),
            tuple(self.metadata.get("calibration_losses", ())),
            tuple(self.metadata.get("calibration_scales", ())),
        )

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

    def conformal_sets(self, coverage: float) -> ConformalSets:
        """The rule that makes sets of classes which hold the right one as often as asked.

        Args:
            coverage: between 0 and 1.

        Raises:
            InputError: the model keeps too few calibration losses for that, or none, or gives any of several labels.
        """
        if self.answers.kind == "labels":
            raise InputError("sets of a stated coverage are of classes, of which one is right; this model gives labels")
        if not self.calibration.losses:
            raise InputError(
                "this model keeps no calibration scores (it was trained on all images, or stopped before its end, or "
                "comes from an older version): train it with validation images to ask for a coverage"
            )
        return ConformalSets.calibrated(self.calibration.losses, coverage)

    def predict(self, inputs: Any, tta: bool | str = False, coverage: float | None = None) -> Predictions:
        """Answer about images.

        Args:
            inputs: a file, a folder (searched to the bottom), a PIL image, a uint8 array (H, W[, C]) or
                (N, H, W[, C]), or any sequence of these.
            tta: average over the views that suit the data (True), or over an entry of `tta.VIEWS`.
            coverage: give each answer the set of classes that holds the right one so often; of numbers, the interval,
                which without it is that of 95 % where enough images were set aside.

        Returns:
            One answer an image, in the order of the inputs; `.skipped` lists those that could not be read.

        Raises:
            InputError: a path does not exist, an input is no image, `tta` names no views, or the model cannot vouch
                for the coverage.
        """
        views = self._views(tta)
        if coverage is not None and views != "none":
            raise InputError("a coverage was calibrated without test-time augmentation: ask for one of the two")
        if coverage is not None:
            self.conformal_sets(coverage)  # refused now where it cannot be vouched for
        sources = list_sources(inputs)
        predictions = Predictions()
        with pillow_warnings_ignored(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
            for start in range(0, len(sources), _BATCH_SIZE):
                names, pixels = self._read(sources[start : start + _BATCH_SIZE], threads, predictions.skipped)
                if names:
                    rows = self.pixel_probabilities(np.stack(pixels), views).numpy()
                    predictions += [
                        self.prediction(name, row, coverage, views) for name, row in zip(names, rows, strict=True)
                    ]
        return predictions

    def pixel_probabilities(self, pixels: np.ndarray, tta: bool | str = False) -> torch.Tensor:
        """The probabilities, or numbers, for images that have the model's size already.

        Args:
            pixels: (B, size, size, C) uint8.
            tta: see `predict`.

        Returns:
            (B, classes) on the CPU.

        Raises:
            NonFiniteError: the model gives NaN.
        """
        probabilities = tta_probabilities(self._logits, self.inputs(pixels), VIEWS[self._views(tta)], self.answers.of)
        if not torch.isfinite(probabilities).all():
            raise NonFiniteError("the model's outputs are not finite; train it again with a lower learning rate")
        return probabilities

    def inputs(self, pixels: np.ndarray) -> torch.Tensor:
        """Images as the model meets them, on the device.

        Args:
            pixels: (B, size, size, C) uint8.

        Returns:
            (B, C, size, size) float32, with the mean colour of the training images at 0.
        """
        images = torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).float() / 255
        return (images - self._channels(self.mean)) / self._channels(self.std)

    def input_probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """What `inputs` gives, perhaps changed, to probabilities, or numbers, (B, classes) on the CPU."""
        return self.answers.of(self._logits(images))

    def logits(self, batches: Batches) -> tuple[torch.Tensor, torch.Tensor]:
        """The outputs for every batch, divided by the temperature, and the targets; see `outputs`."""
        return self.outputs(batches, "none")

    def outputs(self, batches: Batches, views: str) -> tuple[torch.Tensor, torch.Tensor]:
        """The outputs for every batch, and the targets.

        Args:
            batches: (images, targets) with normalised images (B, 3, H, W), for example `ImageData.valid`;
                where they have a `scaling` (mean and deviation) unlike the model's, the images are normalised anew.
            views: an entry of `tta.VIEWS`.

        Returns:
            (N, classes) float32, logits or, with several views, what would have given the averaged probabilities;
            and the targets; both on the CPU.
        """
        change = self._renormalisation(batches)
        rows, targets = [], []
        for images, target in batches:
            images = images.to(self.device)
            if change is not None:
                images = images * change[0] + change[1]
            if views == "none":
                rows.append(self._logits(images))
            else:
                averaged = tta_probabilities(self._logits, images, VIEWS[views], self.answers.of)
                rows.append(self.answers.outputs_of(averaged))
            targets.append(target.cpu())
        if not rows:
            return torch.zeros(0, len(self.classes)), torch.zeros(0, dtype=torch.int64)
        return torch.cat(rows), torch.cat(targets)

    def evaluate(
        self, batches: Batches | None, split: str = "valid", tta: bool | str = False, calibrated_on_them: bool = False
    ) -> Any:
        """Judge the model on images of which the answers are known.

        Gives an `Evaluation`; of several labels a `LabelsEvaluation`, and of numbers a `NumberEvaluation`.

        Args:
            batches: see `outputs`; their classes must be the model's, in its order.
            split: which part they are, `valid` or `test`.
            tta: see `predict`.
            calibrated_on_them: thresholds of labels may have been chosen on these images. Each is then judged by those
                that the others would have chosen.

        Raises:
            InputError: there are no images, or they have classes that the model does not know.
            NonFiniteError: the model gives NaN.
        """
        views = self._views(tta)
        outputs, targets = self.outputs([] if batches is None else batches, views)
        return self.evaluate_outputs(outputs, targets, split, views, calibrated_on_them)

    def evaluate_outputs(
        self, outputs: torch.Tensor, targets: torch.Tensor, split: str, views: str, calibrated_on_them: bool
    ) -> Any:
        """Judge what `outputs` gave; the arguments, what is returned and what is raised are those of `evaluate`."""
        if not len(targets):
            raise InputError(f"the data has no '{split}' part to evaluate on")
        if targets.ndim == 1 and int(targets.max()) >= len(self.classes):
            raise InputError(f"the data has more classes than the model, which knows {len(self.classes)}")
        return self.answers.evaluate(outputs, targets, self.classes, split, views, calibrated_on_them)

    def _read(
        self, sources: list[Source], threads: Executor, skipped: list[Skipped]
    ) -> tuple[list[str], list[np.ndarray]]:
        """The pixels of what can be read; the rest goes to `skipped`."""
        fit = self.metadata.get("fit", "crop")

        def read(source: Source) -> np.ndarray | UnreadableImage:
            try:
                return read_pixels(source, self.size, fit, len(self.mean))
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

    def prediction(self, source: str, row: np.ndarray, coverage: float | None = None, views: str = "none") -> Any:
        """The answer that a row (classes,) of `pixel_probabilities` means: a `Prediction` or its like, by the kind."""
        # What was found with one view of each image says nothing of a mean over several.
        calibration = self.calibration if views == "none" else Calibration(self.calibration.temperature)
        return self.answers.prediction(source, row, self.classes, calibration, coverage)

    def score_sets(self, evaluation: Evaluation, coverage: float, *, calibrated_on_them: bool) -> SetScores:
        """How sets of a coverage did on images that were evaluated.

        Args:
            evaluation: of these images.
            coverage: between 0 and 1.
            calibrated_on_them: the images are those that calibrated the model. Each half is then measured with sets
                calibrated on the other, so that no image vouches for itself.

        Raises:
            InputError: there are too few images for that coverage, or several views of each were averaged.
        """
        if evaluation.views != "none":
            raise InputError("sets of classes were calibrated without test-time augmentation: ask for one of the two")
        if calibrated_on_them:
            return score_in_halves(evaluation.probabilities, evaluation.targets, coverage)
        members = self.conformal_sets(coverage).members(evaluation.probabilities)
        return score_sets(members, evaluation.targets, coverage)

    @torch.inference_mode()
    def _logits(self, images: torch.Tensor) -> torch.Tensor:
        self.model.eval()  # each time: training may have gone on with the same model meanwhile
        images = images.contiguous(memory_format=torch.channels_last)
        with self.precision.autocast():
            return self.model(images).float().cpu() / self.calibration.temperature

    def _views(self, tta: bool | str) -> str:
        name = (self.metadata.get("views", "flip_shift") if tta else "none") if isinstance(tta, bool) else tta
        if name not in VIEWS:
            raise InputError(f"unknown views '{name}' for test-time augmentation: {nearest_name(name, VIEWS)}")
        return name

    def _renormalisation(self, batches: Batches) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Scale and offset from the batches' normalisation to the model's; None where they are the same."""
        scaling = getattr(batches, "scaling", None)
        if scaling is None or scaling == (self.mean, self.std):
            return None
        mean, std = scaling
        scale = self._channels(std) / self._channels(self.std)
        return scale, (self._channels(mean) - self._channels(self.mean)) / self._channels(self.std)

    def _channels(self, values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(tuple(values), dtype=torch.float32, device=self.device).view(1, -1, 1, 1)
