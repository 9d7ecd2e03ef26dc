"""The directive `command-help`: what `rushlight COMMAND --help` prints, as it is when the page is built."""

import contextlib
import io
import os
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class CommandHelp(SphinxDirective):
    """Its argument is the command; none is the program itself."""

    optional_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """The text as a literal block."""
        text = help_of(self.arguments[0].split() if self.arguments else [])
        block = nodes.literal_block(text, text)
        block["language"] = "none"
        return [block]


def help_of(command: list[str]) -> str:
    """What the command prints, 80 columns wide.

    Raises:
        ValueError: there is no such command.
    """
    from rushlight.app.cli import main

    os.environ["COLUMNS"], os.environ["NO_COLOR"] = "80", "1"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        code = main([*command, "--help"])
    if code != 0:
        raise ValueError(f"'rushlight {' '.join(command)} --help' failed: {printed.getvalue()}")
    return printed.getvalue().rstrip()


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True}
