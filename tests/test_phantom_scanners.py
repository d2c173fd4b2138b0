"""PET and cone-beam CT of the virtual hospitals, against known answers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage
from scipy.special import erf

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid
from qa_suite.lab.phantom import (
    HOSPITALS,
    LABELS,
    make_patient,
    pet,
    phantom_grid,
    scan_again,
    scan_cbct,
    scan_pet,
)
from qa_suite.lab.phantom import cbct as cone_beam
from qa_suite.lab.phantom.anatomy import in_the_world
from qa_suite.lab.phantom.cbct import OUTSIDE_HU, CBCTProtocol
from qa_suite.lab.phantom.parts import PARTS
from qa_suite.lab.phantom.patients import make_anatomy
from qa_suite.lab.phantom.pet import PETProtocol
from qa_suite.lab.phantom.randomness import generator
from qa_suite.lab.phantom.traits import CaseMix
from qa_suite.lab.phantom.uptake import (
    LESION_CORRELATION,
    OCCULT_SHARE,
    UPTAKE,
    draw_uptake,
    lesion_size,
)

GRID = Grid(shape=(71, 71, 71), spacing_mm=(1.0, 1.0, 1.0), origin_mm=(-35.0, -35.0, -35.0))
WIDE = Grid(shape=(110, 80, 16), spacing_mm=(4.0, 4.0, 6.0), origin_mm=(-218.0, -158.0, -45.0))


@pytest.fixture(scope="module")
def patients():
    return {name: make_patient(name, 1, seed=7, spacing_mm=(4.0, 4.0, 6.0)) for name in "ABC"}


@pytest.fixture(scope="module")
def pets(patients):
    return {name: scan_pet(patient) for name, patient in patients.items()}


def _radius(grid: Grid) -> np.ndarray:
    x, y, z = np.moveaxis(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    return np.sqrt(x**2 + y**2 + z**2)


def _ball(radius_mm: float) -> np.ndarray:
    return np.clip(0.5 - (_radius(GRID) - radius_mm), 0, 1).astype(np.float32)


@pytest.mark.parametrize("radius_mm", [4.0, 6.0, 9.0, 16.0])
def test_recovery_of_a_ball_is_that_of_its_size(radius_mm):
    """The peak of a ball seen through a Gaussian has a closed form."""
    protocol = PETProtocol(fwhm_mm=8.0)
    seen = pet.blurred(4 * _ball(radius_mm), GRID, protocol)
    t = radius_mm / (8.0 / 2.3548)
    expected = erf(t / np.sqrt(2)) - np.sqrt(2 / np.pi) * t * np.exp(-(t**2) / 2)
    peak = float(seen[35, 35, 35]) / 4
    assert peak == pytest.approx(expected, abs=0.02)
    assert peak < 0.7 if radius_mm < 7 else peak <= 1.001
    assert seen.sum() == pytest.approx(4 * _ball(radius_mm).sum(), rel=1e-3)  # no activity lost


def test_pet_noise_follows_the_counts():
    protocol = PETProtocol(noise=0.2, grain_mm=5.0)
    body = np.zeros(WIDE.shape, dtype=bool)
    body[10:100, 20:60] = True  # 360 mm wide
    middle = (slice(50, 60), slice(36, 44))
    one = pet.noise(np.ones(WIDE.shape, np.float32), body, WIDE, protocol, generator(1, "n"))
    four = pet.noise(np.full(WIDE.shape, 4, np.float32), body, WIDE, protocol, generator(1, "n"))
    assert one[middle].std() == pytest.approx(0.2, rel=0.15)
    np.testing.assert_allclose(four, 2 * one, rtol=1e-4, atol=1e-6)
    near = np.corrcoef(one[:-1].ravel(), one[1:].ravel())[0, 1]
    far = np.corrcoef(one[:-4].ravel(), one[4:].ravel())[0, 1]
    assert near > 0.3 and abs(far) < 0.05, "grains of 5 mm span neighbours of 4 mm, not of 16 mm"
    assert not pet.noise(
        np.zeros(WIDE.shape, np.float32), body, WIDE, protocol, generator(1, "n")
    ).any()
    stout = np.zeros(WIDE.shape, dtype=bool)
    stout[2:108, 20:60] = True
    more = pet.noise(np.ones(WIDE.shape, np.float32), stout, WIDE, protocol, generator(1, "n"))
    assert more[middle].std() > 1.2 * one[middle].std()


def test_large_organs_show_their_uptake(patients, pets):
    """What a large organ takes up is recovered within noise, times the calibration."""
    for name, scan in pets.items():
        labels, site = patients[name].labels.array, patients[name].hospital
        inside = ndimage.binary_erosion(labels == LABELS["urine"], iterations=3)
        assert inside.sum() > 20
        urine = scan.uptake.suv["urine"] * site.pet.calibration
        assert scan.noise_free.array[inside].mean() == pytest.approx(urine, rel=0.03)
        assert scan.image.array[inside].mean() == pytest.approx(urine, rel=0.08)
        muscle = ndimage.binary_erosion(labels == LABELS["muscle"], iterations=2)
        expected = scan.uptake.suv["muscle"] * site.pet.calibration
        assert np.median(scan.noise_free.array[muscle]) == pytest.approx(expected, rel=0.12)
        assert scan.image.quantity == "SUVbw" and scan.image.array.min() >= 0
        outside = ~ndimage.binary_dilation(patients[name].body, iterations=5)
        assert scan.image.array[outside].max() < 0.01
        bias = (scan.image.array - scan.noise_free.array)[patients[name].body].mean()
        assert abs(bias) < 0.02


def test_the_lesion_is_recovered_below_one(patients, pets):
    for name, scan in pets.items():
        lesion = patients[name].structures["GTV"]
        true = scan.uptake.suv["lesion"]
        recovery = scan.noise_free.array[lesion].mean() / patients[name].hospital.pet.calibration
        assert recovery < 0.9 * true
        assert scan.truth.array[lesion].max() == pytest.approx(true, rel=0.02)


def test_uptake_table_covers_every_part_and_hospitals_differ():
    assert set(UPTAKE) == set(PARTS)
    assert all(row.source for row in UPTAKE.values())
    assert UPTAKE["gas"].suv == UPTAKE["air"].suv == 0
    assert HOSPITALS["C"].pet.urine_suv[0] < 0.3 * HOSPITALS["A"].pet.urine_suv[0]  # diuretic
    assert len({site.pet.fwhm_mm for site in HOSPITALS.values()}) == 4
    assert all(0.9 <= site.pet.calibration <= 1.1 for site in HOSPITALS.values())


def test_lesion_uptake_is_known_to_the_mr_by_its_correlation_only():
    anatomy = make_anatomy(generator(1, "test"), CaseMix())
    sizes, uptakes, urine, foci = [], [], [], 0
    rng = generator(2, "test")
    for n in range(600):
        radius = rng.uniform(6.0, 9.0) * np.array([1.2, 0.85, 1.2])
        other = dataclasses.replace(
            anatomy, lesion=dataclasses.replace(anatomy.lesion, radii_mm=radius)
        )
        drawn = draw_uptake(other, (11.0, 1.95), generator(n, "uptake"))
        sizes.append(lesion_size(other))
        uptakes.append(np.log(drawn.suv["lesion"]))
        urine.append(drawn.suv["urine"])
        foci += drawn.focus is not None
    assert np.corrcoef(sizes, uptakes)[0, 1] == pytest.approx(LESION_CORRELATION, abs=0.09)
    assert np.std(sizes) == pytest.approx(1, abs=0.06) and abs(np.mean(sizes)) < 0.1
    assert np.exp(np.mean(uptakes)) == pytest.approx(UPTAKE["lesion"].suv, rel=0.06)
    assert np.median(urine) == pytest.approx(11.0, rel=0.15)
    assert np.percentile(urine, 95) > 4 * np.percentile(urine, 5)
    assert foci / 600 == pytest.approx(OCCULT_SHARE, abs=0.06)


def test_the_occult_focus_shows_in_the_pet_alone(patients, pets):
    found = []
    for name, scan in pets.items():
        assert scan.focus.any() <= (scan.uptake.focus is not None)
        if not scan.focus.any():
            continue
        labels = patients[name].labels.array
        marrow = np.isin(labels, [LABELS["marrow_pelvis"], LABELS["marrow_sacrum"]])
        same = marrow & ~ndimage.binary_dilation(scan.focus)
        found.append(scan.noise_free.array[scan.focus].mean())
        found[-1] /= np.median(scan.noise_free.array[same])
        hu = patients[name].ct_noise_free.array
        assert abs(np.median(hu[scan.focus]) - np.median(hu[same])) < 120, "the CT shows it"
    assert len(found) >= 1 and min(found) > 1.2 and max(found) > 2


def test_a_point_of_the_anatomy_is_found_in_the_world(patients):
    anatomy = patients["A"].anatomy
    heads = patients["A"].structures["Femur_Head_L"]
    centre = np.array(in_the_world(anatomy, anatomy.heads["L"].centre_mm))
    inside = np.argwhere(heads)
    near = np.abs(patients["A"].grid.to_world(inside) - centre).max(axis=1).min()
    assert near < 4
    grid = phantom_grid((4.0, 4.0, 6.0))
    i, j, k = np.round(grid.to_index(centre)).astype(int)
    assert heads[i, j, k]


def test_pet_is_the_same_again_and_another_for_the_next_patient(patients, pets):
    again = scan_pet(patients["A"])
    assert np.array_equal(again.image.array, pets["A"].image.array)
    assert again.uptake.suv == pets["A"].uptake.suv
    other = scan_pet(make_patient("A", 2, seed=7, spacing_mm=(8.0, 8.0, 8.0)))
    assert other.uptake.suv["urine"] != again.uptake.suv["urine"]


def _cylinder(a_mm: float, b_mm: float) -> np.ndarray:
    x, y, _ = np.moveaxis(WIDE.to_world(np.moveaxis(np.indices(WIDE.shape), 0, -1)), -1, 0)
    return (x / a_mm) ** 2 + (y / b_mm) ** 2 <= 1


def _middle_and_rim(a_mm: float, protocol: CBCTProtocol) -> tuple[float, float]:
    body = _cylinder(a_mm, 0.65 * a_mm)
    water = np.where(body, 0.0, -1000.0).astype(np.float32)
    image = cone_beam.cupped(water, body, WIDE, protocol)
    np.testing.assert_allclose(image[~body], -1000, atol=1e-3)  # air stays air
    rim = body & ~ndimage.binary_erosion(body, np.ones((3, 3, 1)), iterations=2)
    return float(image[54:56, 39:41, 7:9].mean()), float(image[rim].mean())


def test_scatter_cups_and_takes_more_from_the_larger_body():
    middle, rim = _middle_and_rim(180.0, CBCTProtocol(scatter=0.3))
    assert middle < rim < 0, "the middle is darkest, and the rim is dark too"
    path = 2 * np.sqrt(180.0 * 0.65 * 180.0)
    expected = -1000 * np.log(1.3) / (cone_beam.WATER_PER_MM * path)
    assert middle == pytest.approx(expected, rel=0.05)
    larger, _ = _middle_and_rim(205.0, CBCTProtocol(scatter=0.3))
    assert larger < middle - 3
    none, _ = _middle_and_rim(180.0, CBCTProtocol(scatter=0.0))
    assert none == pytest.approx(0, abs=1e-3)


def test_truncation_circle_and_its_bright_rim():
    protocol = CBCTProtocol(diameter_mm=300.0, length_mm=48.0)
    seen = cone_beam.field_of_view(WIDE, (0.0, 0.0, 0.0), protocol)
    area = seen.sum(axis=(0, 1)) * 16.0
    assert (area > 0).sum() == 8  # slices of 6 mm in 48 mm
    np.testing.assert_allclose(area[area > 0], np.pi * 150**2, rtol=0.01)
    body = _cylinder(200.0, 130.0)
    water = np.zeros(WIDE.shape, dtype=np.float32)
    bright = cone_beam.truncated(water, body, seen, WIDE)
    at_rim = bright[19, 39, 8]  # x = -142 mm, inside the circle, body beyond it
    assert 30 < at_rim < cone_beam._RIM_HU + 1
    assert bright[55, 39, 8] < 1 and bright[55, 10, 8] < 1  # the middle, and the closed front
    small = cone_beam.truncated(water, _cylinder(120.0, 90.0), seen, WIDE)
    assert np.array_equal(small, water)


def test_gas_that_lies_still_makes_no_streaks_and_gas_that_moved_is_seen_there():
    grid = Grid(shape=(64, 64, 2), spacing_mm=(2.0, 2.0, 3.0))
    x, y = np.meshgrid(*(np.arange(64) * 2.0 - 63,) * 2, indexing="ij")

    def bubble(at_mm: float) -> np.ndarray:
        share = np.clip(0.5 - (np.hypot(x - at_mm, y) - 16) / 2, 0, 1).astype(np.float32)
        return np.stack([share, np.zeros_like(share)], axis=2)

    still = cone_beam.moving_gas(bubble(0), grid, np.zeros((2, 90)))
    assert np.abs(still).max() < 1e-6
    moved = cone_beam.moving_gas(bubble(0), grid, np.array([[4.0], [0.0]]) * np.ones((2, 90)))
    expected = -1000 * (bubble(4) - bubble(0))
    assert np.corrcoef(moved.ravel(), expected.ravel())[0, 1] > 0.8
    assert not moved[..., 1].any()
    streaks = cone_beam.streaks(bubble(0), grid, CBCTProtocol(), generator(3, "gas"))[..., 0]
    away = np.hypot(x, y) > 30
    assert 1 < streaks[away].std() < 60 and abs(float(streaks.mean())) < 1
    less = cone_beam.streaks(bubble(0), grid, CBCTProtocol(gas_motion_mm=1.0), generator(3, "gas"))[
        ..., 0
    ]
    assert less[away].std() < 0.5 * streaks[away].std()


def test_cone_beam_ct_of_a_patient(patients):
    for name, patient in patients.items():
        scan, site = scan_cbct(patient), HOSPITALS[name].cbct
        assert (scan.image.array[~scan.seen] == OUTSIDE_HU).all()
        level = patient.grid.to_world(np.argwhere(scan.seen))[:, 2]
        assert np.ptp(level) <= site.length_mm
        assert scan.seen[patient.structures["Prostate"]].all()
        error = scan.image.array - patient.ct_noise_free.array
        deep = ndimage.binary_erosion(patient.body, iterations=12) & scan.seen
        calibrated = error[deep].mean() - site.offset_hu
        assert calibrated < -20, "scatter must lower the CT numbers"
        assert error[deep].std() > 1.5 * HOSPITALS[name].ct.noise_hu
        assert np.array_equal(scan_cbct(patient).image.array, scan.image.array)
    assert not scan_cbct(patients["A"]).seen[..., -1].any()  # 160 mm end below the top slice


def test_cone_beam_ct_needs_an_axial_grid(patients):
    ct = patients["A"].ct
    turned = dataclasses.replace(ct.grid, direction=(1, 0, 0, 0, 0, 1, 0, -1, 0))
    with pytest.raises(InputError, match="axial"):
        scan_cbct(dataclasses.replace(patients["A"], ct=dataclasses.replace(ct, grid=turned)))


def test_second_sequence_shares_coil_and_geometry(patients):
    patient = patients["A"]
    second, clean = scan_again(patient, HOSPITALS["A"].mr_second)
    assert np.array_equal(scan_again(patient, HOSPITALS["A"].mr_second)[0].array, second.array)
    labels = patient.labels.array
    deep = {
        part: ndimage.binary_erosion(labels == LABELS[part], iterations=1)
        for part in ("urine", "muscle")
    }
    t1, t2 = (
        {p: float(np.median(i.array[m])) for p, m in deep.items()}
        for i in (patient.mr_noise_free, clean)
    )
    assert t2["urine"] / t2["muscle"] > 3 > t1["urine"] / t1["muscle"]
    muscle = ndimage.binary_erosion(labels == LABELS["muscle"], iterations=1)
    ratio = clean.array[muscle] / patient.mr_noise_free.array[muscle]
    left = patient.grid.to_world(np.argwhere(muscle))[:, 0] > 0
    assert np.median(ratio[left]) == pytest.approx(np.median(ratio[~left]), rel=0.03)
    with pytest.raises(InputError, match="scanner"):
        scan_again(patient, HOSPITALS["B"].mr_second)


def test_mr_without_noise_is_the_mr_less_its_noise(patients):
    for patient in patients.values():
        noise = (patient.mr.array - patient.mr_noise_free.array)[patient.body]
        bright = np.percentile(patient.mr_noise_free.array[patient.body], 90)
        assert abs(noise.mean()) < 0.02 * bright
        assert 0.3 < noise.std() / (patient.hospital.mr.noise * bright) < 1.5
