"""Whether numbers can be Gy, and whether doses and a prescription are of one scale."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Volume
from qa_suite.core.wording import count

DoseUnit = Literal["Gy", "cGy"]
GY_PER_UNIT: dict[str, float] = {"Gy": 1.0, "cGy": 0.01}

ROUNDING_SHARE = 1e-3
"""Negative values down to this share of the maximum are rounding (of a resampling, of an
interpolating spline) and are set to 0; more is refused."""

IMPLAUSIBLE_GY = 500.0
"""No external beam treatment reaches this: a higher maximum is a unit that is not Gy."""


def checked_dose(
    array: NDArray[Any],
    where: Path | str,
    *,
    signed: bool = False,
    may_be_zero: bool = False,
    too_high: str = "export it again in Gy",
) -> tuple[NDArray[np.float32], list[str]]:
    """Return dose values in Gy, and what was done to them, in words for the history.

    Parameters
    ----------
    array
        Dose in Gy, any shape.
    where
        What the message names: the file.
    signed
        Whether negative values are meant: a difference of doses.
    may_be_zero
        Whether there may be no dose at all: that of a beam of no monitor units.
    too_high
        The way out where the highest value cannot be Gy.

    Raises
    ------
    InputError
        If a value is not finite, clearly negative, or too high for a dose in Gy, or if there is
        no dose at all.
    """
    values = np.asarray(array)
    unknown = int(values.size - np.isfinite(values).sum())
    if unknown:
        raise InputError(
            f"{where} has no finite dose in {unknown} of {values.size} voxels; set those outside "
            f"the calculated region to 0, or calculate them."
        )
    low, high = float(values.min()), float(values.max())
    if high <= 0 and not (signed or (may_be_zero and low == 0)):
        raise InputError(f"{where} holds no dose: its highest value is {high:g} Gy.")
    if max(high, -low) > IMPLAUSIBLE_GY:
        raise InputError(
            f"{where} goes up to {max(high, -low):.4g} Gy, which is no external beam dose; "
            f"{too_high}."
        )
    if low < -ROUNDING_SHARE * high and not signed:
        raise InputError(
            f"{where} holds negative dose, down to {low:.4g} Gy with a maximum of {high:.4g} Gy; "
            f"a difference of doses is no dose."
        )
    done = []
    result = np.array(values, dtype=np.float32, order="C")
    if low < 0 and not signed:
        done.append(
            f"{count(int((values < 0).sum()), 'negative value')} down to {low:.2g} Gy set to 0"
        )
        np.maximum(result, 0.0, out=result)
    return result, done


CENTI = (50.0, 200.0)
"""A ratio of two doses that looks like Gy against cGy."""

NEAR_WHOLE = 0.05
"""A ratio this near to a whole number, in shares of it, looks like one fraction and a course."""

HIGH_SHARE = 0.5
"""The high-dose region holds the voxels of at least this share of the maximum."""

HIGHEST_SHARE = 10.0
"""A dose above this many times the prescription is in another unit."""

_MOST_POINTS = 20_000
_LEAST_INSIDE = 0.1  # of the region must lie on the other dose's grid, or the maxima decide


@dataclass(frozen=True, kw_only=True)
class ScaleDoubt:
    """Two doses that may not be of one scale.

    Parameters
    ----------
    kind
        ``unit``: one looks like cGy; ``fractions``: one like that of a fraction.
    low
        0 or 1: which of the two is the low one.
    ratio
        Of the high to the low one, above 1.
    fractions
        The whole number that the ratio is near.
    what
        One clause with the figures.
    """

    kind: Literal["unit", "fractions"]
    low: int
    ratio: float
    fractions: int
    what: str


def scale_doubt(
    first: Volume, second: Volume, names: tuple[str, str] = ("The first dose", "the second")
) -> ScaleDoubt | None:
    """Say what makes two doses of one place look like doses of two scales; None where nothing does.

    Parameters
    ----------
    first, second
        Doses in Gy, in one frame of reference; they need not lie on one grid.
    names
        How the clause calls them.

    Returns
    -------
    ScaleDoubt or None
        Where the maxima lie 50 to 200 times apart, or the median of one dose in the high-dose
        region of the other is a whole multiple of it, or its inverse, within 5 %.

    Raises
    ------
    InputError
        If one of them is no dose.
    """
    doubt = unit_doubt(first, second, names)
    maxima = [float(np.max(volume.array)) for volume in (first, second)]
    if doubt is not None or min(maxima) <= 0:
        return doubt
    medians = _medians(first, second) or (maxima[0], maxima[1])
    low = int(medians[1] < medians[0])
    ratio = medians[1 - low] / medians[low]
    whole = round(ratio)
    if whole < 2 or abs(ratio / whole - 1) > NEAR_WHOLE:
        return None
    what = (
        f"{names[0]} has a median of {medians[0]:.4g} Gy in the high-dose region and {names[1]} "
        f"one of {medians[1]:.4g} Gy, a factor of {ratio:.3g}: one of them looks like the dose of "
        f"one fraction of {whole}"
    )
    return ScaleDoubt(kind="fractions", low=low, ratio=ratio, fractions=whole, what=what)


def unit_doubt(
    first: Volume, second: Volume, names: tuple[str, str] = ("The first dose", "the second")
) -> ScaleDoubt | None:
    """Say where two doses look like Gy against cGy by their maxima alone; see scale_doubt."""
    for name, volume in zip(names, (first, second), strict=True):
        if volume.quantity != "Gy":
            raise InputError(f"{name} holds {volume.quantity}, and a dose in Gy is needed.")
    maxima = [float(np.max(volume.array)) for volume in (first, second)]
    if min(maxima) <= 0:
        return None
    low = int(maxima[1] < maxima[0])
    ratio = maxima[1 - low] / maxima[low]
    if CENTI[0] <= ratio <= CENTI[1]:
        what = (
            f"{names[0]} goes up to {maxima[0]:.4g} Gy and {names[1]} to {maxima[1]:.4g} Gy, a "
            f"factor of {ratio:.0f}: one of them looks like cGy"
        )
        return ScaleDoubt(kind="unit", low=low, ratio=ratio, fractions=round(ratio), what=what)
    return None


def require_same_unit(
    first: Volume, second: Volume, names: tuple[str, str] = ("The first dose", "the second")
) -> None:
    """Refuse two doses that look like Gy against cGy.

    Raises
    ------
    InputError
        See :func:`scale_doubt`; a whole ratio is left to who knows where the doses come from.
    """
    doubt = unit_doubt(first, second, names)
    if doubt is not None:
        raise InputError(f"{doubt.what}; bring both to Gy.")


def _medians(first: Volume, second: Volume) -> tuple[float, float] | None:
    """Median doses in the first one's high-dose region; None where the second is hardly there."""
    array = first.array
    where = np.flatnonzero(array.ravel() >= HIGH_SHARE * float(array.max()))
    where = where[:: max(1, where.size // _MOST_POINTS)]
    index = np.stack(np.unravel_index(where, array.shape), axis=-1)
    matrix = np.linalg.inv(second.grid.affine) @ first.grid.affine
    place = index @ matrix[:3, :3].T + matrix[:3, 3]
    there = ndimage.map_coordinates(
        second.array.astype(np.float64), place.T, order=1, mode="constant", cval=np.nan
    )
    inside = np.isfinite(there)
    if inside.mean() < _LEAST_INSIDE:
        return None
    medians = float(np.median(array.ravel()[where[inside]])), float(np.median(there[inside]))
    return medians if min(medians) > 0 else None


def prescription_doubt(dose: Volume, prescription_gy: float) -> ScaleDoubt | None:
    """Say what makes a dose and its prescription look like ones of two scales.

    A dose between the hundredth and the prescription itself may be that of a beam or a fraction
    and is no doubt.
    """
    highest = float(np.max(dose.array))
    if highest <= 0:
        return None
    ratio = max(highest / prescription_gy, prescription_gy / highest)
    low = int(prescription_gy < highest)
    if not (CENTI[0] <= ratio <= CENTI[1] or (low and ratio > HIGHEST_SHARE)):
        return None
    what = (
        f"the dose goes up to {highest:.4g} Gy and {prescription_gy:g} Gy are prescribed, a factor "
        f"of {ratio:.0f}: one of them looks like cGy"
    )
    return ScaleDoubt(kind="unit", low=low, ratio=ratio, fractions=round(ratio), what=what)
