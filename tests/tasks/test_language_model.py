"""The task of text: it learns, carries its state as it should, writes, saves, and refuses what it cannot use."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rushlight.data.text import TextData
from rushlight.inference.text_baselines import ngram_loss
from rushlight.inference.writer import Writer
from rushlight.nn.language_model import RecurrentLanguageModel, map_state
from rushlight.runtime.errors import InputError
from rushlight.tasks import language_model
from rushlight.tasks.language_model import (
    MOST_EPOCHS,
    MOST_EPOCHS_OF_FEW,
    LanguageModel,
    LanguageModelStep,
    epochs_for,
)
from rushlight.training.callbacks import Callback
from rushlight.training.clipping import GradientClipping
from rushlight.training.saving import CycleCheckpoints

SMALL = {"hidden_size": 32, "embedding_size": 16, "layers": 1, "dropout": 0.1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A text that is quick to learn: a few sentences, over and over in another order."""
    random = np.random.default_rng(0)
    sentences = ["the cat sat on the mat.\n", "a dog ran to the sea.\n", "it was dark at night.\n"]
    path = tmp_path_factory.mktemp("text") / "story.txt"
    path.write_text("".join(random.choice(sentences) for _ in range(600)))
    return TextData.from_files(path, batch_size=16, window=20, device="cpu")


@pytest.fixture(scope="module")
def learned(data):
    return LanguageModel(data, model_options=SMALL, device="cpu").fit(6, lr=1e-2)


def test_it_learns_and_writes_what_it_has_read(learned, data):
    evaluation = learned.evaluate()
    assert evaluation.loss.value < 0.3
    assert learned.learner.history[-1]["valid_loss"].value == pytest.approx(evaluation.loss.value, abs=0.02)
    written = learned.generate("the cat ", 300, temperature=0.5, seed=0)
    words = written.split()[:-1]  # the last may have been cut off
    known = {"the", "cat", "sat", "on", "mat.", "a", "dog", "ran", "to", "sea.", "it", "was", "dark", "at", "night."}
    assert sum(word in known for word in words) > 0.9 * len(words) > 40


def test_a_saved_model_goes_on_without_the_task(learned, tmp_path):
    learned.save(tmp_path / "model.safetensors")
    writer = Writer.load(tmp_path / "model.safetensors", device="cpu")
    assert writer.write("a dog ", 50, seed=4) == learned.generate("a dog ", 50, seed=4)


def test_by_default_an_ngram_model_guides_it_and_it_becomes_better_than_that(learned, data):
    assert learned.is_guided
    alone = LanguageModel(data, model_options=SMALL, device="cpu", without=["ngram"])
    assert not alone.is_guided
    ngram = ngram_loss(data.train.tokens, data.valid.tokens, data.tokenizer)
    assert learned.evaluate().loss.value < ngram.value < alone.fit(1, lr=1e-2).evaluate().loss.value


def test_a_guided_model_is_told_of_no_text_that_was_counted(data):
    """Of noise nothing can be known, so whoever expects less than its entropy while training was told."""
    noise = np.random.default_rng(0).integers(2, data.tokenizer.size, 6000)
    unlearnable = TextData("noise", data.tokenizer, noise[:5000], noise[5000:], data.options)
    model = LanguageModel(unlearnable, model_options=SMALL, device="cpu")
    model.learner.fit(2, lr=1e-4)  # the learner by itself, too
    entropy = np.log(data.tokenizer.size - 2)
    assert all(row["train_loss"].value > entropy for row in model.learner.history.rows)


@pytest.mark.parametrize(("length", "vocabulary"), [(None, 5), (100, None)])
def test_where_counting_would_take_too_long_the_network_is_alone(data, length, vocabulary, monkeypatch):
    monkeypatch.setattr(language_model, "MOST_TOKENS", vocabulary or 1000)
    monkeypatch.setattr(language_model, "MOST_COUNTED", length or 10**6)
    model = LanguageModel(data, model_options=SMALL, device="cpu")
    assert not model.is_guided
    assert model.fit(1).evaluate().loss.value < 3


def test_cycles_leave_a_checkpoint_each_that_writes(data, tmp_path):
    model = LanguageModel(data, model_options=SMALL, device="cpu")
    checkpoints = CycleCheckpoints(tmp_path, model.save)
    model.fit_cycles(2, lr=1e-2, callbacks=[checkpoints])
    first, second = (Writer.load(path, device="cpu").evaluate(data.valid).loss.value for path in checkpoints.paths)
    assert second < first


def test_a_time_limit_is_kept(data):
    model = LanguageModel(data, model_options=SMALL, device="cpu").fit(minutes=0.03)
    assert model.learner.progress == 1.0
    assert "valid_loss" in model.learner.history[-1]


