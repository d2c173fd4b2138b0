"""Judging planted tables: the clean twin passes, each planted fault turns it and is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from qa_suite.core.errors import InputError, Problems, QAError, UnknownName
from qa_suite.core.record_files import (
    CASES_FILE,
    EVALUATION_FILE,
    MEASUREMENTS_FILE,
    write_model,
    write_table,
)
from qa_suite.core.records import (
    CaseRecord,
    CodeFacts,
    CohortFacts,
    Criterion,
    Evaluation,
    Finding,
    Measurement,
    ModelFacts,
    PreflightValue,
    Profile,
    Verdict,
    When,
)
from qa_suite.judging.criteria import list_profiles, load_profile
from qa_suite.judging.judge import judge, judge_tables, read_verdicts, save_verdict
from qa_suite.judging.outcomes import interval_outcome, overall_outcome

SITES = ("hospital-A", "hospital-B", "hospital-C")
PATIENTS = 8


class Record:
    """A record in the making: three sites, eight patients each, all good."""

    def __init__(self, *, seed: int = 3) -> None:
        rng = np.random.default_rng(seed)
        self.cases: list[CaseRecord] = []
        self.rows: list[Measurement] = []
        self.model: dict[str, Any] = {"training_sites": SITES[:2], "direction": "MR->CT"}
        self.cohort: dict[str, Any] = {"direction": "MR->CT", "anatomy": "pelvis"}
        self.settings: dict[str, Any] = {}
        self.notices: tuple[str, ...] = ()
        for site in SITES:
            for number in range(1, PATIENTS + 1):
                name = f"{site[-1]}{number}"
                self.add(
                    name,
                    f"patient-{name}",
                    site,
                    50 + 5 * rng.standard_normal(),
                    dice=0.9 + 0.01 * rng.standard_normal(),
                )

    def add(self, case: str, patient: str, site: str, mae: float, *, dice: float = 0.9) -> None:
        shift = PreflightValue(value=1.0, unit="mm", bound="<= 10 mm", status="ok")
        self.cases.append(
            CaseRecord(
                case=case,
                patient=patient,
                site=site,
                split="test",
                status="evaluated",
                preflight={"alignment_shift": shift},
            )
        )
        for metric, region, value, unit in (
            ("mae", "body", mae, "HU"),
            ("me", "body", (mae - 50) / 5, "HU"),
            ("dice", "seg:Bone", dice, "1"),
            ("missed", "seg:Bone", 0.0, "1"),
            ("hd95", "seg:Bone", 4.0, "mm"),
        ):
            self.rows.append(
                Measurement(
                    case=case,
                    patient=patient,
                    site=site,
                    family="image",
                    metric=metric,
                    region=region,
                    value=value,
                    unit=unit,
                )
            )

    def change(self, keep: Callable[[Measurement], bool], **update: Any) -> None:
        self.rows = [r.model_copy(update=update) if keep(r) else r for r in self.rows]

    def shift(self, case: str, *, metric: str = "mae", by: float) -> None:
        self.rows = [
            r.model_copy(update={"value": (r.value or 0) + by})
            if r.case == case and r.metric == metric
            else r
            for r in self.rows
        ]

    def end(self, case: str, status: str, reason: str) -> None:
        self.rows = [r for r in self.rows if r.case != case]
        self.update_case(case, status=status, reason=reason)

    def update_case(self, case: str, **update: Any) -> None:
        self.cases = [c.model_copy(update=update) if c.case == case else c for c in self.cases]

    def of_site(self, site: str) -> list[str]:
        return [case.case for case in self.cases if case.site == site]

    def evaluation(self) -> Evaluation:
        status = [case.status for case in self.cases]
        return Evaluation(
            evaluation="0123456789abcdef",
            model=ModelFacts(uri="models:/m/1", name="m", family="regression", **self.model),
            cohort=CohortFacts(
                name="three",
                digest="d",
                split="test",
                cases=len(status),
                patients=len(status),
                sites=SITES,
                **self.cohort,
            ),
            code=CodeFacts(
                suite_version="0", git_commit=None, git_dirty=None, python="3.11", packages={}
            ),
            settings=self.settings,
            case_counts={"held_out": len(status), "refused": status.count("refused")},
            notices=self.notices,
            when=When(started="2026-01-01", finished="2026-01-01"),
        )

    def table(self) -> pd.DataFrame:
        return pd.DataFrame([row.model_dump() for row in self.rows])

    def judge(self, profile: Profile) -> Verdict:
        return judge_tables(self.evaluation(), self.table(), self.cases, profile)

    def write(self, folder: Path) -> None:
        tables = {
            MEASUREMENTS_FILE: write_table(folder / MEASUREMENTS_FILE, self.rows, Measurement),
            CASES_FILE: write_table(folder / CASES_FILE, self.cases, CaseRecord),
        }
        evaluation = self.evaluation().model_copy(update={"tables_sha256": tables})
        write_model(folder / EVALUATION_FILE, evaluation)


def criterion(**more: Any) -> Criterion:
    facts = {
        "name": "body MAE",
        "metric": "mae",
        "region": "body",
        "bound": 70,
        "unit": "HU",
        "direction": "at_most",
        "scope": "each_site",
        "min_patients": 5,
        "source": "local decision",
    }
    return Criterion.model_validate(facts | more)


BONE = {"metric": "dice", "region": "seg:Bone", "unit": "1", "direction": "at_least"}
WORST = criterion(name="worst MAE", scope="worst_patient", statistic="max", bound=100)
BONE_DICE = criterion(name="bone Dice", bound=0.8, **BONE)


def profile(*criteria: Criterion, **more: Any) -> Profile:
    facts = {
        "name": "pelvis",
        "version": "1.0",
        "direction": "MR->CT",
        "anatomy": "pelvis",
        "intended_use": "tests",
        "criteria": criteria or (criterion(), BONE_DICE, WORST),
    }
    return Profile.model_validate(facts | more)


def failing(verdict: Verdict) -> list[tuple[str, str]]:
    return [(f.criterion.name, f.scope_name) for f in verdict.findings if f.outcome == "fail"]


def the(verdict: Verdict, name: str, scope_name: str) -> Finding:
    (found,) = [
        f for f in verdict.findings if (f.criterion.name, f.scope_name) == (name, scope_name)
    ]
    return found


# ---------------------------------------------------------------------------------------
# The clean twin, and each planted fault


def test_clean_record_passes_and_says_where() -> None:
    verdict = Record().judge(profile())
    assert verdict.outcome == "pass"
    assert "holds at hospital-A, hospital-B and hospital-C" in verdict.sentence
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
    assert "MAE in body at hospital-C: " in found.sentence
    assert "is above the bound of 70 HU" in found.sentence
    assert "95 % CI" in found.sentence and "n = 8" in found.sentence
    assert "holds at hospital-A and hospital-B; fails at hospital-C" in verdict.sentence
    shifted = [(g.metric, g.site) for g in verdict.site_gaps if g.shifted]
    assert shifted == [("mae", "hospital-C")]


def test_one_terrible_patient_fails_and_is_named() -> None:
    record = Record()
    record.shift("B3", by=200)
    verdict = record.judge(profile(WORST, criterion(bound=200)))
    assert verdict.outcome == "fail"
    assert failing(verdict) == [("worst MAE", "patient-B3")]
    found = the(verdict, "worst MAE", "patient-B3")
    assert "B3 at hospital-B" in found.sentence
    assert found.sites == ("hospital-B",)
    assert found.low is None
    assert "holds at hospital-A and hospital-C; fails at hospital-B" in verdict.sentence


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
    assert "undecided at hospital-A" in verdict.sentence


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
        sentence = the(verdict, "body MAE", "hospital-A").sentence
        assert "8 patients are fewer than the 9 required" in sentence


def test_straddling_interval_is_inconclusive() -> None:
    mean = np.mean([r.value for r in Record().rows if r.metric == "mae" and r.case[0] == "B"])
    verdict = Record().judge(profile(criterion(bound=float(mean) + 0.1)))
    found = the(verdict, "body MAE", "hospital-B")
    assert found.outcome == "inconclusive"
    assert "undecided: the interval includes it" in found.sentence


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
# Exclusion, fit, leakage


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
    assert "1 case excluded by the profile" in verdict.sentence


def test_site_of_excluded_cases_only_is_undecided_not_forgotten() -> None:
    record = Record()
    for case in record.of_site("hospital-C"):
        record.update_case(case, preflight=shift_of(9))
    verdict = record.judge(profile(criterion(), exclude={"alignment_shift": 5.0}))
    found = the(verdict, "body MAE", "hospital-C")
    assert found.outcome == "inconclusive"
    assert "every case is excluded by the profile" in found.sentence
    assert "undecided at hospital-C" in verdict.sentence


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
    assert any("undetermined for A3 and A4, who are excluded" in n for n in verdict.notices)
    assert "2 cases excluded by the profile" in verdict.sentence


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
        assert "lies outside the bound of ±10" in the(verdict, "ME", "hospital-B").sentence


def test_new_site_counts_only_sites_that_were_not_trained_on() -> None:
    new = criterion(name="new site", scope="new_site", bound=90)
    record = Record()
    found = the(record.judge(profile(new)), "new site", "new site")
    assert (found.outcome, found.sites) == ("inconclusive", ("hospital-C",))
    record.model["training_sites"] = ()
    found = the(record.judge(profile(new)), "new site", "new site")
    assert (found.outcome, found.sites) == ("pass", SITES)
    assert "prediction interval" in found.sentence


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
    assert "was not measured; evaluate again" in verdict.findings[0].sentence


# ---------------------------------------------------------------------------------------
# Tables that cannot be true


def test_nan_is_refused() -> None:
    record = Record()
    table = record.table()
    table.loc[table["case"] == "A1", "value"] = np.nan
    with pytest.raises(Problems, match="mae in body of case A1 is ok but not a finite number"):
        judge_tables(record.evaluation(), table, record.cases, profile())


def test_all_contradictions_are_reported_together() -> None:
    record = Record()
    table = pd.concat([record.table(), record.table().iloc[:1]], ignore_index=True)
    table.loc[table["case"] == "B2", "site"] = "hospital-Z"
    table.loc[table["case"] == "B3", "case"] = "B33"
    with pytest.raises(Problems) as caught:
        judge_tables(record.evaluation(), table, record.cases, profile())
    text = str(caught.value)
    assert "is there twice" in text
    assert "case B2 has another patient or site" in text
    assert "case B33 was measured but is not in the case table" in text


def test_other_unit_is_refused() -> None:
    with pytest.raises(InputError, match=r"bounds mae in 'mm', but it was measured in 'HU'"):
        Record().judge(profile(criterion(unit="mm")))


# ---------------------------------------------------------------------------------------
# Pure, repeatable, and on disk


def test_same_input_same_verdict_and_nothing_is_changed() -> None:
    record = Record()
    table, before = record.table(), record.table()
    first = judge_tables(record.evaluation(), table, record.cases, profile())
    shuffled = table.sample(frac=1, random_state=1)
    again = judge_tables(record.evaluation(), shuffled, record.cases[::-1], profile())
    assert first == again
    pd.testing.assert_frame_equal(table, before)


def test_new_bounds_judge_an_old_record_anew() -> None:
    record = Record()
    outcomes = {b: record.judge(profile(criterion(bound=b))).outcome for b in (70, 50, 30)}
    assert outcomes == {70: "pass", 50: "inconclusive", 30: "fail"}


def test_the_page_has_the_bounds_of_the_pelvis_profile() -> None:
    """Between its marks, a row a criterion; the profile's version above them."""
    from reports.facts.wording import criterion_text

    profile = load_profile("mr-to-ct-pelvis")
    scopes = {"each_site": "each site", "pooled": "all patients", "worst_patient": "each patient"}
    rows = [
        f"| {c.name} | `{c.metric}` | {criterion_text(c).split(': ', 1)[1]} | {scopes[c.scope]} |"
        for c in profile.criteria
    ]
    head = f"| Version {profile.version} | Measure | Bound | Of |"
    wanted = [head, "|---|---|---|---|", *(row.replace("\N{NO-BREAK SPACE}", " ") for row in rows)]
    page = (Path(__file__).parent.parent / "docs" / "judging.md").read_text()
    found = page.split("<!-- pelvis: begin -->\n")[1].split("\n<!-- pelvis: end -->")[0]
    assert found.splitlines() == wanted


