"""The table of every figure: what it draws, as numbers.

A figure that stands in the row of a table has its numbers beside it; all others have a function
here, of what they draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Final

from qa_suite.core.records import AuditDistances, FollowPlot
from qa_suite.core.wording import number
from reports.facts.curves import CurveFigure
from reports.facts.dose_cases import DoseCase
from reports.facts.dose_goals import at_dose
from reports.facts.dose_tables import CauseValues
from reports.facts.patients import Distribution, SiteValues, censored_text
from reports.facts.wording import unit_text
from reports.figures import marks
from reports.figures.control_charts import ControlChart

MOST_ROWS: Final = 14
"""Of a table of a curve or histogram: neighbours are joined or left out beyond it."""


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """A table: names of the columns, and rows of texts as long."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def strip_numbers(plot: Distribution) -> Numbers:
    """Return each site's patients in summary."""
    unit = unit_text(plot.unit)
    of = f" ({unit})" if unit else ""
    return Numbers(
        columns=("Site", "Patients", f"Mean{of}", "SD", "Least", "Median", "Largest", "Without"),
        rows=tuple(_site_row(site) for site in plot.sites),
    )


def _site_row(site: SiteValues) -> tuple[str, ...]:
    values = [value.known for value in site.values]
    without = str(len(site.without))
    if not values:
        return (site.site, "0", "–", "–", "–", "–", "–", without)
    ends = (min(site.values, key=lambda v: v.low), max(site.values, key=lambda v: v.high))
    low, high = (one.text() for one in ends)
    if said := censored_text(site.values):
        return (site.site, str(len(values)), said, "–", low, "–", high, without)
    sd = number(stdev(values)) if len(values) > 1 else "–"
    middle = number(median(values))
    return (site.site, str(len(values)), number(fmean(values)), sd, low, middle, high, without)


def curve_numbers(figure: CurveFigure) -> Numbers:
    """Return the medians at a few places, or of a single patient each where there is none."""
    named = [(site, dict(points)) for site, points in figure.medians if points]
    if figure.oracle:
        named.append(("oracle", dict(figure.oracle)))
    if not named:
        named = [(one.cases, dict(one.points)) for one in figure.lines[:6]]
    places = _few(sorted({x for _, points in named for x in points}))
    unit = unit_text(figure.x_unit)
    head = f"{figure.facts.x} ({unit})" if unit else figure.facts.x
    return Numbers(
        columns=(head, *(name for name, _ in named)),
        rows=tuple(
            (number(x), *(number(p[x]) if x in p else "–" for _, p in named)) for x in places
        ),
    )


def dvh_numbers(case: DoseCase) -> Numbers:
    """Return the volume of every structure at or above a few doses, on both images."""
    ends = [p[-1][0] for pair in case.dvhs for p in (pair.reference, pair.synthetic) if p]
    doses = [d for d in marks.nice_ticks((0.0, max(ends, default=1.0)), 8) if d > 0]
    rows = []
    for pair in case.dvhs:
        for word, points in (("reference", pair.reference), ("synthetic", pair.synthetic)):
            volumes = (f"{at_dose(points, dose):.1f}" if points else "–" for dose in doses)
            rows.append((f"{pair.name}, {word}", *volumes))
    return Numbers(
        columns=("Volume (%) at or above", *(f"{dose:g} Gy" for dose in doses)), rows=tuple(rows)
    )


def cause_numbers(causes: Sequence[CauseValues]) -> Numbers:
    """Return the mean and range of each cause over the cases."""
    rows = []
    for cause in causes:
        values = [value for _, _, value in cause.values]
        told = [number(one) for one in (fmean(values), min(values), max(values))] if values else []
        rows.append((cause.name, str(len(values)), *(told or ("–", "–", "–"))))
    return Numbers(columns=("Cause", "Cases", "Mean (%)", "Least", "Largest"), rows=tuple(rows))


def histogram_numbers(
    bars: Sequence[tuple[float, float]], *, step: float, end: float, unit: str, what: str
) -> Numbers:
    """Return the shares of a histogram, neighbouring bins joined where there are many.

    Parameters
    ----------
    bars
        Middle of each bin and its share in %, ascending.
    step
        Width of a bin.
    end
        Of the axis; what lies beyond is one row at either side.
    unit, what
        Of the errors, and what is counted.
    """
    shown = [bar for bar in bars if abs(bar[0]) < end]
    there = [n for n, (_, share) in enumerate(shown) if share > 0]
    held = shown[there[0] : there[-1] + 1] if there else shown[:1]
    together = -(-len(held) // MOST_ROWS)
    rows = []
    for first in range(0, len(held), together):
        joined = held[first : first + together]
        low, high = joined[0][0] - step / 2, joined[-1][0] + step / 2
        share = sum(share for _, share in joined)
        rows.append((_signed(low), _signed(high), f"{share:.2f}"))
    below, above = (sum(s for middle, s in bars if sign * middle > end) for sign in (-1, 1))
    if below:
        rows.insert(0, ("beyond", _signed(-end), f"{below:.2f}"))
    if above:
        rows.append((_signed(end), "beyond", f"{above:.2f}"))
    return Numbers(columns=(f"From ({unit})", "to", f"{what} (%)"), rows=tuple(rows))


def _signed(value: float) -> str:
    rounded = float(f"{value:.4g}")
    return marks.tick_text(rounded, "+")


def control_numbers(chart: ControlChart) -> Numbers:
    """Return the values of a control chart, the latest first, and where a rule was broken."""
    broken = {place for place, _ in chart.signals}
    numbered = list(enumerate(chart.points, start=1))[::-1]
    unit = unit_text(chart.unit)
    return Numbers(
        columns=("Check-up", f"Value ({unit})" if unit else "Value", "Broken"),
        rows=tuple(
            (str(n), "no value" if value is None else f"{value:.4g}", "a rule" * (n in broken))
            for n, value in numbered
        ),
    )


def distance_numbers(found: AuditDistances) -> Numbers:
    """Return how far each hospital's source images lie from the training's."""
    rows = [_distances("compared with", found.usual, "")] if found.usual else []
    for site in sorted({one.site for one in found.patients}):
        mine = [one for one in found.patients if one.site == site]
        unlike = sum(bool(one.unlike) for one in mine)
        rows.append(_distances(site, [one.distance for one in mine], str(unlike)))
    return Numbers(
        columns=("Hospital", "Patients", "Least (SD)", "Median", "Largest", "Unlike"),
        rows=tuple(rows),
    )


def _distances(name: str, values: Sequence[float], unlike: str) -> tuple[str, ...]:
    told = (f"{one:.2f}" for one in (min(values), median(values), max(values)))
    return (name, str(len(values)), *told, unlike)


def follow_numbers(found: FollowPlot) -> Numbers:
    """Return each hospital's mean distance and mean value."""
    rows = []
    for site in sorted({site for site, _, _ in found.points}):
        mine = [(far, value) for name, far, value in found.points if name == site]
        means = (number(fmean(one)) for one in zip(*mine, strict=True))
        rows.append((site, str(len(mine)), *means))
    unit = unit_text(found.unit)
    return Numbers(
        columns=(
            "Hospital",
            "Patients",
            "Mean distance (SD)",
            f"Mean ({unit})" if unit else "Mean",
        ),
        rows=tuple(rows),
    )


def _few(places: Sequence[float]) -> list[float]:
    """Return every n-th place and the last."""
    step = max(1, -(-len(places) // (MOST_ROWS - 1)))
    return [*places[:-1:step], places[-1]] if places else []
