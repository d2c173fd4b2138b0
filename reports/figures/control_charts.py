"""Drawing of a control chart: one measure over the check-ups of one model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reports.figures import marks
from reports.figures.marks import BOUND, FAINT, FLAGGED, HOME, INK, MUTED

_WIDTH: Final = 720.0
_HIGH: Final = 190.0
_LEFT: Final = 64.0
_RIGHT: Final = 16.0
_TOP: Final = 26.0
_BOTTOM: Final = 46.0


@dataclass(frozen=True, kw_only=True)
class ControlChart:
    """One measure over the check-ups of a model, as it is drawn.

    ``points`` holds the value of each check-up, None where there is none; ``baseline`` is the
    number of check-ups that the limits were learnt from, 0 while they are not. A value beyond
    ``low`` or ``high`` counts for a run. ``signals`` are the numbers of check-ups that broke a
    rule, with its words.
    """

    title: str
    unit: str
    state: str
    points: tuple[float | None, ...]
    baseline: int
    centre: float | None
    low: float | None
    high: float | None
    signals: tuple[tuple[int, str], ...]
    said: tuple[str, ...] = ()


def control_chart(chart: ControlChart) -> str:
    """Draw a chart: the baseline shaded, signals ringed, missing values as crosses below."""
    known = [value for value in chart.points if value is not None]
    ends = [end for end in (chart.low, chart.high) if end is not None]
    span = marks.padded([*known, *ends] or [0.0, 1.0], 0.1)
    bottom, right = _TOP + _HIGH, _WIDTH - _RIGHT
    n = len(chart.points)
    x = marks.scale((0.5, max(n, 2) + 0.5), (_LEFT, right))
    y = marks.scale(span, (bottom - 14, _TOP))
    ticks = [1, *range(10, n + 1, 10)]
    parts = []
    if chart.baseline:
        wide = x(chart.baseline + 0.5) - x(0.5)
        parts.append(marks.rect(_LEFT, _TOP, wide, _HIGH, FAINT, fill_opacity=0.35))
        parts.append(marks.text(_LEFT + 6, _TOP - 8, "baseline"))
    parts += marks.y_axis(y, marks.nice_ticks(span, 5), _LEFT, right)
    parts += marks.x_axis(x, [float(tick) for tick in ticks], bottom, bottom)
    parts.append(marks.line(f"M{_LEFT:g} {_TOP:g}V{bottom:g}H{right:g}"))
    if chart.centre is not None:
        parts.append(marks.line(f"M{_LEFT:g} {y(chart.centre):.1f}H{right:g}", MUTED, 1.2))
    for end in ends:
        parts.append(marks.line(f"M{_LEFT:g} {y(end):.1f}H{right:g}", BOUND, 1.2, dash="5 4"))
    parts += _paths(chart.points, x, y)
    flagged = dict(chart.signals)
    for place, value in enumerate(chart.points, start=1):
        words = flagged.get(place, "")
        if value is None:
            parts.append(_cross(x(place), bottom - 6, place))
        else:
            told = f"check-up {place}: {value:.4g} {chart.unit}".rstrip()
            parts.append(marks.dot(x(place), y(value), 2.6, HOME, title=told))
        if words:
            at = bottom - 6 if value is None else y(value)
            parts.append(
                marks.dot(x(place), at, 7, None, stroke=FLAGGED, stroke_width=2, title=words)
            )
    parts.append(marks.text(right, bottom + 36, "check-up of this model", 12, INK, anchor="end"))
    parts.append(
        marks.upright(chart.unit if chart.unit not in ("", "1") else "value", _TOP + _HIGH / 2)
    )
    size = (_WIDTH, _TOP + _HIGH + _BOTTOM)
    return marks.drawing(size, f"{chart.title}, {chart.state}", "control", parts)


def _paths(points: Sequence[float | None], x: marks.Place, y: marks.Place) -> list[str]:
    """Join neighbours by lines; a missing value breaks the line."""
    found, run = [], []
    for place, value in enumerate((*points, None), start=1):
        if value is not None:
            run.append((float(place), value))
            continue
        if len(run) > 1:
            found.append(marks.line(marks.through(run, x, y), HOME, 1.1, stroke_opacity=0.6))
        run = []
    return found


def _cross(x: float, y: float, place: int) -> str:
    d = f"M{x - 3.5:.1f} {y - 3.5:.1f}l7 7m0 -7l-7 7"
    return marks.line(d, FLAGGED, 1.6, title=f"check-up {place}: no value, or a bound only")
