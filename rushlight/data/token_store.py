"""The tokens of a text in the user's cache: memory-mapped, so that a text of any size takes no memory of its own.

The next run over the same files asks the system only for their sizes and times. The file of tokens is named by the
files, how they were read, and this format; it is renamed into place when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rushlight.runtime.cache_limit import keep_within_limit, mark_used
from rushlight.runtime.errors import InputError
from rushlight.runtime.files import atomic_write_text, storage_error, user_cache_folder

VERSION = 1  # raise it when the same text becomes other numbers


@dataclass(frozen=True)
class StoredTokens:
    """What was kept of a text.

    Attributes:
        vocabulary: what makes the tokenizer again.
        notes: one line for each thing a person should know about how the text was read.
        train, valid: tokens (N,), memory-mapped.
    """

    vocabulary: Any
    notes: list[str]
    train: np.ndarray
    valid: np.ndarray


class TokenStore:
    """The place of one text in the cache.

    Args:
        paths: its files.
        reading: how they are read, as a string that differs where the tokens would.

    Attributes:
        key: names both.
    """

    def __init__(self, paths: Sequence[Path], reading: str) -> None:
        stamps = []
        for path in paths:
            try:
                status = path.stat()
            except OSError as error:
                raise InputError(f"the text '{path}' cannot be read: {error.strerror}") from None
            stamps.append([os.fspath(path.absolute()), status.st_size, status.st_mtime_ns])
        self.key = hashlib.sha256(json.dumps([VERSION, reading, stamps]).encode()).hexdigest()[:24]
        self._index = user_cache_folder() / "text" / f"{self.key}.json"
        self._tokens = self._index.with_suffix(".npy")

    def read(self) -> StoredTokens | None:
        """What an earlier run kept; None where there is nothing, or it is damaged."""
        try:
            facts = json.loads(self._index.read_text(encoding="utf-8"))
            tokens = np.load(self._tokens, mmap_mode="r", allow_pickle=False)
            cut = int(facts["train_tokens"])
            if tokens.ndim != 1 or len(tokens) != facts["tokens"] or not 0 <= cut <= len(tokens):
                return None
            mark_used(self._index, self._tokens)
            return StoredTokens(facts["vocabulary"], list(facts["notes"]), tokens[:cut], tokens[cut:])
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            return None

    def write(
        self,
        vocabulary: Any,
        notes: Callable[[], list[str]],
        encode: Callable[[str], np.ndarray],
        size: int,
        train: Iterable[str],
        valid: Iterable[str],
    ) -> StoredTokens:
        """Encode a text a chunk at a time, and keep it.

        Args:
            vocabulary: what makes the tokenizer again; anything with a JSON form.
            notes: asked once the whole text was read.
            encode: from a chunk to numbers.
            size: above every number.
            train, valid: chunks of the two parts.

        Raises:
            StorageError: the cache cannot be written.
        """
        kind = np.min_scalar_type(max(1, size - 1))
        unfinished = self._tokens.with_name(f".{self._tokens.name}.{secrets.token_hex(4)}.tmp")
        counts = []
        try:
            self._tokens.parent.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                # The length stands in the header, and is known at the end: a header of fixed size is written over.
                _write_header(file, kind, 0)
                for part in (train, valid):
                    counts.append(0)
                    for chunk in part:
                        numbers = encode(chunk).astype(kind)
                        file.write(numbers.tobytes())
                        counts[-1] += len(numbers)
                file.seek(0)
                _write_header(file, kind, sum(counts))
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, self._tokens)  # noqa: PTH105
        except OSError as error:
            raise storage_error(self._tokens, error) from error
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
        facts = {"vocabulary": vocabulary, "notes": notes(), "tokens": sum(counts), "train_tokens": counts[0]}
        atomic_write_text(self._index, json.dumps(facts))
        keep_within_limit()
        kept = self.read()
        if kept is None:
            raise InputError(f"the cache '{self._tokens}' was changed while it was written; try again")
        return kept


def _write_header(file: Any, kind: np.dtype, count: int) -> None:
    """NumPy's header, with room for any count, so that it can be written again in place."""
    np.lib.format.write_array_header_1_0(
        file, {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (count,)}
    )
