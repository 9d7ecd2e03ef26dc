"""Figures as people read them."""

from __future__ import annotations

import math

from rushlight.runtime.measured import Measured

_PERCENT = "\N{NO-BREAK SPACE}%"
INTERVAL = f"95{_PERCENT}"  # what every interval is for


def percent(quantity: Measured | float) -> str:
    """`97.9 %`, with as many decimals as its interval asks for."""
    if isinstance(quantity, Measured):
        return f"{100 * quantity.value:.{quantity.percent_decimals}f}{_PERCENT}"
    return f"{100 * quantity:.1f}{_PERCENT}"


def percent_interval(quantity: Measured) -> str | None:
    """`95.5 to 99.0 %`; None without an interval."""
    if quantity.interval is None:
        return None
    low, high = (f"{100 * end:.{quantity.percent_decimals}f}" for end in quantity.interval)
    return f"{low} to {high}{_PERCENT}"


def decimal(quantity: Measured | float, places: int = 3) -> str:
    """`1.251`; a very large value in powers of ten."""
    value = quantity.value if isinstance(quantity, Measured) else quantity
    return f"{value:,.{places}f}" if abs(value) < 1e7 else f"{value:.2g}"


def decimal_interval(quantity: Measured, places: int = 3) -> str | None:
    """`1.243 to 1.259`; None without an interval."""
    if quantity.interval is None:
        return None
    return " to ".join(decimal(end, places) for end in quantity.interval)


def places_for(quantity: Measured) -> int:
    """How many decimals it takes to see the interval."""
    width = 0.0 if quantity.interval is None else quantity.interval[1] - quantity.interval[0]
    if not width or not math.isfinite(width):
        return 2
    return min(4, max(0, 1 - math.floor(math.log10(width / 2))))


def count(number: int) -> str:
    """`1,234`."""
    return f"{number:,}"


def plural(number: int, word: str) -> str:
    """`1 image`, `2 images`, `2 classes`."""
    ending = "" if number == 1 else "es" if word.endswith("s") else "s"
    return f"{number:,} {word}{ending}"


def large(number: int) -> str:
    """`820`, `15 thousand`, `3.4 million`."""
    for least, scale, word in ((10**9, 10**9, "billion"), (10**6, 10**6, "million"), (10_000, 1000, "thousand")):
        if number >= least:
            return f"{number / scale:.{0 if number >= 100 * scale else 1}f} {word}"
    return f"{number:,}"


def duration(seconds: float) -> str:
    """`38 s`, `12 min 5 s`, `2 h 4 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def shortened(name: str, length: int) -> str:
    """A name with its middle left out where it is too long."""
    if len(name) <= length:
        return name
    front = length // 2
    return f"{name[:front]}…{name[len(name) - (length - front - 1) :]}"


def visible(token: str) -> str:
    """A token whose white space can be seen: `␣` and `↵`."""
    return token.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥")
