"""Let the data be checked, show what was found, and take a person's decisions about single images."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rushlight.app.data_check import apply_to_labels
from rushlight.app.studio.datasets import Opened
from rushlight.app.studio.trainings import LOG, last_line, start_facts, start_process
from rushlight.data.audit.fixes import Fix, write_fixes
from rushlight.data.samples import Scan
from rushlight.runtime.errors import InputError, nearest_name
from rushlight.runtime.run_folder import RUNS, numbered_folder

CHECKS = RUNS / "check"
FIXES_A_PAGE = 48
FILES_SHOWN = 6

_RESULTS, _FIXES = "check.json", "fixes.csv"


@dataclass(frozen=True)
class Check:
    """One check of a data set.

    Attributes:
        folder: where its results are, or will be.
    """

    folder: Path

    def state(self) -> str:
        """`running`, `finished` or `failed`."""
        if start_facts(self.folder).get("alive"):
            return "running"
        return "finished" if self.results() else "failed"

    def doing(self) -> str:
        """The last thing that it said."""
        return last_line(self.folder / LOG)

    def results(self) -> dict[str, Any]:
        """What was found; empty as long as it is not known."""
        try:
            found = json.loads((self.folder / _RESULTS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def fixes(self) -> list[Fix]:
        """What is proposed for single files, or was decided; also of a file to keep the label that was thought of."""
        try:
            with (self.folder / _FIXES).open(encoding="utf-8", newline="") as file:
                return [Fix(row["file"], row["action"], row["label"], row["reason"]) for row in csv.DictReader(file)]  # type: ignore[arg-type]
        except (OSError, KeyError, csv.Error):
            return []

    def decide(self, decisions: Mapping[int, tuple[str, str]], classes: list[str]) -> None:
        """Keep a person's decisions: all that can be kept, also where another cannot.

        Args:
            decisions: by the number of the fix: `keep`, `drop`, `relabel` to what is proposed, or `other`, and the
                class that was chosen by hand, which only `other` needs.
            classes: their names.

        Raises:
            InputError: a class was to be chosen, and none was or there is none of this name.
            StorageError: they cannot be written.
        """
        fixes = self.fixes()
        unknown: list[str] = []
        for number, (decision, chosen) in decisions.items():
            if not 0 <= number < len(fixes):
                continue
            fix = fixes[number]
            if decision in ("keep", "drop") or (decision == "relabel" and fix.label in classes):
                fixes[number] = replace(fix, action=decision)  # type: ignore[arg-type]
            elif decision == "other" and chosen in classes:
                fixes[number] = replace(fix, action="relabel", label=chosen)
            elif decision == "other":
                told = f"there is no class '{chosen}'; {nearest_name(chosen, classes)}" if chosen else "choose a class"
                unknown.append(f"{fix.file}: {told}")
        write_fixes(self.folder / _FIXES, fixes)
        if unknown:
            more = f" (and {len(unknown) - 1} more like it)" if len(unknown) > 1 else ""
            raise InputError(unknown[0] + more)

    def apply(self, opened: Opened) -> Path:
        """Write the table of labels that the decisions make; no image is touched.

        Raises:
            InputError: nothing would be left to learn of a class.
            StorageError: the table cannot be written.
        """
        path, _, _ = apply_to_labels(opened.place, self.folder / _FIXES, None)
        return path


class Checks:
    """The checks of this working folder."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []

    def newest(self, opened: Opened) -> Check | None:
        """The last check of a data set that a studio has started."""
        for process in self._processes:
            process.poll()  # so that one that has ended leaves nothing behind
        folders = [folder for folder in CHECKS.glob("*") if start_facts(folder).get("data") == opened.place]
        newest = max(folders, key=lambda folder: str(start_facts(folder)["started"]), default=None)
        return None if newest is None else Check(newest)

    def start(self, opened: Opened) -> None:
        """Check a data set, unless that is being done.

        Raises:
            StorageError: its folder cannot be made.
        """
        newest = self.newest(opened)
        if newest is not None and newest.state() == "running":
            return
        folder = numbered_folder(CHECKS, opened.name)
        words, results = ["check", opened.place], None
        if opened.kind == "images":
            words += ["--output", str(folder)]
        else:
            words, results = [*words, "--json"], folder / _RESULTS
        self._processes.append(start_process(folder, words, {"data": opened.place}, results))


def shown_findings(results: dict[str, Any], scan: Scan | None) -> list[dict[str, Any]]:
    """Findings as a page shows them: of their files the numbers that thumbnails have, and the classes."""
    pictures: dict[str, dict[str, Any]] = {}
    if scan is not None:
        pictures = {
            name: {"number": number, "label": scan.classes[sample.label]}
            for number, (name, sample) in enumerate(zip(scan.names(), scan.samples, strict=True))
        }
    shown = []
    for finding in results.get("findings", []):
        groups = [
            {
                "remark": group["remark"],
                "pictures": [pictures[name] for name in group["files"][:FILES_SHOWN] if name in pictures],
                "more": max(0, len(group["files"]) - FILES_SHOWN),
            }
            for group in finding["groups"][:4]
        ]
        shown.append({**finding, "shown": groups, "more_groups": max(0, len(finding["groups"]) - 4)})
    return shown


def shown_fixes(fixes: list[Fix], page: int, scan: Scan) -> list[dict[str, Any]]:
    """The fixes of a page, each with the number of its thumbnail and its present class."""
    numbers = {name: number for number, name in enumerate(scan.names())}
    first = page * FIXES_A_PAGE
    return [
        {
            "number": place,
            "picture": numbers[fix.file],
            "label": scan.classes[scan.samples[numbers[fix.file]].label],
            "proposed": fix.label if fix.label in scan.classes else None,
            "fix": fix,
        }
        for place, fix in enumerate(fixes[first : first + FIXES_A_PAGE], start=first)
        if fix.file in numbers
    ]
