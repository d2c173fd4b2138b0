"""Whether the synthetic image holds the reference's own noise: a score too good to be true.

No translator can know the noise of a scan that it never saw. A synthetic image that repeats
it was made from the reference: copied, rounded, filtered, or with noise of its own on top.
A translator may know fine anatomy, as the fat between the fibres of a muscle, and then both
images share that: so they are looked at where the synthetic image, too, has little detail.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qa_suite.imaging.robust import MAD_TO_SD
from qa_suite.metrics.base import NoValue
from qa_suite.metrics.image.cut import CutPair

FLATTEST = 0.4  # share of the even places, by the reference's range around them
QUIETEST = 0.2  # share of those, by the synthetic image's detail around them
_UNPADDED = 0.25  # share of the flattest places
FEWEST = 200  # standard error of a correlation, neighbours considered: 0.14
_MOST = 40_000
_MOST_SHIFTED = 4_000
REACH = 2  # voxels along each axis by which a copy may be shifted
SURE = 3.0  # standard errors
_OVERLAP = 4  # neighbouring places share voxels: n of them count for n / 4 (found: n / 3)
OUTLIER = 4.0  # robust standard deviations
_SMALLEST = 1e-6  # of the reference's largest value: below it detail is rounding


@dataclass(frozen=True, kw_only=True)
class FineDetail:
    """The finest detail of both images at the quiet places, clipped; shape (places,) each.

    ``shared`` is the largest share of the reference's noise in the synthetic image over the
    shifts looked at, ``coverage`` the share of the mask's voxels that are such places.
    """

    reference: NDArray[np.float64]
    synthetic: NDArray[np.float64]
    error: NDArray[np.float64]
    shared: float
    coverage: float


def find_detail(pair: CutPair) -> FineDetail | NoValue:
    """Look at the finest detail of both images where both have least of it."""
    from qa_suite.metrics.image.noise_kernels import even_places

    low, high = pair.settings.field_tissue.get(pair.quantity, (-np.inf, np.inf))
    ranges = np.empty(pair.mask.shape, dtype=np.float32)
    even_places(pair.reference, pair.mask, low, high, ranges)
    known = ranges[ranges > 0]  # without any range: padding, or no noise at all
    needed = round(FEWEST / (FLATTEST * QUIETEST))
    if known.size < needed:
        return NoValue(
            why=f"{known.size} voxels of the mask lie in even tissue with noise, and {needed} "
            "are needed to tell the reference's noise"
        )
    places = np.argwhere((ranges > 0) & (ranges <= np.quantile(known, FLATTEST)))
    coverage = QUIETEST * len(places) / pair.reference_values.size
    most = round(_MOST / QUIETEST)
    reference, synthetic = _detail(pair.reference, pair), _detail(pair.synthetic, pair)
    places = _quiet(synthetic, places[:: max(1, len(places) // most)])
    at = tuple(places.T)
    first, second = reference[at].astype(np.float64), synthetic[at].astype(np.float64)
    one, two = _clipped(first), _clipped(second)
    largest = float(np.abs(pair.reference_values).max())
    if one.std() <= _SMALLEST * largest:
        return NoValue(why="the reference has no noise in the even tissue of the mask")
    shared = max(
        _surely_correlated(_correlation(one, two), one.size),
        _surely_repeated(one, two),
        _shared_elsewhere(one, synthetic, places),
    )
    return FineDetail(
        reference=one,
        synthetic=two,
        error=_clipped(second - first),
        shared=shared,
        coverage=coverage,
    )


Detail = NDArray[np.float64]


def _detail(image: NDArray[np.float32], pair: CutPair) -> NDArray[np.float32]:
    from qa_suite.metrics.image.noise_kernels import fine_detail

    found = np.empty(image.shape, dtype=np.float32)
    fine_detail(image, pair.mask, found)
    return found


def _quiet(detail: NDArray[np.float32], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keep the places around which the synthetic image has least detail, as long as it has any.

    Where it has none it is padded; an image of assigned values has none in most places.
    """
    from qa_suite.metrics.image.noise_kernels import detail_around

    around = np.empty(len(places))
    detail_around(detail, places, around)
    size = np.abs(detail[tuple(places.T)])
    some = size > _SMALLEST * float(np.max(size, initial=0.0))
    if np.count_nonzero(some) >= max(FEWEST / QUIETEST, _UNPADDED * len(places)):
        places, around = places[some], around[some]
    return places[around <= np.quantile(around, QUIETEST)]


def _shared_elsewhere(
    one: Detail, synthetic: NDArray[np.float32], places: NDArray[np.int64]
) -> float:
    """Largest lower limit of the correlation over the shifts by which a copy may have moved."""
    from qa_suite.metrics.image.noise_kernels import shifted_correlations

    few = slice(None, None, max(1, len(places) // _MOST_SHIFTED))
    reach = range(-REACH, REACH + 1)
    shifts = np.array([s for s in itertools.product(reach, repeat=3) if any(s)], dtype=np.int64)
    numbers, correlations = np.zeros(len(shifts), dtype=np.int64), np.full(len(shifts), -1.0)
    shifted_correlations(
        one[few],
        synthetic,
        places[few],
        shifts,
        OUTLIER * MAD_TO_SD,
        FEWEST,
        _SMALLEST,
        numbers,
        correlations,
    )
    found = zip(correlations.tolist(), numbers.tolist(), strict=True)
    return max((_surely_correlated(c, n) for c, n in found if n >= FEWEST), default=-1.0)


def _surely_correlated(correlation: float, number: int) -> float:
    """Lower limit of a correlation of that many places, by Fisher's transformation."""
    uncertain = SURE / np.sqrt(number / _OVERLAP - 3)
    return float(np.tanh(np.arctanh(min(correlation, 1.0 - 1e-15)) - uncertain))


def _correlation(one: Detail, two: Detail) -> float:
    spread = float(one.std() * two.std())
    if float(two.std()) <= _SMALLEST * float(one.std()):
        return 0.0
    return float(np.mean((one - one.mean()) * (two - two.mean())) / spread)


def _surely_repeated(reference: Detail, synthetic: Detail) -> float:
    """Slope of the synthetic image's detail on the reference's, less its uncertainty.

    A copy with noise of its own on top correlates little and has the slope 1 all the same.
    """
    ratio = float(synthetic.std() / reference.std())
    uncertain = SURE * ratio / np.sqrt(reference.size / _OVERLAP)
    return _correlation(reference, synthetic) * ratio - uncertain


def _clipped(detail: Detail) -> Detail:
    """Bound outliers, which are edges and not noise."""
    limit = OUTLIER * MAD_TO_SD * float(np.median(np.abs(detail)))
    return detail if limit == 0 else np.clip(detail, -limit, limit)
