"""Local structural similarity in 3-D over a uniform cubic window, at the voxels of a mask.

Wang Z et al. (2004), IEEE Trans Image Process 13:600. Importing this module loads numba, so it
is imported where it is used.

``a`` and ``b`` are the images, ``c1`` and ``c2`` the constants of the paper, ``unbiased`` whether
variances are those of a sample; ``luminance`` and ``structure`` take the two factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.imaging.boxes import bounding_box
from qa_suite.imaging.compiled import compiled


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """The two factors of SSIM at the voxels of a mask, in the order of the array.

    Parameters
    ----------
    luminance
        ``(2 μx μy + C1) / (μx² + μy² + C1)``, shape (voxels in the mask,).
    structure
        Contrast times structure, ``(2 σxy + C2) / (σx² + σy² + C2)``; same shape.
    """

    luminance: Float32Array
    structure: Float32Array

    @property
    def ssim(self) -> Float32Array:
        """Their product, the structural similarity."""
        return self.luminance * self.structure


def local_similarity(
    first: Float32Array,
    second: Float32Array,
    mask: NDArray[np.bool_],
    *,
    data_range: float,
    window: int = 7,
    k1: float = 0.01,
    k2: float = 0.03,
    sample_covariance: bool = True,
) -> Similarity:
    """Compare two images around every voxel of a mask.

    Parameters
    ----------
    first, second
        Images of one shape, indexed ``[i, j, k]``, finite, of values from zero up (SSIM's
        luminance means nothing around zero).
    mask
        Where it is computed.
    data_range
        Highest minus lowest possible value.
    window
        Edge of the cubic window, in voxels; odd. Beyond the image all is zero.
    k1, k2
        Wang's constants, in shares of the data range.
    sample_covariance
        Divide (co)variances by the window's voxels less one, as scikit-image does by default;
        else by the voxels, as MONAI does.

    Returns
    -------
    Similarity
    """
    radius = window // 2
    found = int(np.count_nonzero(mask))
    luminance, structure = (np.empty(found, dtype=np.float32) for _ in range(2))
    box = bounding_box(mask, margin=radius)
    if box is not None:
        a, b = (np.ascontiguousarray(image[box], dtype=np.float32) for image in (first, second))
        count = float(window**3)
        unbiased = count / (count - 1.0) if sample_covariance else 1.0
        c1, c2 = (k1 * data_range) ** 2, (k2 * data_range) ** 2
        inside = np.ascontiguousarray(mask[box])
        _scan(a, b, inside, window, c1, c2, unbiased, luminance, structure)
    return Similarity(luminance=luminance, structure=structure)


def whole_windows(
    mask: NDArray[np.bool_], window: int, *, offset: tuple[int, ...], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """Which voxels of a mask have their whole window inside the image.

    Parameters
    ----------
    mask
        A part of the image, as given to :func:`local_similarity`.
    window
        Edge of the window, in voxels.
    offset, shape
        Where the part begins in the image, and the image's shape.

    Returns
    -------
    ndarray of bool, shape (voxels in the mask,)
    """
    radius = window // 2
    inner = np.zeros(mask.shape, dtype=bool)
    inner[
        tuple(
            slice(max(radius - begin, 0), max(min(size - radius - begin, length), 0))
            for begin, size, length in zip(offset, shape, mask.shape, strict=True)
        )
    ] = True
    return np.asarray(inner[mask])


@compiled
def _add_plane(a, b, sums, sign):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Add (or take away) one plane of x, y, x² + y² and xy."""
    for j in range(a.shape[0]):
        for k in range(a.shape[1]):
            x = np.float64(a[j, k])
            y = np.float64(b[j, k])
            sums[0, j, k] += sign * x
            sums[1, j, k] += sign * y
            sums[2, j, k] += sign * (x * x + y * y)
            sums[3, j, k] += sign * (x * y)


@compiled
def _add_row(planes, j, radius, rows, sign):  # type: ignore[no-untyped-def]  # pragma: no cover
    nk = planes.shape[2]
    for q in range(4):
        source = planes[q, j]
        target = rows[q, radius : radius + nk]
        for k in range(nk):
            target[k] += sign * source[k]


@compiled
def _any(line):  # type: ignore[no-untyped-def]  # pragma: no cover
    for k in range(line.size):  # noqa: SIM110  numba knows no any()
        if line[k]:
            return True
    return False


@compiled
def _scan(  # type: ignore[no-untyped-def]
    a, b, where, window, c1, c2, unbiased, luminance, structure
):  # pragma: no cover
    """Slide the window along i (planes) and j (rows) with running sums in float64."""
    ni, nj, nk = a.shape
    radius = window // 2
    planes = np.zeros((4, nj, nk))
    rows = np.empty((4, nk + 2 * radius))
    sums = np.empty((4, nk))
    factors = np.empty((2, nk))
    found = 0
    for p in range(min(radius, ni)):
        _add_plane(a[p], b[p], planes, 1.0)
    for i in range(ni):
        if i + radius < ni:
            _add_plane(a[i + radius], b[i + radius], planes, 1.0)
        if i - radius - 1 >= 0:
            _add_plane(a[i - radius - 1], b[i - radius - 1], planes, -1.0)
        if not _any(where[i].ravel()):
            continue
        rows[:] = 0.0
        for p in range(min(radius, nj)):
            _add_row(planes, p, radius, rows, 1.0)
        for j in range(nj):
            if j + radius < nj:
                _add_row(planes, j + radius, radius, rows, 1.0)
            if j - radius - 1 >= 0:
                _add_row(planes, j - radius - 1, radius, rows, -1.0)
            if not _any(where[i, j]):
                continue
            _factors(rows, window, c1, c2, unbiased, sums, factors)
            for k in range(nk):
                if where[i, j, k]:
                    luminance[found] = factors[0, k]
                    structure[found] = factors[1, k]
                    found += 1


@compiled
def _factors(  # type: ignore[no-untyped-def]
    rows, window, c1, c2, unbiased, sums, factors
):  # pragma: no cover
    """Both factors of SSIM along one line of voxels; every loop runs over k and vectorises."""
    nk = sums.shape[1]
    scale = 1.0 / np.float64(window**3)
    s0 = s1 = s2 = s3 = 0.0
    for k in range(window - 1):
        s0 += rows[0, k]
        s1 += rows[1, k]
        s2 += rows[2, k]
        s3 += rows[3, k]
    for k in range(nk):  # four running sums side by side keep the processor busy
        s0 += rows[0, k + window - 1]
        s1 += rows[1, k + window - 1]
        s2 += rows[2, k + window - 1]
        s3 += rows[3, k + window - 1]
        sums[0, k] = s0
        sums[1, k] = s1
        sums[2, k] = s2
        sums[3, k] = s3
        s0 -= rows[0, k]
        s1 -= rows[1, k]
        s2 -= rows[2, k]
        s3 -= rows[3, k]
    sx, sy, sq, sxy = sums[0], sums[1], sums[2], sums[3]
    luminance, structure = factors[0], factors[1]
    for k in range(nk):
        ux = sx[k] * scale
        uy = sy[k] * scale
        product = ux * uy
        squares = ux * ux + uy * uy
        variances = unbiased * (sq[k] * scale - squares)
        covariance = unbiased * (sxy[k] * scale - product)
        luminance[k] = (2.0 * product + c1) / (squares + c1)
        structure[k] = (2.0 * covariance + c2) / (variances + c2)
