"""The chance of being named, and the patients that a chance needs. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from qa_suite.core.errors import InputError, raise_problems
from qa_suite.judging.mean_regions import LEAST_PATIENTS

TARGET = 0.95
"""Share of audits in which a site that is worse by the size looked for is to be named."""
_MOST = 1000


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


def chance_at_a_site(
    n: int,
    *,
    size_in_sd: float,
    measures: int,
    sites: int,
    training_sites: int = 0,
    strata: int = 0,
    confidence: float = 0.95,
) -> float:
    """Return the chance that a hospital worse by a size in one measure is named.

    Parameters
    ----------
    n
        Patients of each hospital.
    size_in_sd
        The gap, in standard deviations of patients about the mean of their hospital.
    measures
        Declared primary measures.
    sites, training_sites
        Hospitals, and those of them that the model was trained on, with which the others are
        compared; none means that each is compared with all others.
    strata
        Cells of other strata that can be named too, and so share the level.
    confidence
        Family-wise.
    """
    family = measures * (sites + strata)
    others = (training_sites or sites - 1) * n
    return chance_of_naming(size_in_sd, n, [others], [1.0], alpha=(1 - confidence) / family)


def patients_a_site(
    *,
    size_in_sd: float,
    measures: int,
    sites: int,
    training_sites: int = 0,
    strata: int = 0,
    power: float = TARGET,
    confidence: float = 0.95,
) -> int:
    """Return the fewest patients a hospital with which a bad one is named with a chance.

    Raises
    ------
    InputError
        If the numbers make no audit, or more than a thousand would be needed.
    """
    raise_problems(
        "The audit",
        [
            told
            for wrong, told in (
                (not size_in_sd > 0, f"the size must be above zero, got {size_in_sd:g} SD"),
                (measures < 1, f"at least one measure is declared, got {measures}"),
                (sites < 2, f"hospitals are compared, and {sites} is too few"),
                (not 0 <= training_sites <= sites, f"{training_sites} of {sites} were trained on"),
                (strata < 0, f"the strata are counted, got {strata}"),
                (not 0 < power < 1, f"a chance lies between 0 and 1, got {power:g}"),
                (not 0.5 < confidence < 1, f"the confidence lies above 0.5, got {confidence:g}"),
            )
            if wrong
        ],
    )
    for n in range(LEAST_PATIENTS, _MOST + 1):
        found = chance_at_a_site(
            n,
            size_in_sd=size_in_sd,
            measures=measures,
            sites=sites,
            training_sites=training_sites,
            strata=strata,
            confidence=confidence,
        )
        if found >= power:
            return n
    raise InputError(
        f"More than {_MOST} patients a hospital would be needed to name one that is "
        f"{size_in_sd:g} SD worse."
    )
