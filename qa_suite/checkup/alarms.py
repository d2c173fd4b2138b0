"""How far and how long is no chance: the rules over time, calibrated to what a whole log may alarm.

The promise is of a *log*: that a quiet one of 40 check-ups after its baseline signals by a rule at
all, on any of its charts, has a chance of 1 %. Limits from 20 values are themselves uncertain, and
20 values do not show what their tails are: limits for normal values alarm in a fifth of all quiet
logs of log-normal ones. So *drift*, *run* and *missing* rest on ranks among the baseline [1]_, and
hold for continuous values of any distribution; *point* is for gross errors alone. Factors are
quantiles of 2,000,000 simulated quiet charts (``python -m benchmarks.simulations.control_charts``):
of *drift* for any distribution, of *point* the largest of normal, log-normal (σ 0.5), exponential
and Student's t (5 degrees of freedom).

References
----------
.. [1] Hahn GJ, Meeker WQ (1991), Statistical Intervals, Wiley: distribution-free prediction.
.. [2] Roberts SW (1959), Technometrics 1:239: the exponentially weighted mean (EWMA) chart; of
   ranks: Hackl P, Ledolter J (1991), Journal of Quality Technology 23:117.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

BASELINE = 20
"""Values that a chart's limits are learnt from."""
HORIZON = 40
"""Check-ups over which the chance of a false signal is promised; older signals are past."""
SMOOTHING = 0.2
"""Weight of the newest value in the exponentially weighted mean [2]_."""
LONGEST_RUN = 30

Rule = Literal["point", "drift"]
MOST_ALIKE = 5
"""Values of a baseline that may be the same before its spread tells nothing of single values."""
SHARES = (0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)
"""Chance that a quiet chart signals at all, of the factors below."""
FACTORS: dict[str, tuple[float, ...]] = {
    "point": (7.960, 9.667, 11.005, 12.398, 14.295, 15.757, 17.404, 19.530, 22.644),
    "drift": (1.106, 1.217, 1.293, 1.362, 1.443, 1.500, 1.551, 1.612, 1.658),
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """So many values in a row beyond all but the ``beyond - 1`` farthest of the baseline."""

    beyond: int
    length: int


def of_one(charts: int, error: float) -> float:
    """Return the chance of one chart that gives all charts together the chance ``error``."""
    return float(1 - (1 - error) ** (1 / max(charts, 1)))


def factor(rule: Rule, charts: int, error: float) -> float:
    """Return what a chart's rule allows.

    Parameters
    ----------
    rule
        ``point``: distance from the centre in standard deviations of the baseline; ``drift``:
        magnitude of the exponentially weighted mean of normal scores.
    charts
        That are looked at together.
    error
        Chance of any false signal of the rule, over all charts and 40 check-ups.
    """
    share = np.log(of_one(charts, error))
    known, values = np.log(np.array(SHARES)[::-1]), np.array(FACTORS[rule])[::-1]
    if share < known[0]:  # the tail goes on as its last piece
        slope = (values[1] - values[0]) / (known[1] - known[0])
        return float(values[0] + slope * (share - known[0]))
    return float(np.interp(share, known, values))


@lru_cache(maxsize=64)
def run_beyond(charts: int, error: float) -> Run:
    """Return the run whose chance, to either side, comes closest to ``error``.

    Runs are whole numbers: the chance lies between 0.6 and 1.2 times the error where a run of that
    kind exists, and is the largest below it elsewhere. Of its like it is the shortest.
    """
    wanted = of_one(charts, error)
    allowed = 1.2 * wanted
    found = [
        (2 * chance, Run(beyond=beyond, length=length))
        for beyond in range(1, 6)
        for length in range(2, LONGEST_RUN + 1)
        if 2 * (chance := run_chance(beyond, BASELINE, length)) <= allowed
    ]
    near = [one for one in found if one[0] >= 0.6 * wanted] or [max(found, key=lambda one: one[0])]
    return min(near, key=lambda one: (one[1].length, -one[0]))[1]


@lru_cache(maxsize=1024)
def missing_run(missing: int, of: int, charts: int, error: float) -> int:
    """Return how many missing values in a row are no chance.

    Parameters
    ----------
    missing, of
        Values that are missing among the check-ups of the baseline.
    charts, error
        As of :func:`factor`.
    """
    allowed = of_one(charts, error)
    for length in range(2, LONGEST_RUN):
        if run_chance(missing + 1, of, length) <= allowed:
            return length
    return LONGEST_RUN


@lru_cache(maxsize=4096)
def run_chance(beyond: int, n: int, length: int) -> float:
    """Chance of ``length`` in a row, within 40, beyond the baseline's ``beyond``-th farthest of n.

    The share of all values that lies beyond it has the beta distribution (beyond, n + 1 - beyond),
    whatever the values' own.
    """
    from scipy import stats

    nodes, weights = np.polynomial.legendre.leggauss(200)
    share = (nodes + 1) / 2
    density = stats.beta.pdf(share, beyond, n + 1 - beyond)
    return float((weights / 2 * density) @ _some_run(share, length))


def _some_run(share: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Chance of a run of ``length`` in 40 independent trials, each with the chance ``share``."""
    none = [np.ones_like(share) for _ in range(length)]
    none.append(1 - share**length)
    for trial in range(length + 1, HORIZON + 1):
        none.append(none[-1] - (1 - share) * share**length * none[trial - length - 1])
    return 1 - none[HORIZON]
