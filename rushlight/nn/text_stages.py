"""From a fully connected net to a recurrent one that keeps its state, in six small steps: for reading.

They repeat the models of a 2018 lecture. Each reads characters as numbers, (T, B): T positions of B windows. Compare
one with the next: what changes is a few lines.

    stage                 the new idea
    ThreeCharacters       a fully connected net that meets its second and third input on the way
    CharacterLoop         the same as a loop, for any number of characters
    ConcatenatingLoop     hidden state and input side by side instead of added up
    LibraryRNN            the loop is PyTorch's
    ManyOutputs           an answer after every character, not only after the last
    Stateful              what it remembers goes on from window to window
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rushlight.nn.recurrent import identity_start

EMBEDDING_SIZE, HIDDEN_SIZE = 42, 256  # the lecture's


class ThreeCharacters(nn.Module):
    """Three characters in, the logits of the fourth out: one matrix for what comes in, one between hidden layers.

    The same two matrices serve for all three characters. That is all there is to a recurrent network.

    Args:
        tokens: V.
        embedding_size: E.
        hidden_size: H.
    """

    def __init__(self, tokens: int, embedding_size: int = EMBEDDING_SIZE, hidden_size: int = HIDDEN_SIZE) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, embedding_size)
        self.input = nn.Linear(embedding_size, hidden_size)
        self.hidden = nn.Linear(hidden_size, hidden_size)
        self.output = nn.Linear(hidden_size, tokens)

    def forward(self, tokens: Tensor) -> Tensor:
        """(3, B) to logits (B, V)."""
        first, second, third = (torch.relu(self.input(self.embedding(character))) for character in tokens)
        hidden = torch.tanh(self.hidden(first))
        hidden = torch.tanh(self.hidden(hidden + second))
        hidden = torch.tanh(self.hidden(hidden + third))
        return self.output(hidden)


class CharacterLoop(ThreeCharacters):
    """The same written as a loop, so that any number of characters will do; arguments as for `ThreeCharacters`."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(T, B) to logits (B, V)."""
        hidden = self.hidden.weight.new_zeros(tokens.shape[1], self.hidden.in_features)
        for character in tokens:
            hidden = torch.tanh(self.hidden(hidden + torch.relu(self.input(self.embedding(character)))))
        return self.output(hidden)


class ConcatenatingLoop(nn.Module):
    """Hidden state and input are of different kinds, so they are set side by side rather than added up.

    Arguments as for `ThreeCharacters`.
    """

    def __init__(self, tokens: int, embedding_size: int = EMBEDDING_SIZE, hidden_size: int = HIDDEN_SIZE) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, embedding_size)
        self.input = nn.Linear(embedding_size + hidden_size, hidden_size)
        self.hidden = nn.Linear(hidden_size, hidden_size)
        self.output = nn.Linear(hidden_size, tokens)

    def forward(self, tokens: Tensor) -> Tensor:
        """(T, B) to logits (B, V)."""
        hidden = self.hidden.weight.new_zeros(tokens.shape[1], self.hidden.in_features)
        for character in tokens:
            both = torch.cat([hidden, self.embedding(character)], dim=1)
            hidden = torch.tanh(self.hidden(torch.relu(self.input(both))))
        return self.output(hidden)


class LibraryRNN(nn.Module):
    """The loop is PyTorch's `nn.RNN`; arguments as for `ThreeCharacters`.

    Args:
        tokens: V.
        embedding_size: E.
        hidden_size: H.
        identity: let the hidden-to-hidden matrix start as the identity; see `identity_start`.
    """

    def __init__(
        self,
        tokens: int,
        embedding_size: int = EMBEDDING_SIZE,
        hidden_size: int = HIDDEN_SIZE,
        *,
        identity: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, embedding_size)
        self.rnn = nn.RNN(embedding_size, hidden_size)
        self.output = nn.Linear(hidden_size, tokens)
        if identity:
            identity_start(dict(self.rnn.named_parameters())["weight_hh_l0"])

    def forward(self, tokens: Tensor) -> Tensor:
        """(T, B) to logits (B, V)."""
        shown, _ = self.rnn(self.embedding(tokens))
        return self.output(shown[-1])


class ManyOutputs(LibraryRNN):
    """An answer after every character: T lessons from a window instead of one; arguments as for `LibraryRNN`."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(T, B) to logits (T, B, V)."""
        shown, _ = self.rnn(self.embedding(tokens))
        return self.output(shown)


class Stateful(nn.Module):
    """What it remembers of a window is where it begins the next: the state comes in and goes out.

    Args:
        tokens: V.
        cell: `rnn`, `gru` or `lstm`.
        embedding_size: E.
        hidden_size: H.
        layers: how many.
        dropout: between the layers, as PyTorch does it.
    """

    def __init__(
        self,
        tokens: int,
        cell: str = "rnn",
        embedding_size: int = EMBEDDING_SIZE,
        hidden_size: int = HIDDEN_SIZE,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, embedding_size)
        kind = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell]
        self.recurrent = kind(embedding_size, hidden_size, layers, dropout=dropout)
        self.output = nn.Linear(hidden_size, tokens)

    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """(T, B) and the state to logits (T, B, V) and the new state."""
        shown, state = self.forward_features(tokens, state)
        return self.forward_head(shown), state

    def forward_features(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The body: (T, B) to (T, B, H)."""
        shown, state = self.recurrent(self.embedding(tokens), state)
        return shown, state

    def forward_head(self, features: Tensor) -> Tensor:
        """The head: (T, B, H) to logits (T, B, V)."""
        return self.output(features)
