"""The loop: equal to plain PyTorch, hooks in their place, lengths kept, nothing trained on a loss that is no number."""

import math
import time
from itertools import pairwise

import pytest
import torch
from torch import nn

from rushlight.runtime.errors import InputError, ModelFileError, NonFiniteError
from rushlight.runtime.measured import Measured
from rushlight.training.averaging import AverageWeights
from rushlight.training.callbacks import HOOKS, Callback
from rushlight.training.clipping import GradientClipping
from rushlight.training.learner import Learner
from rushlight.training.metrics import Accuracy
from rushlight.training.resizing import ProgressiveResizing
from rushlight.training.saving import CycleCheckpoints, SaveEachEpoch
from rushlight.training.stopping import EarlyStopping, KeepBest
from tests.training.small_task import TensorBatches, digits, small_net


def make_learner(model=None, data=None, **options) -> Learner:
    options.setdefault("optimizer", "adamw")
    return Learner(
        small_net() if model is None else model,
        digits() if data is None else data,
        device="cpu",
        precision="float32",
        **options,
    )


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], rtol=0, atol=0, msg=name)


class Recorder(Callback):
    """Notes what happens and the rates of each step."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.rates: list[list[float]] = []

    def step_done(self, learner: Learner) -> None:
        self.events.append("step_done")
        self.rates.append([group["lr"] for group in learner.optimizer.param_groups])


def note(hook: str):
    def function(self, learner: Learner) -> None:
        self.events.append(hook)

    return function


for _hook in HOOKS:
    if _hook != "step_done":
        setattr(Recorder, _hook, note(_hook))


def test_gives_the_weights_of_a_plain_pytorch_loop():
    train, _ = digits()
    plain = small_net().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9)
    total = 2 * len(train)
    step = 0
    for _ in range(2):
        for inputs, targets in train:
            optimizer.param_groups[0]["lr"] = 0.1 * 0.5 * (1 + math.cos(math.pi * step / total))
            optimizer.zero_grad()
            nn.functional.cross_entropy(plain(inputs.to(memory_format=torch.channels_last)), targets).backward()
            optimizer.step()
            step += 1
    model = small_net()
    Learner(
        model, (train,), optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        device="cpu", precision="float32",
    ).fit(2, schedule="cosine")  # fmt: skip
    for ours, theirs in zip(model.state_dict().values(), plain.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_hooks_come_in_the_order_that_the_docstring_draws():
    recorder = Recorder()
    train, valid = digits(samples=100)
    make_learner(data=(train, valid), callbacks=[recorder]).fit_cycles(2, lr=1e-3)
    step = ["batch_start", "loss_ready", "gradients_ready", "step_done"]
    validation = ["validation_start", "validation_done"]
    epoch = ["epoch_start", *step, "step_end", *step, "cycle_end", "step_end", *validation, "epoch_end"]
    assert recorder.events == ["fit_planned", "fit_start", *epoch, *epoch, "fit_end"]


def test_learns_and_keeps_a_row_an_epoch():
    learner = make_learner(metrics=[Accuracy()]).fit(6, lr=1e-2)
    rows = learner.history.rows
    assert [row["epoch"] for row in rows] == list(range(1, 7))
    assert [row["step"] for row in rows] == [12 * k for k in range(1, 7)]
    assert rows[-1]["accuracy"].value > 0.8
    assert rows[-1]["train_loss"].value < rows[0]["train_loss"].value
    low, high = rows[-1]["accuracy"].interval
    assert low < rows[-1]["accuracy"].value < high
    assert all(isinstance(row["valid_loss"], Measured) for row in rows)


def test_validation_measures_in_evaluation_mode_and_leaves_the_weights_alone():
    learner = make_learner(metrics=[Accuracy()]).fit(1, lr=1e-2)
    before = weights(learner.model)
    first, second = learner.validate(), learner.validate()
    assert first == second
    assert_same(before, learner.model.state_dict())
    _, valid = digits()
    outputs = torch.cat([learner.model.eval()(x) for x, _ in valid])
    targets = torch.cat([y for _, y in valid])
    assert first["accuracy"].value == pytest.approx((outputs.argmax(1) == targets).float().mean().item())
    assert first["valid_loss"].value == pytest.approx(nn.functional.cross_entropy(outputs, targets).item(), rel=1e-5)


def test_ends_after_the_steps_or_epochs_asked_for():
    assert make_learner().fit(steps=7, lr=1e-3).step == 7
    assert make_learner().fit(0.5, lr=1e-3).step == 6
    assert make_learner().fit(3, steps=14, lr=1e-3).step == 14


def test_a_time_limit_covers_training_and_validation_and_anneals_to_its_end():
    recorder = Recorder()
    learner = make_learner(callbacks=[recorder], metrics=[Accuracy()])
    learner.fit(minutes=0.02, lr=1e-3, schedule="linear")
    seconds = sum(row["seconds"] for row in learner.history.rows)
    assert seconds < 1.2 * 0.02 * 60 + 0.5  # a step and a validation may end late on a busy machine
    assert learner.progress == 1.0
    assert recorder.rates[0][0] == pytest.approx(1e-3, rel=0.1)
    assert recorder.rates[-1][0] < 0.25 * recorder.rates[0][0]
    assert "accuracy" in learner.history.rows[-1]


class Slowed:
    """Batches that each pass takes some time more for: the next one's, from a list."""

    def __init__(self, batches, seconds: list[float]) -> None:
        self.batches, self.seconds = batches, list(seconds)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self):
        time.sleep(self.seconds.pop(0))
        return iter(self.batches)


