"""Control limits for single values: the individuals–moving-range (I-MR) chart.

References
----------
.. [1] Shewhart WA (1931) Economic Control of Quality of Manufactured Product.
.. [2] Montgomery DC, Introduction to Statistical Quality Control: control charts for
   individual measurements (mean ± 2.66 mean moving range; upper limit of the range 3.267).
.. [3] Western Electric (1956) Statistical Quality Control Handbook: tests for instability.
.. [4] Gini C (1912) Variabilità e mutabilità: the mean difference of all pairs.
.. [5] AAPM TG-218: Miften et al. 2018, Med Phys 45:e53: process-based limits in radiotherapy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from qa_suite.core.arrays import FloatArray
from qa_suite.core.errors import InputError
from qa_suite.core.wording import count

Scale = Literal["linear", "log"]

MIN_VALUES = 10
"""Fewer values give no limits: the standard deviation would be known to a quarter at best."""
SETTLED_VALUES = 20
"""Limits of fewer values are provisional; 20 to 25 is the usual advice [2]_."""

D2 = 1.128379167095513  # 2/√π: mean range of two standard normal values
LIMIT_SIGMAS = 3.0  # 3 / D2 = 2.66, the factor of the mean moving range
_TOLERANCE = 1e-9  # relative: the same number twice is no departure


class Limits(BaseModel):
    """What is usual of one measure: centre, spread and the values it was learnt from.

    Parameters
    ----------
    n
        Values that it rests on, one a patient.
    missing
        Patients of the same cohort without a value.
    scale
        Whether the chart is of the values or of their natural logarithm.
    centre, sigma
        Mean, and mean moving range / 1.128, on the chart's scale.
    low, high
        Control limits, in the measure's unit.
    values
        Sorted, in the measure's unit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    n: int = Field(ge=MIN_VALUES)
    missing: int = Field(default=0, ge=0)
    scale: Scale = "linear"
    centre: float
    sigma: float = Field(ge=0)
    low: float
    high: float
    values: tuple[float, ...]

    @property
    def provisional(self) -> bool:
        """Whether they rest on fewer values than limits should."""
        return self.n < SETTLED_VALUES

    def sigmas(self, value: float) -> float:
        """Signed distance of a value from the centre, in standard deviations.

        Infinite where the cohort's values are all one and this one is another.
        """
        if self.scale == "log" and value <= 0:
            return -math.inf
        gap = (math.log(value) if self.scale == "log" else value) - self.centre
        if abs(gap) <= _TOLERANCE * max(abs(self.centre), 1e-3):
            return 0.0
        return gap / self.sigma if self.sigma > 0 else math.copysign(math.inf, gap)

    def percentile(self, value: float) -> float:
        """Percentile of a value among the cohort's: 100 · rank / (n + 1), ties at mid-rank.

        Never 0 or 100: of n patients none says that no other could lie beyond.
        """
        below, same = self._ranks(value)
        return 100 * (below + same / 2 + 0.5) / (self.n + 1)

    def tail(self, value: float, side: Literal["low", "high", "both"]) -> float:
        """Share of exchangeable patients at least as extreme: (1 + as extreme) / (n + 1)."""
        below, same = self._ranks(value)
        low = (below + same + 1) / (self.n + 1)
        high = (self.n - below + 1) / (self.n + 1)
        return {"low": low, "high": high, "both": min(1.0, 2 * min(low, high))}[side]

    def _ranks(self, value: float) -> tuple[int, int]:
        slack = _TOLERANCE * max(abs(value), 1e-3)
        below = int(np.searchsorted(self.values, value - slack, side="left"))
        upto = int(np.searchsorted(self.values, value + slack, side="right"))
        return below, upto - below


def control_limits(
    values: Sequence[float],
    *,
    scale: Scale = "linear",
    missing: int = 0,
    resolution: float = 0.0,
    lowest: float | None = None,
) -> Limits:
    """Learn the control limits of one measure from single values: mean ± 2.66 moving ranges.

    A cohort has no order in time, and the mean moving range depends on the order. By default
    its mean over all orders is taken, which is Gini's mean difference [4]_: the mean
    absolute difference over all pairs. So the limits do not depend on how the cases are named, and
    the spread between sites counts in full.

    Values that are all one have limits of exactly that value.

    Parameters
    ----------
    values
        Finite, one a patient.
    scale
        ``log`` for positive measures of which a ratio is usual rather than a difference.
    missing
        Patients without a value, for the record.
    resolution
        Smallest distance of the limits from the centre, in the measure's unit: less is no
        difference anyone could mean. Linear scale only.
    lowest
        What the measure cannot go below; nor does its lower limit.

    Raises
    ------
    InputError
        If there are fewer than :data:`MIN_VALUES` values, one is not finite, or one is not
        positive on the logarithmic scale.
    """
    sample = np.asarray(values, dtype=np.float64).ravel()
    _check(sample, scale)
    charted = np.log(sample) if scale == "log" else sample
    centre = float(charted.mean())
    ranges = mean_difference(charted)
    if np.ptp(charted) <= _TOLERANCE * max(abs(centre), 1e-3):
        ranges = 0.0
    sigma = max(ranges / D2, resolution / LIMIT_SIGMAS if scale == "linear" else 0.0)
    ends = [centre - LIMIT_SIGMAS * sigma, centre + LIMIT_SIGMAS * sigma]
    low, high = (math.exp(end) if scale == "log" else end for end in ends)
    low = low if lowest is None else max(low, lowest)
    ordered = tuple(float(v) for v in np.sort(sample))
    return Limits(
        n=sample.size,
        missing=missing,
        scale=scale,
        centre=centre,
        sigma=sigma,
        low=low,
        high=high,
        values=ordered,
    )


def _check(sample: FloatArray, scale: Scale) -> None:
    if sample.size < MIN_VALUES:
        raise InputError(
            f"Control limits need {MIN_VALUES} patients, got {sample.size}; measure more."
        )
    if not np.isfinite(sample).all():
        raise InputError(
            f"{int((~np.isfinite(sample)).sum())} of {count(sample.size, 'value')} are NaN or "
            "infinite; "
            f"count them as missing before limits are made."
        )
    if scale == "log" and sample.min() <= 0:
        raise InputError(
            f"A chart of logarithms needs positive values, got {sample.min():g}; use the linear "
            f"scale."
        )


def mean_difference(values: FloatArray) -> float:
    """Gini's mean difference: the mean absolute difference over all pairs."""
    ordered = np.sort(values)
    n = ordered.size
    weights = 2 * np.arange(1, n + 1) - n - 1
    return float(2 * (weights @ ordered) / (n * (n - 1)))


def false_alarm_rate(n: int, *, two_sided: bool = True) -> float:
    """Chance that a normal value of a patient without fault lies outside 3-sigma limits.

    0.27 % (one side: 0.135 %) where mean and spread are known; more where they come from
    ``n`` values: the share of Student's t beyond 3 / √(1 + 1/n).
    """
    from scipy import stats

    tail = float(stats.t.sf(LIMIT_SIGMAS / math.sqrt(1 + 1 / n), n - 1))
    return 2 * tail if two_sided else tail


def widened_sigmas(n: int, questions: float, error: float) -> float:
    """How many standard deviations hold for many questions together.

    The prediction limit of one further normal value at ``error / questions`` (Bonferroni):
    t · √(1 + 1/n), with ``questions`` counting each side that is looked at as a half.
    """
    from scipy import stats

    quantile = float(stats.t.isf(error / (2 * questions), n - 1))
    return max(LIMIT_SIGMAS, quantile * math.sqrt(1 + 1 / n))
