"""How many patients or hospitals a profile needs, and what one-sided and two-sided 95 % mean.

**One convention for the whole suite: every interval is two-sided at the stated confidence**, so
that each finding errs to the bad side with at most ``(1 - confidence) / 2``, 2.5 % at 95 %. That
95 % of *all* patients meet a limit is then shown by 72 of 72; a one-sided 95 % limit, which errs
with 5 %, would take 59 of 59, or 92 of 93, for it and is nowhere used.

References
----------
.. [1] Johnson NL, Kotz S, Balakrishnan N (1995), Continuous Univariate Distributions 2, ch. 31:
   the noncentral t distribution, which the power of a t interval follows.
.. [2] Wilks SS (1941), Ann Math Stat 12:91: how many must all meet a limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import stats

from qa_suite.core.errors import InputError
from qa_suite.core.wording import count
from qa_suite.judging.mean_regions import LEAST_HOSPITALS, LEAST_PATIENTS
from qa_suite.judging.statistics import t_quantile

_MOST = 100_000


def chance_to_pass(n: int, *, sd_inside: float, confidence: float = 0.95) -> float:
    """Chance that the interval of a mean over ``n`` patients lies on the good side of a bound.

    Parameters
    ----------
    n
        Patients (of a site, for a finding at each site); at least two.
    sd_inside
        How far the true mean lies on the good side, in standard deviations between patients.
    confidence
        Of the two-sided interval.

    Returns
    -------
    float
        By the noncentral t distribution [1]_, for values that are about normal on the scale
        that their interval is made on.
    """
    _check(sd_inside=sd_inside, confidence=confidence)
    if n < 2:
        return 0.0
    needed = t_quantile(confidence, n - 1)
    return float(stats.nct.sf(needed, n - 1, sd_inside * math.sqrt(n)))


def patients_needed(
    findings: int, *, sd_inside: float = 2.0, power: float = 0.8, confidence: float = 0.95
) -> int:
    """Fewest patients a finding with which a good model passes *all* findings of a profile.

    Parameters
    ----------
    findings
        Means that are held against a bound: criteria times sites for ``each_site``, one for
        ``pooled`` over fewer than six hospitals.
    sd_inside
        What a good model is: its true mean lies so many standard deviations between patients
        inside each bound.
    power
        Wanted chance that it passes all of them.
    confidence
        Of the criteria.

    Returns
    -------
    int
        Patients of each finding, so at each site: the ``min_patients`` of its criteria. The
        findings are taken as independent; where they go together more pass. Never below the
        fewest that a mean has an interval of.

    Raises
    ------
    InputError
        If there is no finding, or the numbers are no shares.
    """
    if findings < 1:
        raise InputError(f"A profile has at least one finding, got {findings}.")
    _check(sd_inside=sd_inside, confidence=confidence, power=power)
    each = power ** (1 / findings)
    return _fewest(
        LEAST_PATIENTS,
        lambda n: chance_to_pass(n, sd_inside=sd_inside, confidence=confidence) >= each,
        f"{count(findings, 'finding')} and {sd_inside:g} standard deviations",
    )


def hospitals_needed(
    *, sd_inside: float, findings: int = 1, power: float = 0.8, confidence: float = 0.95
) -> int:
    """Fewest hospitals with which a new one is shown to lie inside a bound.

    Parameters
    ----------
    sd_inside
        How far the mean of hospitals lies inside the bound, in standard deviations *between
        the means of hospitals*. It must exceed the normal quantile (1.96 at 95 %): hospitals
        as such spread so far, however many were seen.
    findings, power, confidence
        As for :func:`patients_needed`.
    """
    _check(sd_inside=sd_inside, confidence=confidence, power=power)
    widest = float(stats.norm.ppf((1 + confidence) / 2))
    if sd_inside <= widest:
        raise InputError(
            f"A new hospital lies {widest:.3g} standard deviations from the mean of hospitals at "
            f"{100 * confidence:g} %; one {sd_inside:g} inside is never shown, however many are "
            f"seen."
        )
    each = power ** (1 / max(findings, 1))
    return _fewest(
        LEAST_HOSPITALS,
        lambda k: _chance_of_new_site(k, sd_inside, confidence) >= each,
        f"{count(findings, 'finding')} and {sd_inside:g} standard deviations",
    )


def all_must_meet(share: float, *, confidence: float = 0.95, misses: int = 0) -> int:
    """Fewest patients of whom all but ``misses`` must meet a limit to show a share of all.

    Parameters
    ----------
    share
        Of all patients, such as 0.95.
    confidence
        Of the two-sided interval; 0.9 gives what a one-sided 95 % limit would need.

    Returns
    -------
    int
        72 for 95 % of patients at 95 %: ``share ** n <= (1 - confidence) / 2`` [2]_.
    """
    if not 0 < share < 1:
        raise InputError(f"A share of patients lies between 0 and 1, got {share}.")
    _check(confidence=confidence)
    tail = (1 - confidence) / 2
    return _fewest(
        misses + 1,
        lambda n: float(stats.binom.sf(n - misses - 1, n, share)) <= tail,
        f"a share of {share:g}",
    )


def _chance_of_new_site(sites: int, sd_inside: float, confidence: float) -> float:
    factor = math.sqrt(1 + 1 / sites)
    needed = t_quantile(confidence, sites - 1) * factor * math.sqrt(sites)
    return float(stats.nct.sf(needed, sites - 1, sd_inside * math.sqrt(sites)))


def _fewest(least: int, enough: Callable[[int], bool], what: str) -> int:
    """Return the smallest number that is enough; being enough never ends with more."""
    low, high = least, least
    while not enough(high):
        low, high = high + 1, 2 * high
        if high > _MOST:
            raise InputError(f"More than {_MOST} would be needed for {what}.")
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def _check(*, confidence: float, sd_inside: float = 1.0, power: float = 0.5) -> None:
    if not 0.5 < confidence < 1 or not 0 < power < 1:
        raise InputError(
            f"Confidence (above 0.5) and power are shares below 1, got {confidence} and {power}."
        )
    if not sd_inside > 0:
        raise InputError(f"A good model lies inside its bounds, not {sd_inside:g} deviations.")
