"""Shapes by signed distance, evaluated on a block of points inside a box of their own.

A shape answers with the signed distance of each point to its surface, in mm (negative
inside). The share of a small cell that lies inside follows from the distance at its centre
by a linear ramp as wide as the cell, which is exact for a flat surface along an axis and
conserves volume for a smooth one; thin shells are the difference of two such shares, so that
they keep their volume even where they are thinner than a cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Box = tuple[slice, slice, slice]
Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]

FAR_MM = np.float32(1e3)
REACH_MM = 6.0
"""How far outside its surface a shape knows its distance; beyond, it answers ``FAR_MM``."""


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

    x: Array
    y: Array
    z: Array
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
        low, high = (np.asarray(b, dtype=float) for b in bounds)
        reach = margin_mm + self.slack_mm
        ends = np.stack([low - reach, high + reach])
        corners = np.array([[ends[i, 0], ends[j, 1], ends[k, 2], 1.0] for i, j, k in _CORNERS])
        index = corners @ self.to_index[:3].T
        slices = []
        for axis, (size, step) in enumerate(zip(self.shape, self.factor, strict=True)):
            start = max(int(np.floor(index[:, axis].min() / step)) * step, 0)
            stop = min((int(np.ceil(index[:, axis].max() / step)) + 1) * step, size)
            if start >= stop:
                return None
            slices.append(slice(start, stop))
        return (slices[0], slices[1], slices[2])

    def share(self, distance: Array) -> Array:
        """Share of each cell that lies inside, from the signed distance of its centre."""
        inside = distance * np.float32(-1.0 / self.cell_mm)
        inside += np.float32(0.5)
        return np.clip(inside, 0.0, 1.0, out=inside)


_CORNERS = [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)]


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
        Thickness of the outer layer at each ball, shape (n,); zeros for none.
    """

    nodes: NDArray[np.float64]
    edges: Sequence[tuple[int, int]] = ()
    faces: Sequence[tuple[int, int, int]] = ()
    shell_mm: NDArray[np.float64] | None = field(default=None)

    @property
    def bounds(self) -> Bounds:
        """Lowest and highest corner of the box around the shape."""
        centre, radius = self.nodes[:, :3], self.nodes[:, 3:]
        return (centre - radius).min(axis=0), (centre + radius).max(axis=0)

    def distance(self, points: Points, box: Box) -> Array:
        """Signed distance to the surface, in mm, of the points in ``box``."""
        return self.distances(points, box)[0]

    def distances(self, points: Points, box: Box) -> tuple[Array, Array]:
        """Signed distances to the surface and to the inner face of the shell, in mm."""
        shape = tuple(s.stop - s.start for s in box)
        outer = np.full(shape, FAR_MM, dtype=np.float32)
        inner = outer if self.shell_mm is None else outer.copy()
        shell = np.zeros(len(self.nodes)) if self.shell_mm is None else self.shell_mm
        for element in [*self.all_edges(), *self.faces]:
            rows = self.nodes[list(element)]
            centre, radius = rows[:, :3], rows[:, 3:]
            bounds = ((centre - radius).min(axis=0), (centre + radius).max(axis=0))
            part = _clip(points.box(bounds), box)
            if part is None:
                continue
            where = tuple(
                slice(p.start - b.start, p.stop - b.start) for p, b in zip(part, box, strict=True)
            )
            x, y, z = points.x[part], points.y[part], points.z[part]
            solve = _tube if len(element) == 2 else _plate
            out, thickness = solve(x, y, z, rows, shell[list(element)])
            np.minimum(outer[where], out, out=outer[where])
            if self.shell_mm is not None:
                out += thickness
                np.minimum(inner[where], out, out=inner[where])
        return outer, inner

    def all_edges(self) -> list[tuple[int, int]]:
        """Return the named edges and those around the faces, each once."""
        named = {tuple(sorted(edge)) for edge in self.edges}
        for a, b, c in self.faces:
            named |= {tuple(sorted(edge)) for edge in ((a, b), (b, c), (a, c))}
        return sorted((int(a), int(b)) for a, b in named)


