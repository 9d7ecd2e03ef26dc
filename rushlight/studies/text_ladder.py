"""The lecture's ladder of character models, each with its recipe, beside the losses that were printed then.

The first six see windows by themselves; from the seventh on the state is kept. The recipes are the lecture's: Adam,
batches of 512 windows or 64 streams, windows of 8 characters (3 for the first).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from torch import Tensor, nn

from rushlight.data.text import TextData
from rushlight.data.window_batches import WindowBatches
from rushlight.nn.recurrent import RecurrentLoop, RNNCell
from rushlight.nn.text_stages import (
    EMBEDDING_SIZE,
    HIDDEN_SIZE,
    CharacterLoop,
    ConcatenatingLoop,
    LibraryRNN,
    ManyOutputs,
    Stateful,
    ThreeCharacters,
)
from rushlight.runtime.errors import InputError
from rushlight.runtime.measured import Measured, mean_of_runs
from rushlight.runtime.seeds import seed_everything
from rushlight.studies.stages import Stage
from rushlight.tasks.language_model import LanguageModelStep
from rushlight.training.callbacks import Callback
from rushlight.training.learner import Learner
from rushlight.training.losses import cross_entropy

WINDOWS, STREAMS, WINDOW = 512, 64, 8  # windows or streams a batch, characters a window


@dataclass(frozen=True)
class TextRung:
    """A model of the ladder with its recipe and what the lecture printed.

    Attributes:
        number: its place.
        name: what it is.
        model: makes it, given the number of tokens.
        stages: what to train, in order.
        lecture: validation loss at the end, in nats a character; of the first rung the training loss, as the lecture
            measured no other.
        windows: characters in a window, the stride, and whether all that follow are predicted; None keeps the state.
        weight_decay: coupled, as L2.
    """

    number: int
    name: str
    model: Callable[[int], nn.Module]
    stages: tuple[Stage, ...]
    lecture: float
    windows: tuple[int, int, bool] | None = None
    weight_decay: float = 0.0


class StatefulByHand(Stateful):
    """The stateful RNN with its cell written out, and a loop in Python."""

    def __init__(self, tokens: int) -> None:
        super().__init__(tokens)
        self.recurrent = RecurrentLoop(RNNCell(EMBEDDING_SIZE, HIDDEN_SIZE))


_FIRST = (Stage(1e-2, epochs=1), Stage(1e-3, epochs=1))

TEXT_RUNGS = (
    TextRung(1, "three characters", ThreeCharacters, _FIRST, 1.846, (3, 3, False)),
    TextRung(2, "loop, inputs added", CharacterLoop, _FIRST, 1.717, (8, 1, False)),
    # At the rates of the other two it does not learn at all: two matrices and a tanh a character make it steeper.
    TextRung(
        3,
        "loop, inputs concatenated",
        ConcatenatingLoop,
        (Stage(1e-3, epochs=1), Stage(1e-4, epochs=1)),
        1.777,
        (8, 1, False),
    ),
    TextRung(4, "library RNN", LibraryRNN, (Stage(1e-3, epochs=4), Stage(1e-4, epochs=2)), 1.503, (8, 1, False)),
    TextRung(5, "many outputs", ManyOutputs, (Stage(1e-3, epochs=4),), 2.008, (8, 8, True)),
    TextRung(
        6,
        "many outputs, identity start",
        partial(ManyOutputs, identity=True),
        (Stage(1e-2, epochs=4), Stage(1e-3, epochs=4)),
        1.827,
        (8, 8, True),
    ),
    TextRung(7, "stateful RNN", Stateful, (Stage(1e-3, epochs=4), Stage(1e-4, epochs=4)), 1.539),
    TextRung(8, "stateful RNN by hand", StatefulByHand, (Stage(1e-3, epochs=4),), 1.604),
    TextRung(9, "stateful GRU", partial(Stateful, cell="gru"), (Stage(1e-3, epochs=6), Stage(1e-4, epochs=3)), 1.422),
    TextRung(
        10,
        "stateful LSTM, 2 x 512",
        partial(Stateful, cell="lstm", hidden_size=512, layers=2, dropout=0.5),
        (Stage(1e-2, epochs=2), Stage(1e-2, cycles=4, cycle_multiplier=2)),
        1.354,
        weight_decay=1e-5,
    ),
)


@dataclass(frozen=True)
class TextRungResult:
    """What one rung reached, over all seeds.

    Attributes:
        rung: which.
        parameters: how many it has.
        epochs: how long it was trained.
        seconds_an_epoch: how long an epoch took, measuring included.
        train_losses, valid_losses: of the last epoch, one a seed, in nats a character.
    """

    rung: TextRung
    parameters: int
    epochs: int
    seconds_an_epoch: float
    train_losses: list[float]
    valid_losses: list[Measured]

    @property
    def loss(self) -> Measured:
        """Of one seed with its own interval; of several their mean, with the t interval over seeds."""
        first = self.valid_losses[0]
        return first if len(self.valid_losses) == 1 else mean_of_runs([loss.value for loss in self.valid_losses])

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "rung": self.rung.number,
            "name": self.rung.name,
            "parameters": self.parameters,
            "epochs": self.epochs,
            "seconds_an_epoch": round(self.seconds_an_epoch, 2),
            "train_losses": self.train_losses,
            "loss": self.loss.to_json(),
            "median_loss": median(loss.value for loss in self.valid_losses),
            "losses": [loss.value for loss in self.valid_losses],
            "lecture": self.rung.lecture,
        }


@dataclass(frozen=True)
class TextLadderResult:
    """The whole table."""

    data: str
    seeds: int
    rows: list[TextRungResult]

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {"data": self.data, "seeds": self.seeds, "rungs": [row.to_json() for row in self.rows]}

    def table(self) -> str:
        """Markdown, with the lecture's figure beside each of ours."""
        head = ["rung", "model", "parameters", "epochs", "s an epoch", "training", "validation", "95 %", "lecture"]
        lines = []
        for row in self.rows:
            low, high = row.loss.interval or (row.loss.value,) * 2
            lines.append(
                [
                    str(row.rung.number),
                    row.rung.name,
                    f"{row.parameters:,}",
                    str(row.epochs),
                    f"{row.seconds_an_epoch:.1f}",
                    f"{median(row.train_losses):.3f}",
                    f"{median(loss.value for loss in row.valid_losses):.3f}",
                    f"{low:.3f} to {high:.3f}",
                    f"{row.rung.lecture:.3f}" + (" (training)" if row.rung.number == 1 else ""),
                ]
            )
        return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *lines])


