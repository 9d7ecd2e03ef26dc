"""The metadata of an image classifier's model file, and the way back from the file to the model.

The file names an entry of `nn.models.MODELS` and its arguments, never an import path. What it says is checked
field by field, and the model is first built without memory, so that a file cannot ask for more than it holds.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeGuard

import torch
from torch import nn

from rushlight.data.decode import FITS
from rushlight.inference.calibration import HIGHEST, LOWEST
from rushlight.inference.tta import VIEWS
from rushlight.nn.models import MODELS, build_model
from rushlight.runtime.checkpoint import check_weights, load_weights, read_checkpoint, save_checkpoint
from rushlight.runtime.errors import ModelFileError, nearest_name
from rushlight.version import __version__

TASK = "images"

_LARGEST_SIZE = 4096  # pixels
_LARGEST_ARGUMENT = 65_536  # no width or depth of a network comes near


def save_classifier(
    path: str | Path,
    model: nn.Module,
    model_name: str,
    model_arguments: Mapping[str, Any],
    classes: Sequence[str],
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    metrics: Mapping[str, Any] | None = None,
    *,
    views: str = "flip_shift",
    fit: str = "crop",
    temperature: float = 1.0,
) -> None:
    """Write a classifier as one file that rebuilds itself.

    Args:
        path: the file.
        model: its weights are written.
        model_name: its entry in `nn.models.MODELS`.
        model_arguments: the options it was called with; classes, channels and size need not be among them.
        classes: names, in the order of the outputs.
        size: side of the square images, in pixels.
        mean: of each channel over the training images, in 0 to 1.
        std: likewise the standard deviation.
        metrics: what was measured, as `Measured` or anything with a JSON form.
        views: the test-time augmentation that suits the data: `flip_shift`, or `shift` where a mirror image
            means something else, as with digits and letters.
        fit: how images of another shape are brought to the square; see `data.decode.decode_image`.
        temperature: what the outputs are divided by before the softmax; see `calibration.fit_temperature`.

    Raises:
        StorageError: the file cannot be written; what was there before is untouched.
    """
    metadata = {
        "task": TASK,
        "rushlight": __version__,
        "model": model_name,
        "model_arguments": dict(model_arguments),
        "classes": list(classes),
        "size": size,
        "mean": list(mean),
        "std": list(std),
        "views": views,
        "fit": fit,
        "temperature": temperature,
        "metrics": dict(metrics or {}),
    }
    save_checkpoint(path, model.state_dict(), metadata)


def load_classifier(path: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuild the classifier of a model file.

    Returns:
        The model on the CPU, and the file's metadata with every field that `save_classifier` writes.

    Raises:
        ModelFileError: the file is not ours, is damaged, belongs to another task, or does not fit together.
    """
    checkpoint = read_checkpoint(path)
    metadata = _checked(path, checkpoint.metadata)
    with torch.device("meta"):
        check_weights(_build(path, metadata), checkpoint.tensors, path)
    with torch.random.fork_rng(devices=[]):  # the first weights are random; a caller's numbers stay as they are
        model = _build(path, metadata)
    load_weights(model, checkpoint.tensors, path)
    return model, metadata


def _build(path: str | Path, metadata: dict[str, Any]) -> nn.Module:
    arguments = {
        **metadata["model_arguments"],
        "classes": len(metadata["classes"]),
        "channels": len(metadata["mean"]),
        "size": metadata["size"],
    }
    try:
        return build_model(metadata["model"], **arguments)
    except Exception as error:  # whatever a constructor says to arguments that came from a file
        _refuse(path, f"the model '{metadata['model']}' cannot be built with its arguments: {error!s:.200}")


def _checked(path: str | Path, metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata with defaults filled in, or a refusal that names the first field that is wrong."""
    task = metadata.get("task")
    if task != TASK:
        _refuse(path, f"it holds a model for {task!r:.40}, not an image classifier")
    metadata = {"views": "flip_shift", "fit": "crop", "temperature": 1.0, "metrics": {}, **metadata}
    name = metadata.get("model")
    if not isinstance(name, str) or name not in MODELS:
        hint = nearest_name(str(name)[:100], MODELS)
        _refuse(path, f"it names the model {name!r:.100}, which rushlight {__version__} does not have; {hint}")
    size, mean, std = (metadata.get(field) for field in ("size", "mean", "std"))
    believable = {
        "model_arguments": _is_small_object(metadata.get("model_arguments")),
        "classes": _is_names(metadata.get("classes")),
        "size": type(size) is int and 0 < size <= _LARGEST_SIZE,
        "mean": _is_channels(mean),
        "std": _is_channels(std) and _is_channels(mean) and len(std) == len(mean) and min(std) > 0,
        "views": metadata["views"] in list(VIEWS),
        "fit": metadata["fit"] in FITS,
        "temperature": _is_temperature(metadata["temperature"]),
        "metrics": isinstance(metadata["metrics"], dict),
    }
    wrong = [field for field, good in believable.items() if not good]
    if wrong:
        _refuse(path, f"its '{wrong[0]}' is missing or makes no sense")
    return metadata


def _is_names(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= _LARGEST_ARGUMENT
        and all(isinstance(name, str) for name in value)
        and len(set(value)) == len(value)
    )


def _is_channels(value: Any) -> TypeGuard[list[float]]:
    """Whether this is one finite number for each of 1 to 4 channels."""
    if not isinstance(value, list) or not 0 < len(value) <= 4:
        return False
    return all(isinstance(number, (int, float)) and math.isfinite(number) for number in value)


def _is_temperature(value: Any) -> bool:
    return type(value) in (int, float) and LOWEST <= value <= HIGHEST


def _is_small_object(value: Any) -> bool:
    return isinstance(value, dict) and _is_small(value)


def _is_small(value: Any) -> bool:
    """Whether no number in it is far beyond any real network's."""
    if isinstance(value, dict):
        return all(map(_is_small, value.values()))
    if isinstance(value, list):
        return len(value) <= _LARGEST_ARGUMENT and all(map(_is_small, value))
    return not isinstance(value, (int, float)) or abs(value) <= _LARGEST_ARGUMENT


def _refuse(path: str | Path, reason: str) -> NoReturn:
    raise ModelFileError(f"model file '{path}' refused: {' '.join(reason.split())}")
