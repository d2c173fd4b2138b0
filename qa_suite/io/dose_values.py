"""Whether the numbers of a dose can be Gy: finite, not negative, and not a hundred times off."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from qa_suite.errors import InputError
from qa_suite.volume import Volume

DoseUnit = Literal["Gy", "cGy"]
GY_PER_UNIT: dict[str, float] = {"Gy": 1.0, "cGy": 0.01}

ROUNDING_SHARE = 1e-3
"""Negative values down to this share of the maximum are rounding (of a resampling, of an
interpolating spline) and are set to 0; more is refused."""

IMPLAUSIBLE_GY = 500.0
"""No external beam treatment reaches this: a higher maximum is a unit that is not Gy."""

_CENTI = (50.0, 200.0)  # a factor of maxima that looks like Gy against cGy


def checked_dose(array: NDArray[Any], where: Path | str) -> tuple[NDArray[np.float32], list[str]]:
    """Return dose values in Gy, and what was done to them, in words for the history.

    Parameters
    ----------
    array
        Dose in Gy, any shape.
    where
        What the message names: the file.

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
    if high <= 0:
        raise InputError(f"{where} holds no dose: its highest value is {high:g} Gy.")
    if high > IMPLAUSIBLE_GY:
        raise InputError(
            f"{where} goes up to {high:.4g} Gy, which is no external beam dose; if its values are "
            f"in cGy, say so (--dose-unit cGy)."
        )
    if low < -ROUNDING_SHARE * high:
        raise InputError(
            f"{where} holds negative dose, down to {low:.4g} Gy with a maximum of {high:.4g} Gy; "
            f"a difference of doses is no dose."
        )
    done = []
    result = np.array(values, dtype=np.float32, order="C")
    if low < 0:
        done.append(f"{int((values < 0).sum())} negative values down to {low:.2g} Gy set to 0")
        np.maximum(result, 0.0, out=result)
    return result, done


def require_unit(unit: str) -> float:
    """Return how many Gy a unit is.

    Raises
    ------
    InputError
        If the unit is neither ``Gy`` nor ``cGy``.
    """
    if unit not in get_args(DoseUnit):
        raise InputError(f"Doses are given in {' or '.join(get_args(DoseUnit))}, not in {unit!r}.")
    return GY_PER_UNIT[unit]


def require_same_scale(
    first: Volume, second: Volume, names: tuple[str, str] = ("The first dose", "the second")
) -> None:
    """Refuse two doses whose maxima are about a hundred times apart: Gy against cGy.

    Parameters
    ----------
    first, second
        Doses in Gy; they need not lie on one grid.
    names
        How the message calls them.

    Raises
    ------
    InputError
        If one of them is no dose, or the ratio of the maxima lies between 50 and 200.
    """
    for name, volume in zip(names, (first, second), strict=True):
        if volume.quantity != "Gy":
            raise InputError(f"{name} holds {volume.quantity}, and a dose in Gy is needed.")
    maxima = [float(np.max(volume.array)) for volume in (first, second)]
    low, high = sorted(maxima)
    if low > 0 and _CENTI[0] <= high / low <= _CENTI[1]:
        raise InputError(
            f"{names[0]} goes up to {maxima[0]:.4g} Gy and {names[1]} to {maxima[1]:.4g} Gy, a "
            f"factor of {high / low:.0f}: one of them looks like cGy; say which "
            f"(--dose-unit cGy)."
        )
