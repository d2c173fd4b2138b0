"""A small analytic patient, scanned where one likes: known motions without interpolation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.cohort import Case, Cohort
from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.registration.rigid import rotation_matrix
from qa_suite.io.cases import LoadedCase

FAT, MUSCLE, BONE, FLUID = 1, 2, 3, 4
HU_OF = np.array([-1000.0, -95.0, 45.0, 500.0, 10.0])
SIGNAL_OF = np.array([5.0, 900.0, 300.0, 120.0, 180.0])

SHAPE = (40, 32, 28)
SPACING_MM = (5.0, 5.0, 6.0)

_PELVIS = (
    (FAT, (0, 0, 0), (90, 65, 80)),
    (MUSCLE, (0, 5, 0), (75, 48, 70)),
    (FLUID, (0, -15, 5), (25, 22, 20)),
    (BONE, (45, 5, -10), (18, 15, 25)),
    (BONE, (-48, 8, -5), (15, 17, 28)),
    (BONE, (0, 35, 20), (20, 9, 30)),
    (FAT, (5, 20, -30), (10, 12, 18)),
)
_LIMB = ((FAT, (0, 0), 60), (MUSCLE, (5, 3), 45), (BONE, (10, 5), 15), (FAT, (10, 5), 8))


def tissue(points_mm: NDArray[Any], anatomy: str) -> NDArray[np.int_]:
    """Tissue at every point; ``pelvis`` has structure everywhere, ``limb`` none along z."""
    found = np.zeros(points_mm.shape[:-1], dtype=int)
    if anatomy == "limb":
        for label, centre, radius in _LIMB:
            found[((points_mm[..., :2] - np.array(centre)) ** 2).sum(-1) < radius**2] = label
        return found
    for label, centre, radii in _PELVIS:
        found[(((points_mm - np.array(centre)) / np.array(radii)) ** 2).sum(-1) < 1] = label
    return found


@dataclass(frozen=True, kw_only=True)
class Scans:
    mr: Volume
    ct: Volume
    body: NDArray[np.bool_]


def scan(
    *,
    shift_mm: tuple[float, float, float] = (0, 0, 0),
    rotation_deg: tuple[float, float, float] = (0, 0, 0),
    anatomy: str = "pelvis",
    seed: int = 0,
    shape: tuple[int, int, int] = SHAPE,
) -> Scans:
    """Scan the patient; what lies at x in the MR lies at R x + shift in the CT."""
    rng = np.random.default_rng(seed)
    spacing = np.array(SPACING_MM)
    origin = -(np.array(shape) - 1) / 2 * spacing
    grid = Grid(shape=shape, spacing_mm=SPACING_MM, origin_mm=tuple(origin))
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
    points = grid.to_world(index)
    turn = rotation_matrix(np.radians(rotation_deg))
    steps = np.stack(np.meshgrid(*[[-0.25, 0.25]] * 3), axis=-1).reshape(-1, 3) * spacing
    mr = np.mean([SIGNAL_OF[tissue(points + s, anatomy)] for s in steps], axis=0)
    ct = np.mean([HU_OF[tissue((points + s - shift_mm) @ turn, anatomy)] for s in steps], axis=0)
    mr = np.hypot(mr + rng.normal(0, 15, shape), rng.normal(0, 15, shape))
    ct = np.clip(ct + rng.normal(0, 20, shape), -1000, None)
    return Scans(
        mr=Volume(array=mr.astype(np.float32), grid=grid, quantity="arbitrary"),
        ct=Volume(array=ct.astype(np.float32), grid=grid, quantity="HU"),
        body=ct > -400,
    )


def loaded(
    source: Volume, reference: Volume | None, mask: NDArray[np.bool_] | None
) -> tuple[LoadedCase, Cohort]:
    """Wrap volumes as a loaded case of a cohort MR->CT."""
    case = Case(case="A-1", patient="p1", site="A", source="mr.nii.gz", reference="ct.nii.gz")
    quantity = "HU" if reference is None else reference.quantity
    cohort = Cohort(name="c", source_modality="MR", reference_quantity=quantity, cases=(case,))
    return LoadedCase(case=case, source=source, reference=reference, mask=mask), cohort
