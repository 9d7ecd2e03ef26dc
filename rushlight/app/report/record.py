"""What a run folder says about itself, read so that an old or incomplete one gives a report too."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rushlight.runtime.measured import Measured

_NOT_REPEATED = {
    "--output": 1,
    "--no-report": 0,
    "--json": 0,
}  # flags of a command that is typed again, with how many words follow


@dataclass(frozen=True)
class RunRecord:
    """The words of a run folder.

    Attributes:
        folder: the run folder.
        facts: the contents of `run.json`; empty where there is none.
        history: the rows of `history.jsonl`, oldest first.
    """

    folder: Path
    facts: dict[str, Any]
    history: list[dict[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> RunRecord:
        """Read what is there; what is missing or makes no sense is left out."""
        rows = [_object(line) for line in _text(folder / "history.jsonl").splitlines()]
        return cls(folder, _object(_text(folder / "run.json")), [row for row in rows if row])

    def fact(self, *names: str) -> Any:
        """What `run.json` has under a name, and under another in that; None where it has nothing."""
        found: Any = self.facts
        for name in names:
            if not isinstance(found, dict):
                return None
            found = found.get(name)
        return found

    def words(self, *names: str) -> str | None:
        """A fact that is text; None where it is not."""
        found = self.fact(*names)
        return found if isinstance(found, str) and found else None

    def measured(self, *names: str) -> Measured | None:
        """A fact that is a measured quantity; None where it is not."""
        return measured_of(self.fact(*names))

    @property
    def command(self) -> list[str]:
        """The words that were typed after `rushlight`; empty where they are not known."""
        typed = self.fact("command")
        if not isinstance(typed, list) or not all(isinstance(word, str) for word in typed):
            return []
        return typed[1:]

    @property
    def command_line(self) -> str | None:
        """The command as it was typed."""
        return shlex.join(["rushlight", *self.command]) if self.command else None

    def command_with(self, kind: str, **settings: object) -> list[str]:
        """The words of the run's own command with other settings.

        Args:
            kind: what is trained, `images` or `text`.
            **settings: flags by their names in Python; a value of None takes the flag away.
        """
        flags = {f"--{name.replace('_', '-')}": value for name, value in settings.items()}
        words = ["train", kind, self.words("data", "name_or_path") or "DATA"]
        if self.command[:2] == words[:2]:
            words = _without(self.command, dict.fromkeys(flags, 1) | _NOT_REPEATED)
        for flag, value in flags.items():
            words += [] if value is None else [flag, str(value)]
        return words


def measured_of(value: Any) -> Measured | None:
    """A measured quantity from its JSON form; None where it is not one, or was not measured."""
    try:
        quantity = Measured.from_json(value)
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    return None if quantity.value != quantity.value else quantity


def _without(words: list[str], flags: dict[str, int]) -> list[str]:
    kept: list[str] = []
    skip = 0
    for word in words:
        if skip:
            skip -= 1
        elif word in flags:
            skip = flags[word]
        elif word.partition("=")[0] not in flags:
            kept.append(word)
    return kept


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
