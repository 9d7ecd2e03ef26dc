"""How long a fit lasts, and how far it is: by steps, by the clock, or whichever ends first."""

import time
from collections.abc import Callable
from typing import Any


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
        self._last = 0.0
        self._ending: tuple[float, float, float] | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the plan was made."""
        return self._clock() - self._started

    def reserve(self, seconds: float) -> None:
        """Keep back time at the end, for the last validation; never more than half of what was given."""
        if self.seconds is not None:
            self.reserved = min(seconds, 0.5 * self.seconds)

    def progress(self, step: int, by_clock: float | None = None) -> float:
        """How far training is after `step` optimizer steps, from 0 to 1.

        Args:
            step: of this fit.
            by_clock: what another process read from its clock; this process reads its own if None.
        """
        done = 0.0 if self.steps is None else step / self.steps
        self._last = min(1.0, max(done, self.by_clock() if by_clock is None else by_clock))
        return self._last

    def by_clock(self) -> float:
        """How far training is by the time spent alone; 0 where time does not matter."""
        done = 0.0
        if self.seconds is not None:
            done = max(done, self.elapsed / (self.seconds - self.reserved))
        if self._ending is not None:
            began, before, seconds = self._ending
            done = max(done, before + (1.0 - before) * (self.elapsed - began) / seconds)
        return done

    def end_within(self, seconds: float) -> None:
        """Let progress go evenly from where it is to 1 in so many seconds, however much was planned; only once."""
        if self._ending is None:
            self._ending = (self.elapsed, self._last, seconds)

    def spend(self, seconds: float) -> None:
        """Count time that was spent on the fit before it could go on."""
        self._started -= seconds

    def state_dict(self) -> dict[str, Any]:
        """The plan, and how much of the time is spent."""
        return {
            "steps": self.steps,
            "seconds": self.seconds,
            "reserved": self.reserved,
            "elapsed": self.elapsed,
            "last": self._last,
            "ending": self._ending,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with a plan from the time that it had left; a length that the state leaves out stays as it is."""
        self.steps, self.seconds = state.get("steps", self.steps), state.get("seconds", self.seconds)
        self.reserved = state["reserved"]
        self._last, self._ending = state["last"], state["ending"]
        self._started = self._clock() - state["elapsed"]
