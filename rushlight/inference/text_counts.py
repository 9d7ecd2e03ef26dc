"""The n-gram model that suits a text: it guides a network, joins a mixture, and is measured beside both."""

import numpy as np

from rushlight.data.tokenizers import Tokenizer
from rushlight.nn.ngram import NGramLanguageModel, order_for
from rushlight.nn.word_ngram import WordNGramLanguageModel, is_letter


def reach_of(unit: str) -> str:
    """How far back it looks, in words.

    Args:
        unit: what a token is: `character`, `word` or `unit`.
    """
    words = " and 2 words" if unit == "character" else ""
    return f"{order_for(unit)} {unit}s{words} back"


def count_text(text: np.ndarray, tokenizer: Tokenizer) -> NGramLanguageModel:
    """Count a text, with its words where a token is a character.

    Args:
        text: (N,) token numbers.
        tokenizer: what they are.
    """
    order = order_for(tokenizer.unit)
    if tokenizer.unit != "character":
        return NGramLanguageModel.learned(text, tokenizer.size, order)
    letters = [is_letter(tokenizer.decode([number])) for number in range(tokenizer.size)]
    return WordNGramLanguageModel.learned_with(letters, text, tokenizer.size, order)
