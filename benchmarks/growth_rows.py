"""What `growth.py` measures: each row makes its data, and returns the work to be timed.

Generated data is kept in `runs/benchmarks/growth` and made once a size.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

DATA = Path("runs/benchmarks/growth")
SIDE, CLASSES, FEATURES = 32, 10, 1280
IMAGES_OF_CLASSES = 10_000  # images where the number of classes grows
STEP_BATCH = 64

Work = Callable[[], object]


@dataclass(frozen=True)
class Growth:
    """A row of the table.

    Attributes:
        prepare: from a size to the work that is timed; what it does itself is not.
        sizes: to measure at, ascending.
        unit: what a size counts.
    """

    prepare: Callable[[int], Work]
    sizes: tuple[int, ...]
    unit: str


def image_folder(count: int, classes: int = CLASSES) -> Path:
    """A folder of so many small JPEGs, each of a few soft blots, by class."""
    from PIL import Image

    folder = DATA / f"images-{count}-of-{classes}"
    if folder.is_dir():
        return folder
    unfinished = folder.with_suffix(".tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    for number in range(classes):
        (unfinished / f"class-{number:04}").mkdir(parents=True)
    random = np.random.default_rng(0)
    for start in range(0, count, 1000):
        coarse = random.integers(0, 256, (1000, 5, 5, 3), dtype=np.uint8)
        for number in range(start, min(start + 1000, count)):
            picture = Image.fromarray(coarse[number - start]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            picture.save(unfinished / f"class-{number % classes:04}" / f"{number:06}.jpg", quality=90)
    unfinished.replace(folder)
    return folder


def text_file(characters: int) -> Path:
    """A text of words that are drawn at random, the frequent ones often, in lines."""
    path = DATA / f"text-{characters}.txt"
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    shares = 1 / np.arange(1, 27)
    words = [
        "".join(random.choice(letters, length, p=shares / shares.sum())) for length in random.integers(1, 10, 5000)
    ]
    ranks = 1 / np.arange(1, len(words) + 1)
    unfinished, written = path.with_suffix(".tmp"), 0
    with unfinished.open("w") as file:
        while written < characters:
            drawn = random.choice(len(words), 20_000, p=ranks / ranks.sum())
            lines = [" ".join(words[number] for number in drawn[at : at + 10]) for at in range(0, len(drawn), 10)]
            block = ("\n".join(lines) + "\n")[: characters - written]
            written += file.write(block)
    unfinished.replace(path)
    return path


def _new_cache() -> None:
    """From here on nothing is in the cache; the last one goes with the process that made it."""
    import atexit

    folder = tempfile.mkdtemp(dir=DATA, prefix="cache-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["RUSHLIGHT_CACHE"] = folder


def _images(folder: Path) -> object:
    from rushlight.data.images import ImageData

    return ImageData.from_folder(folder, device="cpu")


def folder_first_time(count: int) -> Work:
    """From files to batches, nothing cached."""
    folder = image_folder(count)
    _new_cache()
    return lambda: _images(folder)


def folder_again(count: int) -> Work:
    """The same from the cache."""
    folder = image_folder(count)
    _new_cache()
    _images(folder)
    return lambda: _images(folder)


def folder_of_classes(classes: int) -> Work:
    """From files to batches, of more and more classes."""
    folder = image_folder(IMAGES_OF_CLASSES, classes)
    _new_cache()
    return lambda: _images(folder)


def pass_over_images(count: int) -> Work:
    """All batches of an epoch, mirrored and shifted."""
    from rushlight.data.images import ImageData

    folder = image_folder(count)
    _new_cache()
    data = ImageData.from_folder(folder, device="cpu", batch_size=256)
    return lambda: [None for _ in data.train]


def check_of_images(count: int) -> Work:
    """`check` without a network: every file opened, copies sought among all."""
    from rushlight.app.data_check import check_images

    folder = str(image_folder(count))
    _new_cache()
    return lambda: check_images(folder, features=False)


def copies_by_features(count: int) -> Work:
    """What `check` asks of a network's features."""
    from rushlight.data.audit.duplicates import similar_features, standardised, usual_cosine

    features = np.random.default_rng(0).normal(size=(count, FEATURES)).astype(np.float32)

    def seek() -> object:
        chosen = standardised(features)
        return similar_features(chosen, max(0.75, usual_cosine(chosen)))

    return seek


def head_solved(images: int, classes: int = CLASSES) -> Work:
    """Logistic regression on features, its strength chosen by cross-validation."""
    from rushlight.tasks.linear_heads import solve_linear_head

    random = np.random.default_rng(0)
    targets = np.arange(images) % classes
    centres = random.normal(size=(classes, FEATURES)).astype(np.float32)
    features = centres[targets] + 3 * random.normal(size=(images, FEATURES)).astype(np.float32)
    return lambda: solve_linear_head([features], targets, classes)


