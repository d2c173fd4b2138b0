"""The doses of a record as data: one plan on both images, taken from the rows, nothing computed.

Everything is synthetic − reference. Means are over patients, as everywhere in the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pandas as pd

from qa_suite.core.records import CaseRecord, Criterion, Evaluation, Finding
from qa_suite.core.wording import by_machine, count, far_from_prescription, number, some
from reports.facts.dose_cases import Curves, DoseCase, curve_points, dose_cases
from reports.facts.dose_goals import TARGET, GoalSummary, goal_summaries
from reports.facts.dose_plan import PlanFacts, plans_of
from reports.facts.dose_spread import Problem, Rows, problems, spread
from reports.facts.dose_tables import (
    Aside,
    BeamRange,
    CauseValues,
    GammaSummary,
    MetricSummary,
    PatientRow,
    asides,
    beam_ranges,
    cause_values,
    differently_judged,
    gamma_summaries,
    metric_summaries,
    patient_rows,
)
from reports.facts.measures import FamilyTable, family_tables

FAMILY: Final = "dose"
MOST_ROWS: Final = 8
"""Up to so many cases each stands in a row of its own; of more there is the summary."""
_SEEN_PCT: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class DosePlan:
    """Everything that the report says of one plan.

    ``cases`` holds (case, site) whose dose was computed, ``failed`` (case, site, why).
    ``patients`` is empty where there are too many. ``lost`` and ``gained`` count
    the goals that flip, of all cases. ``limit_pct`` is that of the difference pictures.
    """

    facts: PlanFacts
    cases: tuple[tuple[str, str], ...]
    failed: tuple[tuple[str, str, str], ...]
    patients: tuple[PatientRow, ...]
    metrics: tuple[MetricSummary, ...]
    goals: tuple[GoalSummary, ...]
    lost: int
    gained: int
    gammas: tuple[GammaSummary, ...]
    differently_judged: tuple[str, ...]
    ranges: tuple[BeamRange, ...]
    causes: tuple[CauseValues, ...]
    asides: tuple[Aside, ...]
    warnings: tuple[str, ...]
    problems: tuple[Problem, ...]
    case_views: tuple[DoseCase, ...]

    @property
    def shown(self) -> tuple[DoseCase, ...]:
        """The cases that the report draws."""
        return tuple(case for case in self.case_views if case.shown)

    @property
    def unnamed(self) -> tuple[int, int]:
        """Flips (lost, gained) that the examiner counted and the record does not name."""
        found = [sum(len(goal.named(word)) for goal in self.goals) for word in ("lost", "gained")]
        return self.lost - found[0], self.gained - found[1]

    @property
    def undecided(self) -> int:
        """Goals of a case, over all cases, of which nobody knows whether they flip."""
        return sum(len(goal.named("undecided")) for goal in self.goals)

    @property
    def goals_said(self) -> str:
        """Say how many goals flip, of how many that could be judged, in how many cases."""
        asked = sum(len(goal.readings) for goal in self.goals)
        judged = asked - self.undecided
        targets = sum(goal.goal.prescribed for goal in self.goals)
        what = (
            f"{count(targets, 'prescription to a target', 'prescriptions to targets')} and "
            f"{count(len(self.goals) - targets, 'organ goal')} in {count(len(self.cases), 'case')}"
        )
        if not judged and not self.lost and not self.gained:
            return f"Whether a goal flips is undecided: none has a value on both images ({what})."
        left = f" {self.undecided} could not be decided." if self.undecided else ""
        if not self.lost and not self.gained:
            return (
                f"None of {count(judged, 'goal')} judged flips ({what}): each is met on both "
                f"images or missed on both.{left}"
            )
        unnamed = sum(max(n, 0) for n in self.unnamed)
        more = f" The record does not name {unnamed} of them." if unnamed else ""
        return (
            f"{count(self.lost, 'goal')} lost (met on the reference, missed on the synthetic "
            f"image: a good plan would be rejected) and {count(self.gained, 'goal')} gained "
            f"(missed on the reference, met on the synthetic image: a plan that misses its goal "
            f"would be accepted), of {judged} judged ({what}).{more}{left}"
        )


@dataclass(frozen=True, kw_only=True)
class DoseReport:
    """The doses of a record: its plans, who was chosen for them, and every single measure.

    ``unassigned`` is what failed before any plan was computed.
    """

    plans: tuple[DosePlan, ...]
    chosen: str
    evaluated: int
    everything: FamilyTable | None
    unassigned: tuple[Problem, ...]


def dose_report(
    folder: Path,
    table: pd.DataFrame,
    curves: pd.DataFrame,
    evaluation: Evaluation,
    cases: Sequence[CaseRecord],
    criteria: Sequence[Criterion] = (),
    findings: Sequence[Finding] = (),
) -> DoseReport | None:
    """Arrange the doses of a record; None where it holds none.

    Parameters
    ----------
    folder
        The evaluation, whose volumes are drawn.
    table, curves
        As read from the record, excluded cases left out.
    evaluation
        Whose settings say what was planned.
    cases
        With the names of the volumes that were kept.
    criteria
        Of the profile; what they bound is marked.
    findings
        Of the verdict; a group with a measure that misses its bound stands open.
    """
    rows = table[table["family"] == FAMILY]
    plans = plans_of(evaluation)
    if rows.empty or not plans:
        return None
    points = curve_points(curves)
    families = family_tables(rows, evaluation, criteria, findings)
    chosen = {"one_per_site": "the first case of each site that may be measured"}
    return DoseReport(
        plans=tuple(
            _plan(folder, plan, rows, points.get(plan.key, {}), evaluation, cases, criteria)
            for plan in plans
        ),
        chosen=chosen.get(str(evaluation.settings.get("dose_cases")), "every case"),
        evaluated=table[table["family"] != "run"]["case"].nunique(),
        everything=families[0] if families else None,
        unassigned=problems(rows[~_of_plans(rows, [plan.key for plan in plans])]),
    )


def without_dose(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of all other families: the doses have a section of their own."""
    return table[table["family"] != FAMILY]


