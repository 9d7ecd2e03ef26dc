"""The batch norm written out is PyTorch's in forward, backward, statistics, state dict; and can be frozen."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from rushlight.nn import BatchNorm2d, batch_norm


def images(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Inputs whose channels differ in mean and spread, so that normalising them changes something."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.linspace(0.5, 3, shape[1]).view(1, -1, 1, 1)
    return (torch.randn(shape, generator=generator) * spread + 2 * spread).to(dtype)


def pair(channels: int, **arguments: float | None) -> tuple[BatchNorm2d, nn.BatchNorm2d]:
    """Ours and PyTorch's with the same learned scale and shift, neither at its initial value."""
    ours, theirs = BatchNorm2d(channels, **arguments), nn.BatchNorm2d(channels, **arguments)
    with torch.no_grad():
        theirs.weight.copy_(torch.linspace(-1, 2, channels))
        theirs.bias.copy_(torch.linspace(1, -1, channels))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def assert_same_state(ours: nn.Module, theirs: nn.Module) -> None:
    expected = theirs.state_dict()
    assert list(ours.state_dict()) == list(expected)
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, expected[name], msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("momentum", [0.1, 0.7, 1.0, None])
def test_trains_and_evaluates_as_pytorch_does_over_several_steps(momentum: float | None) -> None:
    ours, theirs = pair(5, momentum=momentum, eps=1e-3)
    for step in range(4):
        x = images(6 - step, 5, 4, 3, seed=step)
        torch.testing.assert_close(ours(x), theirs(x))
        assert_same_state(ours, theirs)
    ours.eval(), theirs.eval()
    x = images(3, 5, 4, 4, seed=9)
    torch.testing.assert_close(ours(x), theirs(x))
    assert_same_state(ours, theirs)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_pytorchs(training: bool) -> None:
    ours, theirs = pair(4)
    for _ in range(2):
        ours(images(8, 4, 3, 3)), theirs(images(8, 4, 3, 3))
    ours.train(training), theirs.train(training)
    x, upstream = images(8, 4, 3, 3, seed=1), images(8, 4, 3, 3, seed=2)
    x_ours, x_theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    ours(x_ours).backward(upstream)
    theirs(x_theirs).backward(upstream)
    torch.testing.assert_close(x_ours.grad, x_theirs.grad)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    torch.testing.assert_close(ours.bias.grad, theirs.bias.grad)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_the_derivatives(training: bool) -> None:
    x = images(3, 2, 2, 2, dtype=torch.float64).requires_grad_()
    weight = torch.tensor([0.5, -2.0], dtype=torch.float64, requires_grad=True)
    bias = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    mean, var = torch.tensor([0.3, 0.1]).double(), torch.tensor([0.5, 2.0]).double()

    def output(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return batch_norm(x, mean, var, weight, bias, training=training).output

    assert torch.autograd.gradcheck(output, (x, weight, bias))
    assert torch.autograd.gradgradcheck(output, (x, weight, bias))


def test_trains_a_net_on_the_same_path_as_pytorchs() -> None:
    torch.manual_seed(0)
    theirs = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.BatchNorm2d(6), nn.Conv2d(6, 2, 3)).double()
    ours = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), BatchNorm2d(6), nn.Conv2d(6, 2, 3)).double()
    ours.load_state_dict(theirs.state_dict())
    for net in (ours, theirs):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        for step in range(20):
            optimizer.zero_grad()
            net(images(8, 3, 6, 6, seed=step, dtype=torch.float64)).square().mean().backward()
            optimizer.step()
    assert_same_state(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    ours, theirs = pair(4)
    x = images(8, 4, 5, 5, dtype=dtype)
    output = ours(x)
    assert output.dtype == dtype
    torch.testing.assert_close(output, theirs(x))
    assert_same_state(ours, theirs)


def test_channels_last_changes_nothing() -> None:
    ours, _ = pair(4)
    x = images(4, 4, 5, 6)
    expected = ours(x)
    output = ours(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(output, expected)
    assert output.is_contiguous(memory_format=torch.channels_last)


@settings(max_examples=20, deadline=None)
@given(
    batch=st.integers(2, 6),
    channels=st.integers(1, 4),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_a_training_batch_comes_out_with_mean_0_and_variance_1(
    batch: int, channels: int, height: int, width: int, seed: int
) -> None:
    x = images(batch, channels, height, width, seed=seed, dtype=torch.float64)
    zeros, ones = torch.zeros(channels).double(), torch.ones(channels).double()
    output = batch_norm(x, zeros, ones, ones, zeros, training=True, eps=0.0).output
    torch.testing.assert_close(output.mean(dim=(0, 2, 3)), zeros)
    torch.testing.assert_close(output.var(dim=(0, 2, 3), correction=0), ones)


def test_the_function_changes_nothing_it_is_given() -> None:
    mean, var, weight, bias = torch.zeros(3), torch.ones(3), torch.ones(3), torch.zeros(3)
    result = batch_norm(images(4, 3, 2, 2), mean, var, weight, bias, training=True)
    assert torch.equal(mean, torch.zeros(3))
    assert torch.equal(var, torch.ones(3))
    assert not torch.equal(result.running_mean, mean)


def test_a_channel_that_is_constant_gives_its_shift() -> None:
    ours, _ = pair(3)
    output = ours(torch.zeros(4, 3, 5, 5))
    torch.testing.assert_close(output, ours.bias.view(1, 3, 1, 1).expand_as(output))


def test_frozen_normalises_with_kept_statistics_and_never_updates_them_while_scale_and_shift_learn() -> None:
    ours, theirs = pair(4)
    ours(images(8, 4, 3, 3)), theirs(images(8, 4, 3, 3))
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    ours.frozen = True
    ours.train(), theirs.eval()
    x = images(8, 4, 3, 3, seed=5) + 7
    torch.testing.assert_close(ours(x), theirs(x))
    ours(x).square().sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())
    assert ours.weight.grad.abs().min() > 0
    assert ours.bias.grad.abs().min() > 0
    ours.frozen = False
    ours(x)
    assert not torch.equal(ours.running_mean, before["running_mean"])


def test_one_value_a_channel_trains_nothing_and_leaves_the_statistics_alone() -> None:
    ours, theirs = pair(4)
    x = images(1, 4, 1, 1)
    with pytest.raises(ValueError, match="one value a channel"):
        ours(x)
    assert ours.num_batches_tracked == 0
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(x), theirs(x))
    ours.train().frozen = True
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("shape", [(2, 4), (2, 3, 5, 5), (4, 5, 5)])
def test_input_of_another_form_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"takes \(B, 4, H, W\)"):
        BatchNorm2d(4)(torch.zeros(shape))
