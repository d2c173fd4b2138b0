"""The prescription that a target is judged by: stated, of its own in the plan, or refused."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from qa_suite.core.errors import InputError
from qa_suite.core.wording import far_from_prescription
from qa_suite.dose.clinic.beams import imported_fields
from qa_suite.dose.clinic.template import goals_of, imported_template
from qa_suite.dose.plan.prescription import coverage_goal, other_targets, prescription_of
from qa_suite.dose.plan.template import Prescription, load_template
from qa_suite.io.rt.plan.read import read_plan
from qa_suite.io.rt.plan.types import ImportedPlan, TargetDose
from tests.plan_factory import square_beam, write_plan

TEMPLATE = load_template("photon-pelvis")


@pytest.fixture
def plan(tmp_path) -> ImportedPlan:
    return read_plan(write_plan(tmp_path / "rp.dcm", [square_beam(1)]))


def with_doses(plan: ImportedPlan, *doses: TargetDose) -> ImportedPlan:
    from dataclasses import replace

    return replace(plan, target_doses=doses)


BOOST = (
    TargetDose(name="PTV_High", dose_gy=66.0, roi_number=7),
    TargetDose(name="PTV low", dose_gy=50.0, roi_number=8),
)


@pytest.mark.parametrize(
    ("target", "gy"), [("PTV_High", 66), ("ptv high", 66), ("PTV_Low", 50), ("PTVlow", 50)]
)
def test_a_target_has_its_own_prescription_and_not_the_highest(plan, target, gy):
    found, why = prescription_of(TEMPLATE, with_doses(plan, *BOOST), [target])
    assert (found.dose_gy, found.fractions) == (gy, plan.fractions)
    assert why.startswith("rp.dcm: PTV")
    assert found.coverage_pct == TEMPLATE.prescribed.coverage_pct


def test_contours_are_found_by_what_the_structure_set_calls_them(plan):
    named = TargetDose(name="Course A", dose_gy=40.0, roi_number=3, structure="CTV nodes")
    found, _ = prescription_of(TEMPLATE, with_doses(plan, *BOOST, named), ["CTV_Nodes"])
    assert found.dose_gy == 40


def test_which_of_several_is_never_guessed(plan):
    with pytest.raises(InputError, match=r"66 Gy to PTV_High, 50 Gy to PTV low.*--prescription-gy"):
        prescription_of(TEMPLATE, with_doses(plan, *BOOST), ["Prostate"])


def test_the_other_targets_of_a_plan_keep_their_own_doses(plan):
    doses = with_doses(plan, *BOOST, TargetDose(name="Rectum", dose_gy=3.0, at_a_point=True))
    has = ["PTV_High", "PTV_Low", "Rectum", "Bladder"]
    assert other_targets(doses, ["PTV_High"], has) == {"PTV_Low": (50.0, "rp.dcm: PTV low")}
    assert other_targets(doses, ["PTV_High"], ["PTV_High"]) == {}
    asked = coverage_goal(TEMPLATE.prescribed, "PTV_Low", "rp.dcm", dose_gy=50.0)
    assert (asked.text, asked.unit) == ("D95 >= 47.5 Gy", "Gy")
    own = coverage_goal(TEMPLATE.prescribed, "PTV", "a template")
    assert own.text == "D95 >= 95 % of prescription"
    twice = with_doses(plan, *BOOST, TargetDose(name="PTV low", dose_gy=54.0))
    assert other_targets(twice, ["PTV_High"], has) == {}  # which of the two is meant is not known


def test_a_dose_at_a_point_stands_in_only_where_no_volume_has_one(plan):
    point = TargetDose(name="CALC POINT", dose_gy=11.3, at_a_point=True)
    found, _ = prescription_of(TEMPLATE, with_doses(plan, BOOST[0], point), ["Prostate"])
    assert found.dose_gy == 66
    found, why = prescription_of(TEMPLATE, with_doses(plan, point), ["Prostate"])
    assert (found.dose_gy, why) == (11.3, "rp.dcm: CALC POINT, its only prescription")


def test_targets_joined_of_different_doses_are_refused(plan):
    with pytest.raises(InputError, match="--prescription-gy"):
        prescription_of(TEMPLATE, with_doses(plan, *BOOST), ["PTV_High", "PTV_Low"])


def test_one_dose_is_for_whatever_is_judged_and_says_so(plan):
    same = (BOOST[0], TargetDose(name="other", dose_gy=66.0))
    for doses in (BOOST[:1], same):
        found, why = prescription_of(TEMPLATE, with_doses(plan, *doses), ["Prostate"])
        assert found.dose_gy == 66
        assert why == "rp.dcm: PTV_High, its only prescription"


def test_a_plan_without_a_dose_never_takes_the_templates(plan):
    with pytest.raises(InputError, match="prescribes no dose to a target; state it with"):
        prescription_of(TEMPLATE, with_doses(plan), ["PTV"])


def test_what_is_stated_counts_and_says_what_the_plan_says(plan):
    found, why = prescription_of(
        TEMPLATE, with_doses(plan, *BOOST), ["x"], stated_gy=60, stated_fractions=20
    )
    assert (found.dose_gy, found.fractions) == (60, 20)
    assert "rp.dcm prescribes 66 Gy to PTV_High, 50 Gy to PTV low" in why
    assert f"rp.dcm plans {plan.fractions} fractions" in why
    _, why = prescription_of(TEMPLATE, with_doses(plan, *BOOST), ["x"], stated_gy=50)
    assert why == "as stated"


def test_other_fractions_than_the_plans_need_their_dose(plan):
    with pytest.raises(InputError, match="plans 30 fractions, not 20; state the dose of these 20"):
        prescription_of(TEMPLATE, with_doses(plan, BOOST[0]), ["x"], stated_fractions=20)
    found, _ = prescription_of(TEMPLATE, with_doses(plan, BOOST[0]), ["x"], stated_fractions=30)
    assert (found.dose_gy, found.fractions) == (66, 30)


def test_a_plan_that_does_not_say_its_fractions_needs_them(tmp_path):
    path = write_plan(tmp_path / "rp.dcm", [square_beam(1)])
    data = pydicom.dcmread(path)
    del data.FractionGroupSequence[0].NumberOfFractionsPlanned
    data.save_as(path)
    plan = read_plan(path)
    assert plan.fractions is None
    assert "it does not say its number of fractions" in plan.remarks
    with pytest.raises(InputError, match="state it with --fractions"):
        prescription_of(TEMPLATE, plan, ["PTV"])
    found, _ = prescription_of(TEMPLATE, plan, ["PTV"], stated_fractions=25)
    assert found.fractions == 25
    with pytest.raises(InputError, match="state it with --fractions"):
        imported_fields(plan)


def test_without_a_plan_it_is_the_templates_or_what_is_stated():
    found, why = prescription_of(TEMPLATE, None, ["x"])
    assert (found.dose_gy, found.fractions, why) == (78, 39, "template photon-pelvis")
    found, why = prescription_of(TEMPLATE, None, ["x"], stated_gy=60, stated_fractions=20)
    assert (found.dose_gy, found.fractions, why) == (60, 20, "as stated")


def test_a_template_of_the_clinics_plan_has_no_dose_of_its_own(plan):
    template = imported_template(plan.modality, targets=["PTV"])
    found, _ = prescription_of(template, with_doses(plan, BOOST[0]), ["PTV_High"])
    assert found == Prescription(dose_gy=66, fractions=plan.fractions)
    with pytest.raises(InputError, match="of each case's RTPLAN"):
        prescription_of(template, None, ["PTV"])


@pytest.mark.parametrize(("mean", "far"), [(60, False), (66, False), (54, False), (66.7, True)])
def test_a_mean_far_from_its_prescription_is_told(mean, far):
    assert bool(far_from_prescription(mean, 60.0)) == far
    if far:
        assert "66.7 Gy where 60 Gy are prescribed (+11 %)" in far_from_prescription(mean, 60.0)


def test_goals_come_from_a_template_or_a_file(tmp_path):
    assert goals_of("photon-pelvis") == TEMPLATE.goals
    (tmp_path / "goals.yaml").write_text(
        '- {structure: Rectum, goal: "V50Gy <= 50 %", source: "local decision"}\n'
    )
    assert [goal.text for goal in goals_of(str(tmp_path / "goals.yaml"))] == ["V50Gy <= 50 %"]
    with pytest.raises(InputError, match="neither a YAML file nor one of the templates"):
        goals_of(str(Path("nothing.yaml")))
