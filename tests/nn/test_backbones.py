"""Bodies: published weights fit, faults are named, and channels other than three are adapted."""

import sys
import tarfile
import types
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from rushlight.inference.inputs import Source, read_picture, square_pixels
from rushlight.nn.backbones import (
    BACKBONES,
    BackboneClassifier,
    ResNetBody,
    adapted_filters,
    backbone,
    backbone_classifier,
    fit_weights,
    preprocessing,
)
from rushlight.nn.models import build_model
from rushlight.nn.timm_body import TimmBody, as_map
from rushlight.runtime.errors import InputError
from rushlight.runtime.published_weights import published_weights


def test_the_default_body_has_its_published_weights_without_a_network() -> None:
    first, second = backbone("efficientnet_lite0"), backbone("efficientnet_lite0")
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    # A net that has learned leaves its batch norms with other statistics than 0 and 1.
    assert first.stem[1].running_var.std() > 0.1


@pytest.mark.parametrize("name", ["resnet34", "resnet50"])
def test_weights_in_the_published_layout_go_to_the_body_and_back_unchanged(name: str) -> None:
    published = build_model(name, 1000, size=224).state_dict()
    for tensor in published.values():
        if tensor.is_floating_point():
            tensor.normal_()
    body = ResNetBody(name)
    fit_weights(body, BACKBONES[name].rename(dict(published)), name)
    again = body.state_dict() | {key: published[key] for key in ("fc.weight", "fc.bias")}
    assert again.keys() == published.keys()
    assert all(torch.equal(again[key], published[key]) for key in published)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18", "resnet50"])
def test_a_body_gives_the_channels_that_its_description_says(name: str) -> None:
    with torch.device("meta"):
        features = backbone(name, pretrained=False)(torch.zeros(1, 3, 64, 64))
    assert features.shape == (1, BACKBONES[name].features, 2, 2)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18"])
def test_the_groups_of_a_classifier_hold_every_parameter_once(name: str) -> None:
    model = backbone_classifier(3, backbone=name)
    assert list(model.layer_groups()) == ["early", "late", "head"]
    held = [id(p) for group in model.layer_groups().values() for p in group.parameters()]
    assert sorted(held) == sorted(id(p) for p in model.parameters())


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
def test_a_grey_image_has_the_same_effect_through_any_number_of_channels(channels: int) -> None:
    filters, grey = torch.randn(8, 3, 3, 3), torch.randn(1, 1, 9, 9)
    expected = nn.functional.conv2d(grey.expand(1, 3, 9, 9), filters)
    found = nn.functional.conv2d(grey.expand(1, channels, 9, 9), adapted_filters(filters, channels))
    if channels in (1, 3, 6):  # the three in equal number
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert found.norm() == pytest.approx(expected.norm().item(), rel=0.5)


def test_a_body_for_one_channel_runs_on_its_published_weights() -> None:
    assert backbone("efficientnet_lite0", channels=1)(torch.randn(1, 1, 64, 64)).shape == (1, 1280, 2, 2)


def test_an_unknown_body_or_head_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown backbone 'resnet43'.*did you mean 'resnet34'"):
        backbone("resnet43")
    with pytest.raises(ValueError, match=r"no head 'averge'.*did you mean 'average'"):
        backbone_classifier(2, head="averge")


def test_weights_of_another_shape_are_refused_by_name() -> None:
    body = ResNetBody("resnet18")
    wrong: dict[str, Tensor] = dict(ResNetBody("resnet34").state_dict())
    with pytest.raises(InputError, match=r"do not fit 'resnet18'.*'layer1.2.conv1.weight' is unknown"):
        fit_weights(body, wrong, "resnet18")
    shaped = dict(body.state_dict()) | {"conv1.weight": torch.zeros(64, 3, 3, 3)}
    with pytest.raises(InputError, match=r"'conv1.weight' has shape \(64, 3, 3, 3\), not \(64, 3, 7, 7\)"):
        fit_weights(body, shaped, "resnet18")


