"""The state that a training needs to go on: nested containers of tensors and plain values in one safetensors file.

Two files are kept, the newest and the one before. Each is verified when it is read; a damaged newest one is set aside
and the one before serves. Nothing in them is code: tensors lie in safetensors' own layout, everything else is JSON.

    resume.safetensors              the newest
    resume.previous.safetensors     the one before
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from rushlight.runtime.checkpoint import read_checkpoint, save_checkpoint
from rushlight.runtime.errors import ModelFileError
from rushlight.runtime.nested import pack, unpack

_TASK = "resume"


class StateFile:
    """The two files of a run folder.

    Args:
        folder: the run folder.

    Attributes:
        newest, previous: the files, written or not.
    """

    def __init__(self, folder: str | Path) -> None:
        self.newest = Path(folder) / "resume.safetensors"
        self.previous = Path(folder) / "resume.previous.safetensors"

    def exists(self) -> bool:
        """Whether there is a state, whole or not."""
        return self.newest.exists() or self.previous.exists()

    def write(self, state: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Write a state; what was the newest becomes the one before.

        Args:
            state: dicts, lists, tuples, tensors, numbers, words, None.
            facts: what the training was begun with, as JSON.

        Raises:
            StorageError: the file cannot be written; the states before are untouched.
        """
        tensors: dict[str, Tensor] = {}
        described = pack(dict(state), "", tensors)
        metadata = {"task": _TASK, "facts": dict(facts), "state": described}
        save_checkpoint(self.newest, tensors, metadata, keep_as=self.previous)

    def read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The newest state that is whole, and the facts that were written with it.

        Raises:
            ModelFileError: none is whole.
        """
        try:
            return _read(self.newest)
        except ModelFileError:
            if not self.previous.exists():
                raise
            return _read(self.previous)

    def set_damaged_aside(self) -> str | None:
        """Rename a damaged newest file, so that the next one written does not push out the one that is whole.

        Returns:
            What is wrong with it and what serves instead, or None where all is well.
        """
        if not (self.newest.exists() and self.previous.exists()):
            return None
        try:
            _read(self.newest)
        except ModelFileError as error:
            _read(self.previous)
            aside = self.newest.with_name("resume.damaged.safetensors")
            os.replace(self.newest, aside)  # noqa: PTH105
            return f"{error}; it is now '{aside.name}', and the state before it serves"
        return None

    def remove(self) -> None:
        """Delete both files."""
        for path in (self.newest, self.previous):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    found = read_checkpoint(path)
    state, facts = found.metadata.get("state"), found.metadata.get("facts")
    if found.metadata.get("task") != _TASK or not isinstance(facts, dict) or not isinstance(state, dict):
        raise ModelFileError(f"model file '{path}' refused: it holds no state to go on from")
    try:
        return unpack(state, found.tensors), facts
    except (KeyError, TypeError, ValueError, RuntimeError) as error:  # RecursionError is a RuntimeError
        raise ModelFileError(f"model file '{path}' refused: its state is damaged ({error})") from None
