"""What is told of a plan that may be used: on the terminal, in the record, in notices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.sequence import Sequence as DicomSequence

from qa_suite.core.errors import InputError, Problems
from qa_suite.core.volume import Grid
from qa_suite.dose.clinic.beams import FWHM_OF_SIGMA, imported_spots
from qa_suite.dose.clinic.trust import source_to_surface_mm, surface_remarks
from qa_suite.dose.machines.of_beams import in_protons
from qa_suite.dose.machines.proton import load_machine
from qa_suite.dose.photons.engine import photon_engine
from qa_suite.io.rt.plan.read import read_plan, require_supported
from tests.plan_factory import (
    ISOCENTRE,
    ion_beam,
    mlc_beam,
    square_beam,
    write_ion_plan,
    write_plan,
)
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


IN_THE_BEAM = {
    "a compensator": {"CompensatorSequence": [item(CompensatorNumber=1)]},
    "a block": {"BlockSequence": [item(BlockNumber=1)]},
    "bolus": {"ReferencedBolusSequence": [item(ReferencedROINumber=3)]},
    "an applicator": {
        "ApplicatorSequence": [item(ApplicatorType="STEREOTACTIC", ApplicatorID="C")]
    },
    "an accessory": {"GeneralAccessorySequence": [item(GeneralAccessoryID="tray")]},
    "a wedge": {"WedgeSequence": [item(WedgeNumber=1, WedgeType="DYNAMIC")]},
    "a collimator described": {"EnhancedRTBeamLimitingDeviceDefinitionFlag": "YES"},
}


@pytest.mark.parametrize("what", IN_THE_BEAM)
@pytest.mark.parametrize("kind", ["photons", "protons"])
def test_what_stands_in_the_beam_is_refused_even_where_its_number_is_missing(tmp_path, what, kind):
    tags = {
        keyword: DicomSequence(value) if isinstance(value, list) else value
        for keyword, value in IN_THE_BEAM[what].items()
    }
    if kind == "photons":
        plan = read_plan(write_plan(tmp_path / "p.dcm", [square_beam(1, **tags)]))
    else:
        beam = ion_beam(
            1,
            **{
                k.replace("BlockS", "IonBlockS")
                .replace("CompensatorS", "IonRangeCompensatorS")
                .replace("WedgeS", "IonWedgeS"): v
                for k, v in tags.items()
            },
        )
        plan = read_plan(write_ion_plan(tmp_path / "p.dcm", [beam]))
    noun = what.removeprefix("a ").removeprefix("an ")
    assert any(noun in sentence for sentence in plan.unsupported), plan.unsupported


def test_a_range_shifter_that_comes_in_later_is_in_the_beam(tmp_path):
    beam = ion_beam()
    first, second = beam.IonControlPointSequence[:2]
    first.RangeShifterSettingsSequence[0].RangeShifterSetting = "OUT"
    second.RangeShifterSettingsSequence = DicomSequence(
        [item(ReferencedRangeShifterNumber=1, RangeShifterSetting="IN")]
    )
    assert len(read_plan(write_ion_plan(tmp_path / "p.dcm", [beam])).beams[0].range_shifters) == 1
    del beam.RangeShifterSequence
    assert read_plan(write_ion_plan(tmp_path / "p.dcm", [beam])).unsupported


def test_a_source_elsewhere_than_the_machines_is_refused(tmp_path):
    beams = [square_beam(1, SourceAxisDistance=800), square_beam(2, SourceAxisDistance=1000.4)]
    plan = read_plan(write_plan(tmp_path / "p.dcm", beams))
    grid = Grid(shape=(3, 3, 3), spacing_mm=(9.0,) * 3, origin_mm=(0.0,) * 3)
    from qa_suite.dose.clinic.template import imported_template
    from qa_suite.dose.hlut.tables import load_hlut

    template = imported_template("photons", targets=("PTV",))
    given = {
        "target": np.ones(grid.shape, bool),
        "target_name": "PTV",
        "template": template,
        "hlut": load_hlut("thomas-1999"),
    }
    engine = photon_engine(template.machine)
    with pytest.raises(Problems, match=r"field 1 has its source 800 mm from the axis.*1000 mm"):
        engine.imported(plan, grid, **given)
    unsaid = [square_beam(1, SourceAxisDistance=None)]
    made = engine.imported(read_plan(write_plan(tmp_path / "p.dcm", unsaid)), grid, **given)
    assert any(
        "no distance from source to axis; the machine's is taken: field 1 (1000 mm)" in r
        for r in made.remarks
    )
    assert any(
        r == f"the treatment machine LINAC1 is computed as {made.machines[0].machine.name}"
        for r in made.remarks
    )


def fluence(name: str) -> DicomSequence:
    return DicomSequence([item(FluenceMode="NON_STANDARD", FluenceModeID=name)])


def test_an_energy_may_be_said_by_the_fluence_mode_alone(tmp_path):
    for name, energy in (("6X-FFF", 6), ("10FFF", 10), ("10 MV FFF", 10), ("FFF", None)):
        beam = square_beam(1, PrimaryFluenceModeSequence=fluence(name))
        del beam.ControlPointSequence[0].NominalBeamEnergy
        plan = read_plan(write_plan(tmp_path / "p.dcm", [beam]))
        assert plan.beams[0].energy_mv == energy
        assert any(f"MV by its fluence mode {name}" in r for r in plan.remarks) == (
            energy is not None
        )


def test_a_beam_without_an_energy_has_no_machine_but_one_that_is_named(tmp_path):
    from qa_suite.dose.machines.of_beams import machines_of
    from qa_suite.dose.machines.photon import load_photon_machine

    beam = square_beam(1)
    del beam.ControlPointSequence[0].NominalBeamEnergy
    plan = read_plan(write_plan(tmp_path / "p.dcm", [beam]))
    machine = load_photon_machine("varian_10MV")
    with pytest.raises(Problems, match=r"field 1 of unknown energy.*no machine"):
        machines_of(plan, machine, stand_in=False)
    (by,) = machines_of(plan, machine, stand_in=True)
    assert by.stands_in
    assert "stands in for unknown energy" in by.why


def body_and_grid(radius_mm: float) -> tuple[np.ndarray, Grid]:
    """A cylinder around the isocentre, along z."""
    grid = Grid(
        shape=(61, 61, 5),
        spacing_mm=(5.0, 5.0, 5.0),
        origin_mm=(ISOCENTRE[0] - 150, ISOCENTRE[1] - 150, ISOCENTRE[2] - 10),
    )
    place = grid.to_world(np.stack(np.indices(grid.shape), axis=-1)) - ISOCENTRE
    return np.hypot(place[..., 0], place[..., 1]) <= radius_mm, grid


@pytest.mark.parametrize("gantry", [0, 90, 213])
def test_the_source_stands_as_far_from_the_skin_as_geometry_says(tmp_path, gantry):
    plan = read_plan(write_plan(tmp_path / "p.dcm", [square_beam(1, gantry=gantry)]))
    body, grid = body_and_grid(95.0)
    found = source_to_surface_mm(plan, plan.beams[0], body, grid)
    assert found == pytest.approx(1000 - 95, abs=4)
    assert surface_remarks(plan, body, grid) == ()  # the plan says 905.5 mm
    (said,) = surface_remarks(plan, *body_and_grid(120.0))
    assert "field 1 (906 mm, on the image 8" in said
    assert "may have been made on other images" in said
    (said,) = surface_remarks(plan, 0 * body > 0, grid)
    assert "its axis misses the body" in said


def test_monitor_units_become_protons(tmp_path):
    plan = read_plan(write_ion_plan(tmp_path / "p.dcm"))
    with pytest.raises(InputError, match="--protons-per-mu"):
        imported_spots(plan)
    (beam,) = imported_spots(in_protons(plan, 5e6, "as stated"))
    assert beam.delivery.weight == pytest.approx(np.array([60, 20, 80]) * 30 * 5)
    assert "a monitor unit is taken for 5e+06 protons (as stated)" in (
        in_protons(plan, 5e6, "as stated").remarks
    )
    table = ((100.0, 4e6), (160.0, 10e6))
    (beam,) = imported_spots(in_protons(plan, table, "machine X"))
    assert beam.delivery.weight == pytest.approx(np.array([60 * 9, 20 * 9, 80 * 6]) * 30)
    with pytest.raises(InputError, match="spots of 120 MeV, beyond the machine's table"):
        in_protons(plan, ((130.0, 4e6), (160.0, 10e6)), "machine X")
    counted = read_plan(
        write_ion_plan(tmp_path / "n.dcm", [ion_beam(PrimaryDosimeterUnit="NP")], 8e8)
    )
    assert in_protons(counted, 5e6, "as stated") is counted


def test_a_machine_may_say_what_a_monitor_unit_is(tmp_path):
    text = tmp_path / "m.yaml"
    import yaml

    shipped = load_machine("proton-generic")
    data = shipped.model_dump(mode="json", exclude_none=True)
    text.write_text(yaml.safe_dump(data | {"protons_per_mu": [[70, 4e6], [230, 9e6]]}))
    machine = load_machine(text)
    assert machine.protons_per_mu == ((70, 4e6), (230, 9e6))
    assert machine.digest != shipped.digest
    text.write_text(yaml.safe_dump(data | {"protons_per_mu": [[70, -4e6], [230, 9e6]]}))
    with pytest.raises(Problems, match="protons_per_mu must rise"):
        load_machine(text)


def test_spots_and_source_of_a_plan_are_its_own(tmp_path):
    (beam,) = imported_spots(in_protons(read_plan(write_ion_plan(tmp_path / "p.dcm")), 1.0, "x"))
    assert beam.sad_mm == pytest.approx(np.sqrt(2000 * 1800))
    assert beam.delivery.sigma_mm == pytest.approx([np.sqrt(90) / FWHM_OF_SIGMA] * 3)
    bare = ion_beam(1, VirtualSourceAxisDistances=None)
    for point in bare.IonControlPointSequence:
        del point.ScanningSpotSize
    plan = in_protons(read_plan(write_ion_plan(tmp_path / "p.dcm", [bare])), 1.0, "x")
    (beam,) = imported_spots(plan)
    assert beam.sad_mm is None
    assert beam.delivery.sigma_mm is None


def test_wider_spots_and_a_nearer_source_change_the_dose():
    """Against the machine's own: the same numbers give the same dose, others another."""
    from qa_suite.dose.plan.plan import PlannedBeam, ProtonSpots
    from qa_suite.dose.plan.template import BeamTemplate
    from qa_suite.dose.protons.dose import beam_dose

    machine = load_machine("proton-generic")
    grid = Grid(shape=(21, 21, 21), spacing_mm=(4.0,) * 3, origin_mm=(-40.0,) * 3)
    water = np.ones(grid.shape, np.float32)
    one = np.array([100.0])
    spots = ProtonSpots(energy_mev=one, x_mm=one * 0.2, y_mm=one * 0, weight=one)

    def dose(sad_mm=None, sigma_mm=None) -> np.ndarray:
        own = None if sigma_mm is None else np.array([sigma_mm])
        beam = PlannedBeam(
            geometry=BeamTemplate(gantry_deg=0.0),
            weight=1.0,
            sad_mm=sad_mm,
            delivery=replace(spots, sigma_mm=own),
        )
        return beam_dose(
            water, grid, beam, isocentre_mm=(0.0, 0.0, 0.0), machine=machine, beamlet_mm=5.0
        )

    usual = dose()
    assert dose(machine.sad_mm, machine.sigma_mm(100.0)) == pytest.approx(usual, rel=1e-9)
    assert dose(sigma_mm=8.0).max() < 0.8 * usual.max()
    near = dose(sad_mm=500.0)

    def off_axis_upstream(found: np.ndarray) -> float:
        profile = found[:, :6].sum(axis=(1, 2))  # 20 to 40 mm before the isocentre
        return float((profile * (np.arange(21) * 4.0 - 40)).sum() / profile.sum())

    # the spot at 20 mm in the isocentre plane lies nearer to the axis by 30 / SAD on average
    assert off_axis_upstream(usual) == pytest.approx(20 * (1 - 30 / 2300), abs=0.2)
    assert off_axis_upstream(near) == pytest.approx(20 * (1 - 30 / 500), abs=0.2)


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


def test_spots_that_are_not_there_are_missed(tmp_path):
    beam = ion_beam()
    del beam.IonControlPointSequence[0].ScanSpotMetersetWeights
    with pytest.raises(Problems, match="control point 0 has no spots, and the cumulative weight"):
        read_plan(write_ion_plan(tmp_path / "p.dcm", [beam]))


def test_positions_of_no_device_are_not_ignored(tmp_path):
    beam = mlc_beam(1)
    del beam.ControlPointSequence[1].BeamLimitingDevicePositionSequence[0].RTBeamLimitingDeviceType
    with pytest.raises(Problems, match="control point 1 gives positions of a device without"):
        read_plan(write_plan(tmp_path / "p.dcm", [beam]))
