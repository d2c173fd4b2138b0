"""The inner loop of the depth errors, compiled: what a beam's error adds up to on its way."""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled


@compiled
def along_beam(plane, targets, along, direction, spacing_mm):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Sum a plane's values along the ways to the targets, nearest voxel by nearest voxel.

    Parameters
    ----------
    plane : ndarray of float64, shape (nx, ny)
        Outside of it there is nothing.
    targets : ndarray of float64, shape (n, 2)
        In mm from the first voxel.
    along : ndarray of float64
        Distances from a target at which the plane is read, in mm.
    direction : ndarray of float64, shape (2,)
        From the target towards the source of the beam.
    spacing_mm : ndarray of float64, shape (2,)
        Of the plane's voxels.
    """
    total = 0.0
    for n in range(targets.shape[0]):
        for distance in along:
            i = int(np.rint((targets[n, 0] + distance * direction[0]) / spacing_mm[0]))
            j = int(np.rint((targets[n, 1] + distance * direction[1]) / spacing_mm[1]))
            if 0 <= i < plane.shape[0] and 0 <= j < plane.shape[1]:
                total += plane[i, j]
    return total
