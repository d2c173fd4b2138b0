"""Voxel-wise comparison of a synthetic image with its reference, region by region.

Every metric of the family ``image`` is a function from a :class:`Sample` (the voxels of one
region) to a number. The voxels are taken out of the volumes once, the SSIM map is computed
once, and every metric is applied to every region.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.errors import InputError
from qa_suite.measures.base import (
    FAMILIES,
    METRICS,
    FamilyFacts,
    MetricFacts,
    NoValue,
    Pair,
    Value,
    failed,
    ok,
    undefined,
)
from qa_suite.measures.image_settings import SYNTHRAD_RANGE_HU, ImageSettings
from qa_suite.measures.regions import Comparison, Region, compare, regions_of

FloatArray = NDArray[np.float64]
_EMPTY = "a region without voxels is undefined; a voxel that is not finite is an error"
_RANGE = {"range_low": SYNTHRAD_RANGE_HU[0], "range_high": SYNTHRAD_RANGE_HU[1]}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The voxels of one region, in the order of the array.

    Parameters
    ----------
    reference, synthetic
        Values, shape (voxels,), finite, at least one.
    difference
        Synthetic minus reference.
    data_range
        Highest minus lowest value of the quantity, or why there is none.
    ssim
        SSIM of the voxels whose window lies inside the image, or why there is none.
    """

    reference: FloatArray
    synthetic: FloatArray
    difference: FloatArray
    data_range: float | NoValue
    ssim: FloatArray | NoValue


# ---------------------------------------------------------------------------------------
# The metrics


@METRICS.add(
    "mae",
    MetricFacts(
        family="image",
        title="Mean absolute error",
        unit="HU",
        direction="lower",
        range="[0, inf)",
        formula="mean |synthetic - reference| over the region's voxels",
        empty=_EMPTY,
        reference="Huijben et al. 2024, Med Image Anal 97:103276 (SynthRAD2023)",
    ),
)
def mae(sample: Sample) -> float:
    """Mean absolute error, in the unit of the reference."""
    return float(np.abs(sample.difference).mean())


@METRICS.add(
    "me",
    MetricFacts(
        family="image",
        title="Mean error (signed bias)",
        unit="HU",
        direction="zero",
        range="(-inf, inf)",
        formula="mean (synthetic - reference) over the region's voxels",
        empty=_EMPTY,
        reference="Spadea, Maspero, Zaffino, Seco 2021, Med Phys 48:6537",
    ),
)
def me(sample: Sample) -> float:
    """Mean error; positive where the synthetic image is too high."""
    return float(sample.difference.mean())


@METRICS.add(
    "rmse",
    MetricFacts(
        family="image",
        title="Root mean square error",
        unit="HU",
        direction="lower",
        range="[0, inf)",
        formula="sqrt(mean (synthetic - reference)²) over the region's voxels",
        empty=_EMPTY,
        reference="Spadea, Maspero, Zaffino, Seco 2021, Med Phys 48:6537",
    ),
)
def rmse(sample: Sample) -> float:
    """Root mean square error, in the unit of the reference."""
    return float(np.sqrt(np.square(sample.difference).mean()))


@METRICS.add(
    "psnr",
    MetricFacts(
        family="image",
        title="Peak signal-to-noise ratio",
        unit="dB",
        direction="higher",
        range="(-inf, inf)",
        formula=(
            "20 log10(Q / rmse) over the region's voxels; Q = highest minus lowest value of the "
            "data range; values are not clipped"
        ),
        empty=f"{_EMPTY}; identical images have no finite PSNR and are undefined",
        reference="Huijben et al. 2024, Med Image Anal 97:103276 (which clips; this does not)",
        settings=_RANGE,
    ),
)
def psnr(sample: Sample) -> float | NoValue:
    """Peak signal-to-noise ratio, in dB."""
    if isinstance(sample.data_range, NoValue):
        return sample.data_range
    error = rmse(sample)
    if error == 0:
        return NoValue(why="the images are identical in this region, so PSNR is infinite")
    return float(20 * np.log10(sample.data_range / error))


