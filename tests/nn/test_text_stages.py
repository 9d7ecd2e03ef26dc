"""The lecture's stages: each is the one before with its one new idea, and no more."""

import pytest
import torch

from rushlight.nn import text_stages as stages

V, B = 11, 5


def tokens(length):
    return torch.randint(V, (length, B), generator=torch.Generator().manual_seed(length))


def test_the_loop_over_three_characters_is_the_first_stage():
    torch.manual_seed(0)
    written_out, loop = stages.ThreeCharacters(V), stages.CharacterLoop(V)
    loop.load_state_dict(written_out.state_dict())
    # The loop adds its empty state to the first input; the first stage has none to add.
    torch.testing.assert_close(loop(tokens(3)), written_out(tokens(3)))


def test_the_library_rnn_answers_after_the_last_of_many_outputs():
    last, many = stages.LibraryRNN(V), stages.ManyOutputs(V)
    many.load_state_dict(last.state_dict())
    torch.testing.assert_close(many(tokens(8))[-1], last(tokens(8)))
    assert many(tokens(8)).shape == (8, B, V)


def test_the_stateful_one_is_many_outputs_with_a_state_that_goes_on():
    many, stateful = stages.ManyOutputs(V), stages.Stateful(V)
    weights = {name.replace("rnn.", "recurrent."): tensor for name, tensor in many.state_dict().items()}
    stateful.load_state_dict(weights)
    whole = many(tokens(8))
    first, state = stateful(tokens(8)[:3])
    second, _ = stateful(tokens(8)[3:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)


@pytest.mark.parametrize("stage", [stages.CharacterLoop, stages.ConcatenatingLoop, stages.LibraryRNN])
@pytest.mark.parametrize("length", [1, 8])
def test_any_number_of_characters_gives_one_answer(stage, length):
    assert stage(V)(tokens(length)).shape == (B, V)


def test_concatenating_takes_a_wider_matrix_and_the_identity_start_is_one():
    assert stages.ConcatenatingLoop(V, 4, 6).input.weight.shape == (6, 10)
    torch.testing.assert_close(stages.ManyOutputs(V, 4, 6, identity=True).rnn.weight_hh_l0.data, torch.eye(6))


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_features_and_head_are_the_whole(cell):
    model = stages.Stateful(V, cell, 4, 6, 2).eval()
    features, _ = model.forward_features(tokens(4))
    torch.testing.assert_close(model.forward_head(features), model(tokens(4))[0])
