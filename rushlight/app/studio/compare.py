"""Runs side by side, with the intervals that say which differences are none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rushlight.app.studio.library import Run


@dataclass(frozen=True)
class Group:
    """Runs that were measured on the same validation part, so that their figures can be compared.

    Attributes:
        title: what they were measured on.
        measure: `accuracy` or `loss`.
        rows: for each run its facts and where its interval lies, in percent of the width of the drawing.
        low: what the drawing begins with.
        high: what it ends with.
        verdict: what can be said of the best two.
    """

    title: str
    measure: str
    rows: list[dict[str, Any]]
    low: str
    high: str
    verdict: str


def groups_of(runs: list[Run]) -> list[Group]:
    """The finished runs in groups of the same data and parts; the best first, the largest group first."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for run in runs:
        result = run.result()
        if run.state() != "finished" or result is None or result.get("value") is None:
            continue
        facts = run.facts()
        data = facts.get("data") or {}
        parts = tuple(data.get(name) for name in ("fingerprint", "valid_fraction", "seed", "tokens", "lowercase"))
        row = {
            "run": run,
            "model": (facts.get("arguments") or {}).get("model"),
            "seconds": facts.get("seconds"),
            **result,
        }
        groups.setdefault((run.kind, result["name"], *parts), []).append(row)
    made = [_group(key[1], rows) for key, rows in groups.items()]
    return sorted(made, key=lambda group: -len(group.rows))


def _group(measure: str, rows: list[dict[str, Any]]) -> Group:
    sign = 1 if measure == "loss" else -1
    rows = sorted(rows, key=lambda row: sign * row["value"])
    bounds = [bound for row in rows for bound in (row["interval"] or (row["value"], row["value"]))]
    low, high = min(bounds), max(bounds)
    spread = (high - low) or 1.0
    low, high = max(0.0, low - 0.05 * spread), high + 0.05 * spread
    if measure == "accuracy":
        high = min(1.0, high)

    def place(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    for row in rows:
        start, end = row["interval"] or (row["value"], row["value"])
        row["start"], row["end"], row["point"] = place(start), place(end), place(row["value"])
        row["figure"] = _figure(measure, row["value"], row["interval"])
    data = (rows[0]["run"].facts().get("data") or {}).get("name_or_path", "")
    title = str(data).replace("\\", "/").rstrip("/").rpartition("/")[2] or "unknown data"
    return Group(title, measure, rows, _bare(measure, low), _bare(measure, high), _verdict(measure, rows))


def _bare(measure: str, value: float) -> str:
    return f"{100 * value:.1f} %" if measure == "accuracy" else f"{value:.3f}"


def _figure(measure: str, value: float, interval: list[float] | None) -> str:
    if interval is None:
        return _bare(measure, value)
    times, digits = (100, 1) if measure == "accuracy" else (1, 3)
    return f"{_bare(measure, value)} ({times * interval[0]:.{digits}f} to {times * interval[1]:.{digits}f})"


def _verdict(measure: str, rows: list[dict[str, Any]]) -> str:
    if len(rows) < 2:
        return "There is nothing to compare it with yet."
    best, second = rows[0], rows[1]
    if not best["interval"] or not second["interval"]:
        return "Without intervals nothing can be said of the difference."
    apart = (
        best["interval"][1] < second["interval"][0]
        if measure == "loss"
        else best["interval"][0] > second["interval"][1]
    )
    if apart:
        return f"{best['run'].name} is better than {second['run'].name}: their 95 % intervals do not touch."
    return (
        f"{best['run'].name} and {second['run'].name} cannot be told apart by one training each: their 95 % intervals "
        "overlap. Several seeds say more."
    )
