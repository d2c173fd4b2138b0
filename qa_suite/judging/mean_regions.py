"""Where the interval of a mean holds its promise: the one place that says so, by kind.

The limits follow from ``make simulations`` (docs/simulations.md). Inside, a model exactly at the
bound passes in at most 2.5 % of studies; outside, there is no interval, and the finding is
undecided with the reason that stands here.
"""

from __future__ import annotations

from dataclasses import dataclass

from qa_suite.core.measure_kinds import Kind

LEAST_PATIENTS = 5
"""Fewest patients of whom a mean has an interval; also of a hospital, for a new one."""
LEAST_HOSPITALS = 6
"""Fewest hospitals from which hospitals as such are spoken of."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """Where an interval holds.

    Parameters
    ----------
    largest_spread
        Most that the sample's coefficient of variation may be: of the values (positive), or of
        their distances from the nearer end (bounded).
    skew_level
        Below this p value of D'Agostino's test the sample is called skewed (signed).
    least_total
        Fewest occurrences in the sample, after division by their overdispersion (counts).
    holds_for
        The populations, in words.
    """

    largest_spread: float | None = None
    skew_level: float | None = None
    least_total: float | None = None
    holds_for: str


REGIONS: dict[Kind, Region] = {
    "event": Region(holds_for="any share, any number of patients: exact"),
    "bounded": Region(
        largest_spread=1.2, holds_for="distances from the ends that are normal to log-normal"
    ),
    "positive": Region(largest_spread=1.0, holds_for="values that are normal to log-normal"),
    "count": Region(least_total=5, holds_for="Poisson counts and overdispersed ones"),
    "signed": Region(skew_level=0.01, holds_for="values that are about symmetric"),
}
