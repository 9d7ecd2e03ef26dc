"""How an error reaches the person: one line on stderr and an exit code.

A traceback is for faults of ours alone.
"""

import os
import sys
from typing import Any

import typer

from rushlight.runtime.errors import Interrupted, MemoryLimitError, RushlightError, StorageError, nearest_name

INTERRUPTED, TERMINATED = 130, 143  # 128 + the number of the signal, as shells count

# Typer exports one error class of its parser, whether that is click or a part of typer itself; the
# two more general ones are its bases.
_UsageError: Any = typer.BadParameter.__bases__[0]
_ParserError: Any = _UsageError.__bases__[0]


def report_failure(error: Exception) -> int:
    """Print the one line of an error; of several processes that all have it, the first does.

    Args:
        error: what ended a command.

    Returns:
        The exit code (see `runtime/errors.py`).

    Raises:
        Exception: `error` itself, where it is no person's doing but a fault of ours.
    """
    if _is_told_by_another(error):
        return error.exit_code if isinstance(error, RushlightError) else 2
    if isinstance(error, BrokenPipeError):  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1  # as typer does where it meets this first
    if isinstance(error, typer.Abort):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    if isinstance(error, Interrupted):
        print(f"interrupted: {error}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, RushlightError):
        message, code = str(error), error.exit_code
    elif isinstance(error, _ParserError):
        message, code = _usage_message(error), 2
    elif is_out_of_memory(error):
        message = "out of memory: use a smaller --batch-size or --size, or close other programs"
        code = MemoryLimitError.exit_code
    elif isinstance(error, OSError) and error.filename is not None:
        path = os.fsdecode(error.filename)
        message = f"cannot use '{path}': {error.strerror}; check the path and its permissions"
        code = StorageError.exit_code
    else:
        raise error
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code


def _is_told_by_another(error: Exception) -> bool:
    """Whether several processes have this error, and this is not the first of them."""
    if int(os.environ.get("RANK", "0")) == 0:
        return False
    return isinstance(error, Interrupted | _ParserError) or getattr(error, "is_known_to_all", False)


def _usage_message(error: Any) -> str:
    """What was wrong with the command line, with the nearest known flag, and where help is."""
    context = getattr(error, "ctx", None)
    message = error.format_message().rstrip(".")
    message = message[:1].lower() + message[1:]
    if context is None:
        return str(message)
    if hasattr(error, "possibilities"):  # an unknown flag
        flags = [flag for parameter in context.command.get_params(context) for flag in parameter.opts]
        nearest = nearest_name(error.option_name, [flag for flag in flags if flag.startswith("--")])
        message = f"unknown flag '{error.option_name}': {nearest}"
    return f"{message} (see: {context.command_path} --help)"


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory could not be had, of the machine or of a device."""
    if isinstance(error, MemoryError | MemoryLimitError):
        return True
    torch = sys.modules.get("torch")  # not imported for this: where torch raised, it is there
    if torch is None or not isinstance(error, RuntimeError):
        return False
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
