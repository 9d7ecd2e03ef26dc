"""Learning-rate schedules: pure functions from progress to a factor.

Progress runs from 0 (no step taken) to 1 (all steps taken, or all the time spent). The factor multiplies each
parameter group's own rate, so that every schedule composes with discriminative rates and works under a time
limit, where the number of steps is not known beforehand. Progress outside 0..1 is read as the nearer end.

To add a schedule, write a factory that returns such a function and add one line to `SCHEDULES`.
"""

import inspect
import math
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate

from rushlight.runtime.errors import InputError, nearest_name

Schedule = Callable[[float], float]

# Progress is a quotient of floats: a step this close to the end of a cycle belongs to the next one.
_ROUNDING = 1e-9


def constant(warm_up: float = 0.0) -> Schedule:
    """The full rate throughout.

    Args:
        warm_up: the fraction of training over which the factor first rises in a line from 0 to 1.

    Raises:
        InputError: `warm_up` is not in [0, 1).
    """
    return _after_warm_up(warm_up, lambda progress: 1.0)


def linear(warm_up: float = 0.0, final: float = 0.0) -> Schedule:
    """A straight line from 1 down to `final`.

    Args:
        warm_up: the fraction of training over which the factor first rises in a line from 0 to 1.
        final: the factor at the end.

    Raises:
        InputError: `warm_up` is not in [0, 1), or `final` not in [0, 1].
    """
    return polynomial(power=1.0, warm_up=warm_up, final=final)


def polynomial(power: float = 2.0, warm_up: float = 0.0, final: float = 0.0) -> Schedule:
    """`(1 - progress) ** power`, from 1 down to `final` (the "poly" policy of Chen et al., DeepLab, 2018).

    Args:
        power: 1 is a line; above 1 falls fast first, below 1 falls fast last.
        warm_up: the fraction of training over which the factor first rises in a line from 0 to 1.
        final: the factor at the end.

    Raises:
        InputError: `power` is not positive, `warm_up` not in [0, 1), or `final` not in [0, 1].
    """
    _require(power > 0, f"power must be positive, not {power}")
    _require_final(final)
    return _after_warm_up(warm_up, lambda progress: final + (1 - final) * (1 - progress) ** power)


def cosine(warm_up: float = 0.0, final: float = 0.0) -> Schedule:
    """Half a cosine wave from 1 down to `final` (Loshchilov and Hutter, SGDR, 2017, without the restarts).

    Args:
        warm_up: the fraction of training over which the factor first rises in a line from 0 to 1.
        final: the factor at the end.

    Raises:
        InputError: `warm_up` is not in [0, 1), or `final` not in [0, 1].
    """
    _require_final(final)
    return _after_warm_up(warm_up, lambda progress: _cosine_between(1.0, final, progress))


def one_cycle(peak: float = 0.3, start: float = 1 / 25, final: float = 4e-6) -> Schedule:
    """Up to the full rate and down to almost nothing, both along half a cosine wave.

    The shape is Smith's super-convergence (2018) as it is commonly used since; the defaults are those of
    `torch.optim.lr_scheduler.OneCycleLR`. Give as rate the highest one, near where `find_lr` still falls
    steeply.

    Args:
        peak: the progress at which the factor is 1.
        start: the factor at the beginning.
        final: the factor at the end.

    Raises:
        InputError: `peak` is not in (0, 1), or `start` or `final` not in [0, 1].
    """
    _require(0 < peak < 1, f"peak is a fraction of training between 0 and 1, not {peak}")
    _require(0 <= start <= 1, f"start is a factor between 0 and 1, not {start}")
    _require_final(final)

    def factor(progress: float) -> float:
        if progress < peak:
            return _cosine_between(start, 1.0, _clamped(progress) / peak)
        return _cosine_between(1.0, final, (_clamped(progress) - peak) / (1 - peak))

    return factor


def cycle_lengths(cycles: int, cycle_length: float = 1, cycle_multiplier: float = 1) -> list[float]:
    """The length of each cycle of warm restarts; their sum is the length of training.

    Args:
        cycles: how many.
        cycle_length: length of the first one, in epochs (or any other unit, which is then that of the
            result).
        cycle_multiplier: how many times longer each cycle is than the one before.

    Raises:
        InputError: there is not at least one cycle, or a length or multiplier is not a positive number.
    """
    _require(cycles >= 1 and cycles == int(cycles), f"cycles must be a whole number from 1 up, not {cycles}")
    for name, value in (("cycle_length", cycle_length), ("cycle_multiplier", cycle_multiplier)):
        _require(0 < value < math.inf, f"{name} must be a positive number, not {value}")
    return [cycle_length * cycle_multiplier**cycle for cycle in range(int(cycles))]


