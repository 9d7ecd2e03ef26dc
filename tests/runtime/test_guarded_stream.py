"""What strangers call things is shown on a terminal, and commands it nothing."""

import io

from hypothesis import given
from hypothesis import strategies as st

from rushlight.runtime.guarded_stream import GuardedStream, printable, unguarded
from tests.terminals import on_terminal

HOSTILE = "\x1b]0;owned\x07\x9b2J\x08cat\x7f"
PROGRAM = """
import sys
from rushlight.runtime.guarded_stream import guard_terminals
from rushlight.app.printing import print_table
from rushlight.runtime.terminal import note
guard_terminals()
name = {hostile!r}
print(name)
note(name)
print_table(["name"], [[name]])
"""


@given(st.text())
def test_nothing_printable_moves_a_terminal(text: str) -> None:
    shown = printable(text)
    assert not any(character < " " or "\x7f" <= character <= "\x9f" for character in shown if character not in "\t\n\r")
    assert printable(shown) == shown


def test_what_is_harmless_stays_as_it_is() -> None:
    text = "Кот, naïve, 猫 🐈\tand\r\n\xa0more"
    assert printable(text) == text


def test_a_guarded_stream_is_the_stream_but_for_what_it_writes() -> None:
    behind = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    guarded = GuardedStream(behind)
    assert guarded.write(HOSTILE) == len(HOSTILE)
    guarded.writelines(["\x1b", "c"])
    guarded.flush()
    assert behind.buffer.getvalue() == rb"\x1b]0;owned\x07\x9b2J\x08cat\x7f\x1bc"
    assert guarded.encoding == "utf-8"
    assert unguarded(guarded) is behind
    assert unguarded(behind) is behind


def test_a_terminal_gets_names_with_their_commands_written_out() -> None:
    _, shown = on_terminal(["-c", PROGRAM.format(hostile=HOSTILE)], both=True)
    assert shown.count(r"\x1b]0;owned\x07\x9b2J\x08cat\x7f") == 3
    assert "\x1b]" not in shown
    assert not {"\x07", "\x08", "\x7f", "\x9b"} & set(shown)


def test_a_pipe_gets_every_byte() -> None:
    output, _ = on_terminal(["-c", PROGRAM.format(hostile=HOSTILE)])
    assert output.startswith(HOSTILE)
