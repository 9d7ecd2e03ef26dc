"""How long a fit lasts, and how far it is: by steps, by the clock, or whichever ends first."""

import time
from collections.abc import Callable


class Plan:
    """The measure of progress that schedules follow.

    Progress runs from 0 to 1. It is the larger of steps taken over steps planned, and time spent over the time given,
    so that under a time limit the annealing ends on time whatever else the machine is doing. Time is read from a
    monotonic clock: setting the computer's clock changes nothing.

    Args:
        steps: optimizer steps planned, or None for no such limit.
        seconds: time given, validation included, or None for no such limit.
        clock: where the time comes from, in seconds.
    """

    def __init__(
        self,
        steps: int | None = None,
        seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if steps is None and seconds is None:
            raise ValueError("a plan needs steps or seconds")
        self.steps = steps
        self.seconds = seconds
        self.reserved = 0.0
        self._clock = clock
        self._started = clock()

    @property
    def elapsed(self) -> float:
        """Seconds since the plan was made."""
        return self._clock() - self._started

    def reserve(self, seconds: float) -> None:
        """Keep back time at the end, for the last validation; never more than half of what was given."""
        if self.seconds is not None:
            self.reserved = min(seconds, 0.5 * self.seconds)

    def progress(self, step: int) -> float:
        """How far training is after `step` optimizer steps, from 0 to 1."""
        done = 0.0 if self.steps is None else step / self.steps
        if self.seconds is not None:
            done = max(done, self.elapsed / (self.seconds - self.reserved))
        return min(1.0, done)
