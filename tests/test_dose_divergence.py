"""One source for everything: the shadow of an edge widens with depth as similar triangles say."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from qa_suite.core.errors import GeometryError
from qa_suite.core.volume import Grid, Triple
from qa_suite.dose.photons import PhotonEngine
from qa_suite.dose.photons.depths import DivergingDepths
from qa_suite.dose.plan.plan import PlannedBeam, ProtonSpots
from qa_suite.dose.plan.template import BeamTemplate
from qa_suite.dose.protons.dose import beam_dose
from qa_suite.dose.range.pstar import energy_mev
from qa_suite.dose.range.raytrace import BeamFrame, beam_frame, depth_map
from tests.photon_cases import ENGINE, opening, read, square
from tests.photon_cases import dose_of as photon_dose
from tests.proton_cases import MACHINE as PROTON_MACHINE

ISOCENTRE: Triple = (13.0, -7.0, 5.0)
SURFACE_MM = 100.5  # above the isocentre
EDGE_MM = 58.5
SLAB_MM = (21.0, 51.0)  # depths
LUNG = 0.25
SPACING_MM = 3.0  # at right angles all these are faces of voxels


@dataclass(frozen=True, kw_only=True)
class Phantom:
    """Water under a flat skin, and the same with half a slab of lung beside the axis.

    It is laid out in the beam's own axes, so that one answer holds for all gantry angles.
    """

    frame: BeamFrame
    grid: Grid
    water: np.ndarray
    lung: np.ndarray
    way: np.ndarray

    @classmethod
    @cache
    def of(cls, gantry_deg: float, axis: int, sign: int, sad_mm: float = 1000.0) -> Phantom:
        beam = BeamTemplate(gantry_deg=gantry_deg)
        frame = beam_frame(beam, ISOCENTRE, sad_mm=sad_mm)
        low, high = np.array([-45.0, -45.0, -200.0]), np.array([45.0, 45.0, SURFACE_MM])
        ends = sign * np.array([-30.0, 155.0])
        low[axis], high[axis] = ends.min(), ends.max()
        corners = frame.to_world(
            np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
        )
        voxels = (corners.min(axis=0) - ISOCENTRE) // SPACING_MM - 1
        first = ISOCENTRE + voxels * SPACING_MM
        shape = np.ceil((corners.max(axis=0) - first) / SPACING_MM).astype(int) + 2
        grid = Grid(shape=tuple(shape), spacing_mm=(SPACING_MM,) * 3, origin_mm=tuple(first))
        water, slab = np.zeros(grid.shape), np.zeros(grid.shape)
        centres = grid.to_world(np.stack(np.indices(grid.shape), axis=-1))
        parts = 4 if gantry_deg % 90 else 1  # at right angles no voxel is cut
        fine = SPACING_MM * (np.arange(parts) - (parts - 1) / 2) / parts
        middles, origin = frame.to_beam(centres), frame.to_beam(np.zeros(3))
        for shift in np.array(np.meshgrid(fine, fine, fine)).reshape(3, -1).T:
            place = middles + (frame.to_beam(shift) - origin)
            inside = ((place >= low) & (place <= high)).all(axis=-1)
            depth = SURFACE_MM - place[..., 2]
            shadowed = (sign * place[..., axis] > EDGE_MM) & (depth > SLAB_MM[0])
            water += inside / parts**3
            slab += (inside & shadowed & (depth < SLAB_MM[1])) / parts**3
        way = np.zeros(3)
        way[axis] = sign
        return cls(
            frame=frame,
            grid=grid,
            way=way,
            water=water.astype(np.float32),
            lung=(water - (1 - LUNG) * slab).astype(np.float32),
        )

    def expected_mm(self, depth_mm: float) -> float:
        """Where the ray is that passes half of the slab's face, which lies along the axis."""
        sad = self.frame.sad_mm
        assert sad is not None
        skin = sad - SURFACE_MM
        return EDGE_MM * (skin + depth_mm) / (skin + sum(SLAB_MM) / 2)

    def edge_mm(self, values: np.ndarray, depth_mm: float) -> float:
        """Where a profile across the edge passes the middle of its two levels."""
        expected = self.expected_mm(depth_mm)
        way = np.arange(expected - 30.0, expected + 30.0, 0.25)
        start = np.array([4.0, 4.0, SURFACE_MM - depth_mm])
        start[np.abs(self.way).astype(bool)] = 0.0
        profile = read(values, self.grid, self.frame.to_world(start + way[:, None] * self.way))
        middle = (profile[way < expected - 18].mean() + profile[way > expected + 18].mean()) / 2
        first = int(np.argmax(profile > middle))
        return float(np.interp(middle, profile[first - 1 : first + 1], way[first - 1 : first + 1]))


