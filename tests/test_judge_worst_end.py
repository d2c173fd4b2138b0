"""Alike values: at the worst end of their range they fail, in its middle they are undecided."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from qa_suite.audit.asked import AuditSettings
from qa_suite.audit.audit import audit_material
from qa_suite.audit.joined import join
from qa_suite.core.measure_kinds import MeasureKind
from qa_suite.core.records import Finding
from qa_suite.judging.findings import apply_criterion
from tests import audit_cases
from tests.judged_values import RULES, criterion, numbered, values
from tests.judging_record import BONE_DICE, Record, profile, the

DICE = MeasureKind(kind="bounded", low=0, high=1)
NCC = MeasureKind(kind="bounded", low=-1, high=1)
EVENT = MeasureKind(kind="event", low=0, high=1)
MAE = MeasureKind(kind="positive", low=0)
LEFT_PCT = MeasureKind(kind="signed", low=-100, high=300)
MISSED = {"bound": 0.95, "direction": "at_least"}


def found_among(kind: MeasureKind, held: list[Any], **asked: Any) -> Finding:
    sample = replace(numbered(*held), kind=kind)
    (found,) = apply_criterion(criterion(**asked), sample, RULES)
    return found


@pytest.mark.parametrize(
    ("kind", "held", "asked", "fails"),
    [
        # a Dice of 0 in everybody, and of anything else
        (DICE, [0.0] * 8, {"direction": "at_least", "bound": 0.8}, True),
        (DICE, [1e-12] * 8, {"direction": "at_least", "bound": 0.8}, True),  # a rounded sum
        (DICE, [0.001] * 8, {"direction": "at_least", "bound": 0.8}, False),
        (DICE, [0.9] * 8, {"direction": "at_least", "bound": 0.8}, False),
        (DICE, [0.0] * 7 + [0.5], {"direction": "at_least", "bound": 0.8}, False),
        (DICE, [1.0] * 8, {"direction": "at_most", "bound": 0.2}, True),
        # an end that meets its bound is not beyond it
        (DICE, [0.0] * 8, {"direction": "at_least", "bound": 0.0}, False),
        (DICE, [1.0] * 8, {"direction": "at_most", "bound": 1.0}, False),
        (NCC, [-1.0] * 8, {"direction": "within", "bound": 1.0}, False),
        (NCC, [-1.0] * 8, {"direction": "within", "bound": 0.9}, True),
        (NCC, [1.0] * 8, {"direction": "within", "bound": 0.9}, True),
        (NCC, [-1.0, 1.0] * 4, {"direction": "within", "bound": 0.9}, False),
        (LEFT_PCT, [-100.0] * 8, {"direction": "within", "bound": 10.0}, True),
        (LEFT_PCT, [-99.0] * 8, {"direction": "within", "bound": 10.0}, False),
        # few, whose exact interval still holds the bound
        (EVENT, [1.0] * 3, {"bound": 0.5}, True),
        (EVENT, [1.0] * 2, {"bound": 0.5, "min_patients": 3}, False),
        (EVENT, [0.0] * 3, {"bound": 0.5}, False),
        (EVENT, [1.0, 1.0, 0.0], {"bound": 0.5}, False),
        (EVENT, [0.0] * 3, {"bound": 0.5, "direction": "at_least"}, True),
        # no end to be at
        (MAE, [900.0] * 8, {"bound": 50.0}, False),
        # medians and shares
        (DICE, [0.0] * 5, {"statistic": "median", "direction": "at_least", "bound": 0.8}, True),
        (DICE, [0.5] * 5, {"statistic": "median", "direction": "at_least", "bound": 0.8}, False),
        (MAE, [60.0, 70, 80], {"statistic": "fraction_within", "per_patient_bound": 50.0,
                               "bound": 0.5}, True),
        (MAE, [60.0, 70, 40], {"statistic": "fraction_within", "per_patient_bound": 50.0,
                               "bound": 0.5}, False),
        (MAE, [60.0, 70, (50.1, None)], {"statistic": "fraction_within",
                                         "per_patient_bound": 50.0, "bound": 0.5}, True),
        (MAE, [60.0, 70, (49.9, None)], {"statistic": "fraction_within",
                                         "per_patient_bound": 50.0, "bound": 0.5}, False),
        # of what is censored, as far as it is proven
        (DICE, [0.0] * 7 + [(None, 0.0)], {"direction": "at_least", "bound": 0.8}, True),
        (DICE, [0.0] * 7 + [(None, 0.1)], {"direction": "at_least", "bound": 0.8}, False),
    ],
)  # fmt: skip
def test_alike_values_fail_at_the_worst_end_alone(
    kind: MeasureKind, held: list[Any], asked: dict[str, Any], fails: bool
) -> None:
    found = found_among(kind, held, **asked)
    assert found.outcome == ("fail" if fails else "inconclusive")
    codes = [reason.code for reason in found.reasons]
    assert (codes == ["alike_at_worst_end"]) is fails
    if fails:
        assert "undecided" not in found.sentence and "cannot be held" not in found.sentence


@pytest.mark.parametrize("scope", ["pooled", "each_site", "new_site"])
@pytest.mark.parametrize("sites", [1, 3, 6, 7])
def test_whatever_the_scope_and_the_number_of_hospitals(scope: str, sites: int) -> None:
    rows = [
        replace(row, site=f"S{n % sites}")
        for n, row in enumerate(numbered(*[1.0] * (5 * sites)).rows)
    ]
    sample = replace(numbered(1.0), rows=tuple(rows), kind=EVENT)
    found = apply_criterion(criterion(bound=0.9, scope=scope), sample, RULES)
    assert {(f.outcome, f.reasons[0].code) for f in found} == {("fail", "alike_at_worst_end")}
    assert "is above the bound of 0.9 mm" in found[0].sentence


def test_a_structure_that_is_missed_in_everybody_fails_by_its_penalty() -> None:
    sample = values(a1="lost", a2="lost", a3="lost")
    sample = replace(sample, rows=tuple(replace(row, missed=True) for row in sample.rows))
    (found,) = apply_criterion(criterion(missed_penalty=50.0), sample, RULES)
    assert (found.outcome, found.reasons[0].code) == ("fail", "alike_at_worst_end")
    assert "the structure is missed in all of 3 patients" in found.sentence
    (found,) = apply_criterion(criterion(), sample, RULES)
    assert found.outcome == "inconclusive"  # without one it is lost


def test_what_was_lost_beside_them_does_not_heal_it() -> None:
    sample = replace(values(a1=0.0, a2=0.0, a3="lost", a4="absent"), kind=DICE)
    asked = criterion("at_least", bound=0.8, min_patients=3)
    (found,) = apply_criterion(asked, sample, RULES)
    assert found.outcome == "fail"
    few = asked.model_copy(update={"min_patients": 4})  # four were never there to be asked
    assert apply_criterion(few, sample, RULES)[0].outcome == "inconclusive"


def test_a_verdict_says_it() -> None:
    record = Record()
    for case in record.of_site("hospital-C"):
        record.change(lambda r, c=case: (r.case, r.metric) == (c, "dice"), value=0.0)
    verdict = record.judge(profile(BONE_DICE))
    found = the(verdict, "bone Dice", "hospital-C")
    assert verdict.outcome == found.outcome == "fail"
    assert found.sentence == (
        "Dice of Bone at hospital-C: 0 (no interval, n = 8) is below the bound of 0.8: the worst "
        "that it can be, 0, in all of 8 patients."
    )
    assert "fails at hospital-C (bone Dice 0, bound at least 0.8)" in verdict.sentence


@pytest.mark.parametrize("implant", ["yes", None])
def test_a_stratum_and_a_hospital_to_come_fail_in_the_audit(implant: str | None) -> None:
    drawn = audit_cases.source(seed=1)
    bad = {c.case for c in drawn.cases if implant in (None, c.strata.get("implant"))}
    table = drawn.measurements.copy()
    table.loc[(table["metric"] == "dice") & table["case"].isin(bad), "value"] = 0.0
    found = audit_material(
        join([replace(drawn, measurements=table)]),
        profile(BONE_DICE, anatomy="any"),
        AuditSettings(primary=("dice:seg:Bone",)),
    )
    cells = [f for f in found.findings if (f.dimension, f.cell) == ("implant", "implant")]
    assert [(cell.outcome, cell.estimate, cell.low) for cell in cells] == [("fail", 0.0, None)]
    (new,) = found.new_sites
    if implant is None:
        assert {f.outcome for f in found.findings if f.outcome is not None} == {"fail"}
        assert new.outcome == "fail" and "fails, the worst that it can be, 0" in new.sentence
