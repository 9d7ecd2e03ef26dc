"""What a terminal is told: text, and no commands.

A terminal obeys control characters: they move its cursor, rename its window, and on some put words into its input.
Names of files, the classes of a model and the characters of a language model come from strangers, so on the way to a
terminal such characters are written out, `\\x1b`. In a file or a pipe the output stays as it is, to the byte.
"""

import sys
from collections.abc import Iterable
from typing import Any, TextIO

_SHOWN_AS_THEY_ARE = "\t\n\r"
_WRITTEN_OUT = {
    number: f"\\x{number:02x}" for number in (*range(32), *range(127, 160)) if chr(number) not in _SHOWN_AS_THEY_ARE
}


def printable(text: str) -> str:
    """The text with its control characters written out; tabs and line breaks stay."""
    return text.translate(_WRITTEN_OUT)


class GuardedStream:
    """A stream whose text goes on with its control characters written out; all else is as in the stream.

    Args:
        stream: where the text goes.
    """

    def __init__(self, stream: TextIO) -> None:
        self.unguarded = stream

    def write(self, text: str) -> int:
        """Write text; how many characters were asked for."""
        self.unguarded.write(printable(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several pieces of text."""
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)


def guard_terminals() -> None:
    """Guard the standard streams of this process that are terminals."""
    if sys.stdout.isatty():
        sys.stdout = GuardedStream(sys.stdout)
    if sys.stderr.isatty():
        sys.stderr = GuardedStream(sys.stderr)


def unguarded(stream: TextIO) -> TextIO:
    """The stream behind, for what draws on a terminal with control characters of its own."""
    return stream.unguarded if isinstance(stream, GuardedStream) else stream
