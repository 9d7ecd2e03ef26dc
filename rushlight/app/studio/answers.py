"""What a classifier says of an uploaded picture, and why.

What comes in is bytes; what goes out are numbers, and pictures that were drawn anew from the decoded pixels. Nothing of
an upload is kept, and none of its bytes are ever sent back.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from rushlight.data.decode import FORMATS, UnreadableImage, pillow_warnings_ignored, whole_picture

if TYPE_CHECKING:
    from rushlight.inference.explain import Explainer, Explanation
    from rushlight.inference.predictor import Predictor

MOST_PIXELS = 40_000_000  # of a photograph that is decoded: 120 MB; decode.MAXIMUM_PIXELS is for one's own files
LARGEST_SIDE = 2048  # pixels: what is kept of a larger one, enough for a closer look
SHOWN_SIDE = 320  # pixels of the pictures that go out
ANSWERS_SHOWN = 5


class PictureTooLarge(Exception):
    """More pixels than are decoded."""


def picture_of(data: bytes) -> Image.Image:
    """An uploaded picture, upright and in RGB.

    Raises:
        UnreadableImage: it is no picture in a format that is known.
        PictureTooLarge: it has too many pixels, which its header tells before any is decoded.
    """
    with pillow_warnings_ignored():
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                width, height = image.size
        except Image.DecompressionBombError:
            raise PictureTooLarge from None
        except Exception as error:  # Pillow raises almost anything at damaged files
            raise UnreadableImage(f"not an image in a known format ({', '.join(FORMATS)})") from error
        if width * height > MOST_PIXELS:
            raise PictureTooLarge
        picture = whole_picture(data)
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BICUBIC)
    return picture


def answer(predictor: Predictor, data: bytes) -> dict[str, Any]:
    """The most probable classes of an uploaded picture; for what it raises see `picture_of`."""
    (prediction,) = predictor.predict(picture_of(data))
    return _told(prediction)


def explanation(explainer: Explainer, data: bytes) -> dict[str, Any]:
    """The answer about an uploaded picture, the heat over it, and what a closer look says; see `picture_of`."""
    (first,) = explainer.explain(picture_of(data))
    closer = explainer.zoom(first)
    return {
        **_told(first.prediction),
        "explained": first.label,
        "heat": _as_address(heat_picture(first, with_region=True)),
        "closer": {**_told(closer.prediction), "heat": _as_address(heat_picture(closer))},
        "agrees": first.prediction.agrees(closer.prediction, first.label),
    }


def heat_picture(explained: Explanation, with_region: bool = False) -> Image.Image:
    """The picture as the model saw it, in grey, and over it the heat, the more opaque the hotter.

    Args:
        explained: one picture.
        with_region: draw a frame around the hottest region.
    """
    from matplotlib import colormaps

    grey = explained.pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    heat = explained.heat[:, :, None]
    colours = colormaps["inferno"](explained.heat)[:, :, :3].astype(np.float32) * 255
    opacity = 0.15 + 0.5 * heat
    mixed = grey[:, :, None] * (1 - opacity) + colours * opacity
    picture = Image.fromarray(mixed.clip(0, 255).astype(np.uint8))
    picture = picture.resize((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.BICUBIC)
    if with_region:
        left, top, right, bottom = explained.box
        across, down = SHOWN_SIDE / (right - left), SHOWN_SIDE / (bottom - top)
        x, y, x_end, y_end = explained.hottest_region()
        frame = ((x - left) * across, (y - top) * down, (x_end - left) * across - 1, (y_end - top) * down - 1)
        drawing = ImageDraw.Draw(picture)
        drawing.rectangle(frame, outline=(0, 0, 0), width=5)
        drawing.rectangle(frame, outline=(255, 255, 255), width=3)
    return picture


def jpeg(picture: Image.Image) -> bytes:
    """A picture as a JPEG without anything beside its pixels."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=88)
    return file.getvalue()


def _as_address(picture: Image.Image) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(picture)).decode()


def _told(prediction: Any) -> dict[str, Any]:
    """The answer, and the most probable classes or labels; a number has none."""
    from rushlight.inference.predictor import Prediction  # here: PyTorch takes seconds, the first page must not wait

    shown = list(getattr(prediction, "probabilities", {}).items())[:ANSWERS_SHOWN]
    told = prediction.label if isinstance(prediction, Prediction) else ", ".join(prediction.cells())
    return {"label": told, "answers": [{"label": name, "probability": p} for name, p in shown]}
