"""Clinical goals as the record tells them: their values on both images, and which of them flip.

What is prescribed to a target is a goal like those of the organs, and stands first. A bound on a
dose (``D2 ≤ 52 Gy``) is read in the measurements, one on a volume
(``V50Gy ≤ 50 %``) on the recorded DVH. What the record does not hold stays undecided here; the
examiner's own counts of flips stand beside it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from reports.facts.dose_plan import GoalFacts, PlanFacts
from reports.facts.dose_spread import NOT_RECORDED, Rows
from reports.facts.wording import UNSAID

Met = Literal["met", "missed"]
Points = tuple[tuple[float, float], ...]
TARGET: Final = "target"
_DOSES: Final = {
    "d98": "D98",
    "d95": "D95",
    "d50": "D50",
    "d2": "D2",
    "dmean": "Dmean",
    "dmax": "Dmax",
}
_VOLUME: Final = re.compile(r"V(\d+(?:\.\d+)?)(Gy|%)")
_DOSE: Final = re.compile(r"D(\d+(?:\.\d+)?)")


@dataclass(frozen=True, kw_only=True)
class GoalReading:
    """One goal of one case: its value on both images in ``unit``, or what is said in its place.

    ``bound`` is in ``unit`` too.
    ``censored`` says that only a bound of one of the values is known.
    """

    goal: GoalFacts
    case: str
    site: str
    unit: str
    reference: float | None
    synthetic: float | None
    bound: float
    on_reference: Met | None
    on_synthetic: Met | None
    why: str
    censored: bool = False

    @property
    def state(self) -> str:
        """``met``, ``missed`` (on both images), ``lost``, ``gained`` or ``undecided``."""
        if self.on_reference is None or self.on_synthetic is None:
            return "undecided"
        if self.on_reference == self.on_synthetic:
            return self.on_reference
        return "lost" if self.on_reference == "met" else "gained"


@dataclass(frozen=True, kw_only=True)
class GoalSummary:
    """One goal over the cases; ``differences`` are synthetic − reference of those known."""

    goal: GoalFacts
    readings: tuple[GoalReading, ...]

    def named(self, state: str) -> tuple[str, ...]:
        """Return the cases in a state."""
        return tuple(r.case for r in self.readings if r.state == state)

    def values(self, side: Literal["reference", "synthetic", "difference"]) -> tuple[float, ...]:
        """Return the known values of one image, or their differences; none beside a censored one.

        What is shown of them is their mean, which would contain it.
        """
        if any(r.censored for r in self.readings):
            return ()
        known = [
            (r.reference, r.synthetic)
            for r in self.readings
            if r.reference is not None and r.synthetic is not None
        ]
        pick = {"reference": lambda a, _: a, "synthetic": lambda _, b: b}
        return tuple(pick.get(side, lambda a, b: b - a)(a, b) for a, b in known)

    @property
    def why(self) -> str:
        """What is said of the first case that is undecided."""
        return next((r.why for r in self.readings if r.state == "undecided"), "")

    @property
    def no_mean(self) -> str:
        """Say why there is no mean."""
        censored = sum(r.censored for r in self.readings)
        if censored:
            return f"no mean: {censored} of {len(self.readings)} censored"
        return self.why or UNSAID


def goal_summaries(
    plan: PlanFacts,
    rows: Rows,
    curves: Mapping[tuple[str, str, str], Points],
    cases: Sequence[tuple[str, str]],
    plan_of: Mapping[str, PlanFacts],
) -> tuple[GoalSummary, ...]:
    """Read every goal of a plan in every case, those of the targets first.

    Parameters
    ----------
    plan
        Names the goals.
    rows
        The dose rows.
    curves
        (case, region, ``reference`` or ``synthetic``) to the DVH: % of volume by Gy.
    cases
        (case, site) with this plan's doses.
    plan_of
        Case to the plan with its own prescription.
    """
    found = []
    for goal in (*_coverage_goals(plan, rows), *plan.goals):
        mine = cases
        if goal.prescribed and goal.region != TARGET:  # each case has its own further targets
            has = set(rows.of("prescribed_dose", goal.region, plan.key)["case"])
            mine = [(case, site) for case, site in cases if case in has]
        readings = tuple(
            _read(goal, plan_of[case], rows, curves, case, site) for case, site in mine
        )
        if readings:
            found.append(GoalSummary(goal=goal, readings=readings))
    return tuple(found)


def _coverage_goals(plan: PlanFacts, rows: Rows) -> list[GoalFacts]:
    """Return what is prescribed to the target, and to each further target of the clinic's plans."""
    further = [
        plan.coverage(name, f"structure:{name}")
        for name in rows.regions("structure:")
        if len(rows.of("prescribed_dose", f"structure:{name}", plan.key))
    ]
    return [plan.coverage("Target", TARGET), *further]


