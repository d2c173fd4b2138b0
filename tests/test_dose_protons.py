"""The proton surrogate: range, energy, width, planning, and that it always says the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.core.errors import InputError, Problems, UnknownName
from qa_suite.core.volume import Grid, Triple
from qa_suite.dose.engines import ENGINES
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.dose.machines.proton import load_machine
from qa_suite.dose.plan.plan import Plan, PlannedBeam, ProtonSpots
from qa_suite.dose.plan.template import BeamTemplate, PlanTemplate
from qa_suite.dose.protons import ProtonRangeEngine, protons_range
from qa_suite.dose.protons.dose import beam_dose
from qa_suite.dose.protons.influence import influence_matrix
from qa_suite.dose.protons.physics import GY_CM2, angle_variance, depth_dose, straggling_mm
from qa_suite.dose.protons.spots import place_spots
from qa_suite.dose.range.pstar import energy_mev, range_mm
from qa_suite.dose.range.raytrace import beam_frame

MACHINE = load_machine("proton-generic")
PARALLEL = MACHINE.model_copy(update={"sad_mm": None})
JOULE_PER_MEV = 1.602176634e-13

# NIST PSTAR, CSDA range of protons in liquid water in g/cm²
PSTAR = {70: 4.080, 100: 7.718, 150: 15.77, 200: 25.96, 230: 32.95}


def water(shape: tuple[int, int, int], spacing: float = 2.0) -> Grid:
    """A grid around (0, ·, 0) whose first face lies at y = 0."""
    nx, _, nz = shape
    origin = (-(nx - 1) / 2 * spacing, spacing / 2, -(nz - 1) / 2 * spacing)
    return Grid(shape=shape, spacing_mm=(spacing,) * 3, origin_mm=origin)


def distal_depth_mm(depth_mm: FloatArray, dose: FloatArray, *, level: float = 0.8) -> float:
    """Return the depth behind the maximum where a curve falls to ``level`` of it, in mm.

    Linear between the points; depths must rise.
    """
    top = int(np.argmax(dose))
    below = np.flatnonzero(dose[top:] < level * dose[top])
    if below.size == 0:
        return float(depth_mm[-1])
    n = top + int(below[0])
    share = (dose[n - 1] - level * dose[top]) / (dose[n - 1] - dose[n])
    return float(depth_mm[n - 1] + share * (depth_mm[n] - depth_mm[n - 1]))


def widening(angles: FloatArray, depth_mm: FloatArray) -> FloatArray:
    """Return the lateral variance in mm² that scattering adds in water, shape (depths,).

    Parameters
    ----------
    angles
        From :func:`angle_variance`, at ``depth_mm``.
    """
    gained = np.diff(angles)
    step = np.diff(depth_mm)
    a0 = a1 = a2 = 0.0
    out = [0.0]
    for more, dz in zip(gained, step, strict=True):
        a2 += 2 * a1 * dz + a0 * dz * dz + more * dz * dz / 3
        a1 += a0 * dz + more * dz / 2
        a0 += more
        out.append(a2)
    return np.asarray(out)


def one_spot(energy: float, gantry: float = 0.0, protons: float = 1000.0) -> PlannedBeam:
    spots = ProtonSpots(
        energy_mev=np.array([energy]),
        x_mm=np.zeros(1),
        y_mm=np.zeros(1),
        weight=np.array([protons]),
    )
    return PlannedBeam(geometry=BeamTemplate(gantry_deg=gantry), weight=1.0, delivery=spots)


def dose_of(
    density: NDArray[np.float32],
    grid: Grid,
    beam: PlannedBeam,
    isocentre_mm: Triple = (0.0, 50.0, 0.0),
    machine: object = PARALLEL,
) -> NDArray[np.float64]:
    return beam_dose(
        density, grid, beam, isocentre_mm=isocentre_mm, machine=machine, beamlet_mm=5.0
    )  # type: ignore[arg-type]


def template(*gantry: float, dose_gy: float = 60.0) -> PlanTemplate:
    return PlanTemplate.model_validate(
        {
            "name": "test",
            "modality": "protons",
            "anatomy": "box",
            "engine": "protons-range",
            "machine": "proton-generic",
            "technique": "spots",
            "beams": [{"gantry_deg": g} for g in gantry],
            "prescription": {"dose_gy": dose_gy, "fractions": 30},
            "targets": [{"structures": ["PTV"]}],
            "source": "A test.",
        }
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


# --- plans -----------------------------------------------------------------------------------

BOX = Grid(shape=(52, 52, 30), spacing_mm=(3.0,) * 3, origin_mm=(-76.5, -76.5, -43.5))
_P = BOX.to_world(np.moveaxis(np.indices(BOX.shape), 0, -1))
BODY = np.where((np.abs(_P[..., :2]) < 72).all(axis=-1), 1.0, 0.0).astype(np.float32)
TARGET = (np.abs(_P) < 20).all(axis=-1)
ORGAN = (np.abs(_P - [0, -50, 0]) < 12).all(axis=-1)


def make_plan(*gantry: float, density: NDArray[np.float32] = BODY) -> tuple[object, Plan]:
    engine = protons_range("proton-generic")
    plan = engine.plan(
        density,
        BOX,
        target=TARGET,
        avoid={"Organ": ORGAN},
        isocentre_mm=(0.0, 0.0, 0.0),
        template=template(*gantry),
        hlut=load_hlut("electron-density-as-rsp"),
        target_name="PTV",
    )
    return engine, plan


@pytest.fixture(scope="module")
def planned() -> tuple[ProtonRangeEngine, Plan]:
    engine, plan = make_plan(0.0)
    assert isinstance(engine, ProtonRangeEngine)
    return engine, plan


def test_a_single_field_covers_a_box(planned: tuple[ProtonRangeEngine, Plan]) -> None:
    engine, plan = planned
    dose = engine.recalculate(BODY, plan)
    assert dose.quantity == "Gy" and dose.array.dtype == np.float32
    inside = dose.array[TARGET]
    assert np.quantile(inside, 0.05) == pytest.approx(57.0, abs=0.05)  # D95 = 95 % of 60 Gy
    core = dose.array[(np.abs(_P) < 14).all(axis=-1)]
    assert core.std() / core.mean() < 0.02  # the plateau is flat
    behind = dose.array[(np.abs(_P - [0, 40, 0]) < 8).all(axis=-1)]
    assert behind.max() < 0.02 * core.mean()  # protons stop
    assert dose.array[ORGAN].mean() < core.mean()


def test_spots_reach_before_and_behind_the_target(planned: tuple[ProtonRangeEngine, Plan]) -> None:
    spots = planned[1].beams[0].delivery
    assert isinstance(spots, ProtonSpots)
    ranges = range_mm(spots.energy_mev)
    near, far = 72 - 21, 72 + 21  # voxel faces
    assert ranges.max() >= far and ranges.max() <= far * 1.03 + 1 + 1
    assert ranges.min() <= near + 2
    assert set(np.round(np.abs(spots.x_mm) % 5, 9)) == {0.0}
    assert spots.weight.min() >= 0


def test_the_matrix_says_what_the_dose_says() -> None:
    """Weights are optimised with the same physics as the final dose."""
    density = BODY.copy()
    density[:26, 15:20] *= 1.4
    frame = beam_frame(BeamTemplate(gantry_deg=20), (0.0, 0.0, 0.0), sad_mm=MACHINE.sad_mm)
    layout = place_spots(density, BOX, frame, TARGET, MACHINE, spacing_mm=5.0, label="G020")
    weight = np.random.default_rng(0).random(layout.count)
    voxels = np.argwhere(TARGET)
    found = influence_matrix(density, BOX, frame, layout, MACHINE, voxels) @ weight
    energy, x, y = layout.listed()
    spots = ProtonSpots(energy_mev=energy, x_mm=x, y_mm=y, weight=weight)
    beam = PlannedBeam(geometry=BeamTemplate(gantry_deg=20), weight=1.0, delivery=spots)
    dose = dose_of(density, BOX, beam, (0.0, 0.0, 0.0), MACHINE)[TARGET]
    assert np.abs(found - dose).max() < 0.02 * dose.max()
    assert (found - dose).mean() == pytest.approx(0, abs=0.006 * dose.mean())


def test_the_same_plan_gives_the_same_dose_and_digest(
    planned: tuple[ProtonRangeEngine, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, plan = planned
    first = engine.recalculate(BODY, plan).array
    monkeypatch.setattr("qa_suite.dose.range.raytrace.os.cpu_count", lambda: 1)
    _, again = make_plan(0.0)
    assert again.digest == plan.digest
    assert (engine.recalculate(BODY, again).array == first).all()


def test_dose_follows_protons_and_beams_add_up(planned: tuple[ProtonRangeEngine, Plan]) -> None:
    engine, plan = planned
    dose = engine.recalculate(BODY, plan).array
    twice = replace(plan, beams=(replace(plan.beams[0], weight=2.0),))
    np.testing.assert_allclose(
        engine.recalculate(BODY, twice).array, 2 * dose, rtol=1e-4, atol=1e-4
    )
    both = replace(plan, beams=plan.beams * 2)
    np.testing.assert_allclose(engine.recalculate(BODY, both).array, 2 * dose, rtol=1e-4, atol=1e-4)


def test_opposed_fields_spare_the_entrance(planned: tuple[ProtonRangeEngine, Plan]) -> None:
    engine, plan = make_plan(90.0, 270.0)
    assert isinstance(engine, ProtonRangeEngine)
    dose = engine.recalculate(BODY, plan).array
    assert np.quantile(dose[TARGET], 0.05) == pytest.approx(57.0, abs=0.05)
    assert len(plan.beams) == 2 and plan.facts["spots"] == sum(
        beam.delivery.weight.size
        for beam in plan.beams  # type: ignore[union-attr]
    )
    assert dose[4, 26, 15] < 0.65 * dose[26, 26, 15]


def test_denser_tissue_pulls_the_dose_back(planned: tuple[ProtonRangeEngine, Plan]) -> None:
    engine, plan = planned
    dense = engine.recalculate((BODY * np.float32(1.05)).astype(np.float32), plan).array
    last = (np.abs(_P - [0, 18, 0]) < [12, 3, 12]).all(axis=-1)  # the target's last voxels
    assert dense[last].mean() < 0.8 * engine.recalculate(BODY, plan).array[last].mean()


def test_the_engine_is_registered() -> None:
    entry = ENGINES["protons-range"]
    assert entry.facts.modality == "protons"
    assert isinstance(entry.function("proton-generic"), ProtonRangeEngine)


# --- bad input -------------------------------------------------------------------------------


def plan_with(**changed: object) -> None:
    given: dict[str, object] = {
        "density": BODY,
        "grid": BOX,
        "target": TARGET,
        "avoid": {},
        "isocentre_mm": (0.0, 0.0, 0.0),
        "template": template(0.0),
        "hlut": load_hlut("electron-density-as-rsp"),
        "target_name": "PTV",
    }
    given.update(changed)
    protons_range("proton-generic").plan(
        given.pop("density"),
        given.pop("grid"),
        **given,  # type: ignore[arg-type]
    )


def test_bad_input_is_one_sentence() -> None:
    with pytest.raises(InputError, match="relative_stopping_power"):
        plan_with(hlut=load_hlut("pydosert"))
    with pytest.raises(InputError, match="no voxel in the body"):
        plan_with(target=(BODY == 0))
    with pytest.raises(InputError, match="0 everywhere"):
        plan_with(density=np.zeros(BOX.shape, np.float32))
    with pytest.raises(InputError, match="no number"):
        plan_with(density=np.where(TARGET, np.nan, BODY))
    with pytest.raises(InputError, match="reaches 329 mm"):
        plan_with(density=(BODY * np.float32(6)).astype(np.float32))


def test_machines_are_checked(tmp_path: object) -> None:
    with pytest.raises(UnknownName, match="proton-generic"):
        load_machine("proton-generik")
    with pytest.raises(InputError, match="no proton machine"):
        load_machine("nowhere.yaml")
    from pathlib import Path

    path = Path(str(tmp_path)) / "bad.yaml"
    path.write_text("name: x\nlowest_mev: 70\nhighest_mev: 60\nspot_sigma_mm: [[70, -1]]\n")
    with pytest.raises(Problems, match="problems"):
        load_machine(path)
