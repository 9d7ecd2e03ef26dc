"""What an n-gram model says of the very text that it counted, as if it had not read the part where it is asked.

An n-gram model knows its own text by heart, so a network that learns beside it (see `rushlight.nn.guided`) would trust
it too far. So the text is cut into parts, and about each part those counts are asked that left it out. To leave out
the one occurrence alone is not enough: what was said some lines before is said again, and the counts would know it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from rushlight.nn.ngram import NGramLanguageModel

MOST_KEPT = 1 << 27  # logarithms that are kept once they are computed, of 2 bytes each


class HeldOutNGrams:
    """n-gram models of a text, each of all parts but one.

    Args:
        text: (N,) token numbers; may be memory-mapped.
        count: makes an n-gram model of a text; all of one kind and order.
        folds: parts, at least 2; the more, the nearer each model is to that of the whole text, and the longer they
            take.
        device: where they answer.
    """

    def __init__(
        self,
        text: np.ndarray,
        count: Callable[[np.ndarray], NGramLanguageModel],
        folds: int = 8,
        device: str | torch.device = "cpu",
    ) -> None:
        self.device = torch.device(device)
        ends = np.linspace(0, len(text), min(folds, len(text)) + 1).round().astype(int).tolist()
        self._models = [
            count(np.concatenate([text[:start], text[end:]])).to(self.device) for start, end in pairwise(ends)
        ]
        self._ends = torch.tensor(ends[1:], device=self.device)
        self.tokens = self._models[0].tokens
        numbers = torch.from_numpy(np.asarray(text, np.int64)).to(self.device)
        self._contexts = self._models[0].contexts(numbers[:, None])[0][:, :, 0]  # where one stands, all models agree on
        keeps = len(text) * self.tokens <= MOST_KEPT
        self._kept = torch.zeros(len(text), self.tokens, dtype=torch.float16, device=self.device) if keeps else None
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
        for number in part.unique().tolist():
            mine = part == number
            result[mine] = self._models[number].after(self._contexts[:, asked[mine]]).half()
        return result
