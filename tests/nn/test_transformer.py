"""The transformer: attention as written out by hand, distances alone, and a memory that reaches as far as it says."""

import math

import pytest
import torch

from rushlight.nn.transformer import Attention, TransformerLanguageModel, rotated

B, T = 2, 6


def test_attention_is_the_softmax_of_scaled_products():
    torch.manual_seed(0)
    layer = Attention(8, 2, 100, 0.0)
    x = torch.randn(B, T, 8)
    empty = torch.zeros(B, 2, 0, 4)
    found, (keys, _) = layer(x, (empty, empty))
    query, key, value = (part.view(B, T, 2, 4).transpose(1, 2) for part in layer.query_key_value(x).chunk(3, dim=2))
    positions = torch.arange(T)
    products = rotated(query, positions) @ rotated(key, positions).mT / math.sqrt(4)
    weights = products.masked_fill(torch.ones(T, T).triu(1).bool(), -math.inf).softmax(-1)
    torch.testing.assert_close(found, layer.output((weights @ value).transpose(1, 2).reshape(B, T, 8)))
    torch.testing.assert_close(keys, key)


def test_products_of_turned_vectors_depend_on_their_distance_alone():
    torch.manual_seed(0)
    a, b = torch.randn(2, 1, 8)

    def product(first, second):
        return (rotated(a, torch.tensor([first])) * rotated(b, torch.tensor([second]))).sum()

    torch.testing.assert_close(product(5, 2), product(105, 102), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(product(5, 2), product(5, 3))
    torch.testing.assert_close(rotated(a, torch.tensor([17])).norm(), a.norm())


def test_nothing_beyond_the_context_is_seen_and_the_memory_ends_there():
    torch.manual_seed(0)
    model = TransformerLanguageModel(9, 8, 1, heads=2, context=3).eval()
    tokens = torch.randint(9, (8, 1))
    other = tokens.clone()
    other[2] = (other[2] + 1) % 9
    before, state = model(tokens)
    after, _ = model(other)
    changed = [(a - b).abs().max().item() > 1e-6 for a, b in zip(before, after, strict=True)]
    assert changed == [False, False, True, True, True, False, False, False]
    assert state[0][0].shape[2] == 3


def test_windows_longer_and_shorter_than_the_context_give_the_same():
    torch.manual_seed(0)
    model = TransformerLanguageModel(9, 8, 2, heads=2, context=4).eval()
    tokens = torch.randint(9, (11, B))
    whole, _ = model(tokens)
    state, pieces = None, []
    for window in tokens.split([5, 1, 1, 4]):
        logits, state = model(window, state)
        pieces.append(logits)
    torch.testing.assert_close(torch.cat(pieces), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"hidden_size": 10, "heads": 3}, {"hidden_size": 6, "heads": 2}, {"layers": 0}])
def test_what_cannot_be_built_is_refused(options):
    with pytest.raises(ValueError, match=r"heads|layers"):
        TransformerLanguageModel(9, **options)
