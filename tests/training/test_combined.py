"""Two optimizers as one."""

import copy

import pytest
import torch
from torch import nn

from rushlight.training.combined import CombinedOptimizer


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def members(model: nn.Module) -> list[torch.optim.Optimizer]:
    return [
        torch.optim.SGD(model[0].parameters(), lr=0.1, momentum=0.9),
        torch.optim.AdamW(model[2].parameters(), lr=0.01, fused=True),
    ]


def train(model: nn.Module, optimizers: list[torch.optim.Optimizer], steps: int = 5) -> None:
    for step in range(steps):
        for optimizer in optimizers:
            optimizer.zero_grad()
        inputs = torch.randn(16, 4, generator=torch.Generator().manual_seed(step))
        (model(inputs) - inputs.sum(1, keepdim=True)).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_acts_as_its_members_do():
    together, apart = net(), net()
    train(together, [CombinedOptimizer(members(together))])
    train(apart, members(apart))
    assert_equal(together, apart)


def test_takes_over_members_that_have_already_stepped():
    together, apart = net(), net()
    optimizers, others = members(together), members(apart)
    train(together, optimizers)
    train(apart, others)
    train(together, [CombinedOptimizer(optimizers)])
    train(apart, others)
    assert_equal(together, apart)


def test_a_scheduler_of_pytorch_sets_the_members_rates():
    model = net()
    optimizer = CombinedOptimizer(members(model))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    train(model, [optimizer], 1)
    scheduler.step()
    assert [member.param_groups[0]["lr"] for member in optimizer.members] == [0.05, 0.005]


def test_state_dict_goes_on_where_it_was():
    straight, first, second = net(), net(), net()
    train(straight, [CombinedOptimizer(members(straight))], 5)
    whole = CombinedOptimizer(members(straight))

    optimizer = CombinedOptimizer(members(first))
    train(first, [optimizer], 5)
    second.load_state_dict(first.state_dict())
    restored = CombinedOptimizer(members(second))
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(first, [optimizer], 5)
    train(second, [restored], 5)
    assert_equal(first, second)

    # and the groups are still the members' own
    restored.param_groups[1]["lr"] = 0.5
    assert restored.members[1].param_groups[0]["lr"] == 0.5
    # a state without history is loaded as such too
    restored.load_state_dict(whole.state_dict())
    assert not any(restored.members[0].state.values())


def test_a_deep_copy_is_independent_and_whole():
    model = net()
    optimizer = CombinedOptimizer(members(model))
    train(model, [optimizer])
    twin = copy.deepcopy(optimizer)
    twin.param_groups[0]["lr"] = 7.0
    assert twin.members[0].param_groups[0]["lr"] == 7.0
    assert optimizer.members[0].param_groups[0]["lr"] == 0.1


def test_a_closure_is_evaluated_once():
    model = net()
    calls = []

    def closure() -> torch.Tensor:
        calls.append(None)
        loss = model(torch.ones(2, 4)).square().mean()
        loss.backward()
        return loss

    assert CombinedOptimizer(members(model)).step(closure) > 0
    assert len(calls) == 1


def test_a_parameter_in_two_members_is_refused():
    model = net()
    with pytest.raises(ValueError, match="more than one parameter group"):
        CombinedOptimizer([torch.optim.SGD(model.parameters()), torch.optim.AdamW(model[2].parameters())])


def test_a_late_group_is_refused():
    model, other = net(), net()
    with pytest.raises(TypeError, match="belongs to"):
        CombinedOptimizer(members(model)).add_param_group({"params": other.parameters()})
