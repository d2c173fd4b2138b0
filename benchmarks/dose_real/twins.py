"""Faulted twins of a real CT: one fault each, everything else as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.dose_real.images import RealCase
from qa_suite.core.arrays import Float32Array, Mask
from qa_suite.core.volume import Grid
from qa_suite.dose.scene.scene import AIR_BELOW_HU, BONE_FROM_HU
from qa_suite.imaging.body import ct_body

TISSUE_HU = 40.0
SKIN_HU = -100.0
AIR_HU = -1000.0
OUTLINE_MM = 3.0
GAS_SHIFT_MM = 10.0
SHIFT_MM = 2.0
CLOSING_MM = 16.0


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What the faults need to know of a CT.

    ``air`` is the open air around the patient, without mouth, ears and folds: what closes when
    the body is closed by 16 mm. ``gas`` is what lies in the body below -200 HU, without lungs.
    """

    hu: Float32Array
    grid: Grid
    body: Mask
    air: Mask
    gas: Mask


def ground_of(case: RealCase) -> Ground:
    """Find body, open air and gas of a CT."""
    hu = case.ct.array.astype(np.float32)
    body = ct_body(hu, case.ct.grid)
    z = case.ct.grid.to_world(np.moveaxis(np.indices(hu.shape), 0, -1))[..., 2]
    deep = _distance_mm(body, case.ct.grid) > 6.0
    gas = deep & (hu < AIR_BELOW_HU) & (z < case.gas_below_z_mm)
    air = ~_closed(body, case.ct.grid)
    return Ground(hu=hu, grid=case.ct.grid, body=body, air=air, gas=gas)


def bone_missing(ground: Ground) -> Float32Array:
    """Give all bone (from 150 HU, metal too) the HU of soft tissue."""
    return np.where(ground.body & (ground.hu >= BONE_FROM_HU), TISSUE_HU, ground.hu)


def hu_bias(ground: Ground) -> Float32Array:
    """Add 30 HU inside the body."""
    return ground.hu + np.where(ground.body, np.float32(30), 0)


def hu_scale(ground: Ground) -> Float32Array:
    """Stretch HU + 1000 by 3 %."""
    return (ground.hu - AIR_HU) * np.float32(1.03) + AIR_HU


def outline_smaller(ground: Ground) -> Float32Array:
    """Take 3 mm of skin off; the image's edge is no skin."""
    step = float(np.mean(ground.grid.spacing_mm))
    kept = np.clip((_distance_mm(~ground.air, ground.grid) - OUTLINE_MM) / step, 0, 1)
    return np.where(ground.body, AIR_HU + kept * (ground.hu - AIR_HU), ground.hu)


def outline_larger(ground: Ground) -> Float32Array:
    """Lay 3 mm of fat around the skin."""
    step = float(np.mean(ground.grid.spacing_mm))
    away = _distance_mm(ground.air, ground.grid) - step  # of the voxel's inner face
    laid = np.clip((OUTLINE_MM - away) / step, 0, 1)
    more = np.maximum(ground.hu, AIR_HU + laid * (SKIN_HU - AIR_HU))
    return np.where(ground.air, more, ground.hu)


def gas_filled(ground: Ground) -> Float32Array:
    """Fill all gas with soft tissue."""
    return np.where(ground.gas, TISSUE_HU, ground.hu)


def gas_shifted(ground: Ground) -> Float32Array:
    """Move the gas 10 mm to the left; where it was there is soft tissue."""
    steps = max(1, round(GAS_SHIFT_MM / ground.grid.spacing_mm[0]))
    steps *= int(np.sign(ground.grid.axes[0, 0]))
    moved = np.roll(ground.gas, steps, axis=0) & (_distance_mm(ground.body, ground.grid) > 6.0)
    moved &= ground.hu < BONE_FROM_HU
    values = np.roll(ground.hu, steps, axis=0)
    return np.where(moved, values, gas_filled(ground))


def shifted(ground: Ground) -> Float32Array:
    """Move everything 2 mm to the back, in a supine patient: towards the couch."""
    from scipy import ndimage

    way = ground.grid.axes.T @ np.array([0.0, SHIFT_MM, 0.0]) / ground.grid.spacing_mm
    moved = ndimage.shift(ground.hu, way, order=3, mode="nearest")
    return np.clip(moved, ground.hu.min(), ground.hu.max())


TWINS: Mapping[str, Callable[[Ground], Float32Array]] = {
    "bone missing": bone_missing,
    "+30 HU": hu_bias,
    "HU scale +3 %": hu_scale,
    "outline 3 mm smaller": outline_smaller,
    "outline 3 mm larger": outline_larger,
    "gas filled": gas_filled,
    "gas 10 mm to the left": gas_shifted,
    "shift 2 mm to the back": shifted,
}


def _closed(body: Mask, grid: Grid) -> Mask:
    """Close the body by 16 mm within each slice, as if the image went on beyond its edge."""
    from scipy import ndimage

    pad = [(0, 0)] * 3
    for axis in (0, 1):
        count = int(np.ceil(CLOSING_MM / grid.spacing_mm[axis])) + 1
        pad[axis] = (count, count)
    padded = np.pad(body, pad, mode="edge")
    spacing = grid.spacing_mm[:2]
    out = np.empty_like(padded)
    for k in range(padded.shape[2]):
        grown = ndimage.distance_transform_edt(~padded[..., k], sampling=spacing) <= CLOSING_MM
        back = ndimage.distance_transform_edt(grown, sampling=spacing) > CLOSING_MM
        out[..., k] = ndimage.binary_fill_holes(back | padded[..., k])
    (a, b), (c, d) = pad[0], pad[1]
    return np.asarray(out[a : out.shape[0] - b, c : out.shape[1] - d])


def _distance_mm(mask: Mask, grid: Grid) -> NDArray[np.float64]:
    from scipy import ndimage

    return np.asarray(ndimage.distance_transform_edt(mask, sampling=grid.spacing_mm))
