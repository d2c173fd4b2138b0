"""Multi-scale SSIM, with luminance at the coarsest scale only.

Wang Z, Simoncelli EP, Bovik AC (2003), Asilomar Conf Signals Systems Computers, 1398,
equation 7. Importing this module loads numba.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.measures.image_kernels import halve
from qa_suite.measures.ssim import FloatMap, Similarity, local_similarity


def halved(array: NDArray[Any]) -> FloatMap:
    """Means of 2×2×2 voxels; an odd last voxel is repeated."""
    result = np.empty(tuple((n + 1) // 2 for n in array.shape), dtype=np.float32)
    halve(np.ascontiguousarray(array, dtype=np.float32), result)
    return result


def pyramid(first: FloatMap, second: FloatMap, scales: int) -> Iterator[tuple[FloatMap, FloatMap]]:
    """Yield both images at every scale, finest first."""
    yield first, second
    for _ in range(scales - 1):
        first, second = halved(first), halved(second)
        yield first, second


def ms_ssim_of(
    first: FloatMap,
    second: FloatMap,
    mask: NDArray[np.bool_],
    *,
    data_range: float,
    weights: Sequence[float],
    window: int = 7,
    k1: float = 0.01,
    k2: float = 0.03,
    sample_covariance: bool = True,
    finest: Similarity | None = None,
) -> float:
    """Return the MS-SSIM in a mask.

    Parameters
    ----------
    first, second
        Images of one shape, finite, of values from zero up.
    mask
        Where it is measured, at least one voxel. A coarser voxel counts by its share of it.
    data_range
        Highest minus lowest possible value.
    weights
        Exponent of every scale, finest first.
    window, k1, k2, sample_covariance
        As in :func:`~qa_suite.measures.ssim.local_similarity`, at every scale.
    finest
        The similarity at the finest scale, where it is known already.

    Returns
    -------
    float
        In [0, 1]: a scale whose mean is negative counts as zero.
    """
    result = 1.0
    share: NDArray[Any] = mask
    for scale, (a, b) in enumerate(pyramid(first, second, len(weights))):
        if scale > 0:
            share = halved(share)
        found = finest if scale == 0 else None
        if found is None:
            found = local_similarity(
                a, b, share, data_range=data_range, window=window, k1=k1, k2=k2,
                sample_covariance=sample_covariance,
            )  # fmt: skip
        last = scale == len(weights) - 1
        mean = _mean(found.ssim if last else found.structure, share)
        result *= max(mean, 0.0) ** weights[scale]
    return result


def _mean(values: FloatMap, share: NDArray[Any]) -> float:
    if share.dtype == np.bool_:
        return float(values.mean(dtype=np.float64))
    return float(np.average(values.astype(np.float64), weights=share[share > 0]))
