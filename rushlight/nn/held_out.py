"""What an n-gram model says of the very text that it counted, as if it had not read the part where it is asked.

An n-gram model knows its own text by heart, so a network that learns beside it (see `rushlight.nn.guided`) would trust
it too far. So the text is cut into parts, and about each part those counts are asked that left it out. To leave out
the one occurrence alone is not enough: what was said some lines before is said again, and the counts would know it.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from rushlight.nn.ngram import NOTHING, NGramLanguageModel

MOST_KEPT = 1 << 27  # logarithms that are kept once they are computed, of 2 bytes each


class HeldOutNGrams:
    """n-gram models of a text, each of all parts but one.

    Args:
        text: (N,) token numbers; may be memory-mapped.
        tokens: V.
        order: the longest context, in tokens.
        folds: parts, at least 2; the more, the nearer each model is to that of the whole text, and the longer they
            take.
        device: where they answer.
    """

    def __init__(
        self, text: np.ndarray, tokens: int, order: int, folds: int = 8, device: str | torch.device = "cpu"
    ) -> None:
        self.tokens, self.order = tokens, order
        self.device = torch.device(device)
        ends = np.linspace(0, len(text), min(folds, len(text)) + 1).round().astype(int).tolist()
        self._models = [
            NGramLanguageModel.learned(np.concatenate([text[:start], text[end:]]), tokens, order).to(self.device)
            for start, end in pairwise(ends)
        ]
        self._ends = torch.tensor(ends[1:], device=self.device)
        before = np.full(order, NOTHING, np.int64)
        self._text = torch.from_numpy(np.concatenate([before, np.asarray(text, np.int64)])).to(self.device)
        keeps = len(text) * tokens <= MOST_KEPT
        self._kept = torch.zeros(len(text), tokens, dtype=torch.float16, device=self.device) if keeps else None
        self._is_kept = torch.zeros(len(text), dtype=torch.bool, device=self.device)

    def __call__(self, places: Tensor) -> Tensor:
        """Logarithms of the probabilities of what follows some tokens of the text.

        Args:
            places: numbers of these tokens in the text, of any shape.

        Returns:
            That shape with V added, rounded to float16 on the way, whether they were kept or not.
        """
        asked = places.flatten().to(self.device)
        if self._kept is None:
            found = self._computed(asked)
        else:
            missing = asked[~self._is_kept[asked]]
            if len(missing):
                self._kept[missing] = self._computed(missing)
                self._is_kept[missing] = True
            found = self._kept[asked]
        return found.float().view(*places.shape, self.tokens)

    def _computed(self, asked: Tensor) -> Tensor:
        result = torch.empty(len(asked), self.tokens, dtype=torch.float16, device=self.device)
        part = torch.searchsorted(self._ends, asked, right=True)
        history = self._text[asked + torch.arange(self.order + 1, device=self.device)[:, None]]
        for number in part.unique().tolist():
            mine = part == number
            result[mine] = self._models[number].after(history[:, mine])[0].half()
        return result
