"""Pure functions from the record to small SVG drawings: intervals and the cohort flow.

Every drawing is text: the same record gives the same bytes and fonts are the reader's own.
Colour is never the only sign: a bound is a dashed line, and outcomes stand beside in words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from markupsafe import escape

from qa_suite.core.records import Criterion, Finding, SiteGap
from reports.facts.readiness import FlowStep
from reports.facts.wording import is_share

INK: Final = "#1c2833"
MUTED: Final = "#5b6670"
FAINT: Final = "#d5dbe0"
GOOD: Final = "#e3efe9"
BOUND: Final = "#7a2e8e"
OUTCOME_INK: Final = {"pass": "#00664f", "fail": "#a3290f", "inconclusive": "#7a5600"}
FONT: Final = 'font-family="system-ui, -apple-system, Segoe UI, DejaVu Sans, sans-serif"'

Range = tuple[float, float]
Place = Callable[[float], float]


def scale(span: Range, ends: Range) -> Place:
    """Return the function from values of an axis to their places in a drawing."""

    def at(value: float) -> float:
        return ends[0] + (ends[1] - ends[0]) * (value - span[0]) / (span[1] - span[0])

    return at


def open_svg(width: float, height: float, title: str, css: str) -> str:
    """Begin a drawing with its size, its name for screen readers and its CSS class."""
    return (
        f'<svg class="{css}" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'role="img" aria-label="{escape(title)}" {FONT}>'
    )


def padded(values: Sequence[float], share: float = 0.08) -> Range:
    """Return the range of some values with a little room at both ends."""
    low, high = min(values), max(values)
    room = (high - low) * share or abs(high) * share or 1.0
    return low - room, high + room


def shared_range(findings: Sequence[Finding]) -> Range:
    """Return the axis that all findings of one measure are drawn on, bounds included."""
    values: list[float] = []
    for finding in findings:
        low, high = _good_side(finding.criterion)
        values += [bound for bound in (low, high) if bound is not None]
        known = (finding.estimate, finding.at_least, finding.at_most, finding.low, finding.high)
        values += [v for v in known if v is not None]
    return padded(values)


def _good_side(criterion: Criterion) -> tuple[float | None, float | None]:
    """Return from where to where an estimate is good; None is open."""
    if criterion.direction == "at_least" or is_share(criterion):
        return criterion.bound, None
    return (-criterion.bound if criterion.direction == "within" else None), criterion.bound


def finding_bar(finding: Finding, span: Range) -> str:
    """Draw a finding's estimate and interval against its bound; the good side is shaded."""
    low, high = _good_side(finding.criterion)
    return interval_bar(
        estimate=finding.estimate,
        low=finding.low,
        high=finding.high,
        span=span,
        good=(span[0] if low is None else low, span[1] if high is None else high),
        bounds=[bound for bound in (low, high) if bound is not None],
        ink=OUTCOME_INK[finding.outcome],
        title=finding.sentence,
        known=(finding.at_least, finding.at_most),
    )


def gap_range(gaps: Sequence[SiteGap]) -> Range:
    """Return the axis that all gaps of one measure are drawn on; zero is always on it."""
    values = [0.0]
    for gap in gaps:
        values += [v for v in (gap.gap, gap.gap_low, gap.gap_high) if v is not None]
    return padded(values) if len(values) > 1 else (-1.0, 1.0)


def gap_bar(gap: SiteGap, span: Range) -> str:
    """Draw a site's gap to the training sites and its interval against zero."""
    ink = OUTCOME_INK["fail"] if gap.shifted and not gap.in_training else MUTED
    return interval_bar(
        estimate=gap.gap,
        low=gap.gap_low,
        high=gap.gap_high,
        span=span,
        good=None,
        bounds=[0.0],
        ink=ink,
        title=gap.sentence,
    )


