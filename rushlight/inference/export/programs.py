"""What is exported: a model with its preparation inside, and everything a program needs to know to ask it.

A classifier takes pixels as they come from a file, and the graph normalises them and divides by the temperature, so
nobody can forget either. A language model takes its state and gives the next one, so a program keeps it as it likes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from rushlight.data.tokenizers import Tokenizer
from rushlight.inference.answers import NumberAnswers, answers_of
from rushlight.inference.classifier_file import load_classifier
from rushlight.inference.export.recurrent_graph import OPERATORS
from rushlight.inference.model_file import task_of
from rushlight.inference.text_file import load_language_model
from rushlight.nn.language_model import RecurrentLanguageModel, map_state
from rushlight.runtime.errors import InputError
from rushlight.version import __version__

_CHECKED = 100  # predictions that the exported model is compared on
_STREAMS, _WINDOW = 4, 5  # a language model reads this many streams, and so many positions at a time: 5 x 4 x 5


@dataclass(frozen=True)
class Program:
    """A module and how it is called.

    Attributes:
        module: takes tensors named `inputs` as its arguments, and gives tensors named `outputs`.
        inputs: the names of the arguments.
        outputs: the names of the results; the first is the one that answers are read from.
        metadata: what a program that uses it must know, as text.
        exclusive: whether the first result is compared as logits of which one is right; else number by number.
        checks: sequences of arguments to compare answers on. Where there are states, those of the first call are
            given, and each further call is given those that the call before it left.
    """

    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    metadata: dict[str, str]
    checks: list[tuple[Tensor, ...]]
    exclusive: bool = True


class ClassifierProgram(nn.Module):
    """Pixels to outputs and answers, with the normalisation and the temperature of the training.

    Args:
        model: normalised images (B, C, H, W) to logits (B, classes).
        mean: of each channel, in 0 to 1.
        std: likewise the standard deviation.
        temperature: what logits are divided by.
        activation: makes answers of outputs; see `ACTIVATIONS`.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        temperature: float,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature
        self.activation = activation or nn.Softmax(dim=1)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (B, H, W, C) uint8 to outputs over the temperature, and answers, each (B, classes)."""
        images = (pixels.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std
        logits = self.model(images) / self.temperature
        return logits, self.activation(logits)


class InUnits(nn.Module):
    """Outputs in deviations (B, columns) to numbers in their units.

    Args:
        answers: with mean and deviation of each.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, answers: NumberAnswers) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(answers.mean, dtype=torch.float32))
        self.register_buffer("deviation", torch.tensor(answers.deviation, dtype=torch.float32))

    def forward(self, outputs: Tensor) -> Tensor:
        """(B, columns) to (B, columns)."""
        return outputs * self.deviation + self.mean


# By the kind of target: what makes answers of outputs, the names of both, and what is said to be included.
ACTIVATIONS: dict[str, tuple[Callable[[Any], nn.Module], tuple[str, str], str]] = {
    "label": (lambda answers: nn.Softmax(dim=1), ("logits", "probabilities"), "softmax"),
    "labels": (lambda answers: nn.Sigmoid(), ("logits", "probabilities"), "sigmoid"),
    "number": (InUnits, ("outputs", "values"), "mean and deviation of the numbers"),
}


