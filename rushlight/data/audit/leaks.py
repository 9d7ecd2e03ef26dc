"""What tells the answer without the picture, and what ties training to validation images: names, dates, sizes, formats.

A model learns whatever is easiest. Where all cats were taken with one camera, its size of picture is easier than a cat;
where photographs of one walk lie on both sides of the cut, remembering the walk is easier still, and the accuracy that
is measured says nothing about other walks.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

import numpy as np

from rushlight.data.audit.findings import FileGroup, Finding, counted
from rushlight.data.audit.inspection import InspectedImages
from rushlight.data.samples import Scan
from rushlight.data.targets import listed

BURST_SECONDS = 10
LEAST_GAIN = 0.15  # of accuracy over always naming the commonest class
FEWEST_FILES = 20  # that must be explained before a property is accused
FEWEST_OF_A_SOURCE = 10
UNLIKELY = 1e-4  # that files of a source all fell on one side by chance
FEWEST_SERIES = 5
LARGEST_SERIES = 100  # files; more are a source rather than one occasion
_SHORT = 3  # letters; a name of so few may stand in any word
_COUNTER = re.compile(r"[\s._()-]*\d+[\s._()-]*$")  # what numbers the files of a series


def leak_findings(scan: Scan, images: InspectedImages) -> Iterator[Finding]:
    """Everything that leaks, of the files that can be read."""
    rows = images.readable
    prefixes = [prefix_of(scan.samples[row].path.stem) for row in rows.tolist()]
    if scan.kind == "label" and len(rows):
        labels = np.array([scan.samples[row].label for row in rows.tolist()])
        yield from _tell_the_class(scan, images, rows, labels, prefixes)
    yield from _series_on_both_sides(scan, rows, prefixes)
    yield from _sources_on_one_side(scan, rows, prefixes)
    yield from _bursts(scan, images)


def prefix_of(stem: str) -> str:
    """A file's name without the number at its end: `patient12_03` is of `patient12`."""
    return _COUNTER.sub("", stem)


def majority_accuracy(values: Sequence[str], labels: np.ndarray) -> tuple[float, float]:
    """How often the class can be told from a value alone.

    Each file is answered with the commonest class among the other files of its value, or among all where there is none.

    Args:
        values: one for each file; empty for unknown.
        labels: (N,) class numbers.

    Returns:
        The part answered rightly, and the part that the commonest class alone gets.
    """
    classes = int(labels.max()) + 1
    total = np.bincount(labels, minlength=classes)
    number = {value: i for i, value in enumerate(dict.fromkeys(values))}
    of = np.array([number[value] for value in values])
    table = np.bincount(of * classes + labels, minlength=len(number) * classes).reshape(-1, classes)
    others = table[of]
    others[np.arange(len(of)), labels] -= 1
    known = (others.sum(axis=1) > 0) & np.array([value != "" for value in values])
    # Ties, and values of a single file, go to the class that is commoner overall.
    answers = np.where(known, (others + total / (2 * total.sum())).argmax(axis=1), total.argmax())
    return float((answers == labels).mean()), float(total.max() / total.sum())


def _tell_the_class(
    scan: Scan, images: InspectedImages, rows: np.ndarray, labels: np.ndarray, prefixes: list[str]
) -> Iterator[Finding]:
    days = [str(day) if not np.isnat(day) else "" for day in images.taken[rows].astype("datetime64[D]")]
    sizes = [f"{width} x {height} pixels" for width, height in images.sizes[rows].tolist()]
    described = {
        "file_name": ("the beginning of the file's name", _unless_the_class(prefixes, scan, labels)),
        "date": ("the day on which the photograph was taken", days),
        "size": ("the size of the picture", sizes),
        "colour_mode": ("the colour mode", [images.modes[row] for row in rows.tolist()]),
        "format": ("the file format", [images.formats[row] for row in rows.tolist()]),
    }
    for kind, (what, values) in described.items():
        told, base = majority_accuracy(values, labels)
        if told - base < LEAST_GAIN or (told - base) * len(rows) < FEWEST_FILES:
            continue
        yield Finding(
            f"{kind}_tells_class",
            "doubt",
            f"{what} tells the class of {100 * told:.0f} % of the images (the commonest class: {100 * base:.0f} %)",
            "a model may learn that instead of what is to be seen: gather each class in the same ways, and test on "
            "images from elsewhere",
            lines=_commonest(values, labels, scan.classes),
        )


