"""The map of the structural similarity index (SSIM) in 3-D, uniform window.

Wang Z et al. (2004), IEEE Trans Image Process 13:600, with the conventions of scikit-image's
defaults: a cubic uniform window and sample (co)variances. Importing this module loads numba,
so it is imported where it is used.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


def ssim_map(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    *,
    data_range: float,
    window: int = 7,
    k1: float = 0.01,
    k2: float = 0.03,
) -> NDArray[np.float32]:
    """SSIM of every voxel whose whole window lies inside the image; NaN elsewhere.

    Parameters
    ----------
    first, second
        Images of one shape, indexed ``[i, j, k]``, finite, of values from zero up (SSIM's
        luminance term means nothing around zero).
    data_range
        Highest minus lowest possible value.
    window
        Edge of the cubic window, in voxels; odd.
    k1, k2
        Wang's constants, in shares of the data range.

    Returns
    -------
    ndarray of float32, of the images' shape
    """
    result = np.full(first.shape, np.nan, dtype=np.float32)
    if min(first.shape) >= window:
        c1, c2 = (k1 * data_range) ** 2, (k2 * data_range) ** 2
        a = np.ascontiguousarray(first, dtype=np.float32)
        b = np.ascontiguousarray(second, dtype=np.float32)
        _fill(a, b, window, c1, c2, result)
    return result


@njit(nogil=True, cache=True)
def _add_plane(  # type: ignore[no-untyped-def]
    a, b, sums, sign
):  # pragma: no cover
    """Add (or take away) one plane of x, y, x², y² and xy to the sums over the window."""
    for j in range(a.shape[0]):
        for k in range(a.shape[1]):
            x = np.float64(a[j, k])
            y = np.float64(b[j, k])
            sums[0, j, k] += sign * x
            sums[1, j, k] += sign * y
            sums[2, j, k] += sign * (x * x + y * y)
            sums[3, j, k] += sign * (x * y)


@njit(nogil=True, cache=True)
def _fill(  # type: ignore[no-untyped-def]
    a, b, window, c1, c2, result
):  # pragma: no cover
    """Slide the window along i (planes), j (rows) and k, with running sums in float64."""
    ni, nj, nk = a.shape
    radius = window // 2
    count = np.float64(window**3)
    unbiased = count / (count - 1.0)
    planes = np.zeros((4, nj, nk))
    rows = np.zeros((4, nk))
    for i in range(ni):
        _add_plane(a[i], b[i], planes, 1.0)
        if i >= window:
            _add_plane(a[i - window], b[i - window], planes, -1.0)
        if i < window - 1:
            continue
        rows[:] = 0.0
        for j in range(nj):
            for q in range(4):
                for k in range(nk):
                    rows[q, k] += planes[q, j, k]
            if j >= window:
                for q in range(4):
                    for k in range(nk):
                        rows[q, k] -= planes[q, j - window, k]
            if j < window - 1:
                continue
            sx = sy = sq = sxy = 0.0
            for k in range(nk):
                sx += rows[0, k]
                sy += rows[1, k]
                sq += rows[2, k]
                sxy += rows[3, k]
                if k >= window:
                    sx -= rows[0, k - window]
                    sy -= rows[1, k - window]
                    sq -= rows[2, k - window]
                    sxy -= rows[3, k - window]
                if k < window - 1:
                    continue
                ux = sx / count
                uy = sy / count
                product = ux * uy
                squares = ux * ux + uy * uy
                variances = unbiased * (sq / count - squares)
                covariance = unbiased * (sxy / count - product)
                value = (2.0 * product + c1) * (2.0 * covariance + c2)
                value /= (squares + c1) * (variances + c2)
                result[i - radius, j - radius, k - radius] = value
