"""Put the newest tables of the comparisons into `docs/benchmarks.md`.

    python benchmarks/write_page.py

Each comparison leaves a table in `runs/benchmarks/NAME-....md`; it comes between `<!-- NAME -->` and `<!-- end -->` on
the page, and the single results beside it into `benchmarks/results/`. What was not measured keeps what stands there.
"""

import re
import shutil
from pathlib import Path

from side_by_side import FOLDER, PUBLISHED, ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
SECTION = re.compile(r"(<!-- (?P<name>[a-z-]+) -->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL)


def newest(name: str, folder: Path) -> Path | None:
    """The table of a comparison that was written last; None where there is none."""
    found = [path for path in folder.glob(f"{name}-*.md") if re.fullmatch(rf"{name}-[0-9a-f]{{6}}\.md", path.name)]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def filled(page: str, folder: Path) -> str:
    """A page with the tables that there are."""

    def replaced(section: re.Match[str]) -> str:
        table = newest(section["name"], folder)
        return section[0] if table is None else f"{section[1]}\n{table.read_text().strip()}\n\n{section[4]}"

    return SECTION.sub(replaced, page)


def publish(page: str, folder: Path, published: Path) -> None:
    """Copy the single results behind a page's tables; those of another machine or other settings give way to them."""
    published.mkdir(exist_ok=True)
    for section in SECTION.finditer(page):
        table = newest(section["name"], folder)
        if table is not None:
            for old in published.glob(f"{section['name']}-*.json"):
                old.unlink()
            results = table.with_suffix(".json")
            shutil.copyfile(results, published / results.name)


def main() -> None:
    """Write the page again."""
    page = PAGE.read_text()
    PAGE.write_text(filled(page, FOLDER))
    publish(page, FOLDER, PUBLISHED)


if __name__ == "__main__":
    main()
