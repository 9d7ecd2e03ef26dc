"""Language models: tokens in, for each position the logits of the token that follows.

Every model here has the same interface, `forward(tokens, state) -> (logits, state)`: what it remembers of the text
before is an argument and a result, never hidden in the module, so that whoever calls it decides what is kept, detached
or forgotten.

Letters in shapes: T positions, B streams side by side, V tokens in the vocabulary, E size of an embedding, H of a
state.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from rushlight.nn.quasi_recurrent import QuasiRecurrent
from rushlight.nn.recurrent import State, identity_start
from rushlight.nn.regularisers import LockedDropout, embedding_dropout, weight_drop

# For each cell the module, what computes a window, and what computes one step.
_FUSED: dict[str, tuple[Callable[[int, int], nn.RNNBase], Callable[..., Any], Callable[..., Any]]] = {
    "rnn": (nn.RNN, torch.rnn_tanh, torch.rnn_tanh_cell),
    "gru": (nn.GRU, torch.gru, torch.gru_cell),
    "lstm": (nn.LSTM, torch.lstm, torch.lstm_cell),
}
RECURRENT_CELLS = (*_FUSED, "qrnn")


class FusedRecurrent(nn.Module):
    """One recurrent layer of PyTorch's, computed by its fused kernel, with dropout on the hidden-to-hidden weights.

    Args:
        cell: `rnn` (with tanh), `gru` or `lstm`.
        input_size: E.
        hidden_size: H.
        weight_dropout: probability that a hidden-to-hidden weight is dropped for a window.
    """

    layer: Any  # a module of PyTorch's, whose weights have names that no type knows

    def __init__(self, cell: str, input_size: int, hidden_size: int, weight_dropout: float = 0.0) -> None:
        super().__init__()
        layer, self._function, self._step = _FUSED[cell]
        self.hidden_size = hidden_size
        self.has_memory = cell == "lstm"
        self.weight_dropout = weight_dropout
        self.layer = layer(input_size, hidden_size)

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Inputs (T, B, E) and state to outputs (T, B, H) and the last state; each part of a state is (B, H)."""
        layer = self.layer
        weight_hh = weight_drop(layer.weight_hh_l0, self.weight_dropout, self.training)
        flat = [layer.weight_ih_l0, weight_hh, layer.bias_ih_l0, layer.bias_hh_l0]
        if len(inputs) == 1 and not torch.is_grad_enabled():
            # Who writes asks for one position at a time, for which the fused kernel on a CPU sorts its weights anew.
            stepped = self._step(inputs[0], state, *flat)
            return (stepped[0] if self.has_memory else stepped)[None], stepped
        before = tuple(part[None] for part in state) if isinstance(state, tuple) else state[None]
        outputs, *after = self._function(inputs, before, flat, True, 1, 0.0, self.training, False, False)
        return outputs, (after[0][0], after[1][0]) if self.has_memory else after[0][0]

    def initial_state(self, batch_size: int) -> State:
        """Zeros, on the device of the weights."""
        zeros: Tensor = self.layer.weight_hh_l0.new_zeros(batch_size, self.hidden_size)
        return (zeros, zeros) if self.has_memory else zeros


