"""Shapes by signed distance, evaluated on a block of points inside a box of their own.

A shape answers with the signed distance of each point to its surface, in mm (negative
inside). The share of a small cell that lies inside follows from the distance at its centre
by a linear ramp as wide as the cell, which is exact for a flat surface along an axis and
conserves volume for a smooth one; thin shells are the difference of two such shares, so that
they keep their volume even where they are thinner than a cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Box, Float32Array
from qa_suite.lab.phantom.kernels import mesh_distance

Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]

FAR_MM = np.float32(1e3)
REACH_MM = 6.0
"""Margin of the box around a shape, at least the reach of every mesh."""


@dataclass(frozen=True, kw_only=True)
class Points:
    """A block of sample points.

    Parameters
    ----------
    x, y, z
        Anatomical coordinates of the points in mm, each of the block's shape.
    to_index
        4×4 matrix from undeformed anatomical mm to the block's indices.
    cell_mm
        Mean edge of the cell that a point stands for.
    factor
        Sample points a voxel along each axis; boxes begin and end on whole voxels.
    slack_mm
        Largest displacement between undeformed and sampled coordinates.
    """

    x: Float32Array
    y: Float32Array
    z: Float32Array
    to_index: NDArray[np.float64]
    cell_mm: float
    factor: tuple[int, int, int]
    slack_mm: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the block."""
        return self.x.shape

    def box(self, bounds: Bounds, margin_mm: float = REACH_MM) -> Box | None:
        """Return the part of the block that may lie within ``bounds``, or None."""
        low, high = (np.asarray(b, dtype=float)[None] for b in bounds)
        (i0, i1, j0, j1, k0, k1) = (int(n) for n in self.boxes(low, high, margin_mm)[0])
        if i0 >= i1 or j0 >= j1 or k0 >= k1:
            return None
        return (slice(i0, i1), slice(j0, j1), slice(k0, k1))

    def boxes(
        self, low: NDArray[np.float64], high: NDArray[np.float64], margin_mm: float = REACH_MM
    ) -> NDArray[np.int64]:
        """Return index ranges, shape (n, 6), of many bounds; empty where start ≥ stop."""
        reach = margin_mm + self.slack_mm
        middle = (low + high) / 2 @ self.to_index[:3, :3].T + self.to_index[:3, 3]
        half = ((high - low) / 2 + reach) @ np.abs(self.to_index[:3, :3]).T
        step, size = np.array(self.factor), np.array(self.shape)
        start = np.maximum(np.floor((middle - half) / step).astype(np.int64) * step, 0)
        stop = np.minimum((np.ceil((middle + half) / step).astype(np.int64) + 1) * step, size)
        return np.stack([start, stop], axis=-1).reshape(-1, 6)

    def share(self, distance: Float32Array) -> Float32Array:
        """Share of each cell that lies inside, from the signed distance of its centre."""
        inside = distance * np.float32(-1.0 / self.cell_mm)
        inside += np.float32(0.5)
        return np.clip(inside, 0.0, 1.0, out=inside)


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """The hull of balls along edges and triangles: tubes, plates and everything between.

    Parameters
    ----------
    nodes
        Centre and radius of each ball, shape (n, 4), in mm.
    edges, faces
        Indices of the balls that are joined two by two and three by three.
    shell_mm
        Thickness of the outer layer at each ball, shape (n,), or None for none.
    reach_mm
        How far outside its surface the distance is known; beyond, it is ``FAR_MM``.
    """

    nodes: NDArray[np.float64]
    edges: Sequence[tuple[int, int]] = ()
    faces: Sequence[tuple[int, int, int]] = ()
    shell_mm: NDArray[np.float64] | None = None
    reach_mm: float = 2.0

    @property
    def bounds(self) -> Bounds:
        """Lowest and highest corner of the box around the shape."""
        centre, radius = self.nodes[:, :3], self.nodes[:, 3:]
        return (centre - radius).min(axis=0), (centre + radius).max(axis=0)

    def distance(self, points: Points, box: Box) -> Float32Array:
        """Signed distance to the surface, in mm, of the points in ``box``."""
        return self._distance(points, box, self.nodes)

    def distances(self, points: Points, box: Box) -> tuple[Float32Array, Float32Array]:
        """Signed distances to the surface and to the inner face of the shell, in mm."""
        outer = self._distance(points, box, self.nodes)
        if self.shell_mm is None:
            return outer, outer
        core = self.nodes.copy()
        core[:, 3] -= self.shell_mm
        return outer, self._distance(points, box, core)

    def _distance(self, points: Points, box: Box, nodes: NDArray[np.float64]) -> Float32Array:
        distance = np.full(tuple(s.stop - s.start for s in box), FAR_MM, dtype=np.float32)
        elements = self._elements()
        balls = nodes[np.where(elements < 0, elements[:, :1], elements)]
        low = (balls[..., :3] - balls[..., 3:]).min(axis=1)
        high = (balls[..., :3] + balls[..., 3:]).max(axis=1)
        origin = np.repeat([s.start for s in box], 2)
        limit = np.repeat([s.stop for s in box], 2)
        boxes = np.clip(points.boxes(low, high, self.reach_mm), origin, limit) - origin
        mesh_distance(
            *(np.ascontiguousarray(v[box]) for v in (points.x, points.y, points.z)),
            nodes.astype(np.float32),
            elements,
            boxes,
            distance,
            FAR_MM,
        )
        return distance

    def _elements(self) -> NDArray[np.int64]:
        rows = [(*edge, -1) for edge in self.all_edges()] + [tuple(f) for f in self.faces]
        return np.array(rows, dtype=np.int64)

    def all_edges(self) -> list[tuple[int, int]]:
        """Return the named edges and those around the faces, each once."""
        named = {tuple(sorted(edge)) for edge in self.edges}
        for a, b, c in self.faces:
            named |= {tuple(sorted(edge)) for edge in ((a, b), (b, c), (a, c))}
        return sorted((int(a), int(b)) for a, b in named)


