"""An n-gram model of characters that also counts what followed within words: after the word before, and the one
before that.

A few characters are a short memory. What is written of a word so far, together with the word before it, is a longer
one that is still met often enough to count. So a text is taken to be runs, of letters and of other characters in turn;
the tables that are counted in addition tell what followed

- the run so far,
- the run so far, and the last word,
- the run so far, and the word before the last,

each with Kneser-Ney smoothing on top of what the shorter contexts expect. The three expectations (of the characters
alone, with the last word, with the one before) are multiplied, each to a power, as the contexts of compressors are
mixed in the logarithmic domain (Mahoney, "Adaptive weighing of context models for lossless data compression", 2005).

Letters in shapes: N, T positions, B streams side by side, V tokens in the vocabulary.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor

from rushlight.nn.ngram import (
    CHARACTER_ORDER,
    MULTIPLIER,
    NOTHING,
    NGramLanguageModel,
    counted_by_length,
    logarithms_of,
    shifted,
    signed,
)

# How much the characters alone, with the last word and with the one before it are believed; together less than 1, as
# all three overrate what they have seen. Fitted on one half of the last 15 % of Nietzsche's training part, with the
# rest counted: 1.345 nats a character on the other half, instead of 1.415 of the characters alone. On other texts
# (Python code, prose with code, a tenth of Nietzsche) no powers were better by more than 0.02.
POWERS = (0.29, 0.46, 0.18)
_INVERSE = pow(MULTIPLIER, -1, 1 << 64)  # MULTIPLIER times this is 1 in the arithmetic of 64 bits
_LETTERS = ("L", "M", "N")  # categories of Unicode: letters, the marks upon them, and numbers


def is_letter(token: str) -> bool:
    """Whether a character belongs to a word: a letter, a mark on one, or a digit."""
    return len(token) == 1 and unicodedata.category(token)[0] in _LETTERS


def word_contexts(tokens: Tensor, letters: Tensor, last: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The run so far and the last two words, as numbers, at every position of a window.

    Args:
        tokens: (T, B) int64.
        letters: (V,) bool: which tokens make up words.
        last: the tokens before the window (B,), -1 where there were none.
        state: numbers of the run so far, of the last word and of the one before it (B, 3); 0 where there is none.

    Returns:
        Keys of the three contexts after every position (3, T, B), and the state after the last.
    """
    # The state stands as one position in front, so that a run goes on from window to window.
    before = letters[last.clamp_min(0)] & (last != NOTHING)
    letter = torch.cat([before[None], letters[tokens]])
    codes = tokens + 1
    codes = torch.cat([state[None, :, 0], (codes ^ shifted(codes * MULTIPLIER, 31)) * MULTIPLIER])
    changes = torch.zeros_like(letter)
    changes[1:] = letter[1:] != letter[:-1]

    # The number of a run is the sum over its characters of code * MULTIPLIER ** (characters after it): the difference
    # of two of the sums from the start of the window, in which every character has the inverse power of its place.
    positions = len(codes)
    factor = codes.new_full((positions, 1), MULTIPLIER)
    inverse = codes.new_full((positions, 1), signed(_INVERSE))
    factor[0] = inverse[0] = 1
    sums = torch.cat([torch.zeros_like(codes[:1]), (codes * inverse.cumprod(0)).cumsum(0)])
    runs = (sums[1:] - sums.gather(0, _latest(changes))) * factor.cumprod(0)

    ended = _latest(changes & ~letter)  # where the last word was over
    in_window, at_its_end = ended > 0, (ended - 1).clamp_min(0)
    words = torch.where(in_window, runs.gather(0, at_its_end), state[:, 1])
    earlier = torch.where(in_window, words.gather(0, at_its_end), state[:, 2])
    keys = torch.stack([runs, _joined(runs, words), _joined(runs, earlier)])
    return keys[:, 1:], torch.stack([runs[-1], words[-1], earlier[-1]], dim=1)


