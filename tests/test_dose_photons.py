"""The photon surrogate: calibration, physics in water, geometry of the beams, frozen plans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qa_suite.core.errors import GeometryError, InputError, UnknownName
from qa_suite.core.volume import Grid, Triple
from qa_suite.dose.hlut.tables import Hlut, load_hlut
from qa_suite.dose.machines.photon import Calibration
from qa_suite.dose.photons import PhotonEngine
from qa_suite.dose.photons.adapter import gy_per_unit
from qa_suite.dose.photons.fluence import PIXELS, machine_fluence, target_aperture, turned
from qa_suite.dose.plan.plan import PhotonField, Plan, PlannedBeam, with_weights
from qa_suite.dose.plan.template import BeamTemplate, PlanTemplate
from qa_suite.dose.range.raytrace import beam_axes, beam_frame

MACHINE = "varian_10MV"
ENGINE = PhotonEngine(MACHINE)
HLUT = load_hlut("thomas-1999")


def template(*gantry: float, **more: object) -> PlanTemplate:
    return PlanTemplate.model_validate(
        {
            "name": "test",
            "modality": "photons",
            "anatomy": "box",
            "engine": "photons-pydosert",
            "machine": MACHINE,
            "technique": "conformal",
            "beams": [{"gantry_deg": g} for g in gantry],
            "prescription": {"dose_gy": 60, "fractions": 30},
            "targets": [{"structures": ["PTV"]}],
            "source": "A test.",
            **more,
        }
    )


def opening(x: tuple[int, int], y: tuple[int, int]) -> np.ndarray:
    """An aperture that is open from x[0] to x[1] and y[0] to y[1] mm."""
    out = np.zeros((PIXELS, PIXELS))
    middle = PIXELS // 2
    out[middle + y[0] : middle + y[1], middle + x[0] : middle + x[1]] = 1.0
    return out


def square(side_mm: int) -> np.ndarray:
    half = side_mm // 2
    return opening((-half, half), (-half, half))


def dose_of(
    density: np.ndarray,
    grid: Grid,
    isocentre_mm: Triple,
    aperture: np.ndarray,
    gantry_deg: float = 0.0,
    engine: PhotonEngine = ENGINE,
) -> np.ndarray:
    """Dose of one monitor unit through one aperture."""
    field = PhotonField(fluence=machine_fluence(aperture, engine.machine), pixel_mm=1.0)
    geometry = BeamTemplate(gantry_deg=gantry_deg)
    plan = Plan(
        template=template(gantry_deg),
        engine="test",
        isocentre_mm=isocentre_mm,
        grid=grid,
        target="PTV",
        target_mask=np.zeros(grid.shape, bool),
        hlut=("", ""),
        beams=(PlannedBeam(geometry=geometry, weight=1.0, delivery=field),),
    )
    return engine.recalculate(density, plan).array


def read(dose: np.ndarray, grid: Grid, points_mm: object) -> np.ndarray:
    from scipy.ndimage import map_coordinates

    places = grid.to_index(np.atleast_2d(np.asarray(points_mm, dtype=float)))
    return map_coordinates(dose, places.T, order=1)


def water(
    spacing: float,
    *,
    origin: Triple = (0.0, 0.0, 0.0),
    air: int = 3,
    depth_mm: float = 270.0,
    wide_mm: float = 270.0,
) -> tuple[Grid, np.ndarray, Triple]:
    """A block of water with air around it; the middle of its anterior face."""
    nx, ny = round(wide_mm / spacing), round(depth_mm / spacing)
    grid = Grid(shape=(nx + 2 * air, ny + 2 * air, nx), spacing_mm=(spacing,) * 3, origin_mm=origin)
    density = np.zeros(grid.shape, np.float32)
    density[air:-air, air:-air] = 1.0
    x, _, z = grid.centre_mm
    return grid, density, (x, float(grid.to_world([0, air - 0.5, 0])[1]), z)


def below(surface: Triple, depth_mm: float) -> Triple:
    return surface[0], surface[1] + depth_mm, surface[2]


# --- calibration and physics in water ----------------------------------------------------------


@pytest.mark.parametrize("spacing", [3.0, 5.0])
@pytest.mark.parametrize(("origin", "air"), [((0.0, 0.0, 0.0), 3), ((-33.3, 17.7, 5.1), 9)])
def test_one_monitor_unit_gives_what_the_calibration_says(spacing, origin, air) -> None:
    """10 × 10 cm², SSD 1000 mm, 10 cm deep in water, wherever the water lies in the grid."""
    grid, density, surface = water(spacing, origin=origin, air=air, depth_mm=180, wide_mm=200)
    dose = dose_of(density, grid, surface, square(100))
    there = read(dose, grid, below(surface, 100.0))[0]
    assert there == pytest.approx(0.0073, rel=0.005)  # 1 cGy at the maximum, 73 % here


def test_a_point_at_the_isocentre_is_one_at_a_surface_nearer_by_its_depth() -> None:
    machine = ENGINE.machine
    ways = [
        machine.model_copy(update={"calibration": Calibration(ssd_mm=ssd)}) for ssd in (None, 900.0)
    ]
    factors = [gy_per_unit(one, (5.0, 5.0, 5.0), "cpu") for one in ways]
    assert factors[0] == pytest.approx(factors[1], rel=1e-6)
    # at SSD 1000 the fluence is less by the square of the distances, the field but little larger
    farther = gy_per_unit(machine, (5.0, 5.0, 5.0), "cpu") / 0.0073 * 0.01
    assert farther / factors[0] == pytest.approx((1100 / 1000) ** 2, rel=0.015)


def test_the_calibration_holds_for_voxels_that_are_no_cubes_and_another_machine() -> None:
    grid = Grid(shape=(46, 45, 40), spacing_mm=(4.0, 4.0, 5.0))
    density = np.zeros(grid.shape, np.float32)
    density[2:-2, 2:-2] = 1.0
    isocentre = (90.0, 6.0, 97.5)
    for machine in (MACHINE, "elekta_10MV"):
        dose = dose_of(density, grid, isocentre, square(100), engine=PhotonEngine(machine))
        there = read(dose, grid, below(isocentre, 100.0))[0]
        assert there == pytest.approx(0.0073, rel=0.005)


def test_depth_dose_in_water_has_the_shape_of_ten_megavolts() -> None:
    """SSD 100 cm, 10 × 10 cm²: BJR Supplement 25 gives 91, 73 and 46 %; within 2 points."""
    grid, density, surface = water(3.0)
    dose = dose_of(density, grid, surface, square(100))
    depth = np.arange(1.5, 220.0, 1.0)
    curve = read(dose, grid, [below(surface, d) for d in depth])
    assert depth[curve.argmax()] == pytest.approx(22, abs=5)
    share = 100 * np.interp([50.0, 100.0, 200.0], depth, curve) / curve.max()
    np.testing.assert_allclose(share, [91.0, 73.0, 46.0], atol=2.0)


def test_the_ratio_of_tissue_phantom_doses_is_that_of_the_machine() -> None:
    """TPR20,10, the machine's own index of quality."""
    grid, density, surface = water(5.0, depth_mm=280)
    one, two = (
        read(dose_of(density, grid, below(surface, d), square(100)), grid, below(surface, d))[0]
        for d in (200.0, 100.0)
    )
    assert one / two == pytest.approx(ENGINE.machine.tpr_20_10, abs=0.01)


