"""What can go wrong, one class for each exit code of the command line.

A message is one line that names what was wrong, where, and what to do. The command line prints it
without a traceback and leaves with `exit_code`; a program catches the class.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class RushlightError(Exception):
    """Base of every error that a person can do something about."""

    exit_code = 1


class InputError(RushlightError):
    """The data, an argument or a flag cannot be used."""

    exit_code = 2


class NonFiniteError(RushlightError):
    """The loss became NaN or infinite; no optimizer step was taken with it."""

    exit_code = 3


class MemoryLimitError(RushlightError):
    """The device ran out of memory."""

    exit_code = 4


class StorageError(RushlightError):
    """A file or folder could not be written."""

    exit_code = 5


class RunFolderBusyError(RushlightError):
    """Another process is writing to this run folder."""

    exit_code = 6


class ModelFileError(RushlightError):
    """A model file is not ours, is damaged, or belongs to another task."""

    exit_code = 7


def nearest_name(name: str, known: Iterable[str]) -> str:
    """A clause that helps with a misspelt name.

    Args:
        name: what the person typed.
        known: the names that exist.

    Returns:
        `"did you mean 'x'?"` where one is close, else `"known: a, b, c"`.
    """
    known = list(known)
    close = get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
