"""The metadata of a language model's file, and the way back from the file to the model and its tokenizer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from rushlight.data.tokenizers import TOKENIZERS, Tokenizer, tokenizer_class
from rushlight.inference.model_file import (
    is_one_of,
    is_small_object,
    rebuilt,
    refuse,
    require_all,
    require_model,
    require_task,
)
from rushlight.nn.language_models import LANGUAGE_MODELS, build_language_model
from rushlight.runtime.checkpoint import read_checkpoint, save_checkpoint
from rushlight.runtime.errors import InputError
from rushlight.version import __version__

TASK = "text"


def save_language_model(
    path: str | Path,
    model: nn.Module,
    model_name: str,
    model_arguments: Mapping[str, Any],
    tokenizer: Tokenizer,
    tokenizer_name: str,
    *,
    lowercase: bool = False,
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Write a language model as one file that rebuilds itself.

    Args:
        path: the file.
        model: its weights are written.
        model_name: its entry in `nn.language_models.LANGUAGE_MODELS`.
        model_arguments: the options it was called with; the number of tokens need not be among them.
        tokenizer: between text and numbers.
        tokenizer_name: its entry in `data.tokenizers.TOKENIZERS`.
        lowercase: whether a text is to be made lower-case first.
        metrics: what was measured, as `Measured` or anything with a JSON form.

    Raises:
        StorageError: the file cannot be written; what was there before is untouched.
    """
    metadata = {
        "task": TASK,
        "rushlight": __version__,
        "model": model_name,
        "model_arguments": dict(model_arguments),
        "tokenizer": tokenizer_name,
        "vocabulary": tokenizer.to_json(),
        "lowercase": lowercase,
        "metrics": dict(metrics or {}),
    }
    save_checkpoint(path, model.state_dict(), metadata)


def load_language_model(path: str | Path) -> tuple[nn.Module, Tokenizer, dict[str, Any]]:
    """Rebuild the language model of a file.

    Returns:
        The model on the CPU, its tokenizer, and the file's metadata.

    Raises:
        ModelFileError: the file is not ours, is damaged, belongs to another task, or does not fit together.
    """
    checkpoint = read_checkpoint(path)
    metadata = {"lowercase": False, "metrics": {}, **checkpoint.metadata}
    require_task(path, metadata, TASK, "a language model")
    require_model(path, metadata, LANGUAGE_MODELS)
    believable = {
        "model_arguments": is_small_object(metadata.get("model_arguments")),
        "tokenizer": is_one_of(metadata.get("tokenizer"), TOKENIZERS),
        "lowercase": isinstance(metadata["lowercase"], bool),
        "metrics": isinstance(metadata["metrics"], dict),
    }
    require_all(path, believable)
    try:
        tokenizer = tokenizer_class(metadata["tokenizer"]).from_json(metadata.get("vocabulary"))
    except InputError as error:
        refuse(path, f"its 'vocabulary' makes no sense: {error}")
    name, arguments = metadata["model"], metadata["model_arguments"]
    arguments = {key: value for key, value in arguments.items() if key != "tokens"}
    model = rebuilt(path, name, checkpoint.tensors, lambda: build_language_model(name, tokenizer.size, **arguments))
    return model, tokenizer, metadata
