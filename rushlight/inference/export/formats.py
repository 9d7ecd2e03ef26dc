"""The formats: each writes a program as bytes, and runs those bytes again.

To add one, write a function to bytes and a function back to something that runs, and their line in `FORMATS`.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from rushlight.inference.export.programs import LanguageProgram, Program
from rushlight.inference.export.recurrent_graph import recurrent_graph
from rushlight.runtime.errors import InputError
from rushlight.version import __version__

ONNX_OPSET = 20

Run = Callable[[Sequence[Tensor]], list[Tensor]]
"""Arguments to results, by an exported program."""


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        suffix: of its files.
        packages: what it takes beside PyTorch; all of them come with the extra `onnx`.
        write: a program to the bytes of a file.
        read: those bytes, and the program's names of inputs and outputs, to something that runs.
        note: what a person should know of it.
    """

    suffix: str
    packages: tuple[str, ...]
    write: Callable[[Program], bytes]
    read: Callable[[bytes, Program], Run]
    note: str

    def require_packages(self) -> None:
        """Refuse where a package is missing.

        Raises:
            InputError: with the command that installs them.
        """
        missing = [package for package in self.packages if find_spec(package) is None]
        if missing:
            raise InputError(f"this format needs the package {missing[0]}: pip install 'rushlight[onnx]'")


def write_onnx(program: Program) -> bytes:
    """An ONNX model of opset `ONNX_OPSET`, with the program's metadata."""
    import onnx

    module = program.module
    if isinstance(module, LanguageProgram):
        model = recurrent_graph(module.model, module.cell, ONNX_OPSET)
    else:
        model = _traced_graph(program)
    model.producer_name, model.producer_version = "rushlight", __version__
    onnx.helper.set_model_props(model, program.metadata)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _traced_graph(program: Program) -> Any:
    with _quiet():
        written = torch.onnx.export(
            _traced(program),
            dynamo=True,
            opset_version=ONNX_OPSET,
            input_names=program.inputs,
            output_names=program.outputs,
            verbose=False,
        )
    assert written is not None  # so it is unless a file is named
    return written.model_proto


def run_onnx(data: bytes, program: Program) -> Run:
    """The ONNX model in onnxruntime, on the processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def run(arguments: Sequence[Tensor]) -> list[Tensor]:
        named = {name: value.numpy() for name, value in zip(program.inputs, arguments, strict=True)}
        return [torch.from_numpy(result) for result in session.run(list(program.outputs), named)]

    return run


def write_torch_export(program: Program) -> bytes:
    """A `.pt2` of `torch.export`, with the program's metadata beside it in the archive.

    Raises:
        InputError: for a language model, of which tracing would fix the number of positions.
    """
    if isinstance(program.module, LanguageProgram):
        raise InputError("a language model cannot be exported so, as its length would be fixed: use --to onnx")
    file = io.BytesIO()
    with _quiet():
        torch.export.save(_traced(program), file, extra_files=dict(program.metadata))
    return file.getvalue()


def run_torch_export(data: bytes, program: Program) -> Run:
    """The program of a `.pt2`."""
    with _quiet():
        module = torch.export.load(io.BytesIO(data)).module()

    def run(arguments: Sequence[Tensor]) -> list[Tensor]:
        with torch.no_grad():
            return list(module(*arguments))

    return run


FORMATS: dict[str, Format] = {
    "onnx": Format(
        ".onnx",
        ("onnx", "onnxscript", "onnxruntime"),
        write_onnx,
        run_onnx,
        f"opset {ONNX_OPSET}; examples/ has programs that use it without Rushlight",
    ),
    "torch-export": Format(
        ".pt2",
        (),
        write_torch_export,
        run_torch_export,
        "torch.export.load opens it; like every .pt2 it may carry code, so load only those of people you trust",
    ),
}


def _traced(program: Program) -> Any:
    """The program of a classifier as a graph for any number of images."""
    (pixels,) = program.checks[0]
    batch = torch.export.Dim("batch")
    return torch.export.export(program.module, (pixels[:2],), dynamic_shapes=({0: batch},), strict=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporters say of themselves: whether their file is right is measured."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
