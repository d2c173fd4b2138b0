"""What a verdict says of dose: plans, patients, coverage, goals and gamma, or that none was judged.

It tells what the record holds of the judged cases and decides nothing; what the profile bounds is
decided by its findings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pandas as pd

from qa_suite.core.records import CaseRecord, Criterion
from qa_suite.core.wording import count, listing, quantity, some

FAMILY = "dose"
NO_DOSE = "No dose was computed, so none was judged."
_COUNTED = "goals_lost"
"""Every plan has one of each case, or says why not."""
_COVERAGE = ("coverage_met_reference", "coverage_met_synthetic")
_GOALS = ("goals_judged", "goals_lost", "goals_gained", "goals_undecided")
_RATE = "gamma_pass_rate"
TOLD_METRICS = (*_COVERAGE, *_GOALS, _RATE)
"""What the sentences read of the measures of dose."""
_GAMMA = re.compile(r"(?P<dose>[\d.]+)pct(?P<mm>[\d.]+)mm(?P<local>_local)?")
_TOLD_GAMMA = (2.0, 2.0)


def dose_sentences(
    measurements: pd.DataFrame, cases: Sequence[CaseRecord], criteria: Sequence[Criterion]
) -> tuple[str, ...]:
    """Say what was judged of dose, a sentence a plan.

    Parameters
    ----------
    measurements
        The rows of the judged cases.
    cases
        The judged cases.
    criteria
        Of the profile.
    """
    rows = measurements[measurements["family"] == FAMILY]
    asked = rows[(rows["metric"] == _COUNTED) & (rows["region"] == "all")]
    if asked.empty:
        return (NO_DOSE,)
    evaluated = {case.patient for case in cases if case.status == "evaluated"}
    variants = rows["variant"].unique()
    told = []
    for plan in sorted(asked["variant"].unique()):
        mine = [variant for variant in variants if str(variant).partition(":")[0] == plan]
        told.append(_of_plan(plan, rows[rows["variant"].isin(mine)], evaluated, criteria))
    return tuple(told)


def _of_plan(
    plan: str, rows: pd.DataFrame, evaluated: set[str], criteria: Sequence[Criterion]
) -> str:
    counted = rows[(rows["metric"] == _COUNTED) & (rows["region"] == "all")]
    done = counted[counted["status"] == "ok"]
    patients = sorted(done["patient"].unique())
    if not patients:
        why = f"could not be computed for any of {count(counted['patient'].nunique(), 'patient')}"
        return f"Dose, {plan}: {why}, so it was not judged."
    head = (
        f"Dose, {plan}: {count(len(patients), 'patient')} of {len(evaluated)} evaluated, at "
        f"{count(done['site'].nunique(), 'site')}"
    )
    failed = sorted(set(counted["patient"]) - set(patients))
    parts = [head, *_coverage(rows, patients), _organs(rows), *_gamma(rows)]
    if failed:
        parts.append(f"not computed for {count(len(failed), 'patient')}")
    parts.append(_bounded(plan, rows, criteria))
    return f"{'; '.join(parts)}."


def _coverage(rows: pd.DataFrame, patients: Sequence[str]) -> Iterator[str]:
    """Say in how many patients the targets get what is prescribed, on each image.

    A patient with several examinations, or several targets, counts with the worst of them.
    """
    sides = {}
    asked = "the prescription"
    for side in ("reference", "synthetic"):
        mine = rows[(rows["metric"] == f"coverage_met_{side}") & (rows["status"] == "ok")]
        sides[side] = mine.groupby("patient")["value"].min()
        said = sorted({str(why) for why in mine["why"] if why})
        asked = listing(said) or asked
    known = sorted(set(sides["reference"].index) & set(sides["synthetic"].index))
    if not known:
        yield "whether the target gets what is prescribed was not measured"
        return
    met = {side: {p for p in known if found[p] == 1} for side, found in sides.items()}
    n = len(known)
    text = (
        f"target coverage ({asked}) met on the reference CT in {len(met['reference'])} of {n} and "
        f"on the synthetic CT in {len(met['synthetic'])} of {n}"
    )
    for word, names in (
        ("lost in", met["reference"] - met["synthetic"]),
        ("gained in", met["synthetic"] - met["reference"]),
    ):
        if names:
            text += f", {word} {listing(some(_cases(rows, names), 4))}"
    if n < len(patients):
        text += f", undecided in {len(patients) - n}"
    yield text


def _cases(rows: pd.DataFrame, patients: set[str]) -> list[str]:
    """Name the cases of some patients."""
    return sorted(rows.loc[rows["patient"].isin(patients), "case"].unique())


def _organs(rows: pd.DataFrame) -> str:
    """Say how many goals of organs flip, of how many that were judged."""
    own = _prescriptions(rows)
    counted = {name: _total(rows, name) for name in own}
    judged = counted["goals_judged"]
    if judged is None:
        return "of how many goals the flips are was not recorded"
    organs, lost, gained, undecided = (max((counted[name] or 0) - own[name], 0) for name in own)
    left = f", {undecided} undecided" if undecided else ""
    if organs <= 0:
        return f"no organ goal was judged{left}"
    return f"of {count(organs, 'organ goal')} judged {lost} lost and {gained} gained{left}"


def _prescriptions(rows: pd.DataFrame) -> dict[str, int]:
    """Count what of the goals are prescriptions to targets, as the record counts goals."""
    sides = list(_COVERAGE)
    mine = rows[rows["metric"].isin(sides) & (rows["status"] != "error")]
    met = mine.set_index(["case", "region", "metric"])["value"].astype(float).unstack()
    met = met.reindex(columns=sides)
    both = met.dropna()
    one, two = (both[side] for side in sides)
    return {
        "goals_judged": len(both),
        "goals_lost": int((one > two).sum()),
        "goals_gained": int((one < two).sum()),
        "goals_undecided": len(met) - len(both),
    }


def _total(rows: pd.DataFrame, metric: str) -> int | None:
    """Return the sum of a count over the cases; None where no case has one."""
    mine = rows[(rows["metric"] == metric) & (rows["region"] == "all") & (rows["status"] == "ok")]
    return None if mine.empty else int(mine["value"].sum())


def _gamma(rows: pd.DataFrame) -> Iterator[str]:
    """Say mean and lowest pass rate of 2 %/2 mm in the body, or of the strictest criterion."""
    rates = rows[(rows["metric"] == _RATE) & (rows["region"] == "body")]
    found = {str(v): _GAMMA.fullmatch(str(v).partition(":")[2]) for v in rates["variant"].unique()}
    criteria = {v: (float(m["dose"]), float(m["mm"])) for v, m in found.items() if m}
    if not criteria:
        return
    chosen = min(criteria, key=lambda v: (criteria[v] != _TOLD_GAMMA, criteria[v], v))
    match = found[chosen]
    assert match is not None
    local = ", local" if match["local"] else ""
    name = f"γ {match['dose']} %/{match['mm']} mm{local} in the body"
    mine = rates[rates["variant"] == chosen]
    known = mine[mine["status"] == "ok"]
    if known.empty:
        yield f"{name} has no value"
        return
    mean = float(known.groupby("patient")["value"].mean().mean())
    low, case = min(zip(known["value"], known["case"], strict=True))
    lowest = "" if len(known) == 1 else f" on average, lowest {quantity(float(low), '%')}"
    without = len(mine) - len(known)
    missing = f", {count(without, 'case')} without a value" if without else ""
    yield f"{name} {quantity(mean, '%')}{lowest} ({case}){missing}"


def _bounded(plan: str, rows: pd.DataFrame, criteria: Sequence[Criterion]) -> str:
    """Say whether the profile bounds any of it."""
    names = set(rows["metric"].unique())
    mine = [c for c in criteria if c.metric in names and c.variant.partition(":")[0] == plan]
    if not mine:
        return "the profile bounds none of it, so it is described and not judged"
    return f"judged by {count(len(mine), 'criterion', 'criteria')} of the profile"
