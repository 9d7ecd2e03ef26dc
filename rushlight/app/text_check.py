"""Check a text: passages in both of its parts, odd characters, a wrong encoding."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rushlight.data import catalog
from rushlight.data.audit.characters import character_findings, count_characters
from rushlight.data.audit.findings import Finding, counted
from rushlight.data.audit.passages import Passage, shared_passages
from rushlight.data.text import TextData, TextOptionValues
from rushlight.data.text_files import TextFiles, text_paths

MOST_CHARACTERS = 50_000_000  # of more, the rolling hash would take gigabytes
_SHOWN = 5


@dataclass(frozen=True)
class TextCheck:
    """What was found.

    Attributes:
        name: what the text is called.
        train: characters to train on.
        valid: characters to validate on.
        findings: what there is to say.
        notes: how the text was read.
    """

    name: str
    train: int
    valid: int
    findings: list[Finding]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "name": self.name,
            "train_characters": self.train,
            "valid_characters": self.valid,
            "findings": [finding.to_json([]) for finding in self.findings],
            "notes": self.notes,
        }

    def summary(self) -> str:
        """The check in plain words, for a terminal."""
        lines = [f"{self.name}: {self.train:,} characters to train on, {self.valid:,} to validate on"]
        lines += [f"  {line}" for line in self.notes]
        for finding in self.findings:
            lines += ["", finding.title, f"  {finding.advice}", *(f"  - {line}" for line in finding.lines)]
        if not self.findings:
            lines += ["", "Nothing was found that speaks against training on it."]
        return "\n".join(lines)


def check_text(name_or_path: str, *, valid_fraction: float = 0.2, encoding: str | None = None) -> TextCheck:
    """Look at every character of a text, and say what speaks against training on it.

    Args:
        name_or_path: a file, a folder of files, or a name of the catalog.
        valid_fraction: share of the lines at the end to validate on, where there is no such part.
        encoding: of the files; that of the catalog, or UTF-8, if None.

    Raises:
        InputError: there is no such text, or it is empty.
    """
    options: TextOptionValues = {"replace_invalid": True, "valid_fraction": valid_fraction}
    if encoding is not None:
        options["encoding"] = encoding
    data = TextData.from_name(name_or_path, **options)
    is_known = name_or_path in catalog.DATASETS
    files = TextFiles(
        text_paths(catalog.get(name_or_path) if is_known else Path(name_or_path)),
        data.options.encoding,
        replace_invalid=True,
    )
    findings = list(character_findings(*count_characters(files.chunks())))
    train, valid = (data.tokenizer.decode(data.part(part).tokens[:MOST_CHARACTERS]) for part in ("train", "valid"))
    notes = list(data.notes)
    if max(len(data.train.tokens), len(data.valid.tokens)) > MOST_CHARACTERS:
        notes.append(f"passages were sought in the first {MOST_CHARACTERS:,} characters of each part")
    findings += _passage_findings(train, valid)
    return TextCheck(data.name, len(data.train.tokens), len(data.valid.tokens), findings, notes)


def _passage_findings(train: str, valid: str) -> Iterator[Finding]:
    # The same passage may be wrapped in other places, so every stretch of blanks and line ends counts as one blank.
    train, valid = (re.sub(r"\s+", " ", text) for text in (train, valid))
    passages = shared_passages(valid, train)
    if passages:
        total = sum(passage.length for passage in passages)
        yield Finding(
            "passage_across_parts",
            "fault",
            f"{counted(len(passages), 'passage')} of the validation part found in the training part too "
            f"({total:,} characters, {100 * total / max(1, len(valid)):.2g} % of it)",
            "take them out of one of the parts: what was learned by heart looks better than it is",
            lines=[
                *_quoted(valid, passages),
                *([f"and {len(passages) - _SHOWN:,} more"] if len(passages) > _SHOWN else []),
            ],
        )


def _quoted(text: str, passages: list[Passage]) -> list[str]:
    """The longest few, in part."""
    longest = sorted(passages, key=lambda passage: -passage.length)[:_SHOWN]
    return [f"{p.length:,} characters: '{text[p.start : p.start + 60].strip()}...'" for p in longest]
