"""A recurrent language model that is told what an n-gram model expects, and corrects it.

Counting knows from the first minute what a network needs many passes to learn: which letters make up the words of this
text. So the network is shown the probabilities that the counts give, and its logits are added to their logarithms
(Neubig & Dyer, "Generalizing and hybridizing count-based and neural language models", 2016; Li et al., "N-gram is
back: residual learning of neural text generation with n-gram language model", 2022). It begins as the n-gram model and
learns what that lacks.

Letters in shapes: T positions, B streams side by side, V tokens in the vocabulary, E size of an embedding, H of what
the network shows.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rushlight.nn.language_model import RecurrentLanguageModel
from rushlight.nn.ngram import NGramLanguageModel


class Guide(nn.Module):
    """How the expectations of an n-gram model enter a network.

    Args:
        tokens: V.
        embedding_size: E.
    """

    def __init__(self, tokens: int, embedding_size: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.hint = nn.Linear(tokens, embedding_size, bias=False)
        self.trust = nn.Parameter(torch.ones(()))

    def forward(self, logarithms: Tensor) -> Tensor:
        """Logarithms of probabilities (T, B, V) to what is added to the embedded tokens (T, B, E)."""
        return self.hint(logarithms.exp() - 1 / self.tokens)


class GuidedLanguageModel(nn.Module):
    """A recurrent network beside an n-gram model of the same text.

    While it trains it must not be told what the n-gram model says of text that was counted, but what it would say had
    it not read that part; see `rushlight.nn.held_out`.

    Args:
        body: the network.
        ngram: over the same tokens, of characters alone or of words too; it does not train.

    Raises:
        ValueError: the network is no recurrent one, or the other no n-gram model.
    """

    def __init__(self, body: nn.Module, ngram: nn.Module) -> None:
        super().__init__()
        if not isinstance(body, RecurrentLanguageModel):
            raise ValueError("only a recurrent network can be guided by an n-gram model")
        if not isinstance(ngram, NGramLanguageModel):
            raise ValueError("only an n-gram model can guide a network")
        self.body, self.ngram = body, ngram
        self.guide = Guide(ngram.tokens, body.embedding.embedding_dim)
        if body.head.weight is not body.embedding.weight:
            nn.init.zeros_(body.head.weight)  # at first it answers as the n-gram model does

    def forward(self, tokens: Tensor, state: tuple[Any, Any] | None = None) -> tuple[Tensor, tuple[Any, Any]]:
        """Read a window.

        Args:
            tokens: (T, B) int64.
            state: what the window before left; None at the start of a text.

        Returns:
            Logits of the next token at every position (T, B, V), and the state after the last.
        """
        features, state = self.forward_features(tokens, state)
        return self.forward_head(features), state

    def forward_features(
        self, tokens: Tensor, state: tuple[Any, Any] | None = None, expected: Tensor | None = None
    ) -> tuple[Tensor, tuple[Any, Any]]:
        """What the network shows beside the logarithms of the n-gram model (T, B, H + V), and the state.

        Args:
            tokens: (T, B) int64.
            state: as for `forward`.
            expected: logarithms of the probabilities of what follows (T, B, V), to be used instead of the n-gram
                model's.
        """
        before, own = state or (None, None)
        if expected is None:
            expected, before = self.ngram(tokens, before)
        else:
            before = self.ngram.remembered(tokens, before)
        shown, own = self.body.forward_features(tokens, own, self.guide(expected))
        return torch.cat([shown.float(), expected], dim=-1), (before, own)

    def forward_head(self, features: Tensor) -> Tensor:
        """From both (T, B, H + V) to logits (T, B, V)."""
        shown, expected = self.parted(features)
        return self.body.forward_head(shown) + self.guide.trust * expected

    def parted(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What the network shows (T, B, H), and the logarithms of the n-gram model (T, B, V)."""
        shown, expected = features.split([features.shape[-1] - self.ngram.tokens, self.ngram.tokens], dim=-1)
        return shown, expected

    def layer_groups(self) -> dict[str, nn.Module]:
        """From input to output."""
        return {"guide": self.guide, **self.body.layer_groups()}
