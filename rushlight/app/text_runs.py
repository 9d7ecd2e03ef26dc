"""Train a language model into a run folder, and find the text of a run again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import log
from pathlib import Path
from typing import Any

from rushlight.app import plots
from rushlight.app.resuming import facts_of_run
from rushlight.app.runs import Fit, Keeping, RunInProgress
from rushlight.data.catalog import DATASETS
from rushlight.data.text import TextData
from rushlight.inference.text_baselines import compressed_bits_per_character, ngram_loss
from rushlight.inference.text_counts import reach_of
from rushlight.inference.text_evaluation import TextEvaluation
from rushlight.runtime.distributed import is_writer
from rushlight.runtime.errors import InputError
from rushlight.runtime.measured import Measured
from rushlight.runtime.terminal import note
from rushlight.tasks.language_model import LanguageModel

MOST_BASELINE_TOKENS = 20_000_000  # of more, the counts would take gigabytes


@dataclass(frozen=True)
class TextSource:
    """Which text a run used, as `run.json` keeps it: enough to cut the same validation part again.

    Attributes:
        name_or_path: a name of the catalog, or the absolute path of a file or folder.
        tokens, lowercase, minimum_frequency, encoding, replace_invalid, valid_fraction: as in `TextOptions`; an
            encoding of None is that of the catalog, or UTF-8.
    """

    name_or_path: str
    tokens: str = "character"
    lowercase: bool = False
    minimum_frequency: int = 1
    encoding: str | None = None
    replace_invalid: bool = False
    valid_fraction: float = 0.2

    @classmethod
    def of(cls, name_or_path: str, **settings: Any) -> "TextSource":
        """A source whose path still holds from another working folder."""
        path = Path(name_or_path).expanduser()
        is_path = name_or_path not in DATASETS and path.exists()
        return cls(str(path.absolute()) if is_path else name_or_path, **settings)

    def load(self, **options: Any) -> TextData:
        """Read the text; `options` are those of `TextData.from_name`."""
        settings = asdict(self)
        del settings["name_or_path"]
        if self.encoding is None:
            del settings["encoding"]
        return TextData.from_name(self.name_or_path, **(settings | options))

    @classmethod
    def of_run(cls, run_json: Mapping[str, Any], path: Path) -> "tuple[TextSource, str]":
        """Which text a run used, and its fingerprint at that time.

        Args:
            run_json: the contents of the run's `run.json`.
            path: where they were read, for the message.

        Raises:
            InputError: the file says nothing about a text.
        """
        try:
            kept = dict(run_json["data"])
            fingerprint = kept.pop("fingerprint")
            return cls(**kept), fingerprint
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{path} does not say which text the run used; name it with --data") from None


@dataclass(frozen=True)
class Baselines:
    """What two old hands reach on the validation part, in nats a token.

    Attributes:
        ngram: of an n-gram model, which like the network learns nothing while it is measured.
        compressor: the name of a general compressor, which does learn while it reads.
        compressed: its figure.
    """

    ngram: Measured
    compressor: str
    compressed: float

    def to_json(self) -> dict[str, Any]:
        """As `run.json` keeps it."""
        figure = Measured(self.compressed, None, self.ngram.n, None)
        return {"ngram": self.ngram.to_json(), "compressor": {"name": self.compressor, "loss": figure.to_json()}}


def baselines(data: TextData) -> Baselines | None:
    """Measure them on a text; None where it is too long for that."""
    train, valid = data.train.tokens, data.valid.tokens
    if len(train) > MOST_BASELINE_TOKENS:
        return None
    ngram = ngram_loss(train, valid, data.tokenizer)
    valid_text = data.tokenizer.decode(valid)
    name, bits = compressed_bits_per_character(data.tokenizer.decode(train), valid_text)
    return Baselines(ngram, name, bits * log(2) * len(valid_text) / len(valid))


@dataclass(frozen=True)
class TrainedTextRun:
    """What training left behind.

    Attributes:
        folder: the run folder.
        model: the trained language model.
        evaluation: on the validation part.
        baselines: what the same part costs others; None for a text that is too long.
        seconds: from the first training step to the saved model.
    """

    folder: Path
    model: LanguageModel
    evaluation: TextEvaluation
    baselines: Baselines | None
    seconds: float

    def results(self) -> dict[str, Any]:
        """Measured quantities by the part they were measured on."""
        found: dict[str, Any] = {"valid": self.evaluation.to_json()}
        if self.baselines is not None:
            found["baselines"] = self.baselines.to_json()
        return found

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {"run": str(self.folder), "results": self.results(), "seconds": round(self.seconds, 2)}

    def table(self) -> str:
        """The result beside what it is to be compared with, a line each."""
        unit = self.evaluation.unit
        rows = [("this model", str(self.evaluation.loss))]
        if self.baselines is not None:
            rows += [
                (f"counting what followed ({reach_of(unit)})", str(self.baselines.ngram)),
                (
                    f"the compressor {self.baselines.compressor}, which learns as it reads",
                    f"{self.baselines.compressed:.4f}",
                ),
            ]
        width = max(len(name) for name, _ in rows)
        lines = [f"Nats a {unit} of text that was not trained on (less is better):"]
        return "\n".join([*lines, *(f"  {name:<{width}}  {figure}" for name, figure in rows)])


def train_text_into_run_folder(
    source: TextSource,
    data: TextData,
    model: LanguageModel,
    fit: Fit,
    *,
    output: Path | None = None,
    arguments: Mapping[str, Any] | None = None,
    keeping: Keeping | None = None,
) -> TrainedTextRun | None:
    """Train, measure on the validation part, and leave everything about it in a run folder.

    Args:
        source: where `data` came from.
        data: the text.
        model: made for `data`.
        fit: trains the model; it is given the run folder and the callbacks that keep it up to date.
        output: the run folder to make; the next free one under `runs/text/` if None.
        arguments: what the person chose, for `run.json`.
        keeping: how the run is kept against interruptions.

    Returns:
        What was left behind; None in all of several processes but the first, which alone measures and writes.

    Raises:
        InputError: `output` already holds a finished run, or was begun with other data or settings.
        Interrupted: a signal came; the state is saved.
        StorageError: the folder cannot be written.
        NonFiniteError: the loss became non-finite; the last good model is saved.
    """
    note(data.summary())
    with RunInProgress.create(output, "text", data.name, keeping) as run:
        facts = facts_of_run("text", dict(arguments or {}) | {"text": source.name_or_path}, data.fingerprint)
        run.fit(model, fit, facts)
        if not is_writer():
            return None
        model.save(run.folder.model)
        seconds = run.seconds
        trained = TrainedTextRun(run.folder.path, model, model.evaluate(), baselines(data), seconds)
        plots.save(model.learner.history.plot(), run.folder.path / "curves.png")
        run.finish(
            model,
            arguments or {},
            data=asdict(source) | {"fingerprint": data.fingerprint},
            results=trained.results(),
        )
    return trained
