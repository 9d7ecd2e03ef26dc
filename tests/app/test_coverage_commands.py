"""`predict --coverage` and `evaluate --coverage`: sets of classes, what they hold, and when they cannot be had."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rushlight.app.cli import main
from tests.app.conftest import write_photos

Rushlight = Callable[..., Any]  # the fixture: arguments to code, out, err


@pytest.fixture(scope="module")
def blurred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a model that cannot tell two of its three classes apart, with 40 validation images."""
    folder = tmp_path_factory.mktemp("images")
    photos = write_photos(folder / "photos", each=100, classes=("green", "red"))
    (photos / "fern").mkdir()
    for number in range(0, 100, 2):
        (photos / "green" / f"{number}.png").rename(photos / "fern" / f"{number}.png")
    length = ("--epochs", "6", "--lr", "0.01", "--model", "conv_layers", "--size", "32")
    assert main(["train", "images", str(photos), *length, "--output", str(folder / "run")]) == 0
    return folder / "run"


def patch(path: Path, colour: tuple[int, int, int]) -> Path:
    pixels = np.random.default_rng(1).normal(colour, 30, (24, 24, 3))
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
    return path


def test_a_sure_answer_is_one_class_and_an_unsure_one_names_both(
    blurred: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    files = [patch(tmp_path / "red.png", (210, 50, 40)), patch(tmp_path / "green.png", (50, 180, 60))]
    ran = rushlight("predict", blurred, *files, "--coverage", "0.9", "--json")
    red, green = (set(answer["candidates"]) for answer in json.loads(ran.out)["predictions"])
    assert red == {"red"}
    assert green == {"fern", "green"}
    assert json.loads(ran.out)["sets"]["n"] == 40
    for_people = rushlight("predict", blurred, *files, "--coverage", "0.9")
    assert " or " in for_people.out.splitlines()[1]
    assert "90 % of images like the 40" in for_people.err


def test_without_a_coverage_nothing_is_said_of_sets(blurred: Path, rushlight: Rushlight, tmp_path: Path) -> None:
    ran = rushlight("predict", blurred, patch(tmp_path / "red.png", (210, 50, 40)), "--json")
    assert "candidates" not in json.loads(ran.out)["predictions"][0]
    assert "sets" not in json.loads(ran.out)


def test_evaluate_measures_the_sets_and_draws_how_far_to_rely_on_them(
    blurred: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    ran = rushlight("evaluate", blurred, "--coverage", "0.8", "--json", "--output", tmp_path / "pictures")
    sets = json.loads(ran.out)["sets"]
    assert sets["asked"] == 0.8
    assert sets["halves"] is True
    assert sets["coverage"]["interval"][1] >= 0.8
    for name in ("reliability.png", "confusion.png"):
        with Image.open(tmp_path / "pictures" / name) as picture:
            assert min(picture.size) > 300
    assert "calibrated on the other" in rushlight("evaluate", blurred, "--coverage", "0.8").out


def test_other_images_are_measured_with_the_sets_of_the_model(
    blurred: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    others = write_photos(tmp_path / "others", each=30, classes=("green", "red"))
    ran = rushlight("evaluate", blurred, "--data", others, "--coverage", "0.8", "--json")
    assert json.loads(ran.out)["sets"]["halves"] is False


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--coverage", "0.99"), "needs at least 99 calibration images, and there are 40"),
        (("--coverage", "95"), "such as 0.95"),
        (("--coverage", "0"), "such as 0.95"),
        (("--coverage", "0.8", "--tta"), "without test-time augmentation"),
    ],
)
def test_a_coverage_that_cannot_be_had_is_refused(
    words: tuple[str, ...], told: str, blurred: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    file = patch(tmp_path / "red.png", (210, 50, 40))
    for command in (("predict", blurred, file), ("evaluate", blurred)):
        ran = rushlight(*command, *words)
        assert ran.code == 2
        assert told.partition(", and there are")[0] in ran.error  # to evaluate, half of the images calibrate


def test_a_model_trained_on_all_images_says_that_it_has_no_scores(
    photos: Path, rushlight: Rushlight, tmp_path: Path
) -> None:
    short = ("--steps", "2", "--model", "conv_layers", "--size", "32", "--fit-all")
    assert rushlight("train", "images", photos, *short, "--output", tmp_path / "run").code == 0
    ran = rushlight("predict", tmp_path / "run", photos / "red" / "1.png", "--coverage", "0.9")
    assert ran.code == 2
    assert "keeps no calibration scores" in ran.error
