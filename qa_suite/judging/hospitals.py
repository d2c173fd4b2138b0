"""Intervals that respect the hospital: patients of one resemble each other.

With at least six hospitals the hospitals are the sample, and what is estimated speaks of
hospitals like these; with fewer they are strata, and the interval speaks of these alone.

References
----------
.. [1] Korn EL, Graubard BI (1998), Survey Methodology 24:193-201: Clopper-Pearson limits on the
   effective sample size.
.. [2] Woodruff RS (1952), J Am Stat Assoc 47:635-646: limits of a quantile by those of a share.
.. [3] Hahn GJ, Meeker WQ (1991), Statistical Intervals, Wiley: prediction of one observation (4.7).
.. [4] Paule RC, Mandel J (1982), J Res Natl Bur Stand 87:377-385. Knapp G, Hartung J (2003),
   Stat Med 22:2693-2710, modified so that its factor is never below one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize

from qa_suite.core.errors import InputError
from qa_suite.core.measure_kinds import UNKNOWN_KIND, MeasureKind
from qa_suite.core.wording import count, named_cases
from qa_suite.judging.mean_intervals import mean_interval_by_kind
from qa_suite.judging.mean_regions import ALIKE, FEWEST, LEAST_HOSPITALS, LEAST_PATIENTS
from qa_suite.judging.statistics import (
    Interval,
    bare,
    finite_sample,
    proportion_interval,
    t_quantile,
)

Array = NDArray[np.float64]


def are_sample(hospitals: ArrayLike) -> bool:
    """Whether there are enough hospitals for them to be the sample."""
    return len(np.unique(np.asarray(hospitals))) >= LEAST_HOSPITALS


def mean_over_hospitals(
    values: ArrayLike, hospitals: ArrayLike, kind: MeasureKind, *, confidence: float = 0.95
) -> Interval:
    """Interval of the mean of hospitals' means, each hospital weighing the same.

    The hospitals' means are the sample, so that the interval of a signed measure is Student's t
    with one degree of freedom fewer than hospitals.
    """
    means = pd.Series(finite_sample(values, confidence)).groupby(np.asarray(hospitals)).mean()
    return mean_interval_by_kind(
        means.to_numpy(), kind, confidence=confidence, unit="hospital", least=LEAST_HOSPITALS
    )


def share_over_hospitals(
    events: ArrayLike, hospitals: ArrayLike, *, confidence: float = 0.95
) -> Interval:
    """Korn and Graubard's interval of a share of patients [1]_.

    Clopper-Pearson limits on as many patients as would tell as much if they did not resemble
    each other by hospital, corrected for the few hospitals by which that is known, and never
    more than there are. Where all patients are alike nothing tells how hospitals differ: then
    there is none.
    """
    sample = finite_sample(events, confidence)
    share = float(sample.mean())
    effective = _effective(sample - share, share * (1 - share), hospitals, confidence)
    k = len(np.unique(np.asarray(hospitals)))
    if effective is None:
        return bare(share, sample.size, confidence, "", why="all patients are alike")
    found = proportion_interval(share * effective, effective, confidence=confidence)
    return Interval(
        estimate=share,
        low=found.low,
        high=found.high,
        n=sample.size,
        confidence=confidence,
        method=f"Korn-Graubard over {count(sample.size, 'patient')} of {count(k, 'hospital')}, "
        f"{effective:.3g} effective",
    )


def median_over_hospitals(
    values: ArrayLike, hospitals: ArrayLike, *, confidence: float = 0.95
) -> Interval:
    """Woodruff's interval of a median over patients [2]_, by Korn-Graubard limits of one half."""
    sample = finite_sample(values, confidence)
    n, median = sample.size, float(np.median(sample))
    below = (sample < median) + 0.5 * (sample == median)
    found = _effective(below - 0.5, 0.25, hospitals, confidence)
    effective = float(n) if found is None else found
    half = proportion_interval(effective / 2, effective, confidence=confidence)
    k = len(np.unique(np.asarray(hospitals)))
    method = (
        f"Woodruff over {count(n, 'patient')} of {count(k, 'hospital')}, {effective:.3g} effective"
    )
    assert half.low is not None
    depth = int(np.floor(n * half.low))
    if depth < 1:
        why = f"{effective:.3g} effective patients can give no interval of a median"
        return bare(median, n, confidence, method, why=why)
    ordered = np.sort(sample)
    return Interval(
        estimate=median,
        low=float(ordered[depth - 1]),
        high=float(ordered[n - depth]),
        n=n,
        confidence=confidence,
        method=method,
    )


