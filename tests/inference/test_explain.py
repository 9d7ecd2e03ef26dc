"""Explanations: the hottest region in the photograph's own pixels, a closer look at it, and the check."""

import numpy as np
import pytest
import torch
from PIL import Image

from rushlight.inference.explain import Explainer, heat_of
from rushlight.inference.predictor import Predictor
from rushlight.runtime.errors import InputError
from tests.inference.test_class_maps import colour_classifier

SIZE = 32


@pytest.fixture
def predictor() -> Predictor:
    model = colour_classifier("average_and_maximum")  # a maximum is lost when it is blurred, an average is not
    return Predictor(model, ["red", "green"], SIZE, (0.0,) * 3, (1.0,) * 3, device="cpu", precision="float32")


def photograph(width: int = 300, height: int = 200, centre: tuple[int, int] = (220, 60), side: int = 30) -> Image.Image:
    """Black, with a red square around a centre in its own pixels."""
    pixels = np.zeros((height, width, 3), np.uint8)
    x, y = centre
    pixels[y - side // 2 : y + side // 2, x - side // 2 : x + side // 2, 0] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (256, 256)])
@pytest.mark.parametrize("fit", ["crop", "squash", "pad"])
def test_the_hottest_region_holds_the_evidence_in_pixels_of_the_photograph(predictor, size, fit):
    predictor.metadata["fit"] = fit
    width, height = size
    centre = (width // 2 + 40, height // 2 - 30)
    (explanation,) = Explainer(predictor).explain(photograph(width, height, centre))
    assert explanation.label == "red"
    left, top, right, bottom = explanation.hottest_region()
    assert left < centre[0] < right
    assert top < centre[1] < bottom
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert (right - left) * (bottom - top) < 0.5 * width * height


def test_a_closer_look_sees_the_region_at_full_resolution(predictor):
    picture = photograph(1200, 800, (850, 300), 60)
    explainer = Explainer(predictor)
    (explanation,) = explainer.explain(picture)
    closer = explainer.zoom(explanation)
    assert closer.picture.width < 0.5 * picture.width
    assert (np.asarray(closer.picture)[:, :, 0] == 255).sum() > 0.9 * 60 * 60  # the square is in it, pixel for pixel
    assert closer.prediction.probabilities["red"] > explanation.probability


def test_another_class_is_explained_on_request(predictor):
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[4:20, 4:20, 0], pixels[40:60, 40:60, 1] = 255, 255
    red, green = (Explainer(predictor).explain(pixels, label)[0] for label in ("red", "green"))
    assert (red.label, green.label) == ("red", "green")
    assert red.prediction.label == green.prediction.label
    assert np.unravel_index(red.heat.argmax(), red.heat.shape) < np.unravel_index(green.heat.argmax(), green.heat.shape)


def test_what_decided_is_missed_more_than_the_rest(predictor):
    explainer = Explainer(predictor)
    (explanation,) = explainer.explain(photograph())
    check = explainer.check(explanation)
    assert check.hottest > 3 * abs(check.random)
    assert explainer.check(explanation) == check


def test_heat_is_from_0_to_1_and_cold_where_nothing_speaks_for_the_class():
    heat = heat_of(torch.tensor([[[1.0, -2.0], [0.5, 0.0]], [[-1.0, -1.0], [-1.0, -1.0]]]), 8)
    assert heat.shape == (2, 8, 8)
    assert heat[0].max() == pytest.approx(1)
    assert heat.min() == 0
    assert heat[1].max() == 0


def test_an_explanation_can_be_drawn_and_shown_in_a_notebook(predictor):
    explainer = Explainer(predictor, "occlusion")
    (explanation,) = explainer.explain(photograph())
    assert explanation._repr_png_().startswith(b"\x89PNG")
    figure = explanation.figure(explainer.zoom(explanation))
    titles = " ".join(axes.get_title() for axes in figure.axes)
    assert f"red {100 * explanation.probability:.1f} %" in titles
    assert "occlusion" in titles
    assert "agrees" in titles


def test_many_files_and_a_broken_one_and_wrong_names(predictor, tmp_path):
    photograph().save(tmp_path / "a.png")
    photograph(centre=(150, 100)).save(tmp_path / "c.jpg")
    (tmp_path / "b.jpg").write_bytes(b"no image")
    explainer = Explainer(predictor)
    found = explainer.explain(tmp_path)
    assert [explanation.source for explanation in found] == [str(tmp_path / "a.png"), str(tmp_path / "c.jpg")]
    assert [skipped.source for skipped in explainer.skipped] == [str(tmp_path / "b.jpg")]
    with pytest.raises(InputError, match="knows no class 'rad': did you mean 'red'"):
        explainer.explain(tmp_path, "rad")
    with pytest.raises(InputError, match="unknown method 'grad-cam': did you mean 'grad_cam'"):
        Explainer(predictor, "grad-cam")
