"""Two orthogonal radiographs of the day, matched to those of a planning CT.

Geometry: point sources at the source–axis distance in front of the patient (rays run along +y
at the isocentre) and to his right (along +x); pixels lie in the plane of the isocentre.
A pixel holds the line integral of the attenuation, μ = μ_water (1 + HU / 1000), never
below zero, as after the logarithm of a detector's signal. Only the patient is projected: what
lies outside his outline (couch, fixation) is removed from every planning CT alike.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray, Mask
from qa_suite.imaging.boxes import bounding_box
from qa_suite.imaging.registration.motion import RigidMotion
from qa_suite.metrics.geometry.cbct import Day
from qa_suite.metrics.geometry.images import Image, halved, smoothed
from qa_suite.metrics.geometry.rigid_match import Match, descend
from qa_suite.metrics.geometry.settings import PositioningSettings

WATER_PER_MM = 0.0206
"""Linear attenuation of water at 60 keV, in 1/mm (NIST XCOM: 0.206 cm²/g)."""

AIR_HU = -850.0
"""Voxels up to here attenuate nothing."""

TISSUE_HU = -300.0
"""Denser than lung and foam."""

_EDGE_MM = 6.0
_MIN_RAYS = 50
_SMOOTHING_VOXELS = 0.5
_FLOOR = 0.02  # of the residuals: line integrals have no unit
_DAY_STEP = 0.37  # of the resolution: the day is projected more finely than it is matched


def cut_share(image: Image, region: Mask) -> float:
    """Share of the region's outline across the patient's axis that lies in tissue.

    There the projected patient ends where the region or the image ends, whatever the planning
    CT shows, and that edge would be matched instead of the patient.
    """
    lengthwise = image.grid.long_axis
    edge = np.zeros_like(region)
    for axis in range(3):
        if axis == lengthwise:
            continue
        padded = np.pad(region, [(1, 1) if a == axis else (0, 0) for a in range(3)])
        for end in (slice(None, -2), slice(2, None)):
            edge |= ~padded[tuple(end if a == axis else slice(None) for a in range(3))]
    edge &= region
    count = int(edge.sum())
    return 0.0 if count == 0 else float((image.values[edge] > TISSUE_HU).sum()) / count


@dataclass(frozen=True, kw_only=True)
class Rays:
    """The rays of both radiographs, relative to the isocentre, in mm.

    Parameters
    ----------
    sources, directions
        Shape (n, 3); directions are unit vectors.
    entry, leave
        Where along the ray the patient may begin and end.
    view
        0 from the front, 1 from the side.
    place
        In the plane of the isocentre, across and along the patient, shape (n, 2).
    """

    sources: FloatArray
    directions: FloatArray
    entry: FloatArray
    leave: FloatArray
    view: NDArray[np.int_]
    place: FloatArray

    def __len__(self) -> int:
        return len(self.directions)


def attenuation(image: Image, region: Mask) -> Image:
    """Return μ in 1/mm inside the region, 0 outside and in air, smoothed a little.

    Air counts as nothing: what surrounds the patient must not depend on a bias of the values.

    Without the smoothing a shift by part of a voxel blurs an image more than one by a whole voxel.
    """
    seen = region & (image.values > AIR_HU)
    inside = np.where(seen, np.float32(WATER_PER_MM) * (1 + image.values / 1000), 0)
    return smoothed(Image(values=inside.astype(np.float32), grid=image.grid), _SMOOTHING_VOXELS)


def make_rays(
    region: Mask,
    image: Image,
    centre_mm: FloatArray,
    pixel_mm: float,
    settings: PositioningSettings,
) -> Rays:
    """Lay out the pixels of both radiographs so that every ray stays within the scan.

    A divergent ray near the end of the scan would leave through its last slice; those
    pixels are left out.
    """
    box = bounding_box(region)
    ends = [(part.start, part.stop - 1) for part in box or ()]
    corners = image.grid.to_world(list(itertools.product(*ends))) - centre_mm
    low, high = corners.min(axis=0), corners.max(axis=0)
    distance = settings.axis_distance_mm
    half_z = max(0.0, min(-low[2], high[2]) - _EDGE_MM)
    parts = []
    for view, (along, across) in enumerate(((1, 0), (0, 1))):
        deepest = max(-low[along], high[along])
        reach_z = min(half_z / (1 + deepest / distance), settings.cbct_length_mm / 2)
        reach = min(max(-low[across], high[across]) + 10.0, settings.cbct_diameter_mm / 2)
        u, v = np.meshgrid(_ticks(reach, pixel_mm), _ticks(reach_z, pixel_mm), indexing="ij")
        place = np.stack([u.ravel(), v.ravel()], axis=1)
        target = np.zeros((len(place), 3))
        target[:, across], target[:, 2] = place[:, 0], place[:, 1]
        source = np.zeros(3)
        source[along] = -distance
        path = target - source
        length = np.linalg.norm(path, axis=1)
        bow = deepest + 2 * settings.max_shift_mm + 10.0
        parts.append((source, path / length[:, None], length - bow, length + bow, view, place))
    return Rays(
        sources=np.concatenate([np.tile(p[0], (len(p[1]), 1)) for p in parts]),
        directions=np.ascontiguousarray(np.concatenate([p[1] for p in parts])),
        entry=np.concatenate([p[2] for p in parts]),
        leave=np.concatenate([p[3] for p in parts]),
        view=np.concatenate([np.full(len(p[1]), p[4]) for p in parts]),
        place=np.concatenate([p[5] for p in parts]),
    )


def _ticks(reach: float, step: float) -> FloatArray:
    count = int(reach // step)
    return np.arange(-count, count + 1, dtype=np.float64) * step


def project(
    volume: Image,
    rays: Rays,
    centre_mm: FloatArray,
    motion: RigidMotion,
    step_mm: float,
    *,
    slopes: bool,
) -> tuple[FloatArray, FloatArray]:
    """Line integrals through a moved volume, and (if asked for) their derivatives.

    Returns
    -------
    values : ndarray, shape (rays,)
    rows : ndarray, shape (rays, 6), or (0, 6) without slopes
    """
    from qa_suite.metrics.geometry.kernels import cast

    grid = volume.grid
    values = np.empty(len(rays))
    rows = np.empty((len(rays) if slopes else 0, 6))
    cast(
        rays.sources,
        rays.directions,
        rays.entry,
        rays.leave,
        step_mm,
        motion.turn,
        motion.shift,
        volume.values,
        np.ascontiguousarray(np.linalg.inv(grid.affine[:3, :3])),
        grid.to_index(centre_mm),
        values,
        rows,
    )
    return values, rows


@dataclass(frozen=True, kw_only=True)
class Radiographs:
    """Both radiographs of the day, coarse and fine."""

    rays: tuple[Rays, ...]
    values: tuple[FloatArray, ...]


def simulate_radiographs(
    reference: Image, region: Mask, day: Day, settings: PositioningSettings
) -> Radiographs:
    """Take two radiographs of the reference as it lies on the day, with quantum noise."""
    volume = attenuation(reference, region)
    spacing = max(reference.grid.spacing_mm)
    rng = np.random.default_rng([day.seed, 2])
    rays, values = [], []
    for pixel in (2 * spacing, spacing):
        here = make_rays(region, reference, day.centre_mm, pixel, settings)
        clean, _ = project(
            volume, here, day.centre_mm, day.offset, _DAY_STEP * spacing, slopes=False
        )
        noise = np.sqrt(np.exp(clean) / settings.photons) * (settings.resolution_mm / pixel)
        values.append(clean + rng.standard_normal(len(clean)) * noise)
        rays.append(here)
    return Radiographs(rays=tuple(rays), values=tuple(values))


def register_radiographs(
    shots: Radiographs, planning: Image, region: Mask, day: Day, settings: PositioningSettings
) -> Match:
    """Find the motion whose radiographs of the planning CT look like those of the day."""
    volume = attenuation(planning, region)
    match = Match()
    for number, (rays, target, image) in enumerate(
        zip(shots.rays, shots.values, (halved(volume), volume), strict=True)
    ):
        if len(rays) < _MIN_RAYS:
            return Match(why=f"only {len(rays)} rays pass through the scan")
        match = descend(
            partial(_seen, image, rays, day.centre_mm),
            target,
            _basis(rays),
            match.motion,
            radius_mm=_radius(rays),
            floor=_FLOOR,
            spread=1.0,
            tukey=number == 1,
        )
        if match.why:
            return match
    return match


def _seen(
    volume: Image, rays: Rays, centre_mm: FloatArray, motion: RigidMotion
) -> tuple[FloatArray, FloatArray, Mask]:
    """Project a moved volume, with the slopes; every ray has its value."""
    step = min(volume.grid.spacing_mm)
    values, rows = project(volume, rays, centre_mm, motion, step, slopes=True)
    return values, rows, np.ones(len(values), dtype=bool)


def _radius(rays: Rays) -> float:
    return float(np.sqrt((rays.place**2).sum(axis=1).mean()))


def _basis(rays: Rays) -> FloatArray:
    """Constant, linear and square terms of each radiograph."""
    u, v = (rays.place / max(_radius(rays), 1e-6)).T
    terms = np.stack([np.ones_like(u), u, v, u * u, v * v], axis=1)
    first = (rays.view == 0)[:, None]
    return np.concatenate([np.where(first, terms, 0), np.where(first, 0, terms)], axis=1)
