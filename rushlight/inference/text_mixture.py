"""Language models that were trained one by one, answering together; see `rushlight.nn.mixture`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from rushlight.inference.text_counts import count_text
from rushlight.inference.text_file import load_language_model, save_language_model
from rushlight.nn.mixture import MixtureLanguageModel
from rushlight.nn.ngram import NGramLanguageModel
from rushlight.runtime.errors import InputError
from rushlight.runtime.run_folder import RunFolder

NGRAM_WEIGHT = 0.2  # best of 0.05, 0.1 and 0.2 beside an LSTM on a second validation part of Nietzsche: 1.328 to 1.295


def save_mixture(
    runs: Sequence[str | Path],
    path: str | Path,
    *,
    counted: np.ndarray | None = None,
    ngram_weight: float = NGRAM_WEIGHT,
) -> None:
    """Write the mixture of saved language models as one file that rebuilds itself: `Writer.load(path)`.

    Args:
        runs: run folders or model files; the members of a mixture count as members of the new one.
        path: the file.
        counted: (N,) the training text as tokens of the models; an n-gram model of it joins them.
        ngram_weight: of that in the mean; the others share the rest equally.

    Raises:
        InputError: there is only one to mix, one is missing, they do not read the same tokens, or the weight is not
            between 0 and 1.
        ModelFileError: a file is not ours, is damaged, or belongs to another task.
        StorageError: the file cannot be written; what was there before is untouched.
    """
    if len(runs) + (counted is not None) < 2:
        raise InputError("a mixture takes two or more models; give the folders of several runs, or add an n-gram model")
    if not 0 < ngram_weight < 1:
        raise InputError(f"the weight of the n-gram model must be between 0 and 1, not {ngram_weight:g}")
    members: list[nn.Module] = []
    arguments: list[dict[str, Any]] = []
    weights: list[float] = []
    first: tuple[Any, ...] | None = None
    for run in runs:
        model, tokenizer, metadata = load_language_model(RunFolder.find(run))
        reads = (metadata["tokenizer"], tokenizer.to_json(), metadata["lowercase"])
        first = first or (tokenizer, *reads)
        if reads != first[1:]:
            raise InputError(
                f"'{run}' does not read the same tokens as '{runs[0]}', so their answers cannot be averaged: train "
                "them on the same text with the same settings"
            )
        own = {key: value for key, value in metadata["model_arguments"].items() if key != "tokens"}
        if isinstance(model, MixtureLanguageModel):
            if counted is not None and any(isinstance(member, NGramLanguageModel) for member in model.members):
                raise InputError(f"'{run}' has an n-gram model already: leave --ngram out, or mix its members anew")
            members += list(model.members)
            arguments += own["members"]
            weights += [weight * len(model.members) for weight in model.weights]
        else:
            weights.append(1.0)
            members.append(model)
            arguments.append({"model": metadata["model"], **own})
    assert first is not None  # there is one
    tokenizer, name, _, lowercase = first
    if counted is not None:
        ngram = count_text(counted, tokenizer)
        weights = [(1 - ngram_weight) * weight / sum(weights) for weight in weights] + [ngram_weight]
        members.append(ngram)
        arguments.append({"model": ngram.NAME, **ngram.arguments})
    mixture = MixtureLanguageModel(members, weights)
    settings = {"members": arguments, "weights": mixture.weights}
    save_language_model(path, mixture, "mixture", settings, tokenizer, name, lowercase=lowercase)
