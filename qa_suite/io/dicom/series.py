"""One DICOM series to one volume: sorted, checked for gaps, and in HU or SUVbw."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Quantity, Volume
from qa_suite.core.wording import count as count_of
from qa_suite.io.dicom.headers import Series, Slice, number_of
from qa_suite.io.dicom.opening import decode_pixels, open_dicom, text_of
from qa_suite.io.dicom.suv import Timing, suv_factors, timing_of
from qa_suite.io.problems import ReadProblem

QUANTITY_OF_MODALITY: dict[str, Quantity] = {
    "CT": "HU",
    "CBCT": "HU",
    "MR": "arbitrary",
    "PT": "SUVbw",
    "PET": "SUVbw",  # what people call the modality that DICOM calls PT
}


def quantity_of_modality(modality: str) -> Quantity:
    """Return what the values of a modality's images are.

    Raises
    ------
    InputError
        If the modality is not known: a scale is never guessed.
    """
    if modality not in QUANTITY_OF_MODALITY:
        known = ", ".join(QUANTITY_OF_MODALITY)
        raise InputError(f"Unknown modality {modality!r}; known: {known}.")
    return QUANTITY_OF_MODALITY[modality]


POSITION_TOLERANCE_MM = 0.1
"""How far a slice may lie off the regular stack: positions are often rounded to 0.1 mm."""

_DUPLICATE_MM = 0.01
_MISSING = 1.5  # times the usual distance: at least one slice is missing
_PADDING_HU = -1024.0


def read_series(series: Series) -> Volume:
    """Read a stack of slices into a volume.

    The slices are sorted by their position along the slice normal. Every slice's own rescale
    slope and intercept is applied; PT becomes SUVbw (see :mod:`qa_suite.io.dicom.suv`).

    Parameters
    ----------
    series
        From :func:`qa_suite.io.dicom.headers.scan_dicom`.

    Returns
    -------
    Volume
        ``float32``; HU for CT, SUVbw for PT, arbitrary for MR. Its grid carries a hash of the
        frame of reference, never the identifier itself.

    Raises
    ------
    ReadProblem
        If a file cannot be read or decoded, a slice is missing, doubled or out of line, or a
        tag is missing that the scale of the values depends on. All that is wrong with the
        geometry is reported together.
    """
    if series.problems:
        raise ReadProblem(series.folder, "; ".join(series.problems))
    grid, slices = stack_grid(series)
    _require_scale(series)
    array = np.empty(grid.shape, dtype=np.float32)
    timings: list[Timing] = []
    stored = _Planes()
    padded = 0
    for k, one in enumerate(slices):
        header, plane = stored.plane(one)
        values = plane.astype(np.float64)
        slope = 1.0 if one.slope is None else one.slope
        intercept = 0.0 if one.intercept is None else one.intercept
        values = values * slope + intercept
        if series.modality == "CT":
            padding = _padding(header, plane) & (values < _PADDING_HU)
            values[padding] = _PADDING_HU
            padded += int(padding.sum())
        elif series.modality == "PT":
            timings.append(timing_of(header))
        array[:, :, k] = values.T
    history = [f"read {count_of(len(slices), 'DICOM slice')}, sorted by position"]
    if padded:
        history.append(f"{count_of(padded, 'padding voxel')} set to {_PADDING_HU:g} HU")
    if series.modality == "PT":
        factors, step = suv_factors(series.header, timings, where=series.folder)
        array *= factors.astype(np.float32)
        history.append(step)
    return Volume(
        array=array,
        grid=grid,
        quantity=QUANTITY_OF_MODALITY[series.modality],
        history=tuple(history),
    )


def frame_hash(frame_of_reference: str | None) -> str | None:
    """Return a short hash of a frame of reference; equal frames give equal hashes."""
    if frame_of_reference is None:
        return None
    return "for-" + hashlib.sha256(frame_of_reference.encode()).hexdigest()[:12]


def stack_grid(series: Series) -> tuple[Grid, list[Slice]]:
    """Return the grid of a stack and its slices in order along the slice normal.

    Raises
    ------
    ReadProblem
        If the slices do not make a regular grid; every gap is named with its position.
    """
    first = series.slices[0]
    across, down = np.asarray(first.orientation[:3]), np.asarray(first.orientation[3:])
    normal = np.cross(across, down)
    axes = np.stack([across, down, normal], axis=1)
    if len(series.slices) < 2:
        raise ReadProblem(series.folder, "a single slice, which makes no volume")
    positions = np.array([one.position_mm for one in series.slices])
    order = np.argsort(positions @ normal, kind="stable")
    positions = positions[order]
    spacing = _check_stack(series, positions, normal)
    try:
        grid = Grid(
            shape=(first.columns, first.rows, len(series.slices)),
            spacing_mm=(first.pixel_spacing_mm[1], first.pixel_spacing_mm[0], spacing),
            origin_mm=(positions[0][0], positions[0][1], positions[0][2]),
            direction=tuple(axes.ravel()),
            frame_of_reference=frame_hash(series.frame_of_reference),
        )
    except GeometryError as error:
        raise ReadProblem(series.folder, f"an impossible geometry: {error}") from None
    return grid, [series.slices[n] for n in order]


def _check_stack(
    series: Series, positions: NDArray[np.float64], normal: NDArray[np.float64]
) -> float:
    """Return the slice spacing of sorted slice positions, or say all that is wrong with them."""
    along = positions @ normal
    steps = np.diff(along)
    problems = []
    doubled = np.flatnonzero(steps < _DUPLICATE_MM)
    if len(doubled):
        places = ", ".join(_place(positions[n], along[n], normal) for n in doubled[:3])
        problems.append(f"{count_of(len(doubled), 'position')} taken by two slices ({places})")
    real = np.sort(steps[steps >= _DUPLICATE_MM])
    if not len(real):
        raise ReadProblem(series.folder, "; ".join(problems))
    usual = float(real[(len(real) - 1) // 2])
    gaps = np.flatnonzero(steps > _MISSING * usual)
    for n in gaps[:5]:
        low, high = (_place(positions[m], along[m], normal) for m in (n, n + 1))
        problems.append(
            f"slice missing between {low} and {high}: {steps[n]:.2f} mm apart where "
            f"{usual:.2f} mm is expected"
        )
    spacing = (along[-1] - along[0]) / (len(along) - 1)
    off = np.abs(along - along[0] - spacing * np.arange(len(along))).max()
    if not problems and off > POSITION_TOLERANCE_MM:
        problems.append(
            f"slices at irregular distances, from {real[0]:.2f} to {real[-1]:.2f} mm; resample "
            f"it to a regular spacing first"
        )
    line = positions[0] + np.outer(along - along[0], normal)
    sideways = np.linalg.norm(positions - line, axis=1).max()
    if sideways > POSITION_TOLERANCE_MM and along[-1] > along[0]:
        angle = np.degrees(np.arctan2(sideways, along[-1] - along[0]))
        problems.append(
            f"slices that are not stacked along their normal ({sideways:.1f} mm aside, "
            f"{angle:.1f}° as with a tilted gantry); resample it to a straight stack first"
        )
    if problems:
        raise ReadProblem(series.folder, "; ".join(problems))
    return float(spacing)


def _place(position: NDArray[np.float64], along: float, normal: NDArray[np.float64]) -> str:
    axis = int(np.argmax(np.abs(normal)))
    if abs(normal[axis]) > 1 - 1e-6:
        return f"{'xyz'[axis]}={position[axis]:.1f} mm"
    return f"{along:.1f} mm along the slice normal"


def _require_scale(series: Series) -> None:
    """Refuse a series whose values cannot be turned into HU or SUV without a guess."""
    if series.modality == "MR":
        return
    unit = "HU" if series.modality == "CT" else "SUV"
    for keyword in ("intercept", "slope"):
        lacking = sum(getattr(one, keyword) is None for one in series.slices)
        if lacking:
            raise ReadProblem(
                series.folder,
                f"no RescaleIntercept or RescaleSlope in {count_of(lacking, 'slice')}, so its "
                f"values are not known to be {unit}; export it again from its source",
            )
    if any(one.slope == 0 for one in series.slices):
        raise ReadProblem(series.folder, "a RescaleSlope of zero")
    kind = text_of(series.header, "RescaleType").upper()
    if series.modality == "CT" and kind not in ("", "HU", "US"):
        raise ReadProblem(series.folder, f"values of RescaleType {kind!r}, which are no HU")


def _padding(header: Any, plane: NDArray[Any]) -> NDArray[np.bool_]:
    """Say which stored values mean 'outside the field of view' (PS3.3 C.7.5.1.1.2)."""
    value = number_of(header, "PixelPaddingValue")
    if value is None:
        return np.zeros(plane.shape, dtype=bool)
    limit = number_of(header, "PixelPaddingRangeLimit")
    ends = sorted((value, value if limit is None else limit))
    if plane.dtype.kind == "i":  # written as an unsigned number although the pixels are signed
        wrap = 2.0 ** (8 * plane.dtype.itemsize)
        ends = [end - wrap if end >= wrap / 2 else end for end in ends]
    return (plane >= ends[0]) & (plane <= ends[1])


class _Planes:
    """Decoded planes; a multi-frame file is opened and decoded once for all its frames."""

    def __init__(self) -> None:
        self._opened: tuple[Any, Any, NDArray[Any]] | None = None

    def plane(self, one: Slice) -> tuple[Any, NDArray[Any]]:
        if self._opened is None or self._opened[0] != one.path:
            header = open_dicom(one.path, pixels=True, force=True)
            self._opened = (one.path, header, decode_pixels(one.path, header))
        _, header, pixels = self._opened
        plane = pixels[one.frame] if pixels.ndim == 3 else pixels
        if plane.shape != (one.rows, one.columns):
            raise ReadProblem(one.path, f"a slice of {plane.shape} pixels, not as its header says")
        return header, plane