# gantry, axis of the beam limiting device (0 crossline, 1 inline), side
SIDES = [(0.0, 0, 1), (0.0, 1, -1), (90.0, 0, -1), (90.0, 1, 1), (213.0, 0, 1), (325.0, 1, -1)]


@pytest.mark.parametrize(("gantry", "axis", "sign"), SIDES)
@pytest.mark.parametrize("sad_mm", [800.0, 1000.0])
def test_a_photon_shadow_lies_on_the_ray_of_its_edge(gantry, axis, sign, sad_mm) -> None:
    """Within a quarter of a voxel; a parallel shadow would be 4 to 16 mm off."""
    made = Phantom.of(gantry, axis, sign, sad_mm)
    sides = ((-35, 35), (-35, 35))
    sides = tuple(  # type: ignore[assignment]
        tuple(sorted((sign * 5, sign * 115))) if n == axis else side for n, side in enumerate(sides)
    )
    engine = PhotonEngine(ENGINE.machine.model_copy(update={"sad_mm": sad_mm}))
    plain, shadow = (
        photon_dose(density, made.grid, ISOCENTRE, opening(*sides), gantry, engine)
        for density in (made.water, made.lung)
    )
    ratio = shadow / np.maximum(plain, 1e-6)
    for depth in (100.0, 180.0, 260.0):
        expected = made.expected_mm(depth)
        assert made.edge_mm(ratio, depth) == pytest.approx(expected, abs=0.75)
        assert expected - EDGE_MM > 4.0


@pytest.mark.parametrize(("gantry", "axis", "sign"), SIDES)
@pytest.mark.parametrize("sad_mm", [1000.0, 2300.0])
def test_a_proton_shadow_lies_on_the_ray_of_its_edge(gantry, axis, sign, sad_mm) -> None:
    """Behind lung protons reach farther: where they end beside it, the edge is seen.

    Within half a voxel: one that the edge cuts obliquely is as good as lung or water here.
    """
    made = Phantom.of(gantry, axis, sign, sad_mm)
    machine = PROTON_MACHINE.model_copy(update={"sad_mm": sad_mm})
    across, along = np.meshgrid(np.arange(10.0, 111.0, 4.0), np.arange(-28.0, 29.0, 4.0))
    place = {axis: sign * across.ravel(), 1 - axis: along.ravel()}
    for depth in (100.0, 180.0, 260.0):
        energy = float(energy_mev(np.array([depth - 11.0]))[0])  # 22.5 mm more behind the lung
        spots = ProtonSpots(
            energy_mev=np.full(across.size, energy),
            x_mm=place[0],
            y_mm=place[1],
            weight=np.ones(across.size),
        )
        beam = PlannedBeam(geometry=BeamTemplate(gantry_deg=gantry), weight=1.0, delivery=spots)
        dose = beam_dose(
            made.lung, made.grid, beam, isocentre_mm=ISOCENTRE, machine=machine, beamlet_mm=4.0
        )
        expected = made.expected_mm(depth)
        assert made.edge_mm(dose, depth) == pytest.approx(expected, abs=1.5)


# --- the depths themselves ---------------------------------------------------------------------