def test_a_missing_timm_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r"pip install 'rushlight\[timm\]'"):
        backbone("timm/vit_tiny_patch16_224")


class TokenModel(nn.Module):
    """What timm's transformers look like from outside: a class token, positions, blocks of tokens."""

    num_features, num_prefix_tokens = 8, 1

    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 8))
        self.patch_embed = nn.Conv2d(3, 8, 16, stride=16)
        self.blocks = nn.Sequential(*(nn.Linear(8, 8) for _ in range(4)))
        self.norm = nn.LayerNorm(8)

    def forward_features(self, x: Tensor) -> Tensor:
        tokens = self.patch_embed(x).flatten(2).transpose(1, 2)
        return self.norm(self.blocks(torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], dim=1)))


def test_tokens_of_a_transformer_are_folded_back_to_their_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.SimpleNamespace(
        create_model=lambda name, **_: TokenModel(),
        data=types.SimpleNamespace(
            resolve_model_data_config=lambda _: {"input_size": (3, 64, 64), "mean": (0.5,) * 3, "std": (0.5,) * 3}
        ),
    )
    monkeypatch.setitem(sys.modules, "timm", module)
    body = backbone("timm/anything", pretrained=False)
    assert isinstance(body, TimmBody)
    images = torch.randn(2, 3, 64, 64)
    features = body(images)
    assert features.shape == (2, 8, 4, 4)
    # A change of one patch moves the features of its own place alone: these layers do not mix places.
    images[:, :, 16:32, 32:48] += 1
    changed = (body(images) - features).abs().sum((0, 1)) > 1e-6
    assert changed.nonzero().tolist() == [[1, 2]]
    held = [id(p) for group in body.layer_groups().values() for p in group.parameters()]
    assert sorted(held) == sorted(id(p) for p in body.parameters())
    assert preprocessing("timm/anything", body).size == 64


def test_maps_with_channels_last_and_features_without_places_are_taken() -> None:
    assert as_map(torch.zeros(2, 4, 5, 8), 8).shape == (2, 8, 4, 5)
    assert as_map(torch.zeros(2, 8), 8).shape == (2, 8, 1, 1)
    with pytest.raises(InputError, match="no map of a square image"):
        as_map(torch.zeros(2, 7, 8), 8)


def test_a_classifier_is_body_and_head() -> None:
    model = BackboneClassifier(ResNetBody("resnet18"), nn.Flatten()).eval()
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(model(images), model.forward_head(model.forward_features(images)))


CATS, DOGS = range(281, 294), range(151, 269)  # of the thousand classes: domestic and wild cats, and breeds of dogs


@pytest.mark.data
def test_weights_and_preprocessing_are_right_photographs_of_known_content_are_recognised(data_folder: Path) -> None:
    description = BACKBONES["efficientnet_lite0"]
    published = published_weights(description.weights)
    body = backbone("efficientnet_lite0").eval()
    expected = preprocessing("efficientnet_lite0")
    mean, std = (torch.tensor(part)[:, None, None] for part in (expected.mean, expected.std))
    right = seen = 0
    with tarfile.open(data_folder / "dogscats.tar") as archive, torch.inference_mode():
        for member in archive:
            known = CATS if "/valid/cats/" in member.name else DOGS if "/valid/dogs/" in member.name else None
            if known is None or not member.name.endswith("0.jpg"):
                continue
            picture = read_picture(Source(member.name, Image.open(archive.extractfile(member))))
            pixels = torch.from_numpy(square_pixels(picture, 224, "crop").copy()).permute(2, 0, 1) / 255
            features = body(((pixels - mean) / std)[None]).mean(dim=(2, 3))
            answer = (features @ published["_fc.weight"].T + published["_fc.bias"]).argmax().item()
            right, seen = right + (answer in known), seen + 1
    assert seen >= 30
    assert right / seen > 0.85, f"{right} of {seen}"
