"""What every model in `LANGUAGE_MODELS` promises. A new line there is tested here without another word."""

import json

import pytest
import torch
from torch import Tensor, nn

from rushlight.nn.language_model import map_state
from rushlight.nn.language_models import LANGUAGE_MODELS, TRAINABLE_LANGUAGE_MODELS, build_language_model
from rushlight.nn.models import UnknownModel, options_of
from rushlight.training.groups import layer_groups

V, T, B = 11, 6, 3
SMALL = {"embedding_size": 8, "hidden_size": 8, "layers": 2}


# An n-gram model counts, and has tests of its own.
@pytest.fixture(params=[*TRAINABLE_LANGUAGE_MODELS, "mixture", "guided"])
def name(request) -> str:
    return request.param


def built(name: str, **options) -> nn.Module:
    torch.manual_seed(0)
    if name == "mixture":
        return build_language_model(name, V, members=[{"model": cell, **SMALL, **options} for cell in ("lstm", "gru")])
    if name == "guided":
        model = build_language_model(name, V, body={"model": "qrnn", **SMALL, **options})
        nn.init.normal_(model.body.head.weight)  # untrained it says what its n-gram model does
        return model
    known = options_of(LANGUAGE_MODELS[name])
    return build_language_model(name, V, **{key: value for key, value in SMALL.items() if key in known}, **options)


def tokens(length: int = T, streams: int = B, seed: int = 1) -> Tensor:
    return torch.randint(V, (length, streams), generator=torch.Generator().manual_seed(seed))


def tensors_of(state) -> list[Tensor]:
    found: list[Tensor] = []
    map_state(lambda part: found.append(part) or part, state)
    return found


def test_gives_logits_for_every_position_and_a_state(name):
    logits, state = built(name)(tokens())
    assert logits.shape == (T, B, V)
    assert logits.dtype == torch.float32
    assert all(len(part) == B for part in tensors_of(state))


def test_two_windows_with_the_state_give_what_the_whole_gives(name):
    model = built(name).eval()
    whole, last = model(tokens())
    first, state = model(tokens()[:2])
    second, again = model(tokens()[2:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(tensors_of(again), tensors_of(last), rtol=1e-4, atol=1e-5)


def test_what_comes_later_changes_nothing_before(name):
    model = built(name).eval()
    other = tokens()
    other[4:] = (other[4:] + 1) % V
    before, after = model(tokens())[0], model(other)[0]
    torch.testing.assert_close(before[:4], after[:4])
    assert not torch.allclose(before[4:], after[4:])


def test_streams_do_not_hear_each_other(name):
    model = built(name).eval()
    together, state = model(tokens())
    for stream in range(B):
        alone, _ = model(tokens()[:, stream : stream + 1])
        torch.testing.assert_close(alone[:, 0], together[:, stream], rtol=1e-4, atol=1e-5)
    chosen = map_state(lambda part: part[[2, 0]], state)
    more = tokens(2, B, seed=2)
    torch.testing.assert_close(
        model(more[:, [2, 0]], chosen)[0], model(more, state)[0][:, [2, 0]], rtol=1e-4, atol=1e-5
    )


def test_every_parameter_learns_and_stands_in_one_layer_group(name):
    model = built(name)
    logits, _ = model(tokens())
    logits.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    held = [id(p) for group in layer_groups(model).values() for p in group.parameters()]
    assert sorted(held) == sorted(id(p) for p in model.parameters())


def test_a_detached_state_ends_the_gradients(name):
    model = built(name)
    _, state = model(tokens())
    assert any(part.requires_grad for part in tensors_of(state))
    assert not any(part.requires_grad for part in tensors_of(map_state(Tensor.detach, state)))


def test_features_and_head_are_the_whole(name):
    model = built(name).eval()
    features, _ = model.forward_features(tokens())
    torch.testing.assert_close(model.forward_head(features), model(tokens())[0])


def test_dropout_acts_while_training_and_never_after(name):
    model = built(name, dropout=0.5)
    assert not torch.allclose(model(tokens())[0], model(tokens())[0])
    model.eval()
    torch.testing.assert_close(model(tokens())[0], model(tokens())[0], rtol=0, atol=0)


def test_options_can_be_told_in_json_and_unknown_ones_are_answered(name):
    json.dumps(options_of(LANGUAGE_MODELS[name], "tokens", "cell"))
    option = {"mixture": "members", "guided": "ngram"}.get(name, "layers")
    with pytest.raises(UnknownModel, match=f"did you mean '{option}'"):
        build_language_model(name, V, **{option[:-1]: 2})


def test_the_same_seed_gives_the_same_weights(name):
    first, second = built(name).state_dict(), built(name).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_an_unknown_model_is_answered_with_the_nearest():
    with pytest.raises(UnknownModel, match="did you mean 'lstm'"):
        build_language_model("lstn", V)
