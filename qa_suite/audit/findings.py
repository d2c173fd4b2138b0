"""One measure in every cell: estimate, gaps, and the comparison by which a cell may be named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qa_suite.audit.asked import Question
from qa_suite.audit.gaps import Contrast, Groups, contrast, spread_within, why_no_contrast
from qa_suite.audit.groups import Group
from qa_suite.core.records import Criterion, Finding, Gap
from qa_suite.core.wording import count
from qa_suite.judging.findings import Rules, apply_criterion
from qa_suite.judging.patient_values import Examined, PatientValues

TRAINING, OTHER_TRAINING = "the training sites", "the other training sites"
REST, SAME_HOSPITALS = "everybody else", "other patients of the same hospitals"
OTHER_SITES = "the other sites"
_EVERYBODY = ""


@dataclass(frozen=True, kw_only=True)
class Looked:
    """One measure in one cell, before the levels of the tests are shared out."""

    question: Question
    group: Group
    judged: Finding
    """Of the cell as the judge would find it, were it a site."""
    to_training: Gap | None
    to_rest: Gap | None
    within: Gap | None
    tested: Contrast | None
    """None where the cell cannot be named."""
    untested: str
    """Why a primary measure cannot be named here; empty where it can."""
    against: str
    sd: float | None
    """Of patients about the mean of their hospital."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """Values of patients by hospital, and whether a mean of them would hold a censored one."""

    values: Groups
    censored: int

    def pooled(self) -> Groups:
        """Return the same values with the hospitals not told apart."""
        found = [v for _, v in sorted(self.values.items())]
        return {_EVERYBODY: np.concatenate(found) if found else np.empty(0)}


def side_of(rows: Iterable[Examined]) -> Side:
    """Gather one value a patient and hospital."""
    found: dict[tuple[str, str], list[float]] = {}
    censored = set()
    for row in rows:
        if row.fate == "censored":
            censored.add(row.patient)
        elif row.fate == "value" and row.value is not None:
            found.setdefault((row.site, row.patient), []).append(row.value)
    by_site: dict[str, list[float]] = {}
    for (site, _), several in sorted(found.items()):
        by_site.setdefault(site, []).append(sum(several) / len(several))
    return Side(
        values={site: np.array(values) for site, values in by_site.items()}, censored=len(censored)
    )


def look(
    question: Question,
    values: PatientValues,
    groups: Sequence[Group],
    rules: Rules,
    *,
    confidence: float,
    small_below: int,
) -> list[Looked]:
    """Look at one measure in every cell.

    Parameters
    ----------
    question, values
        The measure, and every judged case with its fate under it.
    groups
        The cells.
    rules
        Of the profile and the evaluation.
    confidence
        Of gaps that are described.
    small_below
        Patients with a value below which nothing is compared.
    """
    criterion = question.criterion or _described(question, confidence, small_below)
    if criterion.missed_penalty is not None:
        values = values.with_misses_as(criterion.missed_penalty)
    everybody = side_of(values.rows)
    sd = None if everybody.censored else spread_within(everybody.values)
    return [
        _look_at(
            question,
            values,
            group,
            rules,
            judged=_as_a_site(criterion, values, group, rules),
            sd=sd,
            confidence=confidence,
            small_below=small_below,
        )
        for group in groups
    ]


def _look_at(
    question: Question,
    values: PatientValues,
    group: Group,
    rules: Rules,
    *,
    judged: Finding,
    sd: float | None,
    confidence: float,
    small_below: int,
) -> Looked:
    pairs = _pairs(values, group, rules) if judged.patients >= small_below else {}
    order = ("to_training", "to_rest") if group.is_site else ("within",)
    asked = [pairs[key] for key in order if key in pairs]
    told = next((pair for pair in asked if pair.found is not None), asked[-1] if asked else None)
    untested = _untested(group, judged, told, small_below) if question.primary else ""
    gaps = {key: pairs[key].gap(confidence) if key in pairs else None for key in _GAPS}
    return Looked(
        question=question,
        group=group,
        judged=judged,
        **gaps,
        tested=told.found if question.primary and told is not None and not untested else None,
        untested=untested,
        against="" if told is None else told.to,
        sd=sd,
    )


_GAPS = ("to_training", "to_rest", "within")


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """A cell and those that it is compared with, or why it cannot be."""

    to: str
    found: Contrast | None
    why: str = ""

    def gap(self, confidence: float) -> Gap | None:
        return None if self.found is None else gap_of(self.found, self.to, confidence)


def _untested(group: Group, judged: Finding, pair: _Pair | None, small_below: int) -> str:
    """Say why a cell cannot be named by a measure; empty where it can."""
    if group.facts.untested:
        return group.facts.untested
    if judged.patients < small_below:
        return f"{count(judged.patients, 'patient')} with a value, {small_below} needed"
    if pair is None:
        return f"{count(judged.censored, 'patient')} censored"
    if pair.found is None:
        return pair.why
    if min(pair.found.n, pair.found.others) < small_below:
        sides = f"{pair.found.n} against {count(pair.found.others, 'patient')}"
        return f"{sides}, {small_below} needed on each side"
    return "" if pair.found.error > 0 else "all values are alike, and nothing tells their spread"


def _pairs(values: PatientValues, group: Group, rules: Rules) -> dict[str, _Pair]:
    """Compare a cell with each group that it can be compared with; nobody stands on both sides.

    Nothing is compared where the cell is not recorded or a mean of it would hold a censored value.
    """
    inside = group.cell.cases
    here = side_of(row for row in values.rows if row.case in inside)
    if here.censored or not group.cell.recorded:
        return {}
    patients = {row.patient for row in values.rows if row.case in inside}
    outside = [row for row in values.rows if row.patient not in patients]
    training = set(rules.training_sites) - ({group.cell.label} if group.is_site else set())
    home = side_of(row for row in outside if row.site in training)
    rest = side_of(outside)
    names = (OTHER_TRAINING, OTHER_SITES) if group.facts.in_training else (TRAINING, OTHER_SITES)
    found = {
        "to_training": _compare(here, home, names[0], pooled=True),
        "to_rest": _compare(here, rest, names[1] if group.is_site else REST, pooled=True),
    }
    if not group.is_site:
        found["within"] = _compare(here, rest, SAME_HOSPITALS, pooled=False)
    return found


def gap_of(found: Contrast, to: str, confidence: float) -> Gap:
    """Write a comparison down with its interval at a confidence."""
    low, high = found.interval(confidence) or (None, None)
    return Gap(
        to=to, patients=found.others, estimate=found.gap, low=low, high=high, method=found.method
    )


def _compare(here: Side, there: Side, name: str, *, pooled: bool) -> _Pair:
    if there.censored:
        why = f"{count(there.censored, 'patient')} of {name} censored"
        return _Pair(to=name, found=None, why=why)
    sides = (here.pooled(), there.pooled()) if pooled else (here.values, there.values)
    return _Pair(to=name, found=contrast(*sides), why=why_no_contrast(*sides))


def _described(question: Question, confidence: float, small_below: int) -> Criterion:
    """Return a criterion whose bound nobody reads, for a measure that has none."""
    return Criterion(
        name=question.name,
        metric=question.measure.metric,
        region=question.measure.region,
        variant=question.measure.variant,
        bound=0.0,
        direction="within",
        unit=question.unit,
        scope="each_site",
        confidence=confidence,
        min_patients=small_below,
        source="described without a bound",
    )


def _as_a_site(criterion: Criterion, values: PatientValues, group: Group, rules: Rules) -> Finding:
    """Find what the judge would, were the cell a site: by the same rules, word for word."""
    label = group.cell.label
    rows = [
        replace(row, site=label)
        for row in values.rows
        if row.case in group.cell.cases
        or (group.is_site and row.fate == "excluded" and row.site == label)
    ]
    cell = replace(values, rows=tuple(rows))
    asked = criterion.model_copy(update={"scope": "each_site"})
    (found,) = apply_criterion(asked, cell, replace(rules, sites=()))
    return found
