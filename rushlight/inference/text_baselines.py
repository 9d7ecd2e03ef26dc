"""What a loss on a text means: the figures that two old hands reach on the same parts.

An n-gram model counts which token followed which few; a compressor finds repetitions. A neural model that expects the
text no better than these has learned little.
"""

from __future__ import annotations

import bz2
import lzma
import math

import numpy as np
import torch

from rushlight.data.tokenizers import Tokenizer
from rushlight.inference.text_counts import count_text
from rushlight.inference.text_evaluation import mean_of_blocks
from rushlight.runtime.measured import Measured


def ngram_loss(train: np.ndarray, valid: np.ndarray, tokenizer: Tokenizer) -> Measured:
    """The mean loss in nats a token of `count_text`, which learns nothing from what it is measured on.

    Args:
        train: (N,) the text to count.
        valid: (M,) the text to measure on, from its second token on.
        tokenizer: what the tokens are.
    """
    model = count_text(train, tokenizer)
    tokens = torch.from_numpy(np.asarray(valid).astype(np.int64))
    return mean_of_blocks(model.losses(tokens).double().numpy())


def compressed_bits_per_character(train: str, valid: str) -> tuple[str, float]:
    """Bits a character that a general compressor adds for the validation text when it has read the training text.

    It learns while it reads, which a model that stays as it is may not.

    Returns:
        The name of the better of two compressors, and its figure; NaN for an empty text.
    """
    if not valid:
        return "bz2", math.nan
    before, whole = train.encode(), (train + valid).encode()
    added = {
        "bz2": len(bz2.compress(whole)) - len(bz2.compress(before)),
        "xz": len(_xz(whole)) - len(_xz(before)),
    }
    best = min(added, key=lambda name: added[name])
    return best, 8 * added[best] / len(valid)


def _xz(data: bytes) -> bytes:
    return lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)
