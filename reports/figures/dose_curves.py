"""DVH pairs, and the causes of a dose difference, as SVG.

The reference is solid, the synthetic image dashed, the envelope of the prediction's samples
shaded; below, the difference of the two images on the same doses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qa_suite.core.wording import count, number
from reports.facts.dose_cases import DoseCase, DvhPair
from reports.facts.dose_goals import GoalReading, Points, at_dose, goal_mark
from reports.facts.dose_plan import PlanFacts
from reports.facts.dose_tables import CauseValues
from reports.figures import marks
from reports.figures.marks import BOUND, FLAGGED, INK, MUTED, Place, short
from reports.figures.signs import sign_of

COLOURS: Final = (INK, "#d55e00", "#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#e69f00", "#7f5539")
"""Of the structures, target first; told apart by people who see red and green alike."""
_SIGN_AT: Final = (0.18, 0.4, 0.62, 0.84)
"""Of the falling part of a curve: where the signs of its structure stand."""
_WIDTH: Final = 760.0
_LEFT: Final = 58.0
_RIGHT: Final = 186.0
_TOP: Final = 26.0
_TALL: Final = 268.0
_GAP: Final = 24.0
_STRIP: Final = 86.0
_BOTTOM: Final = 44.0
_LEAST_CHANGE_PCT: Final = 1.0
_SYNTHETIC_DASH: Final = "6 4"


def dvh_plot(case: DoseCase) -> str:
    """Draw the DVHs of one case on both images, its goals as arrows, and their difference."""
    plan, size = case.facts, (_WIDTH, _TOP + _TALL + _GAP + _STRIP + _BOTTOM)
    title = f"DVH of {case.case}, {plan.key}: reference solid, synthetic dashed"
    if not case.dvhs:
        words = "undefined: the record holds no DVH of this case"
        return marks.drawing(size, title, "dvh", [marks.text(8, 40, words)])
    colours = {pair.region: COLOURS[n % len(COLOURS)] for n, pair in enumerate(case.dvhs)}
    signs = {pair.region: n for n, pair in enumerate(case.dvhs)}
    x = marks.scale((0.0, _last_dose(case, plan)), (_LEFT, _WIDTH - _RIGHT))
    y = marks.scale((0.0, 100.0), (_TOP + _TALL, _TOP))
    parts = _dvh_axes(case, plan, x, y)
    for pair in reversed(case.dvhs):  # bands lie below every line
        parts += _band(pair, colours[pair.region], case.samples, x, y)
    for pair in reversed(case.dvhs):  # the target is drawn last, on top
        parts += _pair(pair, colours[pair.region], x, y)
        parts += _signs(pair.reference or (), signs[pair.region], colours[pair.region], x, y)
    parts += _goal_marks(case, plan, colours, x, y)
    parts += _changes(case, colours, x)
    parts += _dvh_legend(case, colours)
    return marks.drawing(size, title, "dvh", parts)


def _last_dose(case: DoseCase, plan: PlanFacts) -> float:
    ends = [
        points[-1][0]
        for pair in case.dvhs
        for points in (pair.reference, pair.synthetic, pair.high)
        if points
    ]
    return max([1.06 * plan.prescription_gy, *ends])


def _band(pair: DvhPair, colour: str, samples: int | None, x: Place, y: Place) -> list[str]:
    """Shade from the least to the largest volume over the samples."""
    if not pair.low or not pair.high:
        return []
    around = marks.through((*pair.low, *reversed(pair.high)), x, y) + "Z"
    title = f"{pair.name}, {_envelope(samples)}"
    look = {"d": around, "fill": colour, "fill_opacity": 0.2}
    return [marks.element("path", class_="band", title=title, **look)]


def _envelope(samples: int | None) -> str:
    return (
        "envelope of the samples" if samples is None else f"envelope of {count(samples, 'sample')}"
    )


def _pair(pair: DvhPair, colour: str, x: Place, y: Place) -> list[str]:
    wide = 2.4 if pair.region == "target" else 1.8
    sides = ((pair.reference, "reference", ""), (pair.synthetic, "synthetic", _SYNTHETIC_DASH))
    return [
        marks.line(
            marks.through(points, x, y), colour, wide, dash=dash, title=f"{pair.name}, {word}"
        )
        for points, word, dash in sides
        if points
    ]


def _signs(points: Points, place: int, colour: str, x: Place, y: Place) -> list[str]:
    """Put a structure's sign on its curve a few times, where it falls; nothing for the target."""
    falling = [one for one in points if 1.0 < one[1] < 99.0] or list(points)
    chosen = {falling[int(share * (len(falling) - 1))] for share in _SIGN_AT} if falling else ()
    return [sign_of(place, x(dose), y(volume), colour) for dose, volume in sorted(chosen)]


def _dvh_axes(case: DoseCase, plan: PlanFacts, x: Place, y: Place) -> list[str]:
    bottom, right = _TOP + _TALL, _WIDTH - _RIGHT
    below, low = bottom + _GAP, bottom + _GAP + _STRIP
    ticks = marks.nice_ticks((0.0, _last_dose(case, plan)), 9)
    asked = x(plan.prescription_gy)
    words = f"prescribed {plan.prescription_gy:g} Gy"
    return [
        *marks.y_axis(y, marks.nice_ticks((0.0, 100.0), 5), _LEFT, right),
        *marks.x_axis(x, ticks, _TOP, bottom, labelled=False),
        *marks.x_axis(x, ticks, below, low),
        marks.line(f"M{_LEFT:g} {_TOP:g}V{bottom:g}H{right:g}"),
        marks.line(f"M{asked:.1f} {_TOP - 6:g}V{bottom:g}", BOUND, dash="2 3"),
        marks.text(asked, _TOP - 11, words, 11, BOUND, anchor="middle"),
        marks.text(right, low + 35, "dose of the course (Gy)", 12.5, INK, anchor="end"),
        marks.upright("volume at or above (%)", _TOP + _TALL / 2),
        marks.upright("Δ organs (%)", below + _STRIP / 2),
    ]


