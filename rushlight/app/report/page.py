"""From sections to one HTML file that asks for nothing outside itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rushlight.app.report import words
from rushlight.app.report.sections import Headline, Section
from rushlight.version import __version__

# Nothing may be fetched, run, framed or sent; pictures and styles stand in the file itself.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
_PACKAGE = "rushlight.app.report"


def render_page(headline: Headline, sections: Sequence[Section], kind: str) -> str:
    """The whole file.

    Args:
        headline: the top.
        sections: what follows, in this order.
        kind: what the report is of, such as `image classifier`.
    """
    environment = _environment()
    bodies = [
        (section, Markup(environment.get_template(section.template).render(section.values))) for section in sections
    ]
    return environment.get_template("page.html").render(
        headline=headline,
        bodies=bodies,
        kind=kind,
        policy=CONTENT_SECURITY_POLICY,
        style=Markup(style_sheet()),
        version=__version__,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def style_sheet() -> str:
    """How pages of Rushlight look."""
    return files(_PACKAGE).joinpath("templates", "style.css").read_text(encoding="utf-8")


def _environment() -> Environment:
    # Escaping is the rule and a plain string can never leave it: class names and file names are not ours to trust.
    environment = Environment(
        loader=PackageLoader(_PACKAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    own: dict[str, Any] = {
        name: getattr(words, name)
        for name in ("percent", "percent_interval", "decimal", "decimal_interval", "count", "plural", "visible")
    }
    environment.filters.update(own, short=words.shortened)
    return environment
