"""Model files: one safetensors file that holds the weights and says how to rebuild the model.

The file is data and nothing else: reading it runs no code, whoever wrote it. What it claims is checked before
memory is taken for it. A checksum over names, shapes, weights and metadata finds accidents; it does not stop
an attacker, who can compute it too.

    tensors         name -> weights, in safetensors' own layout
    __metadata__    {"rushlight": '{"format_version": 1, "rushlight": "0.1.0",
                                    "sha256": "...", "metadata": {...}}'}
"""

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from rushlight.runtime.errors import InputError, ModelFileError
from rushlight.runtime.files import atomic_write_bytes, human_bytes, to_json_value
from rushlight.version import __version__

FORMAT_VERSION = 1

_METADATA_KEY = "rushlight"
_HEADER_LIMIT = 32_000_000  # bytes; real headers take kilobytes, or some megabytes with a huge vocabulary
_TENSOR_LIMIT = 100_000
_KEYS_SHOWN = 10
_OTHER_FORMATS = {
    b"PK": "a zip archive, as torch.save writes; it may contain code",
    b"\x80": "a pickle, which may contain code",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "a gzip archive",
    b"GGUF": "a GGUF file",
}


@dataclass(frozen=True)
class Checkpoint:
    """What a model file holds.

    Attributes:
        tensors: weights by name, on the CPU, in memory of their own (the file may be replaced at once).
        metadata: the JSON object that was saved with them.
    """

    tensors: dict[str, torch.Tensor]
    metadata: dict[str, Any]


