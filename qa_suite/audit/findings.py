"""One measure in every cell: estimate, gaps, and the comparison by which a cell may be named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from qa_suite.audit.asked import Question
from qa_suite.audit.gaps import Contrast, Groups, contrast, spread_within
from qa_suite.audit.groups import Group
from qa_suite.core.records import Criterion, Finding, Gap
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
    pairs = _pairs(values, group, rules) if judged.patients >= small_below else _NO_PAIRS
    order = ("to_training", "to_rest") if group.is_site else ("within",)
    tested, against = next((found for key in order if (found := pairs[key])), (None, ""))
    can_be_named = (
        question.primary
        and not group.facts.untested
        and tested is not None
        and tested.error > 0
        and min(tested.n, tested.others) >= small_below
    )
    gaps = {key: None if pair is None else gap_of(*pair, confidence) for key, pair in pairs.items()}
    return Looked(
        question=question,
        group=group,
        judged=judged,
        **gaps,
        tested=tested if can_be_named else None,
        against=against,
        sd=sd,
    )


_NO_PAIRS: dict[str, tuple[Contrast, str] | None] = {
    "to_training": None,
    "to_rest": None,
    "within": None,
}


def _pairs(
    values: PatientValues, group: Group, rules: Rules
) -> dict[str, tuple[Contrast, str] | None]:
    """Compare a cell with each group that it can be compared with; nobody stands on both sides."""
    inside = group.cell.cases
    here = side_of(row for row in values.rows if row.case in inside)
    if here.censored or not group.cell.recorded:
        return _NO_PAIRS
    patients = {row.patient for row in values.rows if row.case in inside}
    outside = [row for row in values.rows if row.patient not in patients]
    training = set(rules.training_sites) - ({group.cell.label} if group.is_site else set())
    home = side_of(row for row in outside if row.site in training)
    rest = side_of(outside)
    names = (OTHER_TRAINING, OTHER_SITES) if group.facts.in_training else (TRAINING, OTHER_SITES)
    return {
        "to_training": _compare(here, home, names[0], pooled=True),
        "to_rest": _compare(here, rest, names[1] if group.is_site else REST, pooled=True),
        "within": None if group.is_site else _compare(here, rest, SAME_HOSPITALS, pooled=False),
    }


def gap_of(found: Contrast, to: str, confidence: float) -> Gap:
    """Write a comparison down with its interval at a confidence."""
    low, high = found.interval(confidence) or (None, None)
    return Gap(
        to=to, patients=found.others, estimate=found.gap, low=low, high=high, method=found.method
    )


def _compare(here: Side, there: Side, name: str, *, pooled: bool) -> tuple[Contrast, str] | None:
    if there.censored:
        return None
    sides = (here.pooled(), there.pooled()) if pooled else (here.values, there.values)
    found = contrast(*sides)
    return None if found is None else (found, name)


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
