"""Image measures of a region that ask how alike two images are, beyond their differences.

As in ``image.py``, each is a function from a :class:`Sample` to a number.
"""

from __future__ import annotations

import math

import numpy as np

from qa_suite.metrics.base import METRICS, MetricFacts, NoValue
from qa_suite.metrics.image.regions import Sample
from qa_suite.metrics.image.settings import SYNTHRAD_RANGE_HU, ImageSettings

EMPTY = "a region without voxels is undefined; a voxel that is not finite is an error"
RANGE = {"range_low": SYNTHRAD_RANGE_HU[0], "range_high": SYNTHRAD_RANGE_HU[1]}
REACHING = ("ssim", "gradient_error")
"""Metrics that look around a voxel."""
COVERED = {"gradient_error": "neighbourhoods"}
"""Metrics that leave voxels out, and the sum that counts the others."""
_REACHES = "one voxel that is not finite in the mask is an error in every region"


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
def ssim(sample: Sample) -> float | NoValue:
    """Mean of the SSIM map in the region."""
    if isinstance(sample.data_range, NoValue):
        return sample.data_range
    return sample.sums.ssim / sample.sums.voxels


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
        empty=f"{EMPTY}; undefined where one of the images is constant in the region",
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
        title="Error of the scale of values (slope)",
        unit="%",
        direction="zero",
        range="(-inf, inf)",
        formula=(
            "100 (slope - 1); slope = covariance / variance of the reference over the region's "
            "voxels: the least-squares line of synthetic on reference"
        ),
        empty=f"{EMPTY}; undefined where the reference is constant in the region",
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
        range=f"[0, {math.log2(ImageSettings().information_bins):g}]",
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
def mutual_information(sample: Sample) -> float | NoValue:
    """Mutual information of the two images' voxels, in bits."""
    from qa_suite.metrics.image.kernels import mutual_information_of

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
        empty=f"{EMPTY}; undefined where no voxel has its six neighbours in the mask; {_REACHES}",
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