def test_verdict_on_disk(tmp_path: Path) -> None:
    Record().write(tmp_path)
    assert read_verdicts(tmp_path) == ()
    verdict = judge(tmp_path, profile())
    path = save_verdict(verdict, tmp_path)
    assert path == tmp_path / "verdicts" / f"pelvis-{verdict.profile_sha256[:8]}.json"
    stricter = judge(tmp_path, profile(criterion(bound=30)))
    save_verdict(stricter, tmp_path)
    save_verdict(verdict, tmp_path)
    assert {v.outcome for v in read_verdicts(tmp_path)} == {"pass", "fail"}
    assert verdict in read_verdicts(tmp_path)


def test_changed_table_is_not_judged(tmp_path: Path) -> None:
    record = Record()
    record.write(tmp_path)
    record.shift("A1", by=1)
    write_table(tmp_path / MEASUREMENTS_FILE, record.rows, Measurement)
    with pytest.raises(InputError, match="was changed after it was measured"):
        judge(tmp_path, profile())


# ---------------------------------------------------------------------------------------
# HU beyond the HLUT


def with_beyond(share: float) -> Record:
    """A good record in which the first case's beams met HU beyond their table."""
    record = Record()
    for index, case in enumerate(record.cases):
        record.rows.append(
            Measurement(
                case=case.case,
                patient=case.patient,
                site=case.site,
                family="dose",
                metric="path_beyond_table",
                region="all",
                variant="photon-pelvis",
                value=share if index == 0 else 0.0,
                unit="%",
            )
        )
    return record


