"""Histograms of a signed error as SVG: bars in the colours of its map, the mean, the tails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from markupsafe import escape

from qa_suite.wording import number
from reports import panels
from reports.figures import FAINT, INK, MUTED, open_svg, scale
from reports.strips import nice_ticks

_WIDTH: Final = 320.0
_HEIGHT: Final = 210.0
_LEFT: Final = 44.0
_RIGHT: Final = 12.0
_TOP: Final = 22.0
_BOTTOM: Final = 40.0
_SMALL: Final = f'font-size="11" fill="{MUTED}"'
_THIN: Final = 3.0
"""Bars narrower than this have no outline, which would hide their colour."""
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
) -> str:
    """Draw a histogram around zero; what lies beyond its ends is said at either side.

    Parameters
    ----------
    bars
        Middle of each bin in ``unit``, and its share in %.
    step
        Width of a bin.
    end
        The axis goes from −``end`` to +``end``; bins whose middle lies beyond are added up.
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
    """
    shown = [(middle, share) for middle, share in bars if abs(middle) <= end + step / 1000]
    most = max([1.0, *(share for _, share in shown)])
    x = scale((-end, end), (_LEFT, _WIDTH - _RIGHT))
    y = scale((0.0, most), (_HEIGHT - _BOTTOM, _TOP))
    parts = [open_svg(_WIDTH, _HEIGHT, title, "histogram")]
    for tick in nice_ticks((0.0, most), 4):
        parts.append(
            f'<path d="M{_LEFT - 3} {y(tick):.1f}H{_WIDTH - _RIGHT}" stroke="{FAINT}"/>'
            f'<text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end" {_SMALL}>'
            f"{tick:g}</text>"
        )
    for middle, share in shown:
        if share:
            low, high = max(middle - step / 2, -end), min(middle + step / 2, end)
            parts.append(_bar((x(low), x(high)), (y(0), y(share)), _colour(middle, limit)))
    for tick in nice_ticks((-end, end), 6):
        text = f"{tick:g}".replace("-", "−")
        parts.append(
            f'<path d="M{x(tick):.1f} {y(0):.1f}v4" stroke="{MUTED}"/>'
            f'<text x="{x(tick):.1f}" y="{y(0) + 15:.1f}" text-anchor="middle" {_SMALL}>'
            f"{text}</text>"
        )
    parts.append(
        f'<path d="M{_LEFT} {y(0):.1f}H{_WIDTH - _RIGHT}M{x(0):.1f} {_TOP}V{y(0):.1f}" '
        f'stroke="{MUTED}"/>'
    )
    parts += _mean(mean, end, unit)
    parts += _tails(bars, shown, end)
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 6}" text-anchor="end" font-size="11.5" '
        f'fill="{INK}">{escape(x_name)}</text>'
        f'<text x="12" y="{middle}" transform="rotate(-90 12 {middle})" text-anchor="middle" '
        f'font-size="11.5" fill="{INK}">{escape(y_name)}</text></svg>'
    )
    return "".join(parts)


def _bar(across: tuple[float, float], up: tuple[float, float], fill: str) -> str:
    width = across[1] - across[0]
    edge = f' stroke="{MUTED}" stroke-width="0.5"' if width >= _THIN else ""
    return (
        f'<rect x="{across[0]:.1f}" y="{up[1]:.1f}" width="{width:.1f}" '
        f'height="{up[0] - up[1]:.1f}" fill="{fill}"{edge}/>'
    )


def _colour(value: float, limit: float) -> str:
    from matplotlib import colormaps, colors

    share = float(np.clip((value / limit + 1) / 2, 0, 1))
    return colors.to_hex(colormaps[panels.DIVERGING_MAP](share))


def _mean(mean: float | None, end: float, unit: str) -> list[str]:
    if mean is None:
        return []
    x = scale((-end, end), (_LEFT, _WIDTH - _RIGHT))
    text = f"mean {escape(number(mean))} {escape(unit)}"
    if abs(mean) > end:
        side, anchor = (_LEFT, "start") if mean < 0 else (_WIDTH - _RIGHT, "end")
        return [
            f'<text x="{side}" y="{_TOP - 8}" text-anchor="{anchor}" font-size="11" '
            f'fill="{INK}">{text}, beyond the axis</text>'
        ]
    place = x(mean)
    inside = min(max(place, _LEFT + 44), _WIDTH - _RIGHT - 44)  # or the words leave the drawing
    return [
        f'<path d="M{place:.1f} {_TOP - 4}V{_HEIGHT - _BOTTOM}" stroke="{INK}" '
        f'stroke-width="1.6" stroke-dasharray="4 2"/>'
        f'<text x="{inside:.1f}" y="{_TOP - 8}" text-anchor="middle" font-size="11" '
        f'fill="{INK}">{text}</text>'
    ]


def _tails(bars: Bars, shown: Bars, end: float) -> list[str]:
    """Say how much lies beyond either end of the axis; nothing where nothing does."""
    seen = {middle for middle, _ in shown}
    parts = []
    for sign, x, anchor in ((-1, _LEFT + 4, "start"), (1, _WIDTH - _RIGHT - 2, "end")):
        beyond = sum(share for middle, share in bars if middle * sign > 0 and middle not in seen)
        if beyond > 0:
            said = f"{'<' if sign < 0 else '>'} {'−' if sign < 0 else '+'}{end:g}: "
            parts.append(
                f'<text x="{x}" y="{_TOP + 10}" text-anchor="{anchor}" font-size="11" '
                f'fill="{INK}">{escape(said + percent_text(beyond))}</text>'
            )
    return parts


def percent_text(share_pct: float) -> str:
    """Write a share; one that is not nothing is never written as nothing."""
    return f"{share_pct:.2f} %" if share_pct >= 0.005 else "below 0.01 %"
