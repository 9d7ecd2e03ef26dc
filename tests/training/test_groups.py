"""Layer groups of models that name their parts, and of plain modules."""

import pytest
import torch
from torch import Tensor, nn

from rushlight.nn import StructuredModel, build_model
from rushlight.training.groups import layer_groups


class Reversed(nn.Module):
    """A model that names its parts itself, in another order than it defines them."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 2)
        self.body = nn.Linear(2, 2)

    def forward_features(self, x: Tensor) -> Tensor:
        return self.body(x)

    def forward_head(self, features: Tensor) -> Tensor:
        return self.head(features)

    def layer_groups(self) -> dict[str, nn.Module]:
        return {"body": self.body, "head": self.head}


def test_a_model_with_the_three_methods_is_recognised_and_decides_its_groups() -> None:
    model = Reversed()
    assert isinstance(model, StructuredModel)
    assert list(layer_groups(model)) == ["body", "head"]


def test_layer_groups_alone_are_enough_to_decide_the_groups() -> None:
    class OnlyGroups(nn.Sequential):
        def layer_groups(self) -> dict[str, nn.Module]:
            return {"all": self}

    model = OnlyGroups(nn.Linear(2, 2), nn.Linear(2, 2))
    assert not isinstance(model, StructuredModel)
    assert layer_groups(model) == {"all": model}


def test_a_plain_modules_groups_are_its_children_with_parameters() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    assert not isinstance(model, StructuredModel)
    assert layer_groups(model) == {"0": model[0], "3": model[3]}


def tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    return model


def with_parameter_of_its_own() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4))
    model.scale = nn.Parameter(torch.ones(1))
    return model


@pytest.mark.parametrize("make", [tied, with_parameter_of_its_own, lambda: nn.Linear(2, 2), nn.ReLU])
def test_a_module_whose_children_do_not_divide_its_parameters_is_one_group(make: type[nn.Module]) -> None:
    model = make()
    assert layer_groups(model) == {"model": model}


def test_freezing_by_groups_freezes_the_parts_of_a_resnet() -> None:
    """Its groups are made up for the question; what is done to them is done to the model."""
    model = build_model("resnet18", 10)
    layer_groups(model)["early"].requires_grad_(False)
    frozen = {name.split(".")[0] for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"conv1", "bn1", "layer1", "layer2"}
