"""The steps written out against PyTorch's fused layers: outputs, states, gradients, and over training steps."""

import pytest
import torch
from torch import Tensor, nn

from rushlight.nn.recurrent import CELLS, GRUCell, LSTMCell, RecurrentLoop, RNNCell, identity_start

T, B, E, H = 7, 3, 5, 6
FUSED = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def loop_and_fused(name: str, nonlinearity: str = "tanh") -> tuple[RecurrentLoop, nn.RNNBase]:
    """Our loop and PyTorch's layer with the same weights."""
    torch.manual_seed(0)
    options = {"nonlinearity": nonlinearity} if name == "rnn" else {}
    fused = FUSED[name](E, H, **options)
    loop = RecurrentLoop(CELLS[name](E, H, **options))
    for part in PARTS:
        getattr(loop.cell, part).data.copy_(getattr(fused, f"{part}_l0").data)
    return loop, fused


def tensors_of(state: Tensor | tuple[Tensor, Tensor]) -> list[Tensor]:
    return [state] if isinstance(state, Tensor) else list(state)


CASES = [("rnn", "tanh"), ("rnn", "relu"), ("gru", "tanh"), ("lstm", "tanh")]


@pytest.mark.parametrize(("name", "nonlinearity"), CASES)
def test_outputs_states_and_gradients_are_those_of_the_fused_layer(name, nonlinearity):
    loop, fused = loop_and_fused(name, nonlinearity)
    inputs = torch.randn(T, B, E, requires_grad=True)
    start = tuple(torch.randn(B, H, requires_grad=True) for _ in tensors_of(loop.cell.initial_state(B)))
    ours, our_state = loop(inputs, start if len(start) > 1 else start[0])
    theirs, their_state = fused(inputs, tuple(s[None] for s in start) if len(start) > 1 else start[0][None])
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(tensors_of(our_state), [part[0] for part in tensors_of(their_state)])

    weighting = torch.randn(T, B, H)
    of_inputs = [inputs, *start]
    our_gradients = torch.autograd.grad(
        (ours * weighting).sum(), [*of_inputs, *(getattr(loop.cell, part) for part in PARTS)]
    )
    their_gradients = torch.autograd.grad(
        (theirs * weighting).sum(), [*of_inputs, *(getattr(fused, f"{part}_l0") for part in PARTS)]
    )
    torch.testing.assert_close(our_gradients, their_gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CELLS)
def test_a_window_in_two_halves_gives_what_the_whole_gives(name):
    loop, _ = loop_and_fused(name)
    inputs = torch.randn(T, B, E)
    whole, last = loop(inputs)
    first, state = loop(inputs[:3])
    second, last_of_halves = loop(inputs[3:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(tensors_of(last_of_halves), tensors_of(last))


@pytest.mark.parametrize("name", CELLS)
def test_fifty_training_steps_stay_within_one_hundred_thousandth_of_the_fused_layers(name):
    loop, fused = loop_and_fused(name)
    generator = torch.Generator().manual_seed(1)
    optimizers = [torch.optim.SGD(module.parameters(), lr=0.1) for module in (loop, fused)]
    for _ in range(50):
        inputs, wanted = (torch.randn(T, B, size, generator=generator) for size in (E, H))
        for module, optimizer in zip((loop, fused), optimizers, strict=True):
            optimizer.zero_grad()
            (module(inputs)[0] - wanted).square().mean().backward()
            optimizer.step()
    for part in PARTS:
        torch.testing.assert_close(getattr(loop.cell, part), getattr(fused, f"{part}_l0"), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CELLS)
def test_a_new_cell_starts_as_pytorchs(name):
    torch.manual_seed(3)
    ours = CELLS[name](E, H)
    torch.manual_seed(3)
    theirs = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}[name](E, H)
    for part in PARTS:
        torch.testing.assert_close(getattr(ours, part), getattr(theirs, part), rtol=0, atol=0)


def test_the_identity_start_keeps_the_state_of_a_plain_network_and_the_candidate_of_a_gated_one():
    plain = RNNCell(E, H, "relu")
    identity_start(plain.weight_hh)
    nn.init.zeros_(plain.bias_ih)
    nn.init.zeros_(plain.bias_hh)
    state = torch.rand(B, H)
    torch.testing.assert_close(plain(torch.zeros(B, E), state), state)
    for cell, block in ((GRUCell(E, H), 2), (LSTMCell(E, H), 2)):
        gates = cell.weight_hh.detach().clone()
        identity_start(cell.weight_hh)
        changed = [
            not torch.equal(a, b)
            for a, b in zip(cell.weight_hh.chunk(cell.gates), gates.chunk(cell.gates), strict=True)
        ]
        assert changed == [number == block for number in range(cell.gates)]
        torch.testing.assert_close(cell.weight_hh.chunk(cell.gates)[block], torch.eye(H))


def test_an_unknown_nonlinearity_is_refused():
    with pytest.raises(ValueError, match="sigmoid"):
        RNNCell(E, H, "sigmoid")
