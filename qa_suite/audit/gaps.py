"""A group of patients against others of the same hospitals. Pure.

Hospitals differ, so a stratum whose patients come more often from one of them differs too,
without being the reason. The others are therefore weighted to the group's own mix of hospitals:
the gap is what its patients have beyond what other patients of their hospitals have. Where all
come from one hospital, or hospitals are not told apart, it is Welch's comparison.

References
----------
.. [1] Welch BL (1947), Biometrika 34:28-35; Satterthwaite FE (1946), Biometrics Bull 2:110-114.
.. [2] Rothman KJ et al., Modern Epidemiology: direct standardisation to the exposed group.
.. [3] Mehta CR, Patel NR, Gray R (1985), J Am Stat Assoc 80:969-973: exact test of several
   2 x 2 tables by the convolution of their hypergeometric distributions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from qa_suite.core.wording import count

Groups = Mapping[str, NDArray[np.float64]]
"""Values of patients, by hospital."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A gap with what its intervals and its test need.

    Parameters
    ----------
    gap
        Group minus others, in the measure's unit.
    error, freedom
        Standard error and Welch-Satterthwaite degrees of freedom.
    n, others
        Patients of the group and of the others that take part.
    p
        Two-sided p value.
    mean, other_mean
        Mean of the group, and what it would be without the gap.
    events
        Whether all values are 0 or 1: the p value is then exact.
    shares, sizes
        Of each hospital that takes part: the share of the group, and how many others.
    """

    gap: float
    error: float
    freedom: float
    n: int
    others: int
    p: float
    mean: float
    other_mean: float
    events: bool
    shares: tuple[float, ...]
    sizes: tuple[int, ...]

    @property
    def method(self) -> str:
        """How gap and p value were made."""
        test = "; p value exact, by hypergeometric distributions" if self.events else ""
        return f"Welch t, {self.n} against {count(self.others, 'patient')}{test}"

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """Return the interval of the gap; None where no spread was seen at all."""
        if self.error == 0:
            return None
        half = float(stats.t.ppf((1 + confidence) / 2, self.freedom)) * self.error
        return self.gap - half, self.gap + half


def contrast(group: Groups, others: Groups, *, least: int = 2) -> Contrast | None:
    """Compare a group with others of the same hospitals.

    Parameters
    ----------
    group, others
        Values of patients by hospital; hospitals that have only one of the two take no part.
    least
        Patients on either side below which there is no comparison.
    """
    shared = sorted(site for site in group if len(group[site]) and len(others.get(site, ())))
    here = [np.asarray(group[site], dtype=np.float64) for site in shared]
    there = [np.asarray(others[site], dtype=np.float64) for site in shared]
    n, m = sum(map(len, here)), sum(map(len, there))
    if n < max(least, 2) or m < max(least, 2):
        return None
    share = np.array([len(values) / n for values in here])
    means = np.array([values.mean() for values in there])
    beyond = np.concatenate([values - mean for values, mean in zip(here, means, strict=True)])
    gap = float(beyond.mean())
    free = m - len(there)
    if free < 1:
        return None
    spread = sum(float(((v - v.mean()) ** 2).sum()) for v in there) / free
    own = float(beyond.var(ddof=1))
    if own == 0:  # equal values say nothing of the spread
        own = spread
    parts = own / n, spread * float((share**2 / [len(v) for v in there]).sum())
    error, freedom = _satterthwaite(parts, (n - 1, free))
    everything = np.concatenate([*here, *there])
    events = bool(np.isin(everything, (0.0, 1.0)).all())
    p = _exact(here, there) if events else _student(gap, error, freedom)
    mean = float(np.concatenate(here).mean())
    return Contrast(
        gap=gap,
        error=error,
        freedom=freedom,
        n=n,
        others=m,
        p=p,
        mean=mean,
        other_mean=mean - gap,
        events=events,
        shares=tuple(float(part) for part in share),
        sizes=tuple(len(values) for values in there),
    )


def why_no_contrast(group: Groups, others: Groups) -> str:
    """Say why :func:`contrast` gives none; empty where it gives one."""
    if contrast(group, others) is not None:
        return ""
    shared = [site for site in group if len(group[site]) and len(others.get(site, ()))]
    n, m = (sum(len(side[site]) for site in shared) for side in (group, others))
    if min(n, m) < 2:
        return f"{n} against {count(m, 'patient')}, 2 needed on each side"
    return "no hospital has two of the others, so nothing tells their spread"


def spread_within(groups: Groups) -> float | None:
    """Return the standard deviation of patients about the mean of their hospital."""
    free = sum(max(len(values) - 1, 0) for values in groups.values())
    if free < 1:
        return None
    squares = sum(float(((v - v.mean()) ** 2).sum()) for v in groups.values() if len(v))
    return float(np.sqrt(squares / free))


def _satterthwaite(parts: tuple[float, float], free: tuple[int, int]) -> tuple[float, float]:
    total = sum(parts)
    if total == 0:
        return 0.0, float(sum(free))
    first = parts[0] / total  # shares first: squares of tiny variances would underflow
    return float(np.sqrt(total)), 1 / (first**2 / free[0] + (1 - first) ** 2 / free[1])


def _student(gap: float, error: float, freedom: float) -> float:
    if error == 0:
        return 1.0  # no spread was seen, so nothing can be said of it
    return float(2 * stats.t.sf(abs(gap) / error, freedom))


def _exact(here: list[NDArray[np.float64]], there: list[NDArray[np.float64]]) -> float:
    """Two-sided p value (twice the smaller tail) of the group's events, given all margins."""
    tables = []
    lowest = 0
    for own, other in zip(here, there, strict=True):
        events, total = int(own.sum() + other.sum()), len(own) + len(other)
        law = stats.hypergeom(total, events, len(own))
        low, high = (int(end) for end in law.support())
        lowest += low
        tables.append(law.pmf(np.arange(low, high + 1)))
    law = reduce(np.convolve, tables)
    seen = int(sum(own.sum() for own in here)) - lowest
    return float(min(1.0, 2 * min(law[: seen + 1].sum(), law[seen:].sum())))
