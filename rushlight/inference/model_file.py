"""What the model files of all tasks have in common: how they are refused, and the safe way from a file to a module.

A file names an entry of a visible dict and its arguments, never an import path. What it says is checked field by field,
and the model is first built without memory, so that a file cannot ask for more than it holds.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from rushlight.runtime.checkpoint import check_weights, load_weights, read_checkpoint
from rushlight.runtime.errors import ModelFileError, nearest_name
from rushlight.runtime.uninitialised import structure_only, without_random_weights
from rushlight.version import __version__

LARGEST_ARGUMENT = 65_536  # no width or depth of a network comes near

_TASKS = {"images": "an image classifier", "text": "a language model"}


def task_of(path: str | Path) -> str:
    """What the model of a file is for: `images` or `text`.

    Raises:
        ModelFileError: the file is not ours, is damaged, or is of a task that is not known here.
    """
    task = read_checkpoint(path).metadata.get("task")
    if not isinstance(task, str) or task not in _TASKS:
        refuse(path, f"it holds a model for {task!r:.40}, which rushlight {__version__} does not know")
    return task


def rebuilt(path: str | Path, name: str, tensors: Mapping[str, Tensor], build: Callable[[], nn.Module]) -> nn.Module:
    """A module with the weights of a file, on the CPU.

    Args:
        path: the file, for the message.
        name: of the model, for the message.
        tensors: its weights.
        build: makes the module; called first on the meta device, where nothing takes memory.

    Raises:
        ModelFileError: the module cannot be built, or the weights are not its.
    """
    try:
        with structure_only():
            plan = build()
    except Exception as error:  # whatever a constructor says to arguments that came from a file
        refuse(path, f"the model '{name}' cannot be built with its arguments: {error!s:.200}")
    check_weights(plan, tensors, path)
    # The weights of the file come instead. A caller's random numbers stay as they are, whatever a constructor draws.
    with without_random_weights(), torch.random.fork_rng(devices=[]):
        model = build()
    load_weights(model, tensors, path)
    return model


def require_task(path: str | Path, metadata: Mapping[str, Any], task: str, what: str) -> None:
    """Refuse a file of another task."""
    found = metadata.get("task")
    if found != task:
        held = _TASKS.get(found, f"a model for {found!r:.40}") if isinstance(found, str) else f"{found!r:.40}"
        refuse(path, f"it holds {held}, not {what}")


def require_model(path: str | Path, metadata: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse a file whose model has no entry among the known ones."""
    name, known = metadata.get("model"), list(known)
    if not isinstance(name, str) or name not in known:
        hint = nearest_name(str(name)[:100], known)
        refuse(path, f"it names the model {name!r:.100}, which rushlight {__version__} does not have; {hint}")


def require_all(path: str | Path, believable: Mapping[str, bool]) -> None:
    """Refuse a file, naming the first field that is not believable."""
    wrong = [field for field, good in believable.items() if not good]
    if wrong:
        refuse(path, f"its '{wrong[0]}' is missing or makes no sense")


def is_names(value: Any, most: int = LARGEST_ARGUMENT) -> bool:
    """Whether this is a list of distinct strings, at least one."""
    return (
        isinstance(value, list)
        and 0 < len(value) <= most
        and all(isinstance(name, str) for name in value)
        and len(set(value)) == len(value)
    )


def is_one_of(value: Any, known: Container[str]) -> bool:
    """Whether this is a known name."""
    return isinstance(value, str) and value in known


def is_small_object(value: Any) -> bool:
    """Whether this is an object in which no number is far beyond any real network's."""
    return isinstance(value, dict) and _is_small(value)


def refuse(path: str | Path, reason: str) -> NoReturn:
    """Say why a file cannot be used.

    Raises:
        ModelFileError: always.
    """
    raise ModelFileError(f"model file '{path}' refused: {' '.join(reason.split())}")


def _is_small(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_small, value.values()))
    if isinstance(value, list):
        return len(value) <= LARGEST_ARGUMENT and all(map(_is_small, value))
    return not isinstance(value, (int, float)) or abs(value) <= LARGEST_ARGUMENT
