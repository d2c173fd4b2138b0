"""The treatment day: a cone-beam CT of the reference at a known random offset."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, replace

import numpy as np

from qa_suite.core.arrays import FloatArray, Mask
from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid
from qa_suite.imaging.boxes import bounding_box
from qa_suite.imaging.registration.motion import RigidMotion
from qa_suite.imaging.registration.rigid import rotation_matrix
from qa_suite.metrics.geometry.images import (
    SMOOTHING_VOXELS,
    Image,
    blurred,
    halved,
    positions,
    smoothed,
)
from qa_suite.metrics.geometry.rigid_match import Match, Points, register
from qa_suite.metrics.geometry.settings import PositioningSettings

_MOST_POINTS = 20_000
_EDGE_VOXELS = 2.0  # of the field of view that smoothing spoils


@dataclass(frozen=True, kw_only=True)
class Day:
    """One treatment day.

    Parameters
    ----------
    offset
        The true motion: what lies at p on the day lies at ``offset`` p in the reference.
    centre_mm
        The isocentre, LPS.
    seed
        Of its random numbers.
    """

    offset: RigidMotion
    centre_mm: FloatArray
    seed: int


def make_day(reference: Image, centre_mm: FloatArray, settings: PositioningSettings) -> Day:
    """Draw the offset of the day, from a digest of the reference and the settings.

    The same reference has the same day, whatever is compared with it.
    """
    digest = hashlib.sha256(settings.model_dump_json().encode())
    values = reference.grid.turn.apply(reference.values)  # the day is the patient's, not the file's
    digest.update(np.round(values).astype("<i2").tobytes())
    seed = int.from_bytes(digest.digest()[:8], "little")
    rng = np.random.default_rng(seed)
    shift = rng.uniform(-1, 1, 3) * settings.max_shift_mm
    turn = rotation_matrix(np.radians(rng.uniform(-1, 1, 3) * settings.max_rotation_deg))
    return Day(offset=RigidMotion(shift=shift, turn=turn), centre_mm=centre_mm, seed=seed)


@dataclass(frozen=True, kw_only=True)
class Scan:
    """The cone-beam CT of a day as the registration reads it, coarse and fine.

    Parameters
    ----------
    offsets_mm, values
        For each resolution: positions from the isocentre and values there.
    """

    offsets_mm: tuple[FloatArray, ...]
    values: tuple[FloatArray, ...]


def simulate_cbct(reference: Image, region: Mask, day: Day, settings: PositioningSettings) -> Scan:
    """Scan the reference as it lies on the day, with the faults of a cone-beam CT.

    Parameters
    ----------
    reference
        The planning CT, averaged.
    region
        Where it shows the patient and is known; of its grid's shape.
    day
        The offset.
    settings
        Field of view, blur, noise, cupping and calibration.
    """
    from qa_suite.imaging.registration.motion_kernels import scan_moved

    rng = np.random.default_rng([day.seed, 1])
    grid = _scanned(reference.grid, region, day, settings)
    to_mm, corner = grid.affine[:3, :3], grid.affine[:3, 3] - day.centre_mm
    inverse = np.linalg.inv(reference.grid.affine[:3, :3])
    moved = day.offset.turn @ corner + day.offset.shift + day.centre_mm
    edge = _EDGE_VOXELS * max(grid.spacing_mm)
    values, seen = np.empty(grid.shape, np.float32), np.empty(grid.shape, bool)
    scan_moved(
        blurred(reference, settings.cbct_blur_mm).values,
        region,
        inverse @ day.offset.turn @ to_mm,
        reference.grid.to_index(moved),
        to_mm,
        corner,
        max(settings.cbct_diameter_mm / 2 - edge, 1e-3),
        settings.cbct_length_mm / 2 - edge,
        settings.cbct_cupping_hu / settings.cbct_slope,
        values,
        seen,
    )
    values *= np.float32(settings.cbct_slope)
    values += np.float32(settings.cbct_offset_hu)
    noise = rng.standard_normal(grid.shape, dtype=np.float32)
    values += noise * np.float32(settings.cbct_noise_hu)
    fine = Image(values=values, grid=grid)
    shown = Image(values=seen.astype(np.float32), grid=grid)
    coarse, coarse_shown = halved(fine), halved(shown)
    parts = [
        _sampled(smoothed(coarse), coarse_shown.values.ravel() > 0.5, day, rng),
        _sampled(smoothed(fine), seen.ravel(), day, rng),
    ]
    return Scan(offsets_mm=tuple(p for p, _ in parts), values=tuple(v for _, v in parts))


def _scanned(grid: Grid, region: Mask, day: Day, settings: PositioningSettings) -> Grid:
    """Return the part of a grid that holds the moved region and the field of view."""
    box = bounding_box(region)
    if box is None:
        raise InputError("There is no body in the planning CT to be scanned.")
    corners = np.array(list(itertools.product(*((part.start, part.stop - 1) for part in box))))
    back = day.offset.inverse()
    moved = (grid.to_world(corners) - day.centre_mm) @ back.turn.T + back.shift + day.centre_mm
    index = grid.to_index(moved)
    centre = grid.to_index(day.centre_mm)
    half = settings.cbct_diameter_mm / 2, settings.cbct_diameter_mm / 2, settings.cbct_length_mm / 2
    reach = np.abs(np.linalg.inv(grid.affine[:3, :3])) @ np.array(half)
    low = np.maximum(index.min(axis=0), centre - reach) - _EDGE_VOXELS
    high = np.minimum(index.max(axis=0), centre + reach) + _EDGE_VOXELS
    first = np.maximum(np.floor(low), 0).astype(int)
    last = np.minimum(np.ceil(high).astype(int) + 1, grid.shape)
    i, j, k = (int(n) for n in np.maximum(last - first, 2))
    return replace(grid, shape=(i, j, k), origin_mm=tuple(grid.to_world(first)))


def _sampled(
    image: Image, seen: Mask, day: Day, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    chosen = np.flatnonzero(seen)
    if len(chosen) > _MOST_POINTS:
        chosen = np.sort(rng.choice(chosen, _MOST_POINTS, replace=False))
    offsets = positions(image.grid, chosen) - day.centre_mm
    return offsets, image.values.ravel()[chosen].astype(float)


def register_cbct(scan: Scan, planning: Image, day: Day) -> Match:
    """Register the scan of the day to a planning CT."""
    images = [smoothed(halved(planning)), smoothed(planning)]
    repeated = (4 * np.pi * SMOOTHING_VOXELS**2) ** 1.5  # points that one smoothing makes one
    levels = []
    for offsets, values, image in zip(scan.offsets_mm, scan.values, images, strict=True):
        levels.append(
            Points(
                offsets_mm=offsets,
                target=values,
                moving=image,
                centre_mm=day.centre_mm,
                spread=repeated,
            )
        )
    return register(levels)
