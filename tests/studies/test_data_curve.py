"""The law is found where it is known, its band holds what comes, and it says where it cannot tell."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rushlight.data.images import ImageData
from rushlight.runtime.errors import InputError
from rushlight.studies.data_curve import measure_data_curve, usual_sizes
from rushlight.studies.power_law import ErrorCurve, fit_power_law
from rushlight.tasks.frozen_body import FrozenBody

SIZES = np.array([25, 50, 100, 200, 400, 800, 1600, 3200])


def answers(
    sizes: np.ndarray, floor: float, scale: float, exponent: float, images: int = 500, seeds: int = 5, seed: int = 0
) -> np.ndarray:
    """Right and wrong answers of a learner that follows a law; some images are harder than others, for all sizes."""
    random = np.random.default_rng(seed)
    errors = floor + scale * sizes.astype(float) ** -exponent
    difficulty = random.random(images)
    # An image is mostly wrong where its difficulty lies within the error, with some luck in each training.
    luck = random.normal(0, 0.04, (len(sizes), seeds, images))
    return difficulty[None, None] + luck < 1 - errors[:, None, None]


@pytest.mark.parametrize(("floor", "scale", "exponent"), [(0.05, 1.5, 0.6), (0.0, 1.0, 0.35), (0.2, 0.8, 1.0)])
def test_a_law_without_noise_is_found(floor: float, scale: float, exponent: float) -> None:
    errors = (floor + scale * SIZES.astype(float) ** -exponent)[None]
    laws = fit_power_law(SIZES, errors, np.full(errors.shape, 1e-4))
    assert laws.floor[0] == pytest.approx(floor, abs=0.01)
    assert laws.exponent[0] == pytest.approx(exponent, abs=0.03)
    assert laws.errors(SIZES)[0] == pytest.approx(errors[0], abs=0.004)


def test_floor_and_scale_are_never_negative() -> None:
    random = np.random.default_rng(0)
    errors = random.random((200, 5))
    for floor in (True, False):
        laws = fit_power_law(SIZES[:5], errors, np.ones(errors.shape), floor=floor)
        assert (laws.floor >= 0).all()
        assert (laws.scale >= 0).all()
        expected = laws.errors(SIZES)
        assert (np.diff(expected, axis=1) <= 1e-12).all()  # more examples never harm


def test_the_smaller_half_foretells_the_larger_within_the_band() -> None:
    inside = 0
    for seed in range(20):
        curve = ErrorCurve(SIZES, answers(SIZES, 0.03, 1.2, 0.5, seed=seed))
        band = curve.first(4).band(SIZES[4:])
        means = curve.accuracies[4:].mean(axis=1)
        inside += int(((band.low <= means) & (means <= band.high)).sum())
    assert inside >= 0.9 * 20 * 4


def test_the_band_is_narrow_where_much_is_known() -> None:
    widths = []
    for images in (100, 3000):
        band = ErrorCurve(SIZES, answers(SIZES, 0.03, 1.2, 0.5, images=images)).band(np.array([6400]))
        widths.append(float(band.high[0] - band.low[0]))
    assert widths[1] < 0.4 * widths[0]
    assert widths[1] < 0.04


def test_images_that_help_and_images_that_do_not_are_told_apart() -> None:
    _, low, _ = ErrorCurve(SIZES, answers(SIZES, 0.0, 1.5, 0.25, images=2000)).gain(2)
    assert low > 0.01
    _, _, high = ErrorCurve(SIZES, answers(SIZES, 0.1, 3.0, 1.2, images=2000)).gain(2)
    assert high < 0.01


@pytest.mark.parametrize(
    ("images", "classes", "sizes"),
    [(1402, 2, [21, 43, 87, 175, 350, 701, 1402]), (100, 10, [25, 50, 100]), (15, 2, []), (64, 2, [16, 32, 64])],
)
def test_sizes_are_halves_down_to_two_a_class(images: int, classes: int, sizes: list[int]) -> None:
    assert usual_sizes(images, classes) == sizes


class Blobs:
    """Features of classes that overlap, in place of a network's."""

    def __init__(self, train: int, valid: int, classes: int = 3) -> None:
        random = np.random.default_rng(0)
        centres = 1.1 * random.normal(size=(classes, 30))
        self.data = SimpleNamespace(name="blobs", classes=[f"class {i}" for i in range(classes)])
        self._targets = {part: np.arange(count) % classes for part, count in (("train", train), ("valid", valid))}
        self._features = {
            part: (centres[t] + 2 * random.normal(size=(len(t), 30))).astype(np.float32)
            for part, t in self._targets.items()
        }

    def features(self, part: str) -> np.ndarray:
        return self._features[part]

    def targets(self, part: str) -> np.ndarray:
        return self._targets[part]


def measured(blobs: Any, **settings: Any) -> Any:
    return measure_data_curve(blobs, **settings)


def test_a_curve_is_measured_told_and_broken_down_by_class() -> None:
    found = measured(Blobs(400, 300), seeds=3)
    assert found.curve.sizes.tolist() == [25, 50, 100, 200, 400]
    assert (np.diff(found.curve.accuracies.mean(axis=1)) > -0.03).all()
    told = found.to_json()
    assert list(told["expected"]) == ["800", "1600"]
    assert told["expected"]["800"]["method"] == "bootstrap"
    assert told["classes"]["class 0"]["gain_of_twice"]["n"] == 100
    assert "With 400 training images" in found.sentence()
    assert "class 2" in found.table()
    assert told["check"]["of"] == 2


def test_a_class_with_few_validation_images_is_not_judged() -> None:
    found = measured(Blobs(200, 60), seeds=2)
    assert all(one.gain is None for one in found.classes)
    assert "too few mistakes or images" in found.table()


@pytest.mark.parametrize(
    ("train", "settings", "told"),
    [
        (60, {}, "at least 4 numbers of training images"),
        (400, {"sizes": [2, 50, 100, 200]}, "between 3 "),
        (400, {"sizes": [50, 100, 200, 500]}, "and 400 "),
        (400, {"seeds": 1}, "at least 2"),
    ],
)
def test_what_gives_no_curve_is_refused(train: int, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        measured(Blobs(train, 60), **settings)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_photographs_of_dogs_and_cats_the_smaller_half_foretells_the_larger(
    data_folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUSHLIGHT_DATA", str(data_folder))
    # Small, so that the network is done in a minute; at full size there are hardly any mistakes to count.
    data = ImageData.from_name("dogscats", size=64, augment=None)
    found = measure_data_curve(FrozenBody(data), seeds=5)
    inside, of = found.check()
    assert of == 3
    assert inside == of
    assert 0.8 < found.measured()[-1].value < 1
