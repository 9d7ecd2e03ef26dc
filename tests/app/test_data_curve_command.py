"""`rushlight data-curve`: a sentence, a table, a picture, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Rushlight = Callable[..., Any]  # the fixture: arguments to code, out, err
MakePhotos = Callable[..., Path]


def test_a_curve_is_told_drawn_and_kept(make_photos: MakePhotos, rushlight: Rushlight, tmp_path: Path) -> None:
    photos = make_photos(each=20)
    words = ("data-curve", photos, "--seeds", "2", "--sizes", "6,12,24,48", "--size", "32")
    ran = rushlight(*words)
    assert ran.code == 0
    assert "With 48 training images the accuracy is" in ran.out
    assert "(95 % band" in ran.out
    with Image.open(tmp_path / "runs" / "data-curve" / "photos-1" / "data-curve.png") as picture:
        assert min(picture.size) > 300
    found = json.loads(rushlight(*words, "--json").out)
    assert found["sizes"] == [6, 12, 24, 48]
    assert Path(found["folder"]).name == "photos-2"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--sizes", "10,twenty"), "25,50,100,200"),
        (("--sizes", "10,0"), "25,50,100,200"),
        (("--backbone", "resnet17"), "did you mean 'resnet18'?"),
        (("--valid-fraction", "0"), "no validation images"),
        (("--seeds", "1"), "--seeds"),
        ((), "at least 4 numbers of training images"),
    ],
)
def test_what_gives_no_curve_is_refused(words: tuple[str, ...], told: str, photos: Path, rushlight: Rushlight) -> None:
    ran = rushlight("data-curve", photos, *words)
    assert ran.code == 2
    assert told in ran.error
