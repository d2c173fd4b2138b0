"""Image measures of the whole mask: those that look at scales, frequencies or slices.

Each is a function from a :class:`Comparison` to its value and the share of the mask's voxels
that went into it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qa_suite.metrics.base import NoValue
from qa_suite.metrics.facts import REFERENCE_UNIT, MetricFacts
from qa_suite.metrics.image import noise
from qa_suite.metrics.image.comparison import OF_BODY, Comparison
from qa_suite.metrics.image.settings import MS_SSIM_WEIGHTS, SYNTHRAD_RANGE_HU, ImageSettings

_DEFAULT = ImageSettings()
_BODY: dict[str, Any] = {"regions": "body"}
_BELOW_THE_SKIN = "the skin is no texture: it is left out, and much of a thin limb is skin"
_IN_EVEN_TISSUE = "noise is told from the quietest places of even tissue"
_EMPTY = "an empty mask is undefined; a voxel of the mask that is not finite is an error"
_SPECTRUM = {
    **_BODY,
    "window_low": _DEFAULT.spectrum_window["HU"][0],
    "window_offset": "the synthetic image less its mean error where the reference lies in it",
    "window_high": _DEFAULT.spectrum_window["HU"][1],
    "skin_mm": _DEFAULT.skin_mm,
    "taper_mm": _DEFAULT.taper_mm,
    "taper": "3t² - 2t³ of the depth below skin_mm; the image's end counts as surface",
    "outside": "0, after the weighted mean is taken off",
}
_NO_SPECTRUM = (
    f"{_EMPTY}; undefined where less than 8 voxels along an axis lie deeper than skin_mm, or "
    "where an image is constant there"
)
_NO_NOISE = (
    f"undefined with fewer than {noise.FEWEST} quiet places, or where the reference has no noise "
    "there; a voxel of the mask that is not finite is an error"
)
_NOISE: dict[str, str | float | int | bool] = {
    **_BODY,
    "detail": "product of the three axes' second differences (1, -2, 1)",
    "places": "voxels whose 3×3×3 voxels lie in the mask, of even tissue by the reference",
    "flattest_share": noise.FLATTEST,
    "quietest_share": noise.QUIETEST,
    "standard_errors": noise.SURE,
    "tissue_low_hu": _DEFAULT.field_tissue["HU"][0],
    "tissue_high_hu": _DEFAULT.field_tissue["HU"][1],
    "clipped_at_robust_sd": noise.OUTLIER,
}


@OF_BODY.add(
    "ms_ssim",
    MetricFacts(
        family="image",
        title="Multi-scale structural similarity index, 3-D",
        unit="1",
        direction="higher",
        range="[0, 1]",
        kind="bounded",
        formula=(
            "product over the scales of (mean over the mask of contrast × structure)^weight, with "
            "luminance at the coarsest scale only; local means and (co)variances over the mask's "
            "part of a uniform cubic window; each scale averages the mask's part of cells twice "
            "as long, laid symmetrically over the mask's box; a coarser cell counts by its share "
            "of the mask; images clipped to the data range and shifted to start at zero; a "
            "negative mean counts as 0"
        ),
        empty=(
            f"{_EMPTY}; undefined without a data range, and where the mask spans fewer than 33 "
            "voxels of an axis: less than three cells at the fifth scale"
        ),
        reference=(
            "Wang, Simoncelli and Bovik 2003, Asilomar Conf Signals Syst Comput 37:1398, eq. 7"
        ),
        settings={
            **_BODY,
            "window_voxels": 7,
            "kernel": "uniform",
            "covariance": "population",
            "k1": 0.01,
            "k2": 0.03,
            "scales": len(MS_SSIM_WEIGHTS),
            "weights": ", ".join(str(weight) for weight in MS_SSIM_WEIGHTS),
            "edge": "what lies outside the mask, or the image, has no weight",
            "range_low": SYNTHRAD_RANGE_HU[0],
            "range_high": SYNTHRAD_RANGE_HU[1],
        },
    ),
)
def ms_ssim(comparison: Comparison) -> tuple[float, float] | NoValue:
    """MS-SSIM in the mask; every voxel of the mask counts."""
    from qa_suite.metrics.image.ms_ssim import ms_ssim_of

    if isinstance(comparison.data_range, NoValue):
        return comparison.data_range
    if isinstance(comparison.prepared, NoValue):
        raise ValueError("MS-SSIM needs finite voxels.")
    settings = comparison.settings
    value = ms_ssim_of(
        *comparison.prepared,
        comparison.mask,
        data_range=comparison.data_range,
        weights=settings.ms_ssim_weights,
        window=settings.ssim_window,
        k1=settings.ssim_k1,
        k2=settings.ssim_k2,
    )
    return value if isinstance(value, NoValue) else (value, 1.0)


@OF_BODY.add(
    "spectral_error",
    MetricFacts(
        family="image",
        title="Log-spectral distance",
        unit="dB",
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula=(
            "sqrt(mean over the frequency bins of (10 log10(P_synthetic / P_reference))²); P = "
            "power averaged over the bin's shell of frequencies in cycles/mm, of the images "
            "clipped to a window, in the tapered inside of the mask"
        ),
        empty=_NO_SPECTRUM,
        sampled=_BELOW_THE_SKIN,
        reference=(
            "Gray and Markel 1976, IEEE Trans Acoust Speech Signal Process 24:380 (the "
            "distance); its use on radial spectra is this suite's"
        ),
        settings={
            **_SPECTRUM,
            "bins": _DEFAULT.spectrum_bins,
            "narrowest_bin": "1 / shortest side of what is seen",
            "bins_end": "Nyquist frequency of the finest axis; empty bins are left out",
        },
    ),
)
def spectral_error(comparison: Comparison) -> tuple[float, float] | NoValue:
    """Unsigned distance of the two power spectra, in dB."""
    spectra = comparison.spectra
    if isinstance(spectra, NoValue):
        return spectra
    if min(spectra.reference.min(), spectra.synthetic.min()) <= 0:
        return NoValue(why="one of the images has no power at all at some frequency")
    decibels = 10 * np.log10(spectra.synthetic / spectra.reference)
    return float(np.sqrt(np.square(decibels).mean())), spectra.coverage


@OF_BODY.add(
    "high_frequency_ratio",
    MetricFacts(
        family="image",
        title="High-frequency power, synthetic over reference",
        unit="dB",
        direction="zero",
        range="(-inf, inf)",
        kind="signed",
        formula=(
            "10 log10(Σ P_synthetic / Σ P_reference) over the frequencies with "
            "sqrt(Σ_axes (f / f_Nyquist)²) >= from, of the images clipped to a window, in the "
            "tapered inside of the mask; "
            "negative is blurred, positive is noisy"
        ),
        empty=_NO_SPECTRUM,
        sampled=_BELOW_THE_SKIN,
        reference="Definition of this suite",
        settings={**_SPECTRUM, "from": _DEFAULT.high_frequency_from},
    ),
)
def high_frequency_ratio(comparison: Comparison) -> tuple[float, float] | NoValue:
    """Signed ratio of the high frequencies' power, in dB."""
    spectra = comparison.spectra
    if isinstance(spectra, NoValue):
        return spectra
    if min(spectra.high_reference, spectra.high_synthetic) <= 0:
        return NoValue(why="one of the images has no power at all at high frequencies")
    ratio = spectra.high_synthetic / spectra.high_reference
    return float(10 * np.log10(ratio)), spectra.coverage


