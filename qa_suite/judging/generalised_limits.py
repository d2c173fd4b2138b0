"""Upper limits of a mean whose values are normal after a logarithm or a cube root.

The generalised confidence limit of a mean ``E[g(Y)]`` with normal ``Y``, from the mean and the
standard deviation of the sample: in place of the unknown mean and deviation stand
``ȳ - Z σ*/√n`` and ``σ* = s/√(χ²/(n-1))``, and the limit is a quantile of what follows. For the
logarithm it is nearly exact for log-normal values at every deviation [1]_; for the cube root, by
which gamma values become about normal (Wilson and Hilferty), nearly exact for gamma values [2]_,
and it takes values of exactly nought. Both are computed by quadrature: no random number.

References
----------
.. [1] Krishnamoorthy K, Mathew T (2003), J Stat Plan Inference 115:103-121.
.. [2] Krishnamoorthy K, Mathew T, Mukherjee S (2008), Technometrics 50:69-78.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

Array = NDArray[np.float64]

_NODES = 1000  # midpoints of the chi-square's quantiles
_HALVINGS = 60


def log_margin(deviation: ArrayLike, n: int, level: float) -> Array:
    """Logarithm of the upper limit of a log-normal mean, above the mean of the logarithms.

    Parameters
    ----------
    deviation
        Standard deviation of the logarithms, any shape; positive.
    n
        Size of the sample.
    level
        One-sided, such as 0.975.

    Returns
    -------
    ndarray
        Of the shape of ``deviation``; the limit is ``exp(mean of logs + margin)``.
    """
    s = np.asarray(deviation, dtype=np.float64)
    root = _root_of_chi_square(n)

    def below(x: Array) -> Array:
        spread = s[..., None] / root
        return special.ndtr((x[..., None] - spread**2 / 2) * np.sqrt(n) / spread).mean(axis=-1)

    start = s**2 / 2 + s / np.sqrt(n)
    return _solve(below, level, np.zeros_like(s), start)


def cube_limit(ratio: ArrayLike, n: int, level: float) -> Array:
    """Upper limit of a mean of cubes, in units of the cubed deviation of the cube roots.

    Parameters
    ----------
    ratio
        Mean of the cube roots over their standard deviation, any shape; not negative.
    n, level
        As for :func:`log_margin`.

    Returns
    -------
    ndarray
        Of the shape of ``ratio``; times the cube of the roots' deviation it is the limit.
    """
    r = np.asarray(ratio, dtype=np.float64)
    spread = 1 / _root_of_chi_square(n)

    def below(x: Array) -> Array:
        # E[Y³] = μ³ + 3 μ σ² ascends with μ; its only real root, free of cancellation:
        mean = 2 * spread * np.sinh(np.arcsinh(x[..., None] / (2 * spread**3)) / 3)
        return special.ndtr((mean - r[..., None]) * np.sqrt(n) / spread).mean(axis=-1)

    return _solve(below, level, r**3, r**3 + 3 * r + 1)


def log_upper(values: Array, level: float) -> float:
    """Upper limit of the mean of positive values that are about log-normal."""
    logs = np.log(values)
    deviation = float(logs.std(ddof=1))
    if deviation == 0:
        return float(values.mean())
    return float(np.exp(logs.mean() + log_margin(deviation, values.size, level)))


def cube_upper(values: Array, level: float) -> float:
    """Upper limit of the mean of values from nought upwards that are about gamma."""
    roots = np.cbrt(values)
    deviation = float(roots.std(ddof=1))
    if deviation == 0:
        return float(values.mean())
    return float(deviation**3 * cube_limit(roots.mean() / deviation, values.size, level))


def _root_of_chi_square(n: int) -> Array:
    shares = (np.arange(_NODES) + 0.5) / _NODES
    return np.asarray(np.sqrt(stats.chi2.ppf(shares, n - 1) / (n - 1)), dtype=np.float64)


def _solve(below: Callable[[Array], Array], level: float, low: Array, high: Array) -> Array:
    """Return where an ascending distribution reaches a level, by halving."""
    step = high - low
    while (short := below(high) < level).any():
        step = np.where(short, 2 * step, step)
        high = np.where(short, high + step, high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        short = below(middle) < level
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return np.asarray((low + high) / 2, dtype=np.float64)
