"""Flips, crops and turns against NumPy, PyTorch and SciPy."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from rushlight.data.augmentation import (
    affine,
    alternating_flip,
    dihedral,
    flip_and_crop,
    horizontal_flip,
    pad_and_crop,
)


def images_of(batch: int = 4, channels: int = 3, height: int = 8, width: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, channels, height, width, generator=generator)


def test_horizontal_flip_mirrors_the_chosen_ones() -> None:
    images, flip = images_of(height=5, width=7), torch.tensor([True, False, False, True])
    flipped = horizontal_flip(images, flip)
    assert torch.equal(flipped[flip], images[flip].flip(-1))
    assert torch.equal(flipped[~flip], images[~flip])


def test_alternating_flip_shows_both_sides_in_two_epochs() -> None:
    images, first = images_of(), torch.tensor([True, False, True, False])
    epochs = [alternating_flip(images, first, epoch) for epoch in range(4)]
    assert torch.equal(epochs[0], horizontal_flip(images, first))
    assert torch.equal(epochs[1], horizontal_flip(images, ~first))
    assert torch.equal(epochs[2], epochs[0])
    assert torch.equal(epochs[3], epochs[1])


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(3, 9),
    width=st.integers(3, 9),
    channels=st.integers(1, 4),
    padding=st.integers(0, 2),
    mode=st.sampled_from(["reflect", "constant"]),
    data=st.data(),
)
def test_pad_and_crop_is_pytorch_padding_and_a_slice(
    height: int, width: int, channels: int, padding: int, mode: str, data: st.DataObject
) -> None:
    images = images_of(3, channels, height, width)
    offset = st.integers(0, 2 * padding)
    offsets = data.draw(st.lists(st.tuples(offset, offset), min_size=3, max_size=3))
    flip = torch.tensor(data.draw(st.lists(st.booleans(), min_size=3, max_size=3)))
    padded = F.pad(images, (padding,) * 4, mode=mode)
    expected = torch.stack(
        [image[:, top : top + height, left : left + width] for image, (top, left) in zip(padded, offsets, strict=True)]
    )
    drawn = torch.tensor(offsets)
    assert torch.equal(pad_and_crop(images, drawn, padding, mode), expected)
    assert torch.equal(flip_and_crop(images, flip, drawn, padding, mode), horizontal_flip(expected, flip))


def test_a_padding_that_cannot_be_reflected_is_refused() -> None:
    offsets = torch.zeros(4, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match="cannot reflect 5 pixels"):
        pad_and_crop(images_of(height=5), offsets, 5)
    with pytest.raises(ValueError, match="mode must be"):
        pad_and_crop(images_of(), offsets, 2, "wrap")  # type: ignore[arg-type]


def test_dihedral_gives_the_eight_symmetries() -> None:
    image = images_of(1)
    answers = dihedral(image.expand(8, -1, -1, -1), torch.arange(8))
    expected = []
    for swap, vertical, horizontal in itertools.product((False, True), repeat=3):
        turned = np.asarray(image[0])
        turned = turned[..., ::-1] if horizontal else turned
        turned = turned[..., ::-1, :] if vertical else turned
        expected.append(turned.swapaxes(-1, -2) if swap else turned)
    np.testing.assert_array_equal(answers.numpy(), np.stack(expected))
    # All quarter turns are among them, and no two are alike.
    assert all(any(torch.equal(image[0].rot90(k, (-2, -1)), answer) for answer in answers) for k in range(4))
    assert all(not torch.equal(a, b) for a, b in itertools.combinations(answers, 2))


def test_dihedral_of_other_shapes_keeps_the_shape() -> None:
    images = images_of(height=5)
    assert torch.equal(dihedral(images, torch.tensor([3] * 4)), images.flip(-1, -2))
    with pytest.raises(ValueError, match="5 x 8"):
        dihedral(images, torch.tensor([0, 1, 2, 4]))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (8, 16), (7, 11), (33, 100)])
def test_affine_without_change_is_the_identity(height: int, width: int) -> None:
    images = images_of(height=height, width=width)
    answer = affine(images)
    if {height, width} <= {8, 16, 32}:  # positions are exact in float32 where the size is a power of two
        assert torch.equal(answer, images)
    torch.testing.assert_close(answer, images, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [8, 9, 32])
@pytest.mark.parametrize("quarters", [-1, 1, 2, 3])
def test_affine_quarter_turns_are_counter_clockwise(size: int, quarters: int) -> None:
    images = images_of(height=size, width=size)
    answer = affine(images, rotation=90.0 * quarters)
    torch.testing.assert_close(answer, images.rot90(quarters, (-2, -1)), atol=1e-4, rtol=0)


def test_affine_shifts_whole_pixels_down_and_right() -> None:
    images = images_of(height=8, width=16)
    shift = torch.tensor([[2 / 8, 3 / 16], [0.0, 0.0], [-1 / 8, 0.0], [0.0, -5 / 16]])
    answer = affine(images, shift=shift, fill="zeros")
    for index, (down, right) in enumerate([(2, 3), (0, 0), (-1, 0), (0, -5)]):
        expected = ndimage.shift(images[index].numpy(), (0, down, right), order=0, mode="constant")
        np.testing.assert_allclose(answer[index].numpy(), expected, atol=1e-5)


def test_affine_zoom_by_three_puts_every_pixel_in_the_middle_of_nine() -> None:
    images = images_of(height=9, width=9)
    assert torch.allclose(affine(images, zoom=3.0)[..., 1::3, 1::3], images[..., 3:6, 3:6], atol=1e-5)


def test_affine_squeeze_widens_and_keeps_the_area() -> None:
    images = torch.zeros(1, 1, 16, 16)
    images[..., 6:10, 6:10] = 1
    # Four times as wide for its height: twice the width, half the height.
    answer = affine(images, squeeze=4.0, fill="zeros") > 0.5
    assert answer[0, 0].any(dim=0).sum() == 8
    assert answer[0, 0].any(dim=1).sum() == 2


def scipy_affine(
    image: np.ndarray, rotation: float, zoom: float, shift: tuple[float, float], squeeze: float, mode: str
) -> np.ndarray:
    """The same change, computed in pixels and float64 with SciPy's own resampling."""
    angle = np.deg2rad(rotation)
    # SciPy counts (row, column) with rows downwards, so a counter-clockwise turn is this matrix.
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    forward = turn @ np.diag([zoom / squeeze**0.5, zoom * squeeze**0.5])
    backward = np.linalg.inv(forward)
    centre = (np.array(image.shape[-2:]) - 1) / 2
    offset = centre - backward @ (centre + np.array(shift) * image.shape[-2:])
    planes = [ndimage.affine_transform(plane, backward, offset, order=1, mode=mode) for plane in image]
    return np.stack(planes)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(4, 24),
    width=st.integers(4, 24),
    rotation=st.floats(-180, 180),
    zoom=st.floats(0.5, 2),
    shift=st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)),
    squeeze=st.floats(0.7, 1.4),
    modes=st.sampled_from([("reflection", "reflect"), ("border", "nearest"), ("zeros", "grid-constant")]),
)
def test_affine_agrees_with_scipy(
    height: int,
    width: int,
    rotation: float,
    zoom: float,
    shift: tuple[float, float],
    squeeze: float,
    modes: tuple[str, str],
) -> None:
    images = images_of(2, 2, height, width).double()
    answer = affine(
        images,
        rotation=torch.tensor([rotation, 0.0]),
        zoom=torch.tensor([zoom, 1.0]),
        shift=torch.tensor([shift, (0.0, 0.0)]),
        squeeze=torch.tensor([squeeze, 1.0]),
        fill=modes[0],
    )
    expected = scipy_affine(images[0].numpy(), rotation, zoom, shift, squeeze, modes[1])
    # Positions are float32: some 1e-6 of the image, times the difference of two neighbours.
    np.testing.assert_allclose(answer[0].numpy(), expected, atol=2e-4)
    np.testing.assert_allclose(answer[1].numpy(), images[1].numpy(), atol=2e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_affine_in_half_precision_keeps_its_positions(dtype: torch.dtype) -> None:
    images = images_of(height=64, width=300)
    answer = affine(images.to(dtype), rotation=20.0)
    assert answer.dtype == dtype
    torch.testing.assert_close(answer.float(), affine(images.to(dtype).float(), rotation=20.0), atol=0.02, rtol=0.02)
