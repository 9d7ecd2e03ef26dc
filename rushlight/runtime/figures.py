"""Figures of matplotlib as PNGs, whatever the names in them are written in.

Classes are called `$5`, `x^2` or 猫. matplotlib takes text between two dollars for a formula, and its own font has no
Chinese, Japanese, Korean or Arabic signs and no emoji.
"""

from __future__ import annotations

import warnings
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

from rushlight.runtime.guarded_stream import printable
from rushlight.runtime.terminal import note

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OWN_FONT_UP_TO = "\u058f"  # DejaVu Sans, which comes with matplotlib, has the scripts of Europe
# Fonts that systems come with, or that people install, for the scripts of the rest of the world.
_MORE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Source Han Sans SC", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Droid Sans Fallback", "Microsoft YaHei", "SimHei", "Yu Gothic", "Malgun Gothic",
    "PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Heiti TC", "Arial Unicode MS", "Noto Sans Arabic",
    "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai", "Geeza Pro", "Nirmala UI", "Leelawadee UI",
    "Segoe UI", "Noto Emoji", "Segoe UI Emoji", "Symbola",
)  # fmt: skip


def as_written(name: str) -> str:
    """A name as text of a figure that would else take what stands between two dollars for a formula."""
    encodable = name.encode("utf-8", "backslashreplace").decode()  # a file name may hold bytes that are no text
    return printable(encodable).replace("$", r"\$")


def png_of(figure: Figure, dots_per_inch: int) -> bytes:
    """Draw a figure, with other fonts where its text needs them and the machine has them.

    Args:
        figure: of matplotlib.
        dots_per_inch: how finely.
    """
    _take_more_fonts(figure)
    picture = BytesIO()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Tight: the constrained layout cuts the outer label off where long names stand beside a square picture.
        figure.savefig(picture, format="png", dpi=dots_per_inch, bbox_inches="tight")
    for warning in caught:
        if str(warning.message).startswith("Glyph "):
            _say_once_that_signs_are_missing()
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return picture.getvalue()


def _take_more_fonts(figure: Figure) -> None:
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        if max(text.get_text(), default="") > _OWN_FONT_UP_TO:
            text.set_fontfamily([*text.get_fontfamily(), *_more_fonts()])


@cache
def _more_fonts() -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return [name for name in _MORE_FONTS if name in installed]


@cache
def _say_once_that_signs_are_missing() -> None:
    note("warning: no font of this machine has all signs of the names: pictures show boxes instead; "
         "install one that has, such as Noto Sans CJK")  # fmt: skip
