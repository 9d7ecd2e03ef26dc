"""EfficientNet-Lite0 against what is published: parameters, operations, and TensorFlow's padding."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rushlight.nn.efficientnet import FEATURES, EfficientNetLite0, SamePadConv2d


def test_parameters_and_operations_are_the_published_ones() -> None:
    """4.652 million parameters, the thousand classes' layer included.

    Of the 407 million operations that are published some 386 are multiply-adds of convolutions and that layer.
    """
    with torch.device("meta"):
        body, last = EfficientNetLite0(), nn.Linear(FEATURES, 1000)
    parameters = sum(p.numel() for p in [*body.parameters(), *last.parameters()])
    assert parameters == 4_652_008
    with FlopCounterMode(display=False) as counter:
        last(body(torch.zeros(1, 3, 224, 224, device="meta")).mean((2, 3)))
    assert counter.get_total_flops() / 2e6 == pytest.approx(386, abs=1)


@pytest.mark.parametrize("size", [7, 8, 33])
@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding_is_that_of_tensorflow(size: int, kernel_size: int, stride: int) -> None:
    """`SAME`: ceil(size / stride) positions; what is missing is added half above, half below, the odd row below."""
    layer = SamePadConv2d(1, 1, kernel_size, stride)
    image = torch.randn(1, 1, size, size)
    wanted = -(-size // stride)
    missing = max(0, (wanted - 1) * stride + kernel_size - size)
    padded = torch.zeros(1, 1, size + missing, size + missing)
    start = missing // 2
    padded[..., start : start + size, start : start + size] = image
    expected = nn.functional.conv2d(padded, layer.weight, stride=stride)
    assert expected.shape[-1] == wanted
    torch.testing.assert_close(layer(image), expected)


@pytest.mark.parametrize("size", [32, 65, 224])
def test_the_map_has_a_thirty_second_of_the_side(size: int) -> None:
    with torch.device("meta"):
        features = EfficientNetLite0()(torch.zeros(2, 3, size, size))
    assert features.shape == (2, FEATURES, -(-size // 32), -(-size // 32))
