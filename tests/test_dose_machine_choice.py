"""Which machine computes a beam: that of its energy, one that is named, or one that stands in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from qa_suite.cli.dose_settings import DoseOptions, dose_settings
from qa_suite.core.errors import InputError, Problems, UnknownName
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.clinic.given import read_clinic_case
from qa_suite.dose.clinic.template import imported_template
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.dose.machines.by_name import all_machines, find_machine, machine_of
from qa_suite.dose.machines.of_beams import machines_of, require_reach
from qa_suite.dose.machines.photon import load_photon_machine
from qa_suite.dose.machines.proton import load_machine
from qa_suite.dose.photons import PhotonEngine
from qa_suite.dose.plan.template import load_template, shipped_templates
from qa_suite.io.rt.plan.read import read_plan
from qa_suite.io.rt.plan.types import ImportedPlan
from qa_suite.metrics.base import Pair, Value
from qa_suite.metrics.dose.family import dose as measure_dose
from qa_suite.metrics.dose.family import dose_variants
from qa_suite.metrics.dose.settings import DoseSettings, PlanChoice
from tests.machine_cases import SHIPPED, written
from tests.plan_factory import ISOCENTRE, ion_beam, square_beam, write_ion_plan, write_plan
from tests.rt_factory import item

# --- the energy of a beam chooses the machine ---------------------------------------------------


def filter_free(name: str = "FFF") -> DicomSequence:
    return DicomSequence([item(FluenceMode="NON_STANDARD", FluenceModeID=name)])


def beam(number: int, energy: float, **tags: object) -> Dataset:
    made = square_beam(number, **tags)
    made.ControlPointSequence[0].NominalBeamEnergy = energy
    return made


def plan_of(folder: Path, *beams: Dataset) -> ImportedPlan:
    return read_plan(write_plan(folder / "plan.dcm", list(beams)))


def chosen(folder: Path, *beams: Dataset, own: str = "varian_10MV", **more: bool) -> list[str]:
    found = machines_of(
        plan_of(folder, *beams), load_photon_machine(own), **{"stand_in": False} | more
    )
    return [one.machine.name for one in found]


def test_each_beam_is_computed_by_the_machine_of_its_energy(tmp_path: Path) -> None:
    beams = [beam(1, 6), beam(2, 10), beam(3, 6.3), beam(4, 9.6)]
    names = ["elekta_6MV", "varian_10MV", "elekta_6MV", "varian_10MV"]
    assert chosen(tmp_path, *beams) == names
    # without a template's machine that fits, the nearest; alike, the first by name
    assert chosen(tmp_path, beam(1, 10), own="elekta_6MV") == ["elekta_10MV"]


def test_a_machine_of_ones_own_in_the_template_comes_first(tmp_path: Path) -> None:
    mine = written(tmp_path, nominal_mv=15)
    assert chosen(tmp_path, beam(1, 15), beam(2, 6), own=str(mine)) == ["mine", "elekta_6MV"]


@pytest.mark.parametrize("energy", [4, 5.4, 6.6, 8, 10.6, 15, 18, 25])
def test_an_energy_without_a_machine_is_refused_with_what_there_is(energy, tmp_path) -> None:
    with pytest.raises(Problems) as error:
        chosen(tmp_path, beam(1, energy), beam(2, 6))
    text = str(error.value)
    assert f"beam field 1 of {energy:g} MV" in text and "field 2" not in text
    assert "elekta_6MV of 6 MV" in text and "--machine" in text and "plan.dcm" in text
    assert chosen(tmp_path, beam(1, energy), stand_in=True) == ["varian_10MV"]


@pytest.mark.parametrize("mode", ["FFF", "6X-FFF", "FLAT FILTER-FREE", "SRS", ""])
def test_a_beam_of_another_fluence_mode_is_not_a_flattened_one(mode: str, tmp_path: Path) -> None:
    with pytest.raises(Problems, match=r"no machine within 0\.5 MV of the same mode"):
        chosen(tmp_path, beam(1, 6, PrimaryFluenceModeSequence=filter_free(mode)))
    mine = written(tmp_path, fluence_mode="FFF")
    beams = [beam(1, 6, PrimaryFluenceModeSequence=filter_free("FFF")), beam(2, 6)]
    assert chosen(tmp_path, *beams, own=str(mine)) == ["mine", "elekta_6MV"]


def test_every_energy_without_a_machine_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(Problems) as error:
        chosen(tmp_path, beam(1, 15), beam(2, 18), beam(3, 18))
    assert len(error.value.problems) == 2
    assert "beams field 2, field 3 of 18 MV" in str(error.value)


def test_what_stands_in_is_said(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, beam(1, 15), beam(2, 10, BeamName="field 1"))
    first, second = machines_of(plan, load_photon_machine("varian_10MV"), stand_in=True)
    assert first.stands_in and not second.stands_in
    assert first.why == "varian_10MV (10 MV) stands in for 15 MV, as asked for"
    assert second.why == "10 MV computed by varian_10MV"
    assert (first.beam, second.beam) == ("field 1 (1)", "field 1 (2)")


def test_the_energy_of_a_beam_changes_its_dose(tmp_path: Path) -> None:
    """20 cm deep in water 10 MV leaves more than 6 MV, by their TPR of 0.739 to 0.676."""
    grid = Grid(shape=(60, 70, 60), spacing_mm=(4.0,) * 3, origin_mm=(-106.0, -132.0, -62.0))
    density = np.ones(grid.shape, np.float32)
    engine, hlut = PhotonEngine("varian_10MV"), load_hlut("thomas-1999")
    template = imported_template("photons", targets=["PTV"])
    doses = {}
    for energies in ((6,), (10,), (6, 10)):
        beams = [beam(n + 1, mv) for n, mv in enumerate(energies)]
        plan = engine.imported(
            plan_of(tmp_path, *beams),
            grid,
            target=np.zeros(grid.shape, bool),
            target_name="PTV",
            template=template,
            hlut=hlut,
        )
        doses[energies] = engine.recalculate(density, plan).array
    middle = grid.to_index(ISOCENTRE).round().astype(int)
    at_iso = {e: d[tuple(middle)] for e, d in doses.items()}
    deep = (middle[0], middle[1] + 25, middle[2])
    shares = [doses[e][deep] / at_iso[e] for e in ((6,), (10,))]
    assert shares[1] / shares[0] == pytest.approx(0.739 / 0.676, rel=0.03)
    # the second beam has twice the first one's monitor units
    np.testing.assert_allclose(doses[6, 10], doses[6,] + 2 * doses[10,], rtol=1e-4, atol=1e-4)


def test_protons_beyond_the_machine_are_refused(tmp_path: Path) -> None:
    layers = [(245.0, [(0.0, 0.0)], [1.0]), (231.0, [(0.0, 0.0)], [1.0]), (100.0, [(0, 0)], [1.0])]
    far = read_plan(write_ion_plan(tmp_path / "far.dcm", [ion_beam(1, layers)]))
    near = read_plan(write_ion_plan(tmp_path / "near.dcm", [ion_beam(1, layers[2:])]))
    machine = load_machine("proton-generic")
    require_reach(near, machine)
    with pytest.raises(Problems) as error:
        require_reach(far, machine)
    assert "2 layers of 231 to 245 MeV beyond the 30 to 230 MeV of proton-generic" in str(
        error.value
    )


# --- any machine by its name -------------------------------------------------------------------


def test_machines_of_both_kinds_are_found(tmp_path: Path) -> None:
    assert {m.modality for m in all_machines()} == {"photons", "protons"}
    for machine in all_machines():
        assert find_machine(machine.name) == machine
    assert find_machine(written(tmp_path)).name == "mine"
    with pytest.raises(UnknownName) as error:
        find_machine("varian_6MV")
    assert all(machine.name in str(error.value) for machine in all_machines())
    silent = written(tmp_path, modality=None)
    with pytest.raises(InputError, match="does not say of what it is a machine"):
        find_machine(silent)
    with pytest.raises(InputError, match="There is no machine at"):
        find_machine(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", shipped_templates())
def test_every_shipped_template_names_a_machine_that_there_is(name: str) -> None:
    template = load_template(name)
    assert machine_of(template).modality == template.modality


def test_a_template_finds_its_machine_beside_itself(tmp_path: Path, monkeypatch) -> None:
    written(tmp_path, nominal_mv=15)
    data = load_template("photon-pelvis").model_dump(mode="json") | {"machine": "mine.yaml"}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(data))
    monkeypatch.chdir("/")
    machine = machine_of(load_template(tmp_path / "plan.yaml"))
    assert (machine.name, machine.modality) == ("mine", "photons")


def test_an_evaluation_is_told_which_machine_stands_in(tmp_path: Path) -> None:
    asked = {
        "plans": ["photon-pelvis", "proton-pelvis"],
        "hluts": ["thomas-1999", "stoichiometric-schneider"],
    }
    plain = dose_settings(DoseOptions(**asked))
    assert plain is not None and not any(choice.machine_stands_in for choice in plain.plans)
    told = dose_settings(DoseOptions(**asked, machines=[str(written(tmp_path))]))
    assert told is not None
    photons, protons = told.plans
    assert photons.machine_stands_in and photons.template.machine.endswith("mine.yaml")
    assert not protons.machine_stands_in and protons.template.machine == "proton-generic"
    facts = dose_variants(told)["photon-pelvis"]
    assert facts["machine"] == "mine" and set(facts["machines"]) == {"mine"}
    driven = dose_variants(plain.model_copy(update={"rtplans": True}))["photon-pelvis"]
    assert driven["machine"] == "by the energy of each beam"
    assert set(SHIPPED) <= set(driven["machines"])
    with pytest.raises(InputError, match="both of photons"):
        dose_settings(DoseOptions(**asked, machines=["elekta_6MV", "varian_10MV"]))


def test_the_record_says_what_computed_each_beam_and_what_stood_in(tmp_path: Path) -> None:
    """Through the whole family: rows of the record, and nothing computed where none is near."""
    (tmp_path / "A-001").mkdir()
    write_plan(tmp_path / "A-001" / "plan.dcm", [beam(1, 6), beam(2, 15)])
    pair = replace(small_pair(), clinic=read_clinic_case(tmp_path, "A-001"))
    template = imported_template("photons", targets=["PTV"])
    for stands_in in (False, True):
        choice = PlanChoice(
            template=template, hlut=load_hlut("thomas-1999"), machine_stands_in=stands_in
        )
        settings = DoseSettings(plans=(choice,), rtplans=True, grid_mm=10, causes=False, bulk=False)
        rows = [row for row in measure_dose(pair, settings) if isinstance(row, Value)]
        if not stands_in:
            assert all(row.status == "error" for row in rows)
            assert all("field 2 of 15 MV" in row.why for row in rows)
            continue
        said = {row.region: row.why for row in rows if row.metric == "machine_energy"}
        assert said == {
            "beam:field 1": "varian_10MV (10 MV) stands in for 6 MV, as asked for",
            "beam:field 2": "varian_10MV (10 MV) stands in for 15 MV, as asked for",
        }


def small_pair() -> Pair:
    grid = Grid(shape=(24, 24, 12), spacing_mm=(10.0,) * 3, origin_mm=(-103.0, -149.0, 1.0))
    places = grid.to_world(np.stack(np.indices(grid.shape), -1))
    from_centre = places - np.asarray(ISOCENTRE)
    body = np.hypot(from_centre[..., 0], from_centre[..., 1]) < 90
    hu = np.where(body, 0.0, -1000.0).astype(np.float32)
    image = Volume(array=hu, grid=grid, quantity="HU")
    target = np.linalg.norm(from_centre, axis=-1) < 25
    return Pair(reference=image, synthetic=image, mask=body, structures={"PTV": target})
