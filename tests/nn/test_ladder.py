"""The ladder against the lecture: parameter counts, structure, and the options of its normalisation."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rushlight.nn import MODELS, BatchNorm2d, build_model

LECTURE = {
    "fully_connected": 123_330,
    "convolutions": 37_490,
    "conv_layers": 37_490,
    "batch_norm_net": 155_970,
    "deep_net": 462_570,
    "residual_net": 769_170,
    "wide_residual_net": 1_966_234,
}
NORMALISED = ("batch_norm_net", "deep_net", "residual_net", "wide_residual_net")


def reference_logits(name: str, x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """The lecture's description of a rung in training, without dropout; takes the weights in their order."""
    parameters = iter(weights.values())

    def convolve(x: Tensor, bias: bool, **arguments: int) -> Tensor:
        weight = next(parameters)
        return F.conv2d(x, weight, next(parameters) if bias else None, **arguments)

    def layer(x: Tensor, stride: int, padding: int = 1) -> Tensor:
        x = F.relu(convolve(x, bias=False, stride=stride, padding=padding))
        return F.batch_norm(x, None, None, next(parameters), next(parameters), training=True)

    if name == "fully_connected":
        x = F.relu(F.linear(x.flatten(1), next(parameters), next(parameters)))
        return F.linear(x, next(parameters), next(parameters))
    if name in ("convolutions", "conv_layers"):
        for _ in range(3):
            x = F.relu(convolve(x, bias=True, stride=2, padding=int(name == "conv_layers")))
    else:
        x = layer(x, stride=1, padding=3) if name == "wide_residual_net" else convolve(x, bias=True, padding=2)
        for _ in range(4):
            x = layer(x, stride=2)
            if name == "deep_net":
                x = layer(x, stride=1)
            elif name != "batch_norm_net":
                x = x + layer(x, stride=1)
                x = x + layer(x, stride=1)
    return F.linear(F.adaptive_max_pool2d(x, 1).flatten(1), next(parameters), next(parameters))


@pytest.mark.parametrize(("name", "count"), LECTURE.items())
def test_parameter_count_is_the_lectures(name: str, count: int) -> None:
    assert sum(parameter.numel() for parameter in build_model(name, classes=10).parameters()) == count


@pytest.mark.parametrize("name", LECTURE)
def test_structure_is_the_lectures(name: str) -> None:
    torch.manual_seed(0)
    options = {"dropout": 0.0} if name == "wide_residual_net" else {}
    model = build_model(name, classes=10, **options)
    x = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(model(x), reference_logits(name, x, dict(model.named_parameters())))


def test_the_last_rung_drops_features_before_its_linear_layer_in_training_only() -> None:
    torch.manual_seed(0)
    model = build_model("wide_residual_net", classes=10, dropout=0.5)
    features = torch.rand(2, 256, 2, 2)
    assert not torch.equal(model.forward_head(features), model.forward_head(features))
    model.eval()
    assert torch.equal(model.forward_head(features), model.forward_head(features))


@pytest.mark.parametrize("name", NORMALISED)
def test_statistics_of_the_last_batch_or_an_average(name: str) -> None:
    """After training on two batches, `last_batch` evaluates as if it had only seen the second."""
    torch.manual_seed(0)
    first, second, probe = torch.randn(8, 3, 16, 16) * 3, torch.randn(8, 3, 16, 16), torch.randn(2, 3, 16, 16)
    for statistics, forgets in (("last_batch", True), ("average", False)):
        once = build_model(name, 10, norm_statistics=statistics)
        twice = build_model(name, 10, norm_statistics=statistics)
        twice.load_state_dict(once.state_dict())
        once(second), twice(first), twice(second)
        same = torch.allclose(once.eval()(probe), twice.eval()(probe), atol=1e-5)
        assert same is forgets


@pytest.mark.parametrize("name", NORMALISED)
@pytest.mark.parametrize("norm_statistics", ["average", "last_batch"])
def test_by_hand_trains_and_evaluates_as_with_pytorchs_batch_norm(name: str, norm_statistics: str) -> None:
    torch.manual_seed(0)
    options = {"norm_statistics": norm_statistics, "widths": (4, 6, 8, 8)}
    if name == "wide_residual_net":
        options["dropout"] = 0.0
    by_hand = build_model(name, 3, **options, by_hand=True).double()
    fused = build_model(name, 3, **options).double()
    fused.load_state_dict(by_hand.state_dict())
    assert any(isinstance(module, BatchNorm2d) for module in by_hand.modules())
    assert not any(isinstance(module, BatchNorm2d) for module in fused.modules())
    batches = [torch.randn(6, 3, 16, 16).double() for _ in range(3)]
    for model in (by_hand, fused):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for x in batches:
            optimizer.zero_grad()
            F.cross_entropy(model(x), torch.arange(6) % 3).backward()
            optimizer.step()
        model.eval()
    torch.testing.assert_close(by_hand(batches[0]), fused(batches[0]))


@pytest.mark.parametrize("name", NORMALISED)
def test_the_place_of_the_norm_is_an_option(name: str) -> None:
    torch.manual_seed(0)
    after, before = build_model(name, 10), build_model(name, 10, norm="before_relu")
    before.load_state_dict(after.state_dict())
    x = torch.randn(4, 3, 16, 16)
    assert not torch.allclose(after(x), before(x), atol=1e-3)
    without = build_model(name, 10, norm="none")
    assert not any(isinstance(module, nn.BatchNorm2d) for module in without.modules())
    assert without(x).isfinite().all()


@pytest.mark.parametrize(
    ("options", "named"),
    [({"norm": "after"}, "after_relu"), ({"norm_statistics": "mean"}, "average, last_batch")],
)
def test_an_unknown_choice_is_refused_with_the_known_ones(options: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        build_model("deep_net", 10, **options)


def test_images_too_small_for_unpadded_convolutions_are_refused_and_the_smallest_taken() -> None:
    with pytest.raises(ValueError, match="at least 15 pixels, not 14"):
        build_model("convolutions", 10, size=14)
    assert build_model("convolutions", 10, size=15)(torch.zeros(1, 3, 15, 15)).shape == (1, 10)


def test_a_fully_connected_net_says_that_it_takes_one_size() -> None:
    with pytest.raises(ValueError, match=r"\(3, 32, 32\).*\(3, 16, 16\)"):
        build_model("fully_connected", 10)(torch.zeros(1, 3, 16, 16))


def test_each_rung_is_in_the_dictionary_in_the_lectures_order() -> None:
    assert [name for name in MODELS if name in LECTURE] == list(LECTURE)