class RecurrentLanguageModel(nn.Module):
    """An embedding, recurrent layers, and a matrix back to the vocabulary.

    Args:
        tokens: V.
        cell: `rnn`, `gru`, `lstm` or `qrnn` (quasi-recurrent).
        embedding_size: E; with tied weights also the size of the last layer.
        hidden_size: H of every recurrent layer (of the last one only without tied weights).
        layers: how many.
        tie_weights: use the embedding as the output matrix too (Press & Wolf 2017; Inan et al. 2017): fewer parameters,
            and what is learned of a token by reading it serves for writing it.
        dropout: locked dropout of what each layer shows.
        input_dropout: locked dropout of the embedded tokens.
        embedding_dropout: probability that a token is dropped wherever it occurs in a window.
        weight_dropout: of the hidden-to-hidden weights (a quasi-recurrent layer has none).
        identity: start each hidden-to-hidden matrix as the identity; see `identity_start`.

    Raises:
        ValueError: an argument is out of range.
    """

    recurrent: Any  # a list of FusedRecurrent or QuasiRecurrent

    def __init__(
        self,
        tokens: int,
        cell: str = "lstm",
        embedding_size: int = 128,
        hidden_size: int = 512,
        layers: int = 2,
        *,
        tie_weights: bool = False,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        embedding_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        identity: bool = False,
    ) -> None:
        super().__init__()
        if cell not in RECURRENT_CELLS:
            raise ValueError(f"cell is '{cell}', but can be only {', '.join(RECURRENT_CELLS)}")
        for name, value in {"tokens": tokens, "embedding_size": embedding_size, "layers": layers}.items():
            if value < 1:
                raise ValueError(f"{name} is {value}, but must be at least 1")
        for name, share in {"embedding_dropout": embedding_dropout, "weight_dropout": weight_dropout}.items():
            if not 0 <= share < 1:
                raise ValueError(f"{name} is a probability from 0 to below 1, not {share}")
        self.embedding_dropout = embedding_dropout
        self.embedding = nn.Embedding(tokens, embedding_size)
        self.input_dropout = LockedDropout(input_dropout)
        sizes = [embedding_size, *[hidden_size] * (layers - 1), embedding_size if tie_weights else hidden_size]
        self.recurrent = nn.ModuleList(
            QuasiRecurrent(before, after) if cell == "qrnn" else FusedRecurrent(cell, before, after, weight_dropout)
            for before, after in pairwise(sizes)
        )
        self.dropout = LockedDropout(dropout)
        self.head = nn.Linear(sizes[-1], tokens)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)  # the usual start of a language model (Zaremba et al. 2014)
        nn.init.zeros_(self.head.bias)
        if tie_weights:
            self.head.weight = self.embedding.weight
        if cell == "qrnn" and (identity or weight_dropout):
            raise ValueError("identity and weight_dropout are for hidden-to-hidden weights, which a qrnn does not have")
        if identity:
            for layer in self.recurrent:
                identity_start(layer.layer.weight_hh_l0)

    def forward(self, tokens: Tensor, state: list[State] | None = None) -> tuple[Tensor, list[State]]:
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
        self, tokens: Tensor, state: list[State] | None = None, more: Tensor | None = None
    ) -> tuple[Tensor, list[State]]:
        """The body: tokens (T, B) to what the last layer shows (T, B, H), without its dropout.

        Args:
            tokens: (T, B) int64.
            state: as for `forward`.
            more: something to add to the embedded tokens (T, B, E).
        """
        if state is None:
            state = self.initial_state(tokens.shape[1])
        x = embedding_dropout(tokens, self.embedding.weight, self.embedding_dropout, self.training)
        x = self.input_dropout(x if more is None else x + more)
        after = []
        for number, (layer, before) in enumerate(zip(self.recurrent, state, strict=True)):
            x, last = layer(self.dropout(x) if number else x, before)
            after.append(last)
        return x, after

    def forward_head(self, features: Tensor) -> Tensor:
        """The head: features (T, B, H) to logits (T, B, V)."""
        return self.head(self.dropout(features))

    def initial_state(self, batch_size: int) -> list[State]:
        """The state before the first token: zeros."""
        return [layer.initial_state(batch_size) for layer in self.recurrent]

    def layer_groups(self) -> dict[str, nn.Module]:
        """From input to output; a tied matrix stands with the embedding."""
        layers = {f"recurrent{number}": layer for number, layer in enumerate(self.recurrent, start=1)}
        return {"embedding": self.embedding, **layers, "head": self.head}


def map_state(function: Callable[[Tensor], Tensor], state: Any) -> Any:
    """A state of the same form with every tensor replaced; the first dimension of each is the stream.

    `map_state(Tensor.detach, state)` forgets the history, so that gradients end there;
    `map_state(lambda part: part[streams], state)` goes on with some of the streams.
    """
    if isinstance(state, Tensor):
        return function(state)
    return type(state)(map_state(function, part) for part in state)
