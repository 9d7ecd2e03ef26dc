"""Recurrent steps written out, their cells, and a layer that loops over one.

The mathematics is in three pure functions. The names of the weights, their order in the rows of a matrix and the start
of a new cell are PyTorch's, so weights can be handed over, and `tests/nn/test_recurrent.py` holds the two together:
outputs, states and gradients. The fused layers of PyTorch do the same faster; `rushlight.nn.language_model` uses them.

Letters in shapes: T positions, B streams side by side, E size of an input, H size of a state.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

State = Tensor | tuple[Tensor, Tensor]
"""What a cell remembers: h (B, H), and for an LSTM also c (B, H)."""

NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu}


def rnn_step(
    x: Tensor,
    h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor,
    bias_hh: Tensor,
    nonlinearity: str = "tanh",
) -> Tensor:
    """One step of a plain recurrent network: `h' = f(W_ih x + b_ih + W_hh h + b_hh)` (Elman 1990).

    Args:
        x: input (B, E).
        h: state (B, H).
        weight_ih: from input to state (H, E).
        weight_hh: from state to state (H, H).
        bias_ih: added with the first (H,).
        bias_hh: added with the second (H,).
        nonlinearity: f, `tanh` or `relu`.

    Returns:
        The new state (B, H).
    """
    return NONLINEARITIES[nonlinearity](linear(x, weight_ih, bias_ih) + linear(h, weight_hh, bias_hh))


def gru_step(x: Tensor, h: Tensor, weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor) -> Tensor:
    """One step of a gated recurrent unit (Cho et al. 2014).

    The reset gate `r` says how much of the state the candidate `n` may see, the update gate `z` how much of the state
    stays: `h' = (1 - z) n + z h`. As in PyTorch, and unlike in the paper, `r` multiplies what `W_hh` made of the state,
    which lets one matrix product serve all three.

    Args:
        x: input (B, E).
        h: state (B, H).
        weight_ih: (3H, E), rows for r, z and n.
        weight_hh: (3H, H), likewise.
        bias_ih: (3H,).
        bias_hh: (3H,).

    Returns:
        The new state (B, H).
    """
    from_input_r, from_input_z, from_input_n = linear(x, weight_ih, bias_ih).chunk(3, dim=1)
    from_state_r, from_state_z, from_state_n = linear(h, weight_hh, bias_hh).chunk(3, dim=1)
    reset = torch.sigmoid(from_input_r + from_state_r)
    update = torch.sigmoid(from_input_z + from_state_z)
    candidate = torch.tanh(from_input_n + reset * from_state_n)
    return candidate + update * (h - candidate)


def lstm_step(
    x: Tensor,
    state: tuple[Tensor, Tensor],
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor,
    bias_hh: Tensor,
) -> tuple[Tensor, Tensor]:
    """One step of a long short-term memory (Hochreiter & Schmidhuber 1997; with the forget gate of Gers et al. 2000).

    The memory `c` changes by addition alone, `c' = f c + i g`, so that what is remembered, and the gradient on its way
    back, need not pass through a matrix at every step; what is shown of it is `h' = o tanh(c')`.

    Args:
        x: input (B, E).
        state: h and c, each (B, H).
        weight_ih: (4H, E), rows for the gates i (write), f (keep), the candidate g, and o (show).
        weight_hh: (4H, H), likewise.
        bias_ih: (4H,).
        bias_hh: (4H,).

    Returns:
        The new h and c.
    """
    h, c = state
    write, keep, candidate, show = (linear(x, weight_ih, bias_ih) + linear(h, weight_hh, bias_hh)).chunk(4, dim=1)
    c = torch.sigmoid(keep) * c + torch.sigmoid(write) * torch.tanh(candidate)
    return torch.sigmoid(show) * torch.tanh(c), c


class Cell(nn.Module):
    """What the three cells share: four parameters named as in PyTorch, drawn as PyTorch draws them.

    Args:
        input_size: E.
        hidden_size: H.
    """

    gates = 1  # blocks of H rows in each matrix

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        rows = self.gates * hidden_size
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        self.bias_hh = nn.Parameter(torch.empty(rows))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -1 / sqrt(hidden_size), 1 / sqrt(hidden_size))

    def initial_state(self, batch_size: int) -> State:
        """A state of zeros, on the device of the weights."""
        return self.weight_hh.new_zeros(batch_size, self.hidden_size)

    def output(self, state: State) -> Tensor:
        """The part of a state that is shown: h (B, H)."""
        return state if isinstance(state, Tensor) else state[0]


class RNNCell(Cell):
    """`rnn_step` with its weights.

    Args:
        input_size: E.
        hidden_size: H.
        nonlinearity: `tanh` or `relu`.
    """

    def __init__(self, input_size: int, hidden_size: int, nonlinearity: str = "tanh") -> None:
        super().__init__(input_size, hidden_size)
        if nonlinearity not in NONLINEARITIES:
            raise ValueError(f"nonlinearity is '{nonlinearity}', but can be only {', '.join(NONLINEARITIES)}")
        self.nonlinearity = nonlinearity

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        """Input (B, E) and state (B, H) to the new state."""
        return rnn_step(x, state, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, self.nonlinearity)


class GRUCell(Cell):
    """`gru_step` with its weights; arguments as for `Cell`."""

    gates = 3

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        """Input (B, E) and state (B, H) to the new state."""
        return gru_step(x, state, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)


class LSTMCell(Cell):
    """`lstm_step` with its weights; arguments as for `Cell`."""

    gates = 4

    def initial_state(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """h and c of zeros."""
        zeros = self.weight_hh.new_zeros(batch_size, self.hidden_size)
        return zeros, zeros

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Input (B, E) and state (h, c), each (B, H), to the new state."""
        return lstm_step(x, state, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)


CELLS: dict[str, type[Cell]] = {"rnn": RNNCell, "gru": GRUCell, "lstm": LSTMCell}


class RecurrentLoop(nn.Module):
    """A cell used once for every position, from left to right: what a recurrent layer is.

    Args:
        cell: an instance of an entry of `CELLS`, or any module with `forward(x, state)`, `initial_state` and `output`.
    """

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run over a window.

        Args:
            inputs: (T, B, E).
            state: from the window before; zeros if None.

        Returns:
            What the cell showed at each position (T, B, H), and its last state.
        """
        if state is None:
            state = self.cell.initial_state(inputs.shape[1])
        shown = []
        for x in inputs:
            state = self.cell(x, state)
            shown.append(self.cell.output(state))
        return torch.stack(shown), state


def identity_start(weight_hh: Tensor) -> None:
    """Let the hidden-to-hidden matrix of a plain recurrent network start as the identity (Le, Jaitly & Hinton 2015).

    Then a state without input stays as it is, and gradients neither grow nor vanish on their way back. Of a gated cell
    the candidate alone is changed: its gates decide what stays.

    Args:
        weight_hh: (H, H), or (3H, H) of a GRU or (4H, H) of an LSTM; changed in place.
    """
    rows, hidden_size = weight_hh.shape
    block = {1: 0, 3: 2, 4: 2}[rows // hidden_size]  # where the candidate's rows are
    with torch.no_grad():
        weight_hh[block * hidden_size : (block + 1) * hidden_size] = torch.eye(hidden_size)
