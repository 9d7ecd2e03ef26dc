"""Newton-Schulz as mathematics, and Muon against the update written out in a loop."""

import copy

import pytest
import torch
from torch import nn

from rushlight.runtime.errors import InputError
from rushlight.training.muon import NEWTON_SCHULZ_COEFFICIENTS, Muon, newton_schulz, orthogonalised


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(8, 8), (8, 20), (20, 8), (3, 16, 40)])
@pytest.mark.parametrize("steps", [1, 3, 5])
def test_newton_schulz_is_the_polynomial_of_the_singular_values(shape, steps):
    matrices = random(*shape).double()
    u, values, vh = torch.linalg.svd(matrices, full_matrices=False)
    values = values / matrices.norm(dim=(-2, -1)).unsqueeze(-1)
    a, b, c = NEWTON_SCHULZ_COEFFICIENTS
    for _ in range(steps):
        values = a * values + b * values**3 + c * values**5
    torch.testing.assert_close(newton_schulz(matrices, steps), u * values.unsqueeze(-2) @ vh, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_newton_schulz_brings_singular_values_close_to_one(dtype):
    values = torch.linalg.svdvals(newton_schulz(random(4, 32, 128).to(dtype), steps=5).float())
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_three_steps_serve_matrices_that_are_not_nearly_singular():
    values = torch.linalg.svdvals(newton_schulz(random(32, 288), steps=3))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_zeros_stay_zeros():
    assert not newton_schulz(torch.zeros(2, 4, 6)).any()


def test_batched_equals_one_by_one():
    tensors = [
        random(6, 2, 3, 3, seed=1),
        random(18, 6, seed=2),  # tall: shares the batch of the one before
        random(6, 18, seed=3),
        random(5, 4, 3, 3, seed=4),
        random(7, 7, seed=5),
        random(6, 2, 3, 3, seed=6).to(memory_format=torch.channels_last),
    ]
    for tensor, result in zip(tensors, orthogonalised(tensors), strict=True):
        alone = newton_schulz(tensor.reshape(len(tensor), -1)).reshape(tensor.shape)
        torch.testing.assert_close(result, alone)


def reference_newton_schulz(gradient: torch.Tensor, steps: int, dtype: torch.dtype) -> torch.Tensor:
    """The speed run's function, matrix by matrix."""
    a, b, c = 3.4445, -4.775, 2.0315
    x = gradient.to(dtype)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).float()


# bfloat16 rounds at 2^-8; a batched product may add in another order than a single one.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_follows_the_speed_run_recipe(dtype, tolerance):
    weights = [
        nn.Parameter(random(8, 3, 3, 3, seed=1).to(memory_format=torch.channels_last)),
        nn.Parameter(random(8, 8, 3, 3, seed=2)),
        nn.Parameter(random(8, 8, 3, 3, seed=3)),
        nn.Parameter(random(40, 8, seed=4)),
    ]
    reference = [w.detach().clone() for w in weights]
    buffers = [torch.zeros_like(w) for w in reference]
    lr, momentum = 0.24, 0.6
    optimizer = Muon(weights, lr=lr, momentum=momentum, dtype=dtype)
    for step in range(5):
        for number, (w, expected, buffer) in enumerate(zip(weights, reference, buffers, strict=True)):
            w.grad = random(*w.shape, seed=100 * step + number)
            buffer.mul_(momentum).add_(w.grad)
            direction = w.grad.add(buffer, alpha=momentum)
            expected.mul_(len(expected) ** 0.5 / expected.norm())
            update = reference_newton_schulz(direction.reshape(len(expected), -1), 3, dtype)
            expected.add_(update.view_as(expected), alpha=-lr)
        optimizer.step()
    for w, expected in zip(weights, reference, strict=True):
        torch.testing.assert_close(w.detach(), expected, rtol=0, atol=tolerance, check_stride=False)


def test_agrees_with_the_muon_of_pytorch():
    theirs = getattr(torch.optim, "Muon", None)
    if theirs is None:
        pytest.skip("this PyTorch has no Muon of its own")
    ours_weights, their_weights = nn.Parameter(random(16, 32)), nn.Parameter(random(16, 32))
    settings = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}
    ours = Muon([ours_weights], steps=5, weight_normalisation=False, scale="adamw", dtype=torch.bfloat16, **settings)
    reference = theirs([their_weights], adjust_lr_fn="match_rms_adamw", **settings)
    for step in range(5):
        ours_weights.grad = their_weights.grad = random(16, 32, seed=step)
        ours.step()
        reference.step()
    # PyTorch's momentum is a mean where ours is a sum; the direction, which alone matters, is the same.
    torch.testing.assert_close(ours_weights, their_weights, rtol=0, atol=1e-2)
    assert (ours_weights - random(16, 32)).abs().max() > 0.1


def test_state_dict_goes_on_where_it_was():
    straight, resumed = nn.Parameter(random(6, 8)), nn.Parameter(random(6, 8))

    def step(weights, optimizer, seeds):
        for seed in seeds:
            weights.grad = random(6, 8, seed=seed)
            optimizer.step()

    step(straight, Muon([straight], momentum=0.9, scale="aspect"), range(6))
    first = Muon([resumed], momentum=0.9, scale="aspect")
    step(resumed, first, range(3))
    second = Muon([resumed])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    step(resumed, second, range(3, 6))
    assert torch.equal(straight, resumed)


def test_frozen_and_zero_weights_survive():
    frozen, zero = nn.Parameter(random(4, 6)), nn.Parameter(torch.zeros(4, 6))
    before = frozen.detach().clone()
    zero.grad = random(4, 6)
    optimizer = Muon([frozen, zero])
    optimizer.step()
    assert torch.equal(frozen, before)
    assert zero.isfinite().all()
    assert zero.any()


def test_a_vector_is_refused():
    with pytest.raises(InputError, match="CombinedOptimizer"):
        Muon(nn.Linear(3, 4).parameters())


@pytest.mark.parametrize("settings", [{"lr": -1.0}, {"momentum": 1.0}, {"steps": 0}, {"dtype": "bf16"}, {"scale": "x"}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError):
        Muon([nn.Parameter(torch.ones(2, 2))], **settings)
