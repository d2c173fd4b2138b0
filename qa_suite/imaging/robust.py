"""Statistics that a few odd voxels do not move."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SD_OF_MAD = 1.4826
"""Standard deviation of a normal over its median absolute deviation, 1 / Φ⁻¹(3/4).

Hampel FR (1974), J Am Stat Assoc 69:383.
"""

_MOST_VALUES = 1_000_000
_OTSU_BINS = 256


def thinned(values: NDArray[Any]) -> NDArray[Any]:
    """Return at most about a million of the values, evenly picked, for statistics."""
    flat = values.ravel()
    return flat[:: max(1, flat.size // _MOST_VALUES)]


def spread_about_zero(values: NDArray[Any]) -> float:
    """Estimate the standard deviation of values whose median is 0; 0 where there is none."""
    return SD_OF_MAD * float(np.median(np.abs(values))) if values.size else 0.0


def spread(values: NDArray[Any]) -> float:
    """Estimate the standard deviation by the median absolute deviation; 0 where there is none."""
    return spread_about_zero(values - np.median(values)) if values.size else 0.0


def otsu(values: NDArray[Any]) -> float:
    """Return Otsu's threshold of finite values, on a histogram of 256 steps of their range.

    References
    ----------
    Otsu N (1979) A threshold selection method from gray-level histograms, IEEE Trans Syst
    Man Cybern 9:62.
    """
    from skimage.filters import threshold_otsu

    return float(threshold_otsu(np.asarray(values, dtype=np.float64), nbins=_OTSU_BINS))
