"""Histograms of a signed error as SVG: bars in the colours of its map, the mean, the tails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from markupsafe import escape

from reports.facts import wording
from reports.figures import panels
from reports.figures.intervals import FAINT, INK, MUTED, Place, Range, open_svg, scale
from reports.figures.strips import nice_ticks

_HEIGHT: Final = 210.0
_LEFT: Final = 44.0
_RIGHT: Final = 12.0
_TOP: Final = 22.0
_BOTTOM: Final = 40.0
_SMALL: Final = f'font-size="11" fill="{MUTED}"'
_WORDS: Final = f'font-size="11" fill="{INK}"'
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
    x = scale((-end, end), (_LEFT, width - _RIGHT))
    y = scale((0.0, most), (_HEIGHT - _BOTTOM, _TOP))
    parts = [
        open_svg(width, _HEIGHT, title, "histogram"),
        *_axes((-end, end), most, x, y),
        *_bars(shown, step, limit, x, y),
        f'<path d="M{_LEFT} {y(0):.1f}H{width - _RIGHT}M{x(0):.1f} {_TOP}V{y(0):.1f}" '
        f'stroke="{MUTED}"/>',
    ]
    if mean is not None:
        parts.append(_mean(mean, f"mean {wording.dose_quantity(mean, unit, sign=True)}", end, x))
    parts += _tails(bars, end, unit, x)
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(
        f'<text x="{width - _RIGHT}" y="{_HEIGHT - 6}" text-anchor="end" font-size="11.5" '
        f'fill="{INK}">{escape(x_name)}</text>'
        f'<text x="12" y="{middle}" transform="rotate(-90 12 {middle})" text-anchor="middle" '
        f'font-size="11.5" fill="{INK}">{escape(y_name)}</text></svg>'
    )
    return "".join(parts)


def _axes(span: Range, most: float, x: Place, y: Place) -> list[str]:
    parts = [
        f'<path d="M{_LEFT - 3} {y(tick):.1f}H{x(span[1]):.1f}" stroke="{FAINT}"/>'
        f'<text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end" {_SMALL}>{tick:g}</text>'
        for tick in nice_ticks((0.0, most), 4)
    ]
    for tick in nice_ticks(span, 6):
        text = f"{tick:g}".replace("-", "−")
        parts.append(
            f'<path d="M{x(tick):.1f} {y(0):.1f}v4" stroke="{MUTED}"/>'
            f'<text x="{x(tick):.1f}" y="{y(0) + 15:.1f}" text-anchor="middle" {_SMALL}>'
            f"{text}</text>"
        )
    return parts


def _bars(shown: Bars, step: float, limit: float, x: Place, y: Place) -> list[str]:
    """Draw the bars and one line over them all: those near zero are white, like the paper."""
    from matplotlib import colormaps, colors

    colour = colormaps[panels.DIVERGING_MAP]
    parts, line = [], f"M{x(shown[0][0] - step / 2):.1f} {y(0):.1f}" if shown else ""
    for middle, share in shown:
        left, right, top = x(middle - step / 2), x(middle + step / 2), y(share)
        line += f"V{top:.1f}H{right:.1f}"
        if share:
            fill = colors.to_hex(colour(float(np.clip((middle / limit + 1) / 2, 0, 1))))
            parts.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
                f'height="{y(0) - top:.1f}" fill="{fill}"/>'
            )
    over = f'<path d="{line}V{y(0):.1f}" fill="none" stroke="{MUTED}" stroke-width="0.7"/>'
    return [*parts, over] if shown else []


def _mean(mean: float, text: str, end: float, x: Place) -> str:
    """Mark the mean; the words stay in the drawing, and say so where the line cannot."""
    low, high = x(-end) + _HALF_MEAN, x(end) - _HALF_MEAN
    beyond = ", beyond the axis" if abs(mean) > end else ""
    place = min(max(x(mean), low + len(beyond) * 2.8), high - len(beyond) * 2.8)
    words = (
        f'<text x="{place:.1f}" y="{_TOP - 8}" text-anchor="middle" {_WORDS}>'
        f"{escape(text)}{beyond}</text>"
    )
    if beyond:
        return words
    return (
        f'<path d="M{x(mean):.1f} {_TOP - 4}V{_HEIGHT - _BOTTOM}" stroke="{INK}" '
        f'stroke-width="1.6" stroke-dasharray="4 2"/>{words}'
    )


def _tails(bars: Bars, end: float, unit: str, x: Place) -> list[str]:
    """Say how much lies beyond either end of the axis; nothing where nothing does."""
    parts = []
    for sign, word, shift, anchor in ((-1, "below −", 4, "start"), (1, "above +", -2, "end")):
        beyond = sum(share for middle, share in bars if sign * middle > end)
        if beyond > 0:
            parts.append(
                f'<text x="{x(sign * end) + shift:.1f}" y="{_TOP + 10}" '
                f'text-anchor="{anchor}" {_WORDS}>{_share(beyond)} {word}{end:g} '
                f"{escape(unit)}</text>"
            )
    return parts


def _share(share_pct: float) -> str:
    """Write a share; one that is not nothing is never written as nothing."""
    return f"{share_pct:.2f} %" if share_pct >= 0.005 else "less than 0.01 %"
