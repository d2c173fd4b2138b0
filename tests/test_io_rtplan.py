"""RTPLAN and RT Ion Plan: what is read, what is listed as beyond the surrogate, what is refused."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.sequence import Sequence as DicomSequence

from qa_suite.core.errors import InputError, Problems
from qa_suite.dose.clinic.beams import imported_fields
from qa_suite.io.rt.plan.read import read_plan, require_supported
from qa_suite.io.rt.plan.types import IonBeam, PhotonBeam
from tests.dicom_factory import PATIENT_ID, uid
from tests.plan_factory import (
    ISOCENTRE,
    aperture_fluence,
    first_point,
    ion_beam,
    jaws,
    leaves,
    mlc_beam,
    photon_beam,
    square_beam,
    write_ion_plan,
    write_plan,
)
from tests.rt_factory import item, write_dose


def test_a_photon_plan_is_read_whole(tmp_path):
    plan = read_plan(write_plan(tmp_path / "p.dcm"))
    assert (plan.modality, plan.fractions, plan.patient_position) == ("photons", 30, "HFS")
    assert {one.name: one.dose_gy for one in plan.target_doses} == {"PTV": 60, "PTV boost": 66}
    assert (plan.label, plan.approval, plan.unsupported) == ("pelvis 1a", "APPROVED", ())
    assert (plan.uid, plan.structure_set_uid) == (uid("plan"), uid("structures"))
    square, steps = plan.beams
    assert isinstance(square, PhotonBeam) and isinstance(steps, PhotonBeam)
    assert (square.name, square.machine, square.meterset_mu) == ("field 1", "LINAC1", 100)
    assert (square.sad_mm, square.energy_mv, square.fluence_mode) == (1000, 6, "STANDARD")
    assert [one.kind for one in steps.limiters] == ["ASYMX", "ASYMY", "MLCX"]
    assert steps.meterset_mu == 200 and not steps.is_arc
    assert [point.weight for point in steps.control_points] == [0, 0.75, 0.75, 1]


def test_values_are_carried_from_one_control_point_to_the_next(tmp_path):
    plan = read_plan(write_plan(tmp_path / "p.dcm"))
    for beam, gantry in zip(plan.beams, (0, 90), strict=True):
        for point in beam.control_points:
            assert point.isocentre_mm == tuple(ISOCENTRE)
            assert (point.gantry_deg, point.energy_mv, point.ssd_mm) == (gantry, 6, 905.5)
            assert point.positions_mm["ASYMX"].shape == (2, 1)
    last = plan.beams[1].control_points[-1]
    assert last.positions_mm["MLCX"].tolist() == [[0.0] * 12, [40.0] * 12]


def test_weights_are_relative_to_the_final_one(tmp_path):
    positions = [jaws("ASYMX", -50, 50), jaws("ASYMY", -50, 50)]
    points = [first_point(positions), item(CumulativeMetersetWeight=120)]
    beam = photon_beam(1, points, ("ASYMX", "ASYMY"))
    plan = read_plan(write_plan(tmp_path / "p.dcm", [beam]))
    assert [point.weight for point in plan.beams[0].control_points] == [0, 1]


def test_an_ion_plan_is_read_whole(tmp_path):
    plan = read_plan(write_ion_plan(tmp_path / "p.dcm"))
    (beam,) = plan.beams
    assert plan.modality == "protons" and isinstance(beam, IonBeam)
    assert beam.energies_mev == (150, 120)
    assert beam.layers[0].spots_mm.tolist() == [[0, 0], [5, -5]]
    # 160 MU over a final weight of 8
    assert beam.layers[0].spot_weights.tolist() == [60, 20]
    assert sum(layer.spot_weights.sum() for layer in beam.layers) == pytest.approx(160)
    assert (beam.gantry_deg, beam.snout_mm, beam.meterset_unit) == (270, 300, "MU")
    assert beam.virtual_sad_mm == (2000, 1800) and beam.layers[0].spot_fwhm_mm == (9, 10)
    assert beam.lateral_spreading == ("MAGNET MagnetX",)
    (shifter,) = beam.range_shifters
    assert (shifter.identifier, shifter.kind, shifter.thickness_mm) == ("RS40", "BINARY", 40)
    with pytest.raises(Problems, match=r"range shifter RS40 \(40 mm of water\)"):
        require_supported(plan)


def test_a_range_shifter_that_is_out_is_not_in_the_beam(tmp_path):
    beam = ion_beam()
    beam.IonControlPointSequence[0].RangeShifterSettingsSequence[0].RangeShifterSetting = "OUT"
    plan = read_plan(write_ion_plan(tmp_path / "p.dcm", [beam]))
    assert plan.beams[0].range_shifters == ()
    require_supported(plan)
    beam = ion_beam()
    del beam.IonControlPointSequence[0].RangeShifterSettingsSequence
    (sentence,) = read_plan(write_ion_plan(tmp_path / "p.dcm", [beam])).unsupported
    assert "RS40 (unknown thickness)" in sentence


def test_set_up_beams_are_left_out_and_said_so(tmp_path):
    setup = square_beam(7, TreatmentDeliveryType="SETUP", BeamName="CBCT")
    plan = read_plan(write_plan(tmp_path / "p.dcm", [square_beam(1), setup], [100.0, None]))
    assert [beam.number for beam in plan.beams] == [1]
    assert plan.remarks == ("beam CBCT: for SETUP and left out",)


WEDGED = {"NumberOfWedges": 1, "WedgeSequence": DicomSequence([item(WedgeType="STANDARD")])}
BEYOND = {
    "wedge": (square_beam(1, **WEDGED), "a wedge (STANDARD)"),
    "block": (square_beam(1, NumberOfBlocks=2), "2 blocks"),
    "bolus": (square_beam(1, NumberOfBoli=1), "bolus"),
    "compensator": (square_beam(1, NumberOfCompensators=1), "1 compensator"),
}


@pytest.mark.parametrize("name", BEYOND)
def test_what_the_surrogate_cannot_represent_is_listed_and_refused_on_use(tmp_path, name):
    beam, words = BEYOND[name]
    plan = read_plan(write_plan(tmp_path / "p.dcm", [beam]))
    (sentence,) = plan.unsupported
    assert words in sentence and "beam field 1" in sentence
    with pytest.raises(Problems, match="for the surrogate"):
        require_supported(plan)


def test_motion_of_couch_and_isocentre_is_listed(tmp_path):
    beam = square_beam(1)
    beam.ControlPointSequence[0].TableTopPitchAngle = 358
    beam.ControlPointSequence[1].IsocenterPosition = [12, -34, 59]
    beam.ControlPointSequence[1].NominalBeamEnergy = 10
    text = " ".join(read_plan(write_plan(tmp_path / "p.dcm", [beam])).unsupported)
    for words in ("pitched couch (2°)", "moves by 3.0 mm", "[6.0, 10.0] MV"):
        assert words in text


def test_a_wedge_that_is_out_does_not_count(tmp_path):
    beam = square_beam(1, **WEDGED)
    for point in beam.ControlPointSequence:
        point.WedgePositionSequence = DicomSequence([item(WedgePosition="OUT")])
    assert read_plan(write_plan(tmp_path / "p.dcm", [beam])).unsupported == ()


def broken_beams():
    crossed = mlc_beam(1)
    crossed.ControlPointSequence[2].BeamLimitingDevicePositionSequence = DicomSequence(
        [leaves([10.0] * 12, [0.0] * 12)]
    )
    short = mlc_beam(1)
    short.ControlPointSequence[2].BeamLimitingDevicePositionSequence = DicomSequence(
        [leaves([0.0] * 11, [10.0] * 11)]
    )
    falling = mlc_beam(1)
    falling.ControlPointSequence[1].CumulativeMetersetWeight = 0.9
    lost = square_beam(1)
    del lost.ControlPointSequence[0].GantryAngle
    del lost.ControlPointSequence[0].IsocenterPosition
    unbounded = mlc_beam(1)
    unbounded.BeamLimitingDeviceSequence[2].LeafPositionBoundaries = [-10, 0, 10]
    return {
        "crossed leaves": (crossed, "overlap by 10.0 mm"),
        "too few leaves": (short, "22 positions of MLCX, 24 needed"),
        "falling weight": (falling, "do not rise"),
        "no angle": (lost, "without GantryAngle, IsocenterPosition"),
        "no boundaries": (unbounded, "3 leaf boundaries"),
        "electrons": (square_beam(1, RadiationType="ELECTRON"), "ELECTRON radiation"),
        "minutes": (square_beam(1, PrimaryDosimeterUnit="MINUTE"), "in MINUTE"),
        "no axis": (square_beam(1, SourceAxisDistance=0), "0 mm from source to axis"),
        "one point": (photon_beam(1, [first_point([])], ("X",)), "1 control point, and at"),
        "no field": (square_beam(1, BeamLimitingDeviceSequence=None), "neither jaws nor leaves"),
    }


@pytest.mark.parametrize("name", broken_beams())
def test_a_broken_beam_is_named(tmp_path, name):
    beam, words = broken_beams()[name]
    with pytest.raises(Problems, match=words):
        read_plan(write_plan(tmp_path / "p.dcm", [beam]))


PLANS = {
    "no fraction group": ({"FractionGroupSequence": None}, "0 fraction groups"),
    "no position": ({"PatientSetupSequence": None}, "how the patient lies"),
    "decubitus": (
        {"PatientSetupSequence": DicomSequence([item(PatientPosition="HFDL")])},
        "HFDL is not one of",
    ),
    "no beams": ({"BeamSequence": None}, "no beams"),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_broken_plan_says_so(tmp_path, name):
    tags, words = PLANS[name]
    with pytest.raises(Problems, match=words):
        read_plan(write_plan(tmp_path / "p.dcm", **tags))


def test_all_problems_come_at_once(tmp_path):
    beams = [square_beam(1, RadiationType="ELECTRON"), mlc_beam(2, SourceAxisDistance=-1)]
    tags = {"PatientSetupSequence": None}
    with pytest.raises(Problems) as caught:
        read_plan(write_plan(tmp_path / "p.dcm", beams, [50.0, None], **tags))
    assert len(caught.value.problems) == 4
    text = str(caught.value)
    for words in ("field 1: ELECTRON", "field 2: no monitor units", "source to axis", "lies"):
        assert words in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"RadiationType": "ION"}, "ION radiation"),
        ({"ScanMode": "UNIFORM"}, "scan mode UNIFORM"),
        ({"VirtualSourceAxisDistances": [0.0, 1800.0]}, "virtual distances"),
        ({"PrimaryDosimeterUnit": "SECOND"}, "in SECOND"),
    ],
)
def test_a_broken_ion_beam_is_named(tmp_path, change, words):
    with pytest.raises(Problems, match=words):
        read_plan(write_ion_plan(tmp_path / "p.dcm", [ion_beam(**change)]))


def test_spots_must_fit_their_weights(tmp_path):
    beam = ion_beam()
    beam.IonControlPointSequence[0].ScanSpotMetersetWeights = [3.0, 2.0]
    with pytest.raises(Problems, match="add up to 5"):
        read_plan(write_ion_plan(tmp_path / "p.dcm", [beam]))
    beam = ion_beam()
    beam.IonControlPointSequence[0].ScanSpotPositionMap = [0.0, 0.0, 5.0]
    with pytest.raises(Problems, match="1 spot position and 2 weights"):
        read_plan(write_ion_plan(tmp_path / "p.dcm", [beam]))


def test_what_is_no_plan(tmp_path):
    write_dose(tmp_path / "d.dcm", np.ones((3, 3, 3)))
    with pytest.raises(InputError, match="no RTPLAN"):
        read_plan(tmp_path / "d.dcm")
    with pytest.raises(InputError, match="no plan at"):
        read_plan(tmp_path / "none.dcm")


def test_damage_is_one_kind_of_error_and_never_a_name(tmp_path):
    whole = bytearray(write_plan(tmp_path / "p.dcm").read_bytes())
    rng = np.random.default_rng(5)
    for _ in range(150):
        damaged = bytearray(whole)
        for place in rng.integers(132, len(whole), 4):
            damaged[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "x.dcm").write_bytes(damaged)
        with contextlib.suppress(InputError, Problems):
            read_plan(tmp_path / "x.dcm")
    assert PATIENT_ID not in repr(read_plan(tmp_path / "p.dcm"))


def test_a_plan_of_a_treatment_planning_system():
    """One of pydicom's own test files."""
    plan = read_plan(Path(str(get_testdata_file("rtplan.dcm", download=False))))
    (beam,) = plan.beams
    assert plan.fractions == 30
    assert [one.dose_gy for one in plan.target_doses] == [pytest.approx(30.826203)]
    assert (beam.name, beam.machine) == ("Field 1", "unit001")
    assert beam.meterset_mu == pytest.approx(116.0036697)
    assert aperture_fluence(beam).sum(dtype=float) == pytest.approx(200 * 200)
    broken = Path(str(get_testdata_file("rtplan_truncated.dcm", download=False)))
    with pytest.raises(Problems, match="2 problems"):
        read_plan(broken)


