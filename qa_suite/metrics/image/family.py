"""Comparison of a synthetic image with its reference, region by region.

Most metrics of the family ``image`` are functions from a :class:`Sample` (the voxels of one
region) to a number. The voxels are taken out of the volumes once, the SSIM and gradient maps
are computed once, and every metric is applied to every region. Likenesses stand in
``similarity.py``, those that look at the whole mask in ``whole_body.py``, the
conventions of the SynthRAD challenges in ``synthrad.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qa_suite.core.errors import InputError
from qa_suite.metrics.base import (
    FAMILIES,
    METRICS,
    Censored,
    FamilyFacts,
    MetricFacts,
    NoValue,
    Pair,
    Value,
    as_value,
    failed,
    ok,
    undefined,
)
from qa_suite.metrics.image import beams as _beams  # noqa: F401  registers its metrics
from qa_suite.metrics.image import cancelling as _cancelling  # noqa: F401
from qa_suite.metrics.image import noise as _image_noise
from qa_suite.metrics.image import whole_body as _whole_body  # noqa: F401
from qa_suite.metrics.image.comparison import Comparison, compare
from qa_suite.metrics.image.regions import Region, Sample, regions_of
from qa_suite.metrics.image.settings import ImageSettings
from qa_suite.metrics.image.similarity import COVERED, REACHING
from qa_suite.metrics.image.similarity import EMPTY as _EMPTY
from qa_suite.metrics.image.similarity import RANGE as _RANGE
from qa_suite.metrics.image.synthrad import synthrad
from qa_suite.metrics.scale import RemovedScale, ScaleSettings

_SCALE = ScaleSettings()

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
    return sample.sums.absolute / sample.sums.voxels


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
    return sample.sums.difference / sample.sums.voxels


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
    return float(np.sqrt(sample.sums.square / sample.sums.voxels))


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
    "percentile_99_error",
    MetricFacts(
        family="image",
        title="99th percentile of the absolute error",
        unit="HU",
        direction="lower",
        range="[0, inf)",
        formula=(
            "smallest |synthetic - reference| of the region that at least 99 % of its voxels do "
            "not exceed (nearest rank)"
        ),
        empty=_EMPTY,
        reference="Hyndman and Fan 1996, Am Stat 50:361, definition 1 (the quantile)",
        settings={"percentile": 99, "rank": "nearest"},
    ),
)
def percentile_99_error(sample: Sample) -> float:
    """99th percentile of the absolute error, in the unit of the reference."""
    values = sample.comparison.absolute_error[sample.chosen]
    rank = -(-99 * values.size // 100) - 1
    return float(np.partition(values, rank)[rank])


# ---------------------------------------------------------------------------------------
# The family


@FAMILIES.add(
    "image",
    FamilyFacts(
        title="Voxel-wise errors and similarity, by region and tissue",
        needs=("reference", "mask"),
        common_scale=True,
    ),
)
def image(pair: Pair, settings: ImageSettings) -> list[Value]:
    """Measure every metric of the family.

    Parameters
    ----------
    pair
        Reference and synthetic image of one quantity.
    settings
        Data range, regions, windows and bins.

    Returns
    -------
    list of Value
        Regions ``body`` (the mask), the bands by name, ``structure:NAME`` (its part inside
        the mask; the coverage tells how much that is) and the shells. Metrics of scales,
        frequencies and slices, and the SynthRAD variants (for HU), are given for ``body`` only.

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
    entries = [
        entry
        for entry in METRICS
        if entry.facts.family == "image" and (settings.only is None or entry.name in settings.only)
    ]
    of_body = [e.name for e in entries if e.facts.settings.get("regions") == "body"]
    of_scale = [e.name for e in entries if e.facts.settings.get("regions") == "scale"]
    of_regions = [e.name for e in entries if e.name not in (*of_body, *of_scale)]
    values: list[Value] = []
    for region in regions_of(pair, comparison, settings):
        names = of_regions + of_body if region.name == "body" else of_regions
        values += _measure(names, region, comparison)
    if quantity == "HU":
        for mode in settings.synthrad_modes:
            values += synthrad(comparison, mode)
    if pair.scale is not None:
        values += scale_values(pair.scale)
    return values


