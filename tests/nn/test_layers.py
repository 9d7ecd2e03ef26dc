import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from rushlight.nn import (
    BatchNorm2d,
    ConvLayer,
    ResidualConvLayer,
    average_and_max_pool,
    global_average_pool,
    global_max_pool,
)


def normalised(x: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, training=True)


def test_norm_says_in_which_order_the_layer_works() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 8, 8)
    for norm, rest in [
        ("after_relu", lambda y: normalised(F.relu(y))),
        ("before_relu", lambda y: F.relu(normalised(y))),
        ("none", F.relu),
    ]:
        layer = ConvLayer(3, 5, norm=norm)
        convolved = F.conv2d(x, layer.convolution.weight, layer.convolution.bias, padding=1)
        torch.testing.assert_close(layer(x), rest(convolved))


def test_the_two_orders_share_their_weights_and_only_a_layer_without_norm_has_a_bias() -> None:
    after, before, without = (ConvLayer(3, 5, norm=norm) for norm in ("after_relu", "before_relu", "none"))
    before.load_state_dict(after.state_dict())
    assert after.convolution.bias is None
    assert without.convolution.bias is not None


@settings(max_examples=25, deadline=None)
@given(
    size=st.integers(7, 16),
    kernel_size=st.sampled_from([1, 3, 5, 7]),
    stride=st.integers(1, 3),
    padding=st.sampled_from([None, 0, 1]),
)
def test_output_size_is_that_of_the_convolution(size: int, kernel_size: int, stride: int, padding: int | None) -> None:
    layer = ConvLayer(2, 3, kernel_size, stride, padding=padding, norm="none")
    added = kernel_size // 2 if padding is None else padding
    side = (size + 2 * added - kernel_size) // stride + 1
    assert layer(torch.zeros(1, 2, size, size)).shape == (1, 3, side, side)


def test_norm_class_and_activation_are_what_is_built() -> None:
    layer = ConvLayer(3, 5, norm_class=BatchNorm2d, activation=nn.GELU)
    torch.manual_seed(0)
    x = torch.randn(4, 3, 8, 8)
    expected = normalised(F.gelu(F.conv2d(x, layer.convolution.weight, padding=1)))
    torch.testing.assert_close(layer(x), expected)


def test_an_unknown_norm_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'after'.*after_relu, before_relu, none"):
        ConvLayer(3, 5, norm="after")


@pytest.mark.parametrize("norm", ["after_relu", "before_relu", "none"])
def test_a_residual_layer_adds_to_its_input(norm: str) -> None:
    torch.manual_seed(0)
    layer = ResidualConvLayer(4, norm=norm)
    x = torch.randn(3, 4, 6, 6)
    untouched = x.clone()
    torch.testing.assert_close(layer(x) - x, layer.layer(x))
    assert torch.equal(x, untouched)


def test_pools_are_pytorchs() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 4)
    average, maximum = F.adaptive_avg_pool2d(x, 1).flatten(1), F.adaptive_max_pool2d(x, 1).flatten(1)
    torch.testing.assert_close(global_average_pool(x), average)
    torch.testing.assert_close(global_max_pool(x), maximum)
    torch.testing.assert_close(average_and_max_pool(x), torch.cat([average, maximum], dim=1))


def test_the_maximum_sends_its_gradient_to_one_position_also_among_equals() -> None:
    x = torch.zeros(1, 2, 3, 3, requires_grad=True)
    global_max_pool(x).sum().backward()
    assert x.grad is not None
    assert sorted(x.grad.flatten().tolist(), reverse=True)[:3] == [1.0, 1.0, 0.0]
