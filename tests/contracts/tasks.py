"""Every kind of task behind the same few calls, so that one list of behaviours can be asked of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rushlight.data.images import ImageData
from rushlight.data.text import TextData
from rushlight.inference.predictor import Predictor
from rushlight.inference.writer import Writer
from rushlight.tasks.image_classifier import ImageClassifier
from rushlight.tasks.language_model import LanguageModel

SIDE = 16
SENTENCES = ("the cat sat on the mat.\n", "a dog ran to the sea.\n", "it was dark at night.\n")


@dataclass(frozen=True)
class Images:
    """A classifier, or a model of several labels or of a number.

    Attributes:
        target: what is learned.
    """

    target: str

    def data(self, folder: Path, samples: int = 48) -> ImageData:
        """Noisy images; of `samples` targets each occurs as often as the others."""
        random = np.random.default_rng(0)
        numbers = np.arange(samples) % 3
        images = np.clip(random.normal(80 * numbers[:, None, None, None], 20, (samples, SIDE, SIDE, 3)), 0, 255)
        return self._of(images.astype(np.uint8), numbers)

    def data_of_one(self, folder: Path) -> ImageData:
        """Data in which there is nothing to tell apart."""
        return self._of(np.zeros((12, SIDE, SIDE, 3), np.uint8), np.zeros(12, np.int64))

    def _of(self, images: np.ndarray, numbers: np.ndarray) -> ImageData:
        if self.target == "label":
            return ImageData.from_arrays(images, [f"class {n}" for n in numbers], size=SIDE, device="cpu")
        if self.target == "labels":
            labels = [[name for bit, name in enumerate(("red", "round")) if n >> bit & 1] for n in numbers]
            return ImageData.from_arrays(images, labels, size=SIDE, device="cpu", target="labels")
        values = numbers.astype(np.float64)
        return ImageData.from_arrays(images, values, size=SIDE, device="cpu", target="number")

    def task(self, data: ImageData, seed: int = 0, **settings: Any) -> ImageClassifier:
        """A small network for the data."""
        usual = {"model": "conv_layers", "seed": seed, "device": "cpu"}
        return ImageClassifier(data, **usual | settings)

    def answers(self, task: ImageClassifier) -> list[Any]:
        """What it says of some images."""
        return [answer.to_json() for answer in task.predict(list(task.data.valid.pixels(range(2))))]

    def loaded_answers(self, file: Path, task: ImageClassifier) -> list[Any]:
        """What the saved model says of them."""
        predictor = Predictor.load(file, device="cpu")
        return [answer.to_json() for answer in predictor.predict(list(task.data.valid.pixels(range(2))))]


@dataclass(frozen=True)
class Text:
    """A language model.

    Attributes:
        tokens: what a token is.
    """

    tokens: str

    def data(self, folder: Path, samples: int = 48) -> TextData:
        """A text of so many sentences."""
        random = np.random.default_rng(0)
        return self._of(folder, "".join(random.choice(SENTENCES) for _ in range(samples)))

    def data_of_one(self, folder: Path) -> TextData:
        """A text in which there is nothing to tell apart."""
        return self._of(folder, "aaaaaaaaaaaaaaa\n" * 20)

    def _of(self, folder: Path, text: str) -> TextData:
        path = folder / "story.txt"
        path.write_text(text, encoding="utf-8")
        return TextData.from_files(path, tokens=self.tokens, batch_size=4, window=8, device="cpu")

    def task(self, data: TextData, seed: int = 0, **settings: Any) -> LanguageModel:
        """A small network for the text."""
        small = {"hidden_size": 8, "embedding_size": 8, "layers": 1}
        return LanguageModel(
            data, **{"model": "gru", "model_options": small, "seed": seed, "device": "cpu", **settings}
        )

    def answers(self, task: LanguageModel) -> list[Any]:
        """What it writes, and what it makes of a text."""
        return [task.generate("the ", 30, seed=1), task.evaluate().loss.value]

    def loaded_answers(self, file: Path, task: LanguageModel) -> list[Any]:
        """What the saved model does."""
        writer = Writer.load(file, device="cpu")
        return [writer.write("the ", 30, seed=1), writer.evaluate(task.data.valid).loss.value]


KINDS = {
    "images, a class": Images("label"),
    "images, several labels": Images("labels"),
    "images, a number": Images("number"),
    "text, characters": Text("character"),
    "text, words": Text("word"),
    "text, byte pairs": Text("byte_pair"),
}


def weights_of(task: Any) -> dict[str, torch.Tensor]:
    """A copy of all that the model remembers."""
    return {name: tensor.detach().clone() for name, tensor in task.learner.model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether two models are equal to the bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
