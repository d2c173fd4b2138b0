"""Distributions as SVG: a row a site, a dot a patient, the bounds of the profile as lines.

Each dot names its patient under the mouse. Patients of training sites are circles, patients
of other sites diamonds, so that colour is not the only sign.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from markupsafe import escape

from qa_suite.core.wording import stated
from reports.facts.distributions import Distribution, SiteValues
from reports.facts.patients import PatientValue, censored_text
from reports.facts.wording import measure_title, unit_text
from reports.figures.intervals import BOUND, FAINT, INK, MUTED, Range, open_svg, padded

HOME: Final = "#1f5f99"
ABROAD: Final = "#b4520a"
_CENSORED_LABEL: Final = 104.0  # width of '12 of 24 censored'

Place = Callable[[float], float]


def strip_plot(plot: Distribution) -> str:
    """Draw one measure: a row a site, a dot a patient, a box for the middle half.

    Circles are patients of sites that were trained on, diamonds of other sites; dashed lines
    are the bounds of the profile. A censored value is an arrow from its bound to where it may
    lie, and a site with one has no box.
    """
    width, right, row, top = 520.0, 14.0, 42.0, 44.0
    longest = max((len(short(site.site)) for site in plot.sites), default=0)
    left = max(64.0, 18.0 + 8.2 * longest)
    if any(censored_text(site.values) for site in plot.sites):
        left = max(left, _CENSORED_LABEL)
    lines = _bound_lines(plot)
    values = [v.known for site in plot.sites for v in site.values] + [v for v, _ in lines]
    title = measure_title(plot.metric, plot.region)
    height = top + row * len(plot.sites) + 34
    parts = [open_svg(width, height, f"{title} by site, one dot a patient", "strip")]
    if not values:
        said = dict.fromkeys(said for site in plot.sites for _, said in site.without)
        text = "; ".join(said) or "undefined: no patient was measured"
        return "".join([*parts, f'<text x="8" y="40">{escape(text)}</text></svg>'])
    span = padded(values, 0.06)

    def at(value: float) -> float:
        return left + (width - left - right) * (value - span[0]) / (span[1] - span[0])

    bottom = top + row * len(plot.sites)
    parts += _axis(span, at, bottom, (left, width - right), top, plot.unit)
    for place, site in enumerate(plot.sites):
        parts += _site_row(site, at, top + row * (place + 0.5), plot.unit, left)
    for place, (value, label) in enumerate(lines):
        y = 10 + 11 * (place % 4)
        anchor = "end" if at(value) > width / 2 else "start"
        shift = -4 if anchor == "end" else 4
        parts.append(
            f'<path d="M{at(value):.1f} {y - 9}V{bottom}" stroke="{BOUND}" stroke-width="1.6" '
            f'stroke-dasharray="5 3"/><text x="{at(value) + shift:.1f}" y="{y}" font-size="11" '
            f'text-anchor="{anchor}" fill="{BOUND}">{escape(label)}</text>'
        )
    return "".join([*parts, "</svg>"])


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


def _axis(span: Range, at: Place, bottom: float, ends: Range, top: float, unit: str) -> list[str]:
    left, right = ends
    parts = [f'<path d="M{left:.1f} {bottom}H{right}" stroke="{MUTED}"/>']
    for tick in nice_ticks(span):
        x = at(tick)
        text = f"{tick:g}".replace("-", "−")
        parts.append(
            f'<path d="M{x:.1f} {top}V{bottom + 4}" stroke="{FAINT}"/>'
            f'<text x="{x:.1f}" y="{bottom + 17}" font-size="11.5" text-anchor="middle" '
            f'fill="{MUTED}">{text}</text>'
        )
    if unit_text(unit):
        parts.append(
            f'<text x="{right}" y="{bottom + 31}" font-size="11.5" text-anchor="end" '
            f'fill="{MUTED}">{escape(unit_text(unit))}</text>'
        )
    return parts


def nice_ticks(span: Range, most: int = 7) -> list[float]:
    """Return round numbers inside a range, at most ``most`` of them."""
    raw = (span[1] - span[0]) / most
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
    first = int(np.ceil(span[0] / step))
    last = int(np.floor(span[1] / step))
    return [float(f"{n * step:.10g}") for n in range(first, last + 1)]


def _site_row(site: SiteValues, at: Place, y: float, unit: str, left: float) -> list[str]:
    ink = HOME if site.in_training else ABROAD
    parts = [
        f'<text x="{left - 10}" y="{y - 1:.1f}" font-size="13" font-weight="600" '
        f'text-anchor="end" fill="{INK}">{escape(short(site.site))}</text>'
        f'<text x="{left - 10}" y="{y + 12:.1f}" font-size="10.5" text-anchor="end" '
        f'fill="{MUTED}">{_counted(site)}</text>'
    ]
    numbers = [value.known for value in site.values]
    if len(numbers) >= 4 and not any(value.censored for value in site.values):
        low, middle, high = (at(float(q)) for q in np.percentile(numbers, (25, 50, 75)))
        parts.append(
            f'<rect x="{low:.1f}" y="{y - 13:.1f}" width="{high - low:.1f}" height="26" '
            f'fill="{ink}" fill-opacity="0.10" stroke="{ink}" stroke-opacity="0.55"/>'
            f'<path d="M{middle:.1f} {y - 13:.1f}v26" stroke="{ink}" stroke-width="2"/>'
        )
    for value, offset in zip(site.values, _offsets([at(v) for v in numbers]), strict=True):
        parts.append(_mark(at(value.known), y + offset, ink, site.in_training, value, unit))
    return parts


def _counted(site: SiteValues) -> str:
    censored = censored_text(site.values)
    return censored or f"n = {len(site.values)}"


def _mark(x: float, y: float, ink: str, circle: bool, value: PatientValue, unit: str) -> str:
    title = f"<title>{escape(value.cases)}: {escape(value.text(unit))}</title>"
    if value.censored:
        way = 1 if value.bounds[0] is not None else -1  # towards what it may be
        return (
            f'<path d="M{x:.1f} {y - 3:.1f}v6M{x:.1f} {y:.1f}h{9 * way}m{-3 * way} -3l{3 * way} 3'
            f'l{-3 * way} 3" fill="none" stroke="{ink}" stroke-width="1.4">{title}</path>'
        )
    look = f'fill="{ink}" fill-opacity="0.8" stroke="#ffffff" stroke-width="0.8"'
    if circle:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" {look}>{title}</circle>'
    return f'<path d="M{x:.1f} {y - 5.2:.1f}l5.2 5.2l-5.2 5.2l-5.2 -5.2Z" {look}>{title}</path>'


def _offsets(positions: Sequence[float], near: float = 7.0) -> list[float]:
    """Spread dots that would lie on one another up and down, always in the same way."""
    steps = (0.0, -7.0, 7.0, -12.0, 12.0, -3.5, 3.5)
    placed: list[tuple[float, float]] = []
    for x in positions:
        free = (s for s in steps if all(abs(x - px) + abs(s - py) >= near for px, py in placed))
        placed.append((x, next(free, steps[len(placed) % len(steps)])))
    return [offset for _, offset in placed]


def short(text: str, most: int = 20) -> str:
    """Cut a long name."""
    return text if len(text) <= most else text[: most - 1] + "…"