def test_output_grows_with_the_field() -> None:
    """Clinical 10 MV beams lie near 0.93 for 4 × 4 and 1.05 for 20 × 20 cm²; within 0.02."""
    grid, density, surface = water(5.0, depth_mm=200, wide_mm=300)
    isocentre = below(surface, 100.0)
    doses = {
        s: read(dose_of(density, grid, isocentre, square(s)), grid, isocentre)[0]
        for s in (40, 100, 200)
    }
    assert doses[40] / doses[100] == pytest.approx(0.93, abs=0.02)
    assert doses[200] / doses[100] == pytest.approx(1.05, abs=0.02)


def test_further_from_the_source_dose_falls_with_the_square_of_the_distance() -> None:
    """The same water, 10 cm deep, field and all, moved away from the source along the beam."""
    grid, density, surface = water(5.0, depth_mm=180, wide_mm=240)
    point = below(surface, 100.0)
    near = dose_of(density, grid, point, square(100))
    far = dose_of(density, grid, below(surface, 20.0), square(100))  # the point is at 1080 mm
    # the field there is 8 % larger, which adds some scatter
    ratio = read(far, grid, point)[0] / read(near, grid, point)[0]
    assert ratio == pytest.approx((1000 / 1080) ** 2, rel=0.015)


def test_denser_water_lowers_the_dose_behind_it() -> None:
    grid, density, surface = water(5.0, depth_mm=200, wide_mm=160)
    isocentre = below(surface, 100.0)
    plain = dose_of(density, grid, isocentre, square(60))
    denser = dose_of(density * np.float32(1.03), grid, isocentre, square(60))
    at = [below(surface, d) for d in (60.0, 100.0, 150.0)]
    change = read(denser, grid, at) / read(plain, grid, at) - 1
    assert (np.diff(change) < 0).all()  # further behind, lower
    # 3 % more of 100 mm is 3 mm, and 10 MV loses 3 to 5 % a centimetre
    assert -0.016 < change[1] < -0.007


