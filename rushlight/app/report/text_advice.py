"""What to do next with a language model."""

from __future__ import annotations

from rushlight.app.report import words
from rushlight.app.report.advice import Advice, first_few, longer, validation_trend
from rushlight.app.report.text_facts import TextFacts

GAP = 0.15  # of the loss on training text: so much higher on other text, and it knows the first by heart
_HIDDEN_SIZE = 512


def text_advice(facts: TextFacts) -> list[Advice]:
    """The most urgent first."""
    return first_few(
        [
            _nothing_measured(facts),
            _below_a_baseline(facts),
            _too_long(facts),
            _not_long_enough(facts),
            _learned_by_heart(facts),
            _too_small(facts),
            _mix(facts),
            _adapt(facts),
            _write(facts),
        ]
    )


def _nothing_measured(facts: TextFacts) -> Advice | None:
    if facts.scores is not None:
        return None
    why = "The run folder holds no results, and the text is not at hand."
    return Advice.of("Measure how good the model is", why, "evaluate", facts.record.folder, "--data", "FILE")


def _below_a_baseline(facts: TextFacts) -> Advice | None:
    scores = facts.scores
    if scores is None:
        return None
    better = [baseline for baseline in facts.baselines if baseline.loss.value < scores.loss.value]
    if not better:
        return None
    best = min(better, key=lambda baseline: baseline.loss.value)
    why = (
        f"{best.name.capitalize()} expects this text better ({words.decimal(best.loss)} nats a {scores.unit} against "
        f"{words.decimal(scores.loss)}). The network has not yet learned all that is found so simply."
    )
    return Advice.of("Train for longer", why, *longer(facts.record, "text"))


def _too_long(facts: TextFacts) -> Advice | None:
    trend = validation_trend(facts.record)
    if trend is None or not trend.has_risen:
        return None
    why = (
        f"The validation loss was lowest at epoch {trend.best_epoch:g} and has risen by {100 * trend.rose:.0f} % "
        "since: the model began to learn the training text by heart."
    )
    return Advice.of("Stop earlier, and keep the best model", why,
                     *facts.record.command_with("text", early_stopping=3))  # fmt: skip


def _not_long_enough(facts: TextFacts) -> Advice | None:
    trend = validation_trend(facts.record)
    if trend is None or not trend.is_falling or _below_a_baseline(facts) is not None:
        return None
    why = (
        f"The validation loss was still falling, by {100 * trend.fell_lately:.0f} % over the last fifth of the epochs."
    )
    return Advice.of("Train for longer", why, *longer(facts.record, "text"))


def _learned_by_heart(facts: TextFacts) -> Advice | None:
    if not _gap(facts) > GAP or facts.scores is None or facts.training is None:
        return None
    why = (
        f"It needs {words.decimal(facts.training)} nats a {facts.unit} for text it learned from, and "
        f"{words.decimal(facts.scores.loss)} for text it did not. More text of the same kind is worth more than more "
        "training; more dropout comes next."
    )
    typed = facts.record.command_with("text", dropout=0.6)
    return Advice.of("Add text, or more dropout", why, *typed)


def _too_small(facts: TextFacts) -> Advice | None:
    gap = _gap(facts)
    asked = facts.record.fact("arguments", "hidden_size")
    is_large = isinstance(asked, int) and asked >= 2 * _HIDDEN_SIZE
    if facts.scores is None or facts.training is None or is_large or not gap < GAP / 3:
        return None
    if _below_a_baseline(facts) is not None:  # which says the same
        return None
    why = (
        f"It expects the text it learned from hardly better than other text ({words.decimal(facts.training)} and "
        f"{words.decimal(facts.scores.loss)} nats a {facts.unit}): it has room to learn more. A larger network takes "
        "more time, too."
    )
    size = 2 * asked if isinstance(asked, int) else 2 * _HIDDEN_SIZE
    typed = facts.record.command_with("text", hidden_size=size)
    return Advice.of("Train for longer, or try a larger network", why, *typed)


def _mix(facts: TextFacts) -> Advice | None:
    if facts.has_ngram or facts.record.fact("arguments", "runs"):  # or it is a mixture already
        return None
    why = "An n-gram model of the same text errs in other places than a network, and costs nothing to speak of."
    return Advice.of("Let an n-gram model join it", why, "mix", facts.record.folder, "--ngram")


def _adapt(facts: TextFacts) -> Advice | None:
    if facts.scores is None:
        return None
    why = "A text repeats its own names and turns of phrase. Here the model stayed as it is; it may also learn them."
    return Advice.of("See what it gains by learning while it reads", why, "evaluate", facts.record.folder, "--dynamic")


def _write(facts: TextFacts) -> Advice:
    why = "It goes on from whatever you type; a higher temperature makes it bolder."
    return Advice.of("Let it write", why, "generate", facts.record.folder, "Once upon a time", "--temperature", 0.8)


def _gap(facts: TextFacts) -> float:
    """By which part the loss is higher on text it did not learn from; NaN where that is not known."""
    if facts.scores is None or facts.training is None or not facts.training.value > 0:
        return float("nan")
    return facts.scores.loss.value / facts.training.value - 1
