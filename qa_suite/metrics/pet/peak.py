"""SUVpeak: the highest mean of a small sphere anywhere in a lesion.

The definition is that of PERCIST (Wahl et al. 2009, J Nucl Med 50 suppl 1:122S), as EANM's
guideline states it (Boellaard et al. 2015, Eur J Nucl Med Mol Imaging 42:328): a sphere of 1 cm³
placed where its mean is highest, not necessarily around the hottest voxel. Voxels that the
sphere cuts count by their share inside it. Its centre is any voxel centre of the lesion, and
the sphere may reach beyond the lesion: of a lesion smaller than it, that is the point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray, Mask
from qa_suite.core.volume import Triple
from qa_suite.imaging.boxes import bounding_box
from qa_suite.metrics.base import NoValue

_STEP_MM = 0.25
_FEWEST_STEPS = 8
"""Into so many steps a voxel's edge is cut at least to tell which share of it lies inside."""


@dataclass(frozen=True, kw_only=True)
class Spheres:
    """Every position of the sphere in a lesion.

    Parameters
    ----------
    box
        The part of the grid that the spheres reach, cut at the grid's ends.
    weights
        Share of each voxel of the sphere's surroundings inside it, adding up to 1.
    padding
        Voxels that the box is padded by at every face, so that no sphere leaves it.
    centres
        Where the sphere lies whole in what was scanned; bool, of the padded box.
    share
        Share of the lesion's voxels that are such centres.
    """

    box: tuple[slice, slice, slice]
    weights: FloatArray
    padding: int
    centres: Mask
    share: float


def sphere_weights(spacing_mm: Triple, volume_cc: float) -> FloatArray:
    """Share of every voxel that lies in a sphere around a voxel's centre, adding up to 1.

    Returns
    -------
    ndarray
        Odd along each axis, the sphere's centre in the middle.
    """
    radius = 10.0 * (3 * volume_cc / (4 * np.pi)) ** (1 / 3)
    squares, shape = [], []
    for spacing in spacing_mm:
        steps = max(_FEWEST_STEPS, int(np.ceil(spacing / _STEP_MM)))
        reach = int(np.ceil(radius / spacing + 0.5)) - 1
        within = (np.arange(steps) + 0.5) / steps - 0.5
        index = np.arange(-reach, reach + 1)
        squares.append(((index[:, None] + within[None, :]) * spacing).ravel() ** 2)
        shape += [len(index), steps]
    x, y, z = np.ix_(*squares)
    inside = (x + y + z <= radius**2).reshape(shape)
    share = inside.mean(axis=(1, 3, 5))
    return np.asarray(share / share.sum())


def spheres_in(lesion: Mask, scanned: Mask, spacing_mm: Triple, volume_cc: float) -> Spheres | None:
    """Find where the sphere may be centred; None where the lesion is empty.

    Parameters
    ----------
    lesion
        Where its centre may lie; bool, of the grid's shape.
    scanned
        Where there are values; a sphere that reaches beyond is not whole.
    """
    from scipy import ndimage

    weights = sphere_weights(spacing_mm, volume_cc)
    reach = max(weights.shape) // 2
    box = bounding_box(lesion, margin=reach)
    if box is None:
        return None
    missing = np.pad(~scanned[box], reach, constant_values=True)
    cut = ndimage.binary_dilation(missing, structure=weights > 0)
    inside = np.pad(lesion[box], reach)
    centres = inside & ~cut
    share = float(np.count_nonzero(centres) / np.count_nonzero(inside))
    return Spheres(box=box, weights=weights, padding=reach, centres=centres, share=share)


def peak(image: NDArray[np.floating], spheres: Spheres) -> float | NoValue:
    """Highest mean of the sphere over its positions.

    Parameters
    ----------
    image
        Of the grid's shape.
    spheres
        From :func:`spheres_in`.

    Returns
    -------
    float or NoValue
        No value where no position has its whole sphere in what was scanned.

    Raises
    ------
    ArithmeticError
        If a sphere reaches a voxel that is not finite.
    """
    from scipy import ndimage

    if not spheres.centres.any():
        return NoValue(why="no sphere around a voxel of the lesion lies whole in the image")
    values = np.pad(image[spheres.box].astype(np.float64), spheres.padding)
    wrong = ~np.isfinite(values)
    if wrong.any():
        reached = ndimage.binary_dilation(spheres.centres, structure=spheres.weights > 0)
        if (wrong & reached).any():
            raise ArithmeticError("a sphere reaches voxels that are not finite")
        values[wrong] = 0.0
    means = ndimage.correlate(values, spheres.weights, mode="constant")
    return float(means[spheres.centres].max())
