"""Docstrings and annotations are written to be read in an editor; three habits of theirs are not Sphinx's.

An indented block after a blank line (a program, the loop drawn as pseudocode) and a table of bars are shown as they
stand; a list needs no blank line above it; and an annotation may name an alias of a type, or a variable for one, which
has no entry that could be linked to.
"""

import inspect
import re
import sys
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Yields|Shape|Example|Examples|Note):$")
ITEM = re.compile(r"([-*]|\d+\.) ")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", prepare, priority=100)  # before napoleon
    app.connect("missing-reference", alias_as_text)
    return {"parallel_read_safe": True}


def alias_as_text(app: Sphinx, env: Any, node: nodes.Element, text: nodes.Element) -> nodes.Element | None:
    """Show a name in an annotation without a link where it stands for a type and is none itself."""
    module, _, name = node.get("reftarget", "").rpartition(".")
    value = getattr(sys.modules.get(module), name, None)
    is_alias = value is not None and not inspect.isclass(value) and not inspect.isroutine(value)
    return text if node.get("refdomain") == "py" and is_alias else None


def prepare(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Change the lines in place."""
    lines[:] = with_blank_lines_before_lists(with_literal_blocks(lines))


def with_literal_blocks(lines: list[str]) -> list[str]:
    """Mark indented blocks that stand alone as literal."""
    result: list[str] = []
    text = 0  # the indentation of the paragraph above
    literal: int | None = None  # that of the block we are in
    in_section = in_list = False
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            result.append(line)
            continue
        if literal is not None and indent < literal:
            literal = None
        if literal is None:
            after_blank = number > 0 and not lines[number - 1].strip()
            if indent == 0:
                in_section = bool(SECTION.match(line))
                in_list = bool(ITEM.match(line)) or (in_list and not after_blank)
            is_table = after_blank and line.startswith("|")
            if is_table or (after_blank and indent > text and not in_section and not in_list):
                literal = indent + 1 if is_table else indent
                result += ["::", ""]
            else:
                text = indent
        result.append("    " + line if line.startswith("|") else line)
    return result


def with_blank_lines_before_lists(lines: list[str]) -> list[str]:
    """Let a list begin right below the line that introduces it."""
    result: list[str] = []
    for line in lines:
        before = result[-1] if result else ""
        if line.startswith("- ") and before.strip() and not before.startswith(("- ", "  ")):
            result.append("")
        result.append(line)
    return result
