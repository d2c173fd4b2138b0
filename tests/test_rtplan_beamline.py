"""What a plan says of the machine: devices in the beam, source, energy, monitor units, spots."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydicom.sequence import Sequence as DicomSequence

from qa_suite.core.errors import InputError, Problems
from qa_suite.core.volume import Grid
from qa_suite.dose.clinic.beams import FWHM_OF_SIGMA, imported_spots
from qa_suite.dose.clinic.trust import source_to_surface_mm, surface_remarks
from qa_suite.dose.machines.of_beams import in_protons
from qa_suite.dose.machines.proton import load_machine
from qa_suite.dose.photons.engine import photon_engine
from qa_suite.io.rt.plan.read import read_plan
from tests.plan_factory import ISOCENTRE, ion_beam, square_beam, write_ion_plan, write_plan
from tests.rt_factory import item

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


def test_spots_that_are_not_there_are_missed(tmp_path):
    beam = ion_beam()
    del beam.IonControlPointSequence[0].ScanSpotMetersetWeights
    with pytest.raises(Problems, match="control point 0 has no spots, and the cumulative weight"):
        read_plan(write_ion_plan(tmp_path / "p.dcm", [beam]))