def _effective(
    residuals: Array, variance: float, hospitals: ArrayLike, confidence: float
) -> float | None:
    """Return the effective number of patients behind a share; None where nothing tells it.

    Parameters
    ----------
    residuals
        A patient's answer less the share.
    variance
        Of one patient's answer.
    """
    n = residuals.size
    _, at = np.unique(np.asarray(hospitals), return_inverse=True)
    totals = np.bincount(at, weights=residuals) / n
    k = totals.size
    clustered = k / (k - 1) * float(((totals - totals.mean()) ** 2).sum())
    if variance == 0:
        return None
    ratio = (t_quantile(confidence, n - 1) / t_quantile(confidence, k - 1)) ** 2
    # As if nobody resembled anybody, hospitals of one share each would count for more than all.
    plain = variance / n
    return float(np.clip(ratio * variance / max(clustered, plain), 1.0, n))


# ---------------------------------------------------------------------------------------
# A hospital never seen


def new_site_interval(
    values_by_site: Mapping[str, ArrayLike],
    *,
    kind: MeasureKind = UNKNOWN_KIND,
    confidence: float = 0.95,
    patients: int | None = None,
    lost: Mapping[str, int] | None = None,
) -> Interval:
    """Prediction interval for what a hospital never seen would show.

    Its target is a hospital's *observed* mean over ``patients`` (else the median number of those
    here), not its true mean: that is what an acceptance there would measure. With numbers alike
    it is Student's t prediction from the hospitals' means, ``m ± t_(k-1) s sqrt(1 + 1/k)`` [3]_.
    Else it is ``t_(k-1)`` times the root of the variance between hospitals (Paule and Mandel),
    within them, and of the mean of hospitals by Knapp and Hartung [4]_. A measure with ends is
    also predicted on its logarithmic (positive, count) or logit scale (bounded), and the interval
    is the wider at each side.

    There is none below six hospitals, with one of fewer than five patients, for events, and
    where all means are the same: an interval of no width promises what nobody knows. Patients who
    were ``lost`` at a hospital count to these numbers: a loss must not leave undecided what fails
    without it, and where there is one nothing passes.
    """
    groups = {site: finite_sample(v, confidence) for site, v in values_by_site.items()}
    if not groups:
        raise InputError("There is no site to predict a new one from.")
    means = np.array([group.mean() for group in groups.values()])
    sizes = np.array([group.size for group in groups.values()])
    k, centre = means.size, float(means.mean())
    middle = int(np.median(sizes)) if patients is None else patients
    alike = max(*sizes, middle) <= ALIKE * min(*sizes, middle)
    name = "Student t prediction" if alike else "modified Knapp-Hartung prediction"
    method = f"{name} of a hospital's mean over {count(middle, 'patient')}, from {k} site means"
    why = _no_prediction(groups, means, kind, lost or {})
    if why:
        return bare(centre, k, confidence, method, why=why)
    within = np.array([group.var(ddof=1) for group in groups.values()])
    low, high = _predicted(means, within, sizes, middle, alike, confidence)
    scale = _scale(kind)
    if scale is not None:
        ends = _predicted(
            scale.there(means), within * scale.slope(means) ** 2, sizes, middle, alike, confidence
        )
        low, high = min(low, scale.back(ends[0])), max(high, scale.back(ends[1]))
    return Interval(
        estimate=centre,
        low=float(max(low, kind.low)),
        high=float(min(high, kind.high)),
        n=k,
        confidence=confidence,
        method=method,
    )


