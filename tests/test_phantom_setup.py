"""How virtual patients lie: the same people, elsewhere in the scanner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qa_suite.cli import run
from qa_suite.core.cohort import load_cohort
from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid
from qa_suite.lab.phantom import Setup, make_patient, make_phantom_cohort, phantom_grid, scan_cbct
from qa_suite.lab.phantom.anatomy import in_the_world, sample
from qa_suite.lab.phantom.hospitals import hospital
from qa_suite.lab.phantom.patients import Anatomy, make_anatomy
from qa_suite.lab.phantom.randomness import generator
from qa_suite.lab.phantom.setup import Pose

POSE = Pose(shift_mm=(7.0, -5.0, 13.0), turn_deg=(3.0, -2.0, 4.0))
SPACING = (8.0, 8.0, 9.0)


@pytest.fixture(scope="module")
def straight() -> Anatomy:
    return make_anatomy(generator(5, "A", 1, "anatomy"), hospital("A").case_mix)


def _structure(anatomy: Anatomy, grid: Grid, name: str) -> np.ndarray:
    return np.concatenate([s.structures[name] for s in sample(anatomy, grid)], axis=2)


def test_a_patient_who_lies_otherwise_is_the_same_seen_on_a_turned_grid(straight: Anatomy) -> None:
    """Moving the patient one way is moving the grid the other way: two roads to one image."""
    grid = phantom_grid(SPACING)
    back = np.linalg.inv(POSE.matrix)
    x, y, z = back[:3, :3] @ np.asarray(grid.origin_mm) + back[:3, 3]
    turned = Grid(
        shape=grid.shape,
        spacing_mm=grid.spacing_mm,
        origin_mm=(float(x), float(y), float(z)),
        direction=tuple((back[:3, :3] @ grid.affine[:3, :3] / grid.spacing_mm).ravel()),
    )
    for name in ("Body", "Bone", "Bladder"):
        moved = _structure(replace(straight, pose=POSE), grid, name)
        expected = _structure(straight, turned, name)
        assert moved.max() == pytest.approx(1, abs=1e-4)
        assert np.abs(moved - expected).max() < 2e-3
        assert np.abs(moved - _structure(straight, grid, name)).max() > 0.5


def test_a_point_of_the_skeleton_moves_with_him(straight: Anatomy) -> None:
    head = straight.heads["L"].centre_mm
    here = np.array(in_the_world(straight, head))
    there = np.array(in_the_world(replace(straight, pose=POSE), head))
    assert np.allclose(there, POSE.matrix[:3, :3] @ here + POSE.matrix[:3, 3], atol=1e-3)
    again = np.array(POSE.to_patient(*(np.float32(v) for v in there)))
    assert np.allclose(again, here, atol=1e-3)


def test_the_cone_beam_follows_the_prostate() -> None:
    grid = (8.0, 8.0, 9.0)
    patient = make_patient("A", 1, seed=5, spacing_mm=grid, setup=Setup(shift_mm=(20.0, 9.0, 15.0)))
    prostate = np.argwhere(patient.structures["Prostate"]).mean(axis=0)
    middle = patient.grid.to_world(prostate[None])[0]
    assert np.linalg.norm(patient.anatomy.pose.shift_mm) > 10  # type: ignore[union-attr]
    assert np.abs(middle - np.array(scan_cbct(patient).isocentre_mm)).max() < 6


def test_without_a_spread_nobody_moves() -> None:
    still = Setup(shift_mm=(0.0, 0.0, 0.0), turn_deg=0.0)
    patient = make_patient("B", 2, seed=4, spacing_mm=(16.0, 16.0, 20.0), setup=still)
    usual = make_patient("B", 2, seed=4, spacing_mm=(16.0, 16.0, 20.0))
    assert np.allclose(patient.ct.array, usual.ct.array, atol=0.1)
    assert np.allclose(patient.mr.array, usual.mr.array, rtol=1e-4, atol=1e-3)


def test_poses_follow_the_spread_and_end_at_two_and_a_half_of_it() -> None:
    rng = np.random.default_rng(0)
    poses = [Setup(shift_mm=(2.0, 4.0, 10.0), turn_deg=3.0).draw(rng) for _ in range(2000)]
    shifts = np.array([p.shift_mm for p in poses])
    turns = np.array([p.turn_deg for p in poses])
    assert np.allclose(shifts.std(axis=0), (2, 4, 10), rtol=0.06)
    assert np.allclose(turns.std(axis=0), 3, rtol=0.06)
    assert np.allclose(np.abs(shifts).max(axis=0), (5, 10, 25), rtol=0.01)


def test_a_cohort_as_placed_says_so_and_holds_the_same_people(tmp_path: Path) -> None:
    settings = {"hospitals": ("A",), "patients_per_hospital": 1, "spacing_mm": (16.0, 16.0, 20.0)}
    aligned = make_phantom_cohort(tmp_path / "a", seed=2, **settings)  # type: ignore[arg-type]
    placed = make_phantom_cohort(tmp_path / "p", seed=2, setup=Setup(), **settings)  # type: ignore[arg-type]
    assert placed.import_settings["setup_z_mm"] == 8
    assert "setup_z_mm" not in aligned.import_settings
    assert placed.cases[0].patient == aligned.cases[0].patient
    assert placed.cases[0].strata.age_band == aligned.cases[0].strata.age_band
    assert placed.cases[0].voxel_hashes != aligned.cases[0].voxel_hashes


@pytest.mark.parametrize(
    "wrong", [{"turn_deg": -1.0}, {"shift_mm": (1.0, float("nan"), 1.0)}], ids=str
)
def test_a_spread_that_is_none_is_refused(wrong: dict) -> None:
    with pytest.raises(InputError, match="numbers from 0"):
        Setup(**wrong)


def test_the_command_places_patients(tmp_path: Path) -> None:
    arguments = ["phantom", str(tmp_path), "--patients", "1", "--hospitals", "A", "--as-placed"]
    assert run([*arguments, "--spacing-mm", "16,16,20", "--split", "test=1"]) == 0
    assert load_cohort(tmp_path).import_settings["setup_turn_deg"] == 2