def test_a_slab_of_bone_shadows_and_one_of_lung_does_the_opposite() -> None:
    grid, density, surface = water(5.0, depth_mm=200, wide_mm=160)
    isocentre, behind = below(surface, 100.0), below(surface, 150.0)
    plain = read(dose_of(density, grid, isocentre, square(60)), grid, behind)[0]
    seen = {}
    for name, value in (("bone", 1.6), ("lung", 0.25)):
        slab = density.copy()
        slab[:, 9:15] *= np.float32(value)  # 30 mm
        seen[name] = read(dose_of(slab, grid, isocentre, square(60)), grid, behind)[0] / plain
    assert 0.90 < seen["bone"] < 0.97
    assert 1.03 < seen["lung"] < 1.14


def test_there_is_no_dose_outside_the_body() -> None:
    grid, density, surface = water(5.0, depth_mm=120, wide_mm=120)
    density[4:9, 10:14, 10:14] = 0.0
    dose = dose_of(density, grid, below(surface, 60.0), square(60), gantry_deg=37.0)
    assert (dose[density == 0] == 0).all()
    assert dose[density > 0].min() >= 0 and np.isfinite(dose).all()


# --- where the beams come from -----------------------------------------------------------------


def cylinder(spacing: float = 4.0, n: int = 49) -> tuple[Grid, np.ndarray]:
    """Water around the z axis through the middle of the grid, which is that of LPS."""
    half = (n - 1) / 2 * spacing
    grid = Grid(shape=(n, n, 31), spacing_mm=(spacing,) * 3, origin_mm=(-half, -half, -60.0))
    x, y = np.meshgrid(*[np.arange(n) * spacing - half] * 2, indexing="ij")
    disc = np.hypot(x, y) <= half - 3 * spacing
    return grid, np.repeat(disc[..., None], 31, axis=2).astype(np.float32)


CENTRE: Triple = (0.0, 0.0, 0.0)


def test_the_gantry_turns_the_dose() -> None:
    """0, 90, 180, 270 on a body with the same symmetry: the same dose, turned."""
    grid, density = cylinder()
    aperture = opening((-30, 10), (-40, 20))
    doses = [dose_of(density, grid, CENTRE, aperture, g) for g in (0.0, 90.0, 180.0, 270.0)]
    for quarter, dose in enumerate(doses):
        # from LPS -y to +x is a turn of the second axis towards the first
        back = np.rot90(dose, -quarter, axes=(0, 1))
        np.testing.assert_allclose(back, doses[0], atol=0.01 * doses[0].max())


