"""Models that answer together: their mean, from a file that rebuilds itself, and what cannot be mixed."""

import pytest
import torch

from rushlight.data.tokenizers import CharacterTokenizer
from rushlight.inference.text_counts import count_text
from rushlight.inference.text_file import save_language_model
from rushlight.inference.text_mixture import save_mixture
from rushlight.inference.writer import Writer
from rushlight.nn.language_models import build_language_model
from rushlight.nn.mixture import MixtureLanguageModel
from rushlight.nn.models import UnknownModel
from rushlight.runtime.errors import InputError, ModelFileError

TEXT = "the cat sat on the mat and the dog on the log"
SMALL = {"embedding_size": 8, "hidden_size": 8, "layers": 1}


def saved(path, cell="lstm", text=TEXT, seed=0, **settings):
    torch.manual_seed(seed)
    tokenizer = CharacterTokenizer.learn([text])
    model = build_language_model(cell, tokenizer.size, **SMALL)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    save_language_model(path, model, cell, dict(SMALL), tokenizer, "character", **settings)
    return path


def probabilities(path, text=TEXT):
    writer = Writer.load(path, device="cpu")
    tokens = torch.tensor(writer.tokenizer.encode(text).tolist())[:, None]
    with torch.inference_mode():
        return writer.model.eval()(tokens)[0].softmax(-1)


def test_a_mixture_gives_the_mean_of_the_probabilities(tmp_path):
    first, second = saved(tmp_path / "a", "lstm"), saved(tmp_path / "b", "gru", seed=1)
    save_mixture([first, second], tmp_path / "mixed")
    expected = (probabilities(first) + probabilities(second)) / 2
    torch.testing.assert_close(probabilities(tmp_path / "mixed"), expected)


def test_mixing_a_mixture_counts_every_member_once(tmp_path):
    files = [saved(tmp_path / str(seed), seed=seed) for seed in range(3)]
    save_mixture(files[:2], tmp_path / "two")
    save_mixture([tmp_path / "two", files[2]], tmp_path / "three")
    expected = sum(probabilities(file) for file in files) / 3
    torch.testing.assert_close(probabilities(tmp_path / "three"), expected)


def test_a_mixture_is_never_worse_than_its_members_are_on_average(tmp_path):
    files = [saved(tmp_path / str(seed), seed=seed) for seed in range(3)]
    save_mixture(files, tmp_path / "mixed")
    losses = [Writer.load(file, device="cpu").score(TEXT).losses[1:].mean() for file in [*files, tmp_path / "mixed"]]
    assert losses[-1] < sum(losses[:-1]) / 3  # by Jensen's inequality


def test_a_mixture_writes_on(tmp_path):
    save_mixture([saved(tmp_path / "a"), saved(tmp_path / "b", seed=1)], tmp_path / "mixed")
    writer = Writer.load(tmp_path / "mixed", device="cpu")
    assert writer.write("the ", 20, seed=0) == writer.write("the ", 20, seed=0)
    assert len(writer.beam_search("the ", 5, width=3)) == 5


def test_what_cannot_be_mixed_is_refused(tmp_path):
    first = saved(tmp_path / "a")
    with pytest.raises(InputError, match="two or more models"):
        save_mixture([first], tmp_path / "mixed")
    with pytest.raises(InputError, match="does not read the same tokens"):
        save_mixture([first, saved(tmp_path / "b", text="other letters: xyz")], tmp_path / "mixed")
    with pytest.raises(InputError, match="does not read the same tokens"):
        save_mixture([first, saved(tmp_path / "c", lowercase=True)], tmp_path / "mixed")
    (tmp_path / "d").write_text("no model")
    with pytest.raises(ModelFileError, match="refused"):
        save_mixture([first, tmp_path / "d"], tmp_path / "mixed")
    assert not (tmp_path / "mixed").exists()


def test_a_mixture_has_no_mixture_inside():
    with pytest.raises(UnknownModel, match="cannot be a member of a mixture"):
        build_language_model("mixture", 5, members=[{"model": "mixture"}])


def test_an_n_gram_model_joins_with_its_weight(tmp_path):
    first = saved(tmp_path / "a")
    tokens = Writer.load(first, device="cpu").tokenizer.encode(TEXT)
    save_mixture([first], tmp_path / "mixed", counted=tokens, ngram_weight=0.25)
    ngram = count_text(tokens, Writer.load(first, device="cpu").tokenizer)
    counted = ngram(torch.from_numpy(tokens)[:, None])[0].exp()
    torch.testing.assert_close(probabilities(tmp_path / "mixed"), 0.75 * probabilities(first) + 0.25 * counted)
    assert Writer.load(tmp_path / "mixed", device="cpu").write("the ", 20, seed=0)


def test_mixing_keeps_the_weights_of_a_mixture(tmp_path):
    first, second = saved(tmp_path / "a"), saved(tmp_path / "b", seed=1)
    tokens = Writer.load(first, device="cpu").tokenizer.encode(TEXT)
    save_mixture([first], tmp_path / "one", counted=tokens, ngram_weight=0.25)
    save_mixture([tmp_path / "one", second], tmp_path / "two")
    expected = (2 * probabilities(tmp_path / "one") + probabilities(second)) / 3  # two members and one
    torch.testing.assert_close(probabilities(tmp_path / "two"), expected)
    with pytest.raises(InputError, match="has an n-gram model already"):
        save_mixture([tmp_path / "one", second], tmp_path / "three", counted=tokens)
    with pytest.raises(InputError, match="between 0 and 1, not 1"):
        save_mixture([first], tmp_path / "three", counted=tokens, ngram_weight=1)


def test_a_mixture_cannot_be_weighed_wrongly():
    member = build_language_model("lstm", 5, **SMALL)
    for weights in ([1.0, 1.0], [0.0], [float("nan")]):
        with pytest.raises(ValueError, match="positive weight for each"):
            MixtureLanguageModel([member], weights)
