"""Sampling a patient on a grid: which share of every voxel is which part of the body.

The parts are painted from the front: each takes its share of what the parts before it left
of a cell, so that the shares of a voxel add up to one and nothing is left open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.core.volume import Grid, Triple
from qa_suite.lab.phantom.painting import paint
from qa_suite.lab.phantom.partial_volume import Canvas
from qa_suite.lab.phantom.patients import Anatomy
from qa_suite.lab.phantom.shapes import Points

SUBSAMPLE_MM = 3.0
_POINTS_A_SLAB = 2_600_000
_EXTENT_MM: Triple = (440.0, 320.0, 198.0)
_MIDDLE_MM: Triple = (0.0, -6.0, 8.0)

Displace = Callable[
    [Float32Array, Float32Array, Float32Array], tuple[Float32Array, Float32Array, Float32Array]
]


def phantom_grid(spacing_mm: Triple, extent_mm: Triple = _EXTENT_MM) -> Grid:
    """Return an axial grid over the pelvis.

    Parameters
    ----------
    spacing_mm
        Voxel size along x, y, z.
    extent_mm
        Field of view, at least; it is rounded up to an even number of voxels.
    """
    shape = [2 * int(np.ceil(e / s / 2 - 1e-9)) for e, s in zip(extent_mm, spacing_mm, strict=True)]
    origin = [m - s * (n - 1) / 2 for m, s, n in zip(_MIDDLE_MM, spacing_mm, shape, strict=True)]
    return Grid(
        shape=(shape[0], shape[1], shape[2]),
        spacing_mm=spacing_mm,
        origin_mm=(origin[0], origin[1], origin[2]),
    )


@dataclass(frozen=True, kw_only=True)
class Slab:
    """Some slices of a sampled patient.

    Parameters
    ----------
    slices
        Which slices of the grid (third index).
    shares
        Share of each voxel by part, shape (len(PARTS), nx, ny, slices).
    structures
        Share of each voxel inside each structure, shape (nx, ny, slices).
    """

    slices: slice
    shares: Float32Array
    structures: Mapping[str, Float32Array]


def sample(
    anatomy: Anatomy,
    grid: Grid,
    *,
    displace: Displace | None = None,
    subsample_mm: float = SUBSAMPLE_MM,
) -> Iterator[Slab]:
    """Sample a patient slab by slab.

    Parameters
    ----------
    anatomy
        The patient; where he lies in the LPS mm of ``grid`` says his pose.
    grid
        Any grid, oblique ones included.
    displace
        Maps the position of a point in the image to the position it shows, both LPS mm.
    subsample_mm
        Longest edge of the cells that a voxel is divided into; of each the shares of the parts
        are told from its centre.

    Yields
    ------
    Slab
        In order, together covering the grid.
    """
    factor = tuple(max(1, int(np.ceil(s / subsample_mm - 1e-9))) for s in grid.spacing_mm)
    plane = grid.shape[0] * grid.shape[1] * int(np.prod(factor))
    step = max(1, _POINTS_A_SLAB // plane)
    for start in range(0, grid.shape[2], step):
        slices = slice(start, min(start + step, grid.shape[2]))
        points = _points(anatomy, grid, slices, (factor[0], factor[1], factor[2]), displace)
        canvas = Canvas(points)
        paint(anatomy, canvas)
        yield Slab(slices=slices, shares=canvas.shares, structures=canvas.structures)


def _points(
    anatomy: Anatomy,
    grid: Grid,
    slices: slice,
    factor: tuple[int, int, int],
    displace: Displace | None,
) -> Points:
    counts = (grid.shape[0], grid.shape[1], slices.stop - slices.start)
    start = (0, 0, slices.start)
    index = [
        s + (np.arange(n * f) + 0.5) / f - 0.5
        for s, n, f in zip(start, counts, factor, strict=True)
    ]
    i, j, k = np.ix_(*index)
    affine = grid.affine
    x, y, z = (
        (row[0] * i + row[1] * j + row[2] * k + row[3]).astype(np.float32) for row in affine[:3]
    )
    pose = anatomy.pose
    rigid = pose.to_patient(x, y, z)
    if displace is not None:
        x, y, z = displace(x, y, z)
    x, y, z = _deformed(anatomy, *pose.to_patient(x, y, z))
    slack = 0.5 + max(float(np.abs(v - w).max()) for v, w in zip((x, y, z), rigid, strict=True))
    to_fine = np.diag([*factor, 1.0])
    to_fine[:3, 3] = [(0.5 - s) * f - 0.5 for s, f in zip(start, factor, strict=True)]
    cell = float(np.mean([s / f for s, f in zip(grid.spacing_mm, factor, strict=True)]))
    return Points(
        x=x,
        y=y,
        z=z,
        to_index=to_fine @ np.linalg.inv(np.linalg.inv(pose.matrix) @ affine),
        cell_mm=cell,
        factor=factor,
        slack_mm=slack,
    )


def _deformed(
    anatomy: Anatomy, x: Float32Array, y: Float32Array, z: Float32Array
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Move points by the patient's own smooth deformation."""
    shape = np.broadcast_shapes(x.shape, y.shape, z.shape)
    shift = [np.zeros(shape, dtype=np.float32) for _ in range(3)]
    scratch = np.empty(shape, dtype=np.float32)
    for kx, ky, kz, phase, *amplitude in anatomy.waves:
        wave = np.float32(kx) * x + np.float32(ky) * y
        wave += np.multiply(np.float32(kz), z, out=scratch)
        wave += np.float32(phase)
        np.sin(wave, out=wave)
        for s, a in zip(shift, amplitude, strict=True):
            s += np.multiply(wave, np.float32(a), out=scratch)
    for s, start in zip(shift, (x, y, z), strict=True):
        s += start
    return shift[0], shift[1], shift[2]


def in_the_world(anatomy: Anatomy, point_mm: NDArray[np.float64]) -> Triple:
    """Return where a point of the undeformed anatomy lies in the patient, LPS mm."""
    target = np.asarray(point_mm, dtype=np.float32)
    world = target.copy()
    for _ in range(30):  # the deformation is a contraction: its gradient stays below one
        moved = _deformed(anatomy, *(world[n : n + 1] for n in range(3)))
        world = world + target - np.concatenate(moved)
    return anatomy.pose.to_scanner(world)
