"""The cases whose doses are drawn, each site's lowest gamma first: their DVHs and histograms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from qa_suite.core.record_names import VOLUMES_FOLDER
from qa_suite.core.records import CaseRecord
from reports.facts.dose_goals import GoalReading, GoalSummary, Points
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


# -------------------------------------------------------------------------------------------------
# One case of a plan


MOST_SHOWN: Final = 4
"""Cases that a report draws, at most; the dashboard shows every one that was kept."""
MOST_CURVES: Final = 8
IMAGE_ROLES: Final = ("reference", "synthetic", "source", "mask")
_RANGE: Final = "range_error:"
_KINDS: Final = {
    "dvh_reference": "reference",
    "dvh_synthetic": "synthetic",
    "dvh_low": "low",
    "dvh_high": "high",
    "dose_difference_histogram": "difference",
}
Curves = Mapping[tuple[str, str, str], Points]
"""(case, region, kind) to points: ``reference``, ``synthetic``, ``low`` and ``high`` are DVHs."""


@dataclass(frozen=True, kw_only=True)
class DvhPair:
    """The DVHs of one structure on both images: % of volume by Gy; None where undefined.

    ``low`` and ``high`` are the envelope of the prediction's samples, where it gave any.
    """

    region: str
    name: str
    reference: Points | None
    synthetic: Points | None
    low: Points | None = None
    high: Points | None = None


@dataclass(frozen=True, kw_only=True)
class DoseCase:
    """One case of one plan: where its volumes lie, its DVHs and its goals.

    ``volumes`` holds ``reference``, ``synthetic``, ``mask`` and, where kept,
    ``dose_reference``, ``dose_synthetic``, ``gamma`` and ``target``; ``ranges`` maps beams.
    ``shown`` says whether the report draws it, ``lowest`` whether its gamma is its site's
    lowest. ``facts`` is the plan with the case's own prescription; ``limit_pct`` is common to
    all cases of a plan. ``samples`` is the number of them behind the bands of the DVHs.
    """

    facts: PlanFacts
    case: str
    site: str
    shown: bool
    lowest: bool
    gamma_pct: float | None
    why: str
    volumes: dict[str, Path]
    ranges: dict[str, Path]
    dvhs: tuple[DvhPair, ...]
    samples: int | None
    histograms: tuple[DifferenceHistogram, ...]
    goals: tuple[GoalReading, ...]
    limit_pct: float


def curve_points(curves: pd.DataFrame) -> dict[str, dict[tuple[str, str, str], Points]]:
    """Arrange the recorded curves of dose by plan, and in it by case, region and kind."""
    found: dict[str, dict[tuple[str, str, str], Points]] = defaultdict(dict)
    rows = curves[curves["curve"].isin(_KINDS)]
    keys = ["variant", "case", "region", "curve"]
    for (variant, case, region, curve), mine in rows.groupby(keys, sort=True):
        points = sorted(zip(mine["x"].tolist(), mine["y"].tolist(), strict=True))
        found[str(variant)][str(case), str(region), _KINDS[str(curve)]] = tuple(points)
    return dict(found)


def dose_cases(
    folder: Path,
    plan: PlanFacts,
    rows: Rows,
    points: Curves,
    goals: Sequence[GoalSummary],
    computed: Sequence[tuple[str, str]],
    cases: Sequence[CaseRecord],
    plan_of: Mapping[str, PlanFacts],
) -> tuple[DoseCase, ...]:
    """Arrange every case with doses, the lowest gamma first; those to draw are marked."""
    records = {record.case: record for record in cases}
    limit = difference_limit(rows, plan)
    made, sites = [], set()
    for case, site, gamma, why in _ranked(plan, rows, computed):
        volumes, ranges = volumes_of(folder, plan.key, records.get(case))
        lowest = site not in sites
        sites.add(site)
        kept = "dose_reference" in volumes
        made.append(
            DoseCase(
                facts=plan_of[case],
                case=case,
                site=site,
                shown=(lowest or kept),
                lowest=lowest,
                gamma_pct=gamma,
                why=why,
                volumes=volumes,
                ranges=ranges,
                dvhs=_dvhs(plan, points, case),
                samples=_samples(plan, rows, case),
                histograms=histograms_of(plan, rows, points, case),
                goals=tuple(r for goal in goals for r in goal.readings if r.case == case),
                limit_pct=limit,
            )
        )
    return _fewer(made)


def _ranked(
    plan: PlanFacts, rows: Rows, computed: Sequence[tuple[str, str]]
) -> list[tuple[str, str, float | None, str]]:
    variant = plan.mapped.variant if plan.mapped else ""
    found = [
        (case, site, *rows.value(case, "gamma_pass_rate", "body", variant))
        for case, site in computed
    ]
    return sorted(found, key=lambda row: (row[2] is None, row[2] or 0.0, row[0]))


def _fewer(cases: Sequence[DoseCase]) -> tuple[DoseCase, ...]:
    """Draw each site's lowest and the next lowest that were kept, not more than the page holds."""
    from dataclasses import replace

    first = [case.case for case in cases if case.shown and case.lowest]
    rest = [case.case for case in cases if case.shown and not case.lowest]
    drawn = set((first + rest)[: max(MOST_SHOWN, len(first))])
    return tuple(replace(case, shown=case.case in drawn) for case in cases)


def volumes_of(
    folder: Path, key: str, record: CaseRecord | None
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return the kept images of a case with the doses of one plan, and its maps of range errors."""
    volumes: dict[str, Path] = {}
    ranges: dict[str, Path] = {}
    for role, name in sorted({} if record is None else record.volumes.items()):
        path = Path(folder) / VOLUMES_FOLDER / name
        if role in IMAGE_ROLES:
            volumes[role] = path
        elif role.endswith(f"@{key}"):
            short = role.removesuffix(f"@{key}")
            if short.startswith(_RANGE):
                ranges[short.removeprefix(_RANGE)] = path
            else:
                volumes[short] = path
    return volumes, ranges


def _dvhs(plan: PlanFacts, points: Curves, case: str) -> tuple[DvhPair, ...]:
    """Return the target's DVHs, then those of organs with goals; of others where these lack."""
    images = ("reference", "synthetic")
    regions = sorted({r for name, r, kind in points if name == case and kind in images})
    organs = list(dict.fromkeys(f"structure:{goal.structure}" for goal in plan.goals))
    wanted = [region for region in ("target", *organs) if region in regions]
    if len(wanted) < 2:
        wanted += [region for region in regions if region not in wanted]
    return tuple(
        DvhPair(
            region=region,
            name=region.removeprefix("structure:"),
            reference=points.get((case, region, "reference")),
            synthetic=points.get((case, region, "synthetic")),
            low=points.get((case, region, "low")),
            high=points.get((case, region, "high")),
        )
        for region in wanted[:MOST_CURVES]
    )


def _samples(plan: PlanFacts, rows: Rows, case: str) -> int | None:
    found, _ = rows.value(case, "band_samples", "target", plan.key)
    return None if found is None else int(found)


def difference_limit(rows: Rows, plan: PlanFacts) -> float:
    """Return where the colours of the dose difference end, in % of the prescription.

    Half as much again as the largest recorded 95th percentile in the body, rounded up; all
    cases of a plan are drawn alike.
    """
    found = rows.of("dose_difference_95", "body", plan.key)
    known = found[found["status"] == "ok"]["value"]
    wanted = 1.5 * float(known.max()) if len(known) else 5.0
    return next((limit for limit in LIMITS_PCT if limit >= wanted), LIMITS_PCT[-1])
