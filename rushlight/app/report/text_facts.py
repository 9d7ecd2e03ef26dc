"""What there is to report about a language model: its scores, a passage it was measured on, and what it writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rushlight.app.report.record import RunRecord, measured_of
from rushlight.app.report.scores import TextScores
from rushlight.app.run_evaluation import text_of_run
from rushlight.data.text import TextData
from rushlight.data.token_batches import TokenBatches
from rushlight.inference.writer import Scores, Writer
from rushlight.nn.ngram import NGramLanguageModel
from rushlight.runtime.errors import InputError
from rushlight.runtime.measured import Measured

PASSAGE = 1_600  # tokens of the validation text that are coloured
TRAINING_READ, STREAMS = 20_000, 20  # tokens of the training text, to see how well it knows what it has learned from
TEMPERATURES = (0.5, 0.8, 1.0, 1.2)
SAMPLE = {"character": 320, "word": 80}  # tokens written; of other units as many as of words
SURPRISES, CONTEXT = 8, 36  # how many are told, and how many characters before each
_EXPECTED_AFTER = 200  # characters that the model reads before it says what it expected


@dataclass(frozen=True)
class Surprise:
    """A place in the passage that the model did not expect.

    Attributes:
        before: the text before it.
        token: what came.
        probability: what the model gave it.
        expected: what it expected instead, with its probability.
    """

    before: str
    token: str
    probability: float
    expected: tuple[str, float]


@dataclass(frozen=True)
class Passage:
    """The beginning of the validation text, and how much each token of it surprised the model."""

    scores: Scores
    surprises: list[Surprise]


@dataclass(frozen=True)
class Sample:
    """What the model writes at a temperature, and the seed that writes the same again."""

    temperature: float
    seed: int
    length: int
    text: str


@dataclass(frozen=True)
class Baseline:
    """What another way reaches on the same text.

    Attributes:
        name: of the way.
        loss: nats a token.
        about: what it does.
    """

    name: str
    loss: Measured
    about: str = ""


@dataclass(frozen=True)
class TextMaterial:
    """What the facts are made from.

    Attributes:
        writer: of the model.
        data: the text; None where it is not at hand.
        missing: why there is no text, or what is wrong with it.
    """

    writer: Writer
    data: TextData | None = None
    missing: str | None = None

    @classmethod
    def of_run(cls, model_file: Path, record: RunRecord, device: str) -> TextMaterial:
        """The model of a run, and its text where it can still be read.

        Raises:
            ModelFileError: the model file cannot be used.
        """
        writer = Writer.load(model_file, device=device)
        try:
            data = text_of_run(model_file, device)
        except InputError as error:
            return cls(writer, missing=str(error))
        changed = data.fingerprint != record.fact("data", "fingerprint")
        note = "The text has changed since the training: some of it may have been trained on." if changed else None
        return cls(writer, data, note)


@dataclass(frozen=True)
class TextFacts:
    """What the sections of a language model tell.

    Attributes:
        record: the words of the run folder.
        scores: on the validation part; None where nothing was measured.
        baselines: what others reach on it.
        training: loss on some of the training text, read as the validation text is; None where it is not at hand, and
            with an n-gram model, which has all of its text in its counts.
        training_tokens: how many there are to train on, likewise.
        passage: see there.
        samples: what it writes, the most cautious first.
        missing: why there is no passage, or what to know about it.
        model: rows of name and value about the model.
        unit: what a token is.
        has_ngram: whether an n-gram model is a part of it.
    """

    record: RunRecord
    scores: TextScores | None
    baselines: list[Baseline]
    training: Measured | None
    training_tokens: int | None
    passage: Passage | None
    samples: list[Sample]
    missing: str | None
    model: list[tuple[str, str]]
    unit: str
    has_ngram: bool


def text_facts(record: RunRecord, material: TextMaterial) -> TextFacts:
    """Gather them."""
    writer, data = material.writer, material.data
    has_ngram = any(isinstance(part, NGramLanguageModel) for part in writer.model.modules())
    scores = TextScores.from_json(record.fact("results", "valid"))
    if scores is None and data is not None:
        scores = TextScores.from_json(writer.evaluate(data.valid).to_json())
    return TextFacts(
        record,
        scores,
        _baselines(record),
        None if data is None or has_ngram else _training_loss(writer, data),
        None if data is None else len(data.train.tokens),
        None if data is None else _passage(writer, data),
        _samples(writer, record),
        material.missing,
        _about_model(writer),
        writer.tokenizer.unit,
        has_ngram,
    )


def _training_loss(writer: Writer, data: TextData) -> Measured:
    tokens = data.train.tokens[:TRAINING_READ]
    streams = max(1, min(STREAMS, len(tokens) // 1000))
    window = min(data.valid.window, len(tokens) - 1)
    return writer.evaluate(TokenBatches(tokens, streams, window, vary=False, device=writer.device), "train").loss


def _passage(writer: Writer, data: TextData) -> Passage:
    scores = writer.score(data.tokenizer.decode(data.valid.tokens[:PASSAGE]))
    text = "".join(scores.tokens)
    ends = np.cumsum([len(token) for token in scores.tokens])
    order = np.argsort(-np.nan_to_num(scores.losses, nan=-1.0), kind="stable")
    surprises = []
    for place in sorted(order[:SURPRISES].tolist()):
        if not place or not np.isfinite(scores.losses[place]):
            continue
        before = text[: ends[place - 1]]
        (expected,) = writer.expected(before[-_EXPECTED_AFTER:])
        probability = float(np.exp(-scores.losses[place]))
        surprises.append(Surprise(before[-CONTEXT:], scores.tokens[place], probability, expected))
    return Passage(scores, surprises)


def _samples(writer: Writer, record: RunRecord) -> list[Sample]:
    seed = record.fact("arguments", "seed")
    seed = seed if isinstance(seed, int) and seed >= 0 else 0
    length = SAMPLE.get(writer.tokenizer.unit, SAMPLE["word"])
    return [
        Sample(temperature, seed, length, writer.write("", length, temperature=temperature, seed=seed))
        for temperature in TEMPERATURES
    ]


def _baselines(record: RunRecord) -> list[Baseline]:
    found: list[Baseline] = []
    ngram = record.measured("results", "baselines", "ngram")
    if ngram is not None:
        found.append(Baseline("an n-gram model", ngram, "counts what followed what"))
    compressor: Any = record.fact("results", "baselines", "compressor")
    if isinstance(compressor, dict) and (loss := measured_of(compressor.get("loss"))) is not None:
        found.append(Baseline(f"the compressor {compressor.get('name')}", loss, "learns as it reads"))
    return found


def _about_model(writer: Writer) -> list[tuple[str, str]]:
    parameters = sum(parameter.numel() for parameter in writer.model.parameters())
    return [
        ("network", type(writer.model).__name__),
        ("parameters", f"{parameters:,}"),
        ("a token is", f"a {writer.tokenizer.unit}"),
        ("vocabulary", f"{writer.tokenizer.size:,}"),
        ("lower case only", "yes" if writer.lowercase else ""),
    ]
