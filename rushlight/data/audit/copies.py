"""What unreadable and double files mean for training, and what to do about each."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from rushlight.data.audit.duplicates import DuplicateGroup, Likeness
from rushlight.data.audit.findings import FileGroup, Finding, counted
from rushlight.data.audit.fixes import Fix
from rushlight.data.audit.inspection import InspectedImages
from rushlight.data.samples import Scan

IN_WORDS: dict[Likeness, str] = {
    "exact": "the same file",
    "near": "the same picture, scaled, compressed or mirrored",
    "alike": "alike to a network: another cut or another moment, perhaps",
}
_WORTH = {"train": 0, "valid": 1, "test": 2}  # what is measured on stays as it is, as long as it can


def unreadable_finding(images: InspectedImages) -> Iterator[Finding]:
    """The files that cannot be used, each with the reason."""
    rows = [row for row, reason in enumerate(images.reasons) if reason is not None]
    if rows:
        kinds = Counter((images.reasons[row] or "").partition(":")[0] for row in rows)
        yield Finding(
            "unreadable",
            "fault",
            f"{counted(len(rows), 'file')} that cannot be read",
            "fetch them again, or drop them: training leaves them out",
            groups=[FileGroup((row,), images.reasons[row] or "") for row in rows],
            lines=[f"{count:,} {reason}" for reason, count in kinds.most_common(5)],
        )


def duplicate_findings(scan: Scan, groups: Sequence[DuplicateGroup]) -> Iterator[Finding]:
    """Pictures with two labels, pictures in two parts, and pictures that are there twice."""
    by_kind: dict[str, list[DuplicateGroup]] = defaultdict(list)
    for group in groups:
        by_kind[_kind_of(scan, group)].append(group)
    if by_kind["two_labels"]:
        yield Finding(
            "duplicate_two_labels",
            "fault",
            f"{counted(len(by_kind['two_labels']), 'picture')} with two labels",
            "one of the labels is wrong: relabel or drop that copy",
            groups=[_described(scan, group) for group in by_kind["two_labels"]],
        )
    if by_kind["across"]:
        yield Finding(
            "duplicate_across_parts",
            "fault",
            f"{counted(len(by_kind['across']), 'picture')} in more than one part of the data",
            "drop the training copies: an image that was trained on makes the accuracy look better than it is",
            groups=[_described(scan, group) for group in by_kind["across"]],
        )
    if by_kind["alike_across"]:
        yield Finding(
            "alike_across_parts",
            "doubt",
            f"{counted(len(by_kind['alike_across']), 'group')} of images in more than one part that look much alike",
            "see whether they are the same picture, cut or coloured otherwise; then drop the training copies",
            groups=[_described(scan, group) for group in by_kind["alike_across"]],
        )
    if by_kind["within"]:
        extra = sum(len(group.rows) - 1 for group in by_kind["within"])
        yield Finding(
            "duplicate_within_part",
            "note",
            f"{counted(len(by_kind['within']), 'picture')} more than once in a part ({extra:,} to spare)",
            "harmless among the training images, where such a picture counts more; drop copies to measure each once",
            groups=[_described(scan, group) for group in by_kind["within"]],
        )


def fixes_for_unreadable(names: Sequence[str], images: InspectedImages) -> list[Fix]:
    """Drop them."""
    return [Fix(names[row], "drop", reason=reason) for row, reason in enumerate(images.reasons) if reason is not None]


def fixes_for_copies(
    scan: Scan, names: Sequence[str], groups: Sequence[DuplicateGroup], doubtful: dict[int, float] | None = None
) -> list[Fix]:
    """A proposal for each copy.

    Of a picture in several parts the training copies are dropped, of one that is twice in a part all but the first. Of
    a picture with two labels those are dropped whose label is less likely, or, where that is not known, all.

    Args:
        scan: the files.
        names: of the files, for the table.
        groups: that show the same picture.
        doubtful: for each file the probability of its label, where it is known.
    """
    fixes = []
    for group in groups:
        kind, words = _kind_of(scan, group), IN_WORDS[group.likeness]
        if kind == "alike_within":
            continue
        for row in group.rows:
            others = [other for other in group.rows if other != row]
            reason = f"{words} as {names[others[0]]}"
            if kind == "alike_across":
                drop = False  # a person has to look
            elif kind == "two_labels":
                likely = max(group.rows, key=lambda one: (doubtful or {}).get(one, 0.0))
                drop = not doubtful or scan.samples[row].target != scan.samples[likely].target
                reason += ", but with another label"
            else:
                drop = row != min(group.rows, key=lambda one: (-_WORTH[scan.samples[one].part], one))
                drop = drop and (group.likeness == "exact" or kind == "across")
            fixes.append(Fix(names[row], "drop" if drop else "keep", reason=reason))
    return fixes


def _kind_of(scan: Scan, group: DuplicateGroup) -> str:
    targets = {scan.samples[row].target for row in group.rows}
    parts = {scan.samples[row].part for row in group.rows}
    if group.likeness == "alike":
        return "alike_across" if len(parts) > 1 else "alike_within"  # the latter is nothing to speak of
    if len(targets) > 1:
        return "two_labels"
    return "across" if len(parts) > 1 else "within"


def _described(scan: Scan, group: DuplicateGroup) -> FileGroup:
    return FileGroup(group.rows, IN_WORDS[group.likeness])
