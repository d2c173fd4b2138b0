"""Phantoms beside the central axis, where an error of the geometry shows; see ``phantoms``.

Box, field, slabs, edges and tilted slabs all lie off the axis and off the middle of the grid,
crossline and inline alike: nothing here is its own mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.commission import phantoms
from qa_suite.core.arrays import Float32Array, FloatArray
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.plan.plan import PhotonField, PlannedBeam
from qa_suite.dose.plan.template import BeamTemplate

ISO_DEPTH_MM = 100.0
MIDDLE_MM = (70.0, -60.0)  # of the field, crossline and inline, in the isocentre plane
SIDES = {"crossline": 70.0, "inline": -58.0}  # near where edges lie; slabs away from the axis
TILT_DEG, TILTED_MM = 30.0, {"lung": (30.0, 60.0), "bone": (30.0, 30.0)}  # begin, thickness
SLOPE_ROOM_MM = 72.0
_FINE = 5


def box(depth_mm: float, spacing_mm: float, room_mm: float = 0.0) -> Grid:
    """Return a box of water whose front face, but for ``room_mm``, lies before the isocentre."""
    return Grid(
        shape=(
            round(240 / spacing_mm),
            round((depth_mm + room_mm) / spacing_mm),
            round(180 / spacing_mm),
        ),
        spacing_mm=(spacing_mm,) * 3,
        origin_mm=(
            -42 + spacing_mm / 2,
            -ISO_DEPTH_MM - room_mm + spacing_mm / 2,
            -138 + spacing_mm / 2,
        ),
    )


def edge_mm(grid: Grid, side: str) -> float:
    """Return where an edge lies: at the faces of voxels nearest to where it is wanted."""
    axis = 0 if side == "crossline" else 2
    first, step = grid.origin_mm[axis] - grid.spacing_mm[axis] / 2, grid.spacing_mm[axis]
    return float(first + step * round((SIDES[side] - first) / step))


def half_slab(
    grid: Grid, side: str, start_mm: float, end_mm: float, density: float
) -> Float32Array:
    """Water with a slab that begins at an edge beside the axis and lies away from it."""
    made = phantoms.water(grid)
    slab = phantoms.slab(grid, ISO_DEPTH_MM, start_mm, end_mm, density)
    x, z = (grid.origin_mm[n] + np.arange(grid.shape[n]) * grid.spacing_mm[n] for n in (0, 2))
    if side == "crossline":
        far = np.broadcast_to((x > edge_mm(grid, side))[:, None, None], grid.shape)
    else:
        far = np.broadcast_to((z < edge_mm(grid, side))[None, None, :], grid.shape)
    return np.where(far, slab, made).astype(np.float32)


def tilted_slab(grid: Grid, name: str, density: float) -> Float32Array:
    """Water with a slab tilted about z, which the middle of the field meets 30 mm deep."""
    start, thickness = TILTED_MM[name]
    share = _below(grid, start) - _below(grid, start + thickness)
    return (1 + share * (density - 1)).astype(np.float32)


def slope(grid: Grid) -> Float32Array:
    """Water below a face tilted about z; the middle of the field meets it as it would the box."""
    return _below(grid, 0.0).astype(np.float32)


def _below(grid: Grid, depth_mm: float) -> FloatArray:
    """Share of each voxel below a plane that the field's middle meets at a depth of the box."""
    x, y = (grid.origin_mm[n] + np.arange(grid.shape[n]) * grid.spacing_mm[n] for n in (0, 1))
    fine = (np.arange(_FINE) - _FINE // 2) / _FINE
    share = np.zeros((x.size, y.size))
    for dx in fine * grid.spacing_mm[0]:
        for dy in fine * grid.spacing_mm[1]:
            face = depth_mm - ISO_DEPTH_MM + np.tan(np.deg2rad(TILT_DEG)) * (x + dx - MIDDLE_MM[0])
            share += (y + dy)[None, :] > face[:, None]
    return np.broadcast_to((share / _FINE**2)[:, :, None], grid.shape)


def rectangle(x_mm: tuple[int, int], y_mm: tuple[int, int], machine: str) -> PlannedBeam:
    """An open rectangle of one monitor unit, sent through the head of a machine."""
    from qa_suite.dose.machines.photon import load_photon_machine
    from qa_suite.dose.photons.fluence import PIXEL_MM, PIXELS, machine_fluence

    middle = PIXELS // 2
    aperture = np.zeros((PIXELS, PIXELS))
    aperture[middle + y_mm[0] : middle + y_mm[1], middle + x_mm[0] : middle + x_mm[1]] = 1.0
    fluence = machine_fluence(aperture, load_photon_machine(machine))
    return PlannedBeam(
        geometry=BeamTemplate(gantry_deg=0.0),
        weight=1.0,
        delivery=PhotonField(fluence=fluence, pixel_mm=PIXEL_MM),
    )


@dataclass(frozen=True, kw_only=True)
class Rays:
    """Where rays of one source are in the box.

    Parameters
    ----------
    sad_mm
        From the source to the isocentre.
    """

    sad_mm: float

    def at(self, plane_mm: tuple[float, float], depth_mm: float) -> tuple[float, float, float]:
        """Return where the ray through a point of the isocentre plane is at a depth."""
        scale = (self.sad_mm - ISO_DEPTH_MM + depth_mm) / self.sad_mm
        return plane_mm[0] * scale, depth_mm - ISO_DEPTH_MM, plane_mm[1] * scale

    def shadow_mm(self, edge_mm: float, slab_mm: tuple[float, float], depth_mm: float) -> float:
        """Return where the ray is at a depth that passes half of a slab's face along the axis."""
        skin = self.sad_mm - ISO_DEPTH_MM
        return edge_mm * (skin + depth_mm) / (skin + sum(slab_mm) / 2)


def mean_around(dose: Volume, place_mm: tuple[float, float, float], half_mm: float) -> float:
    """Mean of a dose over a square across the axis and three voxels along it."""
    i, j, k = np.rint(dose.grid.to_index(place_mm)).astype(int)
    reach = round(half_mm / dose.grid.spacing_mm[0])
    part = dose.array[i - reach : i + reach + 1, j - 1 : j + 2, k - reach : k + reach + 1]
    return float(part.mean(dtype=float))


def across(
    dose: Volume, plain: Volume, side: str, depth_mm: float, band_mm: tuple[float, float]
) -> tuple[FloatArray, FloatArray]:
    """Return dose over dose without the slab along a line across its edge.

    Averaged over a band along the edge and five voxels in depth: the Monte Carlo needs them.
    """
    grid = dose.grid
    axis, other = (0, 2) if side == "crossline" else (2, 0)
    j = int(np.rint(grid.to_index((0.0, depth_mm - ISO_DEPTH_MM, 0.0))[1]))
    along = grid.origin_mm[other] + np.arange(grid.shape[other]) * grid.spacing_mm[other]
    band = (along > min(band_mm)) & (along < max(band_mm))
    sums = []
    for volume in (dose, plain):
        part = np.asarray(volume.array[:, j - 2 : j + 3], dtype=float).sum(axis=1)
        sums.append(part[:, band].sum(axis=1) if axis == 0 else part[band].sum(axis=0))
    way = grid.origin_mm[axis] + np.arange(grid.shape[axis]) * grid.spacing_mm[axis]
    return way, sums[0] / np.maximum(sums[1], 1e-12)


def step_mm(way: FloatArray, ratio: FloatArray, expected_mm: float, reach_mm: float) -> float:
    """Return the middle of the step that fits a profile best, within a reach of an expectation."""
    from scipy.optimize import least_squares
    from scipy.special import erf

    near = np.abs(way - expected_mm) < reach_mm
    x, y = way[near], ratio[near]

    def misfit(step: FloatArray) -> FloatArray:
        low, high, middle, width = step
        made = low + (high - low) / 2 * (1 + erf((x - middle) / (1 + abs(width))))
        return np.asarray(made - y)

    return float(least_squares(misfit, (y[:3].mean(), y[-3:].mean(), expected_mm, 5.0)).x[2])