def _read(
    goal: GoalFacts,
    plan: PlanFacts,
    rows: Rows,
    curves: Mapping[tuple[str, str, str], Points],
    case: str,
    site: str,
) -> GoalReading:
    region = goal.region
    if goal.prescribed:
        dose_gy, _ = rows.value(case, "prescribed_dose", region, plan.key)
        plan = plan if dose_gy is None else replace(plan, prescription_gy=dose_gy)
    bound, unit = _bound(goal, plan)
    values, why = [], ""
    for side in ("reference", "synthetic"):
        value, reason = _value(goal, plan, rows, curves, (case, region, side))
        values.append(value)
        why = why or reason
    return GoalReading(
        goal=goal,
        case=case,
        site=site,
        unit=unit,
        reference=values[0],
        synthetic=values[1],
        bound=bound,
        on_reference=_met(values[0], bound, goal.direction),
        on_synthetic=_met(values[1], bound, goal.direction),
        why=why,
        censored=any(rows.is_censored(case, name, region, plan.key) for name in _metrics(goal)),
    )


def _metrics(goal: GoalFacts) -> tuple[str, ...]:
    """Return the metrics of both images that a goal is read in; none for one of a volume."""
    found = next((name for name, title in _DOSES.items() if title == goal.metric), None)
    return () if found is None else (f"{found}_reference", f"{found}_synthetic")


def _bound(goal: GoalFacts, plan: PlanFacts) -> tuple[float, str]:
    if goal.unit.startswith("% of"):
        return goal.bound * plan.prescription_gy / 100, "Gy"
    return goal.bound, goal.unit


def _value(
    goal: GoalFacts,
    plan: PlanFacts,
    rows: Rows,
    curves: Mapping[tuple[str, str, str], Points],
    key: tuple[str, str, str],
) -> tuple[float | None, str]:
    case, region, side = key
    if goal.prescribed:
        share, why = rows.value(case, f"coverage_dose_{side}", region, plan.key)
        if share is not None:
            return share * plan.prescription_gy / 100, ""
        if why != NOT_RECORDED:
            return None, why
    metric = next((name for name, title in _DOSES.items() if title == goal.metric), None)
    if metric is not None:
        value, why = rows.value(case, f"{metric}_{side}", region, plan.key)
        return value, _absent(goal, rows, case, plan) or why if value is None else ""
    dose = volume_dose_gy(goal, plan)
    if dose is None:
        return None, f"undefined: the record holds no {goal.metric}"
    if key not in curves:
        why = (
            _absent(goal, rows, case, plan) or rows.value(case, "d2_reference", region, plan.key)[1]
        )
        return None, why
    return at_dose(curves[key], dose), ""


def _absent(goal: GoalFacts, rows: Rows, case: str, plan: PlanFacts) -> str:
    """Say that a case has no such structure; empty where its doses were asked for."""
    region = goal.region
    if len(rows.of("d2_reference", region, plan.key)) == 0:
        return "" if goal.prescribed else f"undefined: no case has a structure {goal.structure}"
    present = case in set(rows.of("d2_reference", region, plan.key)["case"])
    return "" if present else f"undefined: the case has no structure {goal.structure}"


def volume_dose_gy(goal: GoalFacts, plan: PlanFacts) -> float | None:
    """Return the dose of a goal about a share of the volume; None for any other goal."""
    found = _VOLUME.fullmatch(goal.metric)
    if found is None or goal.unit != "%":
        return None
    dose = float(found[1])
    return dose if found[2] == "Gy" else dose * plan.prescription_gy / 100


def at_dose(points: Points, dose_gy: float) -> float:
    """Read a DVH: the % of the volume at or above a dose, linear between its points."""
    from bisect import bisect_left

    doses = [x for x, _ in points]
    place = bisect_left(doses, dose_gy - 1e-9)
    if place == len(points):
        return 0.0
    x, y = points[place]
    if place == 0 or math.isclose(x, dose_gy, abs_tol=1e-6):
        return y
    before = points[place - 1]
    share = (dose_gy - before[0]) / (x - before[0])
    return before[1] + share * (y - before[1])


def _met(value: float | None, bound: float, direction: str) -> Met | None:
    """Say whether a bound is met; rounding in the last digits decides nothing."""
    if value is None:
        return None
    if math.isclose(value, bound, rel_tol=1e-6, abs_tol=1e-6):
        return "met"
    return "met" if (value > bound) == (direction == "at_least") else "missed"


def goal_mark(reading: GoalReading, plan: PlanFacts) -> tuple[float, float] | None:
    """Return where a goal stands on a DVH (Gy, % of volume); None where it has no such place."""
    dose = volume_dose_gy(reading.goal, plan)
    if dose is not None:
        return dose, reading.bound
    found = _DOSE.fullmatch(reading.goal.metric)
    return None if found is None else (reading.bound, float(found[1]))
