"""What a check says: one finding for each kind of fault, with the files it concerns and what to do about them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["fault", "doubt", "note"]
"""`fault`: mend it before training; `doubt`: look at it and decide; `note`: good to know."""

SEVERITIES: tuple[Severity, ...] = ("fault", "doubt", "note")


@dataclass(frozen=True)
class FileGroup:
    """Files that a finding concerns together: one unreadable file, or the copies of one picture.

    Attributes:
        rows: of the samples that were checked.
        remark: what there is to say of these in particular.
    """

    rows: tuple[int, ...]
    remark: str = ""


@dataclass(frozen=True)
class Finding:
    """One kind of fault.

    Attributes:
        kind: its name for programs, such as `unreadable`.
        severity: how much it matters.
        title: what was found, and how much of it, in one line.
        advice: what to do, in one line.
        groups: the files.
        lines: facts that are not about single files, one a line.
    """

    kind: str
    severity: Severity
    title: str
    advice: str
    groups: Sequence[FileGroup] = ()
    lines: Sequence[str] = field(default=())

    def to_json(self, names: Sequence[str]) -> dict[str, Any]:
        """As `--json` prints it.

        Args:
            names: of the files, by row.
        """
        return {
            "kind": self.kind,
            "severity": self.severity,
            "title": self.title,
            "advice": self.advice,
            "groups": [{"files": [names[row] for row in group.rows], "remark": group.remark} for group in self.groups],
            "lines": list(self.lines),
        }


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 image`, `1,200 images`: a number with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