def lump(spacing: Triple = (5.0, 5.0, 5.0)) -> tuple[np.ndarray, Grid]:
    """A body that looks different from every side, and its grid from which the axes are taken."""
    grid = Grid(shape=(30, 26, 18), spacing_mm=spacing)
    x, y, z = np.moveaxis(grid.to_world(np.stack(np.indices(grid.shape), axis=-1)), -1, 0)
    density = ((x - 80) ** 2 + (y - 60) ** 2 < 45**2).astype(np.float32)
    density[(x > 60) & (x < 75) & (z > 30)] *= 1.5
    density[(y - 70) ** 2 + (z - 50) ** 2 < 15**2] *= 0.25
    return density, grid


def depths_of(
    density: np.ndarray, grid: Grid, isocentre: Triple, *gantry_deg: float, sad_mm: float
) -> DivergingDepths:
    sx, sy, sz = grid.spacing_mm
    x, y, z = isocentre
    return DivergingDepths(
        np.ascontiguousarray(density.transpose(2, 1, 0)),
        spacing_mm=(sz, sy, sx),
        isocentre_mm=(z, y, x),
        gantry_rad=np.deg2rad(gantry_deg),
        sad_mm=sad_mm,
    )


@pytest.mark.parametrize("gantry", [0.0, 17.0, 90.0, 251.0])
def test_rays_from_far_away_have_the_depths_of_the_library(gantry) -> None:
    """PyDoseRT's own layer sums voxels along parallel rays: the same but for its interpolation."""
    import torch
    from pydosert.layers.PencilDepthLayer import PencilDepthLayer

    density, grid = lump()
    isocentre = (80.0, 60.0, 45.0)
    shape = density.shape[::-1]
    layer = PencilDepthLayer(
        shape, isocentre[::-1], grid.spacing_mm, torch.tensor([np.deg2rad(gantry)]), device="cpu"
    )
    given = torch.from_numpy(np.ascontiguousarray(density.transpose(2, 1, 0)))[None]
    theirs = layer(given).numpy()
    ours = depths_of(density, grid, isocentre, gantry, sad_mm=1e8).at(np.ones(theirs.shape, bool))
    off = np.abs(ours - theirs)
    # at the faces of voxels either of the two counts half of one
    assert np.median(off) < 0.2 and np.quantile(off, 0.98) < 0.5 * 5.0
    if gantry % 90 == 0:
        assert off.max() < 0.05


@pytest.mark.parametrize("spacing", [(5.0, 5.0, 5.0), (5.0, 5.0, 3.0)])
def test_the_view_at_gantry_0_is_the_volume_itself(spacing) -> None:
    """There the eye's lattice is the voxels': the depths are those of the suite's depth map."""
    density, grid = lump(spacing)
    isocentre = (80.0, 60.0, 45.0)
    frame = beam_frame(BeamTemplate(gantry_deg=0.0), isocentre, sad_mm=900.0)
    expected = depth_map(density, grid, frame).transpose(1, 2, 0)[None]  # (depth, head, width)
    found = depths_of(density, grid, isocentre, 0.0, sad_mm=900.0).at(np.ones(expected.shape, bool))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_depths_do_not_depend_on_the_order_in_which_they_are_asked() -> None:
    density, grid = lump()
    asked = [depths_of(density, grid, (80.0, 60.0, 45.0), 30.0, 200.0, sad_mm=1e3) for _ in "ab"]
    shape = (2, grid.shape[1], grid.shape[2], grid.shape[0])
    chosen = np.random.default_rng(3).random(shape) < 0.4
    first = asked[0].at(chosen).copy()
    assert (first[~chosen] == 0).all()
    np.testing.assert_array_equal(
        asked[0].at(np.ones(shape, bool)), asked[1].at(np.ones(shape, bool))
    )


