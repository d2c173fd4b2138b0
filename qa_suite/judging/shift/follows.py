"""Whether errors grow with the distance of a patient's source image from the training's.

An association over the patients at hand, and no proof of a cause: a hospital differs in more than
its images. So it is told three times: over all patients (described), within sites (where a
hospital's other peculiarities are the same) and between sites' means.

References
----------
.. [1] Bonett DG, Wright TA (2000), Psychometrika 65:23-28: interval of Spearman's correlation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from qa_suite.core.records import CaseRecord
from qa_suite.core.records.shift import ErrorFollows, Level
from qa_suite.core.wording import count, measure_name, number, suffix
from qa_suite.judging.collect import collect
from qa_suite.judging.patient_values import Measure, PatientValues
from qa_suite.judging.shift.two_groups import DEALS

Point = tuple[str, float, float]
"""Site, distance and error of a patient."""
LEVELS: tuple[Level, ...] = get_args(Level)
FEWEST: dict[Level, int] = {"patients": 8, "within sites": 8, "between sites": 6}
"""Patients, or sites, below which nothing is told."""
_INFERRED = ("rho_low", "rho_high", "p_value", "slope_low", "slope_high")
"""What patients who share a hospital do not tell: its own level is in each of them."""
_EVERY_ORDER = 7  # sites whose orders are all gone through: 5040
_WORDS: dict[Level, str] = {
    "patients": "over all patients",
    "within sites": "within sites",
    "between sites": "between the sites' means",
}


def error_follows_shift(
    measurements: pd.DataFrame,
    cases: Sequence[CaseRecord],
    measures: Sequence[Measure],
    distances: Mapping[tuple[str, str], float],
    *,
    magnitudes: Collection[Measure] = (),
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[ErrorFollows, ...]:
    """Say how errors go with the distance of the source image.

    Parameters
    ----------
    measurements, cases
        The tables of an evaluation.
    measures
        Which errors, overlaps or differences.
    distances
        Site and patient to distance, as
        :attr:`qa_suite.judging.shift.distances.Distances.by_patient` gives them.
    magnitudes
        Those of the measures whose good side is around nought: their size counts, without sign.
    confidence
        Of every interval.
    seed
        Of the drawn permutations.

    Returns
    -------
    tuple of ErrorFollows
        Three for each measure: over patients, within sites, between sites. Patients of several
        sites are described alone, for dealing them anew would mix the sites' own levels (of eight
        sites without any association one in four was called one). The p values of the others are
        not adjusted for each other.
    """
    found = []
    for measure in measures:
        values = collect(measurements, cases, measure)
        rows = points_of(values, distances, magnitude=measure in magnitudes)
        for level in LEVELS:
            blank = ErrorFollows(
                metric=measure.metric,
                region=measure.region,
                variant=measure.variant,
                unit=values.unit or "",
                level=level,
                n=0,
                left_out=len(values.asked) - len(rows),
                magnitude=measure in magnitudes,
            )
            found.append(at_level(blank, rows, confidence, seed))
    return tuple(found)


def points_of(
    values: PatientValues, distances: Mapping[tuple[str, str], float], *, magnitude: bool
) -> list[Point]:
    """Return site, distance and error of every patient who has both."""
    return [
        (site, distances[site, str(patient)], abs(float(error)) if magnitude else float(error))
        for site in values.sites
        for patient, error in values.at(site).patient_values().items()
        if (site, str(patient)) in distances
    ]


def at_level(
    blank: ErrorFollows, rows: Sequence[Point], confidence: float, seed: int
) -> ErrorFollows:
    """Say it of one level; ``blank`` names the measure and the level."""
    sites = np.array([site for site, _, _ in rows], dtype=object)
    far = np.array([distance for _, distance, _ in rows])
    error = np.array([value for _, _, value in rows])
    names = sorted(set(sites))
    if blank.level == "between sites":
        far = np.array([far[sites == name].mean() for name in names])
        error = np.array([error[sites == name].mean() for name in names])
        sites = np.array(["all"] * len(names), dtype=object)
    elif blank.level == "patients":
        sites = np.array(["all"] * len(far), dtype=object)
    else:  # a site of one patient says nothing of what happens within it
        kept = np.array([(sites == site).sum() >= 2 for site in sites], dtype=bool)
        sites, far, error = sites[kept], far[kept], error[kept]
    name = measure_name(blank.metric, blank.region, blank.variant)
    what = f"The size of {name}" if blank.magnitude else name
    things = "site" if blank.level == "between sites" else "patient"
    told = _told(blank, far, error, sites, confidence, seed)
    if blank.level == "patients" and len(names) > 1:
        told = told.model_copy(update=dict.fromkeys(_INFERRED))
    return _said(told, what, things, 1 - confidence)


def _told(
    blank: ErrorFollows,
    far: NDArray[np.float64],
    error: NDArray[np.float64],
    sites: NDArray[np.object_],
    confidence: float,
    seed: int,
) -> ErrorFollows:
    n, groups = len(far), [sites == name for name in sorted(set(sites))]
    lost = len(groups) - 1  # degrees of freedom that the sites' own levels take
    x, y = _centred_ranks(far, groups), _centred_ranks(error, groups)
    if n - lost < FEWEST[blank.level] or not x.any() or not y.any():
        return blank.model_copy(update={"n": n})
    rho = float(x @ y / np.sqrt((x @ x) * (y @ y)))
    margin = stats.norm.ppf((1 + confidence) / 2) * math.sqrt((1 + rho**2 / 2) / (n - lost - 3))
    centre = math.atanh(float(np.clip(rho, -0.999999, 0.999999)))
    slope, low, high = _slope(far, error, groups, confidence)
    return blank.model_copy(
        update={
            "n": n,
            "rho": rho,
            "rho_low": math.tanh(centre - margin),
            "rho_high": math.tanh(centre + margin),
            "p_value": _p_value(x, y, groups, seed),
            "slope": slope,
            "slope_low": low,
            "slope_high": high,
        }
    )


def _centred_ranks(
    values: NDArray[np.float64], groups: Sequence[NDArray[np.bool_]]
) -> NDArray[np.float64]:
    """Rank within each group, centred there, on a common scale of its size."""
    ranks = np.zeros(len(values))
    for group in groups:
        own = stats.rankdata(values[group])
        ranks[group] = (own - own.mean()) / len(own)
    return ranks


def _p_value(
    x: NDArray[np.float64], y: NDArray[np.float64], groups: Sequence[NDArray[np.bool_]], seed: int
) -> float:
    """Two-sided p value of no association, from dealing the errors anew within each group."""
    observed = abs(float(x @ y)) * (1 - 1e-9)
    if len(groups) == 1 and len(x) <= _EVERY_ORDER:
        orders = np.array(list(itertools.permutations(range(len(x)))))
        return float((np.abs(y[orders] @ x) >= observed).mean())
    rng = np.random.default_rng([seed, len(x)])
    dealt = np.zeros((DEALS, len(x)))
    for group in groups:
        own = y[group]
        dealt[:, group] = own[rng.random((DEALS, len(own))).argsort(axis=1)]
    return float(((np.abs(dealt @ x) >= observed).sum() + 1) / (DEALS + 1))


def _slope(
    far: NDArray[np.float64],
    error: NDArray[np.float64],
    groups: Sequence[NDArray[np.bool_]],
    confidence: float,
) -> tuple[float, float, float]:
    """Least-squares slope with a level of its own for each group, and its t interval."""
    x, y = far.astype(float).copy(), error.astype(float).copy()
    for group in groups:
        x[group] -= x[group].mean()
        y[group] -= y[group].mean()
    slope = float(x @ y / (x @ x))
    freedom = len(x) - len(groups) - 1
    variance = float(np.square(y - slope * x).sum()) / freedom
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * math.sqrt(variance / float(x @ x))
    return slope, slope - half, slope + half


def _said(told: ErrorFollows, what: str, things: str, alpha: float) -> ErrorFollows:
    where = _WORDS[told.level]
    if told.rho is None or told.slope is None:
        few = f"{count(told.n, things)} with both, or no spread among them"
        text = f"{what} against the source's distance, {where}: too few to tell ({few})."
    elif told.p_value is None:
        text = (
            f"{what} against the source's distance from the training, {where}: Spearman "
            f"{told.rho:+.2f} ({count(told.n, things)}), {number(told.slope)}{suffix(told.unit)} "
            "for each standard deviation; described and not tested, for the sites' own levels are "
            "in it."
        )
    else:
        assert told.rho_low is not None and told.rho_high is not None
        assert told.slope_low is not None and told.slope_high is not None
        apart = told.rho_low > 0 or told.rho_high < 0
        shown = "goes with" if apart and told.p_value <= alpha else "is not shown to go with"
        text = (
            f"{what} {shown} the source's distance from the training, {where}: Spearman "
            f"{told.rho:+.2f} ({told.rho_low:+.2f} to {told.rho_high:+.2f}, p = "
            f"{number(told.p_value)}, {count(told.n, things)}), {number(told.slope)} "
            f"({number(told.slope_low)} to {number(told.slope_high)}{suffix(told.unit)}) for each "
            "standard deviation. An association, not a cause."
        )
    if told.left_out:
        text += f" {count(told.left_out, 'patient')} not in it: without a value or a distance."
    return told.model_copy(update={"sentence": text})
