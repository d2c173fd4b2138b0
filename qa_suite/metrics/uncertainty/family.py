"""The family of uncertainty measures: σ of a pair, by tissue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from qa_suite.core.arrays import FloatArray
from qa_suite.core.errors import InputError
from qa_suite.core.volume import Volume, require_same_grid
from qa_suite.metrics.base import (
    Curve,
    NoValue,
    Pair,
    Value,
    absent,
    as_value,
    failed,
    ok,
    undefined,
)
from qa_suite.metrics.facts import FAMILIES, FamilyFacts
from qa_suite.metrics.uncertainty.interval import Region, interval_values
from qa_suite.metrics.uncertainty.metrics import OF_STD, Claim, claim_of, std_samples
from qa_suite.metrics.uncertainty.ranks import remaining_error
from qa_suite.metrics.uncertainty.settings import UncertaintySettings

_RANKED = ("error_std_rank", "sparsification_error")

NO_STD = "the translator gives no std, and fewer than two samples to take it from"


@FAMILIES.add(
    "uncertainty",
    FamilyFacts(
        title="Whether the predicted standard deviation and interval mean anything, by tissue",
        needs=("reference", "mask", "std, samples or an interval"),
        common_scale=True,
    ),
)
def uncertainty(pair: Pair, settings: UncertaintySettings) -> list[Value | Curve]:
    """Hold the predicted standard deviation and interval against the errors.

    Parameters
    ----------
    pair
        With its prediction; the std is the translator's own, or that of its samples.
    settings
        Tissue bands, levels, and how many voxels are ranked.

    Returns
    -------
    list
        Values of ``body`` (the mask) and the bands, undefined where the translator gives no
        std, or no interval; the curves ``calibration``, ``sparsification`` and
        ``sparsification_oracle``.

    Raises
    ------
    InputError
        If the std, a sample or the half width holds another quantity than the reference.
    GeometryError
        If it lies on another grid.
    """
    reference = pair.reference.array[pair.mask].astype(np.float64)
    error, regions = _error(pair), list(_regions(reference, pair, settings))
    half_width = predicted_half_width(pair)
    promise = None if pair.prediction is None else pair.prediction.interval
    return [
        *_std_values(pair, settings, error, regions),
        *interval_values(error, half_width, promise, regions),
    ]


def _std_values(
    pair: Pair, settings: UncertaintySettings, error: FloatArray, regions: Sequence[Region]
) -> list[Value | Curve]:
    found, samples = predicted_std(pair)
    if found is None:
        rows = [undefined(m, name, NO_STD) for name, _ in regions for m in OF_STD]
        return [undefined("std_samples", "body", NO_STD), *rows]
    behind = std_samples(samples)
    first = (
        undefined("std_samples", "body", behind.why)
        if isinstance(behind, NoValue)
        else ok("std_samples", "body", behind)
    )
    values: list[Value | Curve] = [first]
    for name, chosen in regions:
        values += _measure(name, error[chosen], found[chosen], settings)
    return values


def predicted_half_width(pair: Pair) -> FloatArray | None:
    """Return the half width of the translator's interval at the mask's voxels, or None."""
    prediction = pair.prediction
    if prediction is None or prediction.half_width is None:
        return None
    _require_alike(pair, {"the half width": prediction.half_width})
    return prediction.half_width.array[pair.mask].astype(np.float64)


def predicted_std(pair: Pair) -> tuple[FloatArray | None, int]:
    """Return σ of the mask's voxels, and of how many samples it is (0: the translator's own).

    The translator's own std comes first; else that of at least two samples, with n - 1.
    """
    prediction = pair.prediction
    if prediction is None:
        return None, 0
    if prediction.std is not None:
        _require_alike(pair, {"the std": prediction.std})
        return prediction.std.array[pair.mask].astype(np.float64), 0
    samples = prediction.samples
    if len(samples) < 2:
        return None, 0
    _require_alike(pair, {f"sample {n}": sample for n, sample in enumerate(samples, 1)})
    drawn = [sample.array[pair.mask].astype(np.float64) for sample in samples]
    with np.errstate(invalid="ignore"):  # an infinite sample leaves a std that is no number
        mean = sum(drawn[1:], drawn[0]) / len(drawn)
        squares = sum((np.square(values - mean) for values in drawn), np.zeros(mean.shape))
    return np.sqrt(squares / (len(drawn) - 1)), len(drawn)


def _require_alike(pair: Pair, volumes: dict[str, Volume]) -> None:
    require_same_grid({"the reference": pair.reference, **volumes})
    for name, volume in volumes.items():
        if volume.quantity != pair.reference.quantity:
            raise InputError(
                f"Cannot hold {name} in {volume.quantity} against errors in "
                f"{pair.reference.quantity}."
            )


def _error(pair: Pair) -> FloatArray:
    synthetic = pair.synthetic.array[pair.mask].astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinite on both sides: counted as not finite
        return np.abs(synthetic - pair.reference.array[pair.mask])


def _regions(reference: FloatArray, pair: Pair, settings: UncertaintySettings) -> Iterator[Region]:
    yield "body", slice(None)
    for band in settings.bands.get(pair.reference.quantity, ()):
        low = -np.inf if band.low is None else band.low
        high = np.inf if band.high is None else band.high
        # a reference that is not finite may belong to any band, so it is an error in all of them
        yield band.name, ((reference >= low) & (reference < high)) | ~np.isfinite(reference)


def _measure(
    region: str, error: FloatArray, std: FloatArray, settings: UncertaintySettings
) -> list[Value | Curve]:
    if error.size == 0:
        none = absent("no voxel of the mask lies in it")
        return [as_value(m, region, none) for m in OF_STD]
    wrong = int(np.count_nonzero(~np.isfinite(error)))
    if wrong:
        why = f"{wrong} of {error.size} voxels are not finite in the synthetic or reference image"
        return [failed(m, region, why) for m in OF_STD]
    wrong = int(np.count_nonzero(~(np.isfinite(std) & (std > 0))))
    if wrong:
        why = f"the std of {wrong} of {error.size} voxels is not a positive number"
        return [failed(m, region, why) for m in OF_STD]
    claim = claim_of(error, std, settings)
    values: list[Value | Curve] = [_value(name, region, claim) for name in OF_STD]
    return values + (_curves(claim) if region == "body" else [])


def _value(name: str, region: str, claim: Claim) -> Value:
    found = OF_STD[name](claim)
    share = claim.ranked_error.size / claim.error.size if name in _RANKED else 1.0
    return as_value(name, region, found, coverage=share)


def _curves(claim: Claim) -> list[Value | Curve]:
    def curve(name: str, x: FloatArray, y: FloatArray) -> Curve:
        return Curve(curve=name, region="body", x=x, y=y, x_unit="1", y_unit="1")

    curves: list[Value | Curve] = [curve("calibration", claim.levels, claim.observed)]
    if claim.std_order.constant or claim.error_order.constant:
        return curves
    for name, order in (
        ("sparsification", claim.std_order),
        ("sparsification_oracle", claim.error_order),
    ):
        remaining = remaining_error(claim.ranked_error, order, claim.removed)
        curves.append(curve(name, claim.removed, remaining))
    return curves