@pytest.mark.parametrize(
    ("gantry", "axis", "sign"), [(0, 1, -1), (90, 0, +1), (180, 1, +1), (270, 0, -1)]
)
def test_beams_come_from_where_they_should(gantry, axis, sign) -> None:
    """From the front, the patient's left, the back, the right."""
    grid, density = cylinder()
    dose = dose_of(density, grid, CENTRE, square(60), gantry)
    point = np.zeros((2, 3))
    point[:, axis] = sign * 60, -sign * 60
    entered, left = read(dose, grid, point)
    assert entered > 1.4 * left
    beam = BeamTemplate(gantry_deg=gantry)
    source = np.array(beam_frame(beam, CENTRE, sad_mm=1000.0).source_mm)
    assert source[axis] == pytest.approx(sign * 1000.0)


# crossline +x and inline +y of the IEC gantry system: left and head at gantry 0, and at 90,
# where the source is on the left, back and head
@pytest.mark.parametrize(
    ("gantry", "crossline"), [(0, (1, 0, 0)), (90, (0, 1, 0)), (180, (-1, 0, 0)), (270, (0, -1, 0))]
)
def test_the_open_side_of_a_field_lies_where_its_coordinates_say(gantry, crossline) -> None:
    grid, density = cylinder()
    head = np.array([0.0, 0.0, 1.0])
    for aperture, side in (
        (opening((0, 50), (-20, 20)), np.array(crossline, float)),
        (opening((-20, 20), (0, 50)), head),
    ):
        dose = dose_of(density, grid, CENTRE, aperture, gantry)
        open_side, shut = read(dose, grid, [25 * side, -25 * side])
        assert open_side > 8 * shut
    x, y, _ = beam_axes(BeamTemplate(gantry_deg=gantry))
    np.testing.assert_allclose([x, y], [crossline, head], atol=1e-12)


@pytest.mark.parametrize("gantry", [37.0, 200.0])
def test_the_dose_does_not_depend_on_how_much_air_the_grid_holds(gantry) -> None:
    """An isocentre off the middle: slices are turned about it, and nothing may leave them."""
    grid, density = cylinder()
    isocentre = (60.0, -40.0, 0.0)
    wide = Grid(
        shape=(89, 81, 31),
        spacing_mm=grid.spacing_mm,
        origin_mm=tuple(np.array(grid.origin_mm) - (80.0, 60.0, 0.0)),
    )
    inside = np.s_[20:69, 15:64]
    much_air = np.zeros(wide.shape, np.float32)
    much_air[inside] = density
    tight = dose_of(density, grid, isocentre, square(50), gantry)
    loose = dose_of(much_air, wide, isocentre, square(50), gantry)[inside]
    np.testing.assert_allclose(tight, loose, atol=1e-4 * loose.max())


def test_mirrored_beams_give_mirrored_doses() -> None:
    grid, density = cylinder()
    aperture = opening((-20, 40), (-30, 30))
    one = dose_of(density, grid, CENTRE, aperture, 60.0)
    two = dose_of(density, grid, CENTRE, aperture[:, ::-1].copy(), 300.0)
    np.testing.assert_allclose(one, two[::-1], atol=1e-4 * one.max())


def test_a_projection_is_magnified_from_the_source() -> None:
    beam = BeamTemplate(gantry_deg=0)
    # 100 mm nearer to the source (anterior), 90 mm to the left and 45 to the head
    frame = beam_frame(beam, CENTRE, sad_mm=1000.0)
    x, y = frame.project([90.0, -100.0, 45.0])
    assert (x, y) == pytest.approx((100.0, 50.0))
    np.testing.assert_allclose(frame.to_beam([90.0, -100.0, 45.0]), [90.0, 45.0, 100.0])


