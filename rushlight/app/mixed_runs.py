"""Put the models of several runs of one text together into a run folder of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rushlight.app.run_evaluation import AdaptiveEvaluations, evaluate_run, facts_of_run, text_of_run
from rushlight.inference.text_baselines import ngram_loss
from rushlight.inference.text_evaluation import TextEvaluation
from rushlight.inference.text_mixture import save_mixture
from rushlight.runtime.errors import InputError
from rushlight.runtime.run_folder import RunFolder, environment_versions


@dataclass(frozen=True)
class MixedRun:
    """What mixing left behind.

    Attributes:
        folder: the run folder.
        members: the runs it was made of, and what each reached on the validation part, as it says itself.
        evaluation: of the mixture, on the same part.
    """

    folder: Path
    members: dict[str, float]
    evaluation: TextEvaluation

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {"run": str(self.folder), "members": self.members, "results": {"valid": self.evaluation.to_json()}}

    def table(self) -> str:
        """The mixture beside its members, a line each."""
        rows = [(name, f"{loss:.4f}") for name, loss in self.members.items()]
        rows.append(("together", str(self.evaluation.loss)))
        width = max(len(name) for name, _ in rows)
        lines = [f"Nats a {self.evaluation.unit} of text that was not trained on (less is better):"]
        return "\n".join([*lines, *(f"  {name:<{width}}  {figure}" for name, figure in rows)])


def mix_into_run_folder(
    runs: Sequence[Path], output: Path | None, device: str, ngram_weight: float | None = None
) -> MixedRun:
    """Mix the models of runs, and measure the mixture on the validation part that they were measured on.

    Args:
        runs: run folders.
        output: the run folder to make; the next free one under `runs/text/` if None.
        device: where to measure.
        ngram_weight: of an n-gram model of the training part, which then joins; None for none.

    Raises:
        InputError: there is only one model to mix, or the runs are not of the same text.
        ModelFileError: a model file cannot be used.
        StorageError: the folder cannot be written.
    """
    facts = [facts_of_run(RunFolder.find(run)) for run in runs]
    members: dict[str, float] = {}
    for run, own in zip(runs, facts, strict=True):
        try:
            members[str(run)] = own["results"]["valid"]["loss"]["value"]
            fingerprint = own["data"]["fingerprint"]
        except (KeyError, TypeError):
            raise InputError(
                f"'{run}' does not say which text it was trained on: it is no run of 'train text'"
            ) from None
        if fingerprint != facts[0]["data"]["fingerprint"]:
            raise InputError(
                f"'{run}' was trained on another text than '{runs[0]}' or other parts of it, so no part is left that "
                "none of them has seen: train them on the same text with the same settings"
            )
    started, clock = datetime.now(UTC), time.monotonic()
    name = Path(str(facts[0]["data"]["name_or_path"])).stem
    with RunFolder.create(output, kind="text", name=f"{name}-mixture") as run_folder:
        if ngram_weight is None:
            save_mixture(runs, run_folder.model)
        else:
            text = text_of_run(RunFolder.find(runs[0]), device)
            members["n-gram model"] = ngram_loss(text.train.tokens, text.valid.tokens, text.tokenizer).value
            save_mixture(runs, run_folder.model, counted=text.train.tokens, ngram_weight=ngram_weight)
        about = {
            "command": sys.argv,
            "arguments": {"runs": [str(run) for run in runs], "ngram_weight": ngram_weight},
            "versions": environment_versions(),
            "data": facts[0]["data"],
            "started": started.isoformat(timespec="seconds"),
        }
        run_folder.write_run({**about, "results": {}})
        found = evaluate_run(run_folder.path, "valid", data=None, device=device)
        assert isinstance(found, AdaptiveEvaluations)  # of a model of text
        ended = {"finished": datetime.now(UTC).isoformat(timespec="seconds")}
        seconds = {"seconds": round(time.monotonic() - clock, 2)}
        run_folder.write_run({**about, "results": {"valid": found.plain.to_json()}, **ended, **seconds})
        return MixedRun(run_folder.path, members, found.plain)
