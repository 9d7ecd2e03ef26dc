"""Check the images of a folder, and keep what a person decides about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rushlight.data import catalog
from rushlight.data.audit.balance import class_findings, shape_findings, size_line
from rushlight.data.audit.copies import (
    duplicate_findings,
    fixes_for_copies,
    fixes_for_unreadable,
    unreadable_finding,
)
from rushlight.data.audit.duplicates import DuplicateGroup, duplicate_groups
from rushlight.data.audit.findings import SEVERITIES, FileGroup, Finding, Severity, counted
from rushlight.data.audit.fixes import Fix, apply_fixes, read_fixes, write_labels
from rushlight.data.audit.inspection import InspectedImages, inspect_images
from rushlight.data.audit.leaks import leak_findings
from rushlight.data.images import ImageData
from rushlight.data.options import ImageOptions, usual_size
from rushlight.data.samples import Scan, scan_folder
from rushlight.data.tables import scan_csv
from rushlight.runtime.errors import InputError, nearest_name
from rushlight.runtime.terminal import note
from rushlight.tasks.frozen_body import SMALLEST_IMAGE, FrozenBody
from rushlight.tasks.label_doubts import LabelDoubt, label_doubts, out_of_fold_probabilities

FIRST = 100  # doubts that are proposed to a person in any case
SURE = 0.9  # at which another class is proposed; below, the proposal is to keep the label
SECTIONS: dict[Severity, str] = {"fault": "Mend before training", "doubt": "Look at these", "note": "Good to know"}
_GROUPS_SHOWN, _FILES_SHOWN = 3, 4


@dataclass(frozen=True)
class ImageCheck:
    """What was found.

    Attributes:
        name: what the data is called.
        scan: the files.
        images: what is in them.
        findings: what there is to say, the most serious first.
        fixes: what is proposed, one for each file of a finding about single files.
        notes: how the data was read, and what could not be checked.
    """

    name: str
    scan: Scan
    images: InspectedImages
    findings: list[Finding]
    fixes: list[Fix]
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        names = self.scan.names()
        return {
            "name": self.name,
            "images": len(names),
            "classes": self.scan.classes,
            "parts": self._parts(),
            "findings": [finding.to_json(names) for finding in self.findings],
            "notes": self.notes,
        }

    def summary(self) -> str:
        """The check in plain words, for a terminal."""
        names = self.scan.names()
        lines = [self.headline(), f"  {size_line(self.images)}", *(f"  {line}" for line in self.notes)]
        for severity in SEVERITIES:
            chosen = [finding for finding in self.findings if finding.severity == severity]
            if chosen:
                lines += ["", SECTIONS[severity]]
            for finding in chosen:
                lines += [f"  {finding.title}", f"    {finding.advice}", *_shown(finding, names)]
        if not self.findings:
            lines += ["", "Nothing was found that speaks against training on it."]
        return "\n".join(lines)

    def headline(self) -> str:
        """How many images of how many classes, in which parts."""
        parts = ", ".join(f"{count:,} {part}" for part, count in self._parts().items())
        what = f" of {counted(len(self.scan.classes), 'class', 'classes')}" if self.scan.kind == "label" else ""
        return f"{self.name}: {counted(len(self.scan.samples), 'image')}{what} ({parts})"

    def _parts(self) -> dict[str, int]:
        counts = {part: len(self.scan.part(part)) for part in ("train", "valid", "test")}
        return {part: count for part, count in counts.items() if count}


def scan_images(name_or_path: str, valid_fraction: float = 0.2, seed: int = 0) -> tuple[str, Scan]:
    """The files of a folder, a table, or a data set of the catalog, with what to call them.

    Raises:
        InputError: there is no such thing, or it cannot be used.
    """
    if name_or_path in catalog.DATASETS:
        return name_or_path, scan_folder(catalog.get(name_or_path), valid_fraction, seed)
    path = Path(name_or_path).expanduser()
    if not path.exists() and len(path.parts) == 1:
        known = [key for key, entry in catalog.DATASETS.items() if entry.kind == "images"]
        raise InputError(f"there is no folder or data set '{name_or_path}'; {nearest_name(name_or_path, known)}")
    if path.is_file():
        return path.stem, scan_csv(path, None, valid_fraction, seed)
    return path.resolve().name, scan_folder(path, valid_fraction, seed)


def check_images(
    name_or_path: str,
    *,
    valid_fraction: float = 0.2,
    seed: int = 0,
    features: bool = True,
    device: str = "auto",
    precision: str = "auto",
) -> ImageCheck:
    """Look at every image, and say what speaks against training on them.

    The test part is looked at, too: a training image in it would spoil what is measured there. Nothing that
    is trained for it is kept.

    Args:
        name_or_path: a folder, a table, or a name of the catalog.
        valid_fraction: as for training, where there is no validation part.
        seed: of that choice.
        features: ask a pretrained network, which finds more of the duplicates and the labels that are likely wrong.
        device: where it computes.
        precision: in which it computes.

    Raises:
        InputError: there is no such data, or it cannot be used.
    """
    name, scan = scan_images(name_or_path, valid_fraction, seed)
    images = inspect_images([sample.path for sample in scan.samples])
    notes = list(scan.notes)
    described = None
    if features and len(images.readable):
        try:
            described = _features(name, scan, images, device, precision)
        except InputError as error:  # such as a class without a readable image: the rest can still be said
            notes.append(f"not checked by a network: {error}")
    elif not features:
        notes.append("not checked by a network (--no-features): labels, and duplicates that were cut")
    groups = duplicate_groups(images, *described) if described else duplicate_groups(images)
    doubts: list[LabelDoubt] = []
    likely: dict[int, float] = {}
    if described and scan.kind == "label":
        doubts, likely = _doubts(scan, images, described, groups, seed)
    findings = [*_findings(scan, images, groups), *_doubt_finding(scan, doubts)]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return ImageCheck(name, scan, images, findings, _fixes(scan, images, groups, doubts, likely), notes)


def apply_to_labels(
    name_or_path: str, fixes_path: Path, output: Path | None, *, valid_fraction: float = 0.2, seed: int = 0
) -> tuple[Path, Scan, list[Fix]]:
    """Write the table of labels that a person's fixes make.

    Args:
        name_or_path: the data that the fixes are about.
        fixes_path: the table of fixes.
        output: the folder for the labels; that of the fixes if None.
        valid_fraction: as it was checked with.
        seed: likewise.

    Returns:
        The table, the files in it, and the fixes that change something.

    Raises:
        InputError: the fixes cannot be read or are not for this data.
        StorageError: the table cannot be written.
    """
    _, scan = scan_images(name_or_path, valid_fraction, seed)
    fixes = read_fixes(fixes_path, scan)
    fixed = apply_fixes(scan, fixes)
    path = _free(output or fixes_path.parent, "labels", ".csv")  # a model may have been trained on an earlier one
    write_labels(path, fixed)
    return path, fixed, [fix for fix in fixes if fix.action != "keep"]


def _free(folder: Path, stem: str, ending: str) -> Path:
    """The first name that is not taken: `labels.csv`, `labels-2.csv`, ..."""
    path, number = folder / f"{stem}{ending}", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}{ending}"
    return path


def _findings(scan: Scan, images: InspectedImages, groups: list[DuplicateGroup]) -> Iterator[Finding]:
    yield from unreadable_finding(images)
    yield from duplicate_findings(scan, groups)
    if scan.kind == "label":
        yield from class_findings(scan, images.readable)
    yield from leak_findings(scan, images)
    yield from shape_findings(scan, images)


def _features(
    name: str, scan: Scan, images: InspectedImages, device: str, precision: str
) -> tuple[np.ndarray, np.ndarray]:
    """What a pretrained network says of every readable image, and the row of each."""
    readable = replace(scan, samples=[scan.samples[row] for row in images.readable.tolist()])
    # The size at which training would read them, so that both find the same cache.
    size = max(SMALLEST_IMAGE, usual_size(images.sizes[images.readable].min(axis=1).tolist()))
    data = ImageData.from_scan(readable, name, ImageOptions(size=size, augment=None, device=device))
    body = FrozenBody(data, device=device, precision=precision)
    note(f"Asking a pretrained network about {len(images.readable):,} images, once; what it says is kept")
    parts = [part for part in ("train", "valid", "test") if readable.part(part)]
    row_of = {scan.samples[row].path: row for row in images.readable.tolist()}
    rows = [row_of[file] for part in parts for file in body.data.files(part) or []]
    return np.concatenate([body.features(part) for part in parts]), np.array(rows, np.int64)


def _doubts(
    scan: Scan,
    images: InspectedImages,
    described: tuple[np.ndarray, np.ndarray],
    groups: list[DuplicateGroup],
    seed: int,
) -> tuple[list[LabelDoubt], dict[int, float]]:
    """The labels that are likely wrong, by rows of the scan, and the probability of every label."""
    features, rows = described
    group_of = np.arange(len(scan.samples))
    for group in groups:  # a copy in another fold would vouch for its own label
        group_of[list(group.rows)] = group.rows[0]
    labels = np.array([scan.samples[row].label for row in rows.tolist()])
    probabilities = out_of_fold_probabilities(features, labels, len(scan.classes), seed, group_of[rows])
    likely = dict(zip(rows.tolist(), probabilities[np.arange(len(rows)), labels].tolist(), strict=True))
    return [replace(doubt, row=int(rows[doubt.row])) for doubt in label_doubts(probabilities, labels)], likely


def _doubt_finding(scan: Scan, doubts: list[LabelDoubt]) -> Iterator[Finding]:
    if doubts:
        yield Finding(
            "label_doubt",
            "doubt",
            f"{counted(len(doubts), 'label')} that a model which has not seen the image contradicts, "
            f"{sum(doubt.confident for doubt in doubts):,} with confidence; the likeliest to be wrong first",
            "look at them: some are wrong, some are only unusual pictures",
            groups=[
                FileGroup(
                    (doubt.row,),
                    f"labelled {scan.classes[doubt.given]}; looks like {scan.classes[doubt.suggested]} "
                    f"({100 * doubt.suggested_probability:.0f} %)",
                )
                for doubt in doubts
            ],
        )


def _fixes(
    scan: Scan,
    images: InspectedImages,
    groups: list[DuplicateGroup],
    doubts: list[LabelDoubt],
    likely: dict[int, float],
) -> list[Fix]:
    """One proposal a file; what concerns its being there comes before what concerns its label."""
    names = scan.names()
    for_labels = [
        Fix(
            names[doubt.row],
            "relabel" if doubt.confident and doubt.suggested_probability >= SURE else "keep",
            scan.classes[doubt.suggested],
            f"labelled {scan.classes[doubt.given]}, looks like {scan.classes[doubt.suggested]}",
        )
        for place, doubt in enumerate(doubts)
        if doubt.confident or place < FIRST
    ]
    found: dict[str, Fix] = {}
    copies = fixes_for_copies(scan, names, groups, likely)
    for fix in [
        *fixes_for_unreadable(names, images),
        *(fix for fix in copies if fix.action == "drop"),
        *for_labels,
        *copies,
    ]:
        found.setdefault(fix.file, fix)
    return list(found.values())


def _shown(finding: Finding, names: list[str]) -> list[str]:
    """The first files of a finding, or its facts."""
    if not finding.groups:
        return [f"    - {line}" for line in finding.lines[:_FILES_SHOWN]]
    lines = []
    for group in finding.groups[:_GROUPS_SHOWN]:
        files = " = ".join(names[row] for row in group.rows[:_FILES_SHOWN])
        more = f" and {len(group.rows) - _FILES_SHOWN:,} more" if len(group.rows) > _FILES_SHOWN else ""
        lines.append(f"    - {files}{more}" + (f" ({group.remark})" if group.remark else ""))
    if len(finding.groups) > _GROUPS_SHOWN:
        lines.append(f"    - and {len(finding.groups) - _GROUPS_SHOWN:,} more")
    return lines
