"""Every head: any map in, logits out; and the evidence of those that have it adds up to the logits."""

import pytest
import torch
from torch import nn

from rushlight.nn.heads import HEADS


def trained(name: str) -> nn.Module:
    """A head with normalisation statistics and weights as after some training."""
    torch.manual_seed(0)
    head = HEADS[name](6, 3, dropout=0.5)
    for _ in range(5):
        head(torch.rand(8, 6, 4, 4) * torch.arange(1.0, 7.0)[:, None, None])
    for parameter in head.parameters():
        nn.init.normal_(parameter)
    return head.eval()


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (3, 5)])
def test_a_head_takes_a_map_of_any_shape(name: str, shape: tuple[int, int]) -> None:
    logits = trained(name)(torch.rand(2, 6, *shape))
    assert logits.shape == (2, 3)


@pytest.mark.parametrize("name", ["average_and_maximum", "average", "convolution"])
def test_evidence_and_constant_add_up_to_the_logits(name: str) -> None:
    head, features = trained(name), torch.rand(4, 6, 3, 5)
    evidence = head.evidence(features)
    assert evidence.shape == (4, 3, 3, 5)
    torch.testing.assert_close(evidence.sum((2, 3)) + head.constant(), head(features), rtol=1e-4, atol=1e-4)


def test_a_head_with_a_hidden_layer_has_no_evidence() -> None:
    assert trained("two_layer").evidence(torch.rand(1, 6, 2, 2)) is None


@pytest.mark.parametrize("name", HEADS)
def test_gradients_reach_the_map_and_every_parameter(name: str) -> None:
    head, features = HEADS[name](6, 3), torch.rand(4, 6, 3, 3, requires_grad=True)
    head(features).square().sum().backward()
    assert features.grad is not None
    assert features.grad.abs().sum() > 0
    assert all(p.grad is not None for p in head.parameters())
