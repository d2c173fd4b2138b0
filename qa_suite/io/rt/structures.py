"""DICOM structure sets to masks: holes, keyholes and several contours on a slice done right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.resampling import resample
from qa_suite.core.volume import Grid, Volume
from qa_suite.core.wording import count as count_of
from qa_suite.io.dicom.headers import RTSTRUCT_CLASS
from qa_suite.io.dicom.opening import open_dicom, text_of
from qa_suite.io.problems import ReadProblem

CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_SAME_PLANE_MM = 0.01
_PARALLEL_VOXEL = 0.25  # a contour that leaves its slice by more than this is oblique to it

Contour = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Structure:
    """One structure as it was drawn.

    ``contours`` are closed polygons, each an array of LPS points in mm, shape (n, 3); ``kind``
    is the interpreted type (``EXTERNAL``, ``GTV`` ...), ``number`` the ROI number by which plans
    refer to it, and ``notes`` say what was left out.
    """

    name: str
    number: int = 0
    kind: str
    contours: tuple[Contour, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StructureSet:
    """The structures of one file, and the images they were drawn on.

    ``uid``, ``frames_of_reference`` and ``series_uids`` are identifiers and never leave the
    machine.
    """

    path: Path
    uid: str
    patient_id: str
    frames_of_reference: frozenset[str]
    series_uids: frozenset[str]
    structures: Mapping[str, Structure] = field(default_factory=dict)


def read_structure_set(path: Path) -> StructureSet:
    """Read the contours of an RTSTRUCT file.

    Points and open contours have no inside and are left out, with a note. References to
    single images (SOP instances) are not needed and not followed: in practice they often
    lead nowhere. The frame of reference and the series say where the contours belong.

    Raises
    ------
    ReadProblem
        If the file is damaged, no RTSTRUCT, or its contours are no lists of points.
    """
    dataset = open_dicom(path, pixels=False, force=True)
    if text_of(dataset, "SOPClassUID") != RTSTRUCT_CLASS:
        raise ReadProblem(path, "a file is no RTSTRUCT")
    try:
        return _structure_set(path, dataset)
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise ReadProblem(path, f"a damaged structure set ({type(error).__name__})") from None


def _structure_set(path: Path, dataset: Any) -> StructureSet:
    frames: set[str] = set()
    series: set[str] = set()
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ():
        frames.add(text_of(frame, "FrameOfReferenceUID"))
        for study in frame.get("RTReferencedStudySequence") or ():
            for one in study.get("RTReferencedSeriesSequence") or ():
                series.add(text_of(one, "SeriesInstanceUID"))
    kinds = {
        int(item.ReferencedROINumber): text_of(item, "RTROIInterpretedType").upper()
        for item in dataset.get("RTROIObservationsSequence") or ()
        if item.get("ReferencedROINumber") is not None
    }
    drawn = {
        int(item.ReferencedROINumber): item.get("ContourSequence") or ()
        for item in dataset.get("ROIContourSequence") or ()
    }
    structures: dict[str, Structure] = {}
    for item in dataset.get("StructureSetROISequence") or ():
        number = int(item.ROINumber)
        frames.add(text_of(item, "ReferencedFrameOfReferenceUID"))
        name = text_of(item, "ROIName") or f"ROI {number}"
        if name in structures:
            name = f"{name} {number}"
        contours, notes = _contours(drawn.get(number, ()))
        structures[name] = Structure(
            name=name, number=number, kind=kinds.get(number, ""), contours=contours, notes=notes
        )
    return StructureSet(
        path=path,
        uid=text_of(dataset, "SOPInstanceUID"),
        patient_id=text_of(dataset, "PatientID"),
        frames_of_reference=frozenset(frames - {""}),
        series_uids=frozenset(series - {""}),
        structures=structures,
    )


def _contours(items: Iterable[Any]) -> tuple[tuple[Contour, ...], tuple[str, ...]]:
    """Return the closed contours, each once, and notes on the others."""
    closed: list[Contour] = []
    seen: set[bytes] = set()
    skipped: dict[str, int] = {}
    for item in items:
        kind = text_of(item, "ContourGeometricType").upper()
        values = item.get("ContourData")
        points = np.array([float(value) for value in values or ()]).reshape(-1, 3)
        if not np.isfinite(points).all():
            raise ValueError("contour points must be finite")
        if kind not in CLOSED:
            skipped[kind or "untyped"] = skipped.get(kind or "untyped", 0) + 1
        elif len(points) < 3:
            skipped["degenerate"] = skipped.get("degenerate", 0) + 1
        elif points.tobytes() in seen:  # listed twice, it would erase itself below
            skipped["doubled"] = skipped.get("doubled", 0) + 1
        else:
            seen.add(points.tobytes())
            closed.append(points)
    notes = [f"{count_of(n, f'{kind} contour')} left out" for kind, n in sorted(skipped.items())]
    return tuple(closed), tuple(notes)


def structure_mask(structure: Structure, grid: Grid) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Say which voxels of a grid lie inside a structure.

    A voxel is inside when its centre is. All contours of one plane are combined by the
    even-odd rule, so that a contour within another is a hole, a third within that an island,
    and the doubled edge of a keyhole encloses nothing. Each plane fills the one slice that it
    lies nearest to; nothing is made up between planes. Contours that are oblique to the
    slices are filled in their own planes first and then resampled to the nearest voxel.

    Parameters
    ----------
    structure
        From :func:`read_structure_set`.
    grid
        Where to fill it; best the image that it was drawn on.

    Returns
    -------
    mask : ndarray of bool, shape ``grid.shape``
    notes : tuple of str
        What a user should know: slices without a contour between others, planes or parts
        outside the grid.
    """
    indices = [grid.to_index(points) for points in structure.contours]
    if all(np.ptp(points[:, 2]) <= _PARALLEL_VOXEL for points in indices):
        return _fill_parallel(indices, grid)
    return _fill_oblique(structure, grid)


