"""The dose section: what its page says, and that no number of it is invented or lost."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.record_files import read_cases, read_curves, read_measurements
from qa_suite.core.records import Criterion
from reports.facts.dose import DoseReport, dose_report
from reports.facts.dose_goals import at_dose
from reports.facts.readiness import gather
from reports.facts.wording import dose_quantity, dose_range
from reports.html.report import render
from tests import dose_record_factory as factory
from tests.record_factory import make_record
from tests.report_dose_cases import Made, gathered, kept
from tests.report_dose_cases import made as made
from tests.report_dose_cases import page as page
from tests.report_dose_cases import report as report
from tests.test_report import read, words

# ---------------------------------------------------------------------------------------
# The page


def test_without_a_dose_there_is_no_section(tmp_path: Path) -> None:
    _, verdict = make_record(tmp_path, keep=False)
    readiness = gather(tmp_path, verdict)
    assert readiness.dose is None
    page = render(readiness)
    assert 'id="dose"' not in page
    assert 'href="#dose"' not in page


def test_the_section_says_what_was_planned(page: str) -> None:
    said = words(page)
    for must in (
        "Neither dose is renormalised",
        "synthetic − reference",
        "A surrogate, not the clinic's planning system",
        "photon-drawn: photons, conformal, pelvis; made and optimised on the reference CT",
        "60 Gy in 30 fractions; 95 % of the target is to get 95 % of it (57 Gy)",
        "3 beams, gantry 0°, 120° and 240°, couch and collimator 0° (IEC 61217)",
        "physical dose without RBE",
        "the first that the case has: PTV; GTV + 10 mm",
        "line, HU to relative electron density. one straight line",
        "not to be believed anywhere",
        "4 cases of 18 evaluated",
        "The clinic's own doses",
        "both doses are its own, read from files",
    ):
        assert must in said, must


def test_pass_rates_of_different_voxels_say_so(made: Made, page: str) -> None:
    case, plan, _ = factory.DIFFERENTLY_JUDGED
    said = words(page)
    assert "Voxels judged, body" in said
    sentence = f"judged on different voxels in {case}: their pass rates do not compare"
    assert said.count(sentence) == 1
    plans = {one.facts.key: one for one in gathered(made).plans}
    assert plans[plan].differently_judged == (case,)
    assert all(not one.differently_judged for key, one in plans.items() if key != plan)
    assert plans[plan].gammas[0].voxels.mean == 4000


def test_markup_of_the_record_is_escaped_and_the_page_is_well_formed(page: str) -> None:
    assert factory.MARKUP not in page
    assert "pictures &amp; &lt;b&gt;Rectum" in page
    reader = read(page)
    assert len(reader.ids) == len(set(reader.ids))
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in reader.targets)
    assert not re.search(r"\b(nan|None|inf)\b", words(page.replace("&lt;NaN&gt;", "")))


def test_the_same_record_gives_the_same_bytes(made: Made, page: str, tmp_path: Path) -> None:
    _, verdict = factory.make_dose_record(tmp_path)
    assert render(gather(tmp_path, verdict)) == page


def test_dose_stands_in_its_own_section_only(made: Made, page: str) -> None:
    folder, _, verdict = made
    readiness = gather(folder, verdict)
    assert "dose" not in [family.family for family in readiness.families]
    assert not [c for c in readiness.curves if c.curve.startswith("dvh")]
    start = page.index('<section id="dose">')
    elsewhere = page[:start] + page[page.index("</section>", start) :]
    assert "gamma_pass_rate" not in re.sub(r"<details.*", "", elsewhere, flags=re.DOTALL)
    assert "Every measure of the dose" in page


def test_a_plan_that_failed_is_named_with_its_reason(report: DoseReport, page: str) -> None:
    (failed,) = report.plans[0].failed
    assert failed == (factory.FAILED, "A", f"the case has no target: {factory.MARKUP}")
    said = words(page)
    assert said.count("For comparison: bulk densities, body") == 2  # the clinic's doses have none
    assert "A02 site A error: the case has no target" in said
    assert "1 case could not be computed" in words(page)


def test_a_family_that_failed_as_a_whole_is_said(made: Made) -> None:
    folder, evaluation, _ = made
    table = read_measurements(folder)
    broken = (
        table[table["family"] == "dose"]
        .iloc[:1]
        .assign(
            metric="family",
            variant="default",
            region="all",
            status="error",
            value=np.nan,
            why="bang",
        )
    )
    found = dose_report(folder, broken, read_curves(folder), evaluation, read_cases(folder))
    assert found is not None
    assert [(p.status, p.why, p.count) for p in found.unassigned] == [("error", "bang", 1)]
    assert all(not plan.cases for plan in found.plans)


def test_what_no_image_vouches_for_is_warned_of(report: DoseReport) -> None:
    photons, protons, clinic = report.plans
    assert photons.warnings == ()
    assert clinic.warnings == ()
    (said,) = protons.warnings
    assert "G090 3.12 %, up to 12.5 % in C01" in said
    assert "not seen by the source image" in said


# ---------------------------------------------------------------------------------------
# Numbers


def test_the_target_is_told_by_case_and_over_the_patients(report: DoseReport) -> None:
    plan = report.plans[0]
    rows = {row.case: row.values for row in plan.patients}
    d98 = rows["C01"][0]
    assert (d98.reference, d98.synthetic) == (56.0, 57.5)
    assert d98.difference_pct == pytest.approx(2.5)
    mean = plan.metrics[0].difference
    assert mean.mean == pytest.approx((0.6 - 0.3 + 1.5 + 0.0) / 4)
    assert (mean.low, mean.high, mean.worst) == (pytest.approx(-0.3), 1.5, "C01")


def test_many_cases_are_summarised(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reports.facts.dose.MOST_ROWS", 2)
    folder, _, verdict = made
    assert gathered(made).plans[0].patients == ()
    quick = replace(gather(folder, verdict), pictures=(), distributions=(), curves=())
    assert "Mean over 4 patients, and range" in words(render(quick))


def test_goals_are_read_and_flips_named(report: DoseReport, page: str) -> None:
    plan = report.plans[0]
    target, volume, dose, small, nowhere = plan.goals
    assert target.goal.text.replace("\N{NO-BREAK SPACE}", " ") == "D95 ≥ 95 % of prescription"
    assert target.values("reference") == pytest.approx([57.0] * 4)
    assert target.named("lost") == ("B01",)  # 56.7 Gy where 57 are asked for
    assert volume.values("reference") == (30.0, 45.0, 49.0)
    assert volume.named("lost") == ("C01",)
    assert volume.named("met") == ("A01", "B01")
    assert volume.named("undecided") == (factory.OUTSIDE,)
    assert volume.why == "undefined: only 48 % of Rectum lies in the dose grid, and 99 % must"
    assert dose.named("met") == ("A01", "A03", "B01", "C01")
    assert small.why == "undefined: the record holds no D0.03cc"
    assert nowhere.why == "undefined: no case has a structure Nowhere"
    assert plan.unnamed == (0, 0)
    assert "2 goals lost" in words(page)
    assert "1 prescription to a target and 4 organ goals in 4 cases" in words(page)


@pytest.mark.parametrize(
    ("dose", "volume"), [(0, 100.0), (10, 80.0), (15, 70.0), (20, 60.0), (25, 0.0)]
)
def test_a_dvh_is_read_between_its_points_and_beyond_its_end(dose: float, volume: float) -> None:
    points = ((0.0, 100.0), (10.0, 80.0), (20.0, 60.0))
    assert at_dose(points, dose) == pytest.approx(volume)


def test_what_the_profile_bounds_is_marked(made: Made) -> None:
    criterion = Criterion(
        name="g",
        metric="gamma_pass_rate",
        region="body",
        variant="photon-drawn:2pct2mm",
        bound=90.0,
        direction="at_least",
        unit="%",
        min_patients=1,
        source="here",
    )
    photons, protons, _ = gathered(made, (criterion,)).plans
    assert [gamma.judged for gamma in photons.gammas] == [False, True]
    assert [gamma.judged for gamma in protons.gammas] == [False, False]


def test_a_clinics_plan_has_the_prescription_of_its_rows(report: DoseReport) -> None:
    clinic = report.plans[2]
    assert clinic.facts.by_case
    assert kept(clinic).facts.prescription_gy == pytest.approx(factory.PRESCRIPTION_GY)


def test_cases_to_draw_are_each_sites_lowest_gamma_and_what_was_kept(report: DoseReport) -> None:
    plan = report.plans[0]
    assert [case.case for case in plan.case_views] == ["C01", "A01", "B01", "A03"]
    assert [case.lowest for case in plan.case_views] == [True, True, True, False]
    assert {case.case for case in plan.shown} == {"A01", "B01", "C01"}
    assert plan.case_views[0].limit_pct == 5.0  # 1.5 times the largest 95th percentile, 2.5 %


@pytest.mark.parametrize(
    ("value", "unit", "sign", "text"),
    [
        (71.228, "Gy", False, "71.23 Gy"),
        (-0.0342, "Gy", True, "−0.03 Gy"),
        (0.004, "%", True, "0.00 %"),
        (-0.004, "%", True, "0.00 %"),
        (1.0, "%", True, "+1.00 %"),
        (100.0, "%", False, "100 %"),
        (99.996, "%", False, "100.00 %"),
        (0.00123, "1", True, "+0.00123"),
    ],
)
def test_numbers_of_a_table(value: float, unit: str, sign: bool, text: str) -> None:
    assert dose_quantity(value, unit, sign=sign).replace("\N{NO-BREAK SPACE}", " ") == text


def test_a_range_names_its_unit_once() -> None:
    assert (
        dose_range(-1, 2, "%", sign=True).replace("\N{NO-BREAK SPACE}", " ") == "−1.00 to +2.00 %"
    )
    assert dose_range(0.5, 0.25, "1") == "0.500 to 0.250"
