"""Comparison of a synthetic image with its reference, region by region.

Most metrics of the family ``image`` are functions from a :class:`Sample` (the voxels of one
region) to a number. The voxels are taken out of the volumes once, the SSIM and gradient maps
are computed once, and every metric is applied to every region. Those that look at the whole
mask stand in ``image_body.py``; the conventions of the SynthRAD challenges in ``synthrad.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qa_suite.errors import InputError
from qa_suite.measures import image_body as _image_body  # noqa: F401  registers its metrics
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
from qa_suite.measures.comparison import Comparison, compare
from qa_suite.measures.image_settings import SYNTHRAD_RANGE_HU, ImageSettings
from qa_suite.measures.regions import Region, Sample, regions_of
from qa_suite.measures.synthrad import synthrad

_EMPTY = "a region without voxels is undefined; a voxel that is not finite is an error"
_REACHES = "one voxel that is not finite in the mask is an error in every region"
_RANGE = {"range_low": SYNTHRAD_RANGE_HU[0], "range_high": SYNTHRAD_RANGE_HU[1]}
_COVERED = {"ssim": "windows", "gradient_error": "neighbourhoods"}
"""Metrics that look around a voxel, and the sum that counts the voxels that they could."""


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
        empty=(f"{_EMPTY}; a region where no window fits into the image is undefined; {_REACHES}"),
        reference=(
            "Wang et al. 2004, IEEE Trans Image Process 13:600; masked as in Huijben et al. "
            "2024, Med Image Anal 97:103276 (SynthRAD2023)"
        ),
        settings={
            "window_voxels": 7,
            "kernel": "uniform",
            "covariance": "sample",
            "k1": 0.01,
            "k2": 0.03,
            "edge": "a voxel whose window leaves the image is left out",
            **_RANGE,
        },
    ),
)
def ssim(sample: Sample) -> float | NoValue:
    """Mean of the SSIM map in the region."""
    if isinstance(sample.data_range, NoValue):
        return sample.data_range
    if sample.sums.windows == 0:
        return NoValue(why="no SSIM window around a voxel of this region fits into the image")
    return sample.sums.ssim / sample.sums.windows


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


@METRICS.add(
    "ncc",
    MetricFacts(
        family="image",
        title="Normalised cross-correlation",
        unit="1",
        direction="higher",
        range="[-1, 1]",
        formula="covariance of synthetic and reference over the product of their standard "
        "deviations, over the region's voxels (Pearson's r)",
        empty=f"{_EMPTY}; undefined where one of the images is constant in the region",
        reference="Lewis 1995, Vision Interface 95:120",
    ),
)
def ncc(sample: Sample) -> float | NoValue:
    """Correlation of the two images' voxels."""
    reference, synthetic, covariance = sample.sums.variances
    if reference == 0 or synthetic == 0:
        which = "reference" if reference == 0 else "synthetic image"
        return NoValue(why=f"the {which} is constant in this region")
    return float(np.clip(covariance / np.sqrt(reference * synthetic), -1, 1))


@METRICS.add(
    "slope_error",
    MetricFacts(
        family="image",
        title="Error of the HU scale",
        unit="%",
        direction="zero",
        range="(-inf, inf)",
        formula=(
            "100 (slope - 1); slope = covariance / variance of the reference over the region's "
            "voxels: the least-squares line of synthetic on reference"
        ),
        empty=f"{_EMPTY}; undefined where the reference is constant in the region",
        reference="Definition of this suite",
    ),
)
def slope_error(sample: Sample) -> float | NoValue:
    """Slope of synthetic on reference, less one, in percent."""
    reference, _, covariance = sample.sums.variances
    if reference == 0:
        return NoValue(why="the reference is constant in this region")
    return 100 * (covariance / reference - 1)


@METRICS.add(
    "mutual_information",
    MetricFacts(
        family="image",
        title="Mutual information",
        unit="bit",
        direction="higher",
        range="[0, inf)",
        formula=(
            "Σ p(r, s) log2(p(r, s) / (p(r) p(s))) over the joint histogram of the region's "
            "voxels; equal bins over the data range, values beyond it in the outermost bins"
        ),
        empty=f"{_EMPTY}; undefined without a data range",
        reference="Viola and Wells 1997, Int J Comput Vis 24:137; Maes et al. 1997, IEEE Trans "
        "Med Imaging 16:187",
        settings={"bins": ImageSettings().information_bins, **_RANGE},
    ),
)
def mutual_information(sample: Sample) -> float | NoValue:
    """Mutual information of the two images' voxels, in bits."""
    from qa_suite.measures.image_kernels import mutual_information_of

    if isinstance(sample.data_range, NoValue):
        return sample.data_range
    c = sample.comparison
    information = mutual_information_of(sample.chosen, c.cells, c.settings.information_bins)
    return max(float(information), 0.0)


@METRICS.add(
    "gradient_error",
    MetricFacts(
        family="image",
        title="Error of the gradient's magnitude",
        unit="HU/mm",
        direction="lower",
        range="[0, inf)",
        formula=(
            "mean | |∇synthetic| - |∇reference| | over the region's voxels whose six neighbours "
            "lie in the mask; ∇ by central differences over the voxel spacing"
        ),
        empty=f"{_EMPTY}; undefined where no voxel has its six neighbours in the mask; {_REACHES}",
        reference="Nie et al. 2018, IEEE Trans Biomed Eng 65:2720 (squared there, as a loss)",
        settings={
            "kernel": "central difference, (f(+1) - f(-1)) / (2 spacing)",
            "edge": "a voxel with a neighbour outside the mask or the image is left out",
        },
    ),
)
def gradient_error(sample: Sample) -> float | NoValue:
    """Mean absolute difference of the gradients' magnitudes, per mm."""
    if sample.sums.neighbourhoods == 0:
        return NoValue(why="no voxel of this region has its six neighbours in the mask")
    return sample.sums.gradient / sample.sums.neighbourhoods


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
    entries = [entry for entry in METRICS if entry.facts.family == "image"]
    of_body = [e.name for e in entries if e.facts.settings.get("regions") == "body"]
    of_regions = [e.name for e in entries if e.name not in of_body]
    values: list[Value] = []
    for region in regions_of(pair, comparison, settings):
        names = of_regions + of_body if region.name == "body" else of_regions
        values += _measure(names, region, comparison)
    if quantity == "HU":
        for mode in settings.synthrad_modes:
            values += synthrad(comparison, mode)
    return values


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
        elif comparison.wrong and name in _COVERED:
            why = f"{comparison.wrong} voxels of the mask are not finite, and {name} may reach them"
            yield failed(name, region.name, why, coverage=coverage)
        else:
            yield _value(name, region, sample, coverage)


def _value(name: str, region: Region, sample: Sample, coverage: float) -> Value:
    entry = METRICS[name]
    result: float | NoValue
    if entry.facts.settings.get("regions") == "body":
        found = entry.function(sample.comparison)
        result, coverage = found if isinstance(found, tuple) else (found, coverage)
    else:
        result = entry.function(sample)
        if name in _COVERED:
            coverage = getattr(sample.sums, _COVERED[name]) / region.voxels
    if isinstance(result, NoValue):
        return undefined(name, region.name, result.why, coverage=coverage)
    return ok(name, region.name, result, coverage=coverage)
