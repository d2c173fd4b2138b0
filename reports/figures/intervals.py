"""Pure functions from the record to small SVG drawings: intervals and the cohort flow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from qa_suite.core.records import Criterion, Finding, SiteGap
from reports.facts.readiness import FlowStep
from reports.facts.wording import is_share
from reports.figures import marks
from reports.figures.marks import BOUND, FAINT, FLAGGED, INK, MUTED, Place, Range

GOOD: Final = "#e3efe9"
OUTCOME_INK: Final = {"pass": "#00664f", "fail": FLAGGED, "inconclusive": "#7a5600"}


def shared_range(findings: Sequence[Finding]) -> Range:
    """Return the axis that all findings of one measure are drawn on, bounds included."""
    values: list[float] = []
    for finding in findings:
        low, high = _good_side(finding.criterion)
        values += [bound for bound in (low, high) if bound is not None]
        known = (finding.estimate, finding.at_least, finding.at_most, finding.low, finding.high)
        values += [v for v in known if v is not None]
    return marks.padded(values)


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


def axis_key(finding: Finding) -> tuple[str, ...]:
    """Return what findings have in common that share an axis."""
    c = finding.criterion
    return (c.metric, c.region, c.variant, str(is_share(c)))


def finding_bars(findings: Sequence[Finding]) -> list[str]:
    """Draw findings in their order; those of one measure share one axis."""
    groups: dict[tuple[str, ...], list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[axis_key(finding)].append(finding)
    spans = {key: shared_range(members) for key, members in groups.items()}
    return [finding_bar(one, spans[axis_key(one)]) for one in findings]


def gap_bars(gaps: Sequence[SiteGap]) -> list[str]:
    """Draw sites' gaps in their order; those of one measure share one axis."""
    groups: dict[tuple[str, str, str], list[SiteGap]] = defaultdict(list)
    for gap in gaps:
        groups[gap.metric, gap.region, gap.variant].append(gap)
    spans = {key: gap_range(members) for key, members in groups.items()}
    return [gap_bar(one, spans[one.metric, one.region, one.variant]) for one in gaps]


def gap_range(gaps: Sequence[SiteGap]) -> Range:
    """Return the axis that all gaps of one measure are drawn on; zero is always on it."""
    values = [0.0]
    for gap in gaps:
        values += [v for v in (gap.gap, gap.gap_low, gap.gap_high) if v is not None]
    return marks.padded(values) if len(values) > 1 else (-1.0, 1.0)


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

    at = marks.scale(span, (6.0, width - 6), held=True)
    parts = []
    if good is not None:
        left, right = at(good[0]), at(good[1])
        parts.append(marks.rect(left, 4, right - left, 22, GOOD))
    parts.append(marks.line(f"M6 {middle:g}H{width - 6:g}", FAINT))
    for bound in bounds:
        parts.append(marks.line(f"M{at(bound):.1f} 2V28", BOUND, 2, dash="4 2"))
    if estimate is not None:
        left = at(span[0] if low is None else low)
        right = at(span[1] if high is None else high)
        if low is not None or high is not None:
            ends = f"M{left:.1f} 10v10M{right:.1f} 10v10"
            parts.append(marks.line(f"M{left:.1f} {middle:g}H{right:.1f}{ends}", ink, 2.4))
        parts.append(marks.dot(at(estimate), middle, 4.6, ink))
    elif known != (None, None):
        parts.append(_known_bar(known, at, (6.0, width - 6), middle, ink))
    return marks.drawing((width, height), title, "bar", parts, title=title)


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
    return marks.line(f"M{left:.1f} {y:g}H{right:.1f}{''.join(line)}", ink, 2.4)


def flow_diagram(steps: Sequence[FlowStep]) -> str:
    """Draw the way of the cases from the cohort to the verdict, and where cases left it."""
    box, gap, top, tall = 148.0, 66.0, 6.0, 62.0
    width = len(steps) * box + (len(steps) - 1) * gap + 4
    most = max(len(step.left) for step in steps)
    height = top + tall + 26 + most * 50
    said = "; ".join(f"{s.label}: {s.count}" for s in steps)
    parts = []
    for place, step in enumerate(steps):
        x = 2 + place * (box + gap)
        last = place == len(steps) - 1
        fill, ink = (INK, "#ffffff") if last else ("#ffffff", INK)
        parts += [
            marks.rect(x, top, box, tall, fill, rx=6, stroke=INK, stroke_width=1.4),
            _centred(x + box / 2, top + 30, step.count, 25, ink, 650),
            _centred(x + box / 2, top + 50, step.label, 13.5, ink),
        ]
        if place:
            parts += _flow_arrow(x - gap, x, top + tall / 2)
            parts += _flow_exits(step, x - gap / 2, top + tall / 2, top + tall + 22)
    return marks.drawing((width, height), f"Cohort flow. {said}", "flow", parts)


def _centred(
    x: float, y: float, words: object, size: float, ink: str, weight: int | None = None
) -> str:
    return marks.text(x, y, words, size, ink, anchor="middle", font_weight=weight)


def _flow_arrow(start: float, end: float, y: float) -> list[str]:
    return [
        marks.line(f"M{start:g} {y:g}H{end - 7:g}", INK, 1.6),
        marks.area(f"M{end - 9:g} {y - 5:g}L{end - 1:g} {y:g}L{end - 9:g} {y + 5:g}Z", INK),
    ]


def _flow_exits(step: FlowStep, x: float, start: float, top: float) -> list[str]:
    bottom = top + 50 * (len(step.left) - 1)
    parts = [marks.line(f"M{x:g} {start:g}V{bottom:g}", dash="3 3")]
    for place, (label, count) in enumerate(step.left):
        y = top + 50 * place
        ink = OUTCOME_INK["fail"] if count and label != "other sets" else MUTED
        parts += [
            marks.rect(x - 76, y, 152, 42, "#f6f7f8", rx=5, stroke=FAINT),
            _centred(x, y + 18, count, 15, ink, 650 if count else 400),
            _centred(x, y + 34, label, 12, MUTED),
        ]
    return parts
