"""All that training changes, as nested containers of tensors and plain values, and the way back.

Taken between two steps (at `step_end`, `epoch_end` or the beginning or end of a fit) and put into a learner that was
made in the same way, training goes on byte for byte as if it had never stopped: on the same machine, with the same
versions and number of threads.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rushlight.runtime import distributed, nested
from rushlight.runtime.checkpoint import load_weights
from rushlight.runtime.errors import InputError, ModelFileError
from rushlight.runtime.seeds import random_state, set_random_state
from rushlight.training.epoch import Pass
from rushlight.training.history import row_from_json, row_to_json

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from rushlight.training.callbacks import Callback
    from rushlight.training.learner import Learner


def learner_state(learner: Learner) -> dict[str, Any]:
    """What training has changed so far; all processes ask for it together."""
    own = _own_state(learner)
    return {
        "model": dict(learner.model.state_dict()),
        "optimizer": None if learner._rated is None else _optimizer_state(learner.optimizer),
        "epoch": learner.epoch,
        "step": learner.step,
        "progress": learner.progress,
        "stop": learner.stop,
        "history": [row_to_json(row) for row in learner.history.rows],
        "plan": learner._plan_now.state_dict(),
        "first_step": learner._first_step,
        "ends": learner._ends,
        "validations": learner._validation_time.asked,
        "evaluation_times": learner._validation_time.times,
        "callbacks": {name: state for name, callback in _named(learner) if (state := callback.state_dict())},
        **own,
        **({"ranks": nested.of_all(own)} if distributed.ranks() > 1 else {}),
    }


def _own_state(learner: Learner) -> dict[str, Any]:
    """What each of several processes has for itself: its part of the batches, and its random numbers."""
    step: Any = learner.forward_step
    return {
        "pass": None if learner._pass is None else learner._pass.state_dict(),
        "forward_step": step.state_dict() if hasattr(step, "state_dict") else {},
        "random": random_state(),
    }


def _of_this_rank(saved: dict[str, Any]) -> dict[str, Any]:
    """The state with what this process had; what another number of processes had fits none of them."""
    kept = saved.get("ranks", [{}])
    if len(kept) == distributed.ranks():
        return saved | kept[distributed.rank()]
    found = saved | {"forward_step": {}}
    if not distributed.is_writer():  # what was measured counts once, and random numbers are each one's own
        found["random"] = random_state()
        if saved["pass"] is not None:
            counted = saved["pass"]["train_loss"]
            nothing = counted | {"weights": [0] * len(counted["weights"])}
            found["pass"] = saved["pass"] | {"train_loss": nothing}
    return found


def load_learner_state(learner: Learner, saved: dict[str, Any]) -> None:
    """Go on from what `learner_state` gave.

    Raises:
        ModelFileError: the weights do not fit the model, or something is missing.
        InputError: the optimizer is another.
    """
    try:
        _load(learner, saved)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, RuntimeError) as error:
        raise ModelFileError(f"the saved state does not belong to this training: {error!r:.200}") from error


def _load(learner: Learner, saved: dict[str, Any]) -> None:
    saved = _of_this_rank(saved)
    load_weights(learner.model, saved["model"], "resume.safetensors")
    on_device = {name: _moved(saved[name], learner.device) for name in ("pass", "forward_step", "callbacks")}
    if saved["optimizer"] is not None:
        _load_optimizer_state(learner.optimizer, saved["optimizer"])
    learner.epoch, learner.step = saved["epoch"], saved["step"]
    learner.progress, learner.stop = saved["progress"], saved["stop"]
    learner.history.rows[:] = [row_from_json(row) for row in saved["history"]]
    learner.row = learner.history.rows[-1] if learner.history.rows else {}
    learner._plan_now.load_state_dict(saved["plan"])
    learner._first_step, learner._ends = saved["first_step"], list(saved["ends"])
    learner._validation_time.asked = saved["validations"]
    learner._validation_time.times = [(size, seconds) for size, seconds in saved["evaluation_times"]]
    learner._pass = None if saved["pass"] is None else Pass.from_state_dict(on_device["pass"])
    if learner._pass is not None:
        learner._begin_pass(learner.data.train)
    if saved["forward_step"]:
        step: Any = learner.forward_step
        step.load_state_dict(on_device["forward_step"])
    for name, callback in _named(learner):
        if name in saved["callbacks"]:
            callback.load_state_dict(on_device["callbacks"][name])
    set_random_state(saved["random"])


def begin_epoch_again(saved: dict[str, Any]) -> None:
    """Leave out the place within the epoch and what is kept from batch to batch, which fit batches of one size only."""
    for own in [saved, *saved.get("ranks", [])]:
        own.update({"pass": None, "forward_step": {}})


def forget_settings(saved: dict[str, Any]) -> None:
    """Leave out the length and the rates of the fit under way, so that other ones than it began with serve."""
    for name in ("steps", "seconds"):
        saved.get("plan", {}).pop(name, None)
    for group in (saved.get("optimizer") or {}).get("param_groups", []):
        for name in ("lr", "initial_lr", "weight_decay"):
            group.pop(name, None)


def _moved(value: Any, device: torch.device) -> Any:
    """The same containers with every tensor on the device; the states of random generators stay where they are."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: part if key == "generators" else _moved(part, device) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(part, device) for part in value)
    return value


def _named(learner: Learner) -> list[tuple[str, Callback]]:
    """Callbacks by a name that says which they are in another process too."""
    seen: Counter[str] = Counter()
    named = []
    for callback in learner.callbacks:
        name = type(callback).__name__
        seen[name] += 1
        named.append((f"{name}-{seen[name]}", callback))
    return named


def _optimizer_state(optimizer: Optimizer) -> dict[str, Any]:
    """The optimizer's own state without the functions in its groups, which are made again with it."""
    found = optimizer.state_dict()
    groups = [{key: value for key, value in group.items() if not callable(value)} for group in found["param_groups"]]
    return {"state": found["state"], "param_groups": groups}


def _load_optimizer_state(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    groups = []
    for group, own in zip(saved["param_groups"], optimizer.state_dict()["param_groups"], strict=False):
        groups.append({**{key: value for key, value in own.items() if key != "params"}, **group})
    try:
        optimizer.load_state_dict({"state": saved["state"], "param_groups": groups})
    except ValueError as error:
        raise InputError(f"the saved state belongs to another optimizer: {error}") from None
