"""What is told of a plan that may be used: on the terminal, in the record, in notices."""

from __future__ import annotations

import pydicom
import pytest
from pydicom.sequence import Sequence as DicomSequence

from qa_suite.core.errors import InputError, Problems
from qa_suite.io.rt.plan.read import read_plan, require_supported
from tests.plan_factory import ion_beam, mlc_beam, square_beam, write_plan
from tests.rt_factory import item


def remarks(path) -> str:
    return "\n".join(read_plan(path).remarks)


TRUST = {
    "REJECTED (ApprovalStatus)": {"ApprovalStatus": "REJECTED"},
    "UNAPPROVED (ApprovalStatus)": {"ApprovalStatus": "UNAPPROVED"},
    "no ApprovalStatus": {"ApprovalStatus": None},
    "a plan of VERIFICATION": {"PlanIntent": "VERIFICATION"},
    "a plan of MACHINE_QA": {"PlanIntent": "MACHINE_QA"},
    "content is of RESEARCH": {"ContentQualification": "RESEARCH"},
    "calls itself synthetic": {"SyntheticData": "YES"},
    "CONCURRENT, which is not computed: both doses add up": {
        "ReferencedRTPlanSequence": DicomSequence([item(RTPlanRelationship="CONCURRENT")])
    },
    "its geometry is TREATMENT_DEVICE": {"RTPlanGeometry": "TREATMENT_DEVICE"},
    "names no structure set": {"ReferencedStructureSetSequence": None},
    "names no frame of reference": {"FrameOfReferenceUID": None},
}


@pytest.mark.parametrize("words", TRUST)
def test_what_casts_doubt_on_a_plan_is_told(tmp_path, words):
    assert words not in remarks(write_plan(tmp_path / "p.dcm"))
    assert words in remarks(write_plan(tmp_path / "p.dcm", **TRUST[words]))


def test_a_curative_approved_plan_gets_no_remark(tmp_path):
    assert remarks(write_plan(tmp_path / "p.dcm", PlanIntent="CURATIVE")) == ""


def test_a_plan_of_no_patient_is_refused(tmp_path):
    tags = {"RTPlanGeometry": "TREATMENT_DEVICE", "ReferencedStructureSetSequence": None}
    with pytest.raises(Problems, match="geometry TREATMENT_DEVICE, made on no patient's"):
        require_supported(read_plan(write_plan(tmp_path / "p.dcm", **tags)))


def setups(*positions: str) -> dict[str, DicomSequence]:
    items = [item(PatientSetupNumber=n, PatientPosition=p) for n, p in enumerate(positions, 1)]
    return {"PatientSetupSequence": DicomSequence(items)}


def test_each_beam_is_in_its_own_setup(tmp_path):
    beams = [square_beam(1, ReferencedPatientSetupNumber=2)]
    plan = read_plan(write_plan(tmp_path / "p.dcm", beams, **setups("HFS", "FFP")))
    assert plan.patient_position == "FFP"
    beams = [square_beam(n, ReferencedPatientSetupNumber=n) for n in (1, 2)]
    with pytest.raises(Problems, match=r"differ in patient position \(FFS for field 2; HFS for"):
        read_plan(write_plan(tmp_path / "p.dcm", beams, **setups("HFS", "FFS")))
    beams = [square_beam(1, ReferencedPatientSetupNumber=7)]
    with pytest.raises(Problems, match="set-up 7, which is not there"):
        read_plan(write_plan(tmp_path / "p.dcm", beams, **setups("HFS", "FFS")))
    assert "set-up 7; the only one" in remarks(
        write_plan(tmp_path / "p.dcm", beams, **setups("HFS"))
    )


def test_a_beam_without_monitor_units_is_left_out_and_told(tmp_path):
    beams = [square_beam(1), square_beam(2, gantry=90), square_beam(3, gantry=180)]
    plan = read_plan(write_plan(tmp_path / "p.dcm", beams, [100.0, 0.0, 1e-7]))
    assert [beam.number for beam in plan.beams] == [1]
    assert any(
        r.startswith("beams field 2, field 3: 0 monitor units (BeamMeterset)") for r in plan.remarks
    )
    with pytest.raises(Problems, match="no treatment beam with monitor units"):
        read_plan(write_plan(tmp_path / "p.dcm", beams, [0.0, 0.0, 0.0]))
    with pytest.raises(Problems, match="field 2: no monitor units"):
        read_plan(write_plan(tmp_path / "p.dcm", beams, [100.0, None, 0.0]))
    with pytest.raises(Problems, match="field 2: -5 monitor units"):
        read_plan(write_plan(tmp_path / "p.dcm", beams, [100.0, -5.0, 0.0]))


