"""Why a classifier answers as it does: a heat map over the photograph, a closer look at its hottest part, and a check.

For example:

    explainer = Explainer(Predictor.load("runs/images/photos-1"))
    explanation = explainer.explain("cat.jpg")
    explanation.figure().savefig("why.png")
    closer = explainer.zoom(explanation)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch.nn.functional import interpolate

from rushlight.data.decode import UnreadableImage, pillow_warnings_ignored, square_of
from rushlight.inference.class_maps import METHOD_NAMES, METHODS, class_maps, occlusion_maps
from rushlight.inference.inputs import Source, list_sources, read_picture, square_pixels
from rushlight.inference.predictions import Skipped
from rushlight.inference.predictor import Predictor
from rushlight.runtime.errors import InputError, nearest_name
from rushlight.runtime.figures import png_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HOT = 0.5  # of the greatest heat: what is at least so hot around the hottest place is the hottest region
MARGIN = 0.15  # of its side, added on each side
SMALLEST_REGION = 0.25  # of the picture's side: less would show a nose and not whose
BLURRED_SHARE = 0.2  # of the picture, in the check
RANDOM_PLACES = 5  # that the check compares with
_BATCH_SIZE = 32

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Explanation:
    """Where in one image the evidence for a class, a label or a number lies.

    Attributes:
        source: the file's path, or `image 0`, ... by position.
        label: what is explained: the class, the label, or the name of the number.
        prediction: what the model answers: a `Prediction` or its like, by the kind of target.
        pixels: (S, S, 3) uint8, what the model saw.
        heat: (S, S) float32 from 0 to 1.
        method: how it was found; a key of `METHOD_NAMES`.
        picture: the whole photograph at full resolution.
        box: what of the photograph the model saw, in its pixels: left, top, right, bottom.
        evidence: what the heat is, in words: `what speaks for cat`.
        direction: 1 where the heat raises the answer, -1 where it lowers it.
    """

    source: str
    label: str
    prediction: Any
    pixels: np.ndarray
    heat: np.ndarray
    method: str
    picture: Image.Image
    box: Box
    evidence: str
    direction: int = 1

    @property
    def probability(self) -> float:
        """Of the class or label that is explained; of a number, the number itself."""
        return self.prediction.of(self.label)

    def hottest_region(self) -> Box:
        """The square around the hottest place, in pixels of the photograph: left, top, right, bottom."""
        from scipy.ndimage import label

        size = len(self.heat)
        row, column = np.unravel_index(int(self.heat.argmax()), self.heat.shape)
        parts, _ = label(self.heat >= HOT * self.heat.max())
        rows, columns = np.nonzero(parts == parts[row, column])
        top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
        side = max(bottom - top, right - left) / size * (1 + 2 * MARGIN)
        side = float(np.clip(side, SMALLEST_REGION, 1.0))
        across = float(np.clip((left + right) / 2 / size - side / 2, 0, 1 - side))
        down = float(np.clip((top + bottom) / 2 / size - side / 2, 0, 1 - side))
        x, y, x_end, y_end = self.box
        width, height = x_end - x, y_end - y
        found = (x + across * width, y + down * height, x + (across + side) * width, y + (down + side) * height)
        return (
            max(0.0, found[0]),
            max(0.0, found[1]),
            min(self.picture.width, found[2]),
            min(self.picture.height, found[3]),
        )

    def figure(self, closer: Explanation | None = None) -> Figure:
        """The photograph, the heat over it, and what a closer look said; see `explanation_figure`."""
        from rushlight.inference.explanation_figure import explanation_figure

        return explanation_figure(self, closer)

    def to_json(self) -> dict[str, Any]:
        """The object that `explain --json` prints for the image."""
        return {
            "source": self.source,
            "label": self.label,
            self.prediction.measure: self.probability,
            "prediction": self.prediction.to_json(),
            "method": self.method,
            "hottest_region": [round(edge, 1) for edge in self.hottest_region()],
        }

    def _repr_png_(self) -> bytes:
        return png_of(self.figure(), 100)


@dataclass(frozen=True)
class Check:
    """What blurring a fifth of the picture does to the probability of the class, or to the number.

    Attributes:
        hottest: how much it falls where the hottest fifth is blurred; of a heat that lowers a number, how much that
            rises.
        random: likewise on average where as large a part, of the same shape, is blurred elsewhere.
    """

    hottest: float
    random: float


class Explainer:
    """Explains the answers of a predictor.

    Args:
        predictor: of a classifier, or of numbers.
        method: a name in `METHODS`.
        layer: the module whose output is the feature map, for Grad-CAM of a model that does not name its body.

    Raises:
        InputError: there is no such method, or the model takes other images than photographs.
    """

    def __init__(self, predictor: Predictor, method: str = "auto", layer: str | None = None) -> None:
        if method not in METHODS:
            raise InputError(f"unknown method '{method}': {nearest_name(method, METHODS)}")
        if len(predictor.mean) != 3:
            raise InputError("heat maps are drawn over photographs, and this model takes images of other channels")
        self.predictor, self.method, self.layer = predictor, method, layer
        self.skipped: list[Skipped] = []

    def explain(self, inputs: Any, label: str | None = None) -> list[Explanation]:
        """Explain the answer about each image, or the evidence for one class.

        Args:
            inputs: as for `Predictor.predict`.
            label: the class to explain; what the model answers if None.

        Returns:
            One explanation an image, in the order of the inputs; `skipped` holds those that could not be read.

        Raises:
            InputError: there is no such class, no such file, or the model keeps no places.
        """
        if label is not None and label not in self.predictor.classes:
            raise InputError(f"the model knows no class '{label}': {nearest_name(label, self.predictor.classes)}")
        self.skipped = []
        found: list[Explanation] = []
        sources = list_sources(inputs)
        with pillow_warnings_ignored():
            for start in range(0, len(sources), _BATCH_SIZE):
                found += self._explain_pictures(*self._read(sources[start : start + _BATCH_SIZE]), label)
        return found

    def zoom(self, explanation: Explanation) -> Explanation:
        """Cut the hottest region from the photograph at full resolution, and ask again.

        Returns:
            The explanation of the closer look, of the same class; its prediction is the second answer.
        """
        left, top, right, bottom = explanation.hottest_region()
        part = explanation.picture.crop((round(left), round(top), max(round(right), round(left) + 1),
                                         max(round(bottom), round(top) + 1)))  # fmt: skip
        (closer,) = self._explain_pictures([explanation.source], [part], explanation.label)
        return closer

    def check(self, explanation: Explanation, seed: int = 0) -> Check:
        """Blur the hottest fifth, and as large a part in other places: what decided should be missed more.

        Args:
            explanation: of one image.
            seed: of the random places.
        """
        size = len(explanation.heat)
        count = round(BLURRED_SHARE * size * size)
        hottest = np.zeros(size * size, bool)
        hottest[np.argsort(-explanation.heat, axis=None, kind="stable")[:count]] = True
        random = np.random.default_rng(seed)
        masks = [hottest.reshape(size, size)]
        for _ in range(RANDOM_PLACES):
            masks.append(np.roll(masks[0], tuple(random.integers(size // 8, size - size // 8, 2)), axis=(0, 1)))
        blurred = np.asarray(Image.fromarray(explanation.pixels).filter(ImageFilter.GaussianBlur(size / 12)))
        changed = [np.where(mask[:, :, None], blurred, explanation.pixels) for mask in masks]
        probabilities = self.predictor.pixel_probabilities(np.stack([explanation.pixels, *changed]))
        wanted = probabilities[:, self.predictor.classes.index(explanation.label)].numpy()
        falls = explanation.direction * (wanted[0] - wanted[1:])
        return Check(float(falls[0]), float(falls[1:].mean()))

    def _read(self, sources: Sequence[Source]) -> tuple[list[str], list[Image.Image]]:
        names, pictures = [], []
        for source in sources:
            try:
                pictures.append(read_picture(source))
                names.append(source.name)
            except UnreadableImage as error:
                self.skipped.append(Skipped(source.name, error.reason))
        return names, pictures

    def _explain_pictures(
        self, names: Sequence[str], pictures: Sequence[Image.Image], label: str | None
    ) -> list[Explanation]:
        if not names:
            return []
        predictor = self.predictor
        fit = predictor.metadata.get("fit", "crop")
        pixels = np.stack([square_pixels(picture, predictor.size, fit) for picture in pictures])
        rows = predictor.pixel_probabilities(pixels)
        answers = [predictor.prediction(name, row.numpy()) for name, row in zip(names, rows, strict=True)]
        labels = [label or answer.subject for answer in answers]
        classes = torch.tensor([predictor.classes.index(name) for name in labels])
        images = predictor.inputs(pixels)
        directions = predictor.answers.direction(rows)[torch.arange(len(rows)), classes]
        if self.method == "occlusion":
            maps, method = occlusion_maps(predictor.input_probabilities, images, classes), "occlusion"
        else:
            exclusive = predictor.answers.exclusive
            maps, method = class_maps(predictor.model, images, classes, self.method, self.layer, exclusive)
        heats = heat_of(maps * directions[:, None, None].to(maps), predictor.size)
        return [
            Explanation(
                name,
                wanted,
                answer,
                pixel,
                heat,
                method,
                picture,
                square_of(picture.size, fit),
                self._evidence(wanted, int(direction)),
                int(direction),
            )
            for name, wanted, answer, pixel, heat, picture, direction in zip(
                names, labels, answers, pixels, heats, pictures, directions.tolist(), strict=True
            )
        ]

    def _evidence(self, label: str, direction: int) -> str:
        """What the heat is, in words."""
        if self.predictor.answers.kind == "number":
            return f"what {'raises' if direction > 0 else 'lowers'} {label}"
        return f"what speaks for {label}"


def heat_of(maps: torch.Tensor, size: int) -> np.ndarray:
    """Maps as heat: what speaks against the class is cold, the rest scaled to 1 and resized smoothly.

    Args:
        maps: (B, h, w).
        size: wanted side.

    Returns:
        (B, size, size) float32 from 0 to 1.
    """
    resized = interpolate(maps.float()[:, None], (size, size), mode="bicubic", align_corners=False)[:, 0].clamp_min(0)
    greatest = resized.amax(dim=(1, 2), keepdim=True)
    heat: np.ndarray = (resized / greatest.clamp_min(1e-12)).cpu().numpy()
    return heat


def method_name(explanation: Explanation) -> str:
    """How the heat was found, in words."""
    return METHOD_NAMES[explanation.method]