def _fill_parallel(indices: list[Contour], grid: Grid) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    mask = np.zeros(grid.shape, dtype=bool)
    spacing = grid.spacing_mm[2]
    planes: list[tuple[float, list[Contour]]] = []
    for points in sorted(indices, key=lambda p: float(p[:, 2].mean())):
        place = float(points[:, 2].mean())
        if planes and (place - planes[-1][0]) * spacing <= _SAME_PLANE_MM:
            planes[-1][1].append(points)
        else:
            planes.append((place, [points]))
    best: dict[int, tuple[float, list[Contour]]] = {}
    outside = crowded = 0
    for place, contours in planes:
        k = int(np.floor(place + 0.5))
        if not 0 <= k < grid.shape[2]:
            outside += 1
            continue
        crowded += k in best
        if k not in best or abs(place - k) < abs(best[k][0] - k):
            best[k] = (place, contours)
    cut = False
    for k, (_, contours) in best.items():
        mask[:, :, k] = fill_even_odd([points[:, :2] for points in contours], mask.shape[:2])
        points = np.concatenate(contours)[:, :2]
        cut |= bool((points < -0.5).any() or (points > np.array(mask.shape[:2]) - 0.5).any())
    notes = []
    if best:
        empty = max(best) - min(best) + 1 - len(best)
        if empty:
            notes.append(f"{count_of(empty, 'slice')} between its contours without one, left empty")
    if crowded:
        notes.append(f"{count_of(crowded, 'plane')} closer together than the slices, left out")
    if outside:
        notes.append(f"{count_of(outside, 'plane')} beyond the image, left out")
    if cut:
        notes.append("cut off at the edge of the image")
    return mask, tuple(notes)


_CROSSINGS_AT_ONCE = 1 << 20  # of edges and rows, however often a contour goes up and down


