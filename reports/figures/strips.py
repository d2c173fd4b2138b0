"""Distributions as SVG: a row a site, a dot a patient, the bounds of the profile as lines.

Each dot names its patient under the mouse. Patients of training sites are circles, patients
of other sites diamonds, so that colour is not the only sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from qa_suite.core.wording import stated
from reports.facts.patients import Distribution, PatientValue, SiteValues, censored_text
from reports.facts.wording import measure_title, unit_text
from reports.figures import marks
from reports.figures.marks import ABROAD, BOUND, HOME, INK, Place, short

_CENSORED_LABEL: Final = 104.0  # width of '12 of 24 censored'


def strip_plot(plot: Distribution) -> str:
    """Draw one measure: a row a site, a dot a patient, a box for the middle half.

    Circles are patients of sites that were trained on, diamonds of other sites; dashed lines
    are the bounds of the profile. A censored value is an arrow from its bound to where it may
    lie, and a site with one has no box.
    """
    width, right, row, top = 520.0, 14.0, 42.0, 44.0
    longest = max((len(short(site.site)) for site in plot.sites), default=0)
    left = max(64.0, 20.0 + 9.2 * longest)
    if any(censored_text(site.values) for site in plot.sites):
        left = max(left, _CENSORED_LABEL)
    lines = _bound_lines(plot)
    values = [v.known for site in plot.sites for v in site.values] + [v for v, _ in lines]
    title = measure_title(plot.metric, plot.region)
    height = top + row * len(plot.sites) + 34
    named = f"{title} by site, one dot a patient"
    if not values:
        said = dict.fromkeys(said for site in plot.sites for _, said in site.without)
        words = "; ".join(said) or "undefined: no patient was measured"
        return marks.drawing((width, height), named, "strip", [marks.text(8, 40, words)])
    span = marks.padded(values, 0.06)
    at = marks.scale(span, (left, width - right))
    bottom = top + row * len(plot.sites)
    parts = [marks.line(f"M{left:.1f} {bottom:g}H{width - right:g}")]
    parts += marks.x_axis(at, marks.nice_ticks(span), top, bottom)
    if unit_text(plot.unit):
        parts.append(marks.text(width - right, bottom + 31, unit_text(plot.unit), anchor="end"))
    for place, site in enumerate(plot.sites):
        parts += _site_row(site, at, top + row * (place + 0.5), plot.unit, left)
    for place, (value, label) in enumerate(lines):
        y = 10 + 11 * (place % 4)
        anchor, shift = ("end", -4) if at(value) > width / 2 else ("start", 4)
        parts.append(
            marks.line(f"M{at(value):.1f} {y - 9}V{bottom:g}", BOUND, 1.6, dash="5 3")
            + marks.text(at(value) + shift, y, label, 11, BOUND, anchor=anchor)
        )
    return marks.drawing((width, height), named, "strip", parts)


def _bound_lines(plot: Distribution) -> list[tuple[float, str]]:
    """Return where the profile's bounds lie on the axis of the measure, one label a line."""
    lines: dict[float, list[str]] = {}
    for c in plot.criteria:
        bound = c.bound if c.per_patient_bound is None else c.per_patient_bound
        each = c.per_patient_bound is not None or c.statistic in ("max", "min")
        word = "each patient" if each or c.scope == "worst_patient" else c.statistic
        for value in (-bound, bound) if c.direction == "within" else (bound,):
            lines.setdefault(value, []).append(word)
    return [
        (value, f"bound ({' and '.join(dict.fromkeys(words))}) {stated(value)}")
        for value, words in sorted(lines.items())
    ]


def _site_row(site: SiteValues, at: Place, y: float, unit: str, left: float) -> list[str]:
    ink = HOME if site.in_training else ABROAD
    parts = [
        marks.text(left - 10, y - 1, short(site.site), 13, INK, anchor="end", font_weight=600),
        marks.text(left - 10, y + 12, _counted(site), 10.5, anchor="end"),
    ]
    numbers = [value.known for value in site.values]
    if len(numbers) >= 4 and not any(value.censored for value in site.values):
        low, middle, high = (at(float(q)) for q in np.percentile(numbers, (25, 50, 75)))
        box = {"fill_opacity": 0.1, "stroke": ink, "stroke_opacity": 0.55}
        parts.append(marks.rect(low, y - 13, high - low, 26, ink, **box))
        parts.append(marks.line(f"M{middle:.1f} {y - 13:.1f}v26", ink, 2))
    for value, offset in zip(site.values, _offsets([at(v) for v in numbers]), strict=True):
        parts.append(_mark(at(value.known), y + offset, ink, site.in_training, value, unit))
    return parts


def _counted(site: SiteValues) -> str:
    censored = censored_text(site.values)
    return censored or f"n = {len(site.values)}"


def _mark(x: float, y: float, ink: str, circle: bool, value: PatientValue, unit: str) -> str:
    title = f"{value.cases}: {value.text(unit)}"
    if value.censored:
        way = 1 if value.bounds[0] is not None else -1  # towards what it may be
        arrow = f"v6M{x:.1f} {y:.1f}h{9 * way}m{-3 * way} -3l{3 * way} 3l{-3 * way} 3"
        return marks.line(f"M{x:.1f} {y - 3:.1f}{arrow}", ink, 1.4, title=title)
    look = {"fill_opacity": 0.8, "stroke": "#ffffff", "stroke_width": 0.8, "title": title}
    if circle:
        return marks.dot(x, y, 4, ink, **look)
    return marks.area(f"M{x:.1f} {y - 5.2:.1f}l5.2 5.2l-5.2 5.2l-5.2 -5.2Z", ink, **look)


def _offsets(positions: Sequence[float], near: float = 7.0) -> list[float]:
    """Spread dots that would lie on one another up and down, always in the same way."""
    steps = (0.0, -7.0, 7.0, -12.0, 12.0, -3.5, 3.5)
    placed: list[tuple[float, float]] = []
    for x in positions:
        free = (s for s in steps if all(abs(x - px) + abs(s - py) >= near for px, py in placed))
        placed.append((x, next(free, steps[len(placed) % len(steps)])))
    return [offset for _, offset in placed]
