"""Where the interval of a mean holds its promise: the one place that says so, by kind.

The limits follow from ``make simulations`` (docs/simulations.md). Inside, a model exactly at the
bound passes in at most 2.5 % of studies; outside, there is no interval, and the finding is
undecided with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass

from qa_suite.core.measure_kinds import Kind

LEAST_PATIENTS = 5
"""Fewest patients of each hospital from whom a new one is spoken of."""
LEAST_HOSPITALS = 6
"""Fewest hospitals from which hospitals as such are spoken of."""
ALIKE = 1.5
"""Most that the largest of some hospitals may exceed the smallest for sizes to count as alike."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """Where the interval of a mean holds.

    Parameters
    ----------
    method
        How it is made, in words.
    populations
        For which it holds.
    least
        Fewest values of which a mean has an interval.
    largest_cv
        Most that the sample's coefficient of variation may be: of the values (positive), or of
        their distances from the nearer end (bounded); None is no limit.
    """

    method: str
    populations: str
    least: int = 5
    largest_cv: float | None = None


FEWEST = 2
"""Values without which there is no spread, whatever was lost beside them."""
LEAST_TO_SEE_SKEW = 8
"""Fewest values of which D'Agostino's test of skewness is asked."""
SKEWED_BELOW = 0.01
"""Its p value below which signed values are skewed: their interval reaches as far as they do."""

REGIONS: dict[Kind, Region] = {
    "event": Region(method="Clopper-Pearson", populations="any share, any number: exact", least=1),
    "bounded": Region(
        method="generalised, distance from either end as a cube",
        populations="distances from the nearer end that are normal to exponential, CV up to 1",
        largest_cv=1.25,
    ),
    "positive": Region(
        method="Student t below, generalised log-normal above",
        populations="values that are normal, gamma or log-normal, CV up to 0.5 (log-normal), 1",
        largest_cv=1.0,
    ),
    "count": Region(
        method="the widest of Student t, Garwood and generalised cube",
        populations="Poisson counts and overdispersed (negative binomial) ones",
    ),
    "signed": Region(
        method="Student t", populations="values about symmetric, |skewness| up to 0.2", least=2
    ),
}
