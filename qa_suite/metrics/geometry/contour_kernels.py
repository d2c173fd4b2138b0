"""Where profiles across a surface cross a threshold.

Importing this module loads numba, so it is imported where it is used.
"""

from __future__ import annotations

import numpy as np

from qa_suite.imaging.compiled import compiled
from qa_suite.imaging.registration.motion_kernels import _inside, _linear


@compiled
def outward_normals(mask, cells, spacing, normals):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Direction from the mask outwards at every cell of eight voxels, as a unit vector in mm.

    From the centre of gravity of the 4×4×4 voxels around the cell; zero where they say nothing.
    """
    shape = mask.shape
    for n in range(cells.shape[0]):
        total = np.zeros(3)
        for a in range(-1, 3):
            i = min(max(cells[n, 0] + a, 0), shape[0] - 1)
            for b in range(-1, 3):
                j = min(max(cells[n, 1] + b, 0), shape[1] - 1)
                for c in range(-1, 3):
                    k = min(max(cells[n, 2] + c, 0), shape[2] - 1)
                    if mask[i, j, k]:
                        total[0] -= a - 0.5
                        total[1] -= b - 0.5
                        total[2] -= c - 0.5
        for axis in range(3):
            total[axis] /= spacing[axis]
        length = np.sqrt((total**2).sum())
        for axis in range(3):
            normals[n, axis] = total[axis] / length if length > 0 else 0.0


@compiled
def nearest_crossing(image, at, along, step, count, threshold, wanted, found, ends):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Where profiles fall below a threshold on their way outwards, nearest to a wanted place.

    Parameters
    ----------
    at, along
        Index of the middle of each profile, and the change of index by 1 mm outwards.
    step, count
        Of the samples: ``count`` to either side, ``step`` mm apart.
    wanted
        Place on the profile, in mm.
    found
        Filled with the place in mm; +inf where the profile never falls and is high at its
        middle (the surface lies farther out), −inf where it is low, NaN where it leaves the image.
    ends
        Filled with the first and the last place of each profile inside the image, in mm, shape
        (n, 2); NaN where there is none.
    """
    gradient = np.empty(3)
    for n in range(at.shape[0]):
        best, before, middle = np.nan, np.nan, np.nan
        ends[n, 0], ends[n, 1] = np.nan, np.nan
        for s in range(-count, count + 1):
            t = s * step
            x = at[n, 0] + t * along[n, 0]
            y = at[n, 1] + t * along[n, 1]
            z = at[n, 2] + t * along[n, 2]
            if not _inside(image.shape, x, y, z):
                before = np.nan
                continue
            value = _linear(image, x, y, z, gradient) - threshold
            if not ends[n, 0] <= t:
                ends[n, 0] = t
            ends[n, 1] = t
            if s == 0:
                middle = value
            if before >= 0.0 and value < 0.0:
                place = t - step + step * before / (before - value)
                if not (abs(place - wanted[n]) >= abs(best - wanted[n])):
                    best = place
            before = value
        if best == best:
            found[n] = best
        elif middle != middle:
            found[n] = np.nan
        else:
            found[n] = np.inf if middle >= 0.0 else -np.inf
