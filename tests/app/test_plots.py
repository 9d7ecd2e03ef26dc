"""Pictures of results: they are drawn for any number of classes and mistakes, without a screen or global state."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from rushlight.app import plots


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.mark.parametrize("classes", [2, 10, 37, 120])
def test_confusion_matrix_of_any_size_is_a_legible_picture(classes: int, tmp_path: Path) -> None:
    confusion = np.eye(classes, dtype=int) * 9 + np.eye(classes, k=1, dtype=int)
    figure = plots.confusion_matrix(confusion, [f"class number {i}" for i in range(classes)])
    plots.save(figure, tmp_path / "confusion.png")
    with Image.open(tmp_path / "confusion.png") as picture:
        assert 500 < picture.width < 2000
        assert len(picture.convert("L").getcolors() or []) > 5
    assert figure.axes[0].get_xlabel()
    assert figure.axes[0].get_ylabel()


def test_confusion_matrix_shows_the_counts() -> None:
    confusion = np.array([[1234, 0], [5, 60]])
    assert sorted(texts(plots.confusion_matrix(confusion, ["cat", "dog"]))) == ["1,234", "5", "60"]


def test_confusion_matrix_shades_parts_of_a_class_so_that_rare_classes_compare() -> None:
    figure = plots.confusion_matrix(np.array([[900, 100], [1, 9]]), ["common", "rare"])
    shades = figure.axes[0].images[0].get_array()
    assert np.allclose(shades, [[0.9, 0.1], [0.1, 0.9]])


def test_class_without_images_is_no_division_by_zero() -> None:
    figure = plots.confusion_matrix(np.array([[3, 0], [0, 0]]), ["cat", "dog"])
    assert np.isfinite(figure.axes[0].images[0].get_array()).all()


@pytest.mark.parametrize("count", [0, 1, 5, 16])
def test_most_wrong_shows_truth_answer_and_certainty(count: int, tmp_path: Path) -> None:
    images = np.zeros((count, 16, 16, 3), np.uint8)
    figure = plots.most_wrong(images, ["cat"] * count, ["$dog$ & more, 99 %"] * count)
    plots.save(figure, tmp_path / "wrong.png")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(titles) == count
    assert all("cat" in title and r"\$dog\$" in title and "99 %" in title for title in titles)


def test_drawing_leaves_no_figure_behind_in_pyplot() -> None:
    code = """
import sys
import numpy as np
from rushlight.app import plots
plots.confusion_matrix(np.eye(2, dtype=int), ["a", "b"])
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
