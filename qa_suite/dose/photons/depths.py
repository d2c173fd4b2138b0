"""Radiological depth in a beam's eye view, along the rays that diverge from its source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qa_suite.core.arrays import Float32Array, Mask
from qa_suite.core.volume import Grid, Triple
from qa_suite.dose.plan.template import BeamTemplate
from qa_suite.dose.range.raytrace import BeamFrame, beam_frame, path_integral


class DivergingDepths:
    """Depths of one density, seen by some beams; what was traced once is kept.

    The depth of a point is the exact integral of the density from the source to it [1]_: along
    the slant, not along the central axis, so that a shadow widens with the distance from the
    source as the fluence does.

    Parameters
    ----------
    density
        Relative to water, shape (head, depth, width): axes of LPS z, y and x.
    spacing_mm
        Of these axes; that of depth and width is the same, since the gantry turns in them.
    isocentre_mm
        From the first voxel's centre, along these axes.
    gantry_rad
        Angle of each beam, IEC 61217.
    sad_mm
        From the source to the isocentre.

    References
    ----------
    .. [1] Siddon RL (1985) Fast calculation of the exact radiological path for a
       three-dimensional CT array, Med Phys 12:252-255.
    """

    def __init__(
        self,
        density: Float32Array,
        *,
        spacing_mm: Triple,
        isocentre_mm: Triple,
        gantry_rad: Sequence[float],
        sad_mm: float,
    ) -> None:
        self._spacing_mm, self._isocentre_mm = spacing_mm, isocentre_mm
        self._field, self._grid = _around_what_is_dense(density, spacing_mm)
        head, depth, width = isocentre_mm
        self._frames = [_frame(angle, (width, depth, head), sad_mm) for angle in gantry_rad]
        beyond, across = density.shape[1], (density.shape[0], density.shape[2])
        self._depths = np.zeros((len(self._frames), beyond, *across), dtype=np.float32)
        self._known = np.zeros(self._depths.shape, dtype=bool)

    def at(self, wanted: Mask) -> Float32Array:
        """Return the depths of the points that are wanted.

        Parameters
        ----------
        wanted
            Shape (beams, depth, head, width): the beams' eye views, which are lattices of the
            density's spacing about the isocentre with the depth along the central axis.

        Returns
        -------
        ndarray of float32, of the same shape
            In mm of water; a point that was never wanted has 0.
        """
        for number, (frame, missing) in enumerate(
            zip(self._frames, wanted & ~self._known, strict=True)
        ):
            index = np.nonzero(missing)
            along, up, across = (
                place * spacing - middle
                for place, spacing, middle in zip(
                    index,
                    self._in_view(self._spacing_mm),
                    self._in_view(self._isocentre_mm),
                    strict=True,
                )
            )
            points = frame.to_world(np.stack([across, up, -along], axis=-1))
            self._depths[number][index] = path_integral(
                self._field, self._grid, np.asarray(frame.source_mm), points
            )
        self._known |= wanted
        return self._depths

    @staticmethod
    def _in_view(values: Triple) -> Triple:
        """Put what belongs to (head, depth, width) into the order (depth, head, width)."""
        head, depth, width = values
        return depth, head, width


def _frame(gantry_rad: float, isocentre_mm: Triple, sad_mm: float) -> BeamFrame:
    beam = BeamTemplate(gantry_deg=float(np.rad2deg(gantry_rad)) % 360)
    return beam_frame(beam, isocentre_mm, sad_mm=sad_mm)


def _around_what_is_dense(density: Float32Array, spacing_mm: Triple) -> tuple[Float32Array, Grid]:
    """Return the density as ``[x, y, z]``, less the air around it, and its grid."""
    filled = np.asarray(density > 0)
    box = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        hit = np.flatnonzero(filled.any(axis=others))
        box.append(slice(int(hit[0]), int(hit[-1]) + 1) if hit.size else slice(0, 1))
    field = np.ascontiguousarray(density[tuple(box)].transpose(2, 1, 0))
    sz, sy, sx = spacing_mm
    first = [part.start for part in box[::-1]]
    grid = Grid(
        shape=(field.shape[0], field.shape[1], field.shape[2]),
        spacing_mm=(sx, sy, sz),
        origin_mm=(first[0] * sx, first[1] * sy, first[2] * sz),
    )
    return field, grid
