"""The sections of a language model's report, each a function from the facts."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable
from math import exp, isfinite

from rushlight.app.printing import command_line
from rushlight.app.report import words
from rushlight.app.report.sections import (
    Figure,
    Headline,
    Section,
    advice_section,
    curves_section,
    figure_of,
    origin_section,
)
from rushlight.app.report.text_advice import text_advice
from rushlight.app.report.text_facts import Baseline, TextFacts

# The colour of a token says in which of these steps the probability lies that the model gave it.
PROBABILITIES = (0.5, 0.2, 0.1, 0.04, 0.01, 0.001)
_STEPS = ("more than 50 %", "20 to 50 %", "10 to 20 %", "4 to 10 %", "1 to 4 %", "0.1 to 1 %", "less than 0.1 %")


def headline(facts: TextFacts) -> Headline:
    """The result in one sentence, and the figures beside it."""
    scores = facts.scores
    figures: list[Figure] = []
    if scores is not None:
        figures += figure_of(f"nats a {scores.unit}", scores.loss)
        figures += figure_of(f"bits a {scores.unit}", scores.bits_per_token)
        if scores.unit != "character":
            figures += figure_of("bits a character", scores.bits_per_character)
        figures += figure_of("perplexity a word", scores.perplexity_per_word)
    if facts.training_tokens is not None:
        figures.append(Figure("learned from", words.large(facts.training_tokens), f"{facts.unit}s"))
    seconds = facts.record.fact("seconds")
    if isinstance(seconds, (int, float)):
        figures.append(Figure("took", words.duration(seconds)))
    notes = []
    if not facts.record.facts:
        notes.append("The run folder has no run.json, so the command, versions and results of the run are not known.")
    return Headline(facts.record.folder.resolve().name, _sentence(facts), figures, notes)


def next_section(facts: TextFacts) -> Section:
    """What to do next."""
    return advice_section(text_advice(facts))


def comparison_section(facts: TextFacts) -> Section | None:
    """The result beside what others reach on the same text."""
    if facts.scores is None:
        return None
    rows = [Baseline("this model", facts.scores.loss), *facts.baselines]
    rows.sort(key=lambda row: row.loss.value)
    values = {"rows": rows, "unit": facts.scores.unit, "training": facts.training, "most": _scale(rows)}
    return Section("comparison", "Beside old hands", "comparison.html", values)


def learning_section(facts: TextFacts) -> Section | None:
    """The curves; None where no epoch was recorded."""
    return curves_section(facts.record, f"nats a {facts.unit}") if facts.record.history else None


def surprise_section(facts: TextFacts) -> Section:
    """The beginning of the validation text, each token on a colour that says how much it surprised the model."""
    passage = facts.passage
    tokens: list[tuple[str, int | None, str]] = []
    if passage is not None:
        for token, loss in zip(passage.scores.tokens, passage.scores.losses.tolist(), strict=True):
            given = exp(-loss) if isfinite(loss) else None
            told = "" if given is None else f"{100 * given:.2g} %"
            tokens.append((token, None if given is None else _step(given), told))
    values = {
        "passage": passage,
        "tokens": tokens,
        "steps": list(enumerate(_STEPS)),
        "unit": facts.unit,
        "missing": facts.missing,
        "text": "" if passage is None else "".join(passage.scores.tokens),
        "share": _share_expected(tokens),
    }
    return Section("surprise", "What surprised it", "surprise.html", values)


def samples_section(facts: TextFacts) -> Section:
    """What it writes from nothing, more and more boldly."""
    samples = [
        (
            sample,
            command_line("generate", facts.record.folder, "--length", sample.length, "--temperature",
                         sample.temperature, "--seed", sample.seed),
        )
        for sample in facts.samples
    ]  # fmt: skip
    return Section("samples", "What it writes", "samples.html", {"samples": samples, "unit": facts.unit})


def made_section(facts: TextFacts) -> Section:
    """How to make the run again."""
    return origin_section(facts.record, facts.model)


SECTIONS: list[Callable[[TextFacts], Section | None]] = [
    next_section,
    comparison_section,
    learning_section,
    surprise_section,
    samples_section,
    made_section,
]


def _sentence(facts: TextFacts) -> str:
    scores = facts.scores
    if scores is None:
        return "How good this model is was not measured."
    loss, unit = scores.loss, scores.unit
    places = max(3, words.places_for(loss))
    interval = words.decimal_interval(loss, places)
    between = f" ({words.INTERVAL} interval {interval})" if interval else ""
    in_bits = "" if scores.bits_per_token is None else f", or {words.decimal(scores.bits_per_token, 2)} bits"
    return (
        f"Text that it did not learn from costs it {words.decimal(loss, places)} nats a {unit}{between}{in_bits}, "
        f"measured on {words.plural(loss.n, f'validation {unit}')}: as if it chose among "
        f"{exp(loss.value):,.1f} equally likely {unit}s each time."
    )


def _scale(rows: list[Baseline]) -> float:
    """The right end of the bars."""
    ends = [row.loss.value if row.loss.interval is None else row.loss.interval[1] for row in rows]
    return 1.05 * max(ends)


def _step(probability: float) -> int:
    """0 for what was expected, and more the less it was."""
    return bisect([-bound for bound in PROBABILITIES], -probability)


def _share_expected(tokens: list[tuple[str, int | None, str]]) -> float:
    steps = [step for _, step, _ in tokens if step is not None]
    return sum(step == 0 for step in steps) / max(1, len(steps))