def _of_plans(table: pd.DataFrame, keys: Sequence[str]) -> pd.Series[bool]:
    """Say of each row whether its variant is that of a plan, or begins with it."""
    return table["variant"].str.split(":", n=1).str[0].isin(keys)


def _plan(
    folder: Path,
    plan: PlanFacts,
    table: pd.DataFrame,
    points: Curves,
    evaluation: Evaluation,
    cases: Sequence[CaseRecord],
    criteria: Sequence[Criterion],
) -> DosePlan:
    mine = table[_of_plans(table, [plan.key])]
    rows = Rows(mine)
    asked = rows.of("dmean_difference_pct", TARGET, plan.key)
    computed = _pairs(asked[asked["status"] == "ok"])
    failed = asked[asked["status"] == "error"].sort_values("case")
    bounded = {(c.metric, c.region, c.variant) for c in criteria}
    plan_of = {case: _own(plan, rows, case) for case, _ in computed}
    goals = goal_summaries(plan, rows, points, computed, plan_of)
    return DosePlan(
        facts=replace(plan, lines=(*plan.lines, *machine_lines(plan, rows))),
        cases=computed,
        failed=tuple(failed[["case", "site", "why"]].itertuples(index=False, name=None)),
        patients=patient_rows(plan, rows, computed) if len(computed) <= MOST_ROWS else (),
        metrics=metric_summaries(plan, rows, bounded),
        goals=goals,
        lost=_flips(rows.of("goals_lost", "all", plan.key), goals, "lost"),
        gained=_flips(rows.of("goals_gained", "all", plan.key), goals, "gained"),
        gammas=gamma_summaries(plan, rows, bounded),
        differently_judged=differently_judged(plan, rows, computed),
        ranges=beam_ranges(plan, rows, bounded) if plan.modality == "protons" else (),
        causes=cause_values(plan, rows),
        asides=asides(plan, rows, evaluation, bounded),
        warnings=(*far_means(plan, rows, [case for case, _ in computed]), *_warnings(plan, rows)),
        problems=problems(mine),
        case_views=dose_cases(folder, plan, rows, points, goals, computed, cases, plan_of),
    )