class WordNGramLanguageModel(NGramLanguageModel):
    """See the head of this module. Make one with `learned_with`; arguments and errors as of the model beneath, but that
    an order of 0 is too short.

    Of a text without words, as its characters are all letters or none is, it expects nearly what that model does.
    """

    NAME = "word_ngram"
    FURTHER = ("_run", "_last_word", "_word_before")
    letters: Tensor

    def __init__(
        self,
        tokens: int,
        order: int = CHARACTER_ORDER,
        contexts: Sequence[int] | None = None,
        pairs: Sequence[int] | None = None,
    ) -> None:
        super().__init__(tokens, order, contexts, pairs)
        if order < 1:
            raise ValueError(f"words are told by the token before, so the order must be at least 1, not {order}")
        self.register_buffer("letters", torch.zeros(tokens, dtype=torch.bool))

    @classmethod
    def learned_with(cls, letters: Sequence[bool], text: np.ndarray, tokens: int, order: int = CHARACTER_ORDER) -> Self:
        """Count a text.

        Args:
            letters: for each token whether it belongs to a word; see `is_letter`.
            text: (N,) token numbers.
            tokens: V.
            order: the longest context, in tokens; at least 1.
        """
        known = torch.tensor(letters, dtype=torch.bool)
        numbers = torch.from_numpy(np.asarray(text).astype(np.int64))[:, None]
        keys, _ = word_contexts(numbers, known, torch.tensor([NOTHING]), numbers.new_zeros(1, 3))
        words = [(part[:-1, 0].numpy(), numbers[1:, 0].numpy()) for part in keys]
        model = cls._of_counts([*counted_by_length(text, order), *words], tokens, order)
        model.letters.copy_(known)
        return model

    def contexts(self, tokens: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As the model beneath; the state is (B, order + 3), with what `word_contexts` remembers."""
        by_length, characters = super().contexts(tokens, state)
        by_word, words = self._words(tokens, state)
        return torch.cat([by_length, by_word]), torch.cat([characters, words], dim=1)

    def remembered(self, tokens: Tensor, state: Tensor | None = None) -> Tensor:
        """As the model beneath."""
        return torch.cat([super().remembered(tokens, state), self._words(tokens, state)[1]], dim=1)

    def after(self, contexts: Tensor) -> Tensor:
        """As the model beneath."""
        flat = contexts.flatten(1)
        run, last_word, word_before = flat[-3:]
        characters = self._by_length(flat)
        within = self._refined(self.FURTHER[0], run, characters)
        expected = (
            characters,
            self._refined(self.FURTHER[1], last_word, within),
            self._refined(self.FURTHER[2], word_before, within),
        )
        mixed = torch.zeros_like(characters)
        for power, probabilities in zip(POWERS, expected, strict=True):
            mixed.add_(logarithms_of(probabilities), alpha=power)
        return torch.log_softmax(mixed, dim=-1).view(*contexts.shape[1:], self.tokens)

    def _words(self, tokens: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        if state is None:
            streams = tokens.shape[1]
            last, words = tokens.new_full((streams,), NOTHING), tokens.new_zeros(streams, 3)
        else:
            last, words = state[:, self.order - 1], state[:, self.order :]
        return word_contexts(tokens, self.letters, last, words)


def _latest(events: Tensor) -> Tensor:
    """The last position up to each at which something happened (T, B), 0 where nothing has."""
    positions = torch.arange(len(events), device=events.device)[:, None]
    return torch.where(events, positions, 0).cummax(0).values


def _joined(runs: Tensor, words: Tensor) -> Tensor:
    """One number for each two."""
    mixed = (runs ^ shifted(runs, 32)) * MULTIPLIER + words
    mixed = (mixed ^ shifted(mixed, 29)) * MULTIPLIER
    return mixed ^ shifted(mixed, 32)
