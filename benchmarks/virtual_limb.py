"""A virtual thigh or lower leg: simple shapes with the weak structure along the bone of a real one.

Every tissue is a formula of the position, so that a moved limb needs no interpolation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.registration.rigid import rotation_matrix

AIR, SKIN, FAT, MUSCLE, CORTEX, MARROW, VESSEL, TUMOUR = range(8)
HU = np.array([-1000, 20, -100, 55, 1100, -60, 45, 35], dtype=np.float32)
SIGNAL = {
    "T1": np.array([0, 300, 900, 320, 40, 850, 180, 300], dtype=np.float32),
    "T2": np.array([0, 260, 520, 230, 40, 480, 700, 800], dtype=np.float32),
    "low contrast": np.array([0, 330, 400, 320, 200, 390, 300, 330], dtype=np.float32),
}
_SEGMENT_MM = 200.0


@dataclass(frozen=True, kw_only=True)
class Limb:
    """The shapes of one limb; lengths in mm, its axis along z through the origin."""

    radius: float
    taper: float
    roundness: float
    fat: float
    fat_wave: tuple[float, float]
    shaft: float
    cortex: float
    flare: float
    bow: tuple[float, float]
    bone_at: tuple[float, float]
    second_bone: bool
    muscles: np.ndarray
    vessels: np.ndarray
    tumour: np.ndarray
    tilt: np.ndarray


def make_limb(rng: np.random.Generator) -> Limb:
    """Draw a limb: radius 50 to 85 mm, one bone or two, five to seven muscles, a tumour."""
    radius = rng.uniform(50, 85)
    around = np.arange(6) / 6 * 2 * np.pi + rng.uniform(0, 2 * np.pi)
    inner = 0.52 * radius
    muscles = np.stack(
        [
            inner * np.cos(around) * rng.uniform(0.9, 1.1, 6),
            inner * np.sin(around) * rng.uniform(0.9, 1.1, 6),
            rng.uniform(-70, 70, 6),
            radius * rng.uniform(0.28, 0.38, 6),
            radius * rng.uniform(0.28, 0.38, 6),
            rng.uniform(90, 190, 6),
        ],
        axis=1,
    )
    angle = rng.uniform(0, 2 * np.pi, 3)
    vessels = np.stack(
        [
            0.4 * radius * np.cos(angle),
            0.4 * radius * np.sin(angle),
            rng.uniform(2.5, 5, 3),
            rng.uniform(-0.12, 0.12, 3),
            rng.uniform(-0.12, 0.12, 3),
        ],
        axis=1,
    )
    where = rng.uniform(0, 2 * np.pi)
    tumour = np.array(
        [
            0.55 * radius * np.cos(where),
            0.55 * radius * np.sin(where),
            rng.uniform(-25, 25),
            *rng.uniform(10, 28, 3),
        ]
    )
    return Limb(
        radius=radius,
        taper=rng.uniform(-0.15, 0.15),
        roundness=rng.uniform(0.85, 1.0),
        fat=rng.uniform(5, 0.3 * radius),
        fat_wave=(rng.uniform(0, 0.4), rng.uniform(0, 2 * np.pi)),
        shaft=rng.uniform(11, 15),
        cortex=rng.uniform(3.5, 6),
        flare=rng.uniform(0.0, 0.9),
        bow=(rng.uniform(-9, 9), rng.uniform(-9, 9)),
        bone_at=(rng.uniform(-8, 8), rng.uniform(-8, 8)),
        second_bone=bool(rng.random() < 0.4),
        muscles=muscles,
        vessels=vessels,
        tumour=tumour,
        tilt=np.radians(rng.normal(0, 4, 3)),
    )


def tissue(limb: Limb, points_mm: np.ndarray) -> np.ndarray:
    """Name the tissue at every point, shape (..., 3) in, (...) out."""
    x, y, z = np.moveaxis(points_mm @ rotation_matrix(limb.tilt), -1, 0)
    along = z / _SEGMENT_MM
    rim = limb.radius * (1 + limb.taper * 2 * along)
    distance = np.hypot(x, y / limb.roundness)
    angle = np.arctan2(y, x)
    found = np.where(distance < rim, SKIN, AIR)
    found[distance < rim - 2] = FAT
    depth, phase = limb.fat_wave
    fascia = rim - 2 - limb.fat * (1 + depth * np.cos(angle - phase) + 0.4 * along)
    inside = distance < fascia
    for cx, cy, cz, rx, ry, rz in limb.muscles:
        belly = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2 < 1
        found[belly & inside] = MUSCLE
    for cx, cy, size, sx, sy in limb.vessels:
        found[np.hypot(x - cx - sx * z, y - cy - sy * z) < size] = VESSEL
    tx, ty, tz, rx, ry, rz = limb.tumour
    found[((x - tx) / rx) ** 2 + ((y - ty) / ry) ** 2 + ((z - tz) / rz) ** 2 < 1] = TUMOUR
    bow = 1 - (2 * along) ** 2
    bx, by = x - limb.bone_at[0] - limb.bow[0] * bow, y - limb.bone_at[1] - limb.bow[1] * bow
    size = limb.shaft * (1 + limb.flare * np.clip(along, 0, 1) ** 2 * 4)
    bone = np.hypot(bx, by)
    found[bone < size] = CORTEX
    found[bone < size - limb.cortex / (1 + 2 * np.clip(along, 0, 1))] = MARROW
    if limb.second_bone:
        bone = np.hypot(bx - 0.42 * limb.radius, by - 4)
        found[bone < 7] = CORTEX
        found[bone < 4] = MARROW
    return np.asarray(found)


def limb_grid(
    extent_mm: tuple[float, float, float], spacing_mm: tuple[float, float, float]
) -> Grid:
    """Return an axial grid about the origin."""
    shape = [max(2, round(e / s)) for e, s in zip(extent_mm, spacing_mm, strict=True)]
    origin = [-s * (n - 1) / 2 for n, s in zip(shape, spacing_mm, strict=True)]
    return Grid(shape=tuple(shape), spacing_mm=spacing_mm, origin_mm=tuple(origin))


def scan_limb(
    limb: Limb,
    grid: Grid,
    sequence: str,
    rng: np.random.Generator,
    shift_mm: np.ndarray,
    rotation_deg: np.ndarray,
    centre_mm: np.ndarray,
) -> tuple[Volume, Volume, np.ndarray]:
    """Scan a limb with MR and, moved rigidly about ``centre_mm``, with CT.

    Returns
    -------
    mr, ct : Volume
    body : ndarray of bool
        The limb as the MR sees it.
    """
    ticks = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    points = grid.to_world(ticks)
    turn = rotation_matrix(np.radians(rotation_deg))
    half = np.array(grid.spacing_mm) / 4
    mr, ct = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
    steps = [s * half for s in ([1, 1, 1], [-1, -1, 1], [1, -1, -1], [-1, 1, -1])]
    for step in steps:
        mr += SIGNAL[sequence][tissue(limb, points + step)] / len(steps)
        back = (points + step - centre_mm - shift_mm) @ turn + centre_mm
        ct += HU[tissue(limb, back)] / len(steps)
    low = sequence == "low contrast"
    size = np.linalg.norm(points[0, 0, 0] - points[-1, -1, -1])
    bias = 1 + sum(
        0.15 * np.sin(points @ rng.normal(0, 1.5 / size, 3) * 2 + rng.uniform(0, 6))
        for _ in range(2)
    )
    noise = 30.0 if low else 20.0
    mr = np.hypot(mr * bias + rng.normal(0, noise, mr.shape), rng.normal(0, noise, mr.shape))
    ct = np.clip(ct + rng.normal(0, 40 if low else 20, ct.shape), -1000, None)
    body = tissue(limb, points) != AIR
    return (
        Volume(array=mr.astype(np.float32), grid=grid, quantity="arbitrary"),
        Volume(array=ct.astype(np.float32), grid=grid, quantity="HU"),
        body,
    )
