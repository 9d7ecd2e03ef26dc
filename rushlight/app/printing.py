"""How results reach stdout."""

import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from typing import Any

from rushlight.runtime.files import to_json_value
from rushlight.runtime.guarded_stream import printable, unguarded


def print_json(value: Any) -> None:
    """Print one JSON object on one line; quantities that could not be measured are `null`."""
    print(json.dumps(to_json_value(value), allow_nan=False))


def command_line(*words: object) -> str:
    """What a person can type or paste: `rushlight evaluate 'my run'`.

    The program stands there by its name, or by its path where the shell would not find it.
    """
    program = "rushlight" if shutil.which("rushlight") else sys.argv[0]
    return shlex.join([program, *map(str, words)])


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table that fits the terminal; in a file or a pipe it is as wide as it needs to be."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(escape(printable(cell)) for cell in row))
    width = None if sys.stdout.isatty() else 200
    Console(file=unguarded(sys.stdout), width=width, highlight=False).print(table)