def interval_bar(
    *,
    estimate: float | None,
    low: float | None,
    high: float | None,
    span: Range,
    good: Range | None,
    bounds: Sequence[float],
    ink: str,
    title: str,
    known: tuple[float | None, float | None] = (None, None),
) -> str:
    """Draw one estimate and its interval on a common axis, with bounds as upright lines.

    ``known`` is what is known of a censored estimate, at least and at most: a bar with an
    arrow to the side that is open.
    """
    width, height, middle = 200.0, 30.0, 15.0

    def at(value: float) -> float:
        share = (value - span[0]) / (span[1] - span[0])
        return 6 + (width - 12) * min(max(share, 0.0), 1.0)

    parts = [open_svg(width, height, title, "bar"), f"<title>{escape(title)}</title>"]
    if good is not None:
        left, right = at(good[0]), at(good[1])
        parts.append(
            f'<rect x="{left:.1f}" y="4" width="{right - left:.1f}" height="22" fill="{GOOD}"/>'
        )
    parts.append(f'<path d="M6 {middle}H{width - 6}" stroke="{FAINT}"/>')
    for bound in bounds:
        parts.append(
            f'<path d="M{at(bound):.1f} 2V28" stroke="{BOUND}" stroke-width="2" '
            f'stroke-dasharray="4 2"/>'
        )
    if estimate is not None:
        left = at(span[0] if low is None else low)
        right = at(span[1] if high is None else high)
        ends = f"M{left:.1f} 10v10M{right:.1f} 10v10" if low is not None or high is not None else ""
        line = f"M{left:.1f} {middle}H{right:.1f}" if ends else ""
        parts.append(f'<path d="{line}{ends}" stroke="{ink}" stroke-width="2.4"/>')
        parts.append(f'<circle cx="{at(estimate):.1f}" cy="{middle}" r="4.6" fill="{ink}"/>')
    elif known != (None, None):
        parts.append(_known_bar(known, at, (6.0, width - 6), middle, ink))
    return "".join([*parts, "</svg>"])


def _known_bar(
    known: tuple[float | None, float | None], at: Place, span: Range, y: float, ink: str
) -> str:
    """Draw between what a censored estimate lies; an arrow where one side is open."""
    line = []
    for bound, edge, inward in zip(known, span, (6, -6), strict=True):
        if bound is None:
            line.append(f"M{edge + inward:.1f} {y - 5}L{edge:.1f} {y}l{inward} 5")
        else:
            line.append(f"M{at(bound):.1f} {y - 6}v12")
    left, right = (
        edge if bound is None else at(bound) for bound, edge in zip(known, span, strict=True)
    )
    path = f"M{left:.1f} {y}H{right:.1f}{''.join(line)}"
    return f'<path d="{path}" fill="none" stroke="{ink}" stroke-width="2.4"/>'


def flow_diagram(steps: Sequence[FlowStep]) -> str:
    """Draw the way of the cases from the cohort to the verdict, and where cases left it."""
    box, gap, top, tall = 148.0, 66.0, 6.0, 62.0
    width = len(steps) * box + (len(steps) - 1) * gap + 4
    most = max(len(step.left) for step in steps)
    height = top + tall + 26 + most * 50
    said = "; ".join(f"{s.label}: {s.count}" for s in steps)
    parts = [open_svg(width, height, f"Cohort flow. {said}", "flow")]
    for place, step in enumerate(steps):
        x = 2 + place * (box + gap)
        last = place == len(steps) - 1
        fill, ink = (INK, "#ffffff") if last else ("#ffffff", INK)
        parts.append(
            f'<rect x="{x}" y="{top}" width="{box}" height="{tall}" rx="6" fill="{fill}" '
            f'stroke="{INK}" stroke-width="1.4"/>'
            f'<text x="{x + box / 2}" y="{top + 30}" font-size="25" font-weight="650" '
            f'text-anchor="middle" fill="{ink}">{step.count}</text>'
            f'<text x="{x + box / 2}" y="{top + 50}" font-size="13.5" text-anchor="middle" '
            f'fill="{ink}">{escape(step.label)}</text>'
        )
        if place:
            parts += _flow_arrow(x - gap, x, top + tall / 2)
            parts += _flow_exits(step, x - gap / 2, top + tall / 2, top + tall + 22)
    return "".join([*parts, "</svg>"])


def _flow_arrow(start: float, end: float, y: float) -> list[str]:
    return [
        f'<path d="M{start} {y}H{end - 7}" stroke="{INK}" stroke-width="1.6"/>',
        f'<path d="M{end - 9} {y - 5}L{end - 1} {y}L{end - 9} {y + 5}Z" fill="{INK}"/>',
    ]


def _flow_exits(step: FlowStep, x: float, start: float, top: float) -> list[str]:
    parts = []
    bottom = top + 50 * (len(step.left) - 1)
    parts.append(f'<path d="M{x} {start}V{bottom}" stroke="{MUTED}" stroke-dasharray="3 3"/>')
    for place, (label, count) in enumerate(step.left):
        y = top + 50 * place
        ink = OUTCOME_INK["fail"] if count and label != "other sets" else MUTED
        weight = 650 if count else 400
        parts.append(
            f'<rect x="{x - 76}" y="{y}" width="152" height="42" rx="5" fill="#f6f7f8" '
            f'stroke="{FAINT}"/>'
            f'<text x="{x}" y="{y + 18}" font-size="15" font-weight="{weight}" '
            f'text-anchor="middle" fill="{ink}">{count}</text>'
            f'<text x="{x}" y="{y + 34}" font-size="12" text-anchor="middle" '
            f'fill="{MUTED}">{escape(label)}</text>'
        )
    return parts