@pytest.mark.parametrize("gantry", [0.0, 30.0, 90.0])
@pytest.mark.parametrize("spacing", [3.0, 5.0])
def test_the_edge_of_the_field_lies_where_it_should(gantry, spacing) -> None:
    """50 % at the isocentre's plane, crossline and inline, within half a voxel."""
    grid, density = cylinder(spacing, 2 * round(90 / spacing) + 1)
    grid = replace(grid, origin_mm=(*grid.origin_mm[:2], -15 * spacing))
    dose = dose_of(density, grid, CENTRE, opening((-40, 30), (-25, 35)), gantry)
    x, y, _ = beam_axes(BeamTemplate(gantry_deg=gantry))
    way = np.arange(-45.0, 45.5, 0.5)[:, None]
    for edges, points in (((-40, 30), way * x + 5.0 * y), ((-25, 35), way * y - 5.0 * x)):
        profile = read(dose, grid, points)
        half = way[profile >= profile[np.abs(way[:, 0]) < 5].mean() / 2]
        np.testing.assert_allclose((half.min(), half.max()), edges, atol=spacing / 2)


# --- fluence -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("x", "y"), [((-50, 50), (-50, 50)), ((-30, 60), (-100, 40))])
def test_fluence_is_that_of_pydosert_for_a_field_of_leaves(x, y) -> None:
    ours, theirs, inside = both_fluences(x, y, jaws=False)
    np.testing.assert_allclose(ours[inside], theirs[inside], rtol=0.01)


@pytest.mark.parametrize(
    ("x", "y"), [((-50, 50), (-50, 50)), ((-20, 20), (-20, 20)), ((-30, 60), (-100, 40))]
)
def test_fluence_is_that_of_pydosert_for_leaves_and_jaws(x, y) -> None:
    """But for the output factor: with jaws PyDoseRT always takes that of its whole map."""
    ours, theirs, inside = both_fluences(x, y, jaws=True)
    size, factor = np.asarray(ENGINE.machine.output_factors).T
    ours = ours / np.interp([x[1] - x[0], y[1] - y[0]], size, factor).mean()
    theirs = theirs / factor[-1]
    np.testing.assert_allclose(ours[inside], theirs[inside], rtol=0.01)
    column = 200 + (x[0] + x[1]) // 2  # behind the jaws; its leaves have none beside them
    shut = np.r_[0 : 200 + y[0] - 3, 200 + y[1] + 3 : PIXELS]
    np.testing.assert_allclose(ours[shut, column], theirs[shut, column], atol=0.001)


