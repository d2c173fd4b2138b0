"""Two samples of the same patients. Pure.

References
----------
.. [1] Wilcoxon F (1945), Biometrics Bull 1:80-83.
.. [2] McNemar Q (1947), Psychometrika 12:153-157; exact, by the binomial distribution.
.. [3] Schuirmann DJ (1987), J Pharmacokinet Biopharm 15:657-680 (two one-sided tests).
.. [4] Piaggio G et al. (2012), JAMA 308:2594-2604 (non-inferiority and equivalence, CONSORT).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from qa_suite.audit.asked import Better
from qa_suite.core.measure_kinds import MeasureKind
from qa_suite.core.records import Answer, Asked
from qa_suite.core.wording import count
from qa_suite.judging.mean_intervals import mean_interval_by_kind
from qa_suite.judging.statistics import finite_sample

_DIFFERENCE = MeasureKind(kind="signed")
_SAME = 1e-9
"""Share of the larger magnitude within which two values are a tie: rounding, no difference."""


@dataclass(frozen=True, kw_only=True)
class Paired:
    """What two samples of the same patients show.

    Parameters
    ----------
    new, old
        Means; of a bias, of its magnitudes.
    difference, low, high
        New minus old, with the interval of Student's paired t; without ends where there are too
        few patients, or where no difference varies.
    p_t, p_ranks
        Two-sided p values of the paired t test and of Wilcoxon's signed ranks [1]_ (of events
        McNemar's exact test [2]_).
    wins, losses, ties
        Patients in whom the new one is better, worse, alike.
    worst, best
        The interval's end at the new one's worse side, and the other, as how much worse it is.
    """

    new: float
    old: float
    difference: float
    low: float | None
    high: float | None
    p_t: float | None
    p_ranks: float | None
    wins: int
    losses: int
    ties: int
    worst: float | None
    best: float | None
    method: str


def paired(new: ArrayLike, old: ArrayLike, better: Better, *, confidence: float = 0.95) -> Paired:
    """Compare two values of each patient.

    Parameters
    ----------
    new, old
        Shape (patients,), in the same order.
    better
        Which way is better; ``zero`` compares magnitudes.
    confidence
        Of the two-sided interval.
    """
    first, second = finite_sample(new, confidence), finite_sample(old, confidence)
    if better == "zero":
        first, second = np.abs(first), np.abs(second)
    size = np.maximum(np.abs(first), np.abs(second))
    change = np.where(np.abs(first - second) <= _SAME * size, 0.0, first - second)
    sign = -1.0 if better == "higher" else 1.0
    worse = sign * change
    n = len(change)
    found = mean_interval_by_kind(change, _DIFFERENCE, confidence=confidence)
    varies = n >= 2 and bool(np.ptp(change) > 0)
    ends = (found.low, found.high) if varies else (None, None)
    low, high = ends
    flipped = (low, high) if sign > 0 else (high, low)
    worst, best = flipped[1], flipped[0]
    return Paired(
        new=float(first.mean()),
        old=float(second.mean()),
        difference=float(change.mean()),
        low=low,
        high=high,
        p_t=float(stats.ttest_1samp(change, 0.0).pvalue) if varies else None,
        p_ranks=_ranks(change, events=bool(np.isin([first, second], (0.0, 1.0)).all())),
        wins=int((worse < 0).sum()),
        losses=int((worse > 0).sum()),
        ties=int((worse == 0).sum()),
        worst=None if worst is None else sign * worst,
        best=None if best is None else sign * best,
        method=_method(n, varies, found.why),
    )


def answer(found: Paired, asked: Asked, margin: float | None) -> Answer | None:
    """Answer what was asked by the interval and the margin [3]_, [4]_.

    ``non-inferiority``: yes where the whole interval is less than a margin worse, no where the
    whole of it is at least a margin worse. ``equivalence``: yes where the whole interval is
    within a margin of either side, no where the whole of it is beyond. Both ends stand at half of
    one minus the confidence, 2.5 % at 95 %.
    """
    if asked == "difference" or margin is None:
        return None
    if found.worst is None or found.best is None:
        return "undecided"
    if asked == "non-inferiority":
        if found.worst < margin:
            return "yes"
        return "no" if found.best >= margin else "undecided"
    if found.worst < margin and found.best > -margin:
        return "yes"
    return "no" if found.best >= margin or found.worst <= -margin else "undecided"


def _method(n: int, varies: bool, why: str) -> str:
    text = f"paired t over {count(n, 'patient')}"
    if not varies:
        return f"{text}: no interval, as no difference varies"
    return f"{text}: no interval, {why}" if why else text


def _ranks(change: NDArray[np.float64], *, events: bool) -> float | None:
    moved = change[change != 0]
    if not len(moved):
        return None
    if events:
        return float(stats.binomtest(int((moved > 0).sum()), len(moved), 0.5).pvalue)
    tied = len(np.unique(np.abs(moved))) < len(moved)
    method = "exact" if len(moved) <= 50 and not tied else "asymptotic"
    return float(stats.wilcoxon(moved, method=method, correction=method != "exact").pvalue)