@OF_BODY.add(
    "slice_error",
    MetricFacts(
        family="image",
        title="Largest jump of an axial slice",
        unit=REFERENCE_UNIT,
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula=(
            "largest |m - median of all m| over the axial slices; m = mean (synthetic - reference) "
            "over the slice's voxels of the mask"
        ),
        empty=f"{_EMPTY}; undefined with less than three slices that are large enough",
        reference="Definition of this suite",
        settings={
            **_BODY,
            "slice_min_voxels": _DEFAULT.slice_min_voxels,
            "axis": "the grid's axis nearest to the patient's long axis",
        },
    ),
)
def slice_error(comparison: Comparison) -> tuple[float, float] | NoValue:
    """Largest deviation of a slice's mean error from the typical slice, in HU."""
    from qa_suite.metrics.image.kernels import slice_sums

    axis = comparison.grid.long_axis
    counts = np.zeros(comparison.mask.shape[axis], dtype=np.int64)
    sums = np.zeros(counts.size)
    slice_sums(comparison.reference, comparison.synthetic, comparison.mask, axis, counts, sums)
    fewest = comparison.settings.slice_min_voxels
    large = counts >= fewest
    if np.count_nonzero(large) < 3:
        return NoValue(
            why=f"only {np.count_nonzero(large)} axial slices have at least {fewest} voxels of the "
            "mask, and three are needed"
        )
    means = sums[large] / counts[large]
    coverage = counts[large].sum() / counts.sum()
    return float(np.abs(means - np.median(means)).max()), float(coverage)


@OF_BODY.add(
    "error_to_noise",
    MetricFacts(
        family="image",
        title="Error against the reference's own noise",
        unit="1",
        direction="none",
        range="[0, inf)",
        kind="positive",
        formula=(
            "SD of the finest detail of (synthetic - reference) over that of the reference, where "
            "the reference is flat and the synthetic image quiet; 1: a synthetic image without "
            "any noise; below 1 it errs less than the reference's noise, which nobody can know"
        ),
        empty=_NO_NOISE,
        sampled=_IN_EVEN_TISSUE,
        reference="Definition of this suite",
        settings=_NOISE,
    ),
)
def error_to_noise(comparison: Comparison) -> tuple[float, float] | NoValue:
    """Finest error over the finest detail of the reference."""
    detail = comparison.fine_detail
    if isinstance(detail, NoValue):
        return detail
    return float(detail.error.std() / detail.reference.std()), detail.coverage


@OF_BODY.add(
    "shared_noise",
    MetricFacts(
        family="image",
        title="The reference's own noise in the synthetic image",
        unit="1",
        direction="none",
        range="[-1, inf)",
        kind="signed",
        formula=(
            "correlation of both images' finest detail where the reference is flat and the "
            f"synthetic image quiet, the largest over shifts of up to {noise.REACH} voxels along "
            "each axis; or, without a shift, the slope of the synthetic image's on the "
            "reference's, where that is larger; each is the lower limit, "
            f"{noise.SURE:g} standard errors below what was found; 1: a copy; 0 and below: "
            "independent"
        ),
        empty=f"{_NO_NOISE}; a synthetic image without fine detail: 0",
        sampled=_IN_EVEN_TISSUE,
        reference="Definition of this suite",
        settings={**_NOISE, "shifts_voxels": noise.REACH},
    ),
)
def shared_noise(comparison: Comparison) -> tuple[float, float] | NoValue:
    """How much of the reference's noise the synthetic image repeats."""
    detail = comparison.fine_detail
    if isinstance(detail, NoValue):
        return detail
    return detail.shared, detail.coverage
