"""A saved model writes and measures: as the model says, from the state it kept."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from rushlight.data.token_batches import TokenBatches
from rushlight.data.tokenizers import CharacterTokenizer, WordTokenizer
from rushlight.inference.text_evaluation import mean_of_blocks
from rushlight.inference.text_file import load_language_model, save_language_model
from rushlight.inference.writer import Writer
from rushlight.nn.language_models import TRAINABLE_LANGUAGE_MODELS, build_language_model
from rushlight.nn.ngram import NGramLanguageModel
from rushlight.runtime.checkpoint import read_checkpoint, save_checkpoint
from rushlight.runtime.errors import InputError, ModelFileError, NonFiniteError

TEXT = "the cat sat on the mat.\nand the dog ran to the cat\n"


@pytest.fixture(scope="module")
def tokenizer():
    return CharacterTokenizer.learn([TEXT])


@pytest.fixture(scope="module")
def writer(tokenizer):
    torch.manual_seed(0)
    model = build_language_model("lstm", tokenizer.size, embedding_size=8, hidden_size=16, layers=2)
    for parameter in model.parameters():
        parameter.data *= 4  # a new model says nearly the same everywhere
    return Writer(model, tokenizer, device="cpu")


def logits_after(writer, text):
    numbers = torch.from_numpy(writer.tokenizer.encode(text))[:, None]
    with torch.no_grad():
        return writer.model.eval()(numbers)[0][-1, 0]


def test_greedy_writes_what_reading_everything_again_each_time_would(writer):
    text = "the "
    for _ in range(30):
        logits = logits_after(writer, text)
        logits[:2] = -math.inf
        text += writer.tokenizer.decode([int(logits.argmax())])
    assert writer.write("the ", 30, greedy=True) == text


def test_the_same_seed_writes_the_same_and_another_another(writer):
    assert writer.write("the ", 60, seed=1) == writer.write("the ", 60, seed=1)
    assert writer.write("the ", 60, seed=1) != writer.write("the ", 60, seed=2)
    assert writer.write("the ", 60) != writer.write("the ", 60)


def test_drawn_tokens_come_as_often_as_the_model_says(writer):
    logits = logits_after(writer, "the c")
    logits[:2] = -math.inf
    expected = torch.softmax(logits, 0)
    drawn = [next(writer.generate("the c", 1, seed=seed)) for seed in range(400)]
    for number in expected.topk(3).indices.tolist():
        share = drawn.count(writer.tokenizer.decode([number])) / 400
        assert share == pytest.approx(float(expected[number]), abs=0.1)


def test_pieces_come_one_at_a_time_and_unknown_is_never_written(writer):
    pieces = list(writer.generate("the ", 200, temperature=5.0, seed=0))
    assert len(pieces) == 200
    assert set(pieces) <= set(TEXT)


@pytest.mark.parametrize("prompt", ["", "é€", "Ω the "])
def test_unknown_characters_of_a_prompt_are_named_and_left_out(writer, prompt):
    assert writer.unknown_characters(prompt) == "".join(c for c in prompt if c not in TEXT)
    known = "".join(c for c in prompt if c in TEXT)
    assert list(writer.generate(prompt, 20, seed=3)) == list(writer.generate(known or "\n", 20, seed=3))


def test_a_lower_case_model_reads_a_prompt_in_lower_case(writer):
    lower = Writer(writer.model, writer.tokenizer, lowercase=True, device="cpu")
    assert lower.unknown_characters("THE CAT") == ""
    assert list(lower.generate("THE CAT", 20, seed=1)) == list(writer.generate("the cat", 20, seed=1))


def test_a_beam_finds_a_likelier_text_than_greed(writer):
    def loss(text):
        return np.nansum(writer.score("the " + text).losses[4:])

    greedy = writer.write("the ", 12, greedy=True)[4:]
    assert writer.beam_search("the ", 12, width=1) == greedy
    assert loss(writer.beam_search("the ", 12, width=30)) <= loss(greedy) + 1e-4


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"temperature": 0}, "temperature"), ({"length": -1}, "length"), ({"top_k": 0}, "top_k"), ({"top_p": 2}, "top_p")],
)
def test_bad_settings_are_refused_before_anything_is_written(writer, settings, message):
    with pytest.raises(InputError, match=message):
        writer.generate("the ", **settings)
    with pytest.raises(InputError, match="width"):
        writer.beam_search("the ", 5, width=0)


def test_a_score_is_the_loss_of_each_character_given_all_before(writer):
    text = TEXT * 12  # longer than what is read at once
    scores = writer.score(text)
    numbers = torch.from_numpy(writer.tokenizer.encode(text))
    with torch.no_grad():
        logits, _ = writer.model.eval()(numbers[:-1, None])
    expected = cross_entropy(logits[:, 0], numbers[1:], reduction="none").numpy()
    assert math.isnan(scores.losses[0])
    np.testing.assert_allclose(scores.losses[1:], expected, rtol=1e-3, atol=1e-4)
    assert "".join(scores.tokens) == text
    assert scores.mean == pytest.approx(expected.mean(), rel=1e-4)
    assert math.isnan(writer.score("t").mean)
    with pytest.raises(InputError, match="no text"):
        writer.score("")


def test_an_evaluation_is_the_mean_over_all_tokens_in_streams_that_go_on(writer):
    numbers = writer.tokenizer.encode(TEXT * 30)
    batches = TokenBatches(numbers, 4, 50, vary=False, keep_all=True)
    evaluation = writer.evaluate(batches)
    assert evaluation.loss.n == len(numbers) - 1
    length = (len(numbers) - 1) // 4
    with torch.no_grad():
        for stream in range(4):
            part = torch.from_numpy(numbers[stream * length : (stream + 1) * length + 1])[:, None]
            logits, _ = writer.model.eval()(part[:-1])
            expected = cross_entropy(logits[:, 0], part[1:, 0], reduction="none").numpy()
            found = evaluation.losses[stream * length : (stream + 1) * length]
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert evaluation.loss.value == pytest.approx(evaluation.losses.mean())
    assert evaluation.bits_per_token.value == pytest.approx(evaluation.loss.value / math.log(2))
    assert evaluation.bits_per_character.value == pytest.approx(evaluation.bits_per_token.value)
    words = len(TEXT.split()) * 30
    assert evaluation.perplexity_per_word.value == pytest.approx(math.exp(evaluation.losses.sum() / words), rel=0.02)
    assert set(evaluation.to_json()) >= {"split", "loss", "bits_per_token", "perplexity_per_word", "n"}
    assert "nats a character" in evaluation.table()


def test_bits_a_character_count_characters_where_tokens_are_words():
    tokenizer = WordTokenizer.learn([TEXT])
    torch.manual_seed(0)
    writer = Writer(build_language_model("gru", tokenizer.size, hidden_size=8), tokenizer, device="cpu")
    numbers = tokenizer.encode(TEXT * 5)
    evaluation = writer.evaluate(TokenBatches(numbers, 1, 20, vary=False, keep_all=True))
    characters = len(TEXT) * 5 - len(tokenizer.decode(numbers[:1]))
    assert evaluation.characters == characters
    assert evaluation.bits_per_character.value == pytest.approx(evaluation.losses.sum() / math.log(2) / characters)


def test_blocks_make_the_interval_wider_where_neighbours_are_alike():
    random = np.random.default_rng(0)
    patches = np.repeat(random.normal(1, 1, 100), 500)
    uneven = mean_of_blocks(patches + random.normal(0, 0.1, 50_000))
    even = mean_of_blocks(random.normal(1, 1, 50_000))
    assert uneven.interval[1] - uneven.interval[0] > 5 * (even.interval[1] - even.interval[0])
    assert mean_of_blocks(np.ones(3)).interval is None


def test_a_model_that_gives_nan_is_no_answer(tokenizer):
    model = build_language_model("gru", tokenizer.size, hidden_size=8)
    model.head.bias.data[:] = math.nan
    writer = Writer(model, tokenizer, device="cpu")
    with pytest.raises(NonFiniteError):
        writer.write("the ")
    with pytest.raises(NonFiniteError):
        writer.score("the cat")


# --- the file ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tokenizer, tmp_path):
    path = tmp_path / "model.safetensors"
    arguments = {"tokens": tokenizer.size, "hidden_size": 16, "layers": 1}
    torch.manual_seed(0)
    model = build_language_model("gru", tokenizer.size, hidden_size=16, layers=1)
    save_language_model(path, model, "gru", arguments, tokenizer, "character", lowercase=True)
    return path, model


@pytest.mark.parametrize("name", [*TRAINABLE_LANGUAGE_MODELS, "guided"])
def test_every_model_rebuilds_itself_from_its_file(tokenizer, tmp_path, name):
    torch.manual_seed(0)
    arguments = {"hidden_size": 8, "layers": 2}
    if name == "guided":
        ngram = NGramLanguageModel.learned(np.tile(np.arange(tokenizer.size), 40), tokenizer.size)
        arguments = {"body": {"model": "lstm", **arguments}, "ngram": ngram.arguments}
        model = build_language_model(name, tokenizer.size, **arguments)
        model.ngram.load_state_dict(ngram.state_dict())
    else:
        model = build_language_model(name, tokenizer.size, **arguments)
    save_language_model(tmp_path / "m.safetensors", model, name, arguments, tokenizer, "character")
    again = Writer.load(tmp_path / "m.safetensors", device="cpu")
    plain = Writer(model, tokenizer, device="cpu")
    assert again.write("the ", 40, seed=0) == plain.write("the ", 40, seed=0)


def test_metadata_and_tokenizer_come_back(saved, tokenizer):
    path, _ = saved
    _, again, metadata = load_language_model(path)
    assert again.to_json() == tokenizer.to_json()
    assert metadata["lowercase"] is True
    assert Writer.load(path.parent, device="cpu").lowercase is True


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "images"}, "it holds an image classifier, not a language model"),
        ({"task": None}, "not a language model"),
        ({"model": "gpt"}, "which rushlight .* does not have"),
        ({"model_arguments": {"hidden_size": 10**9}}, "model_arguments"),
        ({"model_arguments": {"hidden_size": 17}}, "refused"),
        ({"model_arguments": {"speed": 2}}, "cannot be built"),
        ({"tokenizer": "bytes"}, "'tokenizer' is missing"),
        ({"tokenizer": ["character"]}, "'tokenizer' is missing"),
        ({"vocabulary": ["a", "a"]}, "vocabulary"),
        ({"vocabulary": ["a"]}, "refused"),
        ({"lowercase": "yes"}, "lowercase"),
    ],
)
def test_metadata_that_makes_no_sense_is_refused(saved, tmp_path, change, message):
    checkpoint = read_checkpoint(saved[0])
    damaged = tmp_path / "damaged.safetensors"
    save_checkpoint(damaged, checkpoint.tensors, {**checkpoint.metadata, **change})
    with pytest.raises(ModelFileError, match=message):
        Writer.load(damaged, device="cpu")
