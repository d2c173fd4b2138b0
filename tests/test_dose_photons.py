"""The photon surrogate: calibration, physics in water, and where its beams come from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qa_suite.core.volume import Grid
from qa_suite.dose.machines.photon import Calibration
from qa_suite.dose.photons import PhotonEngine
from qa_suite.dose.photons.adapter import gy_per_unit
from qa_suite.dose.plan.template import BeamTemplate
from qa_suite.dose.range.raytrace import beam_axes, beam_frame
from tests.photon_cases import (
    CENTRE,
    ENGINE,
    MACHINE,
    below,
    cylinder,
    dose_of,
    opening,
    read,
    square,
    water,
)

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