def _goal_marks(
    case: DoseCase, plan: PlanFacts, colours: dict[str, str], x: Place, y: Place
) -> list[str]:
    """Draw goals as arrows that point to where the curve must pass; flipped ones are ringed."""
    parts = []
    for reading in case.goals:
        place = goal_mark(reading, plan)
        colour = colours.get(reading.goal.region)
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
    around = marks.dot(x, y, 12, None, stroke=FLAGGED, stroke_width=2) if ring else ""
    look = {"stroke": "#ffffff", "stroke_width": 1, "title": text}
    return around + marks.area(shapes[way], colour, **look)


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
    y = marks.scale((-end, end), (top + _STRIP, top))
    parts = marks.y_axis(y, (-end, 0.0, end), _LEFT, _WIDTH - _RIGHT, sign="+")
    named = {pair.region: pair.name for pair in case.dvhs}
    places = {pair.region: n for n, pair in enumerate(case.dvhs)}
    for region in reversed(lines):
        path, title = marks.through(lines[region], x, y), f"{named[region]}, synthetic − reference"
        parts.append(marks.line(path, colours[region], 1.5, title=title))
        far = sorted(lines[region], key=lambda one: (-abs(one[1]), one[0]))[:1]
        parts += [sign_of(places[region], x(a), y(b), colours[region], 3.2) for a, b in far]
    return parts


def _difference(one: Points, two: Points) -> Points:
    doses = sorted({dose for dose, _ in (*one, *two)})
    return tuple((dose, at_dose(two, dose) - at_dose(one, dose)) for dose in doses)


def _dvh_legend(case: DoseCase, colours: dict[str, str]) -> list[str]:
    left = _WIDTH - _RIGHT + 14
    parts, y = [], _TOP + 6.0

    def stroke(colour: str, width: float, dash: str = "") -> str:
        return marks.line(f"M{left:g} {y:g}h22", colour, width, dash=dash)

    for place, pair in enumerate(case.dvhs):
        missing = [w for w, p in (("ref.", pair.reference), ("syn.", pair.synthetic)) if not p]
        note = f" (no {' and '.join(missing)})" if missing else ""
        words = short(pair.name, 18) + note
        sample = stroke(colours[pair.region], 3)
        sample += sign_of(place, left + 11, y, colours[pair.region])
        parts.append(marks.key(left, y, sample, words, size=12, fill=INK))
        y += 18
    y += 8
    for dash, words in (("", "reference CT"), (_SYNTHETIC_DASH, "synthetic image")):
        parts.append(marks.key(left, y, stroke(MUTED, 2, dash), words))
        y += 17
    if any(pair.low and pair.high for pair in case.dvhs):
        sample = marks.rect(left, y - 6, 22, 12, MUTED, fill_opacity=0.3)
        parts.append(marks.key(left, y, sample, f"{_envelope(case.samples)},"))
        parts.append(marks.text(left + 28, y + 18, "no confidence interval"))
        y += 32
    arrow = _arrow(left + 11, y - 3, "down", MUTED, "goal", ring=False)
    return [*parts, marks.key(left, y, arrow, "goal: pass on this side")]


# ---------------------------------------------------------------------------------------
# What made the difference


def cause_bars(causes: Sequence[CauseValues]) -> str:
    """Draw what each kind of tissue does to the target's mean dose: a bar a mean, a dot a case."""
    width, left, right, row, top = 520.0, 112.0, 16.0, 28.0, 8.0
    bottom = top + row * len(causes)
    span = marks.padded([0.0, *(v for cause in causes for _, _, v in cause.values)], 0.1)
    x = marks.scale(span, (left, width - right))
    parts = marks.x_axis(x, marks.nice_ticks(span, 6), top, bottom)
    for place, cause in enumerate(causes):
        parts += _cause_row(
            cause, top + row * (place + 0.5), left, x, last=place + 1 == len(causes)
        )
    parts.append(marks.line(f"M{x(0):.1f} {top:g}V{bottom:g}"))
    name = "synthetic − reference, target Dmean (% of prescription)"
    parts.append(marks.text(width - right, bottom + 34, name, 12, INK, anchor="end"))
    title = "Difference of the target's mean dose by cause, in % of the prescription"
    return marks.drawing((width, bottom + 40), title, "strip", parts)


def _cause_row(cause: CauseValues, y: float, left: float, x: Place, *, last: bool) -> list[str]:
    weight, fill = (650, INK) if last else (400, "#56b4e9")
    name = marks.text(left - 10, y + 4, cause.name, 12.5, INK, anchor="end", font_weight=weight)
    if not cause.values:
        return [name, marks.text(left + 6, y + 4, cause.why)]
    mean = sum(value for _, _, value in cause.values) / len(cause.values)
    start, end = sorted((x(0), x(mean)))
    bar = marks.rect(
        start,
        y - 8,
        max(end - start, 0.8),
        16,
        fill,
        fill_opacity=0.55,
        title=f"mean {number(mean)} %",
    )
    look = {"stroke": INK, "stroke_width": 1.3}
    dots = [
        marks.dot(x(value), y, 3.4, "#ffffff", title=f"{case}: {number(value)} %", **look)
        for case, _, value in cause.values
    ]
    return [name, bar, *dots]
