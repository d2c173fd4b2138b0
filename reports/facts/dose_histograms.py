"""Histograms of the dose difference of a case, as the record holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reports.facts.dose_goals import Points
from reports.facts.dose_plan import PlanFacts
from reports.facts.dose_spread import Rows

REGIONS: Final = ("body", "target")
LIMITS_PCT: Final = (1.0, 2.0, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0)
"""Where the colours and the axes of a dose difference may end, in % of the prescription."""
_MOST_BEYOND_PCT: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class DifferenceHistogram:
    """How the dose difference of a region is spread: % of its voxels by % of the prescription.

    ``bars`` holds the middle of each bin, ``step_pct`` apart, and is empty where there is no
    histogram for the reason ``why``. ``mean_pct`` is the recorded mean of the same voxels.
    """

    region: str
    bars: Points
    step_pct: float
    mean_pct: float | None
    why: str


def histograms_of(
    plan: PlanFacts, rows: Rows, points: Mapping[tuple[str, str, str], Points], case: str
) -> tuple[DifferenceHistogram, ...]:
    """Return a case's histograms in body and target."""
    return tuple(_histogram(plan, rows, points, case, region) for region in REGIONS)


def _histogram(
    plan: PlanFacts,
    rows: Rows,
    points: Mapping[tuple[str, str, str], Points],
    case: str,
    region: str,
) -> DifferenceHistogram:
    bars = points.get((case, region, "difference"), ())
    mean, why = rows.value(case, "dose_difference_mean", region, plan.key)
    if not bars and (mean is not None or not why):
        why = "undefined: the record holds no histogram of the dose difference"
    return DifferenceHistogram(
        region=region,
        bars=bars,
        step_pct=bars[1][0] - bars[0][0] if len(bars) > 1 else 0.0,
        mean_pct=mean,
        why="" if bars else why,
    )


def axis_end(histograms: Sequence[DifferenceHistogram], limit_pct: float) -> float:
    """Return where the axes of a case's histograms end, in % of the prescription.

    Where the colours of the maps end, or so far out that hardly a voxel of any of them lies
    beyond.
    """
    for end in LIMITS_PCT:
        if end >= limit_pct and all(_beyond(h, end) <= _MOST_BEYOND_PCT for h in histograms):
            return end
    return max([LIMITS_PCT[-1], *(h.bars[-1][0] for h in histograms if h.bars)])


def _beyond(found: DifferenceHistogram, end: float) -> float:
    return sum(share for middle, share in found.bars if abs(middle) > end)
