"""The average over time: the fast form is the written-out one, forward and backward."""

import pytest
import torch

from rushlight.nn.quasi_recurrent import FastRunningAverage, QuasiRecurrent, running_average

T, B, H = 9, 3, 5


@pytest.mark.parametrize("length", [1, 2, T])
def test_the_fast_average_is_the_written_out_one_forward_and_backward(length):
    generator = torch.Generator().manual_seed(0)
    candidates = torch.randn(length, B, H, generator=generator, requires_grad=True)
    keep = torch.rand(length, B, H, generator=generator, requires_grad=True)
    start = torch.randn(B, H, generator=generator, requires_grad=True)
    weighting = torch.randn(length, B, H, generator=generator)
    plain = running_average(candidates, keep, start)
    fast = FastRunningAverage.apply(candidates, keep, start)
    torch.testing.assert_close(fast, plain)
    of = (candidates, keep, start)
    torch.testing.assert_close(
        torch.autograd.grad((fast * weighting).sum(), of), torch.autograd.grad((plain * weighting).sum(), of)
    )


def test_its_gradient_is_the_numerical_one():
    generator = torch.Generator().manual_seed(1)
    inputs = [torch.rand(*shape, generator=generator, dtype=torch.float64, requires_grad=True)
              for shape in ((4, 2, 3), (4, 2, 3), (2, 3))]  # fmt: skip
    assert torch.autograd.gradcheck(FastRunningAverage.apply, inputs)


def test_an_open_gate_follows_the_input_and_a_closed_one_remembers():
    start = torch.full((B, H), 7.0)
    candidates = torch.randn(T, B, H)
    torch.testing.assert_close(running_average(candidates, torch.zeros(T, B, H), start), candidates)
    torch.testing.assert_close(running_average(candidates, torch.ones(T, B, H), start), start.expand(T, B, H))


def test_each_position_sees_its_input_and_the_one_before_through_the_filter():
    torch.manual_seed(0)
    layer = QuasiRecurrent(4, H)
    inputs = torch.randn(T, B, 4)
    outputs, (memory, last) = layer(inputs, layer.initial_state(B))
    assert torch.equal(last, inputs[-1])
    candidate, keep, show = layer.linear(torch.cat([inputs[2], inputs[3]], dim=1)).chunk(3, dim=1)
    before = layer(inputs[:3], layer.initial_state(B))[1][0]
    expected = torch.sigmoid(keep) * before + (1 - torch.sigmoid(keep)) * torch.tanh(candidate)
    torch.testing.assert_close(outputs[3], torch.sigmoid(show) * expected)
    assert memory.shape == (B, H)
