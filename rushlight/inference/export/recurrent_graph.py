"""A recurrent language model as an ONNX graph, put together operator by operator.

Tracing would unroll the loop over positions, and so fix their number. ONNX has each of the three layers as one
operator, which differs from PyTorch's in the order of the gates alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rushlight.nn.language_model import RecurrentLanguageModel

if TYPE_CHECKING:
    from onnx import ModelProto

TIME, BATCH = "time", "batch"

# The operator, and which of PyTorch's blocks of H rows stands at each place of its matrices. PyTorch has the gates of
# an LSTM as write, keep, candidate, show, and ONNX as write, show, keep, candidate; those of a GRU PyTorch has as
# reset, update, candidate, and ONNX as update, reset, candidate.
OPERATORS: dict[str, tuple[str, tuple[int, ...]]] = {
    "rnn": ("RNN", (0,)),
    "gru": ("GRU", (1, 0, 2)),
    "lstm": ("LSTM", (0, 3, 1, 2)),
}


def recurrent_graph(model: RecurrentLanguageModel, cell: str, opset: int) -> ModelProto:
    """Tokens (T, B) and the state's parts (B, H) to logits (T, B, V) and the next parts.

    Args:
        model: of one of the cells in `OPERATORS`; its dropout is left out.
        cell: which.
        opset: of ONNX.

    Returns:
        A model whose inputs are `tokens`, `state_1`, ... and whose outputs are `logits`, `new_state_1`, ...
    """
    from onnx import TensorProto, helper, numpy_helper

    operator, order = OPERATORS[cell]
    nodes: list[Any] = []
    weights: list[Any] = []
    states: list[Any] = []
    new_states: list[Any] = []

    def weight(name: str, tensor: Tensor) -> str:
        weights.append(numpy_helper.from_array(tensor.detach().cpu().float().contiguous().numpy(), name))
        return name

    def node(kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs[0]

    direction, second = "direction_axis", "second_axis"
    weights.append(numpy_helper.from_array(torch.tensor([0]).numpy(), direction))
    weights.append(numpy_helper.from_array(torch.tensor([1]).numpy(), second))
    shown = node("Gather", [weight("embedding", model.embedding.weight), "tokens"], ["embedded"])
    for number, recurrent in enumerate(model.recurrent, start=1):
        layer, size, name = recurrent.layer, recurrent.hidden_size, f"layer_{number}"
        matrices = [
            weight(f"{name}_input", _reordered(layer.weight_ih_l0, order)[None]),
            weight(f"{name}_hidden", _reordered(layer.weight_hh_l0, order)[None]),
            weight(
                f"{name}_bias",
                torch.cat([_reordered(layer.bias_ih_l0, order), _reordered(layer.bias_hh_l0, order)])[None],
            ),
        ]
        parts, lasts = [], []
        for _ in range(2 if recurrent.has_memory else 1):
            state = f"state_{len(states) + 1}"
            states.append(helper.make_tensor_value_info(state, TensorProto.FLOAT, [BATCH, size]))
            new_states.append(helper.make_tensor_value_info(f"new_{state}", TensorProto.FLOAT, [BATCH, size]))
            parts.append(node("Unsqueeze", [state, direction], [f"{state}_before"]))
            lasts.append(f"{state}_after")
        attributes = {"linear_before_reset": 1} if cell == "gru" else {}  # as in PyTorch, unlike in the paper
        node(
            operator,
            [shown, *matrices, "", *parts],  # no lengths: all streams are equally long
            [f"{name}_all", *lasts],
            hidden_size=size,
            name=name,
            **attributes,
        )
        for last in lasts:
            node("Squeeze", [last, direction], [f"new_{last.removesuffix('_after')}"])
        shown = node("Squeeze", [f"{name}_all", second], [f"{name}_shown"])
    product = node("MatMul", [shown, weight("head", model.head.weight.T)], ["product"])
    node("Add", [product, weight("head_bias", model.head.bias)], ["logits"])
    graph = helper.make_graph(
        nodes,
        "rushlight",
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, [TIME, BATCH]), *states],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [TIME, BATCH, len(model.head.bias)]),
            *new_states,
        ],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def _reordered(rows: Tensor, order: tuple[int, ...]) -> Tensor:
    """Blocks of rows in another order."""
    blocks = rows.chunk(len(order))
    return torch.cat([blocks[number] for number in order])
