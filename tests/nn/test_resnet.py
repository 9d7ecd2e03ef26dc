"""The ResNets against what is published: names, shapes, parameter counts, operations, the papers' structure.

The large ones are built on the meta device: shapes without numbers.
"""

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rushlight.nn import RESNETS, build_model

# Parameters and billions of multiply-adds at 224 pixels, as torchvision publishes them beside its weights.
PUBLISHED = {
    "resnet18": (11_689_512, 1.81),
    "resnet34": (21_797_672, 3.66),
    "resnet50": (25_557_032, 4.09),
    "resnet101": (44_549_160, 7.80),
    "resnet152": (60_192_808, 11.51),
}
# He 2015, table 1: convolutions in a block, blocks in each stage.
ARCHITECTURE = {
    "resnet18": (2, (2, 2, 2, 2)),
    "resnet34": (2, (3, 4, 6, 3)),
    "resnet50": (3, (3, 4, 6, 3)),
    "resnet101": (3, (3, 4, 23, 3)),
    "resnet152": (3, (3, 8, 36, 3)),
}


def published_state(convolutions: int, counts: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the published weights, in their order, from the architecture alone."""

    def norm(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        for part in ("weight", "bias", "running_mean", "running_var"):
            yield f"{name}.{part}", (channels,)
        yield f"{name}.num_batches_tracked", ()

    yield "conv1.weight", (64, 3, 7, 7)
    yield from norm("bn1", 64)
    entering = 64
    for stage, count in enumerate(counts, start=1):
        width = 64 * 2 ** (stage - 1)
        leaving = width if convolutions == 2 else 4 * width
        for block in range(count):
            prefix = f"layer{stage}.{block}"
            if convolutions == 2:
                shapes = [(width, entering, 3, 3), (width, width, 3, 3)]
            else:
                shapes = [(width, entering, 1, 1), (width, width, 3, 3), (leaving, width, 1, 1)]
            for number, shape in enumerate(shapes, start=1):
                yield f"{prefix}.conv{number}.weight", shape
                yield from norm(f"{prefix}.bn{number}", shape[0])
            if block == 0 and entering != leaving:
                yield f"{prefix}.downsample.0.weight", (leaving, entering, 1, 1)
                yield from norm(f"{prefix}.downsample.1", leaving)
            entering = leaving
    yield "fc.weight", (1000, entering)
    yield "fc.bias", (1000,)


def on_meta(name: str, **options: object) -> nn.Module:
    with torch.device("meta"):
        return build_model(name, 1000, size=224, **options)


@pytest.mark.parametrize("name", PUBLISHED)
def test_state_dict_has_the_published_names_and_shapes(name: str) -> None:
    state = {key: tuple(value.shape) for key, value in on_meta(name).state_dict().items()}
    assert list(state.items()) == list(published_state(*ARCHITECTURE[name]))


@pytest.mark.parametrize(("name", "published"), PUBLISHED.items())
def test_parameters_and_operations_are_the_published_ones(name: str, published: tuple[int, float]) -> None:
    model = on_meta(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == published[0]
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 224, 224, device="meta"))
    multiply_adds = counter.get_total_flops() / 2
    assert multiply_adds / 1e9 == pytest.approx(published[1], abs=0.01)


@pytest.mark.parametrize("name", [name for name in RESNETS if name.startswith("preact")])
def test_preactivation_has_the_same_convolutions(name: str) -> None:
    before, after = on_meta(name), on_meta(name.removeprefix("preact_"))
    state, published = before.state_dict(), after.state_dict()
    convolutions = {key for key, value in published.items() if value.ndim == 4}
    assert {key: state[key].shape for key in state if state[key].ndim == 4} == {
        key: published[key].shape for key in convolutions
    }


@pytest.mark.parametrize("name", ["resnet18", "preact_resnet18", "resnet50", "preact_resnet50"])
def test_the_stem_for_small_images_keeps_them_large(name: str) -> None:
    with torch.device("meta"):
        small, large = build_model(name, 10, size=32), build_model(name, 10, size=128)
        channels = small.fc.in_features
        assert small.forward_features(torch.zeros(1, 3, 32, 32)).shape == (1, channels, 4, 4)
        assert large.forward_features(torch.zeros(1, 3, 128, 128)).shape == (1, channels, 4, 4)
        assert build_model(name, 10, size=32, small_images=False).conv1.weight.shape[-1] == 7
        assert build_model(name, 10, size=128, small_images=True).conv1.weight.shape[-1] == 3


@pytest.mark.parametrize("name", ["resnet18", "preact_resnet18", "resnet50", "preact_resnet50"])
def test_with_branches_at_zero_every_block_starts_as_its_shortcut(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, 10, zero_init_residual=True).eval()
    block = model.layer1[1]
    x = torch.randn(2, block.conv1.in_channels, 5, 5)
    # Identity mapping (He 2016) for pre-activation; a block of 2015 has a ReLU after the sum.
    torch.testing.assert_close(block(x), x if name.startswith("preact") else x.relu())


@pytest.mark.parametrize("name", ["preact_resnet18", "preact_resnet50"])
def test_preactivation_blocks_share_the_activation_between_the_paths_where_the_shape_changes(
    name: str,
) -> None:
    torch.manual_seed(0)
    model = build_model(name, 10, zero_init_residual=True)
    block = model.layer2[0]
    x = torch.randn(4, block.conv1.in_channels, 6, 6)
    torch.testing.assert_close(block(x), block.downsample(block.bn1(x).relu()))


def test_blocks_leave_their_input_as_it_was() -> None:
    """The activations work in place, which must not reach the shortcut."""
    torch.manual_seed(0)
    for name in ("resnet18", "preact_resnet18"):
        model = build_model(name, 10)
        for block in (model.layer1[0], model.layer1[1], model.layer2[0]):
            x = torch.randn(2, 64, 6, 6)
            untouched = x.clone()
            block(x)
            assert torch.equal(x, untouched)


def test_activations_keep_their_size_through_a_plain_chain_of_blocks() -> None:
    """Kaiming initialisation: neither vanishing nor exploding at the start."""
    torch.manual_seed(0)
    model = build_model("resnet18", 10)
    features = model.forward_features(torch.randn(8, 3, 32, 32))
    assert 0.1 < features.std() < 10
