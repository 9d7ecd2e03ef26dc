"""Fast nets: whitening whitens, first layers pass their input on, fixed filters stay fixed."""

import pytest
import torch
from torch import nn

from rushlight.nn.fast import ConvGroup, FastNet, ShiftNorm, fast_net, whitening_filters


def correlated_images(count: int = 256, size: int = 32) -> torch.Tensor:
    """Noise that is smooth in space and alike in all channels, as photographs are."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(count, 3, size // 4, size // 4, generator=generator)
    smooth = nn.functional.interpolate(noise, size=size, mode="bilinear")
    return smooth + smooth.mean(1, keepdim=True) + 0.1 * torch.randn(count, 3, size, size, generator=generator)


@pytest.mark.parametrize(("patch", "components"), [(2, 12), (4, 24)])
def test_whitened_patches_are_uncorrelated_with_unit_variance(patch, components):
    images = correlated_images()
    filters = whitening_filters(images, patch, components)
    responses = nn.functional.conv2d(images, filters, stride=patch // 2).transpose(0, 1).flatten(1)
    covariance = responses @ responses.mT / responses.shape[1]
    # Variances fall a little short of 1 by the floor that keeps noise small.
    torch.testing.assert_close(covariance, torch.eye(components), atol=0.15, rtol=0)


def test_strongest_patterns_come_first():
    images = correlated_images()
    few, many = whitening_filters(images, 2, 4), whitening_filters(images, 2, 12)
    torch.testing.assert_close(few, many[:4])


def test_the_first_layer_is_fitted_and_then_left_alone_by_training():
    model = fast_net(10, width=16)
    model.whiten.fit(correlated_images())
    before = model.whiten.weight.clone()
    model.requires_grad_(True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(correlated_images(8)).square().mean().backward()
    optimizer.step()
    assert torch.equal(before, model.whiten.weight)
    assert model.whiten.bias.grad is not None
    assert "whiten.weight" in model.state_dict()


def test_both_signs_of_a_pattern_stand_in_the_first_layer():
    model = fast_net(10, width=16)
    model.whiten.fit(correlated_images())
    positive, negative = model.whiten.weight.chunk(2)
    assert torch.equal(positive, -negative)


@pytest.mark.parametrize("size", [16, 28, 32, 48, 64, 128, 224])
def test_maps_are_about_as_large_whatever_the_size_of_the_image(size):
    model = fast_net(5, size=size, width=16)
    maps = model.whiten(torch.zeros(1, 3, size, size))
    assert min(size - 1, 22) <= maps.shape[-1] <= 48
    assert model(torch.zeros(2, 3, size, size)).shape == (2, 5)


def test_an_image_too_small_is_named():
    with pytest.raises(ValueError, match="at least 16 pixels, not 8"):
        fast_net(10, size=8)


def test_a_group_starts_by_passing_its_input_on():
    group = ConvGroup(8, 16).eval()
    x = torch.randn(2, 8, 16, 16)
    expected = group.activation(group.pool(x))
    seen = group.activation(group.norm1(group.pool(group.conv1(x))))[:, :8]
    torch.testing.assert_close(seen, expected, atol=1e-5, rtol=1e-5)


def test_shift_norm_is_batch_norm_with_a_scale_of_one():
    ours, theirs = ShiftNorm(6), nn.BatchNorm2d(6, eps=1e-12, momentum=0.4)
    ours.shift.data.uniform_(-1, 1)
    theirs.bias.data.copy_(ours.shift.data)
    for _ in range(3):
        x = torch.randn(4, 6, 5, 5)
        torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
    assert [name for name, _ in ours.named_parameters()] == ["shift"]


def test_layer_groups_cover_everything_that_trains():
    model = FastNet(10)
    grouped = [p for group in model.layer_groups().values() for p in group.parameters()]
    assert set(map(id, grouped)) == set(map(id, model.parameters()))
