"""The fan of sub-pencils of one beam: where they run and how deep they are at every plane."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.core.volume import Grid
from qa_suite.dose.range.raytrace import BeamFrame, in_threads

_RAYS_A_TASK = 128


@dataclass(frozen=True, kw_only=True)
class Fan:
    """A lattice of rays and planes across them.

    Parameters
    ----------
    frame
        Of the beam.
    x_mm, y_mm
        Positions of the rays in the isocentre plane, equally spaced.
    z_mm
        Heights of the planes above the isocentre, falling.
    wed_mm
        Water-equivalent depth, shape (planes, y, x).
    """

    frame: BeamFrame
    x_mm: FloatArray
    y_mm: FloatArray
    z_mm: FloatArray
    wed_mm: NDArray[np.float32]

    @property
    def spacing_mm(self) -> float:
        """Distance of neighbouring rays in the isocentre plane."""
        return float(self.x_mm[1] - self.x_mm[0])

    @property
    def scales(self) -> FloatArray:
        """How much wider the fan is in each plane than in the isocentre plane."""
        sad = self.frame.sad_mm
        return np.ones(self.z_mm.size) if sad is None else (sad - self.z_mm) / sad

    @property
    def flat_wed(self) -> NDArray[np.float32]:
        """Depths with all rays in one axis, shape (planes, rays)."""
        return self.wed_mm.reshape(self.z_mm.size, -1)

    def index(self, world_mm: FloatArray) -> FloatArray:
        """Map LPS positions, shape (points, 3), to fractional (z, y, x), same shape."""
        beam = self.frame.to_beam(world_mm)
        sad = self.frame.sad_mm
        scale = 1.0 if sad is None else sad / (sad - beam[:, 2])
        step = self.z_mm[1] - self.z_mm[0]
        return np.stack(
            [
                (beam[:, 2] - self.z_mm[0]) / step,
                (beam[:, 1] * scale - self.y_mm[0]) / self.spacing_mm,
                (beam[:, 0] * scale - self.x_mm[0]) / self.spacing_mm,
            ],
            axis=-1,
        )


def lattice(low_mm: float, high_mm: float, spacing_mm: float) -> FloatArray:
    """Return multiples of the spacing that cover low .. high."""
    first, last = math.floor(low_mm / spacing_mm), math.ceil(high_mm / spacing_mm)
    return np.asarray(spacing_mm * np.arange(first, max(last, first + 1) + 1), dtype=float)


def make_fan(
    density: NDArray[np.float32],
    grid: Grid,
    frame: BeamFrame,
    *,
    x_mm: FloatArray,
    y_mm: FloatArray,
    plane_mm: float,
    deepest_mm: float,
) -> Fan:
    """Trace the rays of a fan through a density.

    Parameters
    ----------
    density
        Relative stopping power, 0 outside the body.
    grid
        Its voxels.
    frame
        Of the beam.
    x_mm, y_mm
        Positions of the rays in the isocentre plane.
    plane_mm
        Distance of the planes.
    deepest_mm
        Planes end where every ray is deeper than this, or behind the body.
    """
    from qa_suite.dose.protons.kernels import plane_depths

    top, bottom = _extent(density, grid, frame)
    count = int(np.ceil((top - bottom) / plane_mm)) + 3
    z = np.asarray(top + plane_mm - plane_mm * np.arange(count), dtype=float)
    plane = np.stack(np.meshgrid(x_mm, y_mm), axis=-1).reshape(-1, 2)
    start = frame.unproject(plane, 0.0)
    slope = frame.unproject(plane, 1.0) - start
    lengths = np.linalg.norm(slope, axis=1)
    starts = np.ascontiguousarray(grid.to_index(start))
    slopes = np.ascontiguousarray(grid.to_index(start + slope) - starts)
    wed = np.zeros((z.size, plane.shape[0]), dtype=np.float32)
    field = np.ascontiguousarray(density, dtype=np.float32)
    in_threads(
        lambda a, b: plane_depths(field, starts, slopes, lengths, z, a, b, wed),
        plane.shape[0],
        chunk=_RAYS_A_TASK,
    )
    behind = np.flatnonzero(wed.min(axis=1) > deepest_mm)
    last = int(behind[0]) + 1 if behind.size else z.size
    last = max(last, 4)
    return Fan(
        frame=frame,
        x_mm=x_mm,
        y_mm=y_mm,
        z_mm=z[:last],
        wed_mm=wed[:last].reshape(last, y_mm.size, x_mm.size),
    )


def _extent(density: NDArray[np.float32], grid: Grid, frame: BeamFrame) -> tuple[float, float]:
    """Return the highest and the lowest z in the beam of the box around all that is dense."""
    full = density > 0
    ends = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        hit = np.flatnonzero(full.any(axis=others))
        ends.append((hit[0] - 0.5, hit[-1] + 0.5) if hit.size else (-0.5, grid.shape[axis] - 0.5))
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3)
    z = frame.to_beam(grid.to_world(corners))[:, 2]
    return float(z.max()), float(z.min())