DUST = (8e-10, -1e-12, 359.9999999, 360.0, 1e-4)


@pytest.mark.parametrize("dust", DUST)
@pytest.mark.parametrize("kind", ["photons", "protons"])
@pytest.mark.parametrize(
    "tag",
    [
        "GantryAngle",
        "BeamLimitingDeviceAngle",
        "PatientSupportAngle",
        "TableTopPitchAngle",
        "TableTopRollAngle",
        "TableTopEccentricAngle",
    ],
)
def test_dust_on_an_angle_changes_nothing(tmp_path, tag, kind, dust):
    """A real plan's couch stood at 8e-10 degrees; others write 359.9999999 or 360."""
    make, write = (square_beam, write_plan) if kind == "photons" else (ion_beam, write_ion_plan)
    beam = make(1)
    points = beam.ControlPointSequence if kind == "photons" else beam.IonControlPointSequence
    setattr(points[0], tag, 0.0)
    setattr(points[1], tag, dust)
    plan = read_plan(write(tmp_path / "p.dcm", [beam]))
    delattr(points[1], tag)
    still = read_plan(write(tmp_path / "q.dcm", [beam]))
    assert plan.unsupported == still.unsupported


@pytest.mark.parametrize(
    "weights", [(1e-10, 1), (0, 0.9999999), (-1e-9, 1), (0, 0.5, 0.4999999, 1), (1e-10, 1.0004)]
)
def test_dust_on_weights_changes_nothing(tmp_path, weights):
    positions = [jaws("ASYMX", -50, 50), jaws("ASYMY", -50, 50)]
    points = [first_point(positions), *(item() for _ in weights[1:])]
    for point, weight in zip(points, weights, strict=True):
        point.CumulativeMetersetWeight = weight
    beam = photon_beam(1, points, ("ASYMX", "ASYMY"), FinalCumulativeMetersetWeight=1)
    (read,) = read_plan(write_plan(tmp_path / "p.dcm", [beam])).beams
    shares = [point.weight for point in read.control_points]
    assert (shares[0], shares[-1]) == (0, 1)
    assert (np.diff(shares) >= 0).all()
    assert aperture_fluence(read).sum(dtype=float) == pytest.approx(100 * 100)


