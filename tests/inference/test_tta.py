import pytest
import torch
from torch import nn

from rushlight.inference.tta import VIEWS, flip_shift_views, shifted, tta_probabilities

SIZES = [(1, 1), (2, 3), (8, 8), (32, 32), (33, 64)]
VIEW_COUNTS = {"none": 1, "flip": 2, "shift": 3, "flip_shift": 6, "crops": 10}


def some_images(height=32, width=32, count=2, channels=3):
    return torch.randn(count, channels, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("size", SIZES)
def test_views_keep_shape_and_memory_format_whatever_the_size(name, size):
    images = some_images(*size).contiguous(memory_format=torch.channels_last)
    views = list(VIEWS[name](images))
    assert len(views) == VIEW_COUNTS[name]
    for weight, view in views:
        assert weight > 0
        assert view.shape == images.shape
        assert view.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", VIEWS)
def test_views_of_a_plain_image_are_that_image(name):
    images = torch.full((1, 3, 16, 12), 0.25)
    for _, view in VIEWS[name](images):
        assert torch.allclose(view, images)


@pytest.mark.parametrize("name", VIEWS)
def test_the_answer_is_the_weighted_mean_of_the_views_probabilities(name):
    images = some_images(8, 8)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
    weights, answers = zip(*[(w, model(view).softmax(1)) for w, view in VIEWS[name](images)], strict=True)
    expected = sum(w * answer for w, answer in zip(weights, answers, strict=True)) / sum(weights)
    probabilities = tta_probabilities(model, images, VIEWS[name])
    assert torch.allclose(probabilities, expected, atol=1e-6)
    assert torch.allclose(probabilities.sum(1), torch.ones(2))


def test_without_views_the_answer_is_the_softmax():
    images = some_images(4, 4)
    assert torch.allclose(
        tta_probabilities(lambda x: x[:, :, 0, 0], images, VIEWS["none"]), images[:, :, 0, 0].softmax(1)
    )


@pytest.mark.parametrize("name", ["flip", "crops"])
def test_a_mirror_image_gets_the_same_answer(name):
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 4))
    images = some_images(8, 8)
    views = VIEWS[name]
    first, second = (tta_probabilities(model, batch, views) for batch in (images, images.flip(3)))
    assert torch.allclose(first, second, atol=1e-6)


def test_the_unshifted_views_count_half():
    images = some_images()
    weights = [weight for weight, _ in flip_shift_views(images)]
    unshifted = [
        w for w, view in flip_shift_views(images) if any(torch.equal(view, i) for i in (images, images.flip(3)))
    ]
    assert len(unshifted) == 2
    assert sum(unshifted) == pytest.approx(sum(weights) / 2)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (1, 0), (-2, 3), (4, -4), (7, 7)])
def test_a_shift_is_padding_by_reflection_and_a_cut(down, right):
    images = some_images(9, 11)
    padded = nn.functional.pad(images, (8, 8, 8, 8), mode="reflect")
    expected = padded[:, :, 8 - down : 17 - down, 8 - right : 19 - right]
    assert torch.equal(shifted(images, down, right), expected)


def test_shifts_grow_with_the_image():
    """A pixel of 32, four of 128: the views differ as much whatever the resolution."""
    small, large = some_images(32, 32), some_images(128, 128)
    assert torch.equal(list(flip_shift_views(small))[4][1], shifted(small, 1, 1))
    assert torch.equal(list(flip_shift_views(large))[4][1], shifted(large, 4, 4))