def test_one_slow_validation_does_not_decide_how_long_they_take_nor_does_measuring_something_else():
    train, valid = digits()
    learner = make_learner(data=(train, Slowed(valid, [0.0, 0.0, 2.0])))
    assert learner.evaluation_seconds == 0
    for _ in range(3):
        learner.validate()
    learner.validate(Slowed(valid, [2.0]))
    assert 0 < learner.evaluation_seconds < 1


def test_with_larger_images_the_time_of_a_validation_is_that_of_the_larger_ones():
    train, valid = digits()
    slowed = Slowed(valid, [0.0, 0.0, 0.5])
    learner = make_learner(data=(train, slowed))
    for slowed.image_size in (8, 8, 16):
        learner.validate()
    assert learner.evaluation_seconds >= 0.5


@pytest.mark.parametrize("lengths", [{}, {"epochs": 0}, {"steps": -1}, {"minutes": 0.0}])
def test_a_fit_without_a_usable_length_is_refused(lengths):
    with pytest.raises(InputError, match=r"must be more than 0|needs a length"):
        make_learner().fit(lr=1e-3, **lengths)


def test_one_rate_a_layer_group_is_scaled_by_the_schedule():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    recorder = Recorder()
    learner = make_learner(model, callbacks=[recorder])
    learner.fit(1, lr=(1e-4, 1e-2), schedule="linear")
    names = [group["name"] for group in learner.optimizer.param_groups]
    first_weights, last_weights = (names.index(f"{layer}.weights") for layer in ("1", "3"))
    for rates in recorder.rates:
        assert rates[last_weights] == pytest.approx(100 * rates[first_weights])
    assert recorder.rates[-1][0] < recorder.rates[0][0]


def test_the_wrong_number_of_rates_names_the_layer_groups():
    with pytest.raises(InputError, match=r"2 values .* but the model has 5 layer groups: 0, 1, 3, 4, 7"):
        make_learner().fit(1, lr=(1e-4, 1e-2))


