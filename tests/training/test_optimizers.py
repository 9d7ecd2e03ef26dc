"""The written-out optimizers against PyTorch's, over whole trajectories of a real net."""

import copy

import pytest
import torch
from torch import nn

from rushlight.runtime.errors import InputError
from rushlight.training import by_hand, optimizers
from rushlight.training.combined import CombinedOptimizer
from rushlight.training.muon import Muon

STEPS = 50

# by hand, PyTorch's, settings of both, settings that only PyTorch's needs
PAIRS = [
    (optimizers.SGD, torch.optim.SGD, {"lr": 0.05}, {}),
    (optimizers.SGD, torch.optim.SGD, {"lr": 0.02, "weight_decay": 0.1}, {}),
    (optimizers.Momentum, torch.optim.SGD, {"lr": 0.02}, {"momentum": 0.9}),
    (optimizers.Momentum, torch.optim.SGD, {"lr": 0.02, "momentum": 0.7, "weight_decay": 0.05}, {}),
    (optimizers.Nesterov, torch.optim.SGD, {"lr": 0.02}, {"momentum": 0.9, "nesterov": True}),
    (
        optimizers.Nesterov,
        torch.optim.SGD,
        {"lr": 0.02, "momentum": 0.7, "weight_decay": 0.05},
        {"nesterov": True},
    ),
    (optimizers.Adagrad, torch.optim.Adagrad, {"lr": 0.01}, {}),
    (optimizers.Adagrad, torch.optim.Adagrad, {"lr": 0.02, "eps": 1e-3, "weight_decay": 0.1}, {}),
    (optimizers.RMSProp, torch.optim.RMSprop, {"lr": 1e-3, "eps": 1e-4}, {}),
    (
        optimizers.RMSProp,
        torch.optim.RMSprop,
        {"lr": 1e-3, "alpha": 0.9, "eps": 1e-3, "momentum": 0.5, "weight_decay": 0.1},
        {},
    ),
    (optimizers.Adam, torch.optim.Adam, {"lr": 1e-3, "eps": 1e-4}, {}),
    (
        optimizers.Adam,
        torch.optim.Adam,
        {"lr": 2e-3, "betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.1},
        {},
    ),
    (optimizers.AdamW, torch.optim.AdamW, {"lr": 1e-3, "eps": 1e-4}, {}),
    (
        optimizers.AdamW,
        torch.optim.AdamW,
        {"lr": 2e-3, "betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.5},
        {},
    ),
]
BY_HAND = {ours.__name__: (ours, settings) for ours, _, settings, _ in PAIRS}


def small_net(seed: int = 0) -> nn.Module:
    """Convolution, batch norm, ReLU, linear: a tensor of each kind that a real net has."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 3 * 3, 5),
    )


def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(16, 1, 8, 8, generator=generator), torch.randint(0, 5, (16,), generator=generator)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        inputs, targets = batch(step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()


def assert_same_weights(ours: nn.Module, theirs: nn.Module, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=rtol, atol=atol, msg=lambda m, name=name: f"{name}: {m}")


@pytest.mark.parametrize(("ours", "theirs", "settings", "extra"), PAIRS)
def test_follows_pytorch(ours, theirs, settings, extra):
    model, reference = small_net(), small_net()
    start = copy.deepcopy(model)
    train(model, ours(model.parameters(), **settings), range(STEPS))
    train(reference, theirs(reference.parameters(), **settings, **extra), range(STEPS))
    assert_same_weights(model, reference)
    moved = [(a - b).abs().max() for a, b in zip(model.parameters(), start.parameters(), strict=True)]
    assert min(moved) > 1e-3  # so that the tolerance above means something


@pytest.mark.parametrize("name", BY_HAND)
def test_goes_on_after_a_state_dict_round_trip(name):
    make, settings = BY_HAND[name]
    straight = small_net()
    train(straight, make(straight.parameters(), **settings), range(20))

    first = small_net()
    optimizer = make(first.parameters(), **settings)
    train(first, optimizer, range(10))
    second = small_net(seed=1)
    second.load_state_dict(first.state_dict())
    restored = make(second.parameters(), lr=123.0)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    train(second, restored, range(10, 20))

    assert_same_weights(second, straight, rtol=0, atol=0)


def test_each_group_keeps_its_own_settings():
    model, reference = small_net(), small_net()

    def groups(net):
        return [
            {"params": net[0].parameters(), "lr": 1e-4},
            {"params": net[1].parameters(), "weight_decay": 0.0},
            {"params": net[4].parameters(), "betas": (0.5, 0.9)},
        ]

    train(model, optimizers.AdamW(groups(model), lr=1e-2, eps=1e-4, weight_decay=0.3), range(10))
    train(reference, torch.optim.AdamW(groups(reference), lr=1e-2, eps=1e-4, weight_decay=0.3), range(10))
    assert_same_weights(model, reference)


def test_update_functions_leave_their_arguments_alone():
    weights, gradient, mean, squares = (torch.full((3,), float(v)) for v in (1, 2, 3, 4))
    step = torch.tensor(5.0)
    by_hand.adamw_update(weights, gradient, step, mean, squares, lr=0.1)
    for tensor, value in zip((weights, gradient, mean, squares, step), (1, 2, 3, 4, 5), strict=True):
        assert (tensor == value).all()


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"])
def test_the_default_is_fused_where_it_can_be_and_equals_the_one_by_hand(name):
    fast, by_hand = small_net(), small_net()
    optimizer = optimizers.make_optimizer(name, fast.parameters(), lr=2e-3, weight_decay=0.1)
    assert bool(optimizer.defaults.get("fused")) == (name != "rmsprop")  # which PyTorch has no such kernel for
    train(fast, optimizer, range(10))
    train(
        by_hand,
        optimizers.make_optimizer(f"{name}_by_hand", by_hand.parameters(), lr=2e-3, weight_decay=0.1),
        range(10),
    )
    # Adam divides by the root of tiny means at first: float rounding is then of the order of a step's
    # thousandth.
    assert_same_weights(fast, by_hand, rtol=1e-3, atol=2e-5)


def test_a_choice_of_form_is_respected():
    optimizer = optimizers.make_optimizer("adam", small_net().parameters(), fused=False)
    assert not optimizer.defaults["fused"]


@pytest.mark.parametrize(("coupled", "settings"), [("adam", {"eps": 1e-4}), ("adam_by_hand", {"eps": 1e-4})])
def test_decoupled_adam_is_adamw(coupled, settings):
    model, reference = small_net(), small_net()
    optimizer = optimizers.decouple_weight_decay(
        optimizers.make_optimizer(coupled, model.parameters(), lr=1e-2, weight_decay=0.3, **settings)
    )
    train(model, optimizer, range(20))
    decoupled = torch.optim.AdamW(reference.parameters(), lr=1e-2, weight_decay=0.3, **settings)
    train(reference, decoupled, range(20))
    assert_same_weights(model, reference)
    assert optimizer.param_groups[0]["weight_decay"] == 0.3


def test_decoupled_decay_leaves_frozen_parameters_alone():
    model = small_net()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    optimizer = optimizers.make_optimizer("momentum", model.parameters(), weight_decay=0.3)
    train(model, optimizers.decouple_weight_decay(optimizer), range(3))
    assert torch.equal(model[0].weight, before)


def test_muon_takes_hidden_matrices_and_leaves_vectors_and_the_answer_to_adamw():
    model = nn.Sequential(small_net()[:3], nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(6, 5))
    rates = {"first": 1e-3, "rest": 1e-2}
    optimizer = optimizers.make_optimizer(
        "muon",
        [
            {"params": model[0].parameters(), "lr": rates["first"], "name": "first"},
            {"params": [*model[1].parameters(), *model[3].parameters()], "lr": rates["rest"], "name": "rest"},
        ],
    )
    assert isinstance(optimizer, CombinedOptimizer)
    by_muon, by_adamw = optimizer.members
    assert isinstance(by_muon, Muon)
    chosen = [p for group in by_muon.param_groups for p in group["params"]]
    assert [p.shape for p in chosen] == [model[0][0].weight.shape, model[1].weight.shape]
    others = [p for group in by_adamw.param_groups for p in group["params"]]
    assert {id(p) for p in chosen + others} == {id(p) for p in model.parameters()}
    assert all(group["lr"] == rates[group["name"]] for group in optimizer.param_groups)


def test_muon_of_a_single_layer_is_adamw():
    model, reference = nn.Linear(6, 3), nn.Linear(6, 3)
    reference.load_state_dict(model.state_dict())
    for net, optimizer in (
        (model, optimizers.make_optimizer("muon", model.parameters(), lr=1e-2)),
        (reference, optimizers.make_optimizer("adamw", reference.parameters(), lr=1e-2)),
    ):
        net(torch.ones(2, 6)).square().sum().backward()
        optimizer.step()
    assert_same_weights(model, reference, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("adamv", {}, "did you mean 'adam"),
        ("adam", {"momentums": 0.9}, "momentums"),
        ("adam", {"lr": -1.0}, "learning rate"),
        ("adam_by_hand", {"lr": -1.0}, "lr"),
        ("adam_by_hand", {"betas": (0.9, 1.0)}, "betas"),
        ("muon", {"scale": "adamv"}, "did you mean 'adamw'"),
    ],
)
def test_what_a_person_gets_wrong_is_named(name, settings, said):
    with pytest.raises(InputError, match=said) as error:
        optimizers.make_optimizer(name, small_net().parameters(), **settings)
    assert "\n" not in str(error.value)


def test_nothing_to_train_is_an_input_error():
    with pytest.raises(InputError, match="no parameter"):
        optimizers.make_optimizer("adamw", nn.ReLU().parameters())
