"""DVH pairs as SVG.

The reference is solid, the synthetic image dashed, the envelope of the prediction's samples
shaded; below, the difference of the two images on the same doses.
"""

from __future__ import annotations

from typing import Final

from markupsafe import escape

from qa_suite.core.wording import number
from reports.facts.dose_cases import DoseCase, DvhPair
from reports.facts.dose_goals import GoalReading, Points, at_dose, goal_mark
from reports.facts.dose_plan import PlanFacts
from reports.figures.intervals import BOUND, FAINT, INK, MUTED, Place, open_svg, scale
from reports.figures.strips import nice_ticks, short

COLOURS: Final = (INK, "#d55e00", "#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#e69f00", "#7f5539")
"""Of the structures, target first; told apart by people who see red and green alike."""
_WIDTH: Final = 760.0
_LEFT: Final = 58.0
_RIGHT: Final = 186.0
_TOP: Final = 26.0
_TALL: Final = 268.0
_GAP: Final = 24.0
_STRIP: Final = 86.0
_BOTTOM: Final = 44.0
_LEAST_CHANGE_PCT: Final = 1.0
_SMALL: Final = f'font-size="11.5" fill="{MUTED}"'


def dvh_plot(case: DoseCase) -> str:
    """Draw the DVHs of one case on both images, its goals as arrows, and their difference."""
    plan, height = case.facts, _TOP + _TALL + _GAP + _STRIP + _BOTTOM
    title = f"DVH of {case.case}, {plan.key}: reference solid, synthetic dashed"
    parts = [open_svg(_WIDTH, height, title, "dvh")]
    if not case.dvhs:
        text = "undefined: the record holds no DVH of this case"
        return "".join([*parts, f'<text x="8" y="40">{text}</text></svg>'])
    colours = {pair.region: COLOURS[n % len(COLOURS)] for n, pair in enumerate(case.dvhs)}
    x = scale((0.0, _last_dose(case, plan)), (_LEFT, _WIDTH - _RIGHT))
    y = scale((0.0, 100.0), (_TOP + _TALL, _TOP))
    parts += _dvh_axes(case, plan, x, y)
    for pair in reversed(case.dvhs):  # bands lie below every line
        parts += _band(pair, colours[pair.region], case.samples, x, y)
    for pair in reversed(case.dvhs):  # the target is drawn last, on top
        parts += _pair(pair, colours[pair.region], x, y)
    parts += _goal_marks(case, plan, colours, x, y)
    parts += _changes(case, colours, x)
    parts += _dvh_legend(case, colours)
    return "".join([*parts, "</svg>"])


def _last_dose(case: DoseCase, plan: PlanFacts) -> float:
    ends = [
        points[-1][0]
        for pair in case.dvhs
        for points in (pair.reference, pair.synthetic, pair.high)
        if points
    ]
    return max([1.06 * plan.prescription_gy, *ends])


def _path(points: Points, x: Place, y: Place) -> str:
    return "M" + "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in points)


def _band(pair: DvhPair, colour: str, samples: int | None, x: Place, y: Place) -> list[str]:
    """Shade from the least to the largest volume over the samples."""
    if not pair.low or not pair.high:
        return []
    around = (*pair.low, *reversed(pair.high))
    said = f"{escape(pair.name)}, {_envelope(samples)}"
    return [
        f'<path class="band" d="{_path(around, x, y)}Z" fill="{colour}" fill-opacity="0.2" '
        f'stroke="none"><title>{said}</title></path>'
    ]


def _envelope(samples: int | None) -> str:
    return "envelope of the samples" if samples is None else f"envelope of {samples} samples"


def _pair(pair: DvhPair, colour: str, x: Place, y: Place) -> list[str]:
    wide = 2.4 if pair.region == "target" else 1.8
    parts = []
    for points, word, dash in (
        (pair.reference, "reference", ""),
        (pair.synthetic, "synthetic", ' stroke-dasharray="6 4"'),
    ):
        if points:
            parts.append(
                f'<path d="{_path(points, x, y)}" fill="none" stroke="{colour}" '
                f'stroke-width="{wide}"{dash}><title>{escape(pair.name)}, {word}</title></path>'
            )
    return parts


