"""Statistics that a few odd voxels do not move."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAD_TO_SD = 1.4826
"""From the median of |x| to the standard deviation of a normal distribution; rounded as usual.

Hampel FR (1974), J Am Stat Assoc 69:383.
"""

MAD_TO_SD_EXACT = 1.482602218505602
"""The same, 1 / Φ⁻¹(3/4), as ``noise_level`` has had it from the first record on."""

HUBER = 1.345
"""Tuning constant of Huber's estimator, in robust standard deviations (Huber 1981)."""

_MOST_VALUES = 1_000_000
_OTSU_BINS = 256


def thinned(values: NDArray[Any], most: int = _MOST_VALUES) -> NDArray[Any]:
    """Return at most about so many (a million) of the values, evenly picked, for statistics."""
    flat = values.ravel()
    return flat[:: max(1, flat.size // most)]


def otsu(values: NDArray[Any]) -> float:
    """Return Otsu's threshold of finite values, on a histogram of 256 steps of their range.

    References
    ----------
    Otsu N (1979) A threshold selection method from gray-level histograms, IEEE Trans Syst
    Man Cybern 9:62.
    """
    from skimage.filters import threshold_otsu

    return float(threshold_otsu(np.asarray(values, dtype=np.float64), nbins=_OTSU_BINS))
