"""Units that a text itself suggests: pairs of bytes that often stand together are joined, again and again.

Sennrich, Haddow & Birch, "Neural machine translation of rare words with subword units" (2016), on bytes (Radford et al.
2019), so that nothing is ever unknown. The package `tokenizers` learns and applies the joins.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from rushlight.data.vocabulary import PADDING, UNKNOWN
from rushlight.runtime.errors import InputError

VOCABULARY_SIZE = 2_000  # units in all; a text of a megabyte has hardly more that occur often enough to be learned
_SPECIAL = [UNKNOWN, PADDING]


class BytePairTokenizer:
    """Every unit is a token, down to single bytes.

    Args:
        units: names of the units from number 2 up, in the alphabet of `byte_names`.
        joins: pairs of names that are joined, the most important first.

    Raises:
        InputError: the package `tokenizers` is missing, or the joins make no sense.
    """

    unit = "unit"

    def __init__(self, units: list[str], joins: list[tuple[str, str]]) -> None:
        library = _library()
        self.units, self.joins = units, joins
        numbers = {name: number for number, name in enumerate([*_SPECIAL, *units])}
        try:
            self._tokenizer = library.Tokenizer(library.models.BPE(vocab=numbers, merges=joins))
            self._tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
            byte_of = {name: byte for byte, name in enumerate(byte_names())}
            self._bytes = [b"\xef\xbf\xbd", b"", *(bytes(byte_of[sign] for sign in name) for name in units)]
        except Exception as error:  # the library raises its own class for all that it refuses
            raise InputError(f"these are no units of bytes: {error!s:.200}") from None

    @classmethod
    def learn(cls, chunks: Iterable[str], minimum_frequency: int = 1) -> BytePairTokenizer:
        library = _library()
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = library.trainers.BpeTrainer(
            vocab_size=VOCABULARY_SIZE,
            min_frequency=max(2, minimum_frequency),  # a pair that occurs once joins nothing
            special_tokens=_SPECIAL,
            initial_alphabet=byte_names(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(chunks, trainer)
        numbers = tokenizer.get_vocab()
        units = sorted((name for name in numbers if name not in _SPECIAL), key=lambda name: numbers[name])
        return cls(units, _joins_of(tokenizer))

    @property
    def size(self) -> int:
        return len(_SPECIAL) + len(self.units)

    def encode(self, text: str) -> np.ndarray:
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, np.int64)

    def decode(self, numbers: Iterable[int]) -> str:
        return b"".join(self._bytes[int(number)] for number in numbers).decode("utf-8", "replace")

    def pieces(self, numbers: Iterable[int]) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a character may be spread over several units
        for number in numbers:
            yield decoder.decode(self._bytes[int(number)])

    def to_json(self) -> Any:
        return {"units": self.units, "joins": [list(pair) for pair in self.joins]}

    @classmethod
    def from_json(cls, value: Any) -> BytePairTokenizer:
        fields = value if isinstance(value, dict) else {}
        units, joins = fields.get("units"), fields.get("joins")
        if not isinstance(units, list) or not all(isinstance(name, str) for name in units):
            raise InputError("byte pairs need a list of units")
        if not isinstance(joins, list) or not all(_is_pair(pair) for pair in joins):
            raise InputError("byte pairs need a list of joins, each a pair of units")
        return cls(units, [(first, second) for first, second in joins])


def byte_names() -> list[str]:
    """A visible sign for each of the 256 bytes: itself where it is one, else one from number 256 up."""
    visible = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    hidden = iter(range(256, 512))
    return [chr(byte) if byte in visible else chr(next(hidden)) for byte in range(256)]


def _joins_of(tokenizer: Any) -> list[tuple[str, str]]:
    import json

    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(first, second) for first, second in (m.split(" ") if isinstance(m, str) else m for m in merges)]


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(name, str) for name in value)


def _library() -> Any:
    try:
        import tokenizers
        from tokenizers import models, pre_tokenizers, trainers  # noqa: F401 - found as attributes from here on
    except ImportError:
        raise InputError(
            "byte-pair units need the package 'tokenizers': pip install 'rushlight[text]', or use another --tokens"
        ) from None
    return tokenizers
