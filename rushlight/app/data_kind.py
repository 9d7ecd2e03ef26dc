"""Whether a path or name means images or a text, for commands that take both."""

import os
from pathlib import Path

from rushlight.data import catalog
from rushlight.data.decode import EXTENSIONS

_TABLES = (".csv", ".tsv")


def is_text(name_or_path: str) -> bool:
    """Whether this is a text: a file that is no table, or a folder without any image."""
    known = catalog.DATASETS.get(name_or_path)
    if known is not None:
        return known.kind == "text"
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path.suffix.lower() not in _TABLES
    return path.is_dir() and _has_files(path) and not _has_images(path)


def _has_files(folder: Path) -> bool:
    return any(names for _, _, names in os.walk(folder))


def _has_images(folder: Path) -> bool:
    return any(Path(name).suffix.lower() in EXTENSIONS for _, _, names in os.walk(folder) for name in names)
