"""The door through which every translator's answer comes: where it lies and what it holds.

A shape is not a grid: the same number of voxels may be stored in another order, cut out of
another place, or carry a header that is wrong. So an answer is taken by its own geometry, and
what does not lie where it was asked for is refused, unless somebody allowed it to be resampled.

Nonsense that has one likely cause is refused with it: 1e30, HU + 1024, values of 0 to 1. What
is odd and may be right (an image without air, of one value, with zeros outside the body) is
told and let through: bulk densities, crops and implants are honest.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.resampling import resample
from qa_suite.core.volume import Grid, Quantity, Volume, stored_like

OtherGrid = Literal["refuse", "resample"]
"""What becomes of an answer on another grid of the same frame of reference."""


def checked(
    answer: Volume,
    grid: Grid,
    *,
    who: str,
    other_grid: OtherGrid = "refuse",
    outside: float | None = None,
) -> Volume:
    """Return a translator's answer on the grid that was asked for, or refuse it.

    Parameters
    ----------
    answer
        With the geometry that it came with.
    grid
        Of the source image.
    who
        Answered: the file or program, for the message.
    other_grid, outside
        See :func:`on_grid`.

    Raises
    ------
    InputError
        If a voxel is NaN or inf.
    GeometryError
        If it lies elsewhere.
    """
    require_finite(answer.array, who)
    return on_grid(answer, grid, who=who, other_grid=other_grid, outside=outside)


def require_finite(values: NDArray[np.generic], who: str) -> None:
    """Refuse an answer that holds NaN or inf.

    Raises
    ------
    InputError
        With the number of such voxels.
    """
    bad = int(values.size - np.count_nonzero(np.isfinite(values)))
    if bad:
        raise InputError(
            f"{who} answered with {bad} of {values.size} voxels that are NaN or inf; an answer "
            f"needs a number in every voxel."
        )


def on_grid(
    answer: Volume,
    grid: Grid,
    *,
    who: str,
    other_grid: OtherGrid = "refuse",
    outside: float | None = None,
) -> Volume:
    """Return an answer on the grid that was asked for.

    The same voxels in another storage order are put in order without loss.

    Parameters
    ----------
    other_grid
        ``resample``: an answer of another size or spacing is resampled linearly, and its
        history says so. One of the same size that lies elsewhere is refused all the same: its
        header is wrong, or it is of another scan.
    outside
        Value of the voxels that a resampled answer does not cover.

    Raises
    ------
    GeometryError
        If it lies elsewhere; the message names both grids.
    """
    with suppress(GeometryError):
        return stored_like(answer, grid)
    both = f"{who} answered on another grid ({place(answer.grid)}) than the source's "
    both += f"({place(grid)})"
    if not answer.grid.same_frame_as(grid):
        raise GeometryError(f"{both}: the frames of reference differ.")
    if _only_moved(answer.grid, grid):
        raise GeometryError(
            f"{both}: as many voxels, moved by {_moved_mm(answer.grid, grid):.3g} mm; its header "
            f"is wrong, or it is of another scan."
        )
    if other_grid == "refuse" or outside is None:
        raise GeometryError(f"{both}; it must answer voxel by voxel.")
    return resample(answer, grid, interpolation="linear", outside=outside)


def place(grid: Grid) -> str:
    """Write where a grid lies: ``40×32×12 at 8×8×8 mm from (-160, -128, 0) mm``, and its axes."""
    origin = ", ".join(f"{x:.6g}" for x in grid.origin_mm)
    axes = ""
    if not np.allclose(grid.axes, np.eye(3), atol=1e-3):
        axes = ", axes " + " ".join(
            "(" + ", ".join(f"{c + 0.0:.3g}" for c in column) + ")" for column in grid.axes.T
        )
    frame = f", frame {grid.frame_of_reference}" if grid.frame_of_reference else ""
    return f"{grid.describe()} from ({origin}) mm{axes}{frame}"


def _only_moved(answer: Grid, grid: Grid) -> bool:
    """Whether the grids are of one size, and differ in nothing but where they lie."""
    return sorted(answer.shape) == sorted(grid.shape) and np.allclose(
        sorted(answer.spacing_mm), sorted(grid.spacing_mm), rtol=1e-3
    )


def _moved_mm(answer: Grid, grid: Grid) -> float:
    return float(np.linalg.norm(np.subtract(answer.centre_mm, grid.centre_mm)))


Values = NDArray[np.floating]

ODD = "odd numbers: "
"""How a step of a volume's history begins that tells what is odd about its numbers."""

LARGEST: dict[Quantity, float] = {"HU": 1e5, "SUVbw": 1e4, "arbitrary": 1e9}
"""Beyond it no number is one: metal ends at 65,535 HU, and no tissue has an SUV of 1e4."""

_SAMPLE = 200_000  # voxels looked at for everything but the largest value
_AIR = (-1060.0, -900.0)
_SOFT = (-150.0, 150.0)
_LOST_INTERCEPT = 1024.0
_LEAST_AIR = 0.02  # share of the voxels that tells where air lies
_BODY_SHARE = 0.5  # share of soft tissue that tells without air
_NORMALISED = 1.5  # 0–1 and −1–1 with some overshoot
_BECQUEREL = 1000.0  # SUV that a hundredth of the voxels does not reach
_OUTSIDE_SHARE = 0.2


