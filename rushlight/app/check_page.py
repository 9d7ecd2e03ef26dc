"""The page of a check: thumbnails of what was found, where a person decides, and the proposal beside it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from rushlight.app.data_check import SECTIONS, ImageCheck
from rushlight.app.report.page import style_sheet
from rushlight.app.report.pictures import data_uri
from rushlight.data.audit.balance import size_line
from rushlight.data.audit.findings import Finding
from rushlight.data.audit.fixes import Fix, write_fixes
from rushlight.data.cache import in_threads
from rushlight.data.decode import UnreadableImage, decode_image
from rushlight.runtime.errors import InputError
from rushlight.runtime.files import atomic_write_text, write_json
from rushlight.version import __version__

# Nothing may be fetched or sent. The script is the few lines that write the decisions into a file.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)
GROUPS_SHOWN, FILES_SHOWN = 100, 6
SHOWN_AT_ONCE = 12  # groups of a finding; the others unfold
_CLASSES_OFFERED = 40  # of more, only the label and the suggestion are offered
_SIDE = 176  # pixels of a thumbnail


@dataclass(frozen=True)
class _Picture:
    """One file on the page."""

    file: str
    part: str
    label: str
    address: str
    choices: list[tuple[str, str]]
    chosen: str


@dataclass(frozen=True)
class _Group:
    remark: str
    pictures: list[_Picture]
    more: int


@dataclass(frozen=True)
class _Section:
    finding: Finding
    groups: list[_Group]
    more: int


def write_check(found: ImageCheck, folder: Path) -> tuple[Path, Path]:
    """Write the page, the proposed fixes, and the findings for a program, into a folder.

    Returns:
        The page, and the fixes.

    Raises:
        InputError: the folder holds a check already.
        StorageError: something cannot be written.
    """
    page, fixes = folder / "check.html", folder / "fixes.csv"
    if page.exists() or fixes.exists():
        raise InputError(f"'{folder}' holds a check already, and what was decided there is kept; name another folder")
    write_json(folder / "check.json", found.to_json())
    write_fixes(fixes, found.fixes)
    atomic_write_text(page, render(found))
    return page, fixes


def render(found: ImageCheck) -> str:
    """The page as HTML that asks for nothing outside itself."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    # Escaping is the rule: names of files and classes are not ours to trust.
    environment = Environment(
        loader=PackageLoader("rushlight.app"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = _sections(found)
    headed = [(title, [s for s in sections if s.finding.severity == severity]) for severity, title in SECTIONS.items()]
    texts = files("rushlight.app").joinpath("templates")
    return environment.get_template("check.html").render(
        found=found,
        sizes=size_line(found.images),
        sections=[(title, chosen) for title, chosen in headed if chosen],
        proposal=[[fix.file, fix.action, fix.label, fix.reason] for fix in found.fixes],
        policy=CONTENT_SECURITY_POLICY,
        style=Markup(style_sheet() + texts.joinpath("check.css").read_text(encoding="utf-8")),
        script=Markup(texts.joinpath("check.js").read_text(encoding="utf-8")),
        shown_at_once=SHOWN_AT_ONCE,
        version=__version__,
    )


def _sections(found: ImageCheck) -> list[_Section]:
    shown = [finding.groups[:GROUPS_SHOWN] for finding in found.findings]
    rows = sorted({row for groups in shown for group in groups for row in group.rows[:FILES_SHOWN]})
    address_of = dict(zip(rows, _thumbnails([found.scan.samples[row].path for row in rows]), strict=True))
    names, fix_of = found.scan.names(), {fix.file: fix for fix in found.fixes}

    def picture(row: int) -> _Picture:
        sample, fix = found.scan.samples[row], fix_of.get(names[row], Fix(names[row], "keep"))
        label = found.scan.classes[sample.label] if found.scan.kind == "label" else ""
        classes = found.scan.classes if found.scan.kind == "label" else []
        offered = classes if len(classes) <= _CLASSES_OFFERED else [fix.label] * bool(fix.label)
        choices = [("keep", "Keep as it is"), ("drop", "Leave it out")]
        choices += [(f"relabel:{name}", f"It is: {name}") for name in offered if name != label]
        chosen = f"relabel:{fix.label}" if fix.action == "relabel" else fix.action
        return _Picture(names[row], sample.part, label, address_of[row], choices, chosen)

    return [
        _Section(
            finding,
            [
                _Group(
                    group.remark,
                    [picture(row) for row in group.rows[:FILES_SHOWN]],
                    max(0, len(group.rows) - FILES_SHOWN),
                )
                for group in groups
            ],
            max(0, len(finding.groups) - GROUPS_SHOWN),
        )
        for finding, groups in zip(found.findings, shown, strict=True)
    ]


def _thumbnails(paths: list[Path]) -> list[str]:
    """Each file as a `data:` address; empty for one that cannot be read."""
    return list(in_threads(_thumbnail, paths))


def _thumbnail(path: Path) -> str:
    try:
        return data_uri(decode_image(path, _SIDE, "pad"))
    except UnreadableImage:
        return ""
