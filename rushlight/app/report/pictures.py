"""Images as text that a page holds in itself."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from rushlight.runtime.figures import png_of

LARGEST_SIDE = 224  # pixels; of a photograph more would make a large file and no clearer page
PIXELS_SEEN_UP_TO = 64  # of smaller images each pixel is shown as it is
_QUALITY = 80
_DOTS_PER_INCH = 110


def data_uri(pixels: np.ndarray) -> str:
    """An image (H, W, 3) uint8 as a `data:` address: small ones as PNG, photographs as JPEG."""
    picture = Image.fromarray(pixels)
    encoded = BytesIO()
    if max(picture.size) <= PIXELS_SEEN_UP_TO:
        picture.save(encoded, format="PNG", optimize=True)
        kind = "png"
    else:
        picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
        picture.save(encoded, format="JPEG", quality=_QUALITY, optimize=True)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"


def figure_uri(figure: Figure) -> str:
    """A drawing as a `data:` address."""
    return f"data:image/png;base64,{base64.b64encode(png_of(figure, _DOTS_PER_INCH)).decode('ascii')}"
