"""Judging planted tables: the clean twin passes, each planted fault turns it and is named."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.records import Measurement
from qa_suite.judging.judge import judge_tables
from qa_suite.judging.outcomes import interval_outcome, overall_outcome
from tests.judging_record import (
    BONE_DICE,
    PATIENTS,
    SITES,
    WORST,
    Record,
    codes,
    criterion,
    failing,
    profile,
    sites_said,
    the,
)

# ---------------------------------------------------------------------------------------
# The clean twin, and each planted fault


def test_clean_record_passes_and_says_where() -> None:
    verdict = Record().judge(profile())
    assert verdict.outcome == "pass"
    assert sites_said(verdict) == {"holds": list(SITES)}
    assert len(verdict.findings) == 3 + 3 + 1
    assert all(f.missing == 0 for f in verdict.findings)


def test_biased_site_fails_and_is_named() -> None:
    record = Record()
    for case in record.of_site("hospital-C"):
        record.shift(case, by=90)
    verdict = record.judge(profile(criterion(), BONE_DICE))
    assert verdict.outcome == "fail"
    assert failing(verdict) == [("body MAE", "hospital-C")]
    found = the(verdict, "body MAE", "hospital-C")
    assert found.estimate is not None and found.low is not None
    assert found.low > 70
    assert (found.patients, found.missing, found.criterion.confidence) == (8, 0, 0.95)
    for named in ("MAE", "hospital-C", "70 HU", "95 %", "n = 8"):
        assert named in found.sentence
    assert sites_said(verdict) == {"holds": list(SITES[:2]), "fails": ["hospital-C"]}
    shifted = [(g.metric, g.site) for g in verdict.site_gaps if g.shifted]
    assert shifted == [("mae", "hospital-C")]


def test_one_terrible_patient_fails_and_is_named() -> None:
    record = Record()
    record.shift("B3", by=200)
    verdict = record.judge(profile(WORST, criterion(bound=200)))
    assert verdict.outcome == "fail"
    assert failing(verdict) == [("worst MAE", "patient-B3")]
    found = the(verdict, "worst MAE", "patient-B3")
    assert "B3" in found.sentence and "hospital-B" in found.sentence
    assert found.sites == ("hospital-B",)
    assert found.low is None
    assert sites_said(verdict) == {"holds": [SITES[0], SITES[2]], "fails": ["hospital-B"]}


def test_failed_translation_takes_the_pass_away_and_is_named() -> None:
    record = Record()
    record.end("A2", "failed", "RuntimeError: out of memory")
    verdict = record.judge(profile())
    assert verdict.outcome == "inconclusive"
    found = the(verdict, "body MAE", "hospital-A")
    assert (found.outcome, found.missing, found.patients) == ("inconclusive", 1, 7)
    assert found.missing_cases == {"A2": "failed, RuntimeError: out of memory"}
    assert "A2" in found.sentence
    assert the(verdict, "body MAE", "hospital-B").outcome == "pass"
    assert sites_said(verdict)["undecided"] == ["hospital-A"]


def test_missing_patient_does_not_save_a_failing_site() -> None:
    record = Record()
    for case in record.of_site("hospital-C"):
        record.shift(case, by=90)
    record.end("C1", "failed", "RuntimeError: out of memory")
    assert failing(record.judge(profile(criterion()))) == [("body MAE", "hospital-C")]


def test_error_row_takes_the_pass_away() -> None:
    record = Record()
    record.change(
        lambda r: (r.case, r.metric) == ("C4", "dice"), value=None, status="error", why="NaN voxel"
    )
    verdict = record.judge(profile())
    assert verdict.outcome == "inconclusive"
    found = the(verdict, "bone Dice", "hospital-C")
    assert found.missing_cases == {"C4": "NaN voxel"}
    assert the(verdict, "body MAE", "hospital-C").outcome == "pass"


def test_row_that_is_not_there_takes_the_pass_away_with_the_familys_reason() -> None:
    record = Record()
    record.rows = [r for r in record.rows if (r.case, r.metric) != ("C4", "mae")]
    verdict = record.judge(profile(criterion()))
    assert the(verdict, "body MAE", "hospital-C").missing_cases == {"C4": "not measured"}
    record.rows.append(
        Measurement(
            case="C4",
            patient="patient-C4",
            site="hospital-C",
            family="image",
            metric="family",
            region="all",
            value=None,
            unit="",
            status="error",
            why="MemoryError: too large",
        )
    )
    found = the(record.judge(profile(criterion())), "body MAE", "hospital-C")
    assert found.missing_cases == {"C4": "the image measures raised, MemoryError: too large"}


def test_region_that_the_patient_does_not_have_is_named_but_does_not_block() -> None:
    record = Record()
    for metric in ("dice", "missed", "hd95"):
        record.change(
            lambda r, m=metric: (r.case, r.metric) == ("A1", m),
            value=None,
            status="undefined",
            why="the reference does not have this structure",
        )
    verdict = record.judge(profile(BONE_DICE))
    found = the(verdict, "bone Dice", "hospital-A")
    assert (found.outcome, found.patients, found.missing) == ("pass", 7, 0)
    assert "A1: the reference does not have this structure" in found.sentence


def test_structure_that_the_translator_lost_is_no_absence() -> None:
    record = Record()
    record.change(
        lambda r: (r.case, r.metric) == ("A1", "hd95"),
        value=None,
        status="undefined",
        why="the synthetic image does not have this structure",
    )
    record.change(lambda r: (r.case, r.metric) == ("A1", "missed"), value=1.0)
    hd95 = criterion(name="HD95", metric="hd95", region="seg:Bone", unit="mm", bound=6)
    missed = criterion(
        name="missed",
        metric="missed",
        region="seg:Bone",
        unit="1",
        bound=0,
        statistic="max",
        scope="worst_patient",
    )
    verdict = record.judge(profile(hd95, missed))
    assert the(verdict, "HD95", "hospital-A").outcome == "inconclusive"
    assert the(verdict, "HD95", "hospital-A").missing == 1
    assert failing(verdict) == [("missed", "patient-A1")]


def test_refused_cases_are_shown_and_block_only_beyond_the_share() -> None:
    record = Record()
    record.end("A1", "refused", "residual shift 14 mm")
    verdict = record.judge(profile())
    assert verdict.outcome == "pass"
    found = the(verdict, "body MAE", "hospital-A")
    assert (found.missing, found.patients) == (1, 7)
    assert "refused by preflight: A1" in found.sentence
    assert "1 case refused by preflight" in verdict.sentence
    record.end("A2", "refused", "residual shift 12 mm")
    verdict = record.judge(profile())
    assert verdict.outcome == "inconclusive"
    assert (
        "preflight refused 2 of 8 patients, more than 20 %"
        in the(verdict, "body MAE", "hospital-A").sentence
    )
    assert record.judge(profile(max_refused_fraction=0.25)).outcome == "pass"


def test_too_few_patients_are_inconclusive_whatever_their_values() -> None:
    for bound, values in ((70, "good"), (10, "bad")):
        verdict = Record().judge(profile(criterion(bound=bound, min_patients=9)))
        assert verdict.outcome == "inconclusive", values
        found = the(verdict, "body MAE", "hospital-A")
        assert (codes(found)[0], found.patients) == ("too_few_patients", 8)
        assert found.because == "n = 8 of 9 required"


def test_straddling_interval_is_inconclusive() -> None:
    mean = np.mean([r.value for r in Record().rows if r.metric == "mae" and r.case[0] == "B"])
    verdict = Record().judge(profile(criterion(bound=float(mean) + 0.1)))
    found = the(verdict, "body MAE", "hospital-B")
    assert found.outcome == "inconclusive"
    assert codes(found) == ["interval_includes_bound"]
    assert found.low < found.criterion.bound < found.high


def test_examinations_of_one_patient_are_not_counted_double() -> None:
    record = Record()
    for number in range(2, 9):
        record.add(f"A1-{number}", "patient-A1", "hospital-A", 50)
    found = the(record.judge(profile(criterion())), "body MAE", "hospital-A")
    assert found.patients == PATIENTS
    alone = Record()
    alone.cases = [c for c in alone.cases if c.site != "hospital-A"]
    alone.rows = [r for r in alone.rows if r.site != "hospital-A"]
    for number in range(1, 9):
        alone.add(f"A1-{number}", "patient-A1", "hospital-A", 50 + number)
    found = the(alone.judge(profile(criterion())), "body MAE", "hospital-A")
    assert (found.patients, found.outcome) == (1, "inconclusive")


def test_worst_examination_counts_not_the_patients_average() -> None:
    record = Record()
    record.add("B1-2", "patient-B1", "hospital-B", 140)
    assert failing(record.judge(profile(WORST))) == [("worst MAE", "patient-B1")]


def test_lost_examination_of_a_measured_patient_counts() -> None:
    record = Record()
    record.add("B1-2", "patient-B1", "hospital-B", 50)
    record.end("B1-2", "failed", "stopped")
    found = the(record.judge(profile(criterion())), "body MAE", "hospital-B")
    assert (found.patients, found.missing, found.outcome) == (8, 1, "inconclusive")


# ---------------------------------------------------------------------------------------
# Scopes and statistics


def test_pooled_counts_every_patient_once() -> None:
    verdict = Record().judge(profile(criterion(scope="pooled", min_patients=24)))
    found = the(verdict, "body MAE", "pooled")
    assert (found.outcome, found.patients, found.sites) == ("pass", 24, SITES)


def test_median_bears_an_outlier_that_turns_the_mean() -> None:
    record = Record()
    record.add("C9", "patient-C9", "hospital-C", 50)  # from nine on the 2nd of each end bounds
    record.shift("C1", by=500)
    mean, median = criterion(), criterion(name="median MAE", statistic="median")
    verdict = record.judge(profile(mean, median))
    assert the(verdict, "body MAE", "hospital-C").outcome == "inconclusive"
    assert the(verdict, "median MAE", "hospital-C").outcome == "pass"


def test_fraction_within_uses_exact_limits() -> None:
    share = {"statistic": "fraction_within", "per_patient_bound": 70, "scope": "pooled"}
    record = Record()
    verdict = record.judge(profile(criterion(bound=0.85, **share)))
    found = the(verdict, "body MAE", "pooled")
    assert (found.estimate, found.outcome) == (1, "pass")
    assert found.low == pytest.approx(0.025 ** (1 / 24))
    for case in ("A1", "B1", "C1"):
        record.shift(case, by=100)
    verdict = record.judge(profile(criterion(bound=0.85, **share)))
    found = the(verdict, "body MAE", "pooled")
    assert (found.estimate, found.outcome) == (21 / 24, "inconclusive")
    assert "share of patients 87.5 %" in found.sentence


def test_within_fails_on_either_side() -> None:
    bias = criterion(name="ME", metric="me", direction="within", bound=10)
    assert Record().judge(profile(bias)).outcome == "pass"
    for by in (30, -30):
        record = Record()
        for case in record.of_site("hospital-B"):
            record.shift(case, metric="me", by=by)
        verdict = record.judge(profile(bias))
        assert failing(verdict) == [("ME", "hospital-B")]
        found = the(verdict, "ME", "hospital-B")
        assert abs(found.estimate) > 10 and "±10" in found.sentence


def test_new_site_counts_only_sites_that_were_not_trained_on() -> None:
    new = criterion(name="new site", scope="new_site", bound=90)
    record = Record()
    found = the(record.judge(profile(new)), "new site", "new site")
    assert (found.outcome, found.sites) == ("inconclusive", ("hospital-C",))
    record.model["training_sites"] = ()
    found = the(record.judge(profile(new)), "new site", "new site")
    assert (found.outcome, found.sites) == ("inconclusive", SITES)
    assert codes(found) == ["no_interval"] and "3 of 6 sites" in found.sentence
    more = ("hospital-D", "hospital-E", "hospital-F")
    for n, site in enumerate(more):
        for patient in range(5):
            record.add(f"{site[-1]}{patient}", f"{site}-{patient}", site, 48 + 2 * n + patient)
    found = the(record.judge(profile(new)), "new site", "new site")
    assert (found.outcome, found.sites) == ("pass", (*SITES, *more))
    assert found.low < found.estimate < found.high < 90
    assert found.speaks_of == "a hospital never seen"


@pytest.mark.parametrize(
    ("direction", "low", "high", "expected"),
    [
        ("at_most", 1, 10, "pass"),
        ("at_most", 9, 10.1, "inconclusive"),
        ("at_most", 10, 11, "inconclusive"),
        ("at_most", 10.1, 11, "fail"),
        ("at_least", 10, 11, "pass"),
        ("at_least", 9, 9.9, "fail"),
        ("at_least", 9, 10, "inconclusive"),
        ("within", -10, 10, "pass"),
        ("within", -10.1, 0, "inconclusive"),
        ("within", 10.1, 12, "fail"),
        ("within", -12, -10.1, "fail"),
        ("within", -12, 12, "inconclusive"),
    ],
)
def test_interval_against_bound(direction: str, low: float, high: float, expected: str) -> None:
    assert interval_outcome(criterion(direction=direction, bound=10), low, high) == expected


def test_overall_outcome() -> None:
    assert overall_outcome(["pass", "inconclusive", "fail"]) == "fail"
    assert overall_outcome(["pass", "inconclusive"]) == "inconclusive"
    assert overall_outcome(["pass"]) == "pass"
    assert overall_outcome([]) == "inconclusive"


def test_no_case_left_is_no_pass() -> None:
    record = Record()
    record.cases, record.rows = [], []
    table = Record().table().iloc[:0]
    verdict = judge_tables(record.evaluation(), table, [], profile())
    assert verdict.outcome == "inconclusive"


def test_metric_that_was_never_measured_is_no_pass() -> None:
    verdict = Record().judge(profile(criterion(metric="gamma", unit="%")))
    assert verdict.outcome == "inconclusive"
    assert {f.scope_name for f in verdict.findings} == set(SITES)
    for found in verdict.findings:
        assert codes(found) == ["nothing_measured"] and "gamma" in found.sentence