def run_text_ladder(
    cased: Callable[[], TextData],
    lowered: Callable[[int], TextData],
    rungs: Iterable[int] = range(1, len(TEXT_RUNGS) + 1),
    seeds: Sequence[int] = (0,),
    *,
    epochs_scale: float = 1.0,
    device: str = "auto",
    callbacks: Sequence[Callback] = (),
    report: Callable[[str], None] = lambda line: None,
) -> TextLadderResult:
    """Train rungs of the ladder with the lecture's recipes, and measure the validation part at the end of each.

    Args:
        cased: the text as it is, for the first six rungs.
        lowered: the text in lower case without its rarest characters in streams of the lecture's kind, for a seed.
        rungs: numbers from 1 up.
        seeds: every rung is trained once for each.
        epochs_scale: multiplies the epochs of every recipe.
        device: as for `Learner`.
        callbacks: for every training.
        report: is told what is going on, a line at a time.

    Raises:
        InputError: there is no such rung, or a number is out of range.
    """
    chosen = [_rung(number) for number in rungs]
    if not epochs_scale > 0:
        raise InputError(f"the epochs scale must be more than 0, not {epochs_scale}")
    rows = []
    name = ""
    for rung in chosen:
        train_losses, valid_losses, seconds, epochs, parameters = [], [], 0.0, 0, 0
        for seed in seeds:
            report(f"rung {rung.number}, {rung.name}, seed {seed}")
            text = lowered(seed) if rung.windows is None else cased()
            name = text.name
            learner = _learner(rung, text, seed, device, callbacks)
            started = time.perf_counter()
            for stage in rung.stages:
                stage.run(learner, epochs_scale, rung.weight_decay)
            seconds += time.perf_counter() - started
            epochs = learner.epoch
            train_losses.append(learner.history[-1]["train_loss"].value)
            valid_losses.append(learner.history[-1]["valid_loss"])
            parameters = sum(p.numel() for p in learner.model.parameters())
        rows.append(TextRungResult(rung, parameters, epochs, seconds / len(seeds) / epochs, train_losses, valid_losses))
    return TextLadderResult(name, len(seeds), rows)


def _learner(rung: TextRung, text: TextData, seed: int, device: str, callbacks: Sequence[Callback]) -> Learner:
    seed_everything(seed)
    model = rung.model(text.tokenizer.size)
    data: Any = text
    step: Any = LanguageModelStep()
    if rung.windows is not None:
        window, stride, many = rung.windows
        parts = (text.train.tokens, text.valid.tokens)
        data = tuple(
            WindowBatches(tokens, window, stride, many=many, batch_size=WINDOWS, shuffle=number == 0, seed=seed)
            for number, tokens in enumerate(parts)
        )
        step = _window_step
    return Learner(
        model, data, forward_step=step, optimizer="adam", callbacks=callbacks, device=device, precision="float32"
    )


def _window_step(model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    tokens, targets = batch
    logits = model(tokens)
    return logits, cross_entropy(logits.flatten(0, -2), targets.flatten())


def _rung(number: int) -> TextRung:
    if not 1 <= number <= len(TEXT_RUNGS):
        raise InputError(f"the ladder of texts has rungs 1 to {len(TEXT_RUNGS)}, so there is no rung {number}")
    return TEXT_RUNGS[number - 1]
