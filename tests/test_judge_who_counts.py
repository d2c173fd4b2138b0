"""Limits of who may be left out, exactly at them, and hospitals of which nobody is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from qa_suite.core.errors import InputError, Problems
from qa_suite.core.records import CaseRecord, Limit, PreflightValue
from qa_suite.judging.criteria import load_profile
from qa_suite.judging.findings import Rules
from tests.judged_values import criterion, found_in, values
from tests.judging_record import Record, profile, sites_said, the
from tests.judging_record import criterion as body_mae

POOLED = body_mae(scope="pooled")


def overlap_of(value: float) -> dict[str, PreflightValue]:
    return {"overlap": PreflightValue(value=value, unit="1", bound=">= 0.5", status="ok")}


# --- how many may be left out


@pytest.mark.parametrize(
    ("fate", "out", "of", "limit", "outcome"),
    [
        ("absent", 1, 5, 0.2, "pass"),
        ("absent", 2, 9, 0.2, "inconclusive"),
        ("absent", 5, 10, 0.2, "inconclusive"),
        ("excluded", 1, 10, 0.1, "pass"),
        ("excluded", 2, 19, 0.1, "inconclusive"),
        ("excluded", 19, 24, 0.1, "inconclusive"),
        ("excluded", 1, 24, 0.0, "inconclusive"),
    ],
)
def test_how_many_patients_may_be_left_out(
    fate: str, out: int, of: int, limit: float, outcome: str
) -> None:
    cases: dict[str, Any] = {f"a{n}": 4.0 for n in range(of - out)}
    cases |= {f"b{n}": fate for n in range(out)}
    rules = Rules(max_refused_fraction=1.0, **{f"max_{fate}_fraction": limit})
    found = found_in(criterion(statistic="max"), values(**cases), rules)
    assert (found.outcome, found.patients, found.missing) == (outcome, of - out, 0)
    assert [r.code for r in found.reasons] == ([fate] if outcome == "inconclusive" else [])


def test_excluding_one_examination_of_a_patient_is_excluding_him() -> None:
    cases = {"a1_1": 4.0, "a1_2": "excluded", "a2": 4.0, "a3": 4.0}
    rules = Rules(max_refused_fraction=1.0, max_excluded_fraction=0.3)
    found = found_in(criterion(statistic="max"), values(**cases), rules)
    assert (found.outcome, found.patients) == ("inconclusive", 3)


def test_what_is_missing_turns_no_failure_round() -> None:
    cases = {"a1": 6.0, "a2": 6.0, "a3": 6.0, "b1": "absent", "b2": "excluded"}
    rules = Rules(max_refused_fraction=1, max_excluded_fraction=0, max_absent_fraction=0)
    assert found_in(criterion(statistic="max"), values(**cases), rules).outcome == "fail"


@pytest.mark.parametrize("limit", [None, 0.05, 1.0])
def test_a_criterion_may_have_its_own_limit_of_absence(limit: float | None) -> None:
    rules = Rules(max_refused_fraction=1.0, max_absent_fraction=0.5)
    cases: dict[str, Any] = {"a1": 4.0, "a2": 4.0, "a3": 4.0, "b1": "absent"}
    found = found_in(criterion(statistic="max", max_absent_fraction=limit), values(**cases), rules)
    assert found.outcome == ("inconclusive" if limit == 0.05 else "pass")


def test_nineteen_of_twenty_four_are_not_excluded_and_passed() -> None:
    record = Record()
    for number, case in enumerate(record.cases):
        record.update_case(case.case, preflight=overlap_of(0.5 if number < 19 else 0.99))
    record.end("A1", "failed", "the translator raised")
    verdict = record.judge(profile(POOLED, exclude={"overlap": {"at_least": 0.95}}))
    assert verdict.outcome == "inconclusive"
    assert "A1" not in verdict.excluded and len(verdict.excluded) == 18
    (found,) = verdict.findings
    assert found.missing_cases == {"A1": "failed, the translator raised"}
    assert verdict.excluded["A2"] == "overlap is 0.500, below 0.95"


def test_a_measure_that_raised_is_lost_though_its_case_is_excluded() -> None:
    record = Record()
    record.update_case("A1", preflight=overlap_of(0.4))
    for case in record.cases[1:]:
        record.update_case(case.case, preflight=overlap_of(0.99))
    record.change(
        lambda r: (r.case, r.metric) == ("A1", "mae"), value=None, status="error", why="it raised"
    )
    dice = body_mae(name="bone", metric="dice", region="seg:Bone", unit="1", bound=0.8,
                    direction="at_least", scope="pooled")  # fmt: skip
    verdict = record.judge(profile(POOLED, dice, exclude={"overlap": {"at_least": 0.95}}))
    mae, bone = verdict.findings
    assert (mae.outcome, mae.missing_cases) == ("inconclusive", {"A1": "it raised"})
    assert (bone.outcome, bone.missing_cases, bone.patients) == ("pass", {}, 23)


# --- on which side a limit is good


@pytest.mark.parametrize(
    ("limit", "good", "bad"),
    [
        ({"at_least": 0.95}, [0.95, 1.0, 7.0], [0.949, -1.0]),
        ({"at_most": 8.0}, [8.0, 0.0, -20.0], [8.001]),
        ({"within": 3.0}, [3.0, -3.0, 0.0], [3.001, -3.001]),
        ({"at_least": -1.0, "at_most": 2.0}, [-1.0, 0.0, 2.0], [-1.001, 2.001]),
    ],
)
def test_a_value_at_its_limit_is_good(
    limit: dict[str, float], good: list[float], bad: list[float]
) -> None:
    asked = Limit.model_validate(limit)
    assert all(asked.allows(value) for value in good)
    assert not any(asked.allows(value) for value in bad)


@pytest.mark.parametrize(
    "wrong", [{}, {"within": -1.0}, {"within": 1.0, "at_most": 2.0}, {"at_least": 2, "at_most": 1}]
)
def test_a_limit_that_says_nothing_or_two_things(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Limit.model_validate(wrong)


@pytest.mark.parametrize("check", ["overlap", "mask_inside", "what_is_this"])
def test_a_bare_number_is_refused_where_its_good_side_is_not_zero(
    tmp_path: Path, check: str
) -> None:
    path = tmp_path / "mine.yaml"
    data = profile().model_dump(mode="json", exclude_none=True) | {"exclude": {check: 0.95}}
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(Problems, match=f"{check}.*at_least: 0.95"):
        load_profile(path)
    data["exclude"] = {check: {"at_least": 0.95}, "alignment_shift": 5.0}
    path.write_text(yaml.safe_dump(data))
    assert load_profile(path).exclude[check] == Limit(at_least=0.95)


def test_a_limit_in_another_unit_than_preflight_recorded_is_refused() -> None:
    with pytest.raises(InputError, match="'cm', and preflight recorded it in 'mm'"):
        Record().judge(profile(exclude={"alignment_shift": {"at_most": 0.5, "unit": "cm"}}))


# --- how much of a region


@pytest.mark.parametrize(
    ("coverage", "asked", "outcome"),
    [
        (0.5, None, "pass"),
        (0.499, None, "inconclusive"),
        (0.02, None, "inconclusive"),
        (0.02, 0.02, "pass"),
        (0.9, 0.95, "inconclusive"),
        (None, None, "pass"),
    ],
)
def test_a_value_of_too_little_of_its_region_is_lost(
    coverage: float | None, asked: float | None, outcome: str
) -> None:
    record = Record()
    record.change(lambda r: (r.case, r.metric) == ("A1", "mae"), coverage=coverage)
    wanted = POOLED.model_copy(update={"min_coverage": asked})
    (found,) = record.judge(profile(wanted)).findings
    assert (found.outcome, list(found.missing_cases)) == (
        outcome,
        [] if outcome == "pass" else ["A1"],
    )


# --- the worst examination


@pytest.mark.parametrize("direction", ["at_most", "at_least", "within"])
def test_a_share_takes_the_worst_examination_and_a_mean_says_that_it_averages(
    direction: str,
) -> None:
    # at +3 and -3 % every patient has one examination on the bad side of 2 %
    here = {f"p{n}_{k}": v for n in range(8) for k, v in ((1, 3 + n / 100), (2, -3.0))}
    limit = {"at_most": 2.0, "at_least": -2.0, "within": 2.0}[direction]
    share = criterion(
        direction, statistic="fraction_within", per_patient_bound=limit, bound=0.5, min_patients=3
    )
    assert found_in(share, values(**here)).estimate == 0.0
    assert found_in(share, values(**here)).outcome == "fail"
    mean = found_in(criterion("within", bound=2.0), values(**here))
    assert mean.estimate == pytest.approx(0.0175)
    assert all("2 examinations a patient" in text for text in (mean.method, mean.sentence))


# --- hospitals


def broken(case: str, site: str) -> CaseRecord:
    return CaseRecord(
        case=case, patient=case, site=site, split=None, status="refused", reason="no slice"
    )


@pytest.mark.parametrize("by", ["cohort", "profile", "old record"])
def test_a_hospital_of_which_nothing_came_is_a_failed_scope(by: str) -> None:
    record = Record()
    if by == "cohort":
        record.cohort["expected_sites"] = (*{c.site for c in record.cases}, "hospital-D")
    if by != "profile":
        record.cases.append(broken("D1", "hospital-D"))
    expected = ("hospital-D",) if by == "profile" else ()
    local = record.judge(profile(body_mae(), expected_sites=expected))
    assert local.outcome == "fail"
    assert the(local, "body MAE", "hospital-D").reasons[0].code == "site_missing"
    assert sites_said(local)["fails"] == ["hospital-D"]
    assert all(the(local, "body MAE", f"hospital-{x}").outcome == "pass" for x in "ABC")
    whole = record.judge(profile(POOLED, expected_sites=expected))
    assert whole.outcome == "inconclusive"
    assert [r.code for r in whole.findings[0].reasons] == ["site_missing"]
    assert "hospital-D" in whole.sentence


def test_a_broken_case_of_a_hospital_that_is_there_fails_nothing() -> None:
    record = Record()
    record.cases.append(broken("C9", "hospital-C"))
    assert record.judge(profile(body_mae())).outcome == "pass"


def test_names_of_hospitals_that_are_too_alike_are_told() -> None:
    record = Record()
    record.add("D1", "patient-D1", "Hospital A ", 50.0)
    (told,) = [n for n in record.judge(profile()).notices if "differ by no more than case" in n]
    assert "'Hospital A '" in told and "'hospital-A'" in told
