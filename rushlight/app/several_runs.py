"""Several runs of the same thing, one a seed: their mean with its interval, and every value."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rushlight.app.command_lines import options_set, words_of
from rushlight.app.printing import command_line, print_json
from rushlight.runtime.errors import InputError
from rushlight.runtime.measured import Measured, mean_of_runs
from rushlight.runtime.run_folder import RunFolder, environment_versions, runs_of_seeds
from rushlight.runtime.terminal import note

if TYPE_CHECKING:
    import typer

# Of several runs these say something; of the others one looks at a run.
_PERCENTAGES = ("accuracy", "mean_average_precision", "f1_micro")
_SHOWN = (*_PERCENTAGES, "mean_absolute_error", "r2", "loss", "bits_per_character")


@dataclass(frozen=True)
class SeveralRuns:
    """What several runs measured.

    Attributes:
        split: the part they were measured on.
        runs: their folders.
        values: for each quantity what each run measured, in the order of the runs.
    """

    split: str
    runs: list[Path]
    values: dict[str, list[Measured]]

    @classmethod
    def of(cls, split: str, runs: Sequence[Path], results: Sequence[Mapping[str, Any]]) -> SeveralRuns:
        """Put together what each run measured, in the form of `--json`.

        Args:
            split: the part.
            runs: their folders.
            results: of each run the measured quantities by name; only what all of them have is kept.
        """
        names = [name for name, value in results[0].items() if Measured.is_json(value)]
        kept = [name for name in names if all(name in result for result in results)]
        values = {name: [Measured.from_json(dict(result[name])) for result in results] for name in kept}
        return cls(split, list(runs), values)

    @classmethod
    def of_runs(cls, runs: Sequence[Path]) -> SeveralRuns:
        """What finished runs measured on their validation parts, as their `run.json` says."""
        facts = [json.loads((run / "run.json").read_text(encoding="utf-8")) for run in runs]
        return cls.of("valid", runs, [fact["results"]["valid"] for fact in facts])

    def mean(self, name: str) -> Measured:
        """Over the runs, with Student's t interval."""
        return mean_of_runs([measured.value for measured in self.values[name]])

    def to_json(self) -> dict[str, Any]:
        """Each quantity's mean in the usual form, and beside it the value of each run."""
        return {
            "split": self.split,
            "runs": [str(run) for run in self.runs],
            "results": {name: self.mean(name).to_json() for name in self.values},
            "values": {name: [m.to_json() for m in measured] for name, measured in self.values.items()},
        }

    @property
    def shown(self) -> list[str]:
        """The quantities that say something of several runs, the chief one first."""
        return [name for name in _SHOWN if name in self.values]

    def value_in_words(self, name: str, run: int) -> str:
        """What a run measured, such as `91.2 %`."""
        return _in_words(name, self.values[name][run].value)

    def mean_in_words(self, name: str) -> str:
        """The mean with its interval, such as `91.2 % (95 % interval 90.6 to 91.7, 3 runs)`."""
        mean = self.mean(name)
        text = _in_words(name, mean.value)
        if mean.interval is None:
            return text
        low, high = (_in_words(name, end).removesuffix(" %") for end in mean.interval)
        return f"{text} (95 % interval {low} to {high}, {mean.n} runs)"

    def table(self) -> str:
        """Every run, and the mean, a line each."""
        lines = []
        width = max(len(str(run)) for run in [*self.runs, "mean"])
        for name in self.shown:
            lines.append(f"{name.replace('_', ' ')} ({self.split})")
            lines += [f"  {run!s:<{width}}  {self.value_in_words(name, n)}" for n, run in enumerate(self.runs)]
            lines.append(f"  {'mean':<{width}}  {self.mean_in_words(name)}")
        return "\n".join(lines)


def _in_words(name: str, value: float) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{100 * value:.1f} %" if name in _PERCENTAGES else f"{value:.4f}"


@contextmanager
def _as_a_command_of_its_own(kind: str, words: Sequence[str]) -> Iterator[None]:
    """A context in which `run.json` says how this run alone is repeated."""
    whole = sys.argv
    sys.argv = [whole[0], "train", kind, *words]
    try:
        yield
    finally:
        sys.argv = whole


def _is_done(run: Path, words: Sequence[str]) -> bool:
    """Whether a run is there that this very command made and finished."""
    try:
        facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
        return bool(facts["results"]) and facts["command"][1:] == list(words)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def runs_in(path: Path) -> list[Path]:
    """The runs that a path stands for: itself, or those of each seed in a folder that `--seeds` made."""
    return runs_of_seeds(path) or [path]


def train_over_seeds(context: typer.Context, kind: str, data: str) -> None:
    """Run a training command once for each of `--seeds`, on the same parts of the data, and print what they measured.

    They are left in one folder, which holds a run folder for each seed. Interrupted, the same command with the same
    `--output` goes on where it was.

    Args:
        context: of the command, which has `seeds`, `seed` and `output`.
        kind: `images` or `text`.
        data: what it was given.

    Raises:
        InputError: `output` holds a run already, or nothing would be left to measure with.
    """
    from rushlight.app.report.seeds_page import report_seeds  # which reads what this module made

    given: dict[str, Any] = context.params
    if given.get("fit_all"):
        raise InputError("--seeds compares runs on validation images, and --fit-all leaves none: give one of them")
    values = options_set(context, leave_out=("seeds", "seed", "output", "as_json"))
    if kind == "images":  # the same parts, so that the seeds differ in the training alone
        values.setdefault("split_seed", given["seed"])
    first, count = given["seed"], given["seeds"]
    with RunFolder.create(given["output"], kind=kind, name=Path(data).stem or data) as parent:
        runs: list[Path] = []
        for seed in range(first, first + count):
            run = parent.path / f"seed-{seed}"
            note(f"seed {seed} ({len(runs) + 1} of {count})")
            words = [data, *words_of(context.command, values), "--seed", str(seed), "--output", str(run)]
            runs.append(run)
            if _is_done(run, ["train", kind, *words]):  # before this command was interrupted
                continue
            with _as_a_command_of_its_own(kind, words), redirect_stdout(sys.stderr):
                context.command.main(args=words, prog_name=f"rushlight train {kind}", standalone_mode=False)
        found = SeveralRuns.of_runs(runs)
        parent.write_run(
            {
                "command": sys.argv,
                "arguments": given,
                "versions": environment_versions(),
                "data": json.loads((runs[0] / "run.json").read_text(encoding="utf-8"))["data"],
                "results": {"valid": found.to_json()["results"]},
                "runs": [run.name for run in runs],
            }
        )
    page = None if given["no_report"] else report_seeds(parent.path)
    if given["as_json"]:
        print_json({"run": str(parent.path), **found.to_json()})
        return
    print(found.table())
    print(f"The runs of all seeds: {parent.path}")
    if page is not None:
        print(f"Their report, to open in a browser: {page}")
    print(f"Measure them again: {command_line('evaluate', parent.path)}")
