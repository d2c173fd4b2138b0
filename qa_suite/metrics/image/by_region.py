"""Metrics of a region: each a function from its voxels to a number, in every region.

How far the voxels are off, and how alike the images are. A new one needs no more than its entry
and its function: the family measures it in the body, the tissue bands, the shells and every
structure.
"""

from __future__ import annotations

import math

import numpy as np

from qa_suite.metrics.base import NoValue, absent
from qa_suite.metrics.facts import REFERENCE_UNIT, MetricFacts
from qa_suite.metrics.image.regions import BY_REGION, RegionVoxels
from qa_suite.metrics.image.settings import SYNTHRAD_RANGE_HU, ImageSettings

EMPTY = "a region without voxels is undefined; a voxel that is not finite is an error"
RANGE = {"range_low": SYNTHRAD_RANGE_HU[0], "range_high": SYNTHRAD_RANGE_HU[1]}
REACHING = ("ssim", "gradient_error")
"""Metrics that look around a voxel."""
COVERED = {"gradient_error": "neighbourhoods"}
"""Metrics that leave voxels out, and the sum that counts the others."""
_REACHES = "one voxel that is not finite in the mask is an error in every region"


@BY_REGION.add(
    "mae",
    MetricFacts(
        family="image",
        title="Mean absolute error",
        unit=REFERENCE_UNIT,
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula="mean |synthetic - reference| over the region's voxels",
        empty=EMPTY,
        reference="Huijben et al. 2024, Med Image Anal 97:103276 (SynthRAD2023)",
    ),
)
def mae(voxels: RegionVoxels) -> float:
    """Mean absolute error, in the unit of the reference."""
    return voxels.sums.absolute / voxels.sums.voxels


@BY_REGION.add(
    "me",
    MetricFacts(
        family="image",
        title="Mean error (signed bias)",
        unit=REFERENCE_UNIT,
        direction="zero",
        range="(-inf, inf)",
        kind="signed",
        formula="mean (synthetic - reference) over the region's voxels",
        empty=EMPTY,
        reference="Spadea, Maspero, Zaffino, Seco 2021, Med Phys 48:6537",
    ),
)
def me(voxels: RegionVoxels) -> float:
    """Mean error; positive where the synthetic image is too high."""
    return voxels.sums.difference / voxels.sums.voxels


@BY_REGION.add(
    "rmse",
    MetricFacts(
        family="image",
        title="Root mean square error",
        unit=REFERENCE_UNIT,
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula="sqrt(mean (synthetic - reference)²) over the region's voxels",
        empty=EMPTY,
        reference="Spadea, Maspero, Zaffino, Seco 2021, Med Phys 48:6537",
    ),
)
def rmse(voxels: RegionVoxels) -> float:
    """Root mean square error, in the unit of the reference."""
    return _root_mean_square(voxels)


def _root_mean_square(voxels: RegionVoxels) -> float:
    return float(np.sqrt(voxels.sums.square / voxels.sums.voxels))


@BY_REGION.add(
    "psnr",
    MetricFacts(
        family="image",
        title="Peak signal-to-noise ratio",
        unit="dB",
        direction="higher",
        range="(-inf, inf)",
        kind="signed",
        formula=(
            "20 log10(Q / rmse) over the region's voxels; Q = highest minus lowest value of the "
            "data range; values are not clipped"
        ),
        empty=f"{EMPTY}; identical images have no finite PSNR and are undefined",
        reference="Huijben et al. 2024, Med Image Anal 97:103276 (which clips; this does not)",
        settings=RANGE,
    ),
)
def psnr(voxels: RegionVoxels) -> float | NoValue:
    """Peak signal-to-noise ratio, in dB."""
    if isinstance(voxels.data_range, NoValue):
        return voxels.data_range
    error = _root_mean_square(voxels)
    if error == 0:
        return NoValue(why="the images are identical in this region, so PSNR is infinite")
    return float(20 * np.log10(voxels.data_range / error))


@BY_REGION.add(
    "percentile_99_error",
    MetricFacts(
        family="image",
        title="99th percentile of the absolute error",
        unit=REFERENCE_UNIT,
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula=(
            "smallest |synthetic - reference| of the region that at least 99 % of its voxels do "
            "not exceed (nearest rank)"
        ),
        empty=EMPTY,
        reference="Hyndman and Fan 1996, Am Stat 50:361, definition 1 (the quantile)",
        settings={"percentile": 99, "rank": "nearest"},
    ),
)
def percentile_99_error(voxels: RegionVoxels) -> float:
    """99th percentile of the absolute error, in the unit of the reference."""
    values = voxels.comparison.absolute_error[voxels.chosen]
    rank = -(-99 * values.size // 100) - 1
    return float(np.partition(values, rank)[rank])


@BY_REGION.add(
    "ssim",
    MetricFacts(
        family="image",
        title="Structural similarity index, 3-D",
        unit="1",
        direction="higher",
        range="[-1, 1]",
        kind="bounded",
        formula=(
            "mean over the region of (2 μx μy + C1)(2 σxy + C2) / ((μx² + μy² + C1)(σx² + σy² + "
            "C2)); C1 = (k1 Q)², C2 = (k2 Q)²; local means and sample (co)variances in a uniform "
            "cubic window; both images clipped to the data range, set to its lowest value "
            "outside the mask and beyond the image, and shifted to start at zero"
        ),
        empty=f"{EMPTY}; {_REACHES}",
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
            "edge": "beyond the image all is outside the mask",
            **RANGE,
        },
    ),
)
def ssim(voxels: RegionVoxels) -> float | NoValue:
    """Mean of the SSIM map in the region."""
    if isinstance(voxels.data_range, NoValue):
        return voxels.data_range
    return voxels.sums.ssim / voxels.sums.voxels


