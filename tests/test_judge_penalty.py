"""A missed structure in the judging: lost, or counted with the penalty that the profile asks."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from qa_suite.judging.collect import collect
from qa_suite.judging.patient_values import Measure
from tests.judging_record import Record, criterion, profile, the

HD95 = {"name": "bone HD95", "metric": "hd95", "region": "seg:Bone", "unit": "mm", "bound": 8.0}
WHY = "the synthetic image does not have this structure (missed)"


def hd95(**more: Any):
    return criterion(**(HD95 | more))


def with_misses(*cases: str) -> Record:
    """Return a record in which the bone of some cases is missed."""
    record = Record()
    for n, case in enumerate(record.cases):
        record.shift(case.case, metric="hd95", by=0.01 * (-1) ** n)  # none alike
    for case in cases:
        record.change(lambda r, c=case: (r.case, r.metric) == (c, "missed"), value=1.0)
        record.change(lambda r, c=case: (r.case, r.metric) == (c, "dice"), value=0.0)
        record.change(
            lambda r, c=case: (r.case, r.metric) == (c, "hd95"),
            value=None,
            status="undefined",
            why=WHY,
        )
    return record


def test_without_a_penalty_a_miss_is_lost() -> None:
    found = the(with_misses("A1").judge(profile(hd95())), "bone HD95", "hospital-A")
    assert found.outcome == "inconclusive"
    assert (found.patients, found.missing) == (7, 1)
    assert "penalty" not in found.sentence


def test_with_a_penalty_a_miss_counts() -> None:
    verdict = with_misses("A1").judge(profile(hd95(missed_penalty=50.0)))
    found = the(verdict, "bone HD95", "hospital-A")
    assert (found.patients, found.missing, found.missing_cases) == (8, 0, {})
    assert found.estimate == pytest.approx((7 * 4 + 50) / 8, abs=0.002)
    assert "1 case misses the structure and counts with the penalty of 50 mm (A1)" in found.sentence
    elsewhere = the(verdict, "bone HD95", "hospital-B")
    assert elsewhere.outcome == "pass" and "penalty" not in elsewhere.sentence
    assert verdict.findings[0].criterion.missed_penalty == 50


def test_many_misses_fail_a_site() -> None:
    names = [f"C{n}" for n in range(1, 8)]
    found = the(
        with_misses(*names).judge(profile(hd95(missed_penalty=50.0))), "bone HD95", "hospital-C"
    )
    assert found.outcome == "fail" and found.estimate == pytest.approx((7 * 50 + 4) / 8, abs=0.002)
    assert "7 cases miss the structure and count with the penalty of 50 mm" in found.sentence


def test_the_worst_patient_is_the_missed_one() -> None:
    worst = hd95(scope="worst_patient", statistic="max", missed_penalty=30.0)
    (found,) = with_misses("B2").judge(profile(worst)).findings
    assert found.outcome == "fail"
    assert found.scope_name == "patient-B2" and found.estimate == 30
    assert "penalty of 30 mm (B2)" in found.sentence


def test_a_share_of_patients_counts_the_missed_one_as_beyond() -> None:
    share = hd95(
        scope="pooled",
        statistic="fraction_within",
        per_patient_bound=8.0,
        bound=0.5,
        missed_penalty=9.0,
    )
    (found,) = with_misses("A1", "C3").judge(profile(share)).findings
    assert found.outcome == "pass"
    assert found.estimate == pytest.approx(22 / 24)
    assert "2 cases miss the structure" in found.sentence


def test_only_a_miss_is_penalised() -> None:
    """An error, an absent structure and an invented one keep their own fates."""
    record = Record()
    gone = {"value": None, "why": "why"}
    record.change(lambda r: r.case == "A1" and r.metric == "hd95", status="error", **gone)
    for metric in ("dice", "missed", "hd95"):  # the reference has none, nor the synthetic image
        record.change(
            lambda r, m=metric: r.case == "A2" and r.metric == m, status="undefined", **gone
        )
    record.change(lambda r: r.case == "A3" and r.metric == "dice", value=0.0)  # invented
    for metric in ("missed", "hd95"):
        record.change(
            lambda r, m=metric: r.case == "A3" and r.metric == m, status="undefined", **gone
        )
    record.end("A4", "failed", "the model stopped")
    verdict = record.judge(profile(hd95(missed_penalty=50.0, min_patients=4)))
    found = the(verdict, "bone HD95", "hospital-A")
    assert "penalty" not in found.sentence
    assert set(found.missing_cases) == {"A1", "A3", "A4"}
    assert found.patients == 4


def test_each_segmenter_knows_its_own_misses() -> None:
    """What the threshold misses, a learned segmenter may find, and the other way round."""
    record = with_misses("A1")
    learned = [r for r in Record().rows if r.region == "seg:Bone"]
    for row in learned:
        own = {"variant": "net"}
        if row.case == "A2" and row.metric == "missed":
            own |= {"value": 1.0}
        if row.case == "A2" and row.metric == "hd95":
            own |= {"value": None, "status": "undefined", "why": WHY}
        if row.case == "A3" and row.metric != "mae":  # not in the reference, by this segmenter
            own |= {"value": None, "status": "undefined", "why": "absent"}
        record.rows.append(row.model_copy(update=own))
        if row.metric == "hd95":
            record.rows.append(
                row.model_copy(update=own | {"metric": "surface_dice", "variant": "net:tol2mm"})
            )
    table = record.table()

    def fates(metric: str, variant: str) -> dict[str, tuple[str, bool]]:
        measure = Measure(metric=metric, region="seg:Bone", variant=variant)
        rows = collect(table, record.cases, measure).rows
        return {row.case: (row.fate, row.missed) for row in rows if row.fate != "value"}

    assert fates("hd95", "default") == {"A1": ("lost", True)}
    own = {"A2": ("lost", True), "A3": ("absent", False)}
    assert fates("hd95", "net") == own
    assert fates("surface_dice", "net:tol2mm") == own


@pytest.mark.parametrize(
    "wrong",
    [
        {"missed_penalty": 8.0},
        {"missed_penalty": 5.0},
        {"direction": "at_least", "missed_penalty": 9.0},
        {"direction": "within", "missed_penalty": -8.0},
        {
            "statistic": "fraction_within",
            "bound": 0.9,
            "per_patient_bound": 8.0,
            "missed_penalty": 7.0,
        },
        {"missed_penalty": float("inf")},
    ],
)
def test_a_penalty_that_would_be_good_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="missed_penalty"):
        hd95(**wrong)


def test_penalties_on_the_bad_side_are_taken() -> None:
    assert hd95(direction="at_least", missed_penalty=0.0).missed_penalty == 0
    assert hd95(direction="within", missed_penalty=-20.0).missed_penalty == -20


def test_a_body_without_a_value_is_lost_and_no_absence() -> None:
    record = Record()
    record.change(
        lambda r: (r.case, r.metric, r.region) == ("A1", "mae", "body"),
        value=None,
        status="undefined",
        why="at least 12 mm: beyond the reach of the search",
    )
    found = the(record.judge(profile(criterion())), criterion().name, "hospital-A")
    assert found.outcome == "inconclusive"
    assert found.missing_cases == {"A1": "at least 12 mm: beyond the reach of the search"}
