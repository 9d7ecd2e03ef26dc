"""What every optimizer keeps to, whoever wrote it."""

import copy

import pytest
import torch
from torch import nn

from rushlight.training.optimizers import OPTIMIZERS, make_optimizer

pytestmark = pytest.mark.parametrize("name", OPTIMIZERS)


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(54, 3))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(24, 2, 5, 5, generator=generator), torch.randint(0, 3, (24,), generator=generator)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    inputs, targets = batch()
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_learns_with_its_own_defaults(name):
    model = net()
    losses = train(model, make_optimizer(name, model.parameters()), 40)
    assert losses[-1] < 0.9 * losses[0]


def test_is_an_optimizer_that_a_scheduler_of_pytorch_drives(name):
    model = net()
    optimizer = make_optimizer(name, model.parameters(), lr=1e-3)
    assert isinstance(optimizer, torch.optim.Optimizer)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0 if step else 1.0)
    train(model, optimizer, 1)
    scheduler.step()
    weights = copy.deepcopy(list(model.parameters()))
    train(model, optimizer, 3)  # at a rate of zero nothing moves
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), weights, strict=True))


def test_takes_groups_with_settings_of_their_own(name):
    model = net()
    groups = [
        {"params": model[0].parameters(), "lr": 0.0, "weight_decay": 0.1, "name": "body"},
        {
            "params": [*model[1].parameters(), *model[4].parameters()],
            "lr": 1e-3,
            "weight_decay": 0.0,
            "name": "head",
        },
    ]
    body, head = copy.deepcopy(model[0].weight), copy.deepcopy(model[4].weight)
    optimizer = make_optimizer(name, groups)
    train(model, optimizer, 2)
    assert torch.equal(model[0].weight, body)
    assert not torch.equal(model[4].weight, head)
    settings = {"body": (0.0, 0.1), "head": (1e-3, 0.0)}
    for group in optimizer.param_groups:
        assert (group["lr"], group["weight_decay"]) == settings[group["name"]]


def test_leaves_frozen_parameters_alone(name):
    model = net()
    model[0].requires_grad_(False)
    before = copy.deepcopy(model[0].weight)
    train(model, make_optimizer(name, model.parameters(), weight_decay=0.1), 2)
    assert torch.equal(model[0].weight, before)


def test_state_dict_round_trip_goes_on_identically(name):
    straight = net()
    optimizer = make_optimizer(name, straight.parameters(), lr=1e-3)
    train(straight, optimizer, 3)
    resumed = copy.deepcopy(straight)
    restored = make_optimizer(name, resumed.parameters(), lr=5.0)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert train(resumed, restored, 3) == train(straight, optimizer, 3)


def test_weight_decay_shrinks_what_the_loss_does_not_hold(name):
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    before = [p.detach().norm() for p in model.parameters()]
    optimizer = make_optimizer(name, model.parameters(), lr=1e-2, weight_decay=1.0)
    for _ in range(5):
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    assert all(p.norm() < norm for p, norm in zip(model.parameters(), before, strict=True))