@dataclass(frozen=True, kw_only=True)
class Ellipsoid:
    """An ellipsoid along the axes.

    Parameters
    ----------
    centre_mm, radii_mm
        Its centre and its three half axes.
    """

    centre_mm: NDArray[np.float64]
    radii_mm: NDArray[np.float64]

    @property
    def bounds(self) -> Bounds:
        """Lowest and highest corner of the box around the shape."""
        return self.centre_mm - self.radii_mm, self.centre_mm + self.radii_mm

    def grown(self, margin_mm: float) -> Ellipsoid:
        """Return the ellipsoid with half axes longer by ``margin_mm``."""
        return Ellipsoid(centre_mm=self.centre_mm, radii_mm=self.radii_mm + margin_mm)

    def distance(self, points: Points, box: Box) -> Float32Array:
        """Signed distance in mm, to first order in the distance from the surface."""
        c, r = self.centre_mm.astype(np.float32), self.radii_mm.astype(np.float32)
        u = (points.x[box] - c[0]) / r[0]
        v = (points.y[box] - c[1]) / r[1]
        w = (points.z[box] - c[2]) / r[2]
        reach = np.sqrt(u * u + v * v + w * w)
        slope = np.sqrt((u / r[0]) ** 2 + (v / r[1]) ** 2 + (w / r[2]) ** 2)
        return np.asarray(reach * (reach - 1) / np.maximum(slope, 1e-6), dtype=np.float32)


def smooth_union(a: Float32Array, b: Float32Array, blend_mm: float) -> Float32Array:
    """Join two distances with a fillet of about ``blend_mm``."""
    overlap = np.maximum(np.float32(blend_mm) - np.abs(a - b), 0) / np.float32(blend_mm)
    return np.asarray(
        np.minimum(a, b) - overlap * overlap * np.float32(blend_mm / 4), dtype=np.float32
    )
