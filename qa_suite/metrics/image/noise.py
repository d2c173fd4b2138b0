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

from qa_suite.metrics.base import METRICS, MetricFacts, NoValue
from qa_suite.metrics.image.comparison import Comparison
from qa_suite.metrics.image.settings import ImageSettings

NAMES = ("error_to_noise", "shared_noise")

_FLATTEST = 0.4  # share of the even places, by the reference's range around them
_QUIETEST = 0.2  # share of those, by the synthetic image's detail around them
_UNPADDED = 0.25  # share of the flattest places
_FEWEST = 200  # standard error of a correlation, neighbours considered: 0.14
_MOST = 40_000
_MOST_SHIFTED = 4_000
_REACH = 2  # voxels along each axis by which a copy may be shifted
_SURE = 3.0  # standard errors
_OVERLAP = 4  # neighbouring places share voxels: n of them count for n / 4 (found: n / 3)
_OUTLIER = 4.0  # robust standard deviations
_MAD_TO_SD = 1.4826
_SMALLEST = 1e-6  # of the reference's largest value: below it detail is rounding

_EMPTY = (
    f"undefined with fewer than {_FEWEST} quiet places, or where the reference has no noise there; "
    "a voxel of the mask that is not finite is an error"
)
_SETTINGS: dict[str, str | float | int | bool] = {
    "regions": "body",
    "detail": "product of the three axes' second differences (1, -2, 1)",
    "places": "voxels whose 3×3×3 voxels lie in the mask, of even tissue by the reference",
    "flattest_share": _FLATTEST,
    "quietest_share": _QUIETEST,
    "standard_errors": _SURE,
    "tissue_low_hu": ImageSettings().field_tissue["HU"][0],
    "tissue_high_hu": ImageSettings().field_tissue["HU"][1],
    "clipped_at_robust_sd": _OUTLIER,
}


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


@METRICS.add(
    "error_to_noise",
    MetricFacts(
        family="image",
        title="Error against the reference's own noise",
        unit="1",
        direction="none",
        range="[0, inf)",
        formula=(
            "SD of the finest detail of (synthetic - reference) over that of the reference, where "
            "the reference is flat and the synthetic image quiet; 1: a synthetic image without "
            "any noise; below 1 it errs less than the reference's noise, which nobody can know"
        ),
        empty=_EMPTY,
        reference="Definition of this suite",
        settings=_SETTINGS,
    ),
)
def error_to_noise(comparison: Comparison) -> tuple[float, float] | NoValue:
    """Finest error over the finest detail of the reference."""
    detail = comparison.fine_detail
    if isinstance(detail, NoValue):
        return detail
    return float(detail.error.std() / detail.reference.std()), detail.coverage


@METRICS.add(
    "shared_noise",
    MetricFacts(
        family="image",
        title="The reference's own noise in the synthetic image",
        unit="1",
        direction="none",
        range="[-1, inf)",
        formula=(
            "correlation of both images' finest detail where the reference is flat and the "
            f"synthetic image quiet, the largest over shifts of up to {_REACH} voxels along each "
            "axis; or, without a shift, the slope of the synthetic image's on the reference's, "
            f"where that is larger; each is the lower limit, {_SURE:g} standard errors below what "
            "was found; 1: a copy; 0 and below: independent"
        ),
        empty=f"{_EMPTY}; a synthetic image without fine detail: 0",
        reference="Definition of this suite",
        settings={**_SETTINGS, "shifts_voxels": _REACH},
    ),
)
def shared_noise(comparison: Comparison) -> tuple[float, float] | NoValue:
    """How much of the reference's noise the synthetic image repeats."""
    detail = comparison.fine_detail
    if isinstance(detail, NoValue):
        return detail
    return detail.shared, detail.coverage


def find_detail(comparison: Comparison) -> FineDetail | NoValue:
    """Look at the finest detail of both images where both have least of it."""
    from qa_suite.metrics.image.noise_kernels import even_places

    low, high = comparison.settings.field_tissue.get(comparison.quantity, (-np.inf, np.inf))
    ranges = np.empty(comparison.mask.shape, dtype=np.float32)
    even_places(comparison.reference, comparison.mask, low, high, ranges)
    known = ranges[ranges > 0]  # without any range: padding, or no noise at all
    needed = round(_FEWEST / (_FLATTEST * _QUIETEST))
    if known.size < needed:
        return NoValue(
            why=f"{known.size} voxels of the mask lie in even tissue with noise, and {needed} "
            "are needed to tell the reference's noise"
        )
    places = np.argwhere((ranges > 0) & (ranges <= np.quantile(known, _FLATTEST)))
    coverage = _QUIETEST * len(places) / comparison.reference_values.size
    most = round(_MOST / _QUIETEST)
    reference, synthetic = (
        _detail(comparison.reference, comparison),
        _detail(comparison.synthetic, comparison),
    )
    places = _quiet(synthetic, places[:: max(1, len(places) // most)])
    at = tuple(places.T)
    first, second = reference[at].astype(np.float64), synthetic[at].astype(np.float64)
    one, two = _clipped(first), _clipped(second)
    largest = float(np.abs(comparison.reference_values).max())
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


def _detail(image: NDArray[np.float32], comparison: Comparison) -> NDArray[np.float32]:
    from qa_suite.metrics.image.noise_kernels import fine_detail

    found = np.empty(image.shape, dtype=np.float32)
    fine_detail(image, comparison.mask, found)
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
    if np.count_nonzero(some) >= max(_FEWEST / _QUIETEST, _UNPADDED * len(places)):
        places, around = places[some], around[some]
    return places[around <= np.quantile(around, _QUIETEST)]


def _shared_elsewhere(
    one: Detail, synthetic: NDArray[np.float32], places: NDArray[np.int64]
) -> float:
    """Largest lower limit of the correlation over the shifts by which a copy may have moved."""
    from qa_suite.metrics.image.noise_kernels import shifted_correlations

    few = slice(None, None, max(1, len(places) // _MOST_SHIFTED))
    reach = range(-_REACH, _REACH + 1)
    shifts = np.array([s for s in itertools.product(reach, repeat=3) if any(s)], dtype=np.int64)
    numbers, correlations = np.zeros(len(shifts), dtype=np.int64), np.full(len(shifts), -1.0)
    shifted_correlations(
        one[few],
        synthetic,
        places[few],
        shifts,
        _OUTLIER * _MAD_TO_SD,
        _FEWEST,
        _SMALLEST,
        numbers,
        correlations,
    )
    found = zip(correlations.tolist(), numbers.tolist(), strict=True)
    return max((_surely_correlated(c, n) for c, n in found if n >= _FEWEST), default=-1.0)


def _surely_correlated(correlation: float, number: int) -> float:
    """Lower limit of a correlation of that many places, by Fisher's transformation."""
    uncertain = _SURE / np.sqrt(number / _OVERLAP - 3)
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
    uncertain = _SURE * ratio / np.sqrt(reference.size / _OVERLAP)
    return _correlation(reference, synthetic) * ratio - uncertain


def _clipped(detail: Detail) -> Detail:
    """Bound outliers, which are edges and not noise."""
    limit = _OUTLIER * _MAD_TO_SD * float(np.median(np.abs(detail)))
    return detail if limit == 0 else np.clip(detail, -limit, limit)
