"""Every language model by name. To add one: write a function, add its line to `LANGUAGE_MODELS`.

The function takes the number of tokens in the vocabulary and options by keyword that JSON can hold, and returns a
module with the interface of `rushlight.nn.language_model`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import nn

from rushlight.nn.guided import GuidedLanguageModel
from rushlight.nn.language_model import RecurrentLanguageModel
from rushlight.nn.mixture import MixtureLanguageModel
from rushlight.nn.models import UnknownModel, nearest, options_of
from rushlight.nn.ngram import NGramLanguageModel
from rushlight.nn.transformer import TransformerLanguageModel
from rushlight.nn.word_ngram import WordNGramLanguageModel


def mixture(
    tokens: int,
    members: Sequence[Mapping[str, Any]] = ({"model": "lstm"}, {"model": "gru"}),
    weights: Sequence[float] | None = None,
) -> nn.Module:
    """Several language models that answer together; see `MixtureLanguageModel`.

    Args:
        tokens: size of the vocabulary.
        members: for each the name of its `model`, and that model's options.
        weights: of each in the mean; equal if not given.

    Raises:
        UnknownModel: a member is of no known model, or a mixture itself.
    """
    built = []
    for member in members:
        if member.get("model") == "mixture":
            raise UnknownModel("a mixture cannot be a member of a mixture: name its members instead")
        built.append(_part(member, tokens))
    return MixtureLanguageModel(built, weights)


def guided(tokens: int, body: Mapping[str, Any] | None = None, ngram: Mapping[str, Any] | None = None) -> nn.Module:
    """A recurrent network that corrects an n-gram model; see `GuidedLanguageModel`.

    Args:
        tokens: size of the vocabulary.
        body: the name of the network's `model`, and that model's options; a plain `qrnn` if not given.
        ngram: the name of the n-gram model's `model`, a plain `ngram` if not given, and that model's options: the sizes
            of its tables, which a file fills.

    Raises:
        UnknownModel: there is no such network or option.
        ValueError: the network is no recurrent one, or its guide no n-gram model.
    """
    network = _part(body or {"model": "qrnn"}, tokens)
    return GuidedLanguageModel(network, _part({"model": "ngram", **(ngram or {})}, tokens))


def _part(described: Mapping[str, Any], tokens: int) -> Any:
    """A model that is part of another, from its name and options."""
    options = {key: value for key, value in described.items() if key not in ("model", "tokens")}
    return build_language_model(str(described.get("model")), tokens, **options)


LANGUAGE_MODELS: dict[str, Callable[..., nn.Module]] = {
    "rnn": partial(RecurrentLanguageModel, cell="rnn"),
    "gru": partial(RecurrentLanguageModel, cell="gru"),
    "lstm": partial(RecurrentLanguageModel, cell="lstm"),
    "qrnn": partial(RecurrentLanguageModel, cell="qrnn"),
    "transformer": TransformerLanguageModel,
    "ngram": NGramLanguageModel,
    "word_ngram": WordNGramLanguageModel,
    "mixture": mixture,
    "guided": guided,
}

# Those that learn by gradients alone; the others begin with counts of a text, or with models that have learned.
TRAINABLE_LANGUAGE_MODELS = [
    name for name in LANGUAGE_MODELS if name not in ("ngram", "word_ngram", "mixture", "guided")
]


def build_language_model(name: str, tokens: int, **options: Any) -> Any:
    """A language model by its name in `LANGUAGE_MODELS`.

    Args:
        name: a key of `LANGUAGE_MODELS`.
        tokens: size of the vocabulary, at least 1.
        **options: the model's own; see its class.

    Raises:
        UnknownModel: no such model, or no such option of it.
        ValueError: an argument has a value that the model cannot be built with.
    """
    if name not in LANGUAGE_MODELS:
        raise UnknownModel(f"there is no language model '{name}': {nearest(name, LANGUAGE_MODELS)}")
    known = options_of(LANGUAGE_MODELS[name], "tokens", "cell")
    for option in options:
        if option not in known:
            raise UnknownModel(f"language model '{name}' has no option '{option}': {nearest(option, known)}")
    return LANGUAGE_MODELS[name](tokens, **options)
