"""Who is judged: exclusion by preflight, profiles that fit, patients of the training."""

from __future__ import annotations

import pytest

from qa_suite.core.errors import InputError
from qa_suite.core.records import CaseRecord, PreflightValue
from tests.judging_record import WORST, Record, codes, criterion, profile, sites_said, the


def shift_of(value: float | None) -> dict[str, PreflightValue]:
    status = "ok" if value is not None else "undetermined"
    why = "" if status == "ok" else "no structure along z"
    return {"alignment_shift": PreflightValue(value=value, unit="mm", status=status, why=why)}


def test_profile_excludes_by_preflight_value_and_names_whom() -> None:
    record = Record()
    record.shift("A3", by=150)
    record.update_case("A3", preflight=shift_of(-7.2))
    assert record.judge(profile(WORST)).outcome == "fail"
    verdict = record.judge(profile(WORST, exclude={"alignment_shift": 5.0}))
    assert verdict.outcome == "pass"
    assert verdict.excluded == {"A3": "alignment_shift is −7.20 mm, beyond 5 mm"}
    assert verdict.case_counts["excluded"] == 1
    assert "1 case excluded" in verdict.sentence


def test_site_of_excluded_cases_only_is_undecided_not_forgotten() -> None:
    record = Record()
    for case in record.of_site("hospital-C"):
        record.update_case(case, preflight=shift_of(9))
    verdict = record.judge(profile(criterion(), exclude={"alignment_shift": 5.0}))
    found = the(verdict, "body MAE", "hospital-C")
    assert found.outcome == "inconclusive"
    assert codes(found) == ["excluded"] and found.patients == 0
    assert sites_said(verdict)["undecided"] == ["hospital-C"]


def test_refused_case_stays_refused_when_the_profile_would_exclude_it_too() -> None:
    record = Record()
    for case in ("A1", "A2"):
        record.end(case, "refused", "residual shift 14 mm")
        record.update_case(case, preflight=shift_of(14))
    verdict = record.judge(profile(criterion(), exclude={"alignment_shift": 5.0}))
    assert verdict.excluded == {}
    assert the(verdict, "body MAE", "hospital-A").outcome == "inconclusive"


def test_what_is_undetermined_or_not_checked_excludes_and_is_counted_and_announced() -> None:
    record = Record()
    record.update_case("A3", preflight=shift_of(None))
    record.update_case("A4", preflight={})
    verdict = record.judge(profile(exclude={"alignment_shift": 5.0}))
    assert verdict.excluded == {
        "A3": "alignment_shift is undetermined (no structure along z), and the profile excludes "
        "by it",
        "A4": "alignment_shift was not checked, and the profile excludes by it",
    }
    assert verdict.case_counts["excluded"] == 2
    assert any("alignment_shift" in n and "A3 and A4" in n for n in verdict.notices)
    assert "2 cases excluded" in verdict.sentence


def test_a_lower_bound_beyond_the_limit_is_the_reason_to_exclude() -> None:
    record = Record()
    check = PreflightValue(at_least=7.0, unit="mm", status="undetermined", why="no structure")
    record.update_case("A3", preflight={"alignment_shift": check})
    verdict = record.judge(profile(exclude={"alignment_shift": 5.0}))
    assert verdict.excluded == {"A3": "alignment_shift is at least 7.00 mm, beyond 5 mm"}


def test_a_failed_case_is_not_excused_by_what_is_undetermined() -> None:
    record = Record()
    record.end("A3", "failed", "the translator raised")
    record.update_case("A3", preflight=shift_of(None))
    verdict = record.judge(profile(exclude={"alignment_shift": 5.0}))
    assert verdict.excluded == {}
    assert "1 case failed in translation" in verdict.sentence


def test_exclusion_by_something_never_recorded_is_refused() -> None:
    with pytest.raises(InputError, match=r"'alignment_shfit'.*it recorded alignment_shift"):
        Record().judge(profile(exclude={"alignment_shfit": 5.0}))


@pytest.mark.parametrize(
    ("where", "change", "what"),
    [
        ("cohort", {"direction": "CT->MR"}, "is for MR->CT"),
        ("model", {"direction": "CBCT->CT"}, "is of CBCT->CT"),
        ("cohort", {"anatomy": "thorax"}, "cohort three is 'thorax'"),
    ],
)
def test_profile_for_something_else_is_refused(
    where: str, change: dict[str, str], what: str
) -> None:
    record = Record()
    getattr(record, where).update(change)
    with pytest.raises(InputError, match=what):
        record.judge(profile())


def test_profile_for_any_anatomy_fits_all() -> None:
    record = Record()
    record.cohort["anatomy"] = "thorax"
    assert record.judge(profile(anatomy="any")).outcome == "pass"


def test_patient_of_the_training_cannot_give_a_pass() -> None:
    record = Record()
    record.model["training_patients"] = ("patient-A1",)
    verdict = record.judge(profile())
    assert the(verdict, "body MAE", "hospital-A").outcome == "inconclusive"
    assert "trained on A1" in the(verdict, "body MAE", "hospital-A").sentence
    assert the(verdict, "body MAE", "hospital-B").outcome == "pass"


def test_leakage_override_cannot_give_a_pass() -> None:
    record = Record()
    record.settings["allow_leakage"] = True
    assert record.judge(profile()).outcome == "pass"
    record.notices = ("models:/m/1 was trained on 3 of the examined cases",)
    verdict = record.judge(profile())
    assert verdict.outcome == "inconclusive"
    assert verdict.notices[0] == record.notices[0]


def test_case_that_could_not_be_imported_is_told_and_not_judged() -> None:
    record = Record()
    broken = CaseRecord(
        case="A9",
        patient="patient-A9",
        site="hospital-A",
        split=None,
        status="refused",
        reason="could not be imported: missing slice",
    )
    record.cases.append(broken)
    verdict = record.judge(profile())
    assert verdict.outcome == "pass"
    assert "A9 at hospital-A is not judged: could not be imported: missing slice." in (
        verdict.notices
    )
