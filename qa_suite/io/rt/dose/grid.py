"""Where the planes of an RTDOSE lie: the grid of a multi-frame dose, frames in any order.

The Grid Frame Offset Vector comes in two kinds (DICOM PS3.3, C.8.8.3.2): *relative*, its first
element 0, the distance of each plane from the first one along the normal of the planes; and
*absolute*, its first element the z of Image Position (Patient), the z of each plane, for axial
planes only. Any other vector could mean either and is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import GeometryError
from qa_suite.core.volume import Grid
from qa_suite.core.wording import count
from qa_suite.io.dicom.headers import number_of, texts_of
from qa_suite.io.dicom.opening import text_of
from qa_suite.io.dicom.series import POSITION_TOLERANCE_MM, frame_hash
from qa_suite.io.problems import ReadProblem

_SAME_PLACE_MM = 1e-3  # rounding in a header, for offsets that stand for one place
_ORTHONORMAL = 1e-3


def frames_of(path: Path, header: Any) -> int:
    """Return the number of planes of a dose; one where the file does not say it."""
    return _count(path, header, "NumberOfFrames")


def dose_grid(path: Path, header: Any, *, plane_mm: float | None = None) -> tuple[Grid, bool]:
    """Return the grid of an RTDOSE, and whether its frames run against the grid's k.

    The grid is right-handed: k runs along the normal (row × column) of the planes. A single plane
    lies at Image Position, as thick as ``plane_mm`` says.

    Raises
    ------
    ReadProblem
        If an element is missing, the planes are not regular, or the vector fits neither kind.
    """
    position = _numbers(path, header, "ImagePositionPatient", 3)
    orientation = _numbers(path, header, "ImageOrientationPatient", 6)
    row_mm, column_mm = _numbers(path, header, "PixelSpacing", 2)
    rows, columns, frames = (_count(path, header, k) for k in ("Rows", "Columns", "NumberOfFrames"))
    if frames == 1 and plane_mm is None:
        raise ReadProblem(path, "a single plane of dose, whose thickness nobody said")
    across, down = orientation[:3], orientation[3:]
    frame = np.array([across, down])
    if not np.allclose(frame @ frame.T, np.eye(2), atol=_ORTHONORMAL):
        raise ReadProblem(path, "an image orientation whose two directions are not orthonormal")
    normal = np.cross(across, down)
    if frames == 1 and not texts_of(header, "GridFrameOffsetVector"):
        offsets = np.zeros(1)  # the standard asks for it in doses of several planes only
    else:
        offsets = _numbers(path, header, "GridFrameOffsetVector", frames)
    along = _along_normal(path, offsets, position, orientation)
    backwards = bool(along[-1] < along[0])
    spacing = (
        plane_mm
        if frames == 1 and plane_mm
        else _regular_step(path, along[::-1] if backwards else along)
    )
    origin = position + min(along[0], along[-1]) * normal
    try:
        grid = Grid(
            shape=(columns, rows, frames),
            spacing_mm=(column_mm, row_mm, spacing),
            origin_mm=(origin[0], origin[1], origin[2]),
            direction=tuple(np.stack([across, down, normal], axis=1).ravel()),
            frame_of_reference=frame_hash(text_of(header, "FrameOfReferenceUID") or None),
        )
    except GeometryError as error:
        raise ReadProblem(path, f"an impossible geometry: {error}") from None
    return grid, backwards


def _along_normal(
    path: Path,
    offsets: NDArray[np.float64],
    position: NDArray[np.float64],
    orientation: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the distance of each plane from Image Position along the planes' normal, in mm."""
    if abs(offsets[0]) <= _SAME_PLACE_MM:
        return offsets - offsets[0]
    axial = np.allclose(np.abs(orientation), (1, 0, 0, 0, 1, 0), atol=_ORTHONORMAL)
    if axial and abs(offsets[0] - position[2]) <= POSITION_TOLERANCE_MM:
        return (offsets - offsets[0]) * np.sign(orientation[0] * orientation[4])
    kind = "axial" if axial else "oblique"
    raise ReadProblem(
        path,
        f"a GridFrameOffsetVector that begins with {offsets[0]:g} in {kind} planes from "
        f"z={position[2]:g} mm: neither relative (0 first) nor absolute (that z first)",
    )


def _regular_step(path: Path, along: NDArray[np.float64]) -> float:
    steps = np.diff(along)
    if (steps < _SAME_PLACE_MM).any():
        raise ReadProblem(path, "planes of dose in no order, or two at one place")
    step = float((along[-1] - along[0]) / (len(along) - 1))
    off = np.abs(along - along[0] - step * np.arange(len(along))).max()
    if off > POSITION_TOLERANCE_MM:
        raise ReadProblem(
            path,
            f"planes of dose at irregular distances, from {steps.min():.2f} to "
            f"{steps.max():.2f} mm; export it on a regular grid",
        )
    return step


def _numbers(path: Path, header: Any, keyword: str, size: int) -> NDArray[np.float64]:
    found = texts_of(header, keyword)
    try:
        values = np.array([float(text) for text in found])
    except ValueError:
        values = np.array([])
    if len(values) != size or not np.isfinite(values).all():
        raise ReadProblem(
            path, f"a dose without a usable {keyword} ({count(len(found), 'value')}, {size} needed)"
        )
    return values


def _count(path: Path, header: Any, keyword: str) -> int:
    value = number_of(header, keyword)
    if value is None and keyword == "NumberOfFrames":
        return 1
    if value is None or value < 1 or value != int(value):
        raise ReadProblem(path, f"a dose without a usable {keyword}")
    return int(value)