def fill_even_odd(polygons: list[Contour], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Fill polygons on a plane of pixels by the even-odd rule.

    Every edge toggles, in each row that it crosses, the pixels to its right; a pixel toggled
    an odd number of times is inside. An edge exactly on a pixel centre counts on one side
    only, so that two polygons that share an edge share no pixel and leave none out.

    Parameters
    ----------
    polygons
        Closed polygons in pixel indices, each of shape (n, 2); the last point joins the first.
    shape
        Size of the plane along both indices.

    Returns
    -------
    ndarray of bool, shape ``shape``
    """
    width, height = shape
    toggles = np.zeros((width + 1, height), dtype=np.int64)
    edges_at_once = max(_CROSSINGS_AT_ONCE // max(height, 1), 1)
    for points in polygons:
        following = np.roll(points, -1, axis=0)
        # every edge upwards, so that the two sides of a shared edge round its crossings alike
        upwards = (points[:, 1] <= following[:, 1])[:, None]
        x, y = np.where(upwards, points, following).T
        x_next, y_next = np.where(upwards, following, points).T
        low = np.ceil(y).astype(int).clip(0, height)
        high = np.ceil(y_next).astype(int).clip(0, height)
        for start in range(0, len(points), edges_at_once):
            some = np.arange(start, min(start + edges_at_once, len(points)))
            counts = (high - low)[some]
            edge = np.repeat(some, counts)
            row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            row += low[edge]
            share = (row - y[edge]) / (y_next[edge] - y[edge])
            crossing = x[edge] + share * (x_next[edge] - x[edge])
            column = np.ceil(crossing).clip(0, width).astype(int)
            np.add.at(toggles, (column, row), 1)
    return np.asarray(np.cumsum(toggles, axis=0)[:width] % 2 == 1)


_MAX_OBLIQUE_VOXELS = 3e8


def _fill_oblique(structure: Structure, grid: Grid) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Fill contours on a stack of their own planes, then take the nearest voxel of it."""
    normal = _normal(max(structure.contours, key=_area_mm2))
    depths = [points @ normal for points in structure.contours]
    finest = min(grid.spacing_mm)
    thickness = max(float(np.ptp(depth)) for depth in depths)
    if thickness > finest:
        empty = np.zeros(grid.shape, dtype=bool)
        return empty, (f"contours are not flat or not parallel ({thickness:.1f} mm), left out",)
    places = np.unique(np.round([float(depth.mean()) for depth in depths], 2))
    steps = np.diff(places)
    step = float(np.median(steps)) if len(steps) else max(grid.spacing_mm)
    helper = np.eye(3)[int(np.argmin(np.abs(normal)))]
    across = np.cross(helper, normal)
    across /= np.linalg.norm(across)
    axes = np.stack([across, np.cross(normal, across), normal], axis=1)
    points = np.concatenate(structure.contours) @ axes
    low, high = points.min(axis=0), points.max(axis=0)
    plane_mm = finest / 2
    voxels = np.prod((high - low)[:2] / plane_mm + 3) * ((places[-1] - places[0]) / step + 3)
    if voxels > _MAX_OBLIQUE_VOXELS:  # a damaged coordinate must not fill the memory
        span = " x ".join(f"{size:.0f}" for size in high - low)
        empty = np.zeros(grid.shape, dtype=bool)
        return empty, (f"contours span {span} mm in planes {step:.2g} mm apart, left out",)
    own = Grid(
        shape=(
            int(np.ceil((high[0] - low[0]) / plane_mm)) + 3,
            int(np.ceil((high[1] - low[1]) / plane_mm)) + 3,
            round((places[-1] - places[0]) / step) + 3,
        ),
        spacing_mm=(plane_mm, plane_mm, step),
        origin_mm=tuple(axes @ np.array([low[0] - plane_mm, low[1] - plane_mm, places[0] - step])),
        direction=tuple(axes.ravel()),
    )
    filled, notes = _fill_parallel([own.to_index(p) for p in structure.contours], own)
    labels = Volume(array=filled.astype(np.uint8), grid=own, quantity="label")
    mask = resample(labels, grid, interpolation="nearest", outside=0).array > 0
    return mask, (*notes, "drawn oblique to the slices, resampled to the nearest voxel")


def _normal(points: Contour) -> NDArray[np.float64]:
    _, _, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    normal = axes[2]
    return np.asarray(normal * (1 if normal[int(np.argmax(np.abs(normal)))] > 0 else -1))


def _area_mm2(points: Contour) -> float:
    crossed = np.cross(points, np.roll(points, -1, axis=0)).sum(axis=0)
    return float(np.linalg.norm(crossed)) / 2
