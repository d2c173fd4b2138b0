"""The chance of being named, and the patients that a chance needs. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

TARGET = 0.95
"""Share of audits in which a site that is worse by the size looked for is to be named."""


def chance_of_naming(
    size_in_sd: float, n: int, others: Sequence[int], shares: Sequence[float], *, alpha: float
) -> float:
    """Return the chance that a group worse by a size is named at a two-sided level.

    Parameters
    ----------
    size_in_sd
        The gap, in standard deviations of patients about the mean of their hospital.
    n
        Patients of the group.
    others
        Patients that it is compared with, a hospital each.
    shares
        Of the group in each of those hospitals.
    alpha
        Two-sided level of the comparison.

    Returns
    -------
    float
        By the noncentral t distribution with the degrees of freedom of equal spread. Holm's
        procedure begins at this level and never goes below it, so the chance is at least this.
    """
    free = sum(others) - len(others)
    if n < 2 or free < 1:
        return 0.0
    own, rest = 1 / n, sum(s**2 / m for s, m in zip(shares, others, strict=True))
    freedom = (own + rest) ** 2 / (own**2 / (n - 1) + rest**2 / free)
    far = float(stats.t.ppf(1 - alpha / 2, freedom))
    found = float(stats.nct.sf(far, freedom, size_in_sd / np.sqrt(own + rest)))
    return found if np.isfinite(found) else 1.0
