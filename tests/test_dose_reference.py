"""The reference engine's adapter: what is asked, what is answered, and what may go wrong."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid
from qa_suite.dose.plan.plan import PhotonField, PlannedBeam, ProtonSpots
from qa_suite.dose.plan.template import BeamTemplate
from qa_suite.lab.reference_dose import (
    ReferenceJob,
    has_reference,
    reference_doses,
    reference_python,
)
from qa_suite.lab.reference_dose.run import VARIABLE
from qa_suite.lab.reference_dose.worker import fine_fluence

GRID = Grid(shape=(24, 30, 26), spacing_mm=(5.0, 5.0, 5.0), origin_mm=(-57.5, -47.5, -62.5))
WATER = np.ones(GRID.shape, dtype=np.float32)

ECHO = """
import json, sys
import numpy as np
data = np.load(sys.argv[1])
facts = json.loads(str(data["facts"]))
doses = {f"dose_{n}": data[f"density_{n}"] * facts["beams"][0]["weight"] for n in facts["images"]}
np.savez(sys.argv[2], facts=np.array(json.dumps({"asked": facts, "files": sorted(data.files)})),
         **doses)
"""


def photon_beam(
    fluence: np.ndarray | None = None, *, gantry_deg: float = 0.0, collimator_deg: float = 0.0
) -> PlannedBeam:
    made = np.ones((8, 8)) if fluence is None else fluence
    return PlannedBeam(
        geometry=BeamTemplate(gantry_deg=gantry_deg, collimator_deg=collimator_deg),
        weight=2.0,
        delivery=PhotonField(fluence=made.astype(np.float32), pixel_mm=10.0),
    )


def proton_beam(*spots: tuple[float, float, float, float], gantry_deg: float = 0.0) -> PlannedBeam:
    energy, x, y, weight = np.asarray(spots, dtype=float).T
    return PlannedBeam(
        geometry=BeamTemplate(gantry_deg=gantry_deg),
        weight=1.0,
        delivery=ProtonSpots(energy_mev=energy, x_mm=x, y_mm=y, weight=weight),
    )


def photon_job(**changes: object) -> ReferenceJob:
    job = ReferenceJob(
        modality="photons",
        grid=GRID,
        densities={"reference": WATER, "synthetic": 0.5 * WATER},
        beams=(photon_beam(),),
        isocentre_mm=(0.0, 0.0, 0.0),
    )
    return replace(job, **changes)


def stand_in(folder: Path, text: str) -> list[str]:
    script = folder / "stand_in.py"
    script.write_text(text)
    return [sys.executable, str(script)]


def test_a_job_makes_the_round_trip(tmp_path: Path) -> None:
    answer = reference_doses(photon_job(), command=stand_in(tmp_path, ECHO))
    assert set(answer.doses) == {"reference", "synthetic"}
    dose = answer.doses["synthetic"]
    assert dose.quantity == "Gy"
    assert dose.grid.same_as(GRID)
    np.testing.assert_array_equal(dose.array, np.full(GRID.shape, 1.0, dtype=np.float32))
    asked = answer.facts["asked"]
    assert asked["beams"][0]["sad_mm"] == 1000.0
    assert answer.facts["files"] == ["density_reference", "density_synthetic", "facts", "fluence_0"]


def test_an_answer_is_kept_and_not_computed_again(tmp_path: Path) -> None:
    cache = tmp_path / "kept"
    reference_doses(photon_job(), cache=cache, command=stand_in(tmp_path, ECHO))
    again = reference_doses(photon_job(), cache=cache, command=["/nowhere/python"])
    assert again.doses["reference"].array.max() == 2.0
    with pytest.raises(InputError, match="could not be started"):
        reference_doses(
            photon_job(isocentre_mm=(1.0, 0.0, 0.0)), cache=cache, command=["/nowhere/python"]
        )


def test_the_digest_speaks_of_everything_that_decides_the_dose() -> None:
    job = photon_job()
    others = [
        photon_job(isocentre_mm=(0.0, 0.0, 1.0)),
        photon_job(beams=(photon_beam(gantry_deg=1.0),)),
        photon_job(beams=(photon_beam(np.eye(8)),)),
        photon_job(densities={"reference": WATER, "synthetic": 0.6 * WATER}),
        photon_job(engine="pyradmc"),
    ]
    assert len({made.digest for made in [job, *others]}) == 6
    assert job.digest == photon_job(histories=5).digest  # of the Monte Carlo only


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "import sys; print('reference: ValueError: no such machine', file=sys.stderr); "
            "sys.exit(1)",
            "failed: ValueError: no such machine.",
        ),
        ("raise RuntimeError('out of luck')", "failed: RuntimeError: out of luck."),
        ("import sys; sys.exit(7)", "status 7"),
        ("pass", "without an answer"),
        ("import sys; open(sys.argv[2], 'w').write('x')", "unreadable"),
        ("import time; time.sleep(30)", "longer than 1 s"),
        ("import sys, numpy as np; np.savez(sys.argv[2], facts=np.array('{}'))", "gave no dose"),
        (
            "import sys, numpy as np; np.savez(sys.argv[2], facts=np.array('{}'), "
            "dose_reference=np.zeros((2, 2, 2)))",
            "instead of",
        ),
    ],
)
def test_what_goes_wrong_is_one_sentence(script: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words) as caught:
        reference_doses(photon_job(), command=stand_in(tmp_path, script), timeout_s=1.0)
    assert "\n" not in str(caught.value)


def test_a_missing_environment_says_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    assert not has_reference()
    with pytest.raises(InputError, match="make reference-env"):
        reference_doses(photon_job())
    with pytest.raises(InputError, match=VARIABLE):
        reference_python()


def test_bad_jobs_are_refused() -> None:
    with pytest.raises(InputError, match="below 0"):
        photon_job(densities={"a": -WATER})
    with pytest.raises(InputError, match="no number"):
        photon_job(densities={"a": WATER * np.nan})
    with pytest.raises(GeometryError, match="shape"):
        photon_job(densities={"a": WATER[1:]})
    with pytest.raises(InputError, match="at least one"):
        photon_job(beams=())
    with pytest.raises(InputError, match="does not carry"):
        photon_job(modality="protons")
    with pytest.raises(InputError, match="photons only"):
        photon_job(
            modality="protons", engine="pyradmc", beams=(proton_beam((100.0, 0.0, 0.0, 1.0)),)
        )
    with pytest.raises(InputError, match="no name"):
        photon_job(densities={"a b": WATER})
    turned = replace(GRID, direction=(0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    with pytest.raises(GeometryError, match="LPS"):
        photon_job(grid=turned)


@pytest.mark.parametrize("turn_deg", [0.0, 90.0, 180.0])
def test_a_fine_fluence_keeps_its_photons_and_turns_with_the_collimator(turn_deg: float) -> None:
    """IEC 61217: a positive angle turns the device's +x towards +y."""
    coarse = np.zeros((8, 8))
    coarse[3:5, 6] = 1.0  # on +x
    grid = 0.5 * np.arange(-90, 91)
    fine = fine_fluence(coarse, 10.0, grid, turn_deg)
    assert fine.sum() * 0.25 == pytest.approx(coarse.sum() * 100, rel=1e-9)
    y, x = np.meshgrid(grid, grid, indexing="ij")
    centre = ((fine * x).sum() / fine.sum(), (fine * y).sum() / fine.sum())
    turn = np.deg2rad(turn_deg)
    assert centre == pytest.approx((25 * np.cos(turn), 25 * np.sin(turn)), abs=1e-6)