def test_an_imaging_beam_needs_no_monitor_units(tmp_path):
    kinds = ("SETUP", "OPEN_PORTFILM", "TRMT_PORTFILM")
    beams = [square_beam(1)]
    beams += [square_beam(n, TreatmentDeliveryType=kind) for n, kind in enumerate(kinds, 2)]
    plan = read_plan(write_plan(tmp_path / "p.dcm", beams, [100.0, None, 0.0, None]))
    assert [beam.number for beam in plan.beams] == [1]
    assert sum("left out" in remark for remark in plan.remarks) == 3


def test_duplicates_are_named(tmp_path):
    twins = [square_beam(1, BeamName="A"), square_beam(2, BeamName="A")]
    said = remarks(write_plan(tmp_path / "p.dcm", twins, [100.0, 100.0]))
    assert "2 beams are called A" in said
    assert "beams A, A deliver the same; one of them may be a copy" in said
    others = [square_beam(1), square_beam(2)]
    assert "deliver the same" not in remarks(write_plan(tmp_path / "p.dcm", others, [1.0, 2.0]))
    same = [square_beam(3, BeamName="A"), square_beam(3, BeamName="B")]
    with pytest.raises(Problems, match="beams A, B share the number 3"):
        read_plan(write_plan(tmp_path / "p.dcm", same))


def test_a_fraction_group_must_fit_its_beams(tmp_path):
    path = write_plan(tmp_path / "p.dcm", [square_beam(1)])
    dataset = pydicom.dcmread(path)
    group = dataset.FractionGroupSequence[0]
    group.ReferencedBeamSequence.append(item(ReferencedBeamNumber=5, BeamMeterset=9))
    group.ReferencedBeamSequence.append(item(ReferencedBeamNumber=1, BeamMeterset=9))
    dataset.save_as(path, enforce_file_format=True)
    with pytest.raises(Problems) as caught:
        read_plan(path)
    text = str(caught.value)
    for words in ("refers to beam 5, which is not there", "refers to beam 1 2 times"):
        assert words in text


def test_harmless_miscounts_are_told(tmp_path):
    path = write_plan(tmp_path / "p.dcm", [square_beam(1, NumberOfControlPoints=3)])
    dataset = pydicom.dcmread(path)
    dataset.FractionGroupSequence[0].ReferencedBeamSequence.append(
        item(ReferencedBeamNumber=5, BeamMeterset=0)
    )
    dataset.save_as(path, enforce_file_format=True)
    said = remarks(path)
    for words in (
        "refers to beam 5, which",
        "speaks of 1 beam and refers to 2",
        "field 1: 2 control points, and it speaks of 3",
    ):
        assert words in said


def test_leaves_that_are_no_device_are_not_ignored(tmp_path):
    beam = mlc_beam(1)
    del beam.BeamLimitingDeviceSequence[2]
    with pytest.raises(Problems, match="positions of MLCX, which is none of the beam's devices"):
        read_plan(write_plan(tmp_path / "p.dcm", [beam]))
    beam = mlc_beam(1)
    beam.BeamLimitingDeviceSequence.append(beam.BeamLimitingDeviceSequence[2])
    with pytest.raises(Problems, match="2 devices of type MLCX"):
        read_plan(write_plan(tmp_path / "p.dcm", [beam]))


def test_beams_of_the_other_kind_are_not_ignored(tmp_path):
    beams = DicomSequence([ion_beam(9)])
    with pytest.raises(Problems, match="has the IonBeamSequence too"):
        read_plan(write_plan(tmp_path / "p.dcm", [square_beam(1)], IonBeamSequence=beams))


def test_a_meterset_without_a_unit_is_told(tmp_path):
    assert "taken for MU" in remarks(
        write_plan(tmp_path / "p.dcm", [square_beam(1, PrimaryDosimeterUnit=None)])
    )


def test_a_plan_in_the_folder_of_another_patient_is_refused(tmp_path, monkeypatch):
    from qa_suite.dose.clinic.trust import plan_of_case
    from qa_suite.io.identity import KEY_VARIABLE, patient_hash
    from tests.dicom_factory import PATIENT_ID

    plan = read_plan(write_plan(tmp_path / "p.dcm"))
    key = b"k" * 32
    (tmp_path / "key").write_bytes(key)
    mine = patient_hash(PATIENT_ID, key)
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "key"))
    assert not any("patient" in r for r in plan_of_case(plan, mine, {mine, "p0"}).remarks)
    with pytest.raises(InputError, match="plan of another patient of the cohort"):
        plan_of_case(plan, "p0", {mine, "p0"})
    assert any("cannot be compared" in r for r in plan_of_case(plan, "p0", {"p0"}).remarks)
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "none"))
    assert any("cannot be compared" in r for r in plan_of_case(plan, mine, {mine}).remarks)
    assert not (tmp_path / "none").exists()


def test_positions_of_no_device_are_not_ignored(tmp_path):
    beam = mlc_beam(1)
    del beam.ControlPointSequence[1].BeamLimitingDevicePositionSequence[0].RTBeamLimitingDeviceType
    with pytest.raises(Problems, match="control point 1 gives positions of a device without"):
        read_plan(write_plan(tmp_path / "p.dcm", [beam]))