def require_plausible(values: Values, quantity: Quantity, who: str) -> None:
    """Refuse numbers that cannot be of their quantity.

    Parameters
    ----------
    values
        Of the whole image, of any shape; NaN and inf are left to others.
    quantity
        What they are said to be.
    who
        Answered: the file or translator, for the message.

    Raises
    ------
    InputError
        With the value and its likely cause.
    """
    why = implausible(values, quantity)
    if why:
        raise InputError(f"{who} answered with what cannot be {_NAME[quantity]}: {why}.")


def require_possible(values: Values, quantity: Quantity, who: str) -> None:
    """Refuse no more than numbers beyond any of their quantity, as :func:`require_plausible`.

    For a network that was trained here: its first steps are wrong and no wonder.

    Raises
    ------
    InputError
        With the value.
    """
    why = _too_large(_finite(values), quantity)
    if why:
        raise InputError(f"{who} answered with what cannot be {_NAME[quantity]}: {why}.")


def implausible(values: Values, quantity: Quantity) -> str:
    """Say why numbers cannot be of their quantity; empty where they can."""
    known = _finite(values)
    if quantity not in LARGEST or known.size == 0:
        return ""
    if why := _too_large(known, quantity):
        return why
    few = _thinned(known)
    if quantity == "HU":
        return _normalised(few) or _shifted(few)
    if quantity == "SUVbw":
        high = float(np.percentile(few, 99))
        if high > _BECQUEREL:
            return (
                f"1 % of the voxels lie above {high:.4g}, which looks like Bq/mL and not like SUV"
            )
    return ""


def told(volume: Volume) -> Volume:
    """Return a volume whose history says what is odd about its numbers; see :func:`doubts`."""
    odd = doubts(volume.array, volume.quantity)
    if not odd:
        return volume
    return volume.with_array(volume.array, step=f"{ODD}{'; '.join(odd)}")


def doubts(values: Values, quantity: Quantity) -> tuple[str, ...]:
    """Say what is odd about numbers that may be right all the same."""
    known = _finite(values)
    if quantity not in LARGEST or known.size == 0:
        return ()
    return tuple(_doubts(_thinned(known), quantity))


_NAME: dict[Quantity, str] = {
    "HU": "HU",
    "SUVbw": "SUV",
    "arbitrary": "MR signal",
    "Gy": "dose",
    "label": "labels",
}


def _finite(values: Values) -> Values:
    flat = np.asarray(values).ravel()
    return np.asarray(flat[np.isfinite(flat)])


def _thinned(known: Values) -> Values:
    return np.asarray(known[:: max(1, known.size // _SAMPLE)], dtype=np.float64)


def _too_large(known: Values, quantity: Quantity) -> str:
    limit = LARGEST.get(quantity, np.inf)
    if known.size == 0:
        return ""
    low, high = float(known.min()), float(known.max())
    worst = high if abs(high) >= abs(low) else low
    return f"it holds the value {worst:.4g}" if abs(worst) > limit else ""


def _normalised(few: Values) -> str:
    low, high = (float(v) for v in np.percentile(few, [0.1, 99.9]))
    within = low >= -_NORMALISED and high <= _NORMALISED
    if within and np.unique(few[:2000]).size > 2 and high > low:
        return f"the values run from {low:.3g} to {high:.3g}, which looks like normalised ones"
    return ""


def _shifted(few: Values) -> str:
    """HU + 1024: air near 24 and soft tissue near 1024, and hardly any where they belong."""
    soft, lost = _share(few, _SOFT), _share(few, _SOFT, _LOST_INTERCEPT)
    air, lost_air = _share(few, _AIR), _share(few, _AIR, _LOST_INTERCEPT)
    if few.min() < -0.5 * _LOST_INTERCEPT or air >= _LEAST_AIR / 10:
        return ""
    with_air = lost_air >= _LEAST_AIR and lost >= _LEAST_AIR and lost > soft - lost_air
    without = lost >= _BODY_SHARE and soft < _LEAST_AIR
    if with_air or without:
        middle = float(np.median(few[(few > 874) & (few < 1174)]))
        return (
            f"soft tissue lies at {middle:.0f}, which looks like HU + 1024 (no intercept) "
            "or like a signal that is no HU"
        )
    return ""


def _doubts(few: Values, quantity: Quantity) -> Iterator[str]:
    low, high = float(few.min()), float(few.max())
    if low == high:
        yield f"every value is {low:.4g}"
        return
    if quantity == "arbitrary":
        if (below := float((few < 0).mean())) > 0.05:
            yield f"{below:.0%} of the signal is negative"
        return
    if quantity == "SUVbw":
        if low < -1:
            yield f"it holds the SUV {low:.3g}"
        return
    zero = float((few == 0).mean())
    if zero > _OUTSIDE_SHARE and _share(few, _AIR) < zero / 10 and low < -50:
        yield f"{zero:.0%} of the voxels are exactly 0 HU, as if water lay outside the body"
    elif low > -200:
        yield f"it holds no air: its lowest value is {low:.0f} HU"
    elif _share(few, _SOFT) < _LEAST_AIR:
        yield "it holds hardly any soft tissue between −150 and 150 HU"


def _share(few: Values, window: tuple[float, float], shift: float = 0.0) -> float:
    return float(((few >= window[0] + shift) & (few <= window[1] + shift)).mean())
