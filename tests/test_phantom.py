"""The virtual hospitals: cohort, anatomy and truth."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from qa_suite.core.cohort import load_cohort
from qa_suite.core.errors import InputError, UnknownName
from qa_suite.core.volume import Grid
from qa_suite.io.cases import load_case
from qa_suite.lab.phantom import (
    HOSPITALS,
    LABELS,
    STRUCTURES,
    make_patient,
    make_phantom_cohort,
    oracle_translate,
    phantom_grid,
)
from qa_suite.lab.phantom.anatomy import sample
from qa_suite.lab.phantom.parts import PARTS
from qa_suite.lab.phantom.patients import make_anatomy
from qa_suite.lab.phantom.randomness import generator
from qa_suite.lab.phantom.shapes import Ellipsoid, Mesh, Points
from qa_suite.lab.phantom.traits import CaseMix

COARSE = (8.0, 8.0, 8.0)


@pytest.fixture(scope="module")
def patient():
    return make_patient("A", 1, seed=11, spacing_mm=(4.0, 4.0, 5.0))


def _files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_cohort_is_complete_and_does_not_depend_on_the_others(tmp_path):
    seen = []
    one = make_phantom_cohort(
        tmp_path / "one",
        hospitals=("A", "C"),
        patients_per_hospital={"A": 2, "C": 1},
        spacing_mm=COARSE,
        seed=5,
        progress=lambda done, total, case: seen.append((done, total, case)),
    )
    two = make_phantom_cohort(
        tmp_path / "two", hospitals=("B", "A"), patients_per_hospital=1, spacing_mm=COARSE, seed=5
    )
    assert seen == [(1, 3, "A-001"), (2, 3, "A-002"), (3, 3, "C-001")]
    first, second = _files(tmp_path / "one"), _files(tmp_path / "two")
    shared = [name for name in first if "A-001" in name]
    assert len(shared) > 10
    assert all(first[name] == second[name] for name in shared)
    assert one.cases[0] == two.cases[1]
    assert len({case.patient for case in (*one.cases, *two.cases)}) == 4
    loaded = load_cohort(tmp_path / "one")
    assert loaded == one
    case = loaded.cases[0]
    assert (case.split, case.site, case.strata.sex) == (None, "hospital-A", "M")
    assert set(case.truth) == {"noise_free_reference", "distortion_mm", "labels"}
    assert all(value is not None for value in case.strata.model_dump().values())
    assert set(case.voxel_hashes) == set(case.fingerprints) == {"source", "reference"}
    read = load_case(loaded, case, tmp_path / "one", truth=True)
    assert read.mask is not None and read.reference is not None
    assert np.abs(read.reference.array - read.truth["noise_free_reference"].array).mean() < 15


def test_cohort_refuses_nonsense(tmp_path):
    settings = {"spacing_mm": COARSE, "seed": 1}
    with pytest.raises(UnknownName, match="hospital"):
        make_phantom_cohort(tmp_path, hospitals=("Z",), patients_per_hospital=1, **settings)
    with pytest.raises(InputError, match="at least one"):
        make_phantom_cohort(tmp_path, hospitals=("A",), patients_per_hospital=0, **settings)
    with pytest.raises(InputError, match="once each"):
        make_phantom_cohort(tmp_path, hospitals=("A", "A"), patients_per_hospital=1, **settings)
    with pytest.raises(InputError, match="grid or a spacing"):
        make_patient("A", 1, seed=1)


def test_same_seed_same_patient_and_other_seed_another():
    first = make_patient("B", 3, seed=2, spacing_mm=COARSE)
    again = make_patient("B", 3, seed=2, spacing_mm=COARSE)
    other = make_patient("B", 4, seed=2, spacing_mm=COARSE)
    assert np.array_equal(first.mr.array, again.mr.array)
    assert np.array_equal(first.ct.array, again.ct.array)
    assert first.patient == again.patient != other.patient
    assert np.abs(first.ct_noise_free.array - other.ct_noise_free.array).mean() > 20


def _centre(mask: np.ndarray, grid: Grid) -> np.ndarray:
    return grid.to_world(np.argwhere(mask).mean(axis=0))


@pytest.mark.parametrize("seed", range(20))
def test_every_patient_is_a_pelvis(seed):
    name = "ABCD"[seed % 4]
    anatomy = make_anatomy(generator(seed, "test"), HOSPITALS[name].case_mix)
    grid = phantom_grid((6.0, 6.0, 6.0))
    slabs = list(sample(anatomy, grid))
    shares = np.concatenate([slab.shares for slab in slabs], axis=3)
    masks = {
        structure: np.concatenate([slab.structures[structure] for slab in slabs], axis=2) >= 0.5
        for structure in STRUCTURES
    }
    assert shares.min() >= -1e-6
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-5)
    assert all(mask.any() for mask in masks.values())
    assert all((mask <= masks["Body"]).all() for mask in masks.values())
    assert (shares.max(axis=(1, 2, 3)) > 0.05).all(), "a part is missing"
    where = {name: _centre(mask, grid) for name, mask in masks.items()}
    assert where["Prostate"][2] < where["Bladder"][2]
    assert where["Rectum"][1] > where["Prostate"][1] + 15
    assert where["Sacrum"][1] > where["Rectum"][1]
    assert where["Femur_Head_L"][0] > 70 and where["Femur_Head_R"][0] < -70
    assert abs(where["Femur_Head_L"][2] - where["Femur_Head_R"][2]) < 15
    lesion = masks["GTV"]
    assert (masks["Prostate"] & lesion).sum() >= 0.9 * lesion.sum()
    body = masks["Body"]
    edge = body[[0, -1]].any() or body[:, [0, -1]].any()
    assert not edge, "the body leaves the field of view"
    air = (shares[LABELS["air"]] > 0.5) & ndimage.binary_erosion(body, iterations=2)
    assert not air.any(), "a hole in the body"


def test_the_body_is_one_piece_with_two_hips(patient):
    _, pieces = ndimage.label(patient.body)
    assert pieces == 1
    head = patient.structures["Femur_Head_L"]
    volume = head.sum() * patient.grid.voxel_volume_cc
    assert 45 < volume < 110  # a ball of 24 mm and the beginning of the neck
    centre = patient.anatomy.heads["L"].centre_mm
    i, j, k = np.indices(patient.grid.shape)
    world = patient.grid.to_world(np.stack([i, j, k], axis=-1))
    offset = world - centre
    distance = np.linalg.norm(offset, axis=-1)
    above = (distance > 29) & (distance < 34) & (offset[..., 2] > 0.5 * distance)
    covered = patient.structures["Bone_Pelvic"][above].mean()
    assert covered > 0.5, "the socket does not cover the head"


def test_left_and_right_are_not_mirror_images(patient):
    hu = patient.ct_noise_free.array
    mirrored = hu[::-1]
    body = patient.body | patient.body[::-1]
    assert np.abs(hu - mirrored)[body].mean() > 40
    left = patient.structures["Femur_L"].sum()
    right = patient.structures["Femur_R"].sum()
    assert left != right


def test_ct_numbers_by_part(patient):
    hu, labels = patient.ct_noise_free.array, patient.labels.array
    expected = {"air": -1000, "fat": -99, "muscle": 43, "urine": 16}
    for part, value in expected.items():
        deep = ndimage.binary_erosion(labels == LABELS[part], iterations=2)
        assert deep.any()
        assert abs(float(np.median(hu[deep])) - value) < 15, part
    marrow = labels == LABELS["marrow_femur"]
    assert 80 < np.median(hu[marrow]) < 400
    assert np.median(hu[labels == LABELS["bone_cortical"]]) > 500
    outside = ~ndimage.binary_dilation(patient.body, iterations=2)
    assert abs(float(patient.ct.array[outside].mean()) + 1000) < 5
    assert patient.ct.array.min() >= -1024


def test_partial_volume_adds_up():
    """A coarse voxel is the mean of the fine ones within it."""
    anatomy = make_anatomy(generator(3, "test"), CaseMix())
    fine = phantom_grid((2.0, 2.0, 2.0), (160.0, 96.0, 48.0))
    coarse = phantom_grid((4.0, 4.0, 4.0), (160.0, 96.0, 48.0))
    many = np.concatenate([s.shares for s in sample(anatomy, fine)], axis=3)
    few = np.concatenate([s.shares for s in sample(anatomy, coarse)], axis=3)
    shape = (len(PARTS), *(n for size in coarse.shape for n in (size, 2)))
    blocks = many.reshape(shape).mean(axis=(2, 4, 6))
    np.testing.assert_allclose(blocks, few, atol=2e-5)


def test_oblique_and_permuted_grids_show_the_same_patient():
    anatomy = make_anatomy(generator(4, "test"), CaseMix())
    grid = phantom_grid((5.0, 5.0, 5.0), (220.0, 160.0, 100.0))
    turned = Grid(
        shape=(grid.shape[2], grid.shape[0], grid.shape[1]),
        spacing_mm=(5.0, 5.0, 5.0),
        origin_mm=grid.origin_mm,
        direction=(0, 1, 0, 0, 0, 1, 1, 0, 0),
    )
    straight = np.concatenate([s.shares for s in sample(anatomy, grid)], axis=3)
    permuted = np.concatenate([s.shares for s in sample(anatomy, turned)], axis=3)
    np.testing.assert_allclose(permuted.transpose(0, 2, 3, 1), straight, atol=1e-4)
    angle = np.deg2rad(20)
    c, s = float(np.cos(angle)), float(np.sin(angle))
    tilted = dataclasses.replace(turned, direction=(c, -s, 0, s, c, 0, 0, 0, 1))
    for slab in sample(anatomy, tilted):
        np.testing.assert_allclose(slab.shares.sum(axis=0), 1, atol=1e-5)


def _points(spacing: tuple[float, float, float], half_mm: float) -> Points:
    counts = [int(np.ceil(half_mm / s)) for s in spacing]
    axes = [
        (np.arange(-n, n + 1) * s).astype(np.float32) for n, s in zip(counts, spacing, strict=True)
    ]
    x, y, z = (np.ascontiguousarray(a) for a in np.meshgrid(*axes, indexing="ij"))
    to_index = np.diag([*(1 / s for s in spacing), 1.0])
    to_index[:3, 3] = counts
    return Points(
        x=x,
        y=y,
        z=z,
        to_index=to_index,
        cell_mm=float(np.mean(spacing)),
        factor=(1, 1, 1),
        slack_mm=0.0,
    )


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 2.0, 3.0), (3.0, 3.0, 3.0)])
def test_shapes_conserve_volume(spacing):
    points, cell = _points(spacing, 45.0), float(np.prod(spacing))
    egg = Ellipsoid(centre_mm=np.array([1.3, -0.7, 0.4]), radii_mm=np.array([30.0, 22.0, 17.0]))
    box = points.box(egg.bounds)
    outer = egg.distance(points, box)
    volume = float(points.share(outer).sum()) * cell
    assert volume == pytest.approx(4 / 3 * np.pi * 30 * 22 * 17, rel=0.01)
    ball = Ellipsoid(centre_mm=np.zeros(3), radii_mm=np.full(3, 24.0))
    distance = ball.distance(points, points.box(ball.bounds))
    thin = points.share(distance) - points.share(distance + np.float32(1.0))
    assert float(thin.sum()) * cell == pytest.approx(4 / 3 * np.pi * (24**3 - 23**3), rel=0.03), (
        "a shell thinner than a cell must keep its volume"
    )
    nodes = np.array([[-20.0, 3.0, 1.0, 9.0], [17.0, -4.0, 6.0, 9.0]])
    tube = Mesh(nodes=nodes, edges=[(0, 1)])
    length = float(np.linalg.norm(nodes[1, :3] - nodes[0, :3]))
    filled = points.share(tube.distance(points, points.box(tube.bounds)))
    expected = np.pi * 81 * length + 4 / 3 * np.pi * 729
    assert float(filled.sum()) * cell == pytest.approx(expected, rel=0.015)


def test_plate_has_its_thickness():
    points = _points((1.0, 1.0, 1.0), 40.0)
    nodes = np.array([[-30.0, -20, 0, 4], [30, -20, 0, 4], [0, 30, 0, 4]])
    plate = Mesh(nodes=nodes, faces=[(0, 1, 2)])
    box = points.box(plate.bounds)
    distance = plate.distance(points, box)
    x, y, z = (axis[box] for axis in (points.x, points.y, points.z))
    inside = (np.abs(x) < 5) & (np.abs(y) < 5) & (np.abs(z) < 5)
    np.testing.assert_allclose(distance[inside], np.abs(z[inside]) - 4, atol=1e-4)


def test_dose_truth_follows_the_tissues(patient):
    density = patient.relative_electron_density.array
    stopping = patient.stopping_power.array
    labels = patient.labels.array
    deep = ndimage.binary_erosion(labels == LABELS["muscle"], iterations=2)
    assert np.percentile(density[deep], 98) == pytest.approx(1.040, abs=0.003)  # without fat
    assert np.percentile(stopping[deep], 98) == pytest.approx(1.042, abs=0.004)
    assert density[labels == LABELS["air"]].min() < 0.01
    assert 1.4 < density.max() < 1.79
    assert stopping.max() < density.max(), "the stopping power of bone is below its density"


def test_oracle_is_nearly_the_truth(patient):
    truth = patient.ct_noise_free
    made = oracle_translate(truth, seed=4)
    again = oracle_translate(truth, seed=4)
    other = oracle_translate(truth, seed=5)
    assert np.array_equal(made.array, again.array)
    assert not np.array_equal(made.array, other.array)
    assert "oracle" in made.history[-1] and made.grid == truth.grid
    error = (made.array - truth.array)[patient.body]
    assert abs(error.mean()) < 10 and np.abs(error).mean() < 25
    quiet = oracle_translate(truth, seed=4, noise_hu=0, blur_mm=0, field_hu=10)
    field = quiet.array - truth.array
    assert np.abs(field).max() == pytest.approx(10, abs=0.1)
    assert np.abs(np.diff(field, axis=0)).max() < 1.5, "the field must be smooth"
    exact = oracle_translate(truth, seed=4, noise_hu=0, blur_mm=0, field_hu=0)
    np.testing.assert_allclose(exact.array, truth.array, atol=1e-3)
    with pytest.raises(InputError, match="HU"):
        oracle_translate(patient.mr, seed=1)
    with pytest.raises(InputError, match="negative"):
        oracle_translate(truth, seed=1, noise_hu=-1)
