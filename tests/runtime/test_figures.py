"""Names in pictures: any text draws, and none of it is taken for a formula."""

import io
import warnings

import matplotlib.font_manager
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from rushlight.runtime import figures
from rushlight.runtime.figures import as_written, png_of


def figure_of(text: str) -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.text(0.1, 0.5, text)
    return figure


def pixels(text: str) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(png_of(figure_of(text), 50))).convert("L"))


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(exclude_categories=()), max_size=20))
def test_any_name_can_be_drawn(name: str) -> None:
    png_of(figure_of(as_written(name)), 50)


@pytest.mark.parametrize("name", ["$x^$", "a$b$c", r"\frac$1$", "$$"])
def test_dollars_are_drawn_as_dollars(name: str) -> None:
    figure = Figure(figsize=(2, 1))
    figure.text(0.1, 0.5, name, parse_math=False)
    as_it_is = np.array(Image.open(io.BytesIO(png_of(figure, 50))).convert("L"))
    assert np.array_equal(pixels(as_written(name)), as_it_is)


def test_signs_that_no_font_has_are_told_once_in_our_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures._say_once_that_signs_are_missing.cache_clear()
    monkeypatch.setattr(figures, "_more_fonts", list)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png_of(figure_of("猫"), 50)
        png_of(figure_of("犬"), 50)
    assert capsys.readouterr().err.count("no font of this machine") == 1


def test_a_font_that_has_the_signs_is_taken_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The fonts at hand differ from machine to machine; STIXGeneral comes with matplotlib and has a sign that its
    # usual font lacks.
    figures._say_once_that_signs_are_missing.cache_clear()
    sign = next(
        chr(number)
        for number in sorted(characters_of("STIXGeneral") - characters_of("DejaVu Sans"))
        if chr(number) > figures._OWN_FONT_UP_TO
    )
    monkeypatch.setattr(figures, "_more_fonts", lambda: ["STIXGeneral"])
    png_of(figure_of(sign), 50)
    assert capsys.readouterr().err == ""


def characters_of(font: str) -> set[int]:
    path = matplotlib.font_manager.findfont(font, fallback_to_default=False)
    return set(matplotlib.font_manager.get_font(path).get_charmap())
