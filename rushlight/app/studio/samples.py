"""What a model can do while it still trains: answers about pictures it has not learned from, or a few lines of text."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from rushlight.app.image_runs import ImageSource
from rushlight.app.studio.answers import jpeg
from rushlight.app.studio.datasets import THUMBNAIL
from rushlight.app.studio.library import Run
from rushlight.app.studio.trainings import START, start_facts
from rushlight.app.studio.worker import Worker

PICTURES_SHOWN = 12
CHARACTERS_WRITTEN = 240


def samples_of(run: Run, worker: Worker) -> dict[str, Any]:
    """Samples of the model as it was last saved; for use within `Worker.do`.

    Args:
        run: a run whose model file is there.
        worker: keeps the loaded model.

    Returns:
        `pictures`, each with its `address`, the true `label` and the `answer`, or `text`; of a classifier neither
        where no studio started the training.
    """
    if run.kind == "text":
        from rushlight.inference.writer import Writer

        writer = worker.loaded("writer", run.model, lambda: Writer.load(run.model, device="cpu"))
        return {"text": writer.write("", CHARACTERS_WRITTEN, temperature=0.8, seed=0)}
    if not start_facts(run.path):
        return {}
    from rushlight.inference.predictor import Predictor

    predictor = worker.loaded("predictor", run.model, lambda: Predictor.load(run.model, device="cpu"))
    shown = worker.loaded("validation", run.path / START, lambda: validation_pictures(run, predictor.size))
    if not len(shown.pixels):
        return {}
    rows = predictor.pixel_probabilities(shown.pixels).numpy()
    pictures = []
    for pixels, label, row in zip(shown.pixels, shown.labels, rows, strict=True):
        answer = predictor.prediction("", row)
        picture = Image.fromarray(pixels).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BICUBIC)
        pictures.append(
            {
                "address": "data:image/jpeg;base64," + base64.b64encode(jpeg(picture)).decode(),
                "label": label,
                "answer": answer.label,
                "probability": answer.probability,
            }
        )
    return {"pictures": pictures}


@dataclass(frozen=True)
class ValidationPictures:
    """Some images that a run does not learn from.

    Attributes:
        pixels: (N, size, size, 3) uint8.
        labels: the names of their classes.
    """

    pixels: np.ndarray
    labels: list[str]


def validation_pictures(run: Run, size: int) -> ValidationPictures:
    """Images from all over the validation part of a run that this or another studio started; cut as the training did.

    Args:
        run: the run.
        size: of the images, in pixels.
    """
    started = start_facts(run.path)
    images = ImageSource.of(str(started["data"]), seed=int(started["seed"]), size=size).load(
        augment="none", device="cpu"
    )
    if images.valid is None:
        return ValidationPictures(np.zeros((0, size, size, 3), np.uint8), [])
    rows = np.linspace(0, images.valid.samples - 1, min(PICTURES_SHOWN, images.valid.samples)).astype(int)
    targets = np.asarray(images.valid.targets)[rows]
    return ValidationPictures(images.valid.pixels(rows), [images.classes[int(target)] for target in targets])
