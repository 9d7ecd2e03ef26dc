"""What every model in `MODELS` promises. A new line there is tested here without another word.

A model is built once and shared by its tests, which leave it as it was. The deepest ResNets, made of the same
blocks as the others, are only looked at in shape, on the meta device.
"""

import copy
import inspect
import json
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rushlight.nn import MODELS, StructuredModel, build_model, model_options
from rushlight.training.groups import layer_groups

CLASSES, BATCH, SIZE = 5, 3, 16  # the smallest images that every model takes


def on_meta(name: str, **arguments: object) -> nn.Module:
    with torch.device("meta"):
        return build_model(name, CLASSES, **arguments)


NAMES = list(MODELS)
LARGE = [name for name in NAMES if name.endswith(("resnet101", "resnet152"))]


def images(batch: int = BATCH) -> Tensor:
    return torch.randn(batch, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=[name for name in NAMES if name not in LARGE], scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build_model(name, CLASSES, size=SIZE)


@pytest.fixture
def model(built: nn.Module) -> Iterator[nn.Module]:
    """The shared model in training mode, with its weights and statistics put back afterwards."""
    state = copy.deepcopy(built.state_dict())
    yield built.train()
    built.load_state_dict(state)
    built.zero_grad()


def test_gives_logits_of_the_right_shape_and_leaves_the_images_alone(model: nn.Module) -> None:
    x = images()
    logits = model(x)
    assert logits.shape == (BATCH, CLASSES)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert torch.equal(x, images())
    # Logits, not log-probabilities: the softmax belongs to the loss.
    assert not torch.allclose(logits.exp().sum(1), torch.ones(BATCH))


def test_gradient_reaches_every_trainable_parameter(model: nn.Module) -> None:
    F.cross_entropy(model(images(batch=8)), torch.arange(8) % CLASSES).backward()
    without = [
        key
        for key, parameter in model.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    ]
    assert without == []


def test_forward_is_the_head_of_the_features(model: nn.Module) -> None:
    model.eval()
    assert isinstance(model, StructuredModel)
    features = model.forward_features(images())
    assert features.shape[0] == BATCH
    assert features.ndim in (2, 4)
    torch.testing.assert_close(model.forward_head(features), model(images()))


def test_evaluation_is_deterministic_and_each_image_is_on_its_own(model: nn.Module) -> None:
    model(images(batch=8))  # statistics that differ from their initial values
    model.eval()
    logits = model(images())
    state = copy.deepcopy(model.state_dict())
    assert torch.equal(model(images()), logits)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    alone = torch.cat([model(image[None]) for image in images()])
    torch.testing.assert_close(alone, logits, rtol=1e-3, atol=1e-3)


def test_channels_last_gives_the_same_answer(model: nn.Module) -> None:
    model.eval()
    expected = model(images())
    other = copy.deepcopy(model).to(memory_format=torch.channels_last)
    logits = other(images().contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)


def test_layer_groups_hold_every_parameter_exactly_once(model: nn.Module) -> None:
    held = [id(parameter) for group in layer_groups(model).values() for parameter in group.parameters()]
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in model.parameters()}


def test_layer_groups_run_from_input_to_output(model: nn.Module) -> None:
    """Each group begins to run before the next one does, and the head is the last."""
    started: list[str] = []
    hooks = []
    for group, module in layer_groups(model).items():
        for part in module.modules():
            if any(True for _ in part.parameters(recurse=False)):
                record = lambda *_, group=group: started.append(group)  # noqa: E731
                hooks.append(part.register_forward_pre_hook(record))
    try:
        features = model.forward_features(images())
        in_body = list(dict.fromkeys(started))
        started.clear()
        model.forward_head(features)
    finally:
        for hook in hooks:
            hook.remove()
    assert [*in_body, *dict.fromkeys(started)] == list(layer_groups(model))
    assert set(started) == {"head"}


def test_built_again_from_json_with_its_weights_it_gives_the_same_answer(name: str, model: nn.Module) -> None:
    model(images(batch=8))
    arguments = json.loads(json.dumps({"classes": CLASSES, "channels": 3, "size": SIZE, **model_options(name)}))
    again = MODELS[name](**arguments)
    again.load_state_dict({key: value.clone() for key, value in model.state_dict().items()}, strict=True)
    assert torch.equal(again.eval()(images()), model.eval()(images()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("size", "channels"), [(32, 1), (33, 4), (128, 3)])
def test_builds_for_other_sizes_and_channels(name: str, size: int, channels: int) -> None:
    model = on_meta(name, channels=channels, size=size)
    assert model(torch.zeros(2, channels, size, size, device="meta")).shape == (2, CLASSES)


@pytest.mark.parametrize("name", NAMES)
def test_takes_the_common_arguments_and_options_by_keyword_only(name: str) -> None:
    parameters = inspect.signature(MODELS[name]).parameters
    common = {key: parameters[key].default for key in list(parameters)[:3]}
    assert common == {"classes": inspect.Parameter.empty, "channels": 3, "size": 32}
    assert all(p.kind is p.KEYWORD_ONLY for key, p in parameters.items() if key not in common)


@pytest.mark.parametrize("name", LARGE)
def test_large_models_keep_the_contract_in_shape(name: str) -> None:
    model = on_meta(name, size=SIZE)
    features = model.forward_features(torch.zeros(2, 3, SIZE, SIZE, device="meta"))
    assert model.forward_head(features).shape == (2, CLASSES)
    held = [id(parameter) for group in layer_groups(model).values() for parameter in group.parameters()]
    assert sorted(held) == sorted(id(parameter) for parameter in model.parameters())