@METRICS.add(
    "ssim",
    MetricFacts(
        family="image",
        title="Structural similarity index, 3-D",
        unit="1",
        direction="higher",
        range="[-1, 1]",
        formula=(
            "mean over the region of (2 μx μy + C1)(2 σxy + C2) / ((μx² + μy² + C1)(σx² + σy² + "
            "C2)); C1 = (k1 Q)², C2 = (k2 Q)²; local means and sample (co)variances in a uniform "
            "cubic window; both images clipped to the data range, set to its lowest value "
            "outside the mask and shifted to start at zero; voxels whose window leaves the "
            "image are left out and lower the coverage"
        ),
        empty=(
            f"{_EMPTY}; a region where no window fits into the image is undefined; one voxel "
            "that is not finite in the mask is an error in every region"
        ),
        reference=(
            "Wang et al. 2004, IEEE Trans Image Process 13:600; masked as in Huijben et al. "
            "2024, Med Image Anal 97:103276 (SynthRAD2023)"
        ),
        settings={"window_voxels": 7, "kernel": "uniform", "k1": 0.01, "k2": 0.03, **_RANGE},
    ),
)
def ssim(sample: Sample) -> float | NoValue:
    """Mean of the SSIM map in the region."""
    if isinstance(sample.ssim, NoValue):
        return sample.ssim
    if sample.ssim.size == 0:
        return NoValue(why="no SSIM window around a voxel of this region fits into the image")
    return float(sample.ssim.mean())


# ---------------------------------------------------------------------------------------
# The family


@FAMILIES.add(
    "image",
    FamilyFacts(
        title="Voxel-wise errors and similarity, by region and tissue",
        needs=("reference", "mask"),
    ),
)
def image(pair: Pair, settings: ImageSettings) -> list[Value]:
    """Measure every metric of the family in the mask, its tissue bands and the structures.

    Parameters
    ----------
    pair
        Reference and synthetic image of one quantity.
    settings
        Data range, bands and SSIM window.

    Returns
    -------
    list of Value
        Regions ``body`` (the mask), the bands by name and ``structure:NAME`` (its part inside
        the mask; the coverage tells how much that is).

    Raises
    ------
    InputError
        If the two images hold different quantities, or labels.
    """
    quantity = pair.reference.quantity
    if quantity == "label" or pair.synthetic.quantity != quantity:
        raise InputError(
            f"Cannot compare a synthetic image of {pair.synthetic.quantity} with a reference of "
            f"{quantity}."
        )
    comparison = compare(pair, settings)
    values: list[Value] = []
    for region in regions_of(pair, comparison, settings):
        values += _measure(region, comparison)
    return values


def _measure(region: Region, comparison: Comparison) -> list[Value]:
    names = [entry.name for entry in METRICS if entry.facts.family == "image"]
    finite = region.take(comparison.finite)
    measured = int(np.count_nonzero(finite))
    if finite.size == 0:
        coverage = 0.0 if region.voxels else None
        return [undefined(n, region.name, region.why_empty, coverage=coverage) for n in names]
    coverage = measured / region.voxels
    wrong = finite.size - measured
    if wrong:
        why = (
            f"{wrong} of {finite.size} voxels are not finite in the synthetic or the reference "
            f"image"
        )
        return [failed(n, region.name, why, coverage=coverage) for n in names]
    reference = region.take(comparison.reference)
    synthetic = region.take(comparison.synthetic)
    similarity: FloatArray | NoValue
    if isinstance(comparison.ssim, NoValue):
        similarity = comparison.ssim
    else:
        windows = region.take(comparison.ssim)
        similarity = windows[np.isfinite(windows)].astype(np.float64)
    sample = Sample(
        reference=reference,
        synthetic=synthetic,
        difference=synthetic - reference,
        data_range=comparison.data_range,
        ssim=similarity,
    )
    return [_value(name, region, sample, coverage, comparison) for name in names]


def _value(
    name: str, region: Region, sample: Sample, coverage: float, comparison: Comparison
) -> Value:
    if name == "ssim":
        wrong = int(np.count_nonzero(~comparison.finite))
        if wrong:
            why = f"{wrong} voxels of the mask are not finite, and SSIM windows reach into them"
            return failed(name, region.name, why, coverage=coverage)
        if not isinstance(sample.ssim, NoValue):
            coverage = sample.ssim.size / region.voxels
    result = METRICS[name].function(sample)
    if isinstance(result, NoValue):
        return undefined(name, region.name, result.why, coverage=coverage)
    return ok(name, region.name, result, coverage=coverage)