def save_checkpoint(
    path: str | Path,
    tensors: Mapping[str, torch.Tensor],
    metadata: Mapping[str, Any],
    keep_as: str | Path | None = None,
) -> None:
    """Write weights and metadata as one safetensors file, atomically.

    Args:
        path: the file; an existing one is replaced in one step.
        tensors: weights by name, for example a module's `state_dict()`; on any device, tied weights allowed.
        metadata: anything with a JSON form (see `runtime.files.to_json_value`).
        keep_as: where a file that stands there already is kept.

    Raises:
        StorageError: the file cannot be written; what was there before is untouched.
        InputError: the metadata is longer than a model file may have.
    """
    plain = _plain_tensors(tensors)
    # Through JSON once, so that the checksum is over what a reader will get back.
    described = json.loads(json.dumps(to_json_value(dict(metadata)), allow_nan=False))
    envelope = {
        "format_version": FORMAT_VERSION,
        "rushlight": __version__,
        "sha256": _digest(plain, described),
        "metadata": described,
    }
    data = safetensors.torch.save(plain, metadata={_METADATA_KEY: json.dumps(envelope)})
    if int.from_bytes(data[:8], "little") > _HEADER_LIMIT:  # better now than when it is to be read
        raise InputError(f"the description of the model in '{path}' is too long: shorten its labels or vocabulary")
    atomic_write_bytes(path, data, keep_as)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a model file into memory, or refuse it.

    Raises:
        ModelFileError: the file is missing, is not ours, is damaged, or was written by a newer version.
    """
    path = Path(path)
    data, header_length = _read_file(path)
    envelope = _read_envelope(path, data[8 : 8 + header_length])
    try:
        tensors = safetensors.torch.load(data)
    except (SafetensorError, RuntimeError, ValueError, TypeError, KeyError, AssertionError) as error:
        _refuse(path, f"its layout is damaged ({_first_line(error)})")
    if envelope["sha256"] != _digest(tensors, envelope["metadata"]):
        _refuse(path, "its content does not match its checksum: it was damaged or changed after it was saved")
    return Checkpoint(tensors, envelope["metadata"])


def load_weights(module: nn.Module, tensors: Mapping[str, torch.Tensor], path: str | Path) -> None:
    """Copy weights into a module if every one of them fits; otherwise leave the module as it was.

    Args:
        module: takes the weights.
        tensors: weights by name, as `read_checkpoint` returns them.
        path: the file they came from, for the message.

    Raises:
        ModelFileError: names are missing or unknown, or shapes or kinds of number differ; the first
            ten are named.
    """
    check_weights(module, tensors, path)
    module.load_state_dict(dict(tensors), strict=True)


def check_weights(module: nn.Module, tensors: Mapping[str, torch.Tensor], path: str | Path) -> None:
    """Refuse weights that do not fit a module, which may be on the meta device; see `load_weights`."""
    faults = _weight_faults(module.state_dict(), tensors)
    if faults:
        more = len(faults) - _KEYS_SHOWN
        listed = "; ".join(faults[:_KEYS_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        _refuse(path, f"its weights do not fit the model it names: {listed}")


def _weight_faults(expected: Mapping[str, torch.Tensor], offered: Mapping[str, torch.Tensor]) -> list[str]:
    """Why weights do not fit, one clause a name; empty where they do."""
    # repr, because a name comes from the file and may hold line breaks or control characters
    faults = [f"{name!r:.100} is missing" for name in expected if name not in offered]
    faults += [f"{name!r:.100} is unknown" for name in offered if name not in expected]
    for name in expected.keys() & offered.keys():
        wanted, given = expected[name], offered[name]
        if wanted.shape != given.shape:
            faults.append(f"{name!r:.100} has shape {tuple(given.shape)}, not {tuple(wanted.shape)}")
        elif _kind(wanted) != _kind(given):
            faults.append(f"{name!r:.100} holds {given.dtype}, not {wanted.dtype}")
    return sorted(faults)


def _kind(tensor: torch.Tensor) -> str:
    if tensor.is_complex():
        return "complex"
    return "real" if tensor.is_floating_point() else "integer"


def _plain_tensors(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Contiguous CPU copies in which no two names share memory, as safetensors requires."""
    plain: dict[str, torch.Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        copy = tensor.detach().cpu().contiguous()
        storage = copy.untyped_storage()
        if storage.data_ptr() in storages or storage.nbytes() != copy.numel() * copy.element_size():
            copy = copy.clone()
        storages.add(copy.untyped_storage().data_ptr())
        plain[name] = copy
    return plain


def _digest(tensors: Mapping[str, torch.Tensor], metadata: Any) -> str:
    """SHA-256 over the metadata, and over name, kind, shape and bytes of every tensor."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        # Line breaks part the fields; JSON never contains a raw one, so no two models give the same stream.
        digest.update(b"\n" + json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode() + b"\n")
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read_file(path: Path) -> tuple[bytes, int]:
    """The content of a file and the length of its header, after every size in it was found believable."""
    try:
        status = path.stat()
        # Asked before opening: a named pipe would wait for ever, a device would never end.
        if not stat.S_ISREG(status.st_mode):
            _refuse(path, "it is not a file")
        with path.open("rb") as handle:
            size = os.fstat(handle.fileno()).st_size
            start = handle.read(9)
            header_length = int.from_bytes(start[:8], "little")
            if start[8:9] != b"{" or header_length > size - 8:
                _refuse_other_format(path, start, size)
            if header_length > _HEADER_LIMIT:
                _refuse(path, f"its header claims {human_bytes(header_length)}, more than any model needs")
            if size > _physical_memory():
                _refuse(path, f"its {human_bytes(size)} are more than this machine's memory")
            handle.seek(0)
            data = handle.read(size)
    except OSError as error:
        _refuse(path, f"it cannot be read ({error.strerror or error})")
    except MemoryError:
        _refuse(path, f"its {human_bytes(size)} do not fit into memory")
    return data, header_length


def _refuse_other_format(path: Path, start: bytes, size: int) -> NoReturn:
    if size == 0:
        _refuse(path, "it is empty")
    header_length = int.from_bytes(start[:8], "little")
    # The length of an honest header may begin with the bytes of a pickle, so a file cut off is told first.
    if start[8:9] == b"{" and header_length <= _HEADER_LIMIT:
        _refuse(path, f"it was cut off: its header alone has {human_bytes(header_length)}")
    for magic, name in _OTHER_FORMATS.items():
        if start.startswith(magic):
            _refuse(path, f"it is {name}; Rushlight reads only the safetensors files that it writes itself")
    if start[8:9] == b"{":
        claim = human_bytes(header_length)
        _refuse(path, f"its header claims {claim}, in a file of {human_bytes(size)}")
    _refuse(path, "it is no safetensors file; give a run folder or the model.safetensors in it")


def _read_envelope(path: Path, header: bytes) -> dict[str, Any]:
    """The JSON that `save_checkpoint` put into the header, with its format version and its fields checked."""
    try:
        fields = json.loads(header)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        _refuse(path, "its header is damaged")
    if not isinstance(fields, dict) or len(fields) > _TENSOR_LIMIT:
        _refuse(path, "its header is damaged")
    strings = fields.get("__metadata__")
    text = strings.get(_METADATA_KEY) if isinstance(strings, dict) else None
    if not isinstance(text, str):
        _refuse(path, "it is a safetensors file, but not one of Rushlight's: it does not say which model it holds")
    try:
        envelope = json.loads(text)
    except (ValueError, RecursionError):
        envelope = None
    version = envelope.get("format_version") if isinstance(envelope, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        _refuse(
            path,
            f"it has format {version}, written by rushlight {envelope.get('rushlight')!r:.20}; this is "
            f"{__version__}, which reads up to {FORMAT_VERSION}: pip install --upgrade rushlight",
        )
    intact = version == FORMAT_VERSION and isinstance(envelope.get("metadata"), dict) and "sha256" in envelope
    if not intact:
        _refuse(path, "its description of the model is damaged")
    return envelope


def _physical_memory() -> int:
    """Bytes of memory in this machine; no limit where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**63


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _refuse(path: str | Path, reason: str) -> NoReturn:
    raise ModelFileError(f"model file '{path}' refused: {reason}")