def _own(plan: PlanFacts, rows: Rows, case: str) -> PlanFacts:
    """Return the plan with a case's own prescription, where each may have its own."""
    if not plan.by_case:
        return plan
    dose = rows.prescription_gy(case, plan.key, plan.prescription_gy)
    return replace(plan, prescription_gy=dose, prescribed_by=rows.prescribed_by(case, plan.key))


def _pairs(rows: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    found = rows[["case", "site"]].itertuples(index=False, name=None)
    return tuple(sorted((str(case), str(site)) for case, site in found))


def _flips(counted: pd.DataFrame, goals: Sequence[GoalSummary], state: str) -> int:
    """Count the flips of all cases: as the examiner counted, or as many as the record names.

    Old records count the organs' goals alone, and the target's is read here.
    """
    known = counted[counted["status"] == "ok"]
    by_case = dict(zip(known["case"], known["value"], strict=True))
    named = Counter(case for goal in goals for case in goal.named(state))
    return sum(max(int(by_case.get(case, 0)), named[case]) for case in sorted({*by_case, *named}))


def machine_lines(plan: PlanFacts, rows: Rows) -> tuple[tuple[str, str], ...]:
    """Say by which machines the beams of the clinic's plans were computed, as a line of facts."""
    found = [
        (f"{row.case} {label}", str(row.why))
        for label in rows.regions("beam:")
        for row in rows.of("machine_energy", f"beam:{label}", plan.key).itertuples(index=False)
    ]
    return (("Machines", "; ".join(by_machine(found))),) if found else ()


def far_means(plan: PlanFacts, rows: Rows, cases: Sequence[str]) -> tuple[str, ...]:
    """Name the cases whose target gets a dose far from its prescription on the reference."""
    said: dict[str, list[str]] = {}
    for case in cases:
        mean, _ = rows.value(case, "dmean_reference", TARGET, plan.key)
        asked, _ = rows.value(case, "prescribed_dose", TARGET, plan.key)
        if mean is None or asked is None:
            continue
        if sentence := far_from_prescription(mean, asked):
            said.setdefault(sentence, []).append(case)
    return tuple(
        f"{', '.join(some(names))}: on the reference CT {sentence}."
        for sentence, names in said.items()
    )


def _warnings(plan: PlanFacts, rows: Rows) -> tuple[str, ...]:
    """Say plainly what share of the beams no image of the patient vouches for."""
    said = []
    for metric, start, end in (
        (
            "path_unseen",
            "Part of the beams' path to the target was not seen by the source image; there both "
            "images carry the reference CT and the doses cannot differ",
            "the comparison is too kind by as much",
        ),
        (
            "path_beyond_table",
            "Part of the rays to the target meet voxels beyond the HLUT's ends",
            "behind them the doses rest on the table's last value, which nobody stated",
        ),
        (
            "path_cut",
            "Part of the rays to the target enter through the image's edge, inside the patient",
            "the tissue before it is missing on both images, and neither dose is what the "
            "patient would receive",
        ),
    ):
        beams = [
            f"{label} {_share(rows, metric, f'beam:{label}', plan.key)}"
            for label in rows.regions("beam:")
            if _share(rows, metric, f"beam:{label}", plan.key)
        ]
        if beams:
            said.append(f"{start} ({'; '.join(beams)}): {end}.")
    return tuple(said)


def _share(rows: Rows, metric: str, region: str, variant: str) -> str:
    """Write a share of a beam over the patients; empty where it is none."""
    found = spread(rows.of(metric, region, variant), "lower")
    if found.censored:
        return found.censored
    if found.mean is None or found.high is None or found.high <= _SEEN_PCT:
        return ""
    worst = f", up to {number(found.high)} % in {found.worst}" if found.worst else ""
    return f"{number(found.mean)} %{worst}"
