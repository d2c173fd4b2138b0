"""The causes of a dose difference as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markupsafe import escape

from qa_suite.core.wording import number
from reports.facts.dose_tables import CauseValues
from reports.figures.intervals import FAINT, INK, MUTED, Place, open_svg, padded, scale
from reports.figures.strips import nice_ticks

_SMALL: Final = f'font-size="11.5" fill="{MUTED}"'


def cause_bars(causes: Sequence[CauseValues]) -> str:
    """Draw what each kind of tissue does to the target's mean dose: a bar a mean, a dot a case."""
    width, left, right, row, top = 520.0, 112.0, 16.0, 28.0, 8.0
    bottom = top + row * len(causes)
    title = "Difference of the target's mean dose by cause, in % of the prescription"
    parts = [open_svg(width, bottom + 40, title, "strip")]
    values = [value for cause in causes for _, _, value in cause.values]
    x = scale(padded([0.0, *values], 0.1), (left, width - right))
    for tick in nice_ticks(padded([0.0, *values], 0.1), 6):
        text = f"{tick:g}".replace("-", "−")
        parts.append(
            f'<path d="M{x(tick):.1f} {top}V{bottom + 4}" stroke="{FAINT}"/>'
            f'<text x="{x(tick):.1f}" y="{bottom + 17}" text-anchor="middle" {_SMALL}>{text}</text>'
        )
    for place, cause in enumerate(causes):
        parts += _cause_row(
            cause, top + row * (place + 0.5), left, x, last=place + 1 == len(causes)
        )
    parts.append(
        f'<path d="M{x(0):.1f} {top}V{bottom}" stroke="{MUTED}"/>'
        f'<text x="{width - right}" y="{bottom + 34}" text-anchor="end" font-size="12" '
        f'fill="{INK}">synthetic − reference, target Dmean (% of prescription)</text>'
    )
    return "".join([*parts, "</svg>"])


def _cause_row(cause: CauseValues, y: float, left: float, x: Place, *, last: bool) -> list[str]:
    weight, fill = (650, INK) if last else (400, "#56b4e9")
    parts = [
        f'<text x="{left - 10}" y="{y + 4}" text-anchor="end" font-size="12.5" '
        f'font-weight="{weight}" fill="{INK}">{escape(cause.name)}</text>'
    ]
    if not cause.values:
        text = f'<text x="{left + 6}" y="{y + 4}" {_SMALL}>{escape(cause.why)}</text>'
        return [*parts, text]
    mean = sum(value for _, _, value in cause.values) / len(cause.values)
    start, end = sorted((x(0), x(mean)))
    parts.append(
        f'<rect x="{start:.1f}" y="{y - 8:.1f}" width="{max(end - start, 0.8):.1f}" height="16" '
        f'fill="{fill}" fill-opacity="0.55"><title>mean {number(mean)} %</title></rect>'
    )
    parts += [
        f'<circle cx="{x(value):.1f}" cy="{y:.1f}" r="3.4" fill="#ffffff" stroke="{INK}" '
        f'stroke-width="1.3"><title>{escape(case)}: {number(value)} %</title></circle>'
        for case, _, value in cause.values
    ]
    return parts
