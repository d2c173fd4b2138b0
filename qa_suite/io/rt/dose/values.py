"""Whether the numbers of a dose can be Gy: finite, not negative, no higher than any treatment."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError

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
