"""Whether numbers can be Hounsfield units: air near −1000, soft tissue near 0, no shift, no scale.

Each of a short list of known mistakes (rescale intercept missing or applied twice, values
halved, ...) is undone in thought; the reading under which most voxels become air or soft
tissue is the best. A CT is refused only when another reading than 'as stored' explains
clearly more voxels, or when no reading of a CT is possible.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]

_AIR_WINDOW = (-1060.0, -900.0)
_SOFT_WINDOW = (-150.0, 150.0)
_MARGIN = 0.15  # share of voxels by which another reading must be better ...
_SMALL_MARGIN = 0.03  # ... or by which at least, where it leaves half as many unexplained
_MIN_AIR_SHARE = 0.005
_MIN_SOFT_SHARE = 0.02
_FAT_OR_AIR_HU = -30.0
_MIN_SPAN_HU = 50.0
_PADDING_HU = -1100.0  # an exact value below it that is the minimum is padding (-2000, -3024)
_BIN_HU = 10.0
_PLATEAU_HU = 50.0
_MIN_PLATEAU_SHARE = 0.03


@dataclass(frozen=True, kw_only=True)
class StoredScale:
    """One way in which a file may have come to its numbers: stored = slope · HU + intercept."""

    slope: float
    intercept: float
    sentence: str


AS_STORED = StoredScale(slope=1, intercept=0, sentence="")
MISTAKES = (
    StoredScale(
        slope=1,
        intercept=1024,
        sentence="the values look like HU + 1024, a CT stored without its rescale intercept",
    ),
    StoredScale(
        slope=1,
        intercept=-1024,
        sentence="the values look like HU − 1024, a rescale intercept applied twice",
    ),
    StoredScale(slope=0.5, intercept=0, sentence="the values look like HU × 0.5"),
    StoredScale(slope=2, intercept=0, sentence="the values look like HU × 2"),
    StoredScale(slope=0.1, intercept=0, sentence="the values look like HU × 0.1"),
)


@dataclass(frozen=True, kw_only=True)
class Hounsfield:
    """What a volume's numbers say about being HU.

    Parameters
    ----------
    air, soft_tissue
        Most frequent stored value of air and of soft tissue; None where there is none.
    slope
        (soft tissue − air) / 1000 HU; None without air.
    span
        Distance of the 0.1st and the 99.9th percentile.
    explained
        Share of voxels that are air or soft tissue under the best reading.
    mistake
        Why the numbers cannot be HU, in words; empty for a plausible CT.
    """

    air: float | None
    soft_tissue: float | None
    slope: float | None
    span: float
    explained: float
    mistake: str


def read_hounsfield(values: Values) -> Hounsfield:
    """Judge the numbers of a CT.

    Parameters
    ----------
    values
        All finite voxels within the field of view, shape (n,); padding may be among them.
    """
    values = _without_padding(np.asarray(values, dtype=float).ravel())
    span = float(np.subtract(*np.percentile(values, [99.9, 0.1])))
    if span < _MIN_SPAN_HU:
        why = f"99.8 % of the values span only {span:.3g}, as in a normalised image"
        return Hounsfield(
            air=None, soft_tissue=None, slope=None, span=span, explained=0.0, mistake=why
        )
    reading, explained = _best_reading(values)
    air = _mode(values, reading, (-1200.0, -600.0), _MIN_AIR_SHARE)
    if air is None and reading is AS_STORED:
        air = _lowest_plateau(values)
    soft = _mode(values, reading, (-400.0, 400.0), _MIN_SOFT_SHARE)
    slope = None if air is None or soft is None else (soft - air) / 1000
    return Hounsfield(
        air=air,
        soft_tissue=soft,
        slope=slope,
        span=span,
        explained=explained,
        mistake=reading.sentence or _impossible(values, soft),
    )


def looks_like_ct(values: Values) -> bool:
    """Whether the numbers can be read as HU, as stored."""
    facts = read_hounsfield(values)
    return not facts.mistake and facts.explained >= 0.5


def _without_padding(values: Values) -> Values:
    """Drop an exact minimum far below air, where real air remains beside it."""
    lowest = values.min()
    if lowest >= _PADDING_HU:
        return values
    kept = values[values > lowest]
    air = (kept >= _AIR_WINDOW[0]) & (kept <= _AIR_WINDOW[1])
    return kept if air.sum() >= 0.002 * len(values) else values


def _lowest_plateau(values: Values) -> float | None:
    """Return where the lowest values crowd, if below fat: air, however wrong its number."""
    low = float(np.percentile(values, 1))
    crowded = np.abs(values - low) <= _PLATEAU_HU
    if low > -250 or crowded.mean() < _MIN_PLATEAU_SHARE:
        return None
    return float(np.median(values[crowded]))


def _explained(values: Values, reading: StoredScale) -> float:
    hu = (values - reading.intercept) / reading.slope
    air = (hu >= _AIR_WINDOW[0]) & (hu <= _AIR_WINDOW[1])
    soft = (hu >= _SOFT_WINDOW[0]) & (hu <= _SOFT_WINDOW[1])
    if soft.mean() < _MIN_SOFT_SHARE:  # a body without soft tissue explains nothing
        return 0.0
    if reading.slope != 1 and air.mean() < _MIN_SOFT_SHARE:  # only air tells a scale
        return 0.0
    return float((air | soft).mean())


def _best_reading(values: Values) -> tuple[StoredScale, float]:
    as_stored = _explained(values, AS_STORED)
    best, most = AS_STORED, as_stored
    for reading in MISTAKES:
        explained = _explained(values, reading)
        gain = explained - as_stored
        halves_the_rest = gain >= _SMALL_MARGIN and 1 - explained <= 0.5 * (1 - as_stored)
        if explained > most and (gain >= _MARGIN or halves_the_rest):
            best, most = reading, explained
    return best, most


def _impossible(values: Values, soft: float | None) -> str:
    if soft is None:
        return "no reading of the values shows soft tissue near 0 HU"
    if (values < _FAT_OR_AIR_HU).mean() < 1e-3 and values.max() > 200:
        return (
            f"no voxel in a thousand lies below {_FAT_OR_AIR_HU:.0f}, and every CT of a body "
            "holds fat or air"
        )
    return ""


def _mode(
    values: Values, reading: StoredScale, window_hu: tuple[float, float], min_share: float
) -> float | None:
    """Most frequent stored value in a window of HU under a reading."""
    low, high = (reading.slope * hu + reading.intercept for hu in window_hu)
    inside = values[(values >= low) & (values <= high)]
    if len(inside) < min_share * len(values):
        return None
    width = _BIN_HU * reading.slope
    counts, edges = np.histogram(inside, bins=max(1, round((high - low) / width)))
    smooth = np.convolve(counts, [0.25, 0.5, 0.25], mode="same")
    peak = int(np.argmax(smooth))
    return float(edges[peak] + edges[peak + 1]) / 2