def _dvh_axes(case: DoseCase, plan: PlanFacts, x: Place, y: Place) -> list[str]:
    bottom, right = _TOP + _TALL, _WIDTH - _RIGHT
    parts = []
    for tick in nice_ticks((0.0, 100.0), 5):
        parts.append(
            f'<path d="M{_LEFT - 4} {y(tick):.1f}H{right}" stroke="{FAINT}"/>'
            f'<text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end" {_SMALL}>'
            f"{tick:g}</text>"
        )
    low = bottom + _GAP + _STRIP
    for tick in nice_ticks((0.0, _last_dose(case, plan)), 9):
        parts.append(
            f'<path d="M{x(tick):.1f} {_TOP}V{bottom}M{x(tick):.1f} {bottom + _GAP}V{low + 4}" '
            f'stroke="{FAINT}"/><text x="{x(tick):.1f}" y="{low + 17}" text-anchor="middle" '
            f"{_SMALL}>{tick:g}</text>"
        )
    asked = x(plan.prescription_gy)
    parts.append(
        f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="{MUTED}"/>'
        f'<path d="M{asked:.1f} {_TOP - 6}V{bottom}" stroke="{BOUND}" stroke-dasharray="2 3"/>'
        f'<text x="{asked:.1f}" y="{_TOP - 11}" text-anchor="middle" font-size="11" '
        f'fill="{BOUND}">prescribed {plan.prescription_gy:g} Gy</text>'
        f'<text x="{right}" y="{low + 35}" text-anchor="end" font-size="12.5" fill="{INK}">'
        f"dose of the course (Gy)</text>"
        + _upright("volume at or above (%)", _TOP + _TALL / 2)
        + _upright("Δ organs (%)", bottom + _GAP + _STRIP / 2)
    )
    return parts


def _upright(text: str, middle: float) -> str:
    return (
        f'<text x="14" y="{middle}" transform="rotate(-90 14 {middle})" text-anchor="middle" '
        f'font-size="12" fill="{INK}">{text}</text>'
    )


def _goal_marks(
    case: DoseCase, plan: PlanFacts, colours: dict[str, str], x: Place, y: Place
) -> list[str]:
    """Draw goals as arrows that point to where the curve must pass; flipped ones are ringed."""
    parts = []
    if "target" in colours:
        text = f"coverage asked for: {plan.coverage_pct:g} % at {plan.coverage_gy:.1f} Gy"
        parts.append(_arrow(x(plan.coverage_gy), y(plan.coverage_pct), "up", INK, text, ring=False))
    for reading in case.goals:
        place = goal_mark(reading.goal, plan)
        colour = colours.get(f"structure:{reading.goal.structure}")
        if place is None or colour is None or place[0] > _last_dose(case, plan):
            continue
        ring = reading.state in ("lost", "gained")
        way = _way(reading)
        parts.append(_arrow(x(place[0]), y(place[1]), way, colour, _goal_text(reading), ring=ring))
    return parts


def _way(reading: GoalReading) -> str:
    upper = reading.goal.direction == "at_most"
    if reading.goal.metric.startswith("V"):
        return "down" if upper else "up"
    return "left" if upper else "right"


def _goal_text(reading: GoalReading) -> str:
    text = f"{reading.goal.structure}: {reading.goal.text}, {reading.state}"
    if reading.reference is None or reading.synthetic is None:
        return text
    return (
        f"{text}; reference {number(reading.reference)}, synthetic "
        f"{number(reading.synthetic)} {reading.unit}"
    )


