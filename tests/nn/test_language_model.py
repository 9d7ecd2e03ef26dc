"""The recurrent language model in particular: it is the written-out cells, and its regularisers do what they say."""

import pytest
import torch
from torch import nn

from rushlight.nn.language_model import RECURRENT_CELLS, RecurrentLanguageModel
from rushlight.nn.recurrent import CELLS, RecurrentLoop
from rushlight.nn.regularisers import (
    LockedDropout,
    activation_penalty,
    change_penalty,
    embedding_dropout,
    locked_dropout,
    weight_drop,
)

V, T, B = 13, 7, 4


def tokens():
    return torch.randint(V, (T, B), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("cell", CELLS)
def test_it_is_an_embedding_the_written_out_loops_and_a_matrix(cell):
    torch.manual_seed(0)
    model = RecurrentLanguageModel(V, cell, 5, 6, 2).eval()
    x = model.embedding(tokens())
    for layer, size in zip(model.recurrent, (5, 6), strict=True):
        loop = RecurrentLoop(CELLS[cell](size, 6))
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(loop.cell, part).data.copy_(getattr(layer.layer, f"{part}_l0").data)
        x, _ = loop(x)
    torch.testing.assert_close(model.head(x), model(tokens())[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", RECURRENT_CELLS)
def test_who_writes_gets_a_position_at_a_time_what_a_window_gives(cell):
    model = RecurrentLanguageModel(V, cell, 5, 8, dropout=0.5).eval()
    window, after = model(tokens())  # with gradients, by the kernel for windows
    state, found = None, []
    with torch.no_grad():
        for token in tokens():
            logits, state = model(token[None], state)
            found.append(logits)
    torch.testing.assert_close(torch.cat(found), window)
    torch.testing.assert_close(state, after)


@pytest.mark.parametrize("cell", RECURRENT_CELLS)
def test_a_last_window_of_one_position_goes_on_in_bfloat16(cell):
    model = RecurrentLanguageModel(V, cell, 5, 8).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        _, state = model(tokens())
        longer, _ = model(tokens()[:2], state)
        single, _ = model(tokens()[:1], state)
    torch.testing.assert_close(single, longer[:1], rtol=0.02, atol=0.01)


def test_tied_weights_are_one_matrix_that_learns_from_both_ends():
    model = RecurrentLanguageModel(V, "lstm", 6, 9, 2, tie_weights=True)
    assert model.head.weight is model.embedding.weight
    untied = RecurrentLanguageModel(V, "lstm", 6, 9, 2)
    assert sum(p.numel() for p in model.parameters()) < sum(p.numel() for p in untied.parameters())
    model(tokens())[0].square().mean().backward()
    assert (model.embedding.weight.grad.abs().sum(1) > 0).all()  # also of tokens that were not read


def test_the_identity_start_reaches_every_layer():
    model = RecurrentLanguageModel(V, "rnn", 5, 6, 2, identity=True)
    for layer in model.recurrent:
        torch.testing.assert_close(layer.layer.weight_hh_l0.data, torch.eye(6))


def test_dropped_weights_are_others_each_window_and_keep_their_gradients():
    torch.manual_seed(0)
    model = RecurrentLanguageModel(V, "lstm", 5, 6, 1, weight_dropout=0.5)
    first, second = model(tokens())[0], model(tokens())[0]
    assert not torch.allclose(first, second)
    first.sum().backward()
    weight = model.recurrent[0].layer.weight_hh_l0
    dropped = (weight.grad == 0).float().mean()
    assert 0.3 < dropped < 0.7
    model.eval()
    torch.testing.assert_close(model(tokens())[0], model(tokens())[0], rtol=0, atol=0)


@pytest.mark.parametrize(
    "options",
    [{"cell": "tcn"}, {"layers": 0}, {"embedding_size": 0}, {"dropout": 1.0}, {"embedding_dropout": -0.1},
     {"weight_dropout": 1.5}],
)  # fmt: skip
def test_what_cannot_be_built_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options)).split("_")[0]):
        RecurrentLanguageModel(V, **options)


def test_a_locked_mask_is_the_same_at_every_position_and_other_for_each_stream():
    torch.manual_seed(0)
    dropped = locked_dropout(torch.ones(20, 30, 40), 0.4)
    assert (dropped == dropped[0]).all()
    assert not (dropped[0] == dropped[0, 0]).all()
    assert dropped.mean() == pytest.approx(1.0, abs=0.06)
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.6])


def test_embedding_dropout_drops_whole_tokens_wherever_they_stand():
    torch.manual_seed(0)
    weight = torch.ones(200, 8)
    numbers = torch.arange(200).repeat(2, 1)
    vectors = embedding_dropout(numbers, weight, 0.3)
    assert torch.equal(vectors[0], vectors[1])
    assert vectors.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert (vectors[0].std(dim=1) == 0).all()
    assert 0.2 < (vectors[0, :, 0] == 0).float().mean() < 0.4


@pytest.mark.parametrize("training", [False, True])
def test_without_training_or_probability_nothing_is_dropped(training):
    x, probability = torch.randn(3, 4, 5), 0.0 if training else 0.9
    assert torch.equal(locked_dropout(x, probability, training), x)
    assert torch.equal(weight_drop(x, probability, training), x)
    numbers = torch.tensor([0, 2])
    weight = torch.randn(3, 4)
    assert torch.equal(embedding_dropout(numbers, weight, probability, training), weight[numbers])
    assert torch.equal(LockedDropout(probability).train(training)(x), x)


def test_the_penalties_are_mean_squares():
    outputs = torch.tensor([[[1.0, -2.0]], [[3.0, 0.0]]])
    assert activation_penalty(outputs) == pytest.approx((1 + 4 + 9 + 0) / 4)
    assert change_penalty(outputs) == pytest.approx((4 + 4) / 2)
    assert change_penalty(outputs[:1]) == 0


def test_a_new_embedding_is_small_and_the_head_has_no_preference():
    model = RecurrentLanguageModel(V)
    assert model.embedding.weight.abs().max() <= 0.1
    assert not model.head.bias.any()
    assert isinstance(model.head, nn.Linear)
