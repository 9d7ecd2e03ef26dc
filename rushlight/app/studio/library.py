"""The runs of the working folder: what stands in each, under an id that is no path."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rushlight.app.live import is_asked_to_stop, read_live
from rushlight.app.studio.trainings import LOG, last_line, start_facts
from rushlight.runtime.run_folder import RUNS, holds_run, is_being_written

KINDS = ("images", "text")
PICTURES = {  # those that a run page shows, with what they show
    "confusion.png": "What it takes for what",
    "most_wrong.png": "Its surest mistakes",
    "reliability.png": "How often it is right when it is so sure",
}


def id_of(path: Path) -> str:
    """Twelve hexadecimal digits for a path: the same each time, and no way back from them."""
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]


@dataclass(frozen=True)
class Run:
    """One run folder.

    Attributes:
        path: the folder.
        kind: `images` or `text`.
    """

    path: Path
    kind: str

    @property
    def id(self) -> str:
        """What stands for it in addresses."""
        return id_of(self.path)

    @property
    def name(self) -> str:
        """What it is called."""
        return self.path.name

    @property
    def model(self) -> Path:
        """Its model file, whether it is there yet or not."""
        return self.path / "model.safetensors"

    def facts(self) -> dict[str, Any]:
        """What `run.json` says; nothing before the training has finished."""
        return _object(self.path / "run.json")

    def history(self) -> list[dict[str, Any]]:
        """The rows of the training so far."""
        try:
            lines = (self.path / "history.jsonl").read_text(encoding="utf-8").splitlines()
            return [json.loads(line) for line in lines if line.strip()]
        except (OSError, ValueError):
            return []

    def state(self) -> str:
        """`training`, `ending`, `finished` or `failed`."""
        if is_being_written(self.path) or start_facts(self.path).get("alive"):
            return "ending" if is_asked_to_stop(self.path) else "training"
        return "finished" if self.facts().get("results") is not None and self.model.exists() else "failed"

    def result(self) -> dict[str, Any] | None:
        """The measured quantity that stands for the run: accuracy, or the loss of a text; None before it is known."""
        facts = self.facts()
        valid = (facts.get("results") or {}).get("valid") or {}
        tokens = (facts.get("arguments") or {}).get("tokens")
        unit = tokens if tokens in ("character", "word") else "token"
        for name in ("accuracy", "loss") if self.kind == "images" else ("loss",):
            if isinstance(valid.get(name), dict):
                return {"name": name, "unit": unit, **valid[name]}
        return None

    def summary(self) -> dict[str, Any]:
        """What the list of runs shows."""
        facts, state = self.facts(), self.state()
        return {
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "state": state,
            "result": self.result(),
            "started": facts.get("started") or start_facts(self.path).get("started"),
            "model": (facts.get("arguments") or {}).get("model"),
            "failure": last_line(self.path / LOG) if state == "failed" else None,
        }

    def live(self) -> dict[str, Any]:
        """What a page that watches the training needs."""
        state = self.state()
        return {
            "state": state,
            "live": read_live(self.path) or {},
            "rows": self.history(),
            "log": last_line(self.path / LOG) if state != "finished" else "",
        }

    def pictures(self) -> dict[str, str]:
        """The names of its pictures, and what they show."""
        return {name: title for name, title in PICTURES.items() if (self.path / name).is_file()}


class Library:
    """The runs below `runs/`, and others that were named.

    Args:
        named: run folders elsewhere.
    """

    def __init__(self, named: list[Path]) -> None:
        self._named = named

    def runs(self) -> list[Run]:
        """All of them, the newest first."""
        found = [Run(path, kind) for kind in KINDS for path in (RUNS / kind).glob("*") if _is_run(path)]
        known = {run.path.resolve() for run in found}
        found += [Run(path, _kind_of(path)) for path in self._named if path.resolve() not in known]
        return sorted(found, key=lambda run: _age(run.path), reverse=True)

    def find(self, identity: str) -> Run | None:
        """The run with an id."""
        return next((run for run in self.runs() if run.id == identity), None)


def _is_run(path: Path) -> bool:
    return path.is_dir() and (holds_run(path) or bool(start_facts(path)))


def _kind_of(path: Path) -> str:
    from rushlight.inference.model_file import task_of

    return task_of(path / "model.safetensors")


def _age(path: Path) -> float:
    for name in ("run.json", "history.jsonl", "model.safetensors", LOG):
        try:
            return (path / name).stat().st_mtime
        except OSError:
            continue
    return 0.0


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