def _arrow(x: float, y: float, way: str, colour: str, text: str, *, ring: bool) -> str:
    """Draw an arrowhead whose flat side is the bound."""
    shapes = {
        "down": f"M{x - 6:.1f} {y:.1f}h12l-6 9Z",
        "up": f"M{x - 6:.1f} {y:.1f}h12l-6 -9Z",
        "left": f"M{x:.1f} {y - 6:.1f}v12l-9 -6Z",
        "right": f"M{x:.1f} {y - 6:.1f}v12l9 -6Z",
    }
    around = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="12" fill="none" stroke="#a3290f" stroke-width="2"/>'
        if ring
        else ""
    )
    return (
        f'{around}<path d="{shapes[way]}" fill="{colour}" stroke="#ffffff" stroke-width="1">'
        f"<title>{escape(text)}</title></path>"
    )


def _changes(case: DoseCase, colours: dict[str, str], x: Place) -> list[str]:
    """Draw synthetic − reference of each organ's volume below the DVHs.

    The target is left out where there is an organ: a small shift of its steep curve is a large
    difference of volume, and would hide all others.
    """
    pairs = [pair for pair in case.dvhs if pair.region != "target"] or list(case.dvhs)
    lines = {
        pair.region: _difference(pair.reference, pair.synthetic)
        for pair in pairs
        if pair.reference and pair.synthetic
    }
    most = max((abs(v) for line in lines.values() for _, v in line), default=0.0)
    end = next(n for n in (_LEAST_CHANGE_PCT, 2, 5, 10, 20, 50, 100) if n >= most - 1e-9)
    top = _TOP + _TALL + _GAP
    y = scale((-end, end), (top + _STRIP, top))
    right = _WIDTH - _RIGHT
    parts = []
    for tick in (-end, 0.0, end):
        text = f"{tick:+g}".replace("-", "−") if tick else "0"
        parts.append(
            f'<path d="M{_LEFT - 4} {y(tick):.1f}H{right}" stroke="{FAINT if tick else MUTED}"/>'
            f'<text x="{_LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end" {_SMALL}>{text}</text>'
        )
    named = {pair.region: pair.name for pair in case.dvhs}
    for region in reversed(lines):
        said = f"{escape(named[region])}, synthetic − reference"
        parts.append(
            f'<path d="{_path(lines[region], x, y)}" fill="none" stroke="{colours[region]}" '
            f'stroke-width="1.5"><title>{said}</title></path>'
        )
    return parts


def _difference(one: Points, two: Points) -> Points:
    doses = sorted({dose for dose, _ in (*one, *two)})
    return tuple((dose, at_dose(two, dose) - at_dose(one, dose)) for dose in doses)


def _dvh_legend(case: DoseCase, colours: dict[str, str]) -> list[str]:
    left = _WIDTH - _RIGHT + 14
    parts, y = [], _TOP + 6.0
    for pair in case.dvhs:
        missing = [w for w, p in (("ref.", pair.reference), ("syn.", pair.synthetic)) if not p]
        note = f" (no {' and '.join(missing)})" if missing else ""
        parts.append(
            f'<path d="M{left} {y}h22" stroke="{colours[pair.region]}" stroke-width="3"/>'
            f'<text x="{left + 28}" y="{y + 4}" font-size="12" fill="{INK}">'
            f"{escape(short(pair.name, 18) + note)}</text>"
        )
        y += 18
    y += 8
    for dash, text in (("", "reference CT"), (' stroke-dasharray="6 4"', "synthetic image")):
        parts.append(
            f'<path d="M{left} {y}h22" stroke="{MUTED}" stroke-width="2"{dash}/>'
            f'<text x="{left + 28}" y="{y + 4}" {_SMALL}>{text}</text>'
        )
        y += 17
    if any(pair.low and pair.high for pair in case.dvhs):
        parts.append(
            f'<rect x="{left}" y="{y - 6}" width="22" height="12" fill="{MUTED}" '
            f'fill-opacity="0.3"/><text x="{left + 28}" y="{y + 4}" {_SMALL}>'
            f'{_envelope(case.samples)},</text><text x="{left + 28}" y="{y + 18}" {_SMALL}>'
            f"no confidence interval</text>"
        )
        y += 32
    parts.append(_arrow(left + 11, y - 3, "down", MUTED, "goal", ring=False))
    parts.append(f'<text x="{left + 28}" y="{y + 4}" {_SMALL}>goal: pass on this side</text>')
    return parts