reference = pytest.mark.skipif(
    not has_reference(), reason="there is no reference environment; 'make reference-env' makes it"
)


@pytest.mark.slow
@reference
def test_photons_come_from_where_the_plan_says() -> None:
    """Half a field is open towards +x and +y; the dose lies there, from gantry 0 and 90."""
    half = np.zeros((8, 8))
    half[4:, 4:] = 1.0
    answer = reference_doses(photon_job(beams=(photon_beam(half),), densities={"a": WATER}))
    dose = answer.doses["a"].array
    i, j, k = np.unravel_index(dose.argmax(), dose.shape)
    assert GRID.to_world((i, j, k))[0] > 0 and GRID.to_world((i, j, k))[2] > 0
    assert j < 8  # near the entrance, the patient's front
    turned = reference_doses(
        photon_job(beams=(photon_beam(half, gantry_deg=90.0),), densities={"a": WATER})
    )
    dose = turned.doses["a"].array
    x, y, z = GRID.to_world(np.unravel_index(dose.argmax(), dose.shape))
    assert x > 20 and y > 0 and z > 0  # from the patient's left; the device's +x is posterior


@pytest.mark.slow
@reference
def test_protons_stop_where_water_says() -> None:
    """110 MeV reach 91.4 mm of water (between PSTAR's ranges); density 1.5 shortens that."""
    beam = proton_beam((110.0, 0.0, 0.0, 100.0))
    job = ReferenceJob(
        modality="protons",
        grid=GRID,
        densities={"a": WATER, "dense": 1.5 * WATER},
        beams=(beam,),
        isocentre_mm=(0.0, 0.0, 0.0),
    )
    answer = reference_doses(job)
    used = float(answer.ranges_mm[0][0])
    assert used == pytest.approx(91.4, abs=1.6)  # the machine's energies are 3 mm apart
    depth = np.arange(GRID.shape[1]) * 5.0 + 2.5
    for name, density in (("a", 1.0), ("dense", 1.5)):
        laterally = answer.doses[name].array.sum(axis=(0, 2))
        peak = int(laterally.argmax())
        falling = slice(peak, peak + 5)
        r80 = np.interp(-0.8 * laterally[peak], -laterally[falling], depth[falling])
        assert r80 == pytest.approx(used / density, abs=2.0)