def _no_prediction(
    groups: Mapping[str, Array], means: Array, kind: MeasureKind, lost: Mapping[str, int]
) -> str:
    """Say why there is no prediction for a new hospital; empty if there is one."""
    k = means.size
    if len({*groups, *lost}) < LEAST_HOSPITALS or k < FEWEST:
        return f"too few to speak of a new one, {k} of {count(LEAST_HOSPITALS, 'site')} needed"
    small = {
        site: group.size
        for site, group in groups.items()
        if group.size + lost.get(site, 0) < LEAST_PATIENTS or group.size < FEWEST
    }
    if small:
        named = named_cases({site: count(n, "patient") for site, n in small.items()})
        return f"a site of fewer than {LEAST_PATIENTS} patients tells too little ({named})"
    if kind.kind == "event":
        return "shares of patients at a new hospital are not predicted; judge them pooled"
    if float(np.ptp(means)) <= 1e-12 * float(np.abs(means).max()):
        return "all sites have the same mean, and nothing tells how hospitals differ"
    if (means <= kind.low).any() or (means >= kind.high).any():
        return "a site's mean lies at the end of what the measure can be"
    return ""


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """A scale without ends: the way there and back, and its slope."""

    there: Callable[[Array], Array]
    back: Callable[[float], float]
    slope: Callable[[Array], Array]


def _scale(kind: MeasureKind) -> _Scale | None:
    """Return the logarithm or logit of a measure with ends; None where it has none."""
    low, high = kind.low, kind.high
    if kind.kind in ("positive", "count"):
        return _Scale(
            there=lambda x: np.log(x - low),
            back=lambda y: float(low + np.exp(y)),
            slope=lambda x: 1 / (x - low),
        )
    if kind.kind == "bounded":
        return _Scale(
            there=lambda x: np.log((x - low) / (high - x)),
            back=lambda y: float(low + (high - low) / (1 + np.exp(-y))),
            slope=lambda x: (high - low) / ((x - low) * (high - x)),
        )
    return None


def _predicted(
    means: Array,
    within: Array,
    sizes: NDArray[np.int_],
    middle: int,
    alike: bool,
    confidence: float,
) -> tuple[float, float]:
    """Return the ends of a prediction; ``within`` is each hospital's variance over patients."""
    k = means.size
    quantile = t_quantile(confidence, k - 1)
    if alike:
        centre, spread = float(means.mean()), float(means.std(ddof=1)) * np.sqrt(1 + 1 / k)
        return centre - quantile * spread, centre + quantile * spread
    pooled = float(((sizes - 1) * within).sum() / (sizes - 1).sum())
    own = pooled / sizes
    between = _between(means, own)
    weights = 1 / (between + own)
    centre = float((weights * means).sum() / weights.sum())
    factor = max(1.0, float((weights * (means - centre) ** 2).sum()) / (k - 1))
    spread = np.sqrt(between + pooled / middle + factor / weights.sum())
    return centre - quantile * spread, centre + quantile * spread


def _between(means: Array, own: Array) -> float:
    """Paule and Mandel's variance between hospitals; nought where their means differ no more."""

    def excess(between: float) -> float:
        weights = 1 / (between + own)
        centre = (weights * means).sum() / weights.sum()
        return float((weights * (means - centre) ** 2).sum()) - (means.size - 1)

    if (own == 0).any():
        return float(means.var(ddof=1))
    if excess(0.0) <= 0:
        return 0.0
    most = float(means.var(ddof=1))
    while excess(most) > 0:
        most *= 2
    return float(optimize.brentq(excess, 0.0, most))
