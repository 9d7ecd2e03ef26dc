"""Heat maps are where the evidence was planted, by every method, and leave no trace in the model."""

import pytest
import torch
from torch import Tensor, nn

from rushlight.inference.class_maps import class_maps, kept_output, occlusion_maps
from rushlight.nn import MODELS, build_model
from rushlight.nn.backbones import BackboneClassifier
from rushlight.nn.heads import HEADS
from rushlight.runtime.errors import InputError

SIZE, CELL = 32, 4


class ColourBody(nn.Module):
    """Features: how red, green and blue each place is."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x, CELL).clamp_min(0)

    def layer_groups(self) -> dict[str, nn.Module]:
        return {}


def colour_classifier(head: str) -> BackboneClassifier:
    """Class 0 is red, 1 is green."""
    torch.manual_seed(0)
    made = HEADS[head](3, 2)
    weights = torch.tensor([[4.0, -4.0, 0.0], [-4.0, 4.0, 0.0]])
    with torch.no_grad():
        if head == "convolution":
            made.convolution.weight.zero_()
            made.convolution.weight[:, :, 1, 1] = weights
        elif head == "two_layer":
            made.hidden[1].weight.zero_()
            made.hidden[1].weight[:3, :3] = 4 * torch.eye(3)
            made.hidden[1].weight[:3, 3:] = torch.eye(3)
            made.linear.weight.zero_()
            made.linear.weight[:, :3] = weights
        else:
            made.linear.weight.copy_(weights.repeat(1, 2 if made.with_maximum else 1))
    return BackboneClassifier(ColourBody(), made).eval()


def red_left_green_right() -> Tensor:
    image = torch.zeros(1, 3, SIZE, SIZE)
    image[:, 0, 4:12, 4:12] = 1
    image[:, 1, 20:28, 20:28] = 1
    return image


def hottest(heat: Tensor) -> tuple[float, float]:
    """Row and column of the hottest place, from 0 to 1."""
    row, column = divmod(int(heat.argmax()), heat.shape[1])
    return (row + 0.5) / heat.shape[0], (column + 0.5) / heat.shape[1]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("method", ["auto", "grad_cam"])
def test_each_class_is_hot_where_it_is(head: str, method: str) -> None:
    images = red_left_green_right().repeat(2, 1, 1, 1)
    maps, used = class_maps(colour_classifier(head), images, torch.tensor([0, 1]), method)
    assert used == ("grad_cam" if head == "two_layer" or method == "grad_cam" else "cam")
    red, green = hottest(maps[0]), hottest(maps[1])
    assert all(0.1 < place < 0.4 for place in red)
    assert all(0.6 < place < 0.9 for place in green)
    assert maps[0].min() < 0  # what speaks for green speaks against red


def test_grad_cam_is_the_class_activation_map_where_the_head_is_linear_after_averaging() -> None:
    model, images, classes = colour_classifier("average"), torch.rand(3, 3, SIZE, SIZE), torch.tensor([0, 1, 0])
    cam, _ = class_maps(model, images, classes, "cam")
    grad_cam, _ = class_maps(model, images, classes, "grad_cam")
    ratio = (grad_cam / cam).flatten(1)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-3, atol=1e-3)
    assert (ratio > 0).all()


def test_occlusion_finds_it_without_looking_inside() -> None:
    model = colour_classifier("average")
    images = red_left_green_right()
    maps = occlusion_maps(lambda x: model(x).softmax(1), images, torch.tensor([0]))
    assert all(0.05 < place < 0.45 for place in hottest(maps[0]))


def test_a_plain_module_is_explained_from_its_last_map() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    maps, used = class_maps(model, torch.rand(2, 3, 16, 16), torch.tensor([0, 1]))
    assert used == "grad_cam"
    assert maps.shape == (2, 16, 16)
    named, _ = class_maps(model, torch.rand(2, 3, 16, 16), torch.tensor([0, 1]), layer="0")
    assert named.shape == (2, 16, 16)
    assert not any(module._forward_hooks for module in model.modules())


def test_the_hook_goes_also_where_the_model_fails() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(7, 2))
    with pytest.raises(RuntimeError), kept_output(model, "0"):
        model(torch.rand(1, 3, 8, 8))
    with pytest.raises(RuntimeError):
        class_maps(model, torch.rand(1, 3, 8, 8), torch.tensor([0]))
    assert not any(module._forward_hooks for module in model.modules())


def test_what_cannot_be_explained_so_is_refused() -> None:
    model = colour_classifier("two_layer")
    with pytest.raises(InputError, match="not linear after pooling"):
        class_maps(model, red_left_green_right(), torch.tensor([0]), "cam")
    with pytest.raises(InputError, match="no layer 'boddy'"):
        class_maps(model, red_left_green_right(), torch.tensor([0]), layer="boddy")
    with pytest.raises(InputError, match="keeps no places"):
        class_maps(build_model("fully_connected", 3, size=16), torch.rand(1, 3, 16, 16), torch.tensor([0]))


@pytest.mark.parametrize(
    "name", [name for name in MODELS if not name.endswith(("101", "152")) and name != "fully_connected"]
)
def test_every_network_with_places_has_a_map_and_stays_as_it_was(name: str) -> None:
    torch.manual_seed(0)
    model = build_model(name, 3, size=64)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    maps, _ = class_maps(model, torch.rand(2, 3, 64, 64), torch.tensor([0, 2]))
    assert maps.ndim == 3
    assert maps.isfinite().all()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
