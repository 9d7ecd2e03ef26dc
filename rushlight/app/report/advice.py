"""What to do next: rules that read the evidence, each with its reason and, where there is one, a command to type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rushlight.app.printing import command_line
from rushlight.app.report.record import RunRecord, measured_of

MOST_SHOWN = 5
STILL_FALLING = 0.02  # of the loss, over the last fifth of the epochs
HAS_RISEN = 0.03  # of the loss, since its lowest
FEWEST_EPOCHS = 4  # a trend takes some


@dataclass(frozen=True)
class Advice:
    """One thing to do.

    Attributes:
        what: in a few words.
        why: the evidence.
        command: what to type; None where it is not a command.
    """

    what: str
    why: str
    command: str | None = None

    @classmethod
    def of(cls, what: str, why: str, *typed: object) -> Advice:
        """With a command that can be pasted, by its words."""
        return cls(what, why, command_line(*typed))


@dataclass(frozen=True)
class Trend:
    """How the validation loss went.

    Attributes:
        fell_lately: the part of it that the last fifth of the epochs took away.
        rose: the part by which it has risen since its lowest.
        best_epoch, last_epoch: where it was lowest, and where training ended.
    """

    fell_lately: float
    rose: float
    best_epoch: float
    last_epoch: float

    @property
    def is_falling(self) -> bool:
        """Whether more training would probably have helped."""
        return self.fell_lately > STILL_FALLING and self.rose < 0.005

    @property
    def has_risen(self) -> bool:
        """Whether training went on for too long."""
        return self.rose > HAS_RISEN


def validation_trend(record: RunRecord) -> Trend | None:
    """How the validation loss went; None with too few epochs to tell."""
    losses = [
        (float(row["epoch"]), quantity.value)
        for row in record.history
        if isinstance(row.get("epoch"), (int, float)) and (quantity := measured_of(row.get("valid_loss"))) is not None
    ]
    if len(losses) < FEWEST_EPOCHS:
        return None
    best_epoch, best = min(losses, key=lambda pair: pair[1])
    last_epoch, last = losses[-1]
    before = losses[min(-2, -1 - len(losses) // 5)][1]
    scale = max(abs(best), 1e-12)
    return Trend((before - last) / max(abs(before), 1e-12), (last - best) / scale, best_epoch, last_epoch)


def longer(record: RunRecord, kind: str) -> list[str]:
    """The words of the run's command, with twice the time or twice the epochs."""
    epochs, minutes = record.fact("arguments", "epochs"), record.fact("arguments", "minutes")
    if isinstance(epochs, (int, float)):
        return record.command_with(kind, epochs=f"{2 * epochs:g}")
    minutes = 2 * minutes if isinstance(minutes, (int, float)) else 20
    return record.command_with(kind, minutes=f"{minutes:g}")


def first_few(advice: Sequence[Advice | None]) -> list[Advice]:
    """Those that apply, the most urgent first, and not more than a person would do."""
    return [found for found in advice if found is not None][:MOST_SHOWN]