def _clip(box: Box | None, within: Box) -> Box | None:
    if box is None:
        return None
    starts = [max(b.start, w.start) for b, w in zip(box, within, strict=True)]
    stops = [min(b.stop, w.stop) for b, w in zip(box, within, strict=True)]
    if any(a >= b for a, b in zip(starts, stops, strict=True)):
        return None
    i, j, k = (slice(a, b) for a, b in zip(starts, stops, strict=True))
    return (i, j, k)


def _tube(
    x: Array, y: Array, z: Array, rows: NDArray[np.float64], shell: NDArray[np.float64]
) -> tuple[Array, Array | np.float32]:
    a, b = rows.astype(np.float32)
    axis = b[:3] - a[:3]
    length2 = np.float32(max(float(axis @ axis), 1e-6))
    px, py, pz = x - a[0], y - a[1], z - a[2]
    along = px * (axis[0] / length2)
    along += py * (axis[1] / length2)
    along += pz * (axis[2] / length2)
    np.clip(along, 0.0, 1.0, out=along)
    px -= along * axis[0]
    py -= along * axis[1]
    pz -= along * axis[2]
    px *= px
    px += py * py
    px += pz * pz
    distance = np.sqrt(px, out=px)
    distance -= a[3]
    if b[3] != a[3]:
        distance -= along * (b[3] - a[3])
    s0, s1 = np.float32(shell[0]), np.float32(shell[1])
    return distance, s0 if s0 == s1 else s0 + along * (s1 - s0)


def _plate(
    x: Array, y: Array, z: Array, rows: NDArray[np.float64], shell: NDArray[np.float64]
) -> tuple[Array, Array | np.float32]:
    a, b, c = rows
    u, v = b[:3] - a[:3], c[:3] - a[:3]
    normal = np.cross(u, v)
    area2 = max(float(normal @ normal), 1e-9)
    # weights of b and c at the foot of the perpendicular: linear in the point
    to_b = (np.cross(v, normal) / area2).astype(np.float32)
    to_c = (np.cross(normal, u) / area2).astype(np.float32)
    unit = (normal / np.sqrt(area2)).astype(np.float32)
    px, py, pz = (p - np.float32(o) for p, o in zip((x, y, z), a[:3], strict=True))
    wb = px * to_b[0] + py * to_b[1] + pz * to_b[2]
    wc = px * to_c[0] + py * to_c[1] + pz * to_c[2]
    distance = px * unit[0] + py * unit[1] + pz * unit[2]
    np.abs(distance, out=distance)
    radii = rows[:, 3].astype(np.float32)
    distance -= radii[0] + wb * (radii[1] - radii[0]) + wc * (radii[2] - radii[0])
    outside = (wb < 0) | (wc < 0) | (wb + wc > 1)  # the edges answer there
    distance[outside] = FAR_MM
    s0, s1, s2 = shell.astype(np.float32)
    if s0 == s1 == s2:
        return distance, s0
    return distance, s0 + wb * (s1 - s0) + wc * (s2 - s0)


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

    def distance(self, points: Points, box: Box) -> Array:
        """Signed distance in mm, to first order in the distance from the surface."""
        c, r = self.centre_mm.astype(np.float32), self.radii_mm.astype(np.float32)
        u = (points.x[box] - c[0]) / r[0]
        v = (points.y[box] - c[1]) / r[1]
        w = (points.z[box] - c[2]) / r[2]
        reach = np.sqrt(u * u + v * v + w * w)
        slope = np.sqrt((u / r[0]) ** 2 + (v / r[1]) ** 2 + (w / r[2]) ** 2)
        return np.asarray(reach * (reach - 1) / np.maximum(slope, 1e-6), dtype=np.float32)


def smooth_union(a: Array, b: Array, blend_mm: float) -> Array:
    """Join two distances with a fillet of about ``blend_mm``."""
    overlap = np.maximum(np.float32(blend_mm) - np.abs(a - b), 0) / np.float32(blend_mm)
    return np.asarray(
        np.minimum(a, b) - overlap * overlap * np.float32(blend_mm / 4), dtype=np.float32
    )
