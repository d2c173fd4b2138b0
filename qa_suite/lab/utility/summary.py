"""From the scores of many segmenters to differences, with the patient as the unit.

A patient is tested in every repetition, and all patients of a fold are tested by one network: the
interval of a mean counts both ways. Patients alone as the unit would take the luck of one training
for an effect [1]_.

References
----------
.. [1] Cameron AC, Gelbach JB, Miller DL (2011), J Bus Econ Stat 29:238-249 (two-way clusters).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from qa_suite.core.wording import count as count_of
from qa_suite.judging.statistics import Interval
from qa_suite.lab.utility.result import (
    ARMS,
    OVERALL,
    Arm,
    Difference,
    FitScores,
    StructureUtility,
    UtilitySettings,
)


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
    clusters = f"{count_of(count, 'patient')} and {count_of(trained, 'network')}"
    method = f"Student t, two-way clusters of {clusters}"
    if min(count, trained) < 2:
        return Interval(
            estimate=mean,
            low=None,
            high=None,
            n=count,
            confidence=confidence,
            method=method,
            why="one patient or one network gives no interval",
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


def summarise(
    scores: Sequence[FitScores], patient_of: Mapping[str, str], settings: UtilitySettings
) -> tuple[StructureUtility, ...]:
    """Average over repetitions and examinations, and compare the arms patient by patient.

    Parameters
    ----------
    scores
        Of every segmenter.
    patient_of
        Case to patient.
    settings
        The confidence of the intervals.

    Returns
    -------
    tuple of StructureUtility
        The mean over all structures first, then each by name.
    """
    table = _table(scores, patient_of)
    # one value a patient, arm, structure and repetition: examinations of a patient are averaged
    keys = ["structure", "patient", "seed", "fold", "arm"]
    single = table.groupby(keys)["dice"].mean().unstack("arm")
    overall = single.groupby(["patient", "seed", "fold"]).mean()
    found = [_structure(OVERALL, overall, settings)]
    for name in sorted(table["structure"].unique()):
        found.append(_structure(str(name), single.loc[name], settings))
    return tuple(found)


def _table(scores: Sequence[FitScores], patient_of: Mapping[str, str]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "structure": name,
                "patient": patient_of[case],
                "seed": s.seed,
                "fold": s.fold,
                "arm": s.arm,
                "dice": dice,
            }
            for s in scores
            for case, found in s.dice.items()
            for name, dice in found.items()
        ]
    )


def _structure(name: str, single: pd.DataFrame, settings: UtilitySettings) -> StructureUtility:
    """Summarise one structure; ``single`` is indexed by patient, seed and fold, a column an arm."""
    patients = single.groupby("patient").mean()
    dice: dict[Arm, float] = {arm: round(float(patients[arm].mean()), 6) for arm in ARMS}
    others: tuple[Arm, ...] = ("synthetic", "both")
    return StructureUtility(
        structure=name,
        patients=len(patients),
        dice=dice,
        differences=tuple(_difference(name, arm, single, settings) for arm in others),
    )


def _difference(name: str, arm: Arm, single: pd.DataFrame, settings: UtilitySettings) -> Difference:
    paired = single[arm] - single["real"]
    interval = clustered_interval(paired, confidence=settings.confidence)
    by_seed = paired.groupby("seed").mean().to_numpy()
    low, high = (None if v is None else round(v, 6) for v in (interval.low, interval.high))
    return Difference(
        arm=arm,
        estimate=round(interval.estimate, 6),
        low=low,
        high=high,
        patients=interval.n,
        confidence=interval.confidence,
        method=interval.method,
        seed_range=(round(float(by_seed.min()), 6), round(float(by_seed.max()), 6)),
        sentence=_sentence(name, arm, interval.estimate, low, high),
    )


def _sentence(name: str, arm: Arm, estimate: float, low: float | None, high: float | None) -> str:
    what = "synthetic images" if arm == "synthetic" else "real and synthetic images"
    head = f"{name}: trained on {what} instead of real ones, Dice on real images changes by"
    if low is None or high is None:
        return f"{head} {estimate:+.3f}; one patient or one repetition gives no interval."
    side = "lower" if high < 0 else "higher" if low > 0 else ""
    verdict = f"clearly {side}" if side else "no difference is shown"
    return f"{head} {estimate:+.3f} ({low:+.3f} to {high:+.3f}): {verdict}."


def notices_of(
    structures: Sequence[StructureUtility],
    left_out: Mapping[str, str],
    cases: int,
    settings: UtilitySettings,
) -> tuple[str, ...]:
    """Say what a reader must know before he believes the differences."""
    notices = []
    if left_out:
        notices.append(f"{len(left_out)} of {count_of(cases, 'case')} could not take part.")
    weak = [
        f"{s.structure} ({s.dice['real']:.2f})"
        for s in structures
        if s.structure != OVERALL and s.dice["real"] < settings.weak_dice
    ]
    if weak:
        notices.append(
            f"Even trained on real images the segmenter stays below a Dice of "
            f"{settings.weak_dice:g} for {', '.join(weak)}: a difference there says little; "
            f"train longer, or on more patients."
        )
    if settings.seeds < 3:
        notices.append(
            f"{settings.seeds} repetition(s) do not show how far chance in training moves the "
            f"difference; at least 3 do."
        )
    return tuple(notices)
