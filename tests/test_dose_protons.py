"""The proton surrogate: range, energy and width, and dose in water."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.volume import Grid
from qa_suite.dose.plan.plan import PlannedBeam, ProtonSpots
from qa_suite.dose.plan.template import BeamTemplate
from qa_suite.dose.protons.physics import GY_CM2, angle_variance, depth_dose, straggling_mm
from qa_suite.dose.range.pstar import energy_mev, range_mm
from tests.proton_cases import (
    JOULE_PER_MEV,
    MACHINE,
    PARALLEL,
    PSTAR,
    distal_depth_mm,
    dose_of,
    one_spot,
    water,
    widening,
)

# --- physics ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("energy", "csda"), PSTAR.items())
def test_r80_lies_at_the_range_of_pstar(energy: float, csda: float) -> None:
    depth = np.arange(0.0, 360.0, 0.05)
    for spread in (0.3, MACHINE.spread_pct(energy), 1.0):
        curve = depth_dose(depth, energy, spread_pct=spread)
        assert distal_depth_mm(depth, curve) == pytest.approx(10 * csda, abs=0.1)


def test_range_and_energy_are_inverse() -> None:
    energy = np.linspace(10, 280, 200)
    np.testing.assert_allclose(energy_mev(range_mm(energy)), energy, rtol=1e-5)


@pytest.mark.parametrize("energy", [70, 150, 230])
def test_the_closed_form_is_the_straggled_plateau(energy: float) -> None:
    """Bortfeld's curve against its own unstraggled form, convolved by quadrature."""
    r0, sigma = float(range_mm(energy)) / 10, float(straggling_mm(energy, 0.5)) / 10
    z = np.array([0.3, 0.8, 0.95, 1.0]) * r0
    ours = depth_dose(10 * z, energy, spread_pct=0.5, tail=0.1)
    p, scale = 1.77, 1 / (1.77 * 0.0022 ** (1 / 1.77) * (1 + 0.012 * r0))
    for depth, value in zip(z, ours, strict=True):
        # substitute (R − z)^(1/p) = t, so that the singularity at the range disappears
        t = np.linspace(0, (r0 + 8 * sigma - depth) ** (1 / p), 200_001)
        left = t**p
        slope = 0.012 + 0.6 * 0.012 * p + 0.1 * p / r0
        straggle = np.exp(-0.5 * ((left + depth - r0) / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
        integrand = (1 + slope * left) * straggle * p
        expected = scale * GY_CM2 * np.trapezoid(integrand, t)
        assert value == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(("energy", "lost"), [(70, 0.01), (150, 0.04), (230, 0.08)])
def test_depth_dose_holds_the_energy_less_nuclear_losses(energy: float, lost: float) -> None:
    depth = np.arange(0.0, 400.0, 0.05)
    curve = depth_dose(depth, energy, spread_pct=0.5)
    kept = np.trapezoid(curve, depth) / 10 / GY_CM2 / energy
    assert kept == pytest.approx(1 - lost, abs=0.015)


@pytest.mark.parametrize("energy", [70, 158.6, 230])
def test_scattering_widens_to_two_percent_of_the_range(energy: float) -> None:
    """0.022 R, as measured at 158.6 MeV (Preston & Koehler, see Gottschalk 2010)."""
    depth = np.arange(0.0, float(range_mm(energy)), 0.25)
    sigma = np.sqrt(widening(angle_variance(depth, energy), depth)[-1])
    assert sigma / range_mm(energy) == pytest.approx(0.022, abs=0.0005)


# --- dose in water ---------------------------------------------------------------------------


@pytest.mark.parametrize("energy", [70.0, 150.0, 200.0])
def test_a_spot_in_water(energy: float) -> None:
    grid = water((61, 150, 61))
    dose = dose_of(np.ones(grid.shape, np.float32), grid, one_spot(energy))
    depth = 2 * np.arange(150) + 1.0
    planes = dose.sum(axis=(0, 2)) * 0.04 / 1000
    curve = depth_dose(depth, energy, spread_pct=MACHINE.spread_pct(energy))
    np.testing.assert_allclose(planes, curve, atol=1e-3 * curve.max())
    x = 2 * np.arange(61) - 60.0
    at = int(0.9 * range_mm(energy) // 2)
    profile = dose[:, at, 30]
    scattered = widening(
        angle_variance(np.arange(0, depth[at], 0.25), energy), np.arange(0, depth[at], 0.25)
    )[-1]
    sigma = np.sqrt((profile * x**2).sum() / profile.sum())
    assert sigma == pytest.approx(np.hypot(MACHINE.sigma_mm(energy), np.sqrt(scattered)), rel=0.01)


def test_energy_is_kept_in_a_water_box() -> None:
    grid = water((61, 100, 61))
    dose = dose_of(np.ones(grid.shape, np.float32), grid, one_spot(150.0), machine=MACHINE)
    joule = dose.sum() * grid.voxel_volume_cc * 1e-3
    assert joule / (1e9 * JOULE_PER_MEV) == pytest.approx(0.96 * 150, rel=0.01)


def test_a_slab_shifts_the_peak_by_what_it_is_more_than_water() -> None:
    grid = water((41, 100, 41))
    density = np.ones(grid.shape, np.float32)
    depth = 2 * np.arange(100) + 1.0
    plain = dose_of(density, grid, one_spot(150.0)).sum(axis=(0, 2))
    density[:, 20:25] = 1.5  # 1 cm
    behind = dose_of(density, grid, one_spot(150.0)).sum(axis=(0, 2))
    shift = distal_depth_mm(depth, plain) - distal_depth_mm(depth, behind)
    assert shift == pytest.approx(5.0, abs=0.15)  # linear between voxels of 2 mm


def test_fine_voxels_show_the_shift_exactly() -> None:
    grid = Grid(shape=(9, 400, 9), spacing_mm=(8.0, 0.5, 8.0), origin_mm=(-32.0, 0.25, -32.0))
    density = np.ones(grid.shape, np.float32)
    depth = 0.5 * np.arange(400) + 0.25
    plain = dose_of(density, grid, one_spot(150.0)).sum(axis=(0, 2))
    density[:, 40:60] = 1.5
    behind = dose_of(density, grid, one_spot(150.0)).sum(axis=(0, 2))
    assert distal_depth_mm(depth, plain) == pytest.approx(157.7, abs=0.1)
    shift = distal_depth_mm(depth, plain) - distal_depth_mm(depth, behind)
    assert shift == pytest.approx(5.0, abs=0.02)


def test_behind_half_a_slab_there_are_two_ranges() -> None:
    """Left of the edge the range is 10 mm shorter, right of it whole; between, both protons mix."""
    grid = water((61, 100, 41))
    density = np.ones(grid.shape, np.float32)
    density[:30, 10:20] = 1.5  # 2 cm thick, x < 0
    x = np.arange(-40.0, 41.0, 5.0)
    spots = ProtonSpots(
        energy_mev=np.full(x.size**2, 150.0),
        x_mm=np.repeat(x, x.size),
        y_mm=np.tile(x, x.size),
        weight=np.ones(x.size**2),
    )
    beam = PlannedBeam(geometry=BeamTemplate(gantry_deg=0), weight=1.0, delivery=spots)
    dose = dose_of(density, grid, beam)
    depth = 2 * np.arange(100) + 1.0
    left, right = dose[18, :, 20], dose[42, :, 20]  # x = −24 and 24 mm
    edge = (dose[29, :, 20] + dose[30, :, 20]) / 2  # the edge lies at −1 mm
    assert distal_depth_mm(depth, left) == pytest.approx(147.7, abs=0.4)
    assert distal_depth_mm(depth, right) == pytest.approx(157.7, abs=0.4)
    assert edge.max() < 0.8 * right.max()
    np.testing.assert_allclose(edge[60:], (left + right)[60:] / 2, atol=0.08 * right.max())


def test_a_gap_widens_a_scattered_beam() -> None:
    grid = water((61, 110, 61))
    density = np.ones(grid.shape, np.float32)
    plain = dose_of(density, grid, one_spot(150.0))[:, 50, 30]
    density[:, 30:55] = 0.0  # 5 cm of nothing behind 6 cm of water
    gap = dose_of(density, grid, one_spot(150.0))[:, 75, 30]  # as deep in water
    x = 2 * np.arange(61) - 60.0
    width = [np.sqrt((p * x**2).sum() / p.sum()) for p in (plain, gap)]
    way = np.arange(0, 151, 0.25)
    behind = np.where(way < 60, way, np.maximum(60, way - 50))
    for found, wet in zip(width, (way, behind), strict=True):
        end = np.searchsorted(wet, 101.0) + 1
        angles = np.interp(wet, way, angle_variance(way, 150.0))
        expected = widening(angles[:end], way[:end])[-1]
        assert found == pytest.approx(np.sqrt(MACHINE.sigma_mm(150) ** 2 + expected), rel=0.005)
    assert width[1] > width[0] + 0.4


@pytest.mark.parametrize("machine", [MACHINE, PARALLEL])
def test_quarter_turns_give_the_same_dose(machine: object) -> None:
    grid = Grid(shape=(51, 51, 25), spacing_mm=(3.0,) * 3, origin_mm=(-75.0, -75.0, -36.0))
    r = np.linalg.norm(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1))[..., :2], axis=-1)
    density = np.where(r < 70, 1.0, 0.0).astype(np.float32)
    first = dose_of(density, grid, one_spot(100.0), (0.0, 0.0, 0.0), machine)
    assert first.max() > 0
    for turns, gantry in ((1, 90.0), (2, 180.0), (3, 270.0)):
        turned = dose_of(density, grid, one_spot(100.0, gantry), (0.0, 0.0, 0.0), machine)
        back = np.rot90(turned, -turns, axes=(0, 1))
        np.testing.assert_allclose(back, first, atol=2e-3 * first.max())


def test_a_divergent_beam_spreads_as_its_source_says() -> None:
    machine = MACHINE.model_copy(update={"sad_mm": 1000.0})
    grid = water((101, 80, 21))
    spots = ProtonSpots(
        energy_mev=np.array([200.0]), x_mm=np.array([50.0]), y_mm=np.zeros(1), weight=np.ones(1)
    )
    beam = PlannedBeam(geometry=BeamTemplate(gantry_deg=0), weight=1.0, delivery=spots)
    dose = dose_of(np.ones(grid.shape, np.float32), grid, beam, (0.0, 21.0, 0.0), machine)
    x = 2 * np.arange(101) - 100.0
    for plane in (10, 70):  # y = 21 (the isocentre's plane) and 141 mm
        profile = dose[:, plane, 10]
        expected = 50 * (1000 + 2 * plane + 1 - 21) / 1000
        assert (profile * x).sum() / profile.sum() == pytest.approx(expected, abs=0.2)


def test_outside_the_body_there_is_no_dose() -> None:
    grid = water((31, 40, 31))
    density = np.ones(grid.shape, np.float32)
    density[:, :10] = 0
    dose = dose_of(density, grid, one_spot(70.0))
    assert not dose[:, :10].any() and dose[15, 10, 15] > 0