def evaluation(images: int, classes: int = CLASSES) -> Work:
    """Every figure of an evaluation, from logits."""
    from rushlight.inference.evaluation import evaluate_logits

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(images, classes, generator=generator)
    targets = torch.arange(images) % classes
    names = [str(number) for number in range(classes)]
    return lambda: evaluate_logits(logits, targets, names, split="valid").to_json()


def step_of_classes(classes: int) -> Work:
    """A training step of a fast net with so many outputs."""
    from rushlight.nn.fast import fast_net

    return _image_step(fast_net(classes, width=32), classes)


def step_of_operations(width: int) -> Work:
    """A training step of a fast net so wide."""
    from rushlight.nn.fast import fast_net

    return _image_step(fast_net(CLASSES, width=width), CLASSES)


def _image_step(model: torch.nn.Module, classes: int) -> Work:
    images = torch.randn(STEP_BATCH, 3, SIDE, SIDE).to(memory_format=torch.channels_last)
    targets = torch.arange(STEP_BATCH) % classes
    model = model.to(memory_format=torch.channels_last)

    def steps() -> None:
        for _ in range(5):
            torch.nn.functional.cross_entropy(model(images), targets).backward()
            model.zero_grad()

    steps()
    return steps


def step_of_weights(hidden_size: int) -> Work:
    """A training step of an LSTM with so many units."""
    from rushlight.nn.language_models import build_language_model

    model = build_language_model("lstm", 60, embedding_size=128, hidden_size=hidden_size, layers=1)
    tokens = torch.randint(60, (50, STEP_BATCH))

    def steps() -> None:
        for _ in range(3):
            model(tokens)[0].sum().backward()
            model.zero_grad()

    steps()
    return steps


def _text(path: Path) -> object:
    from rushlight.data.text import TextData

    return TextData.from_files(path, device="cpu")


def text_first_time(characters: int) -> Work:
    """From a file to batches, nothing cached."""
    path = text_file(characters)
    _new_cache()
    return lambda: _text(path)


def text_again(characters: int) -> Work:
    """The same from the cache."""
    path = text_file(characters)
    _new_cache()
    _text(path)
    return lambda: _text(path)


def pass_over_text(characters: int) -> Work:
    """All windows of an epoch."""
    from rushlight.data.text import TextData

    path = text_file(characters)
    _new_cache()
    data = TextData.from_files(path, device="cpu")
    return lambda: [None for _ in data.train]


def ngram_of_text(characters: int) -> Work:
    """The n-gram model that a language model is measured beside: counted, and asked about a fifth of the text."""
    from rushlight.data.text import TextData
    from rushlight.inference.text_baselines import ngram_loss

    path = text_file(characters)
    _new_cache()
    data = TextData.from_files(path, device="cpu")
    return lambda: ngram_loss(data.train.tokens, data.valid.tokens, data.tokenizer)


def check_of_text(characters: int) -> Work:
    """`check` of a text: every character, and passages in both parts."""
    from rushlight.app.text_check import check_text

    path = str(text_file(characters))
    _new_cache()
    return lambda: check_text(path)


THOUSANDS = (1_000, 3_000, 10_000, 30_000, 100_000)
CLASS_COUNTS = (10, 30, 100, 300, 1_000)
CHARACTERS = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)

GROWTH: dict[str, Growth] = {
    "read a folder, first time": Growth(folder_first_time, THOUSANDS, "images"),
    "read a folder again": Growth(folder_again, THOUSANDS, "images"),
    "all batches of an epoch": Growth(pass_over_images, THOUSANDS, "images"),
    "check of images, no network": Growth(check_of_images, THOUSANDS, "images"),
    "copies by a network's features": Growth(copies_by_features, THOUSANDS, "images"),
    "head solved on features": Growth(head_solved, THOUSANDS[:4], "images"),
    "evaluation from logits": Growth(evaluation, THOUSANDS, "images"),
    "read 10,000 images, first time": Growth(folder_of_classes, CLASS_COUNTS, "classes"),
    "head solved on 3,000 images": Growth(lambda classes: head_solved(3_000, classes), CLASS_COUNTS[:4], "classes"),
    "evaluation of 10,000 images": Growth(lambda classes: evaluation(10_000, classes), CLASS_COUNTS, "classes"),
    "training step, fast net of width 32": Growth(step_of_classes, CLASS_COUNTS, "classes"),
    "training step, fast net": Growth(step_of_operations, (16, 24, 32, 48, 64, 96), "width"),
    "training step, LSTM": Growth(step_of_weights, (128, 256, 512, 1024), "width"),
    "read a text, first time": Growth(text_first_time, CHARACTERS, "tokens"),
    "read a text again": Growth(text_again, CHARACTERS, "tokens"),
    "all windows of an epoch": Growth(pass_over_text, CHARACTERS, "tokens"),
    "n-gram model of a text": Growth(ngram_of_text, CHARACTERS[:3], "tokens"),
    "check of a text": Growth(check_of_text, CHARACTERS[:3], "tokens"),
}