def test_an_engine_that_is_asked_again_notices_another_density() -> None:
    """The depths are kept from call to call, by what they were made of."""
    import torch

    from qa_suite.dose.photons.adapter import beam_sequence, library_engine

    shape = (18, 26, 30)
    engine = library_engine(ENGINE.machine, (5.0,) * 3, shape, "cpu")
    beams = beam_sequence([BeamTemplate(gantry_deg=0.0)], (45.0, 60.0, 75.0), ENGINE.machine, "cpu")
    fluence = torch.from_numpy(square(60).astype(np.float32))[None, None]
    plain = torch.ones(1, *shape)
    again = plain.clone()
    again[:, :, 5:10] *= 0.25
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the water reaches the grid's edge on purpose
        doses = [
            engine.compute_dose(beams, density_image=d, fluence_maps=fluence)[0]
            for d in (plain, again, plain)
        ]
    assert torch.equal(doses[0], doses[2])
    assert float(doses[1][9, 20, 15] / doses[0][9, 20, 15]) > 1.05


# --- voxels that are no cubes ------------------------------------------------------------------


@pytest.mark.parametrize("spacing", [(2.0, 2.0, 4.0), (4.0, 4.0, 2.0), (3.0, 3.0, 5.0)])
@pytest.mark.parametrize("side", [40, 100])
def test_thick_slices_give_the_depth_dose_of_cubes(spacing, side) -> None:
    """Within 0.7 % from 2 to 20 cm of depth, relative to 10 cm, of cubes with the same pixels."""
    curves = []
    for size in (spacing, (spacing[0],) * 3):
        sx, sy, sz = size
        nx, nz = (2 * round(110 / s) + 1 for s in (sx, sz))
        grid = Grid(
            shape=(nx, round(240 / sy), nz),
            spacing_mm=size,
            origin_mm=(-(nx // 2) * sx, sy / 2 - 100, -(nz // 2) * sz),
        )
        water = np.ones(grid.shape, np.float32)
        dose = photon_dose(water, grid, (0.0, 0.0, 0.0), square(side))
        along = read(dose, grid, [(0.0, d - 100.0, 0.0) for d in (20, 50, 100, 150, 200)])
        curves.append(along / along[2])
    np.testing.assert_allclose(curves[0], curves[1], rtol=7e-3)


def test_pixels_that_are_not_square_are_refused_with_the_way_out() -> None:
    grid = Grid(shape=(30, 40, 30), spacing_mm=(5.0, 4.0, 5.0), origin_mm=(-72.5, -78.0, -72.5))
    water = np.ones(grid.shape, np.float32)
    words = r"square pixels in its slices, not 5 × 4 mm: resample .* cubes of grid_mm"
    with pytest.raises(GeometryError, match=words):
        photon_dose(water, grid, (0.0, 0.0, 0.0), square(60))


# --- transforms no longer than needed ----------------------------------------------------------


@pytest.mark.parametrize("spacing", [(4.0, 4.0, 4.0), (4.0, 4.0, 10.0), (12.0, 12.0, 5.0)])
@pytest.mark.parametrize("shape", [(7, 3, 90), (95, 3, 8)])
def test_the_convolution_is_that_of_the_library_without_transforms(spacing, shape) -> None:
    """Kernels longer and shorter than the field, of equal and unequal sides."""
    import torch
    from pydosert.layers.BeamWiseConvolutionalLayer import BeamWiseConvolutionalLayer

    from qa_suite.dose.photons.adapter import beam_sequence, library_engine

    engine = library_engine(ENGINE.machine, spacing, shape, "cpu")
    engine._initialize_layers(
        beam_sequence([BeamTemplate(gantry_deg=0.0)], (0.0, 0.0, 0.0), ENGINE.machine, "cpu")
    )
    layer = engine.beam_wise_conv_layer
    sizes = engine.pencil_beam_kernel_layer.pbm.rs.shape
    made = torch.Generator().manual_seed(1)
    field = torch.rand((1, shape[1], shape[0], shape[2], 1), generator=made)
    kernels = torch.rand((*sizes, 1, shape[1]), generator=made)
    direct = BeamWiseConvolutionalLayer("cpu", torch.float32, backend="direct")
    torch.testing.assert_close(layer(field, kernels), direct(field, kernels), rtol=1e-4, atol=1e-3)
