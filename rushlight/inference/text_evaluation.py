"""How well a language model expects a text: nats and bits a token, with an interval that knows texts are uneven."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from rushlight.data.tokenizers import Tokenizer
from rushlight.runtime.measured import Measured, mean_of_runs

BLOCK = 500  # tokens: neighbours are alike, so what counts as one observation is a stretch of the text


@dataclass(frozen=True)
class TextEvaluation:
    """What `Writer.evaluate` found.

    Attributes:
        split: which part of the text was looked at: `valid` or `test`.
        unit: what a token is: `character`, `word` or `unit`.
        loss: mean cross-entropy in nats a token.
        characters: how many characters the tokens stand for.
        words: how many words of white space between them.
        losses: cross-entropy of each token in nats, in the order of the text (as far as streams allow).
    """

    split: str
    unit: str
    loss: Measured
    characters: int
    words: int
    losses: np.ndarray = field(repr=False)

    @property
    def bits_per_token(self) -> Measured:
        """The same in bits."""
        return scaled(self.loss, 1 / math.log(2))

    @property
    def bits_per_character(self) -> Measured:
        """Comparable between tokenizers, and with a compressor."""
        return scaled(self.bits_per_token, len(self.losses) / max(1, self.characters))

    @property
    def perplexity_per_word(self) -> Measured:
        """Among how many equally likely words the model is in doubt, on average."""
        return exponential(scaled(self.loss, len(self.losses) / max(1, self.words)))

    def to_json(self) -> dict[str, Any]:
        """The object in `run.json` and from `evaluate --json`."""
        return {
            "split": self.split,
            "unit": self.unit,
            "n": self.loss.n,
            "loss": self.loss.to_json(),
            "bits_per_token": self.bits_per_token.to_json(),
            "bits_per_character": self.bits_per_character.to_json(),
            "perplexity_per_word": self.perplexity_per_word.to_json(),
        }

    def table(self) -> str:
        """The evaluation as text for a terminal."""
        return "\n".join(
            [
                f"{self.split}: {self.loss.n:,} {self.unit}s",
                f"nats a {self.unit:<15} {self.loss}",
                f"bits a character       {self.bits_per_character}",
                f"perplexity a word      {self.perplexity_per_word}",
            ]
        )


def evaluation_of(losses: Tensor, tokens: np.ndarray | Tensor, tokenizer: Tokenizer, split: str) -> TextEvaluation:
    """What the losses of a text's tokens say.

    Args:
        losses: (N,) nats.
        tokens: (N,) what was to be predicted.
        tokenizer: between text and numbers.
        split: which part this is.
    """
    text = tokenizer.decode(np.asarray(tokens))
    values = losses.double().cpu().numpy()
    return TextEvaluation(split, tokenizer.unit, mean_of_blocks(values), len(text), max(1, len(text.split())), values)


def mean_of_blocks(losses: np.ndarray, block: int = BLOCK) -> Measured:
    """The mean of losses along a text, with Student's t interval over the means of its stretches.

    Tokens beside each other are alike, so an interval that took each for an observation of its own would be too narrow.

    Args:
        losses: (N,) in the order of the text.
        block: tokens in a stretch; the last, shorter one is joined to the one before.
    """
    count = len(losses)
    if count < 2 * block:
        return Measured(float(losses.mean()) if count else math.nan, None, count, None)
    means = [float(part.mean()) for part in np.array_split(losses, count // block)]
    half_width = (lambda ends: (ends[1] - ends[0]) / 2)(mean_of_runs(means).interval or (0.0, 0.0))
    mean = float(losses.mean())
    return Measured(mean, (mean - half_width, mean + half_width), count, "blocks")


def scaled(quantity: Measured, factor: float) -> Measured:
    """A quantity in another unit."""
    ends = quantity.interval
    interval = None if ends is None else (ends[0] * factor, ends[1] * factor)
    return Measured(quantity.value * factor, interval, quantity.n, quantity.method)


def exponential(quantity: Measured) -> Measured:
    """The exponential of a quantity; infinite where it is beyond any number."""
    ends = quantity.interval
    interval = None if ends is None else (_exp(ends[0]), _exp(ends[1]))
    return Measured(_exp(quantity.value), interval, quantity.n, quantity.method)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
