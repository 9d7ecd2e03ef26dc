"""Every layer of a model: output shape, parameters, and whether it trains."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class LayerRow:
    """One layer of a summary.

    Attributes:
        name: its place in the model, such as `stage1.0.conv1`.
        kind: its class.
        output_shape: of what it returned, without the batch dimension; None where that is not one tensor.
        parameters: its own, not counting any counted in a row above.
        trainable: how many of them train.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...] | None
    parameters: int
    trainable: int


@dataclass(frozen=True)
class Summary:
    """The rows of all layers; `str()` lays them out as a table."""

    rows: list[LayerRow]

    @property
    def parameters(self) -> int:
        """The number of parameters, each counted once."""
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        """The number of parameters that train."""
        return sum(row.trainable for row in self.rows)

    def __str__(self) -> str:
        head = ("layer", "kind", "output shape", "parameters", "trains")
        body = [
            (
                row.name,
                row.kind,
                " x ".join(map(str, row.output_shape)) if row.output_shape is not None else "",
                f"{row.parameters:,}" if row.parameters else "",
                ""
                if not row.parameters
                else "yes"
                if row.trainable == row.parameters
                else "no"
                if not row.trainable
                else "in part",
            )
            for row in self.rows
        ]
        widths = [max(len(line[column]) for line in [head, *body]) for column in range(len(head))]
        lines = [
            "  ".join(
                cell.rjust(width) if column == 3 else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in [head, tuple("-" * width for width in widths), *body]
        ]
        frozen = self.parameters - self.trainable
        lines.append(f"{self.parameters:,} parameters, {self.trainable:,} trainable, {frozen:,} frozen")
        return "\n".join(lines)


def summarize(model: nn.Module, inputs: Any) -> Summary:
    """Send inputs through any module once and note what every layer makes of them.

    The model's mode, statistics and weights stay as they are. A layer is a module without children, or one with
    parameters of its own. A layer that is used several times stands once, at its first use; one that was not used
    stands at the end without a shape.

    Args:
        model: any module.
        inputs: what it is called with; a tuple stands for several arguments.
    """
    layers = {
        module: name or type(module).__name__
        for name, module in model.named_modules()
        if not list(module.children()) or list(module.parameters(recurse=False))
    }
    shapes: dict[nn.Module, tuple[int, ...] | None] = {}

    def note(layer: nn.Module, _: Any, output: Any) -> None:
        shapes.setdefault(layer, tuple(output.shape[1:]) if isinstance(output, Tensor) else None)

    handles = [layer.register_forward_hook(partial(note)) for layer in layers]
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            model(*inputs) if isinstance(inputs, tuple) else model(inputs)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes.items():
            module.training = training
    seen: set[int] = set()
    rows = []
    for layer in [*shapes, *(layer for layer in layers if layer not in shapes)]:
        own = [p for p in layer.parameters() if id(p) not in seen]
        seen.update(map(id, own))
        count = sum(p.numel() for p in own)
        trainable = sum(p.numel() for p in own if p.requires_grad)
        rows.append(LayerRow(layers[layer], type(layer).__name__, shapes.get(layer), count, trainable))
    return Summary(rows)