def test_beams_through_hu_beyond_the_table_leave_every_profile_undecided() -> None:
    verdict = with_beyond(12.0).judge(profile(criterion()))
    assert verdict.outcome == "inconclusive"
    (found,) = [f for f in verdict.findings if f.criterion.metric == "path_beyond_table"]
    assert found.outcome == "inconclusive" and found.scope_name == "patient-A1"
    assert "photon-pelvis" in found.criterion.name and "end of the HLUT" in found.sentence


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_beams_within_the_table_are_no_finding(share: float) -> None:
    verdict = with_beyond(share).judge(profile(criterion()))
    assert verdict.outcome == "pass"
    assert not any(f.criterion.metric == "path_beyond_table" for f in verdict.findings)


# ---------------------------------------------------------------------------------------
# Profiles


def test_shipped_profiles_agree_with_the_metrics() -> None:
    from qa_suite.dose.hlut.tables import load_hlut
    from qa_suite.dose.plan.template import load_template
    from qa_suite.metrics.dose.settings import DoseSettings, PlanChoice
    from qa_suite.metrics.run import METRICS, variants_of
    from qa_suite.metrics.settings import MeasureSettings

    better = {"at_most": "lower", "at_least": "higher", "within": "zero"}
    plans = tuple(
        PlanChoice(template=load_template(plan), hlut=load_hlut(hlut))
        for plan, hlut in (
            ("photon-pelvis", "thomas-1999"),
            ("proton-pelvis", "electron-density-as-rsp"),
        )
    )
    variants = variants_of(MeasureSettings(dose=DoseSettings(plans=plans)))
    names = [p.name for p in list_profiles()]
    assert names == sorted(names) and "mr-to-ct-pelvis" in names
    for shipped in list_profiles():
        assert load_profile(shipped.name) == shipped
        for item in shipped.criteria:
            facts = METRICS[item.metric].facts
            assert item.unit == facts.unit, item.name
            assert facts.direction in ("none", better[item.direction]), item.name
            assert item.variant in variants


