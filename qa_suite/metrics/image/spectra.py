"""Radially averaged power spectra of the inside of the body.

What lies deeper than the skin is faded in smoothly and everything else set to zero, so that
neither the skin nor the image's end leaks into the spectrum. Importing this module loads
numba.

``first`` and ``second`` are the spectra of two images, whose frequencies along the axes are
``cycles_i``, ``cycles_j``, ``cycles_k`` a voxel of ``di``, ``dj``, ``dk`` mm; ``even`` says whether
the halved axis has an even size. ``table`` takes counts and powers by bins of ``step`` a mm,
``high`` the power from ``high_from`` of the highest frequency on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.imaging.boxes import bounding_box
from qa_suite.imaging.compiled import compiled
from qa_suite.metrics.base import NoValue
from qa_suite.metrics.image.cut import CutPair

FEWEST_VOXELS = 8
"""The tapered body must be at least this long along every axis to have a spectrum."""


@dataclass(frozen=True, kw_only=True)
class Spectra:
    """Power of both images by frequency.

    Parameters
    ----------
    frequency_per_mm
        Centres of the bins that hold a frequency, in cycles/mm, shape (bins,).
    reference, synthetic
        Mean power of a frequency in the bin, same shape; in arbitrary, equal units.
    high_reference, high_synthetic
        Sum of the power of all high frequencies.
    coverage
        Share of the mask's voxels that the spectra see at all.
    """

    frequency_per_mm: NDArray[np.float64]
    reference: NDArray[np.float64]
    synthetic: NDArray[np.float64]
    high_reference: float
    high_synthetic: float
    coverage: float


def body_spectra(pair: CutPair) -> Spectra | NoValue:
    """Compute the power spectra of both images inside the mask.

    Each image is clipped to ``spectrum_window`` (the synthetic one after its bias is taken
    off) and, less its weighted mean, multiplied by a weight: zero down to ``skin_mm`` below
    the surface (the image's end counts as surface), rising smoothly over ``taper_mm``.
    A frequency is high where ``sqrt(Σ (f / f_Nyquist)²)`` over the axes is at least
    ``high_frequency_from``, each axis in shares of its own Nyquist frequency.
    """
    settings = pair.settings
    weight = np.empty(pair.mask.shape, dtype=np.float32)
    _taper(pair.depth_mm, *_to_the_end(pair), settings.skin_mm, settings.taper_mm, weight)
    seen = weight > 0
    box = bounding_box(seen)
    if box is None or min(part.stop - part.start for part in box) < FEWEST_VOXELS:
        return NoValue(
            why=f"less than {FEWEST_VOXELS} voxels along an axis lie deeper than "
            f"{settings.skin_mm:g} mm below the skin and the image's end"
        )
    weight = np.ascontiguousarray(weight[box])
    images = pair.reference[box], pair.synthetic[box]
    low, high = settings.spectrum_window.get(pair.quantity, (-np.inf, np.inf))
    offsets = (0.0, _bias(*images, weight, low, high))
    transforms = []
    for name, array, offset in zip(("reference", "synthetic"), images, offsets, strict=True):
        found = _transform(array, weight, offset, low, high)
        if found is None:
            return NoValue(why=f"the {name} image is constant below the skin (in its window)")
        transforms.append(found)
    coverage = float(np.count_nonzero(seen)) / pair.finite.size
    return _by_frequency(pair, transforms, weight.shape, coverage)


def _to_the_end(pair: CutPair) -> list[Float32Array]:
    """Distance of the cut's voxel centres to the image's nearest face, in mm, by axis."""
    distances = []
    for begin, length, size, spacing in zip(
        pair.offset, pair.mask.shape, pair.grid.shape, pair.grid.spacing_mm, strict=True
    ):
        index = np.arange(begin, begin + length)
        nearest = np.minimum(index, size - 1 - index) + 0.5
        distances.append((nearest * spacing).astype(np.float32))
    return distances


def _transform(
    array: Float32Array, weight: Float32Array, offset: float, low: float, high: float
) -> NDArray[np.complex64] | None:
    """Transform the windowed image times its weight; None where it is constant."""
    from scipy import fft

    size = [fft.next_fast_len(n, real=True) for n in weight.shape]
    faded = np.zeros(size, dtype=np.float32)
    least, most = _fade(array, weight, offset, low, high, faded)
    return None if least == most else np.asarray(fft.rfftn(faded, workers=1))


def _by_frequency(
    pair: CutPair, transforms: list[NDArray[np.complex64]], shape: tuple[int, ...], coverage: float
) -> Spectra:
    from scipy import fft

    settings, spacing = pair.settings, pair.grid.spacing_mm
    size = [fft.next_fast_len(n, real=True) for n in shape]
    cycles = [np.fft.fftfreq(size[0]), np.fft.fftfreq(size[1]), np.fft.rfftfreq(size[2])]
    nyquist = 0.5 / min(spacing)
    resolution = max(1 / (n * h) for n, h in zip(shape, spacing, strict=True))
    bins = max(min(settings.spectrum_bins, int(nyquist / resolution)), 1)
    step = nyquist / bins
    table = np.zeros((3, bins))
    high = np.zeros(2)
    _sort(
        *transforms,
        *cycles,
        *spacing,
        step,
        settings.high_frequency_from,
        size[2] % 2 == 0,
        table,
        high,
    )
    filled = table[0] > 0
    return Spectra(
        frequency_per_mm=((np.arange(bins) + 0.5) * step)[filled],
        reference=table[1, filled] / table[0, filled],
        synthetic=table[2, filled] / table[0, filled],
        high_reference=float(high[0]),
        high_synthetic=float(high[1]),
        coverage=coverage,
    )


@compiled
def _taper(depth, end_i, end_j, end_k, skin, taper, weight):  # type: ignore[no-untyped-def]  # pragma: no cover
    ni, nj, nk = depth.shape
    for i in range(ni):
        for j in range(nj):
            sideways = min(end_i[i], end_j[j])
            for k in range(nk):
                deep = min(depth[i, j, k], min(sideways, end_k[k]))
                share = min(max((deep - skin) / taper, 0.0), 1.0)
                weight[i, j, k] = share * share * (3.0 - 2.0 * share)


@compiled
def _bias(reference, synthetic, weight, low, high):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Mean error of the weighted voxels whose reference lies in the window.

    The synthetic image loses it before it is clipped: otherwise a bias would move tissue out
    of the window and look like blur.
    """
    count, total = 0, 0.0
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            for k in range(weight.shape[2]):
                value = np.float64(reference[i, j, k])
                if weight[i, j, k] > 0 and low <= value <= high:
                    count += 1
                    total += np.float64(synthetic[i, j, k]) - value
    return total / max(count, 1)


@compiled
def _fade(array, weight, offset, low, high, faded):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill ``faded`` with the windowed image less its weighted mean, times the weight.

    Returns the least and the highest windowed value that has a weight.
    """
    least, most, total, weights = np.inf, -np.inf, 0.0, 0.0
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            for k in range(weight.shape[2]):
                share = np.float64(weight[i, j, k])
                if share > 0:
                    value = min(max(np.float64(array[i, j, k]) - offset, low), high)
                    faded[i, j, k] = value
                    least = min(least, value)
                    most = max(most, value)
                    weights += share
                    total += share * value
    mean = total / weights
    for i in range(weight.shape[0]):
        for j in range(weight.shape[1]):
            for k in range(weight.shape[2]):
                faded[i, j, k] = (faded[i, j, k] - mean) * weight[i, j, k]
    return least, most


@compiled
def _sort(  # type: ignore[no-untyped-def]
    first, second, cycles_i, cycles_j, cycles_k, di, dj, dk, step, high_from, even, table, high
):  # pragma: no cover
    """Add the power of every frequency but zero to its bin.

    Of a real image's spectrum one half is stored: what stands for two counts twice.
    """
    ni, nj, nk = first.shape
    bins = table.shape[1]
    limit = 0.25 * high_from * high_from  # of the squared cycles per voxel
    for i in range(ni):
        for j in range(nj):
            voxel_ij = cycles_i[i] ** 2 + cycles_j[j] ** 2
            mm_ij = (cycles_i[i] / di) ** 2 + (cycles_j[j] / dj) ** 2
            for k in range(nk):
                twice = 1.0 if k == 0 or (even and k == nk - 1) else 2.0
                one = first[i, j, k]
                two = second[i, j, k]
                p = twice * (np.float64(one.real) ** 2 + np.float64(one.imag) ** 2)
                q = twice * (np.float64(two.real) ** 2 + np.float64(two.imag) ** 2)
                if voxel_ij + cycles_k[k] ** 2 >= limit:
                    high[0] += p
                    high[1] += q
                if i + j + k == 0:
                    continue
                place = int(np.sqrt(mm_ij + (cycles_k[k] / dk) ** 2) / step)
                if place < bins:
                    table[0, place] += twice
                    table[1, place] += p
                    table[2, place] += q
