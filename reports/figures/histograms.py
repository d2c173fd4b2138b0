"""Histograms of a signed error as SVG: bars in the colours of its map, the mean, the tails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reports.facts import wording
from reports.figures import marks, panels
from reports.figures.marks import INK, MUTED, Place, Range

_HEIGHT: Final = 210.0
_LEFT: Final = 44.0
_RIGHT: Final = 12.0
_TOP: Final = 22.0
_BOTTOM: Final = 40.0
_HALF_MEAN: Final = 48.0
Bars = Sequence[tuple[float, float]]


def histogram(
    bars: Bars,
    *,
    step: float,
    end: float,
    limit: float,
    mean: float | None,
    unit: str,
    title: str,
    x_name: str,
    y_name: str,
    width: float = 320.0,
) -> str:
    """Draw a histogram around zero; what lies beyond its ends is said at either side.

    Parameters
    ----------
    bars
        Middle of each bin in ``unit``, ascending, and its share in %.
    step
        Width of a bin.
    end
        The axis goes from −``end`` to +``end``; bins beyond are added up and said in words.
    limit
        Where the colours end.
    mean
        Marked by a dashed line, where it is known.
    unit
        Of the errors.
    title
        Said by screen readers.
    x_name, y_name
        Names of the axes.
    width
        Of the drawing, in px.
    """
    shown = [bar for bar in bars if abs(bar[0]) + step / 2 <= end + step / 1000]
    most = max([1.0, *(share for _, share in shown)])
    x = marks.scale((-end, end), (_LEFT, width - _RIGHT))
    y = marks.scale((0.0, most), (_HEIGHT - _BOTTOM, _TOP))
    parts = [
        *_axes((-end, end), most, x, y),
        *_bars(shown, step, limit, x, y),
        marks.line(f"M{_LEFT:g} {y(0):.1f}H{width - _RIGHT:g}M{x(0):.1f} {_TOP:g}V{y(0):.1f}"),
    ]
    if mean is not None:
        parts.append(_mean(mean, f"mean {wording.dose_quantity(mean, unit, sign=True)}", end, x))
    parts += _tails(bars, end, unit, x)
    parts.append(marks.text(width - _RIGHT, _HEIGHT - 6, x_name, fill=INK, anchor="end"))
    parts.append(marks.upright(y_name, (_TOP + _HEIGHT - _BOTTOM) / 2, 12, marks.SMALL))
    return marks.drawing((width, _HEIGHT), title, "histogram", parts)


def _axes(span: Range, most: float, x: Place, y: Place) -> list[str]:
    parts = marks.y_axis(y, marks.nice_ticks((0.0, most), 4), _LEFT, x(span[1]))
    return parts + marks.x_axis(x, marks.nice_ticks(span, 6), y(0), y(0), stroke=MUTED)


def _bars(shown: Bars, step: float, limit: float, x: Place, y: Place) -> list[str]:
    """Draw the bars in the colours of the map, and one line over them all."""
    parts, line = [], f"M{x(shown[0][0] - step / 2):.1f} {y(0):.1f}" if shown else ""
    for middle, share in shown:
        left, right, top = x(middle - step / 2), x(middle + step / 2), y(share)
        line += f"V{top:.1f}H{right:.1f}"
        if share:
            fill = panels.diverging_hex(middle / limit)
            parts.append(marks.rect(left, top, right - left, y(0) - top, fill))
    return [*parts, marks.line(f"{line}V{y(0):.1f}", MUTED, 0.7)] if shown else []


def _mean(mean: float, text: str, end: float, x: Place) -> str:
    """Mark the mean; the words stay in the drawing, and say so where the line cannot."""
    low, high = x(-end) + _HALF_MEAN, x(end) - _HALF_MEAN
    beyond = ", beyond the axis" if abs(mean) > end else ""
    place = min(max(x(mean), low + len(beyond) * 2.8), high - len(beyond) * 2.8)
    words = marks.text(place, _TOP - 8, f"{text}{beyond}", 11, INK, anchor="middle")
    if beyond:
        return words
    return (
        marks.line(f"M{x(mean):.1f} {_TOP - 4:g}V{_HEIGHT - _BOTTOM:g}", INK, 1.6, dash="4 2")
        + words
    )


def _tails(bars: Bars, end: float, unit: str, x: Place) -> list[str]:
    """Say how much lies beyond either end of the axis; nothing where nothing does."""
    parts = []
    for sign, word, shift, anchor in ((-1, "below −", 4, "start"), (1, "above +", -2, "end")):
        beyond = sum(share for middle, share in bars if sign * middle > end)
        if beyond > 0:
            words = f"{_share(beyond)} {word}{end:g} {unit}"
            parts.append(
                marks.text(x(sign * end) + shift, _TOP + 10, words, 11, INK, anchor=anchor)
            )
    return parts


def _share(share_pct: float) -> str:
    """Write a share; one that is not nothing is never written as nothing."""
    return f"{share_pct:.2f} %" if share_pct >= 0.005 else "less than 0.01 %"
