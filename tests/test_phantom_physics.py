"""The physics of the virtual hospitals, against known answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from qa_suite.core.errors import InputError, UnknownName
from qa_suite.lab.phantom import HOSPITALS, LABELS, make_patient, phantom_grid
from qa_suite.lab.phantom.anatomy import sample
from qa_suite.lab.phantom.ct import CTProtocol, noise
from qa_suite.lab.phantom.materials import (
    hounsfield,
    mean_excitation_energy_ev,
    relative_electron_density,
    stopping_power_ratio,
)
from qa_suite.lab.phantom.mr import (
    MRProtocol,
    coil_sensitivity,
    expose,
    gradient_displacement,
    rician,
    spoiled_gre,
    tissue_signal,
    turbo_spin_echo,
)
from qa_suite.lab.phantom.parts import PARTS, composition
from qa_suite.lab.phantom.patients import make_anatomy
from qa_suite.lab.phantom.randomness import generator
from qa_suite.lab.phantom.tissues import FIELDS_T, TISSUES, relaxation_at
from qa_suite.lab.phantom.traits import CaseMix


def test_water_and_air_are_calibrated():
    for kv in (80.0, 120.0, 140.0):
        assert hounsfield("water", kv) == pytest.approx(0, abs=1e-9)
        assert hounsfield("air", kv) == pytest.approx(-1000, abs=1e-9)
    assert relative_electron_density("water") == pytest.approx(1)
    assert stopping_power_ratio("water") == pytest.approx(1)
    assert mean_excitation_energy_ev("water") == pytest.approx(75.3, abs=0.3)  # ICRU 49: 75.0


@pytest.mark.parametrize(
    ("name", "density", "stopping", "hu"),
    [  # Schneider 1996 (densities, stopping powers) and Schneider 2000 (CT numbers at 120 kV)
        ("adipose", 0.932, 0.951, -98),
        ("muscle", 1.040, 1.042, 40),
        ("cortical_bone", 1.781, 1.70, 1524),
        ("yellow_marrow", 0.982, 1.003, -49),
        ("red_marrow", 1.023, 1.034, 11),
    ],
)
def test_tissues_match_the_literature(name, density, stopping, hu):
    assert relative_electron_density(name) == pytest.approx(density, rel=0.004)
    assert stopping_power_ratio(name) == pytest.approx(stopping, rel=0.008)
    assert hounsfield(name) == pytest.approx(hu, abs=6)


def test_bone_is_brighter_at_low_voltage_and_fat_darker():
    assert hounsfield("cortical_bone", 80) > hounsfield("cortical_bone", 140) + 200
    assert hounsfield("adipose", 80) < hounsfield("adipose", 140)


def test_tissue_table_is_sound():
    for name, material in TISSUES.items():
        assert sum(material.mass_percent.values()) == pytest.approx(100, abs=0.2), name
        assert material.source and material.mr_source
        assert set(material.relaxation) == set(FIELDS_T)
        for field in FIELDS_T:
            times = relaxation_at(name, field)
            assert times.t2_star_ms <= times.t2_ms <= times.t1_ms, name
        assert (
            relaxation_at(name, 0.35).t1_ms
            <= relaxation_at(name, 1.5).t1_ms
            <= relaxation_at(name, 3.0).t1_ms
        ), f"T1 of {name} must grow with the field"
    for part in PARTS:
        assert sum(composition(part, 1.0).values()) == pytest.approx(1), part


def test_unknown_tissue_and_field_are_refused():
    with pytest.raises(UnknownName, match="muscle"):
        hounsfield("muscel")
    with pytest.raises(InputError, match="7 T"):
        relaxation_at("muscle", 7.0)


def test_spoiled_gradient_echo_known_answers():
    settings = {"t1_ms": 1000.0, "t2_star_ms": 1e9, "repetition_ms": 10.0, "echo_ms": 0.0}
    recovery = np.exp(-0.01)
    assert spoiled_gre(**settings, flip_deg=90) == pytest.approx(1 - recovery)
    ernst = np.rad2deg(np.arccos(recovery))
    peak = spoiled_gre(**settings, flip_deg=ernst)
    assert peak == pytest.approx(np.sqrt((1 - recovery) / (1 + recovery)))
    assert peak > spoiled_gre(**settings, flip_deg=ernst * 1.1)
    assert peak > spoiled_gre(**settings, flip_deg=ernst * 0.9)
    late = spoiled_gre(
        t1_ms=1000, t2_star_ms=20, repetition_ms=10, echo_ms=20 * np.log(2), flip_deg=90
    )
    assert late == pytest.approx((1 - recovery) / 2)


def test_turbo_spin_echo_known_answers():
    assert turbo_spin_echo(
        t1_ms=1000, t2_ms=100, repetition_ms=1000 * np.log(2), echo_ms=100 * np.log(4)
    ) == pytest.approx(0.5 * 0.25)
    assert turbo_spin_echo(t1_ms=500, t2_ms=0.5, repetition_ms=3000, echo_ms=90) < 1e-12
    nulled = turbo_spin_echo(
        t1_ms=200, t2_ms=60, repetition_ms=1e6, echo_ms=0, inversion_ms=200 * np.log(2)
    )
    assert nulled == pytest.approx(0, abs=1e-12)
    stir = MRProtocol(
        field_t=0.35, sequence="T2w TSE", repetition_ms=2600, echo_ms=60, inversion_ms=139
    )
    assert abs(tissue_signal("adipose", stir)) < 0.1 * abs(tissue_signal("muscle", stir))


def test_fat_and_water_cancel_out_of_phase():
    """At 1.5 T fat is opposed at 2.30 ms and in phase at 4.61 ms; a Dixon image always is."""

    def signal(echo_ms: float, sequence: str = "T1w spoiled GRE") -> complex:
        protocol = MRProtocol(
            field_t=1.5, sequence=sequence, repetition_ms=7, echo_ms=echo_ms, flip_deg=12
        )
        return tissue_signal("red_marrow", protocol)

    opposed, in_phase, dixon = signal(2.303), signal(4.606), signal(2.303, "Dixon in-phase")
    share = TISSUES["red_marrow"].fat_fraction
    assert abs(opposed) / abs(dixon) == pytest.approx(1 - 2 * share, abs=0.01)
    assert abs(np.angle(in_phase)) < 0.01
    with pytest.raises(InputError, match="signal equation"):
        signal(2.0, "EPI")


def _signal(hospital: str, tissue: str) -> float:
    return abs(tissue_signal(tissue, HOSPITALS[hospital].mr))


def test_hospitals_at_home_agree_and_the_stranger_has_another_contrast_order():
    tissues = ("adipose", "red_marrow", "muscle", "urine")
    order = {h: sorted(tissues, key=lambda t: -_signal(h, t)) for h in "ABCD"}
    assert order["A"] == order["B"] == order["D"]
    assert order["A"][0] == "adipose" and order["A"][-1] == "urine"
    assert order["C"][0] == "urine"
    assert _signal("C", "prostate") > 2 * _signal("C", "muscle")
    for home in "ABD":
        assert _signal(home, "muscle") < 0.75 * _signal(home, "adipose")
    for hospital in HOSPITALS:
        assert _signal(hospital, "cortical_bone") < 0.15 * _signal(hospital, "adipose")
        assert _signal(hospital, "air") == 0
    fields = {h.mr.field_t for name, h in HOSPITALS.items() if name != "C"}
    assert HOSPITALS["C"].mr.field_t not in fields


def test_images_show_the_contrast_of_their_hospital():
    for hospital, brighter, darker in (("A", "fat", "urine"), ("C", "urine", "fat")):
        patient = make_patient(hospital, 1, seed=8, spacing_mm=(6.0, 6.0, 6.0))
        labels, image = patient.labels.array, patient.mr.array

        def median(part, labels=labels, image=image):
            deep = ndimage.binary_erosion(labels == LABELS[part])
            return float(np.median(image[deep]))

        assert median(brighter) > 1.25 * median(darker)
        assert median("air") < 0.15 * median("fat")
        assert np.median(image[labels == LABELS["gas"]]) < 0.6 * median("fat")
        assert image.min() >= 0


def test_rician_statistics():
    rng = np.random.default_rng(0)
    sigma = 3.0
    empty = rician(np.zeros((60, 60, 60)), sigma, rng)
    assert empty.mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.01)
    assert empty.std() == pytest.approx(sigma * np.sqrt(2 - np.pi / 2), rel=0.01)
    strong = rician(np.full((60, 60, 60), 100.0), sigma, rng)
    assert strong.std() == pytest.approx(sigma, rel=0.02)
    assert strong.mean() == pytest.approx(np.sqrt(100**2 + sigma**2), rel=0.001)


def test_coil_is_smooth_positive_and_its_mean_is_one():
    grid = phantom_grid((8.0, 8.0, 8.0))
    field = coil_sensitivity(np.random.default_rng(1), grid, 0.15)
    assert field.min() > 0.3 and field.mean() == pytest.approx(1, rel=1e-4)
    assert np.abs(np.diff(field, axis=1)).max() < 0.1
    flat = coil_sensitivity(np.random.default_rng(1), grid, 0.0)
    np.testing.assert_allclose(flat, 1, atol=1e-6)


def test_distortion_vanishes_at_the_isocentre_and_grows_outwards():
    size = (1.5, -1.2, 2.0)
    at = [
        np.array(v, dtype=np.float32)
        for v in ([0, 200, 0, 0, 50], [0, 0, 200, 0, 0], [0, 0, 0, 200, 0])
    ]
    dx, dy, dz = gradient_displacement(*at, size)
    np.testing.assert_allclose([dx[0], dy[0], dz[0]], 0)
    np.testing.assert_allclose([dx[1], dy[2], dz[3]], size, rtol=1e-5)
    assert abs(dx[4]) < 0.03
    for hospital in HOSPITALS:
        patient = make_patient(hospital, 1, seed=1, spacing_mm=(12.0, 12.0, 12.0))
        i, j, k = np.indices(patient.grid.shape)
        radius = np.linalg.norm(patient.grid.to_world(np.stack([i, j, k], -1)), axis=-1)
        length = np.linalg.norm(patient.distortion_mm, axis=-1)
        assert length[radius < 100].max() <= 1.0
        assert 0.8 < length[patient.body].max() < 5.0


def test_the_mr_shows_what_the_stored_field_says():
    """Undistorting the shares by the field gives those of the true anatomy."""
    anatomy = make_anatomy(generator(6, "test"), CaseMix())
    grid = phantom_grid((2.0, 2.0, 4.0), (400.0, 200.0, 40.0))
    size = (8.0, -8.0, 8.0)  # far more than real, so that it is seen on a coarse grid

    def displace(x, y, z):
        dx, dy, dz = gradient_displacement(x, y, z, size)
        return x + dx, y + dy, z + dz

    def fat_free(displacement):
        slabs = sample(anatomy, grid, displace=displacement)
        return np.concatenate([s.shares[LABELS["fat"]] for s in slabs], axis=2)

    true, seen = fat_free(None), fat_free(displace)
    i, j, k = np.indices(grid.shape)
    world = grid.to_world(np.stack([i, j, k], axis=-1)).astype(np.float32)
    moved = np.stack(displace(*np.moveaxis(world, -1, 0)), axis=-1)
    index = np.moveaxis(grid.to_index(moved), -1, 0)
    expected = ndimage.map_coordinates(true, index, order=1, mode="nearest")
    inner = (slice(8, -8), slice(8, -8), slice(3, -3))
    wrong = np.abs(seen - true)[inner].mean()
    assert np.abs(seen - expected)[inner].mean() < 0.4 * wrong


def test_noise_free_signal_is_scaled_to_fat():
    grid = phantom_grid((10.0, 10.0, 10.0))
    protocol = MRProtocol(
        field_t=1.5,
        sequence="T1w spoiled GRE",
        repetition_ms=7,
        echo_ms=4.6,
        flip_deg=12,
        noise=0.0,
        bias=0.0,
    )
    fat = np.full(grid.shape, tissue_signal("adipose", protocol), dtype=np.complex64)
    image, _ = expose(fat, grid, protocol, np.random.default_rng(3))
    assert image.std() < 1e-3 * image.mean()
    assert image.mean() == pytest.approx(protocol.gain, rel=0.4)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 2.0), (4.0, 4.0, 6.0)])
def test_ct_noise_has_the_level_of_the_protocol(spacing):
    grid = phantom_grid(spacing, (440.0, 320.0, 24.0))
    body = np.zeros(grid.shape, dtype=bool)
    margin = int(40 / spacing[0])
    body[margin:-margin, int(40 / spacing[1]) : -int(40 / spacing[1])] = True
    field = noise(body, grid, CTProtocol(noise_hu=12.0), np.random.default_rng(0))
    nx, ny, _ = grid.shape
    middle = field[nx // 2 - nx // 12 : nx // 2 + nx // 12, ny // 2 - ny // 12 : ny // 2 + ny // 12]
    assert middle.std() == pytest.approx(12.0, rel=0.12)
    assert field[:margin].std() < middle.std()
    wide = noise(
        np.ones(grid.shape, bool), grid, CTProtocol(noise_hu=12.0), np.random.default_rng(0)
    )
    assert wide.std() > field.std()
