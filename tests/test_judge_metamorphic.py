"""What must not change an outcome, and what never improves one; over every kind of criterion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from qa_suite.core.records import Criterion
from qa_suite.judging.findings import Rules, apply_criterion
from qa_suite.judging.outcomes import overall_outcome
from qa_suite.judging.patient_values import Examined, PatientValues
from tests.judged_values import MEASURE, criterion
from tests.judging_record import BONE_DICE, WORST, Record, profile
from tests.judging_record import criterion as body_mae

RANK = {"fail": 0, "inconclusive": 1, "pass": 2}
SEEDS = range(4)
BOUND = 5.0
STRICT = Rules(max_refused_fraction=0.0, max_excluded_fraction=0.0, max_absent_fraction=0.0)
LENIENT = Rules(max_refused_fraction=1.0)


def kinds() -> Iterator[Criterion]:
    """Every statistic in every scope and direction that a criterion can have."""
    statistics = ("mean", "median", "max", "min", "fraction_within")
    scopes = ("pooled", "each_site", "worst_patient", "new_site")
    for statistic, scope, direction in product(
        statistics, scopes, ("at_most", "at_least", "within")
    ):
        more: dict[str, Any] = {"bound": BOUND, "min_patients": 3}
        if statistic == "fraction_within":
            more = {"bound": 0.5, "per_patient_bound": BOUND, "min_patients": 3}
        try:
            yield criterion(direction, statistic=statistic, scope=scope, **more)
        except ValidationError:
            continue


KINDS = {f"{c.statistic}-{c.scope}-{c.direction}": c for c in kinds()}
every_kind = pytest.mark.parametrize("asked", KINDS.values(), ids=KINDS.keys())


def cohort(asked: Criterion, seed: int) -> PatientValues:
    """Patients of four hospitals, near the bound on a side that the seed decides."""
    rng = np.random.default_rng(seed)
    middle = rng.choice([-6.5, -4.0, 0.0, 3.5, 4.8, 5.3, 7.0, 9.0])
    spread = rng.choice([0.2, 1.0, 3.0])
    rows = []
    for site in "ABCD":
        for number in range(int(rng.integers(4, 9))):
            patient = f"{site}{number}"
            for examination in range(int(rng.choice([1, 1, 2]))):
                value = float(middle + spread * rng.standard_normal())
                rows.append(row(f"{patient}-{examination}", patient, site, value))
    return sample(rows)


def row(case: str, patient: str, site: str, value: float) -> Examined:
    return Examined(case=case, patient=patient, site=site, fate="value", value=value)


def sample(rows: list[Examined]) -> PatientValues:
    return PatientValues(measure=MEASURE, unit="mm", rows=tuple(rows))


def rank(asked: Criterion, values: PatientValues, rules: Rules = LENIENT) -> int:
    return RANK[overall_outcome(f.outcome for f in apply_criterion(asked, values, rules))]


def worse(asked: Criterion, rng: np.random.Generator) -> float:
    by = float(rng.choice([0.01, 1.0, 10.0]))
    if asked.direction == "at_least":
        return BOUND - by
    return float(rng.choice([-1, 1]) if asked.direction == "within" else 1) * (BOUND + by)


def test_the_kinds_are_all_there() -> None:
    assert len(KINDS) == 30
    found = {rank(asked, cohort(asked, seed)) for asked in KINDS.values() for seed in SEEDS}
    assert found == {0, 1, 2}  # the cohorts tell pass, fail and undecided apart


@every_kind
@pytest.mark.parametrize("seed", SEEDS)
def test_a_patient_worse_than_the_bound_turns_no_failure_into_a_pass(
    asked: Criterion, seed: int
) -> None:
    values, rng = cohort(asked, seed), np.random.default_rng([seed, 1])
    before = rank(asked, values)
    for site in ("A", "E"):  # at a hospital that is there, and at one that is new
        more = [*values.rows, row("worse", "worse", site, worse(asked, rng))]
        after = rank(asked, sample(more))
        assert not (before == 0 and after == 2)
        if asked.statistic in ("max", "min") or asked.scope == "worst_patient":
            assert after == 0


def turned(values: PatientValues, chosen: set[str], **update: Any) -> PatientValues:
    return sample([replace(r, **update) if r.case in chosen else r for r in values.rows])


@every_kind
@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_lost_or_censored_gives_no_pass(asked: Criterion, seed: int) -> None:
    values, rng = cohort(asked, seed), np.random.default_rng([seed, 2])
    before = rank(asked, values)
    one = values.rows[int(rng.integers(len(values.rows)))]
    assert one.value is not None
    assert rank(asked, turned(values, {one.case}, fate="lost", value=None, why="failed")) < 2
    for known in (
        {"at_least": one.value - 1.0},
        {"at_most": one.value + 1.0},
        {"at_least": one.value - 2.0, "at_most": one.value},
    ):
        after = rank(asked, turned(values, {one.case}, fate="censored", value=None, **known))
        assert after < 2 or before == 2


@every_kind
@pytest.mark.parametrize("fate", ["refused", "excluded", "absent"])
@pytest.mark.parametrize("seed", range(4))
def test_nobody_passes_by_leaving_more_out_than_the_limit(
    asked: Criterion, fate: str, seed: int
) -> None:
    values, rng = cohort(asked, seed), np.random.default_rng([seed, 3])
    patients = sorted({r.patient for r in values.rows})
    out = set(rng.choice(patients, size=int(rng.integers(1, 6)), replace=False))
    chosen = {r.case for r in values.rows if r.patient in out}
    fewer = turned(values, chosen, fate=fate, value=None, why="a reason")
    assert rank(asked, fewer, STRICT) < 2


@every_kind
@pytest.mark.parametrize("seed", SEEDS)
def test_an_examination_that_stands_twice_helps_nobody(asked: Criterion, seed: int) -> None:
    values, rng = cohort(asked, seed), np.random.default_rng([seed, 4])
    worst_counts = asked.statistic in ("max", "min", "fraction_within")
    worst_counts |= asked.scope == "worst_patient"
    single = [r for r in values.rows if values.examinations[r.patient] == 1]
    chosen = list(values.rows) if worst_counts else single  # of others a mean takes the mean
    one = chosen[int(rng.integers(len(chosen)))]
    more = sample([*values.rows, replace(one, case=f"{one.case}-again")])
    before, after = (apply_criterion(asked, v, LENIENT) for v in (values, more))
    assert [f.outcome for f in after] == [f.outcome for f in before]
    assert [f.estimate for f in after] == pytest.approx([f.estimate for f in before])


RENAMED: dict[str, Callable[[Examined], Examined]] = {
    "cases": lambda r: replace(r, case=f"x-{hash_of(r.case)}"),
    "patients": lambda r: replace(r, patient=f"x-{hash_of(r.patient)}"),
    "sites": lambda r: replace(r, site=f"x-{hash_of(r.site)}"),
}


def hash_of(name: str) -> int:
    """Another order of the names, the same in every run."""
    return int(sum(ord(c) * 31**n for n, c in enumerate(name)) * 2654435761 % 2**32)


@every_kind
@pytest.mark.parametrize("what", RENAMED)
@pytest.mark.parametrize("seed", range(3))
def test_names_and_the_order_of_rows_change_nothing(asked: Criterion, what: str, seed: int) -> None:
    values, rng = cohort(asked, seed), np.random.default_rng([seed, 5])
    rows = [RENAMED[what](values.rows[n]) for n in rng.permutation(len(values.rows))]
    assert len({r.case for r in rows}) == len(rows)

    def told(sample_of: PatientValues) -> list[tuple[Any, ...]]:
        found = apply_criterion(asked, sample_of, LENIENT)
        numbers = [(f.estimate, f.low, f.high) for f in found]
        rounded = [tuple(None if x is None else round(x, 9) for x in each) for each in numbers]
        return sorted((f.outcome, f.patients, str(n)) for f, n in zip(found, rounded, strict=True))

    assert told(sample(rows)) == told(values)


# --- whole verdicts


def records(seed: int) -> Record:
    """Three hospitals, some patients with a fault that the seed decides."""
    record, rng = Record(seed=seed), np.random.default_rng([seed, 6])
    for case in rng.choice([c.case for c in record.cases], size=int(rng.integers(0, 4))):
        record.shift(str(case), by=float(rng.choice([10, 60, 200])))
    return record


CRITERIA = (
    body_mae(),
    BONE_DICE,
    WORST,
    body_mae(name="pooled", scope="pooled"),
    body_mae(name="median", scope="pooled", statistic="median"),
    body_mae(name="share", scope="pooled", statistic="fraction_within", per_patient_bound=70,
             bound=0.6),
    body_mae(name="new site", scope="new_site", bound=90),
)  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_a_further_criterion_improves_no_verdict(seed: int) -> None:
    record = records(seed)
    ranks = [RANK[record.judge(profile(*CRITERIA[: n + 1])).outcome] for n in range(len(CRITERIA))]
    assert ranks == sorted(ranks, reverse=True)


@pytest.mark.parametrize("seed", range(6))
def test_a_copied_case_changes_no_verdict_whoever_it_is_said_to_be_of(seed: int) -> None:
    record = records(seed)
    record.cases = [
        c.model_copy(update={"voxel_hashes": {"source": f"s-{c.case}", "reference": f"r-{c.case}"}})
        for c in record.cases
    ]
    record.add("B1-second", "patient-B1", "hospital-B", 58.0)
    before = record.judge(profile(*CRITERIA))
    twin = record.cases[int(np.random.default_rng(seed).integers(8, 16))]  # of hospital B
    for patient in (twin.patient, "somebody-else"):
        more = records(seed)
        more.cases = [*record.cases, twin.model_copy(update={"case": "copy", "patient": patient})]
        copied = [r for r in record.rows if r.case == twin.case]
        more.rows = [
            *record.rows,
            *(r.model_copy(update={"case": "copy", "patient": patient}) for r in copied),
        ]
        after = more.judge(profile(*CRITERIA))
        assert [(f.outcome, f.estimate, f.patients) for f in after.findings] == [
            (f.outcome, f.estimate, f.patients) for f in before.findings
        ]
        assert any(f"copy of {twin.case}" in notice for notice in after.notices)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("how", ["undefined", "error", "failed", "no row", "too little"])
def test_a_value_that_goes_missing_gives_no_pass(seed: int, how: str) -> None:
    record = records(seed)
    case = record.cases[int(np.random.default_rng([seed, 7]).integers(len(record.cases)))].case
    if how == "failed":
        record.end(case, "failed", "the translator raised")
    elif how == "no row":
        record.rows = [r for r in record.rows if (r.case, r.metric) != (case, "mae")]
    elif how == "too little":
        record.change(lambda r: (r.case, r.metric) == (case, "mae"), coverage=0.02)
    else:
        record.change(
            lambda r: (r.case, r.metric) == (case, "mae"), value=None, status=how, why="a reason"
        )
    verdict = record.judge(profile(*CRITERIA))
    assert verdict.outcome != "pass"
    asked = [f for f in verdict.findings if f.criterion.metric == "mae" and f.missing]
    assert asked and all(f.outcome != "pass" for f in asked)