@BY_REGION.add(
    "ncc",
    MetricFacts(
        family="image",
        title="Normalised cross-correlation",
        unit="1",
        direction="higher",
        range="[-1, 1]",
        kind="bounded",
        formula="covariance of synthetic and reference over the product of their standard "
        "deviations, over the region's voxels (Pearson's r)",
        empty=f"{EMPTY}; undefined where one of the images is constant in the region",
        reference="Lewis 1995, Vision Interface 95:120",
    ),
)
def ncc(voxels: RegionVoxels) -> float | NoValue:
    """Correlation of the two images' voxels."""
    reference, synthetic, covariance = voxels.sums.variances
    if reference == 0 or synthetic == 0:
        which = "reference" if reference == 0 else "synthetic image"
        return NoValue(
            why=f"the {which} is constant in this region", absent_in_reference=reference == 0
        )
    return float(np.clip(covariance / np.sqrt(reference * synthetic), -1, 1))


@BY_REGION.add(
    "slope_error",
    MetricFacts(
        family="image",
        title="Error of the scale of values (slope)",
        unit="%",
        direction="zero",
        range="(-inf, inf)",
        kind="signed",
        formula=(
            "100 (slope - 1); slope = covariance / variance of the reference over the region's "
            "voxels: the least-squares line of synthetic on reference"
        ),
        empty=f"{EMPTY}; undefined where the reference is constant in the region",
        reference="Definition of this suite",
    ),
)
def slope_error(voxels: RegionVoxels) -> float | NoValue:
    """Slope of synthetic on reference, less one, in percent."""
    reference, _, covariance = voxels.sums.variances
    if reference == 0:
        return absent("the reference is constant in this region")
    return 100 * (covariance / reference - 1)


@BY_REGION.add(
    "mutual_information",
    MetricFacts(
        family="image",
        title="Mutual information",
        unit="bit",
        direction="higher",
        range=f"[0, {math.log2(ImageSettings().information_bins):g}]",
        kind="bounded",
        formula=(
            "Σ p(r, s) log2(p(r, s) / (p(r) p(s))) over the joint histogram of the region's "
            "voxels; equal bins over the data range, values beyond it in the outermost bins; at "
            "most the log2 of the number of bins"
        ),
        empty=f"{EMPTY}; undefined without a data range",
        reference="Viola and Wells 1997, Int J Comput Vis 24:137; Maes et al. 1997, IEEE Trans "
        "Med Imaging 16:187",
        settings={"bins": ImageSettings().information_bins, **RANGE},
    ),
)
def mutual_information(voxels: RegionVoxels) -> float | NoValue:
    """Mutual information of the two images' voxels, in bits."""
    from qa_suite.metrics.image.kernels import mutual_information_of

    if isinstance(voxels.data_range, NoValue):
        return voxels.data_range
    c = voxels.comparison
    information = mutual_information_of(voxels.chosen, c.cells, c.settings.information_bins)
    return max(float(information), 0.0)


@BY_REGION.add(
    "gradient_error",
    MetricFacts(
        family="image",
        title="Error of the gradient's magnitude",
        unit=f"{REFERENCE_UNIT}/mm",
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula=(
            "mean | |∇synthetic| - |∇reference| | over the region's voxels whose six neighbours "
            "lie in the mask; ∇ by central differences over the voxel spacing"
        ),
        empty=f"{EMPTY}; undefined where no voxel has its six neighbours in the mask; {_REACHES}",
        reference="Nie et al. 2018, IEEE Trans Biomed Eng 65:2720 (squared there, as a loss)",
        settings={
            "kernel": "central difference, (f(+1) - f(-1)) / (2 spacing)",
            "edge": "a voxel with a neighbour outside the mask or the image is left out",
        },
    ),
)
def gradient_error(voxels: RegionVoxels) -> float | NoValue:
    """Mean absolute difference of the gradients' magnitudes, per mm."""
    if voxels.sums.neighbourhoods == 0:
        return absent("no voxel of this region has its six neighbours in the mask")
    return voxels.sums.gradient / voxels.sums.neighbourhoods
