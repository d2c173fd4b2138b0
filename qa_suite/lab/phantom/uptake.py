"""How much FDG each part of a virtual patient takes up, in SUVbw.

Values are medians of patients an hour after injection who fasted and rested. A patient
differs from the next by one factor common to all his tissues (body composition, glucose,
time), a factor of each tissue, and a smooth unevenness within it. What the MR shows of the
lesion explains a known share of its uptake and no more, see :data:`LESION_CORRELATION`.

Sources
-------
[Bo13] Boktor RR et al. (2013), J Nucl Med 54:677; aortic blood pool 1.55, SD 0.38 (n = 132).
[vV16] van Vliet KE et al. (2016), Nucl Med Commun 37:589; femoral diaphysis, SUVmean 0.46.
[Sh18] Shen G et al. (2018), Acta Radiol 59:1487; vertebral marrow falls with age, and from
    the lumbar spine to the sacrum.
[Ja08] Jadvar H et al. (2008), Ann Nucl Med 22:787; normal prostate, SUVmean 1.3, SD 0.4.
[Ch17] Chetan MR et al. (2017), World J Radiol 9:350; FDG in malignant sectors of the prostate
    3.1, SD 0.6, in benign ones 2.9, SD 0.7; no correlation with what the MR shows.
[mp17] Focal incidental FDG uptake in the prostate and multi-parametric MRI, PMC5612364; benign
    lesions below SUVmax 6, malignant ones higher with their Gleason score.
[Ol15] Oliveira AL et al. (2015), Obesity 23:286; visceral fat takes up more than subcutaneous fat.
[JN15] Abstract 1434, J Nucl Med 56 (2015), suppl. 3; bladder, SUVmean 13.8, SD 10.3, and after
    furosemide 2.0, SD 0.8 (n = 76).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.core.volume import Grid, Triple
from qa_suite.lab.phantom.anatomy import in_the_world, sample
from qa_suite.lab.phantom.parts import LABELS, PARTS
from qa_suite.lab.phantom.patients import Anatomy

LESION_CORRELATION = 0.5
"""Correlation of the logarithm of the lesion's SUV with its size, which is all that the MR
tells of it: a translator from MR can explain a quarter of the variance, and no more."""

COMMON_SPREAD = 1.15
"""Geometric standard deviation of the factor that all tissues of a patient share."""

OCCULT_SHARE = 0.4
"""Share of patients with a focus in the marrow that neither MR nor CT shows."""
OCCULT_STRUCTURE = "GTV_Bone"
_OCCULT_SUV = (4.5, 1.4)
_OCCULT_RADIUS_MM = (5.0, 9.0)
_OCCULT_Z_MM = (-70.0, 85.0)

_LESION_RADIUS_MM = (6.0, 9.0)
_EVEN, _MUSCLE, _GUT = 0.0, 0.08, 0.35


@dataclass(frozen=True, kw_only=True)
class Uptake:
    """The uptake of one part of the body.

    Parameters
    ----------
    suv
        Median over patients, SUVbw.
    spread
        Geometric standard deviation between patients, beside the common factor.
    uneven
        Standard deviation of the logarithm within the part.
    source
        Where the median comes from; "estimated" where nowhere.
    """

    suv: float
    spread: float
    uneven: float = _EVEN
    source: str = "estimated"


UPTAKE: Mapping[str, Uptake] = MappingProxyType(
    {
        "air": Uptake(suv=0.0, spread=1.0, source="no tissue"),
        "skin": Uptake(suv=0.55, spread=1.2),
        "fat": Uptake(
            suv=0.35,
            spread=1.2,
            uneven=_MUSCLE,
            source="estimated, between subcutaneous and visceral fat (Ol15: visceral is higher)",
        ),
        "muscle": Uptake(suv=0.65, spread=1.15, uneven=_MUSCLE, source="estimated, at rest"),
        "bone_cortical": Uptake(suv=0.3, spread=1.2),
        "marrow_pelvis": Uptake(
            suv=1.05, spread=1.25, uneven=_MUSCLE, source="estimated, below the lumbar spine (Sh18)"
        ),
        "marrow_sacrum": Uptake(
            suv=1.15, spread=1.25, uneven=_MUSCLE, source="estimated, below the lumbar spine (Sh18)"
        ),
        "marrow_femur": Uptake(
            suv=0.6, spread=1.25, uneven=_MUSCLE, source="estimated, between pelvis and shaft"
        ),
        "marrow_shaft": Uptake(suv=0.46, spread=1.25, source="vV16"),
        "cartilage": Uptake(suv=0.5, spread=1.2),
        "bladder_wall": Uptake(suv=1.1, spread=1.2),
        "urine": Uptake(suv=11.0, spread=1.95, source="JN15; each hospital has its own"),
        "prostate": Uptake(suv=1.3, spread=1.25, source="Ja08"),
        "lesion": Uptake(
            suv=5.0,
            spread=1.6,
            source="estimated: from as good as invisible (Ch17) to avid ones of high grade (mp17)",
        ),
        "seminal_vesicles": Uptake(suv=1.1, spread=1.25),
        "rectum_wall": Uptake(suv=1.7, spread=1.3, uneven=_GUT),
        "stool": Uptake(suv=0.6, spread=1.3, uneven=_GUT),
        "gas": Uptake(suv=0.0, spread=1.0, source="no tissue"),
        "bowel_wall": Uptake(suv=1.8, spread=1.35, uneven=_GUT),
        "bowel_content": Uptake(suv=0.9, spread=1.35, uneven=_GUT),
        "blood": Uptake(suv=1.5, spread=1.2, source="Bo13"),
        "nerve": Uptake(suv=0.6, spread=1.2),
    }
)
"""Uptake by part of the body, see :data:`qa_suite.lab.phantom.parts.PARTS`."""


@dataclass(frozen=True, kw_only=True)
class Focus:
    """A ball of high uptake in the marrow; LPS mm and SUVbw."""

    centre_mm: Triple
    radius_mm: float
    suv: float


@dataclass(frozen=True, kw_only=True)
class PatientUptake:
    """The uptake of one patient.

    Parameters
    ----------
    suv
        SUVbw by part, before any unevenness.
    focus
        The focus that MR and CT do not show, or None.
    waves
        Wave vectors and phases of the unevenness, shape (n, 4).
    """

    suv: Mapping[str, float]
    focus: Focus | None
    waves: NDArray[np.float64]


def draw_uptake(
    anatomy: Anatomy, urine: tuple[float, float], rng: np.random.Generator
) -> PatientUptake:
    """Draw the uptake of one patient.

    Parameters
    ----------
    anatomy
        The patient; the size of his lesion enters its uptake.
    urine
        Median and geometric spread of the SUV of urine at the hospital.
    rng
        For everything, in a fixed order.
    """
    common = COMMON_SPREAD ** rng.standard_normal()
    suv = {
        part: UPTAKE[part].suv * common * UPTAKE[part].spread ** rng.standard_normal()
        for part in PARTS
    }
    suv["urine"] = urine[0] * urine[1] ** float(np.clip(rng.standard_normal(), -2.5, 2.5))
    known = lesion_size(anatomy)
    own = float(rng.standard_normal())
    mixed = LESION_CORRELATION * known + np.sqrt(1 - LESION_CORRELATION**2) * own
    suv["lesion"] = UPTAKE["lesion"].suv * UPTAKE["lesion"].spread ** mixed
    return PatientUptake(
        suv={part: float(value) for part, value in suv.items()},
        focus=_draw_focus(anatomy, rng),
        waves=_draw_waves(rng),
    )


def lesion_size(anatomy: Anatomy) -> float:
    """Return the size of the lesion in standard deviations from the mean over patients."""
    low, high = _LESION_RADIUS_MM
    radius = float(anatomy.lesion.radii_mm[0]) / 1.2
    return (radius - (low + high) / 2) / ((high - low) / np.sqrt(12))


def _draw_focus(anatomy: Anatomy, rng: np.random.Generator) -> Focus | None:
    """Draw the occult focus; the same numbers are drawn whether he has one or not."""
    present = rng.uniform() < OCCULT_SHARE
    radius = rng.uniform(*_OCCULT_RADIUS_MM)
    suv = _OCCULT_SUV[0] * _OCCULT_SUV[1] ** rng.standard_normal()
    nodes = np.concatenate([mesh.nodes for mesh in (*anatomy.hips.values(), anatomy.sacrum)])
    nodes = nodes[(nodes[:, 2] > _OCCULT_Z_MM[0]) & (nodes[:, 2] < _OCCULT_Z_MM[1])]
    nodes = nodes[nodes[:, 3] >= np.percentile(nodes[:, 3], 60)]  # where the bone is thick
    place = nodes[rng.integers(len(nodes)), :3]
    if not present:
        return None
    return Focus(centre_mm=in_the_world(anatomy, place), radius_mm=float(radius), suv=float(suv))


def _draw_waves(rng: np.random.Generator) -> NDArray[np.float64]:
    rows = []
    for wavelength in (35.0, 50.0, 70.0, 100.0, 140.0):
        direction = rng.standard_normal(3)
        direction *= 2 * np.pi / wavelength / np.linalg.norm(direction)
        rows.append([*direction, rng.uniform(0, 2 * np.pi)])
    return np.array(rows)


def uptake_map(
    anatomy: Anatomy, grid: Grid, uptake: PatientUptake
) -> tuple[Float32Array, Float32Array]:
    """Return the true uptake before any blur, and how much of each voxel is the focus.

    Returns
    -------
    suv, focus
        SUVbw and shares from 0 to 1, both of the grid's shape.
    """
    suv = np.empty(grid.shape, dtype=np.float32)
    focus = np.zeros(grid.shape, dtype=np.float32)
    groups = sorted({UPTAKE[part].uneven for part in PARTS})
    marrow = [LABELS["marrow_pelvis"], LABELS["marrow_sacrum"]]
    for slab in sample(anatomy, grid):
        x, y, z = _positions(grid, slab.slices)
        field = _unevenness(uptake.waves, x, y, z)
        total = np.zeros(slab.shares.shape[1:], dtype=np.float32)
        for u in groups:
            values = [uptake.suv[p] if UPTAKE[p].uneven == u else 0.0 for p in PARTS]
            part = np.tensordot(np.array(values, dtype=np.float32), slab.shares, axes=1)
            total += part * np.exp(np.float32(u) * field - np.float32(u * u / 2))
        if uptake.focus is not None:
            share = _ball(uptake.focus, grid, x, y, z) * slab.shares[marrow].sum(axis=0)
            focus[..., slab.slices] = share
            total += share * (np.float32(uptake.focus.suv) - total)
        suv[..., slab.slices] = total
    return suv, focus


def _positions(grid: Grid, slices: slice) -> tuple[Float32Array, Float32Array, Float32Array]:
    i, j, k = np.ix_(
        np.arange(grid.shape[0]), np.arange(grid.shape[1]), np.arange(slices.start, slices.stop)
    )
    x, y, z = (
        (row[0] * i + row[1] * j + row[2] * k + row[3]).astype(np.float32)
        for row in grid.affine[:3]
    )
    return x, y, z


def _unevenness(
    waves: NDArray[np.float64], x: Float32Array, y: Float32Array, z: Float32Array
) -> Float32Array:
    """Smooth field of mean 0 and variance 1 over the patient."""
    field = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), dtype=np.float32)
    for kx, ky, kz, phase in waves.astype(np.float32):
        field += np.sin(kx * x + ky * y + kz * z + phase)
    return np.asarray(field * np.float32(np.sqrt(2 / len(waves))), dtype=np.float32)


def _ball(
    focus: Focus, grid: Grid, x: Float32Array, y: Float32Array, z: Float32Array
) -> Float32Array:
    """Share of each voxel inside the ball, by a ramp as wide as the voxel."""
    cx, cy, cz = (np.float32(c) for c in focus.centre_mm)
    distance = np.sqrt((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) - np.float32(focus.radius_mm)
    cell = np.float32(np.mean(grid.spacing_mm))
    return np.asarray(np.clip(np.float32(0.5) - distance / cell, 0, 1), dtype=np.float32)