def both_fluences(x, y, *, jaws: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Our map of a rectangle, PyDoseRT's, and where it is open, less the penumbra."""
    import torch
    from pydosert.data import MachineConfig
    from pydosert.layers.FluenceMapLayer import FluenceMapLayer

    machine = MachineConfig(preset=MACHINE)
    layer = FluenceMapLayer(machine, field_size=(PIXELS, PIXELS), device="cpu")
    edges = np.concatenate([[0], np.cumsum(machine.leaf_widths)]) - PIXELS / 2
    moved = (edges[:-1] >= y[0]) & (edges[1:] <= y[1])
    leaves = np.where(moved[:, None] | jaws, [x], [[-190.0, -190.0]]).astype(np.float32)
    with torch.no_grad():
        theirs = layer(
            torch.from_numpy(leaves)[None, None],
            torch.tensor([[[float(y[0]), float(y[1])]]]) if jaws else None,
        )[0].numpy()
    inside = np.zeros((PIXELS, PIXELS), bool)
    inside[200 + y[0] + 4 : 200 + y[1] - 4, 200 + x[0] + 4 : 200 + x[1] - 4] = True
    return machine_fluence(opening(x, y), ENGINE.machine), theirs, inside


def test_no_opening_no_fluence() -> None:
    assert (machine_fluence(np.zeros((PIXELS, PIXELS)), ENGINE.machine) == 0).all()


def test_leakage_passes_the_leaves_but_not_the_jaws() -> None:
    aperture = square(100)
    aperture[:, 200:] = 0.0
    aperture[240, 249] = 1.0  # the jaws frame it
    fluence = machine_fluence(aperture, ENGINE.machine)
    assert fluence[170, 180] > 0.9
    assert 0.01 < fluence[170, 230] < 0.06  # leaves
    assert fluence[100, 180] < fluence[170, 230] / 2  # jaws: scatter from the head only


def test_a_collimator_turns_the_opening_from_x_towards_y() -> None:
    """IEC 61217: positive about the axis to the source; at 90° what lies at +x comes to +y."""
    aperture = opening((20, 60), (-10, 10))
    quarter = turned(aperture, 90.0)
    np.testing.assert_allclose(quarter, opening((-10, 10), (20, 60)), atol=1e-6)
    eighth = turned(aperture, 45.0)
    row, column = (
        np.average(np.arange(PIXELS) - 199.5, weights=eighth.sum(axis=a)) for a in (1, 0)
    )
    assert (column, row) == pytest.approx((40 / 2**0.5, 40 / 2**0.5), abs=0.2)
    assert eighth.sum() == pytest.approx(aperture.sum(), rel=0.01)
    assert turned(aperture, 0.0) is aperture


@pytest.mark.parametrize("spacing", [2.0, 4.0])
@pytest.mark.parametrize("gantry", [0.0, 90.0, 200.0])
def test_an_aperture_shows_a_sphere_with_its_margin(spacing, gantry) -> None:
    radius, margin = 24.0, 7.0
    grid = Grid(shape=(41, 41, 41), spacing_mm=(spacing,) * 3, origin_mm=(-20 * spacing,) * 3)
    world = grid.to_world(np.stack(np.indices(grid.shape), axis=-1))
    ball = np.linalg.norm(world, axis=-1) <= radius
    beam = BeamTemplate(gantry_deg=gantry)
    aperture = target_aperture(ball, grid, CENTRE, beam, margin_mm=margin, sad_mm=1000.0)
    assert np.sqrt(aperture.sum() / np.pi) == pytest.approx(radius + margin, abs=spacing / 2 + 0.5)
    for rows in (aperture, aperture.T):
        low, high = np.flatnonzero(rows.any(axis=0))[[0, -1]] - 199.5
        assert -low == pytest.approx(high, abs=1.0)


def test_an_aperture_keeps_the_side_of_its_target() -> None:
    grid = Grid(shape=(41, 41, 41), spacing_mm=(4.0,) * 3, origin_mm=(-80.0,) * 3)
    target = np.zeros(grid.shape, bool)
    target[25:30, 18:23, 30:33] = True  # to the left, to the head
    beam = BeamTemplate(gantry_deg=0)
    aperture = target_aperture(target, grid, CENTRE, beam, margin_mm=5, sad_mm=1000.0)
    row, column = np.argwhere(aperture).mean(axis=0) - 199.5
    assert (column, row) == pytest.approx((28.0, 44.0), abs=1.0)


# --- plans -------------------------------------------------------------------------------------


def case(spacing: float = 6.0) -> tuple[Grid, np.ndarray, np.ndarray]:
    grid = Grid(
        shape=(33, 27, 25),
        spacing_mm=(spacing,) * 3,
        origin_mm=(-16 * spacing, -13 * spacing, -12 * spacing),
    )
    x, y, z = np.moveaxis(grid.to_world(np.stack(np.indices(grid.shape), axis=-1)), -1, 0)
    body = (x / 84) ** 2 + (y / 66) ** 2 <= 1
    target = x**2 + y**2 + z**2 <= 25**2
    return grid, body.astype(np.float32), target


def planned(made: PlanTemplate, engine: PhotonEngine = ENGINE, **more: object) -> Plan:
    grid, density, target = case()
    given = {
        "density": density,
        "grid": grid,
        "target": target,
        "avoid": {},
        "isocentre_mm": CENTRE,
        "template": made,
        "hlut": HLUT,
        "target_name": "PTV",
    } | more
    return engine.plan(given.pop("density"), given.pop("grid"), **given)  # type: ignore[arg-type]


def coverage(dose: np.ndarray, target: np.ndarray) -> float:
    return float(np.quantile(dose[target], 0.05))


def test_a_plan_meets_its_prescription_on_the_reference_and_is_not_rescaled_elsewhere() -> None:
    _, density, target = case()
    plan = planned(template(0, 120, 240))
    there = ENGINE.recalculate(density, plan)
    assert there.quantity == "Gy" and there.grid == plan.grid
    assert coverage(there.array, target) == pytest.approx(57.0, rel=1e-5)  # 95 % of 60 Gy
    elsewhere = ENGINE.recalculate(density * np.float32(1.05), plan)
    assert coverage(elsewhere.array, target) < 56.5
    assert all(beam.weight >= 0 for beam in plan.beams)


def test_a_large_target_too_meets_its_prescription_exactly() -> None:
    """Larger than the sample of voxels that weights are optimised on."""
    grid, density, _ = case(4.0)
    x, y, z = np.moveaxis(grid.to_world(np.stack(np.indices(grid.shape), axis=-1)), -1, 0)
    target = (x / 44) ** 2 + (y / 40) ** 2 + (z / 42) ** 2 <= 1
    assert target.sum() > 4000
    plan = planned(template(0, 90), density=density, grid=grid, target=target)
    dose = ENGINE.recalculate(density, plan).array
    assert coverage(dose, target) == pytest.approx(57.0, rel=1e-5)


def test_the_same_plan_gives_the_same_dose_and_says_so() -> None:
    _, density, _ = case()
    one, two = planned(template(0, 120, 240)), planned(template(0, 120, 240))
    assert one.digest == two.digest and len(one.digest) == 64
    doses = [ENGINE.recalculate(density, plan).array for plan in (one, one, two)]
    np.testing.assert_array_equal(doses[0], doses[1])
    np.testing.assert_array_equal(doses[0], doses[2])
    heavier = with_weights(one, [2 * beam.weight for beam in one.beams])
    assert heavier.digest != one.digest
    np.testing.assert_allclose(ENGINE.recalculate(density, heavier).array, 2 * doses[0], rtol=1e-6)
    assert one.hlut == (HLUT.name, HLUT.digest)


def test_the_dose_of_a_plan_is_the_sum_of_its_beams() -> None:
    _, density, _ = case()
    plan = planned(template(0, 120, 240))
    doses = ENGINE.beam_doses(density, plan)
    total = sum(beam.weight * dose for beam, dose in zip(plan.beams, doses, strict=True))
    np.testing.assert_allclose(ENGINE.recalculate(density, plan).array, total, rtol=1e-5)


def test_an_organ_with_a_goal_turns_the_weight_to_the_other_beams() -> None:
    grid, density, _ = case()
    x = grid.to_world(np.stack(np.indices(grid.shape), axis=-1))[..., 0]
    organ = (density > 0) & (x > 40)  # on the left, where beam 90 enters
    goals = [{"structure": "Cord", "goal": "Dmean <= 5 Gy", "source": "A test."}]
    plain = planned(template(0, 90, 180))
    spared = planned(template(0, 90, 180, goals=goals), avoid={"Cord": organ})
    mean = [float(ENGINE.recalculate(density, p).array[organ].mean()) for p in (plain, spared)]
    assert mean[1] < 0.8 * mean[0]
    assert spared.beams[1].weight < plain.beams[1].weight


# --- modulated fields --------------------------------------------------------------------------


def test_modulated_fields(monkeypatch) -> None:
    from qa_suite.dose.photons import imrt

    monkeypatch.setattr(imrt, "_STEPS", 2)
    grid, density, target = case()
    x = grid.to_world(np.stack(np.indices(grid.shape), axis=-1))[..., 0]
    goals = [{"structure": "Cord", "goal": "Dmean <= 10 Gy", "source": "A test."}]
    made = template(0, 120, technique="imrt", goals=goals)
    organ = (density > 0) & (x > 34)
    one, two = (planned(made, avoid={"Cord": organ}) for _ in range(2))
    assert one.digest == two.digest
    dose = ENGINE.recalculate(density, one).array
    assert coverage(dose, target) == pytest.approx(57.0, rel=1e-5)
    conformal = planned(template(0, 120))
    for beam, still in zip(one.beams, conformal.beams, strict=True):
        assert isinstance(beam.delivery, PhotonField) and isinstance(still.delivery, PhotonField)
        share = beam.delivery.fluence / np.maximum(still.delivery.fluence, 1e-9)
        inside = still.delivery.fluence > 0.5
        assert (share[inside] > 0).all() and (share[inside] <= 1 + 1e-6).all()
        assert np.ptp(share[inside]) > 0.05  # modulated
        blocks = share[:400, :400].reshape(80, 5, 80, 5)
        whole = inside.reshape(80, 5, 80, 5).all(axis=(1, 3))
        assert np.ptp(blocks, axis=(1, 3))[whole].max() < 1e-5  # beamlets of 5 mm
    assert ENGINE.recalculate(density * np.float32(1.05), one).array[target].mean() < (
        dose[target].mean()
    )


def test_modulated_fields_that_miss_the_target_are_refused(monkeypatch) -> None:
    from qa_suite.dose.photons import imrt

    monkeypatch.setattr(imrt, "_STEPS", 1)
    _, density, target = case()
    hole = np.where(target, 0.0, density).astype(np.float32)
    with pytest.raises(InputError, match="target"):
        planned(template(0, 90, technique="imrt"), density=hole)


# --- refused -----------------------------------------------------------------------------------


def test_a_turned_couch_is_refused() -> None:
    turned_couch = template(0, beams=[{"gantry_deg": 0}, {"gantry_deg": 90, "couch_deg": 30}])
    with pytest.raises(InputError, match=r"no couch rotation; beam G090 asks for 30°\.$"):
        planned(turned_couch)


def test_a_target_that_no_field_holds_is_refused() -> None:
    grid = Grid(shape=(90, 40, 20), spacing_mm=(5.0,) * 3, origin_mm=(-222.5, -97.5, -47.5))
    target = np.zeros(grid.shape, bool)
    target[2:-2, 15:25, 5:15] = True
    density = np.ones(grid.shape, np.float32)
    with pytest.raises(InputError, match=r"does not fit into a field of 40 cm from beam G000"):
        planned(template(0), density=density, grid=grid, target=target)


def test_an_empty_target_and_one_without_dose_are_refused() -> None:
    _, density, target = case()
    with pytest.raises(InputError, match="target"):
        planned(template(0), target=np.zeros_like(target))
    with pytest.raises(InputError, match="No beam reaches the target"):
        planned(template(0), density=np.where(target, 0.0, density).astype(np.float32))


def test_a_table_of_another_quantity_is_refused() -> None:
    protons = Hlut(
        name="mine", quantity="relative_stopping_power", points=((-1000, 0), (0, 1)), source="x"
    )
    with pytest.raises(InputError, match="takes relative_electron_density or"):
        planned(template(0), hlut=protons)


def test_an_oblique_grid_and_an_isocentre_outside_are_refused() -> None:
    grid, _, _ = case()
    turn = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    with pytest.raises(GeometryError, match="must be axial"):
        planned(template(0), grid=replace(grid, direction=turn, origin_mm=CENTRE))
    with pytest.raises(InputError, match=r"isocentre .* lies outside the dose grid"):
        planned(template(0), isocentre_mm=(0.0, 0.0, 75.5))


def test_an_unknown_machine_is_refused_with_the_close_ones() -> None:
    with pytest.raises(UnknownName, match="did you mean varian_10MV"):
        PhotonEngine("varian_10mv")
