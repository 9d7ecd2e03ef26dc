"""How a person goes about in a browser."""

from collections.abc import Callable
from typing import Any

import pytest

WIDTHS = [pytest.param(1200, id="desktop"), pytest.param(390, id="phone")]

OpenPage = Callable[..., Any]


def fits(page: Any) -> bool:
    page.wait_for_load_state("load")  # what is still on its way has another width
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def tab_to(page: Any, text: str) -> None:
    """Press the tabulator until what has the focus holds a text or, after `|`, has an id; and a person sees that."""
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.textContent + '|' + (document.activeElement.id || '')")
        if text in focused:
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", f"nobody sees that '{text}' has the focus"
            return
    raise AssertionError(f"'{text}' cannot be reached")
