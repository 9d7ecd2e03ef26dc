"""The summary of any module: shapes seen, parameters counted once, nothing changed."""

import torch
from torch import nn

from rushlight.training.summary import summarize
from tests.training.small_task import small_net


def test_shapes_and_counts():
    model = small_net()
    model[0].requires_grad_(False)
    summary = summarize(model, torch.zeros(2, 1, 8, 8))
    assert summary.parameters == sum(p.numel() for p in model.parameters())
    assert summary.parameters - summary.trainable == sum(p.numel() for p in model[0].parameters())
    shapes = {row.name: row.output_shape for row in summary.rows}
    for index in range(len(model)):
        assert shapes[str(index)] == tuple(model[: index + 1](torch.zeros(2, 1, 8, 8)).shape[1:])


def test_leaves_mode_and_statistics_alone():
    model = small_net().train()
    model[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    summarize(model, torch.randn(4, 1, 8, 8))
    assert model.training
    assert not model[1].training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(layer._forward_hooks for layer in model.modules())


def test_shared_and_unused_layers():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared = nn.Linear(4, 4)
            self.again = self.shared
            self.unused = nn.Linear(4, 2)
            self.scale = nn.Parameter(torch.ones(3))

        def forward(self, x, y):
            return self.shared(self.again(x)) + y, None

    summary = summarize(Odd(), (torch.zeros(1, 4), torch.zeros(1, 4)))
    assert summary.parameters == 20 + 10 + 3
    assert next(row for row in summary.rows if row.name == "unused").output_shape is None
    text = str(summary)
    assert "33 parameters" in text
    assert "Odd" in text
