"""The metadata of an image classifier's model file, and the way back from the file to the model.

The file names an entry of `nn.models.MODELS` and its arguments, never an import path. What it says is checked
field by field, and the model is first built without memory, so that a file cannot ask for more than it holds.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from torch import nn

from rushlight.data.decode import FITS
from rushlight.inference.answers import answers_of
from rushlight.inference.calibration import HIGHEST, LOWEST, MOST_LOSSES, Calibration
from rushlight.inference.model_file import (
    is_names,
    is_small_object,
    rebuilt,
    require_all,
    require_model,
    require_task,
)
from rushlight.inference.tta import VIEWS
from rushlight.nn.models import MODELS, build_model
from rushlight.runtime.checkpoint import read_checkpoint, save_checkpoint
from rushlight.version import __version__

TASK = "images"

_LARGEST_SIZE = 4096  # pixels


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
    calibration: Calibration | None = None,
    target: Mapping[str, Any] | None = None,
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
        calibration: how sure the answers are to be taken; see `calibration.calibrate`.
        target: what the outputs mean, as `Answers.to_json` says it; one of several classes if None.

    Raises:
        StorageError: the file cannot be written; what was there before is untouched.
    """
    calibration = calibration or Calibration()
    metadata = {
        "task": TASK,
        "rushlight": __version__,
        "model": model_name,
        "model_arguments": dict(model_arguments),
        "target": dict(target or {"kind": "label"}),
        "classes": list(classes),
        "size": size,
        "mean": list(mean),
        "std": list(std),
        "views": views,
        "fit": fit,
        "temperature": calibration.temperature,
        "calibration_losses": list(calibration.losses),
        "calibration_scales": list(calibration.scales),
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
    name = metadata["model"]
    arguments = {
        # A file brings its own weights: it must not be able to ask for others to be fetched.
        **{key: value for key, value in metadata["model_arguments"].items() if key != "pretrained"},
        "classes": len(metadata["classes"]),
        "channels": len(metadata["mean"]),
        "size": metadata["size"],
    }
    return rebuilt(path, name, checkpoint.tensors, lambda: build_model(name, **arguments)), metadata


def _checked(path: str | Path, metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata with defaults filled in, or a refusal that names the first field that is wrong."""
    usual = {"views": "flip_shift", "fit": "crop", "temperature": 1.0, "calibration_losses": [], "metrics": {}}
    metadata = usual | {"target": {"kind": "label"}, "calibration_scales": []} | metadata
    classes = metadata.get("classes")
    require_task(path, metadata, TASK, "an image classifier")
    require_model(path, metadata, MODELS)
    size, mean, std = (metadata.get(field) for field in ("size", "mean", "std"))
    believable = {
        "model_arguments": is_small_object(metadata.get("model_arguments")),
        "classes": is_names(classes),
        "target": _is_target(metadata["target"], classes),
        "size": type(size) is int and 0 < size <= _LARGEST_SIZE,
        "mean": _is_channels(mean),
        "std": _is_channels(std) and _is_channels(mean) and len(std) == len(mean) and min(std) > 0,
        "views": metadata["views"] in list(VIEWS),
        "fit": metadata["fit"] in FITS,
        "temperature": _is_temperature(metadata["temperature"]),
        "calibration_losses": _are_losses(metadata["calibration_losses"]),
        "calibration_scales": _are_scales(metadata, classes),
        "metrics": isinstance(metadata["metrics"], dict),
    }
    require_all(path, believable)
    return metadata


def _is_target(value: Any, names: Any) -> bool:
    """Whether this says what outputs of these names mean."""
    try:
        answers_of(value, names)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return True


def _is_channels(value: Any) -> TypeGuard[list[float]]:
    """Whether this is one finite number for each of 1 to 4 channels."""
    if not isinstance(value, list) or not 0 < len(value) <= 4:
        return False
    return all(isinstance(number, (int, float)) and math.isfinite(number) for number in value)


def _is_temperature(value: Any) -> bool:
    return type(value) in (int, float) and LOWEST <= value <= HIGHEST


def _are_scales(metadata: dict[str, Any], names: Any) -> bool:
    """Whether there is one number above zero for each output of a model of numbers with losses, and none for others."""
    scales = metadata["calibration_scales"]
    target = metadata["target"]
    needed = isinstance(target, dict) and target.get("kind") == "number" and bool(metadata["calibration_losses"])
    if not isinstance(scales, list) or len(scales) != (len(names) if needed else 0):
        return False
    return all(type(scale) in (int, float) and 0 < scale < math.inf for scale in scales)


def _are_losses(value: Any) -> bool:
    """Whether these are finite numbers from zero up."""
    if not isinstance(value, list) or len(value) > MOST_LOSSES:
        return False
    return all(type(loss) in (int, float) and 0 <= loss < math.inf for loss in value)
