"""The interval of a mean whose values share patients one way and trained networks the other.

A patient is tested in every repetition, and all patients of a fold are tested by one network.
Patients alone as the unit would take the luck of one training for an effect.

References
----------
.. [1] Cameron AC, Gelbach JB, Miller DL (2011), J Bus Econ Stat 29:238-249 (two-way clusters).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from qa_suite.judging.statistics import Interval


def clustered_interval(values: pd.Series, *, confidence: float) -> Interval:
    """Student interval of the mean of paired differences, robust to both kinds of sharing [1]_.

    The variance is that between patients plus that between networks minus that of the single
    values, and never less than either of the first two; the degrees of freedom are those of the
    rarer kind.

    Parameters
    ----------
    values
        One value a patient and repetition, indexed by ``patient``, ``seed`` and ``fold``; a
        network is one fold of one repetition. A patient may lack repetitions.
    confidence
        Of the two-sided interval.

    Returns
    -------
    Interval
        ``n`` counts patients; no interval with fewer than two patients or networks.
    """
    table = values.rename("value").reset_index()
    patients = _codes(table["patient"])
    networks = _codes(table["seed"].astype(str) + "/" + table["fold"].astype(str))
    value = table["value"].to_numpy(dtype=np.float64)
    count, trained = int(patients.max()) + 1, int(networks.max()) + 1
    mean = float(value.mean())
    method = f"Student t, two-way clusters of {count} patients and {trained} networks"
    if min(count, trained) < 2:
        return Interval(
            estimate=mean,
            low=None,
            high=None,
            n=count,
            confidence=confidence,
            method=f"{method}: too few for an interval",
        )
    rest = value - mean
    by_patient, by_network = (_between(rest, groups) for groups in (patients, networks))
    single = _between(rest, np.arange(rest.size))
    variance = max(by_patient + by_network - single, by_patient, by_network)
    half = float(stats.t.ppf((1 + confidence) / 2, min(count, trained) - 1) * np.sqrt(variance))
    return Interval(
        estimate=mean,
        low=mean - half,
        high=mean + half,
        n=count,
        confidence=confidence,
        method=method,
    )


def _codes(column: pd.Series) -> NDArray[np.int64]:
    return np.asarray(pd.factorize(column)[0], dtype=np.int64)


def _between(rest: NDArray[np.float64], groups: NDArray[np.int64]) -> float:
    """Variance of the mean if only members of one group go together."""
    sums = np.bincount(groups, weights=rest)
    return float((sums**2).sum() / rest.size**2 * sums.size / max(sums.size - 1, 1))