def noise(pair: Pair, settings: ImageSettings) -> list[Value]:
    """Measure no more than whether the synthetic image repeats the reference's own noise."""
    comparison = compare(pair, settings)
    body = next(regions_of(pair, comparison, settings))
    return list(_measure(list(_image_noise.NAMES), body, comparison))


@METRICS.add(
    "reference_scale",
    MetricFacts(
        family="image",
        title="Value of the reference that became 100",
        unit="a.u.",
        direction="none",
        range="(0, inf)",
        formula="the percentile of the reference's voxels in the mask that its scale is told by",
        empty="left out where the reference has a unit of its own",
        reference="Definition of this suite",
        settings={"percentile": _SCALE.percentile, "regions": "scale"},
        quantities=("arbitrary",),
        because="its scale is not arbitrary",
    ),
)
def reference_scale(scale: RemovedScale) -> float:
    """Return the percentile of the reference, in its own unit."""
    return scale.reference


@METRICS.add(
    "scale_ratio",
    MetricFacts(
        family="image",
        title="Scale of the synthetic image against the reference's",
        unit="1",
        direction="none",
        range="(0, inf)",
        formula="the same percentile of the synthetic image over that of the reference; 1: equal",
        empty="left out where the reference has a unit of its own",
        reference="Definition of this suite",
        settings={"percentile": _SCALE.percentile, "of": _SCALE.of, "regions": "scale"},
        quantities=("arbitrary",),
        because="its scale is not arbitrary",
    ),
)
def scale_ratio(scale: RemovedScale) -> float:
    """Return the ratio of both images' percentiles; it is removed before errors are taken."""
    return scale.synthetic / scale.reference


def scale_values(scale: RemovedScale) -> list[Value]:
    """Say by which values the images were scaled, so that nothing vanishes with it."""
    first = ok("reference_scale", "body", reference_scale(scale))
    if np.isfinite(scale.synthetic):
        return [first, ok("scale_ratio", "body", scale_ratio(scale))]
    return [first, failed("scale_ratio", "body", "the synthetic image has no finite voxel")]


def _measure(names: list[str], region: Region, comparison: Comparison) -> Iterator[Value]:
    voxels = int(np.count_nonzero(region.chosen))
    if voxels == 0:
        coverage = 0.0 if region.voxels else None
        for name in names:
            yield undefined(name, region.name, region.why_empty, coverage=coverage)
        return
    wrong = 0
    if comparison.wrong:
        wrong = int(np.count_nonzero(region.chosen & ~comparison.finite))
    coverage = (voxels - wrong) / region.voxels
    sample = Sample(comparison=comparison, chosen=region.chosen)
    for name in names:
        if wrong:
            images = "the synthetic or the reference image"
            why = f"{wrong} of {voxels} voxels are not finite in {images}"
            yield failed(name, region.name, why, coverage=coverage)
        elif comparison.wrong and name in REACHING:
            why = f"{comparison.wrong} voxels of the mask are not finite, and {name} may reach them"
            yield failed(name, region.name, why, coverage=coverage)
        else:
            yield _value(name, region, sample, coverage)


def _value(name: str, region: Region, sample: Sample, coverage: float) -> Value:
    entry = METRICS[name]
    result: float | Censored | NoValue
    if entry.facts.settings.get("regions") == "body":
        found = entry.function(sample.comparison)
        result, coverage = found if isinstance(found, tuple) else (found, coverage)
    else:
        result = entry.function(sample)
        if name in COVERED:
            coverage = getattr(sample.sums, COVERED[name]) / region.voxels
    return as_value(name, region.name, result, coverage=coverage)