def test_accumulated_batches_give_the_step_of_one_large_batch():
    inputs, targets = torch.randn(32, 6), torch.randint(3, (32,))
    results = []
    for batch_size, accumulate in ((32, 1), (8, 4)):
        torch.manual_seed(0)
        model = nn.Linear(6, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        data = (TensorBatches(inputs, targets, batch_size),)
        Learner(model, data, optimizer=optimizer, device="cpu", precision="float32").fit(2, accumulate=accumulate)
        results.append(weights(model))
    for name, tensor in results[0].items():
        torch.testing.assert_close(tensor, results[1][name])


def test_an_epoch_that_ends_between_accumulated_batches_takes_its_step_with_what_there_is():
    inputs, targets = torch.randn(24, 6), torch.randint(3, (24,))
    learner = make_learner(nn.Linear(6, 3), (TensorBatches(inputs, targets, 8),))
    learner.fit(1, lr=1e-3, accumulate=2)
    assert learner.step == 2


class Poison(Callback):
    """Makes the loss or a gradient not a number at one step, and remembers the weights before it."""

    def __init__(self, step: int, where: str) -> None:
        self.step, self.where = step, where

    def loss_ready(self, learner: Learner) -> None:
        if learner.step == self.step:
            self.before = weights(learner.model)
            if self.where == "loss":
                learner.loss = learner.loss * float("nan")

    def gradients_ready(self, learner: Learner) -> None:
        if learner.step == self.step and self.where == "gradient":
            next(learner.model.parameters()).grad[0] = float("inf")


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_stops_before_a_step_with_a_loss_or_gradient_that_is_no_number(where, tmp_path):
    poison = Poison(15, where)
    path = tmp_path / "model.safetensors"
    learner = make_learner(callbacks=[poison, SaveEachEpoch(path)])
    with pytest.raises(NonFiniteError, match=r"step 15 .epoch 2, learning rate"):
        learner.fit(3, lr=1e-2)
    parameters = dict(learner.model.named_parameters())
    assert_same({name: poison.before[name] for name in parameters}, dict(parameters))
    make_learner().load(path)  # the checkpoint of the first epoch is whole


def test_an_absurd_rate_ends_with_finite_weights():
    learner = make_learner(optimizer="sgd")
    with pytest.raises(NonFiniteError, match="try a lower learning rate"):
        learner.fit(5, lr=1e20)
    assert all(torch.isfinite(p).all() for p in learner.model.parameters())


def test_the_finder_puts_everything_back_exactly():
    model = nn.Sequential(small_net(), nn.Dropout(0.1))
    learner = make_learner(model, optimizer="adam").fit(1, lr=1e-3)
    learner.model.train()
    before, random_before = weights(model), torch.get_rng_state()
    state_before = learner.optimizer.state_dict()
    moments = {k: v["exp_avg"].clone() for k, v in state_before["state"].items()}
    sweep = learner.find_lr(steps=40)
    assert_same(before, model.state_dict())
    assert torch.equal(random_before, torch.get_rng_state())
    for key, moment in moments.items():
        torch.testing.assert_close(moment, learner.optimizer.state_dict()["state"][key]["exp_avg"], rtol=0, atol=0)
    assert [g["lr"] for g in learner.optimizer.param_groups] == [g["lr"] for g in state_before["param_groups"]]
    assert learner.step == 12
    assert model.training
    assert all(a < b for a, b in pairwise(sweep.lrs))


def test_a_fit_goes_on_alike_whether_or_not_the_finder_ran():
    results = []
    for with_finder in (False, True):
        learner = make_learner().fit(1, lr=1e-3)
        if with_finder:
            learner.find_lr(steps=20)
        learner.fit(1, lr=1e-3)
        results.append(weights(learner.model))
    assert_same(*results)


def test_the_finder_suggests_a_rate_that_trains():
    sweep = make_learner(optimizer="sgd").find_lr(end_lr=100)
    assert sweep.lrs[-1] < 100  # it saw the loss run away
    learner = make_learner(optimizer="sgd", metrics=[Accuracy()]).fit(5, lr=sweep.suggestion)
    assert learner.history[-1]["accuracy"].value > 0.8
    assert sweep.plot().axes[0].get_xscale() == "log"


@pytest.mark.parametrize(("start", "end", "steps"), [(0, 1, 50), (1, 0.1, 50), (1e-5, math.inf, 50), (1e-5, 1, 3)])
def test_the_finder_refuses_a_sweep_that_makes_no_sense(start, end, steps):
    with pytest.raises(InputError, match="the finder needs"):
        make_learner().find_lr(start, end, steps)


def test_frozen_groups_keep_weights_and_statistics():
    model = small_net()
    learner = make_learner(model).freeze_to(-1)
    before = weights(model)
    learner.fit(1, lr=1e-2, weight_decay=0.1)
    after = weights(model)
    for name in before:
        if name.startswith("7."):
            assert not torch.equal(before[name], after[name])
        else:
            torch.testing.assert_close(before[name], after[name], rtol=0, atol=0, msg=name)
    learner.unfreeze().fit(1, lr=1e-2)
    assert not torch.equal(after["0.weight"], model.state_dict()["0.weight"])


def test_frozen_batch_norm_trains_its_weights_but_not_its_statistics():
    model = small_net()
    before = weights(model)
    make_learner(model).freeze_batch_norm().fit(1, lr=1e-2)
    after = model.state_dict()
    assert torch.equal(before["1.running_mean"], after["1.running_mean"])
    assert not torch.equal(before["1.weight"], after["1.weight"])


@pytest.mark.parametrize("group", ["nothing", 9, -9])
def test_a_layer_group_that_does_not_exist_is_named(group):
    with pytest.raises(InputError, match="layer group"):
        make_learner().freeze_to(group)


def test_early_stopping_stops():
    class Worse(Callback):
        def validation_done(self, learner: Learner) -> None:
            learner.row["valid_loss"] = Measured(float(learner.epoch), None, 1, None)

    learner = make_learner(callbacks=[Worse(), EarlyStopping(patience=2)]).fit(10, lr=1e-3)
    assert learner.epoch == 3


def test_a_monitor_that_is_not_measured_is_named():
    with pytest.raises(InputError, match=r"'acuracy'.*did you mean 'accuracy'"):
        make_learner(metrics=[Accuracy()], callbacks=[KeepBest("acuracy")]).fit(1, lr=1e-3)


def test_keep_best_ends_with_the_weights_that_measured_best():
    class Ruin(Callback):
        def epoch_start(self, learner: Learner) -> None:
            if learner.epoch == 3:
                for group in learner.optimizer.param_groups:
                    group["initial_lr"] = 3.0

    learner = make_learner(optimizer="sgd", metrics=[Accuracy()], callbacks=[KeepBest("accuracy"), Ruin()])
    learner.fit(4, lr=0.1, schedule="constant")
    accuracies = [row["accuracy"].value for row in learner.history.rows]
    assert accuracies[-1] < max(accuracies)
    assert learner.validate()["accuracy"].value == max(accuracies)


def test_averaged_weights_are_the_average_and_are_what_is_measured():
    class Trace(Callback):
        def __init__(self) -> None:
            self.weights: list[torch.Tensor] = []

        def step_done(self, learner: Learner) -> None:
            self.weights.append(learner.model[7].weight.detach().clone())

    trace, model = Trace(), small_net()
    average = model[7].weight.detach().clone()
    learner = make_learner(model, callbacks=[AverageWeights(0.9), trace], metrics=[Accuracy()]).fit(2, lr=1e-2)
    for number, live in enumerate(trace.weights, start=1):
        average.lerp_(live, 1 - min(0.9, (1 + number) / (10 + number)))
    torch.testing.assert_close(model[7].weight.detach(), average)
    assert learner.validate()["valid_loss"].value == pytest.approx(learner.history[-1]["valid_loss"].value)


def test_clipped_gradients_have_the_largest_norm_allowed():
    class Norms(Callback):
        def __init__(self) -> None:
            self.norms: list[float] = []

        def gradients_ready(self, learner: Learner) -> None:
            self.norms.append(float(nn.utils.get_total_norm([p.grad for p in learner.model.parameters()])))

    before, after = Norms(), Norms()
    make_learner(callbacks=[before, GradientClipping(0.5), after]).fit(1, lr=1e-3)
    assert max(before.norms) > 0.5
    assert max(after.norms) <= 0.5 + 1e-4


def test_progressive_resizing_refuses_what_it_cannot_do():
    with pytest.raises(InputError, match="increasing progress"):
        ProgressiveResizing([(0.5, 24), (0.3, 28)])
    with pytest.raises(InputError, match="image_size"):
        make_learner(callbacks=[ProgressiveResizing([(0.3, 4)])]).fit(1, lr=1e-3)


def test_a_checkpoint_a_cycle(tmp_path):
    checkpoints = CycleCheckpoints(tmp_path / "cycles")
    learner = make_learner(callbacks=[checkpoints]).fit_cycles(3, cycle_multiplier=2, lr=1e-2)
    assert learner.epoch == 7
    assert [path.name for path in checkpoints.paths] == [f"cycle-{k}.safetensors" for k in (1, 2, 3)]
    final = weights(learner.model)
    learner.load(checkpoints.paths[0])
    assert not torch.equal(final["0.weight"], learner.model.state_dict()["0.weight"])
    learner.load(checkpoints.paths[2])
    assert_same(final, learner.model.state_dict())


def test_saved_weights_load_into_the_same_structure_only(tmp_path):
    learner = make_learner().fit(1, lr=1e-3)
    learner.save(tmp_path / "net.safetensors")
    other = make_learner(small_net(seed=1)).load(tmp_path / "net.safetensors")
    assert_same(learner.model.state_dict(), other.model.state_dict())
    with pytest.raises(ModelFileError):
        make_learner(nn.Linear(64, 10)).load(tmp_path / "net.safetensors")


def test_a_forward_step_may_replace_model_and_loss_and_keep_state():
    class Step:
        def __init__(self) -> None:
            self.resets = self.calls = 0

        def reset(self) -> None:
            self.resets += 1

        def __call__(self, model, batch):
            self.calls += 1
            outputs = model(batch[0])
            return outputs, outputs.square().mean()

    step = Step()
    make_learner(forward_step=step).fit(2, lr=1e-3)
    assert step.resets == 4  # each epoch, and each measurement
    assert step.calls == 2 * (12 + 4)


def test_the_epoch_is_told_to_the_batches():
    train, valid = digits()
    make_learner(data=(train, valid)).fit(3, lr=1e-3)
    assert train.epochs_set == [0, 1, 2]


def test_works_with_a_data_loader():
    train, valid = (
        torch.utils.data.DataLoader(
            list(zip(torch.cat([x for x, _ in part]), torch.cat([y for _, y in part]), strict=True)), 64
        )
        for part in digits()
    )
    assert make_learner(data=(train, valid), metrics=[Accuracy()]).fit(3, lr=1e-2).history[-1]["accuracy"].value > 0.5


@pytest.mark.parametrize("data", [42, (), [], ([],)])
def test_data_without_batches_is_refused(data):
    with pytest.raises(InputError, match="no batch"):
        make_learner(data=data)


def test_batches_that_can_be_gone_through_only_once_are_refused():
    train, valid = digits(samples=100)
    with pytest.raises(InputError, match="training part gave no batch"):
        make_learner(data=(Once(train), valid)).fit(3, lr=1e-3)
    with pytest.raises(InputError, match="validation part gave no batch"):
        make_learner(data=(train, Once(valid))).fit(3, lr=1e-3)


class Once:
    """Batches that are used up after one pass, as a generator is."""

    def __init__(self, batches: TensorBatches) -> None:
        self.batches, self.count = iter(batches), len(batches)

    def __iter__(self):
        return self.batches

    def __len__(self) -> int:
        return self.count


def test_a_model_that_measures_no_number_does_not_replace_the_last_good_one(tmp_path):
    class Ruin(Callback):
        def validation_start(self, learner: Learner) -> None:
            if learner.epoch == 2:
                next(learner.model.parameters()).data.fill_(float("inf"))

    path = tmp_path / "model.safetensors"
    with pytest.raises(NonFiniteError):
        make_learner(callbacks=[Ruin(), SaveEachEpoch(path)]).fit(3, lr=1e-3)
    loaded = make_learner().load(path)
    assert all(tensor.isfinite().all() for tensor in loaded.model.state_dict().values())


def test_stopping_between_accumulated_batches_leaves_no_gradient_behind():
    class StopAt(Callback):
        def loss_ready(self, learner: Learner) -> None:
            learner.stop = True

    learner = make_learner(callbacks=[StopAt()]).fit(1, lr=1e-3, accumulate=4)
    assert learner.step == 0
    assert all(parameter.grad is None for parameter in learner.model.parameters())


def test_a_callback_can_stop_training():
    class StopAt(Callback):
        def step_done(self, learner: Learner) -> None:
            learner.stop = learner.step == 5

    learner = make_learner(callbacks=[StopAt()]).fit(10, lr=1e-3)
    assert learner.step == 5
    assert len(learner.history) == 1


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_one_rate_for_all_may_become_one_a_layer_group(optimizer):
    """The optimizer is regrouped, and goes on from what it remembers."""
    recorder = Recorder()
    learner = make_learner(optimizer=optimizer, callbacks=[recorder]).fit(1, lr=1e-3)
    remembered = dict(learner.optimizer.state)
    learner.fit(1, lr=(1e-5, 1e-5, 1e-4, 1e-4, 1e-3), schedule="constant")
    assert all(learner.optimizer.state[p] is state for p, state in remembered.items())
    rates = {group["name"]: group["lr"] for group in learner.optimizer.param_groups}
    assert rates["0.weights"] == 1e-5
    assert rates["3.vectors"] == 1e-4
    assert rates["7.weights"] == 1e-3
    held = [p for group in learner.optimizer.param_groups for p in group["params"]]
    assert len(held) == len(set(held)) == len(list(learner.model.parameters()))


def test_a_finished_optimizer_keeps_its_proportions_when_given_a_rate():
    model = small_net()
    groups = [{"params": model[:6].parameters(), "lr": 0.01}, {"params": model[6:].parameters(), "lr": 0.1}]
    recorder = Recorder()
    make_learner(model, optimizer=torch.optim.SGD(groups, lr=0.1), callbacks=[recorder]).fit(
        1, lr=0.5, schedule="constant"
    )
    assert recorder.rates[0] == pytest.approx([0.05, 0.5])


def test_a_group_may_have_a_schedule_of_its_own():
    model = small_net()
    groups = [
        {"params": model[:6].parameters(), "schedule": lambda p: 1.0 if p < 0.5 else 0.0},
        {"params": model[6:].parameters()},
    ]
    recorder = Recorder()
    make_learner(model, optimizer=torch.optim.SGD(groups, lr=0.1), callbacks=[recorder]).fit(1, schedule="constant")
    assert [rates[0] for rates in recorder.rates] == [0.1] * 6 + [0.0] * 6
    assert {rates[1] for rates in recorder.rates} == {0.1}


def test_later_fits_go_on_with_the_optimizer_and_may_change_its_settings():
    learner = make_learner().fit(1, lr=1e-2)
    learner.fit(1, lr=1e-3, weight_decay=0.3, schedule="constant")
    optimizer = learner.optimizer
    assert {int(state["step"]) for state in optimizer.state.values()} == {24}
    assert {group["lr"] for group in optimizer.param_groups} == {1e-3}
    decays = {group["name"].split(".")[-1]: group["weight_decay"] for group in optimizer.param_groups}
    assert decays == {"weights": 0.3, "vectors": 0.0}
