"""How long measuring the validation part takes, and what that means under a time limit."""

import statistics

MOST_TIME_MEASURING = 0.1  # the share of a time limit that measuring the validation part may take
MARGIN = 1.1  # of the time kept for the last measurement
FORWARD_SHARE = 0.4  # of a training step's time that measuring a batch takes, as long as none was measured
REMEMBERED = 3  # measurements: one that something else disturbed does not count for all


class ValidationTime:
    """The times of the last measurements.

    Attributes:
        times: side of the images, where there are any, and seconds of each.
        asked: how often in this fit somebody asked whether there is time to measure.
    """

    def __init__(self) -> None:
        self.times: list[tuple[int | None, float]] = []
        self.asked = 0

    @property
    def seconds(self) -> float:
        """How long it takes: the median of the last times, of those with images as large as the last; 0 if unknown."""
        if not self.times:
            return 0.0
        last_size, _ = self.times[-1]
        return statistics.median(seconds for size, seconds in self.times if size == last_size)

    def add(self, size: int | None, seconds: float) -> None:
        """Remember a measurement."""
        self.times = [*self.times[1 - REMEMBERED :], (size, seconds)]

    def is_affordable(self, elapsed: float) -> bool:
        """Whether measuring again, beside the times before, stays within its share of the time that has passed."""
        self.asked += 1
        return self.asked * self.seconds <= MOST_TIME_MEASURING * elapsed

    def to_reserve(self, seconds_a_step: float, batches: int) -> float:
        """The time to keep for the last measurement.

        Args:
            seconds_a_step: of training.
            batches: of the validation part.
        """
        return MARGIN * (self.seconds or FORWARD_SHARE * seconds_a_step * batches)