def test_demo_profile_names_the_third_hospital() -> None:
    record = Record()
    for case in record.cases:  # a body MAE of 40 HU at home, well within the demo's bounds
        record.shift(case.case, by=90 if case.site == "hospital-C" else -10)
    for row in [r for r in record.rows if r.metric == "mae"]:
        record.rows.append(row.model_copy(update={"region": "bone", "value": 200.0}))
    verdict = record.judge(load_profile("demo-pelvis"))
    assert verdict.outcome == "fail"
    assert {f.sites for f in verdict.findings if f.outcome == "fail"} == {("hospital-C",)}
    assert "holds at hospital-A and hospital-B; fails at hospital-C" in verdict.sentence


def test_unknown_profile_lists_close_names() -> None:
    with pytest.raises(UnknownName, match="mr-to-ct-pelvis"):
        load_profile("mr-to-ct-pelvs")


def test_profile_file_reports_all_problems_together(tmp_path: Path) -> None:
    data = profile(criterion(), BONE_DICE).model_dump(mode="json")
    data["criteria"][0] |= {"source": "", "confidence": 95, "bond": 70}
    data["criteria"][1]["statistic"] = "fraction_within"
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(Problems) as caught:
        load_profile(path)
    text = str(caught.value)
    for what in (
        "criteria.0.source",
        "criteria.0.confidence",
        "criteria.0.bond",
        "unknown key",
        "fraction_within and per_patient_bound belong together",
    ):
        assert what in text


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[1, 2", "not a readable YAML"),
        ("- 1", "holds no profile"),
        ("!!python/object/apply:os.system ['true']", "not a readable YAML"),
        ("\x00", "not a readable YAML"),
    ],
)
def test_unreadable_profiles_are_one_sentence(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(QAError, match=what):
        load_profile(path)


def test_profile_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no profile at"):
        load_profile(tmp_path / "none.yaml")


def test_two_criteria_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(profile(criterion(), criterion()).model_dump(mode="json")))
    with pytest.raises(Problems, match="two criteria are named 'body MAE'"):
        load_profile(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"statistic": "fraction_within"},
        {"per_patient_bound": 3},
        {"statistic": "fraction_within", "per_patient_bound": 3, "bound": 90},
        {"direction": "within", "bound": -3},
        {"statistic": "min"},
        {"statistic": "median", "scope": "worst_patient"},
        {"statistic": "median", "scope": "new_site"},
    ],
)
def test_criteria_that_contradict_themselves(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        criterion(**wrong)