class LanguageProgram(nn.Module):
    """Tokens and the parts of a state, one after the other, to logits and the parts of the next state.

    Args:
        model: a recurrent language model.
        cell: of which kind.
    """

    def __init__(self, model: RecurrentLanguageModel, cell: str) -> None:
        super().__init__()
        self.model, self.cell = model, cell

    def forward(self, tokens: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        """Tokens (T, B) and the state's parts (B, H) to logits (T, B, V) and the next parts."""
        left = iter(parts)
        before = map_state(lambda _: next(left), self.model.initial_state(1))
        logits, after = self.model(tokens, before)
        return logits, *parts_of(after)


def parts_of(state: Any) -> list[Tensor]:
    """The tensors of a state, in order."""
    parts: list[Tensor] = []
    map_state(lambda part: parts.append(part) or part, state)  # type: ignore[func-returns-value]
    return parts


def program_of(file: Path) -> Program:
    """The program of a model file.

    Raises:
        InputError: a model of this kind cannot be exported.
        ModelFileError: the file is not ours, or is damaged.
    """
    if task_of(file) == "images":
        return classifier_program(*load_classifier(file))
    model, tokenizer, metadata = load_language_model(file)
    return language_program(model, tokenizer, metadata)


def classifier_program(model: nn.Module, metadata: dict[str, Any]) -> Program:
    """The program of a classifier; for its arguments see `load_classifier`."""
    size = metadata["size"]
    pixels = checking_pixels(_CHECKED, size, len(metadata["mean"]))
    answers = answers_of(metadata.get("target"), metadata["classes"])
    activation, outputs, included = ACTIVATIONS[answers.kind]
    told = {
        "task": "images",
        "rushlight": __version__,
        "labels": json.dumps(metadata["classes"]),
        "size": str(size),
        "fit": metadata["fit"],
        "mean": json.dumps(metadata["mean"]),
        "std": json.dumps(metadata["std"]),
        "temperature": repr(float(metadata["temperature"])),
        "included": f"normalisation, temperature, {included}",
        "target": json.dumps(answers.to_json()),
    }
    module = ClassifierProgram(
        model, metadata["mean"], metadata["std"], metadata["temperature"], activation(answers)
    ).eval()
    checks: list[tuple[Tensor, ...]] = [(part,) for part in pixels.split(20)]
    return Program(module, ("pixels",), outputs, told, checks, exclusive=answers.exclusive)


def language_program(model: nn.Module, tokenizer: Tokenizer, metadata: dict[str, Any]) -> Program:
    """The program of a language model; for its arguments see `load_language_model`.

    Raises:
        InputError: it is not recurrent.
    """
    name = metadata["model"]
    if name not in OPERATORS or not isinstance(model, RecurrentLanguageModel):
        raise InputError(
            f"a language model of the kind '{name}' cannot be exported, only {', '.join(OPERATORS)}: "
            "the state of others has no operator that carries it; train one with, for example, --model lstm"
        )
    random = torch.Generator().manual_seed(0)
    tokens = torch.randint(tokenizer.size, (_CHECKED // _STREAMS, _STREAMS), generator=random)
    start = parts_of(model.initial_state(_STREAMS))
    states = [f"state_{number}" for number in range(1, len(start) + 1)]
    new_states = [f"new_{state}" for state in states]
    told = {
        "task": "text",
        "rushlight": __version__,
        "tokenizer": metadata["tokenizer"],
        "vocabulary": json.dumps(tokenizer.to_json(), ensure_ascii=False),
        "first_number": "2",  # of the vocabulary: 0 stands for what is unknown, 1 for padding
        "lowercase": json.dumps(metadata["lowercase"]),
        "temperature": "1.0",
        "states": json.dumps(
            [
                {"input": before, "output": after, "size": part.shape[1]}
                for before, after, part in zip(states, new_states, start, strict=True)
            ]
        ),
    }
    module = LanguageProgram(model, name).eval()
    checks = [(window, *start) for window in tokens.split(_WINDOW)]
    return Program(module, ("tokens", *states), ("logits", *new_states), told, checks)


def checking_pixels(count: int, size: int, channels: int = 3) -> Tensor:
    """Pictures to compare answers on: clouds of colour, coarse and fine, dark and light; (N, size, size, C) uint8."""
    random = torch.Generator().manual_seed(0)
    pictures = []
    for number in range(count):
        grain = 2 ** (1 + number % 5)
        cloud = torch.rand(1, channels, grain, grain, generator=random)
        contrast, shift = torch.rand(2, generator=random)
        smooth = interpolate(cloud, (size, size), mode="bilinear", align_corners=False)
        pictures.append(((smooth - 0.5) * (0.3 + contrast) + 0.2 + 0.6 * shift).clamp(0, 1))
    return (torch.cat(pictures) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