def cycle_ends(cycles: int, cycle_length: float = 1, cycle_multiplier: float = 1) -> list[float]:
    """The progress at which each cycle ends; the last is 1.

    Whole lengths and multipliers give the very floats that `step / steps` gives at those steps.
    (`cycle_length` scales all cycles alike, so as progress it cancels out; it stands here so that the three
    arguments travel together.)

    Args:
        cycles: how many.
        cycle_length: length of the first one.
        cycle_multiplier: how many times longer each cycle is than the one before.

    Raises:
        InputError: as `cycle_lengths`.
    """
    ends = list(accumulate(cycle_lengths(cycles, cycle_length, cycle_multiplier)))
    return [end / ends[-1] for end in ends]


def warm_restarts(
    cycles: int = 3, cycle_length: float = 1, cycle_multiplier: float = 1, final: float = 0.0
) -> Schedule:
    """Cosine annealing that starts again at the full rate every cycle (Loshchilov and Hutter, SGDR, 2017).

    At the progress that ends a cycle the factor is already that of the next one's start; only at 1 is it
    `final`.

    Args:
        cycles: how many.
        cycle_length: length of the first one.
        cycle_multiplier: how many times longer each cycle is than the one before; 1 keeps them equal.
        final: the factor that each cycle falls to.

    Raises:
        InputError: as `cycle_lengths`, or `final` is not in [0, 1].
    """
    _require_final(final)
    ends = cycle_ends(cycles, cycle_length, cycle_multiplier)
    starts = [0.0, *ends[:-1]]

    def factor(progress: float) -> float:
        cycle = min(bisect_right(ends, progress + _ROUNDING), len(ends) - 1)
        within = (progress - starts[cycle]) / (ends[cycle] - starts[cycle])
        return _cosine_between(1.0, final, _clamped(within))

    return factor


def exponential_sweep(start_lr: float = 1e-7, end_lr: float = 10.0) -> Schedule:
    """From `start_lr` to `end_lr` with the same ratio at every step, as the learning-rate finder goes (Smith
    2017).

    The factors are the rates themselves: sweep groups whose own rate is 1, or relative to the last group's.

    Args:
        start_lr: the first rate.
        end_lr: the last rate.

    Raises:
        InputError: a rate is not a positive number.
    """
    for name, value in (("start_lr", start_lr), ("end_lr", end_lr)):
        _require(0 < value < math.inf, f"{name} must be a positive number, not {value}")
    log_start, log_end = math.log(start_lr), math.log(end_lr)

    def factor(progress: float) -> float:
        progress = _clamped(progress)
        return math.exp(log_start * (1 - progress) + log_end * progress)

    return factor


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "one_cycle": one_cycle,
    "warm_restarts": warm_restarts,
    "exponential_sweep": exponential_sweep,
    "polynomial": polynomial,
}


def make_schedule(schedule: str | Schedule, **options: float) -> Schedule:
    """The schedule of that name; a function is taken as it is.

    Args:
        schedule: a key of `SCHEDULES`, or a function from progress to a factor.
        **options: the arguments of its factory.

    Raises:
        InputError: the schedule or an option is unknown, or a value cannot be used.
    """
    if not isinstance(schedule, str):
        if options:
            raise InputError(f"a schedule that is a function takes no options: {', '.join(options)}")
        return schedule
    if schedule not in SCHEDULES:
        raise InputError(f"unknown schedule '{schedule}': {nearest_name(schedule, SCHEDULES)}")
    known = inspect.signature(SCHEDULES[schedule]).parameters
    for option in options:
        if option not in known:
            raise InputError(f"schedule '{schedule}' has no option '{option}': {nearest_name(option, known)}")
    return SCHEDULES[schedule](**options)


def _after_warm_up(warm_up: float, decay: Schedule) -> Schedule:
    """Rise in a line to 1, then follow `decay`, whose own progress runs from 0 to 1 over what is left."""
    _require(0 <= warm_up < 1, f"warm_up is a fraction of training from 0 to below 1, not {warm_up}")

    def factor(progress: float) -> float:
        progress = _clamped(progress)
        return progress / warm_up if progress < warm_up else decay((progress - warm_up) / (1 - warm_up))

    return factor


def _cosine_between(first: float, last: float, progress: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * progress))


def _clamped(progress: float) -> float:
    return min(1.0, max(0.0, progress))


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(f"schedule: {message}")


def _require_final(final: float) -> None:
    _require(0 <= final <= 1, f"final is a factor between 0 and 1, not {final}")
