"""Sets of classes: as often right as was asked for, as small as may be, and refused where too few images vouch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rushlight.inference.conformal import (
    ConformalSets,
    fewest_images,
    in_words,
    quantile_rank,
    score_in_halves,
    score_sets,
)
from rushlight.runtime.errors import InputError


def outputs(count: int, sharpness: float = 1.5, classes: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a model that is too sure of itself, and the true classes."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(count, classes))
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = (truth.cumsum(axis=1) > random.random((count, 1))).argmax(axis=1)
    boastful = np.exp(sharpness * logits)
    return boastful / boastful.sum(axis=1, keepdims=True), targets


def losses_of(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return -np.log(probabilities[np.arange(len(targets)), targets])


@pytest.mark.parametrize("coverage", [0.7, 0.9, 0.95])
@pytest.mark.parametrize("count", [100, 1000])
def test_over_many_calibrations_the_coverage_is_the_one_asked_for(coverage: float, count: int) -> None:
    probabilities, targets = outputs(40 * count)
    found = []
    for draw in range(20):
        chosen = slice(draw * 2 * count, draw * 2 * count + count)
        others = slice(chosen.stop, chosen.stop + count)
        sets = ConformalSets.calibrated(losses_of(probabilities[chosen], targets[chosen]), coverage)
        members = sets.members(probabilities[others], allow_empty=True)
        found.append(score_sets(members, targets[others], coverage).coverage.value)
    # The mean of 20 draws has a deviation of at most 1.4 points at a hundred images.
    assert np.mean(found) == pytest.approx(coverage, abs=4.5 * np.sqrt(2 * coverage * (1 - coverage) / count / 20))
    low, high = sets.expected
    assert low < coverage < high


@given(st.lists(st.floats(0, 50), min_size=1, max_size=60), st.floats(0.05, 0.98))
def test_the_threshold_covers_enough_of_the_calibration_images_and_one_more(
    losses: list[float], coverage: float
) -> None:
    if quantile_rank(len(losses), coverage) > len(losses):
        with pytest.raises(InputError, match="calibration images"):
            ConformalSets.calibrated(losses, coverage)
        return
    threshold = ConformalSets.calibrated(losses, coverage).threshold
    assert sum(loss <= threshold for loss in losses) >= coverage * (len(losses) + 1) - 1e-6
    assert sum(loss < threshold for loss in losses) < coverage * (len(losses) + 1)


@pytest.mark.parametrize(("coverage", "images"), [(0.5, 1), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_too_few_images_to_vouch_are_refused_with_what_would_do(coverage: float, images: int) -> None:
    assert fewest_images(coverage) == images
    assert ConformalSets.calibrated(np.ones(images), coverage).n == images
    with pytest.raises(InputError) as caught:
        ConformalSets.calibrated(np.ones(images - 1), coverage)
    assert f"at least {images} calibration images" in str(caught.value)


def test_what_is_offered_instead_can_be_asked_for() -> None:
    with pytest.raises(InputError, match=r"at most 93\.7 %"):
        ConformalSets.calibrated(np.ones(15), 0.99)
    assert ConformalSets.calibrated(np.ones(15), 0.937).n == 15


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1.0, 95.0, float("nan")])
def test_a_coverage_that_is_none_is_refused(coverage: float) -> None:
    with pytest.raises(InputError, match="not between 0 and 1"):
        ConformalSets.calibrated(np.ones(50), coverage)


def test_more_coverage_takes_nothing_out_of_a_set() -> None:
    probabilities, targets = outputs(500)
    losses = losses_of(probabilities, targets)
    sizes = []
    before = np.zeros(probabilities.shape, bool)
    for coverage in (0.5, 0.8, 0.9, 0.99):
        members = ConformalSets.calibrated(losses, coverage).members(probabilities)
        assert not (before & ~members).any()
        sizes.append(members.sum(axis=1).mean())
        before = members
    assert sizes == sorted(sizes)
    assert sizes[0] < 2 < sizes[-1]


def test_a_set_is_never_empty_unless_that_is_allowed() -> None:
    sets = ConformalSets.calibrated(np.linspace(0, 0.01, 100), 0.5)  # a model that is nearly always sure
    unsure = np.array([[0.4, 0.35, 0.25]])
    assert sets.members(unsure).tolist() == [[True, False, False]]
    assert not sets.members(unsure, allow_empty=True).any()


def test_the_images_that_calibrate_do_not_vouch_for_themselves() -> None:
    probabilities, targets = outputs(60, seed=3)
    honest = score_in_halves(probabilities, targets, 0.9)
    assert honest.halves
    assert honest.coverage.n == 60
    assert honest.coverage.interval[0] < 0.9 < honest.coverage.interval[1] + 0.05
    with pytest.raises(InputError, match="at least 99 calibration images, and there are 30"):
        score_in_halves(probabilities, targets, 0.99)


def test_sets_are_counted_as_they_are() -> None:
    members = np.array([[True, False, False], [True, True, False], [True, True, True], [False, True, False]])
    scores = score_sets(members, np.array([0, 2, 1, 0]), 0.9)
    assert (scores.coverage.value, scores.size.value) == (0.5, 1.75)
    assert (scores.single.value, scores.everything.value) == (0.5, 0.25)


@pytest.mark.parametrize(
    ("candidates", "classes", "said"),
    [
        (("cat",), 3, "cat"),
        (("cat", "dog"), 3, "cat or dog"),
        (("cat", "dog", "cow"), 4, "cat, dog or cow"),
        (("cat", "dog"), 2, "could be anything: either"),
        (tuple("abcd"), 4, "could be anything: any of the 4 classes"),
        (tuple("abcdefg"), 9, "a, b, c, d, e or 2 more"),
    ],
)
def test_a_set_is_said_in_words(candidates: tuple[str, ...], classes: int, said: str) -> None:
    assert in_words(candidates, classes) == said
