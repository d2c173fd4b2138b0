"""Bone at many thresholds: how alike at each, and which one makes the synthetic bone right.

Counted from sorted thresholds in one pass over the voxels, not segmented once a threshold;
so nothing is cleaned up, in either image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qa_suite.metrics.base import Censored, Curve, NoValue, Value, as_value
from qa_suite.metrics.facts import MetricFacts, MetricFunctions
from qa_suite.metrics.segmentation.settings import SegmentationSettings
from qa_suite.metrics.segmentation.structures import absence

Values = NDArray[np.float32]
End = Literal["", "lower", "upper"]
REGION = "seg:Bone"
CURVE = "dice_by_threshold"

_EMPTY = (
    "undefined where the reference has no voxel at the standard threshold, or the synthetic "
    "image none at any threshold of the search; a voxel that is not finite is an error"
)
_AT_END = "the best threshold is the {} end of the search"
_SETTINGS = {"standard_threshold_hu": 250.0, "from_hu": 100.0, "to_hu": 600.0, "step_hu": 5.0}


def bone_values(
    reference: Values, synthetic: Values, settings: SegmentationSettings
) -> list[Value | Curve]:
    """Compare the bone of two images at many thresholds.

    Parameters
    ----------
    reference, synthetic
        HU of the voxels where bone is looked for, shape (voxels,), finite.
    settings
        The thresholds of the curve, and the standard one.

    Returns
    -------
    list
        ``threshold_shift`` and ``dice_at_best_threshold``, and the curve ``dice_by_threshold``
        at the thresholds where at least one image has a voxel.
    """
    best = best_threshold(reference, synthetic, settings)
    values: list[Value | Curve] = [
        as_value(name, REGION, best if isinstance(best, NoValue) else function(best, settings))
        for name, function in BY_THRESHOLD.items()
    ]
    thresholds = np.asarray(settings.bone_curve_thresholds_hu, dtype=np.float64)
    dice = dice_by_threshold(reference, synthetic, thresholds)
    seen = np.isfinite(dice)
    if seen.any():
        x, y = thresholds[seen], dice[seen]
        values.append(Curve(curve=CURVE, region=REGION, x=x, y=y, x_unit="HU", y_unit="1"))
    return values


def dice_by_threshold(
    reference: Values, synthetic: Values, thresholds_hu: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Dice of the voxels at or above each threshold, the same in both images.

    NaN where neither image has one; such points are left out of the curve.
    """
    here = (reference >= thresholds_hu[0]) | (synthetic >= thresholds_hu[0])
    first, second = reference[here], synthetic[here]
    both = counts_from(np.minimum(first, second), thresholds_hu)
    total = counts_from(first, thresholds_hu) + counts_from(second, thresholds_hu)
    return np.divide(2.0 * both, total, out=np.full(len(total), np.nan), where=total > 0)


class BestThreshold(NamedTuple):
    """The synthetic image's best threshold, in HU, and the Dice reached there."""

    threshold_hu: float
    dice: float


def best_threshold(
    reference: Values, synthetic: Values, settings: SegmentationSettings
) -> BestThreshold | NoValue:
    """Find the synthetic image's threshold that best reproduces the bone of the reference.

    Of equally good thresholds the one nearest to the standard one.
    """
    standard = settings.bone.threshold_hu
    bone = reference >= standard
    bones = int(np.count_nonzero(bone))
    if bones == 0:
        there = bool((synthetic >= standard).any())
        return absence(in_reference=False, in_synthetic=there)
    candidates = search_thresholds(settings)
    total = counts_from(synthetic, candidates)
    if total[0] == 0:
        return absence(in_reference=True, in_synthetic=False)
    dice = 2.0 * counts_from(synthetic[bone], candidates) / (bones + total)
    nearest_first = np.argsort(np.abs(candidates - standard), kind="stable")
    best = nearest_first[np.argmax(dice[nearest_first])]
    return BestThreshold(float(candidates[best]), float(dice[best]))


def end_of_search(best: BestThreshold, settings: SegmentationSettings) -> End:
    """Return the end of the search at which the best threshold lies: a better may lie beyond.

    None is better than one with a Dice of 1, wherever it lies.
    """
    candidates = search_thresholds(settings)
    if best.dice >= 1 or best.threshold_hu not in (candidates[0], candidates[-1]):
        return ""
    return "lower" if best.threshold_hu == candidates[0] else "upper"


def search_thresholds(settings: SegmentationSettings) -> NDArray[np.float64]:
    """Thresholds in steps from the standard one, within the span of the curve; increasing."""
    standard, step = settings.bone.threshold_hu, settings.bone_search_step_hu
    curve = settings.bone_curve_thresholds_hu
    low = min(0, int(np.ceil((curve[0] - standard) / step - 1e-9)))
    high = max(0, int(np.floor((curve[-1] - standard) / step + 1e-9)))
    return np.asarray(standard + step * np.arange(low, high + 1), dtype=np.float64)


def counts_from(values: Values, thresholds_hu: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count the values at or above each of the increasing thresholds."""
    some = values[values >= thresholds_hu[0]]
    reached = np.searchsorted(thresholds_hu, some, side="right")  # how many thresholds
    counts = np.bincount(reached, minlength=len(thresholds_hu) + 1)
    return counts[::-1].cumsum()[::-1][1:]


# ---------------------------------------------------------------------------------------
# The metrics


BY_THRESHOLD: MetricFunctions[Callable[[BestThreshold, SegmentationSettings], float | Censored]] = (
    MetricFunctions("segmentation")
)


@BY_THRESHOLD.add(
    "threshold_shift",
    MetricFacts(
        family="segmentation",
        title="Shift of the bone threshold",
        unit="HU",
        direction="zero",
        range="[-150, 350]",
        kind="signed",
        formula=(
            "T* - T0; T0: the standard threshold; T*: the threshold of the synthetic image, in "
            "steps within the span of the curve, with the highest Dice against the reference's "
            "bone at T0 (the nearest to T0 of equals)"
        ),
        empty=_EMPTY,
        censored="at an end of the span: at least (at its lower end at most) that",
        ends=(-150.0, 350.0),
        reference="Definition of this suite",
        settings=_SETTINGS,
    ),
)
def threshold_shift(best: BestThreshold, settings: SegmentationSettings) -> float | Censored:
    """How much higher bone lies in the synthetic image, in HU."""
    shift = best.threshold_hu - settings.bone.threshold_hu
    end = end_of_search(best, settings)
    if end == "lower":
        return Censored(at_most=shift, why=_AT_END.format(end))
    return Censored(at_least=shift, why=_AT_END.format(end)) if end else shift


@BY_THRESHOLD.add(
    "dice_at_best_threshold",
    MetricFacts(
        family="segmentation",
        title="Dice of bone at the best threshold",
        unit="1",
        direction="higher",
        range="[0, 1]",
        kind="bounded",
        formula=(
            "Dice of the reference's bone at the standard threshold and the synthetic image's at "
            "the threshold that makes it largest"
        ),
        empty=_EMPTY,
        censored="where that threshold is an end of the span: at least what is reached there",
        reference="Definition of this suite; Dice 1945, Ecology 26:297",
        settings=_SETTINGS,
    ),
)
def dice_at_best_threshold(best: BestThreshold, settings: SegmentationSettings) -> float | Censored:
    """Return the Dice that no choice of the synthetic image's threshold can better."""
    end = end_of_search(best, settings)
    return Censored(at_least=best.dice, at_most=1.0, why=_AT_END.format(end)) if end else best.dice
