"""Being asked to stop: SIGTERM and Ctrl-C end the running step, not the work that was done.

What a handler raises may arrive as something else: an extension module that is being imported makes an ImportError of
it. So both kinds of handler also note that they have raised.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from rushlight.runtime.errors import Interrupted, RushlightError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_left_on: list[int] = []


def leave_on_signals() -> None:
    """From now on SIGTERM and Ctrl-C unwind the stack, so that files are closed and run folders released.

    SIGTERM raises SystemExit with 128 plus its number, Ctrl-C KeyboardInterrupt. A signal that is ignored stays so.
    """
    _left_on.clear()
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)


def signal_left_on() -> int:
    """The number of the last signal on which the stack was unwound, whatever the exception has become; or 0."""
    return _left_on[-1] if _left_on else 0


def _leave(number: int, frame: FrameType | None) -> None:
    _left_on.append(number)
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


class StopSignals:
    """While this context is open, SIGINT and SIGTERM end it in good order; a second SIGINT ends it at once.

    Where something may be spoiled, `at_once` is set to False: then the handler does nothing but set a number, and
    whoever can stop looks at `received`.

    In a thread other than the main one signals cannot be caught, and nothing is changed.

    Attributes:
        received: the number of the signal, or 0.
        at_once: raise `Interrupted` from the handler, so that nobody waits without need.
    """

    def __init__(self) -> None:
        self.received = 0
        self.at_once = True
        self._has_raised = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
        if self._has_raised and isinstance(error, Exception) and not isinstance(error, RushlightError):
            raise Interrupted("stopped at once", self.received) from error

    def _note(self, number: int, frame: FrameType | None) -> None:
        again = self.received == number == signal.SIGINT
        self.received = number
        if self.at_once or again:
            self._has_raised = True
            raise Interrupted("stopped at once", number)
