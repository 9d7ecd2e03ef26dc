"""Put the newest tables of the comparisons into `docs/benchmarks.md`.

    python benchmarks/write_page.py

Each comparison leaves a table in `runs/benchmarks/NAME-....md`; it comes between `<!-- NAME -->` and `<!-- end -->` on
the page. What was not measured keeps what stands there.
"""

import re
from pathlib import Path

from side_by_side import FOLDER, ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
SECTION = re.compile(r"(<!-- (?P<name>[a-z-]+) -->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL)


def newest(name: str, folder: Path) -> str | None:
    """The table of a comparison that was written last; None where there is none."""
    found = [path for path in folder.glob(f"{name}-*.md") if re.fullmatch(rf"{name}-[0-9a-f]{{6}}\.md", path.name)]
    return max(found, key=lambda path: path.stat().st_mtime).read_text() if found else None


def filled(page: str, folder: Path) -> str:
    """A page with the tables that there are."""

    def replaced(section: re.Match[str]) -> str:
        table = newest(section["name"], folder)
        return section[0] if table is None else f"{section[1]}\n{table.strip()}\n\n{section[4]}"

    return SECTION.sub(replaced, page)


def main() -> None:
    """Write the page again."""
    PAGE.write_text(filled(PAGE.read_text(), FOLDER))


if __name__ == "__main__":
    main()
