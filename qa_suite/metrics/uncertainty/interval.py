"""Does the promised interval hold the truth? Coverage patient by patient, and its width.

A translator that says mean ± half width promises that a share of a patient's body voxels lies
inside, for a patient of a stated level. So each patient has one coverage and one answer, and
the level is judged by the share of patients, never of voxels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.core.prediction import IntervalFacts
from qa_suite.metrics.base import NoValue, Value, absent, as_value, failed, ok, undefined
from qa_suite.metrics.facts import REFERENCE_UNIT, MetricFacts, MetricFunctions

Region = tuple[str, NDArray[np.bool_] | slice]

NO_INTERVAL = "the translator gives no interval"

_EMPTY = (
    "undefined where the translator gives no interval, or the region has no voxel; an error where "
    "a half width is negative, or anything not finite"
)
_PROMISE = "undefined where the translator gives no interval"
_CONFORMAL = (
    "Angelopoulos and Bates 2023, Found Trends Mach Learn 16:494 (conformal intervals); by patient "
    "as in this suite"
)


@dataclass(frozen=True, kw_only=True)
class Held:
    """The interval of one region against its errors.

    Parameters
    ----------
    error
        Absolute errors, shape (voxels,), finite, at least one.
    half_width
        Of the interval about the mean, same shape, from 0.
    promise
        What the translator promised.
    """

    error: FloatArray
    half_width: FloatArray
    promise: IntervalFacts


BY_REGION: MetricFunctions[Callable[[Held], float]] = MetricFunctions("uncertainty")
OF_BODY: MetricFunctions[Callable[[Held], float]] = MetricFunctions("uncertainty")


@BY_REGION.add(
    "interval_coverage",
    MetricFacts(
        family="uncertainty",
        title="Share of voxels inside the promised interval",
        unit="1",
        direction="none",
        range="[0, 1]",
        kind="bounded",
        formula="share of the region's voxels with |synthetic - reference| <= half width",
        empty=_EMPTY,
        reference=_CONFORMAL,
    ),
)
def interval_coverage(held: Held) -> float:
    """Share of voxels whose error lies within the half width."""
    return float(np.count_nonzero(held.error <= held.half_width) / held.error.size)


@BY_REGION.add(
    "interval_width",
    MetricFacts(
        family="uncertainty",
        title="Mean width of the promised interval",
        unit=REFERENCE_UNIT,
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula="mean of 2 × half width over the region's voxels",
        empty=_EMPTY,
        reference="Definition of this suite",
    ),
)
def interval_width(held: Held) -> float:
    """Mean full width, in the unit of the reference."""
    return float(2 * held.half_width.mean())


@OF_BODY.add(
    "interval_kept",
    MetricFacts(
        family="uncertainty",
        title="Whether the patient's interval holds the promised share of voxels",
        unit="1",
        direction="higher",
        range="integers in [0, 1]",
        kind="event",
        formula="1 where interval_coverage of the body >= the promised share, else 0; its mean "
        "over patients stands against interval_level",
        empty=_EMPTY,
        reference=_CONFORMAL,
    ),
)
def interval_kept(held: Held) -> float:
    """Whether the promise was kept for this patient: 1 or 0."""
    return float(interval_coverage(held) >= held.promise.voxel_share - 1e-12)


@OF_BODY.add(
    "interval_voxel_share",
    MetricFacts(
        family="uncertainty",
        title="Promised share of voxels inside the interval",
        unit="1",
        direction="none",
        range="(0, 1)",
        kind="bounded",
        formula="as the translator states it",
        empty=_PROMISE,
        reference=_CONFORMAL,
    ),
)
def interval_voxel_share(held: Held) -> float:
    """Share of the body's voxels that the translator promises to hold."""
    return held.promise.voxel_share


@OF_BODY.add(
    "interval_level",
    MetricFacts(
        family="uncertainty",
        title="Promised share of patients whose interval is kept",
        unit="1",
        direction="none",
        range="(0, 1)",
        kind="bounded",
        formula="as the translator states it; n calibration patients carry n / (n + 1) at most",
        empty=_PROMISE,
        reference=_CONFORMAL,
    ),
)
def interval_level(held: Held) -> float:
    """Probability that a further patient reaches the promised share."""
    return held.promise.level


@OF_BODY.add(
    "interval_patients",
    MetricFacts(
        family="uncertainty",
        title="Calibration patients behind the interval",
        unit="1",
        direction="none",
        range="integers in [1, inf)",
        kind="count",
        formula="as the translator states it",
        empty=_PROMISE,
        reference=_CONFORMAL,
    ),
)
def interval_patients(held: Held) -> float:
    """Return the number of patients that the interval was calibrated on."""
    return float(held.promise.patients)


def interval_values(
    error: FloatArray,
    half_width: FloatArray | None,
    promise: IntervalFacts | None,
    regions: Sequence[Region],
) -> list[Value]:
    """Measure the interval in every region.

    Parameters
    ----------
    error
        Absolute error of the mask's voxels, shape (voxels,).
    half_width
        Of the same voxels, or None where the translator gives none.
    promise
        Given with the half width.
    regions
        Name and choice among the mask's voxels; the first is ``body``.
    """
    values: list[Value] = []
    for name, chosen in regions:
        metrics = (*BY_REGION, *OF_BODY) if name == "body" else tuple(BY_REGION)
        if half_width is None or promise is None:
            values += [undefined(metric, name, NO_INTERVAL) for metric in metrics]
            continue
        held = Held(error=error[chosen], half_width=half_width[chosen], promise=promise)
        values += _region(name, metrics, held)
    return values


def _region(name: str, metrics: Sequence[str], held: Held) -> list[Value]:
    if held.error.size == 0:
        none = absent("no voxel of the mask lies in it")
        return [as_value(metric, name, none) for metric in metrics]
    problem = _problem(held)
    if problem is not None:
        return [failed(metric, name, problem.why) for metric in metrics]
    return [
        ok(metric, name, (BY_REGION.get(metric) or OF_BODY[metric])(held)) for metric in metrics
    ]


def _problem(held: Held) -> NoValue | None:
    size = held.error.size
    wrong = int(np.count_nonzero(~np.isfinite(held.error)))
    if wrong:
        images = "the synthetic or reference image"
        return NoValue(why=f"{wrong} of {size} voxels are not finite in {images}")
    wrong = int(np.count_nonzero(~(np.isfinite(held.half_width) & (held.half_width >= 0))))
    if wrong:
        return NoValue(why=f"the half width of {wrong} of {size} voxels is no number from 0")
    return None
