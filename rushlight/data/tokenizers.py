"""Text to numbers and back: by character, by word, or by units that the text itself suggests.

Each tokenizer learns its vocabulary from chunks of the training text, and writes back exactly what it read, save that
what it does not know comes back as the sign U+FFFD. To add one, write a class like these and its line in `TOKENIZERS`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, Self

import numpy as np

from rushlight.data.byte_pairs import BytePairTokenizer
from rushlight.data.vocabulary import Vocabulary
from rushlight.runtime.errors import InputError, nearest_name

# A word with the space before it, a run of other signs likewise, or white space.
_WORD = re.compile(r" ?\w+| ?[^\w\s]+|\s")


class Tokenizer(Protocol):
    """What the rest of the library asks of one."""

    unit: str
    """What one token is called: `character`, `word` or `unit`."""

    @classmethod
    def learn(cls, chunks: Iterable[str], minimum_frequency: int = 1) -> Self:
        """Make one for a text; rarer tokens are unknown to it."""

    @property
    def size(self) -> int:
        """How many numbers there are."""

    def encode(self, text: str) -> np.ndarray:
        """Text to numbers (N,), int64; 0 where something is unknown."""

    def decode(self, numbers: Iterable[int]) -> str:
        """Numbers to text."""

    def pieces(self, numbers: Iterable[int]) -> Iterator[str]:
        """The text of one number after the other, as it becomes known; joined it is what `decode` gives, but for a
        character of which only a part has come."""

    def to_json(self) -> Any:
        """What `from_json` needs to make it again."""

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Made again from a model file.

        Raises:
            InputError: the value cannot be used.
        """


class CharacterTokenizer:
    """Every character is a token."""

    unit = "character"

    def __init__(self, vocabulary: Vocabulary) -> None:
        if any(len(token) != 1 for token in vocabulary.to_json()):
            raise InputError("the vocabulary of a character model holds single characters only")
        self.vocabulary = vocabulary
        codes = [ord(token) for token in vocabulary.to_json()]
        self._number_of_code = np.zeros(max(codes, default=0) + 2, np.int64)  # the last stands for all beyond
        self._number_of_code[codes] = np.arange(2, len(vocabulary))

    @classmethod
    def learn(cls, chunks: Iterable[str], minimum_frequency: int = 1) -> CharacterTokenizer:
        counts: Counter[str] = Counter()
        for chunk in chunks:
            counts.update(chunk)
        return cls(Vocabulary.of_counts(counts, minimum_frequency))

    @property
    def size(self) -> int:
        return len(self.vocabulary)

    def encode(self, text: str) -> np.ndarray:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        return self._number_of_code[np.minimum(codes, len(self._number_of_code) - 1)]

    def decode(self, numbers: Iterable[int]) -> str:
        return self.vocabulary.text(numbers)

    def pieces(self, numbers: Iterable[int]) -> Iterator[str]:
        return (self.vocabulary.text([number]) for number in numbers)

    def to_json(self) -> Any:
        return self.vocabulary.to_json()

    @classmethod
    def from_json(cls, value: Any) -> CharacterTokenizer:
        return cls(Vocabulary.from_json(value))


class WordTokenizer:
    """Every word is a token, with the space before it; so are a run of other signs, and every white space.

    Words that are too rare are spelt: their characters are tokens too. So no word is unknown, only a character can be,
    and what is written is what was read.
    """

    unit = "word"

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    @classmethod
    def learn(cls, chunks: Iterable[str], minimum_frequency: int = 1) -> WordTokenizer:
        words: Counter[str] = Counter()
        for chunk in chunks:
            words.update(_WORD.findall(chunk))
        counts: Counter[str] = Counter()
        for word, count in words.items():
            if len(word) > 1 and count >= minimum_frequency:
                counts[word] += count
            for character in word:  # all that occur, so that a new word can be spelt
                counts[character] += max(count, minimum_frequency)
        return cls(Vocabulary.of_counts(counts, minimum_frequency))

    @property
    def size(self) -> int:
        return len(self.vocabulary)

    def encode(self, text: str) -> np.ndarray:
        known = self.vocabulary
        tokens: list[str] = []
        for word in _WORD.findall(text):
            tokens.extend([word] if word in known else word)
        return known.numbers(tokens)

    def decode(self, numbers: Iterable[int]) -> str:
        return self.vocabulary.text(numbers)

    def pieces(self, numbers: Iterable[int]) -> Iterator[str]:
        return (self.vocabulary.text([number]) for number in numbers)

    def to_json(self) -> Any:
        return self.vocabulary.to_json()

    @classmethod
    def from_json(cls, value: Any) -> WordTokenizer:
        return cls(Vocabulary.from_json(value))


TokenizerClass = type[CharacterTokenizer] | type[WordTokenizer] | type[BytePairTokenizer]

TOKENIZERS: dict[str, TokenizerClass] = {
    "character": CharacterTokenizer,
    "word": WordTokenizer,
    "byte_pair": BytePairTokenizer,
}


def tokenizer_class(name: str) -> TokenizerClass:
    """The tokenizer of that name.

    Raises:
        InputError: there is none.
    """
    if name not in TOKENIZERS:
        raise InputError(f"there is no tokenizer '{name}': {nearest_name(name, TOKENIZERS)}")
    return TOKENIZERS[name]