class LimitsSeen(Callback):
    """Which limits of the gradients are in force."""

    def fit_start(self, learner):
        self.limits = [part.max_norm for part in learner.callbacks if isinstance(part, GradientClipping)]


@pytest.mark.parametrize(
    ("optimizer", "chosen", "in_force"),
    [(None, [], [1.0]), (None, [GradientClipping(5.0)], [5.0]), ("sgd", [], [])],
    ids=["the recipe's", "a person's", "none beside another optimizer"],
)
def test_one_limit_of_the_gradients_is_in_force(data, optimizer, chosen, in_force):
    seen = LimitsSeen()
    LanguageModel(data, model_options=SMALL, optimizer=optimizer, device="cpu").fit(
        steps=1, lr=1e-3, callbacks=[*chosen, seen]
    )
    assert seen.limits == in_force


def test_more_time_than_the_text_is_worth_is_not_spent():
    assert epochs_for(490_000) == MOST_EPOCHS
    assert epochs_for(40_000) == 50
    assert epochs_for(100) == MOST_EPOCHS_OF_FEW


def test_the_finder_changes_nothing_not_even_the_state(data):
    model = LanguageModel(data, model_options=SMALL, device="cpu")
    before = {name: tensor.clone() for name, tensor in model.learner.model.state_dict().items()}
    sweep = model.find_lr(steps=30)
    assert len(sweep.lrs) >= 10
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.learner.model.state_dict().items())


def test_the_same_seed_gives_the_same_model(data):
    weights = [
        LanguageModel(data, model_options=SMALL, seed=seed, device="cpu").fit(steps=5).learner.model.body.head.weight
        for seed in (1, 1, 2)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_any_module_of_the_interface_can_be_trained(data):
    model = RecurrentLanguageModel(data.tokenizer.size, "gru", 8, 16, 1)
    assert LanguageModel(data, model, device="cpu").fit(2, lr=1e-2).evaluate().loss.value < 2.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"model": "lstmm"}, "did you mean 'lstm'"), ({"model_options": {"hidden": 3}}, "hidden"),
     ({"model_options": {"layers": 0}}, "layers"), ({"optimizer": "adamx"}, "adam")],
)  # fmt: skip
def test_unknown_names_are_answered(data, arguments, message):
    with pytest.raises(InputError, match=message):
        LanguageModel(data, device="cpu", **arguments).fit(steps=1)


# --- the forward step ------------------------------------------------------------------------------------------------


class Counter(nn.Module):
    """Its state counts the tokens that each stream has read, and its logits are that count."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen: list[Tensor | None] = []

    def forward_features(self, tokens: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        self.seen.append(state)
        start = torch.zeros(tokens.shape[1]) if state is None else state
        counts = start + self.scale * torch.arange(1, len(tokens) + 1)[:, None]
        return counts[..., None].expand(-1, -1, 3), counts[-1]

    def forward_head(self, features: Tensor) -> Tensor:
        return features


def batch(length: int, streams: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(length, streams, dtype=torch.int64), torch.zeros(length, streams, dtype=torch.int64)


def test_the_state_goes_on_detached_and_begins_anew_where_it_must():
    step, model = LanguageModelStep(), Counter()
    for length in (3, 4):
        step(model, batch(length, 2))
    assert model.seen[0] is None
    assert model.seen[1].tolist() == [3.0, 3.0]
    assert not model.seen[1].requires_grad
    step(model, batch(3, 5))  # another number of streams
    assert model.seen[2] is None
    step.reset()
    step(model, batch(3, 5))
    assert model.seen[3] is None


def test_the_penalties_are_added_while_training_and_not_while_measuring():
    model = Counter()
    plain, penalised = LanguageModelStep(), LanguageModelStep(activation=2.0, change=3.0)
    difference = penalised(model, batch(4, 2))[1] - plain(model, batch(4, 2))[1]
    assert difference.item() == pytest.approx(2 * (1 + 4 + 9 + 16) / 4 + 3 * 1.0)
    penalised.reset()
    plain.reset()
    model.eval()
    assert penalised(model, batch(4, 2))[1].item() == plain(model, batch(4, 2))[1].item()


def test_states_of_any_form_are_mapped():
    state = [(torch.ones(2), torch.zeros(2)), torch.full((2,), 3.0)]
    doubled = map_state(lambda part: 2 * part, state)
    assert isinstance(doubled[0], tuple)
    assert [part.tolist() for part in (*doubled[0], doubled[1])] == [[2, 2], [0, 0], [6, 6]]
