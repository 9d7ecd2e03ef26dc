"""Ask an exported classifier about images, without Rushlight and without PyTorch.

    rushlight export runs/images/photos-1 --to onnx
    pip install onnxruntime pillow
    python onnx_classifier.py runs/images/photos-1/model.onnx cat.jpg dog.jpg

The file holds the normalisation and the temperature; its metadata say how large the images must be, and the labels.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def read(path: str, size: int, fit: str) -> np.ndarray:
    """An image as the model wants it: upright, RGB, square; (size, size, 3) uint8."""
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    if fit == "squash":
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    elif fit == "pad":
        image = ImageOps.pad(image, (size, size), Image.Resampling.BICUBIC, color=(128, 128, 128))
    else:  # crop: the shorter side whole, of the longer one the middle
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(image)


def main(model: str, images: list[str]) -> None:
    """Print a line an image: its most probable class, and how probable that is."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    labels = json.loads(told["labels"])
    pixels = np.stack([read(image, int(told["size"]), told["fit"]) for image in images])
    (probabilities,) = session.run(["probabilities"], {"pixels": pixels})
    for image, row in zip(images, probabilities, strict=True):
        print(f"{image}  {labels[row.argmax()]}  {100 * row.max():.1f} %")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