def _unless_the_class(prefixes: list[str], scan: Scan, labels: np.ndarray) -> list[str]:
    """Beginnings of names, empty where it is but the class once more (`cat.17.jpg` among cats)."""
    known: dict[tuple[str, int], bool] = {}

    def is_named(prefix: str, label: int) -> bool:
        one, other = (re.sub(r"[\W\d_]+", " ", name).strip().casefold() for name in (prefix, scan.classes[label]))
        if len(other) <= _SHORT:
            return other in one.split()
        shared = SequenceMatcher(None, one, other).find_longest_match().size
        return shared >= max(_SHORT, 0.7 * len(other))  # `cat` of `cats`

    kept = []
    for prefix, label in zip(prefixes, labels.tolist(), strict=True):
        if (prefix, label) not in known:
            known[prefix, label] = is_named(prefix, label)
        kept.append("" if known[prefix, label] else prefix)
    return kept


def _commonest(values: Sequence[str], labels: np.ndarray, classes: Sequence[str], most: int = 5) -> list[str]:
    """The values that tell most, each with its classes."""
    by_value: dict[str, Counter[int]] = defaultdict(Counter)
    for value, label in zip(values, labels.tolist(), strict=True):
        if value:
            by_value[value][label] += 1
    commonest = sorted(by_value.items(), key=lambda item: -item[1].total())[:most]
    return [
        f"{value}: {', '.join(f'{count:,} {classes[label]}' for label, count in counts.most_common(3))}"
        for value, counts in commonest
    ]


def _series_on_both_sides(scan: Scan, rows: np.ndarray, prefixes: list[str]) -> Iterator[Finding]:
    """Files that are numbered within something (`patient12_03`), of which some train and others measure."""
    series: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, prefix in zip(rows.tolist(), prefixes, strict=True):
        if re.search(r"\d", prefix):  # the number of the occasion; without one it is but a name
            series[scan.samples[row].path.parent.name, prefix].append(row)
    groups = [members for members in series.values() if 2 <= len(members) <= LARGEST_SERIES]
    if len(groups) < FEWEST_SERIES or sum(map(len, groups)) < len(rows) / 2:
        return
    split = [members for members in groups if len({scan.samples[row].part for row in members}) > 1]
    if split:
        example = prefix_of(scan.samples[split[0][0]].path.stem)
        yield Finding(
            "series_across_parts",
            "doubt",
            f"{len(split):,} of {len(groups):,} series of files (such as '{example}') lie in more than one part",
            "where a series is one person, place or film, put each as a whole on one side, or the accuracy will be "
            "that for people and places the model has met",
            groups=[FileGroup(tuple(members)) for members in split],
        )


def _sources_on_one_side(scan: Scan, rows: np.ndarray, prefixes: list[str]) -> Iterator[Finding]:
    """Beginnings of names that only one part has, too often for chance."""
    parts = [scan.samples[row].part for row in rows.tolist()]
    shares = {part: count / len(parts) for part, count in Counter(parts).items()}
    if len(shares) < 2:
        return
    by_prefix: dict[str, Counter[str]] = defaultdict(Counter)
    for prefix, part in zip(prefixes, parts, strict=True):
        by_prefix[prefix][part] += 1
    lines, found = [], []
    for prefix, counts in sorted(by_prefix.items()):
        (part, count), *others = counts.most_common()
        if not others and count >= FEWEST_OF_A_SOURCE and shares[part] ** count < UNLIKELY:
            found.append(prefix)
            lines.append(f"'{prefix}': {counted(count, 'file')}, all in {part}")
    if found:
        yield Finding(
            "source_on_one_side",
            "doubt",
            f"files whose names begin with {listed(found)} lie in one part of the data only",
            "the parts come from different sources: good where the model is to serve new ones, misleading otherwise",
            lines=lines,
        )


def _bursts(scan: Scan, images: InspectedImages) -> Iterator[Finding]:
    """Photographs that were taken within seconds of each other, on both sides of the cut."""
    rows = images.readable[~np.isnat(images.taken[images.readable])]
    rows = rows[np.argsort(images.taken[rows], kind="stable")]
    moments = images.taken[rows].astype(np.int64)
    if len(rows) < 2 or len(np.unique(moments)) < len(rows) / 10:  # a clock that stands still
        return
    parts = np.array([scan.samples[row].part for row in rows.tolist()])
    close = (np.diff(moments) <= BURST_SECONDS) & (parts[1:] != parts[:-1])
    if close.any():
        pairs = [(int(rows[i]), int(rows[i + 1])) for i in np.flatnonzero(close)]
        yield Finding(
            "burst_across_parts",
            "doubt",
            f"{counted(len(pairs), 'pair')} of photographs taken within {BURST_SECONDS} seconds of each other, one in "
            "one part of the data and one in another",
            "put photographs of one occasion on one side",
            groups=[FileGroup(pair, str(images.taken[pair[0]]).replace("T", " ")) for pair in pairs],
        )
