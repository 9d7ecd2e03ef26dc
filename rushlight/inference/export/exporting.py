"""Write a model in a format that other programs run, after it was compared with the original."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rushlight.inference.export.formats import FORMATS, Format, Run
from rushlight.inference.export.programs import Program, program_of
from rushlight.runtime.errors import InputError, nearest_name
from rushlight.runtime.files import atomic_write_bytes
from rushlight.runtime.run_folder import RunFolder

TOLERANCE = 1e-3  # of a probability's logarithm; float32 in another order of work differs by some 1e-6


@dataclass(frozen=True)
class Comparison:
    """How an exported model answers beside the original.

    Attributes:
        predictions: how many were compared.
        same: in how many the most probable answer is the same; of several labels, all of them; of numbers, whether each
            is above its mean.
        largest_difference: of the logarithm of any probability; of labels and numbers, of any output.
    """

    predictions: int
    same: int
    largest_difference: float


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        path: the file.
        format: its name in `FORMATS`.
        comparison: with the original.
    """

    path: Path
    format: str
    comparison: Comparison

    def to_json(self) -> dict[str, Any]:
        """The object that `export --json` prints."""
        return {"file": str(self.path), "format": self.format, **vars(self.comparison)}


def export_model(run_or_file: str | Path, to: str = "onnx", output: str | Path | None = None) -> Exported:
    """Write a trained model in another format, if it then answers as the original does.

    Args:
        run_or_file: a run folder or a model file.
        to: a name in `FORMATS`.
        output: the file; `model` with the suffix of the format, beside the original, if None.

    Raises:
        InputError: there is no such run or format, a package is missing, a model of this kind cannot be exported, or
            the exported model answers otherwise than the original; then nothing is written.
        ModelFileError: the model file is not ours, or is damaged.
        StorageError: the file cannot be written; what was there before is untouched.
    """
    if to not in FORMATS:
        raise InputError(f"there is no format '{to}': {nearest_name(to, FORMATS)}")
    chosen: Format = FORMATS[to]
    chosen.require_packages()
    model_file = RunFolder.find(run_or_file)
    path = model_file.with_name(f"model{chosen.suffix}") if output is None else Path(output)
    program = program_of(model_file)
    data = chosen.write(program)
    found = compare(program, chosen.read(data, program))
    if not found.largest_difference <= TOLERANCE or found.same < found.predictions:
        raise InputError(
            f"the exported model does not answer as '{run_or_file}' does, so it was not written: the largest "
            f"difference is {found.largest_difference:.2g}, at most {TOLERANCE:g} is allowed, and "
            f"{found.predictions - found.same} of {found.predictions} answers differ"
        )
    atomic_write_bytes(path, data)
    return Exported(path, to, found)


@torch.no_grad()
def compare(program: Program, exported: Run) -> Comparison:
    """Ask the original and the exported model the same, each going on from its own state.

    Args:
        program: with the original and what to ask.
        exported: runs the exported one.
    """
    count = same = 0
    largest = 0.0
    ours: list[Tensor] = []
    theirs: list[Tensor] = []
    for first, *states in program.checks:
        ours = list(program.module(first, *(ours[1:] if ours and states else states)))
        theirs = exported([first, *(theirs[1:] if theirs and states else states)])
        expected, found = (_comparable(results[0], program.exclusive) for results in (ours, theirs))
        if found.shape != expected.shape or not bool(found.isfinite().all()):
            return Comparison(count + expected[..., 0].numel(), same, float("inf"))
        count += expected[..., 0].numel()
        same += int(_same_answers(expected, found, program.exclusive).sum())
        largest = max(largest, float((expected - found).abs().max()))
    return Comparison(count, same, largest)


def _comparable(outputs: Tensor, exclusive: bool) -> Tensor:
    """Logarithms of probabilities where one of the outputs is right, else the outputs."""
    return torch.log_softmax(outputs.float(), dim=-1) if exclusive else outputs.float()


def _same_answers(expected: Tensor, found: Tensor, exclusive: bool) -> Tensor:
    """Whether the same is said of each image; what stands on the border between two answers counts as either."""
    if exclusive:
        return expected.argmax(-1) == found.argmax(-1)
    on_border = expected.abs() <= TOLERANCE
    return (((expected > 0) == (found > 0)) | on_border).all(-1)