def test_dust_on_energy_and_isocentre_changes_nothing(tmp_path):
    beam = square_beam(1)
    beam.ControlPointSequence[1].NominalBeamEnergy = 6.0000001
    beam.ControlPointSequence[1].IsocenterPosition = [12.00001, -34.0, 55.99999]
    assert read_plan(write_plan(tmp_path / "p.dcm", [beam])).unsupported == ()


def shipped_by_pymedphys(name: str) -> Path:
    """A plan that comes with pymedphys (Apache 2.0), made by planning systems."""
    root = Path(pytest.importorskip("pymedphys").__file__).parent
    found = sorted(root.rglob(name))
    if not found:
        pytest.skip(f"pymedphys ships no {name} here")
    return found[0]


def test_an_arc_of_a_planning_system():
    """31 and 30 steps of about 6° are cut into fields of at most 4°; nothing is ignored."""
    plan = read_plan(shipped_by_pymedphys("vmat_example.dcm"))
    require_supported(plan)
    first, second = plan.beams
    assert (first.is_arc, second.is_arc) == (True, True)
    assert (first.meterset_mu, second.meterset_mu) == (
        pytest.approx(157.238693),
        pytest.approx(158.782211),
    )
    fields = imported_fields(plan)
    assert len(fields) > len(plan.beams)
    mu = sum(field.monitor_units for field in fields)
    assert mu == pytest.approx((157.238693 + 158.782211) * plan.fractions, rel=1e-6)
    assert plan.remarks == (
        "it is UNAPPROVED (ApprovalStatus)",
        "it names no frame of reference, so its isocentre is taken on trust",
    )


def test_squares_of_a_planning_system():
    plan = read_plan(shipped_by_pymedphys("06MV_plan.dcm"))
    sides = [int(beam.name[:2]) for beam in plan.beams]
    assert max(sides) == 40
    for beam, side in zip(plan.beams, sides, strict=True):
        if side == 40:  # its corners are cut
            continue
        area = aperture_fluence(beam).sum(dtype=float) / 100  # cm²
        assert area == pytest.approx(side**2, rel=5e-3), beam.name
