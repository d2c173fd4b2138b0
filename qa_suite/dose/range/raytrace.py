"""Where a beam comes from, and exact integrals along its rays.

The patient lies head first, supine. In the fixed system x points to the patient's left, y to the
head and z up to the front; at gantry 0 the source is above the patient, at 90 on his left. Couch 0
is the only angle at which the couch's own system is the fixed one. The collimator turns counter-
clockwise seen from the source (IEC 61217).

A field is constant within a voxel. Its integral along a ray is exact: the ray is cut at every
voxel boundary that it meets [1]_. Of a relative stopping power it is the water-equivalent path;
of a mask it is the length inside the mask.

References
----------
.. [1] Siddon RL (1985) Fast calculation of the exact radiological path for a three-dimensional
   CT array, Med Phys 12:252-255.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.executors.share import cores
from qa_suite.core.volume import Grid, Triple
from qa_suite.dose.plan.template import BeamTemplate

# rows: fixed x, y, z of LPS x, y, z
_LPS_TO_FIXED = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


def beam_axes(beam: BeamTemplate) -> FloatArray:
    """Return the axes of the gantry system in LPS.

    Returns
    -------
    ndarray of float, shape (3, 3)
        Rows: the unit vectors of x (crossline), y (inline) and z (from the isocentre to the
        source), IEC 61217 gantry system, of a patient on a couch turned by the beam's angle.
    """
    gantry, couch = np.deg2rad([beam.gantry_deg, beam.couch_deg])
    cos, sin = np.cos(gantry), np.sin(gantry)
    in_fixed = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
    cos, sin = np.cos(couch), np.sin(couch)
    from_couch = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return np.asarray(in_fixed @ from_couch @ _LPS_TO_FIXED)


_RAYS_A_TASK = 4096


@dataclass(frozen=True, kw_only=True)
class BeamFrame:
    """The beam's eye view of one beam, in LPS mm.

    Parameters
    ----------
    isocentre_mm
        Where the central axis meets the gantry's axis.
    axes
        3×3; its columns are the unit vectors x, y (IEC beam limiting device) and z, which
        points from the isocentre to the source.
    sad_mm
        From the source to the isocentre, or None for parallel rays.
    """

    isocentre_mm: Triple
    axes: FloatArray
    sad_mm: float | None

    @property
    def source_mm(self) -> Triple | None:
        """LPS position of the source, or None for parallel rays."""
        if self.sad_mm is None:
            return None
        x, y, z = np.asarray(self.isocentre_mm) + self.sad_mm * self.axes[:, 2]
        return (float(x), float(y), float(z))

    def upstream_mm(self, world_mm: Any, reach_mm: float) -> FloatArray:
        """Return where the rays to LPS positions, shape (..., 3), start, same shape.

        Parameters
        ----------
        reach_mm
            How far before its end a parallel ray starts; the others start at the source.
        """
        ends = np.asarray(world_mm, dtype=float)
        if self.source_mm is None:
            return np.asarray(ends + reach_mm * self.axes[:, 2])
        return np.broadcast_to(np.asarray(self.source_mm), ends.shape)

    def to_beam(self, world_mm: Any) -> FloatArray:
        """Map LPS positions, shape (..., 3), to beam coordinates in mm, same shape."""
        return np.asarray((np.asarray(world_mm, dtype=float) - self.isocentre_mm) @ self.axes)

    def to_world(self, beam_mm: Any) -> FloatArray:
        """Map beam coordinates, shape (..., 3), to LPS positions in mm, same shape."""
        return np.asarray(np.asarray(beam_mm, dtype=float) @ self.axes.T + self.isocentre_mm)

    def project(self, world_mm: Any) -> FloatArray:
        """Project LPS positions, shape (..., 3), along their rays onto the isocentre plane.

        Returns
        -------
        ndarray of float, shape (..., 2)
            x and y in mm.
        """
        beam = self.to_beam(world_mm)
        if self.sad_mm is None:
            return beam[..., :2]
        return np.asarray(beam[..., :2] * (self.sad_mm / (self.sad_mm - beam[..., 2:])))

    def unproject(self, plane_mm: Any, z_mm: Any) -> FloatArray:
        """Return the LPS positions, shape (..., 3), at height z of the rays through (x, y).

        Parameters
        ----------
        plane_mm
            Shape (..., 2): x and y in the isocentre plane.
        z_mm
            Height above the isocentre plane, towards the source; a number or shape (...).
        """
        plane = np.asarray(plane_mm, dtype=float)
        z = np.broadcast_to(np.asarray(z_mm, dtype=float), plane.shape[:-1])[..., None]
        scale = 1.0 if self.sad_mm is None else (self.sad_mm - z) / self.sad_mm
        return self.to_world(np.concatenate([plane * scale, z], axis=-1))


def beam_frame(beam: BeamTemplate, isocentre_mm: Triple, *, sad_mm: float | None) -> BeamFrame:
    """Return the beam's eye view of a beam.

    Raises
    ------
    InputError
        If the distance from source to isocentre is not positive.
    """
    if sad_mm is not None and not sad_mm > 0:
        raise InputError(f"The source must stand before the isocentre, not at {sad_mm:g} mm.")
    angle = np.deg2rad(beam.collimator_deg)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    axes = beam_axes(beam).T @ turn
    return BeamFrame(isocentre_mm=isocentre_mm, axes=axes, sad_mm=sad_mm)


def path_integral(field: NDArray[Any], grid: Grid, starts_mm: Any, ends_mm: Any) -> FloatArray:
    """Integrate a field exactly along straight segments.

    Parameters
    ----------
    field
        Of the grid's shape, constant within a voxel and 0 outside the grid: a density relative
        to water, a mask, or their product.
    grid
        Its voxels.
    starts_mm, ends_mm
        LPS positions, shape (..., 3); the two are broadcast against each other.

    Returns
    -------
    ndarray of float, shape (...)
        Field times mm. A ray that runs exactly in the boundary of two voxels counts one of them.

    Raises
    ------
    GeometryError
        If the field is not of the grid's shape.
    InputError
        If the field or a position is no number.
    """
    from qa_suite.dose.range.raytrace_kernels import trace_rays

    values = _checked(field, grid)
    starts, ends = np.broadcast_arrays(
        np.asarray(starts_mm, dtype=float), np.asarray(ends_mm, dtype=float)
    )
    if not (np.isfinite(starts).all() and np.isfinite(ends).all()):
        raise InputError("A ray starts or ends at a position that is no number.")
    shape = starts.shape[:-1]
    lengths = np.linalg.norm(ends - starts, axis=-1).reshape(-1)
    first = np.ascontiguousarray(grid.to_index(starts).reshape(-1, 3))
    last = np.ascontiguousarray(grid.to_index(ends).reshape(-1, 3))
    out = np.zeros(lengths.size)
    in_threads(lambda a, b: trace_rays(values, first, last, lengths, a, b, out), lengths.size)
    return out.reshape(shape)


def depth_map(
    field: NDArray[Any], grid: Grid, frame: BeamFrame, *, where: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Integrate a field exactly from the source to the centre of every voxel.

    Parameters
    ----------
    field
        As for :func:`path_integral`. A relative stopping power gives the water-equivalent depth
        in mm.
    grid
        Its voxels.
    frame
        Of the beam.
    where
        Voxels that are wanted, of the grid's shape; elsewhere the result is 0. All by default.

    Returns
    -------
    ndarray of float32, of the grid's shape
    """
    from qa_suite.dose.range.raytrace_kernels import trace_voxels

    values = _checked(field, grid)
    if where is not None and where.shape != grid.shape:
        raise GeometryError(f"The mask has shape {where.shape} and its grid {grid.shape}.")
    voxels = np.arange(values.size) if where is None else np.flatnonzero(where)
    source = frame.source_mm
    inside = np.zeros(3) if source is None else grid.to_index(source)
    reach = float(np.linalg.norm(np.asarray(grid.shape) * grid.spacing_mm))
    towards = reach * frame.axes[:, 2] @ grid.axes / np.asarray(grid.spacing_mm)
    found = np.zeros(voxels.size)
    spacing = np.asarray(grid.spacing_mm)
    in_threads(
        lambda a, b: trace_voxels(
            values, voxels, inside, towards, source is None, spacing, a, b, found
        ),
        voxels.size,
    )
    out = np.zeros(values.size, dtype=np.float32)
    out[voxels] = found
    return out.reshape(grid.shape)


def in_threads(task: Callable[[int, int], None], count: int, *, chunk: int = _RAYS_A_TASK) -> None:
    """Run ``task(first, last)`` over 0 .. count in chunks, on all cores; the task frees the GIL.

    The chunks do not depend on the number of cores, so the result does not either.
    """
    edges = [*range(0, count, chunk), count]
    if len(edges) <= 2:
        task(0, count)
        return
    with ThreadPoolExecutor(max_workers=cores()) as pool:
        for done in [pool.submit(task, a, b) for a, b in itertools.pairwise(edges)]:
            done.result()


def _checked(field: NDArray[Any], grid: Grid) -> NDArray[np.float32]:
    if field.shape != grid.shape:
        raise GeometryError(f"The density has shape {field.shape} and its grid {grid.shape}.")
    values = np.ascontiguousarray(field, dtype=np.float32)
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise InputError(f"The density holds {count} voxels that are no number.")
    return values
