"""What can go wrong, one class for each exit code of the command line.

A message is one line that names what was wrong, where, and what to do. The command line prints it
without a traceback and leaves with `exit_code`; a program catches the class.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class RushlightError(Exception):
    """Base of every error that a person can do something about.

    Attributes:
        is_known_to_all: of several processes all have it, and the first tells the person.
    """

    exit_code = 1
    is_known_to_all = False


class InputError(RushlightError):
    """The data, an argument or a flag cannot be used."""

    exit_code = 2


class NonFiniteError(RushlightError):
    """The loss became NaN or infinite; no optimizer step was taken with it."""

    exit_code = 3


class MemoryLimitError(RushlightError):
    """The device ran out of memory.

    Args:
        message: what to make smaller.
        batch_size: of the training that did, where it is known.
        can_be_halved: the batches can be made smaller.
        run: the folder whose state can be gone on from; None where nothing was learned yet.
    """

    exit_code = 4

    def __init__(
        self, message: str, batch_size: int | None = None, can_be_halved: bool = False, run: Path | None = None
    ) -> None:
        super().__init__(message)
        self.batch_size, self.can_be_halved, self.run = batch_size, can_be_halved, run


class StorageError(RushlightError):
    """A file or folder could not be written."""

    exit_code = 5


class RunFolderBusyError(RushlightError):
    """Another process is writing to this run folder."""

    exit_code = 6


class ModelFileError(RushlightError):
    """A model file is not ours, is damaged, or belongs to another task."""

    exit_code = 7


class ProcessLostError(RushlightError):
    """Another of the processes that train together died or does not answer."""

    exit_code = 8


class Interrupted(RushlightError):
    """A person or the system asked the process to stop; what was worth keeping is saved.

    Args:
        message: what was saved, and how to go on.
        number: of the signal.
    """

    exit_code = 130

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number
        self.exit_code = 128 + number  # as shells count


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
