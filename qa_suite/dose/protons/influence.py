"""What every spot gives to the voxels that a plan cares about, as a sparse matrix."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.core.executors.share import cores
from qa_suite.core.volume import Grid
from qa_suite.dose.machines.proton import ProtonMachine
from qa_suite.dose.plan.plan import Mask
from qa_suite.dose.protons.dose import SUB_SHARE, halo_mm, resolution_of, split_sigma_mm
from qa_suite.dose.protons.fan import Fan, lattice, make_fan
from qa_suite.dose.protons.physics import STEP_MM, BeamTables, beam_tables
from qa_suite.dose.protons.spots import SpotLayout
from qa_suite.dose.range.raytrace import BeamFrame

_LEAST = 2e-3  # of a spot's highest dose: less is left out of the matrix
_MOST_TARGET, _MOST_RIM, _MOST_ORGAN = 4000, 1500, 600
_RIM_MM = (6.0, 20.0)  # from the target: nearer, dose cannot fall; farther, it has fallen
_CUT = 4.0  # σ at which a spot's lattice weights end
_REACH = 3.4  # σ at which a sub-pencil's Gaussian ends
_SEED = 0  # of the choice of voxels


@dataclass(frozen=True, kw_only=True)
class PlanVoxels:
    """Voxels that decide a plan's weights.

    Parameters
    ----------
    voxels
        Indices (i, j, k), shape (voxels, 3).
    target
        Rows of the target.
    organs
        Rows of each organ with a goal.
    """

    voxels: NDArray[np.intp]
    target: NDArray[np.intp]
    organs: Mapping[str, NDArray[np.intp]]


def plan_voxels(
    density: NDArray[np.float32], grid: Grid, target: Mask, avoid: Mapping[str, Mask]
) -> PlanVoxels:
    """Choose voxels of the target, of a rim around it and of the organs.

    Large structures are thinned out at random with a fixed seed: the objective is made of
    means, and neighbouring voxels say the same.
    """
    body = density > 0
    inside = target & body
    distance = _distance_near(inside, grid)
    rim = body & (distance > _RIM_MM[0]) & (distance <= _RIM_MM[1])
    chosen = {"": _thin(inside, _MOST_TARGET), " rim": _thin(rim, _MOST_RIM)}
    for name, mask in avoid.items():
        chosen[f"organ {name}"] = _thin(mask & body, _MOST_ORGAN)
    voxels = np.unique(np.concatenate(list(chosen.values())))
    rows = {name: np.searchsorted(voxels, flat) for name, flat in chosen.items()}
    return PlanVoxels(
        voxels=np.stack(np.unravel_index(voxels, grid.shape), axis=-1),
        target=rows[""],
        organs={name: rows[f"organ {name}"] for name in avoid},
    )


def _distance_near(mask: Mask, grid: Grid) -> NDArray[np.float32]:
    """Return the distance to a mask in mm, exact within the rim and infinite beyond."""
    from scipy import ndimage

    out = np.full(mask.shape, np.inf, dtype=np.float32)
    reach = np.ceil(_RIM_MM[1] / np.asarray(grid.spacing_mm)).astype(int) + 1
    hit = np.argwhere(mask)
    low = np.maximum(hit.min(axis=0) - reach, 0)
    high = np.minimum(hit.max(axis=0) + reach + 1, mask.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    out[box] = ndimage.distance_transform_edt(~mask[box], sampling=grid.spacing_mm)
    return out


def _thin(mask: Mask, most: int) -> NDArray[np.intp]:
    flat = np.flatnonzero(mask)
    if flat.size <= most:
        return flat
    return np.sort(np.random.default_rng(_SEED).choice(flat, most, replace=False))


def influence_matrix(
    density: NDArray[np.float32],
    grid: Grid,
    frame: BeamFrame,
    layout: SpotLayout,
    machine: ProtonMachine,
    voxels: NDArray[np.intp],
) -> Any:
    """Compute the dose of every spot of one beam in some voxels.

    Returns
    -------
    scipy.sparse.csr_matrix, shape (voxels, spots)
        Gy per 10⁶ protons; values below 2·10⁻³ of a spot's highest dose are left out.
    """
    from scipy.sparse import coo_matrix

    tables = beam_tables(machine, layout.energies_mev)
    spacing = float(layout.x_mm[1] - layout.x_mm[0])
    sampling = resolution_of(grid, spacing, float(tables.sigma_mm.min()))
    margin = halo_mm(tables, sampling)
    fan = make_fan(
        density,
        grid,
        frame,
        x_mm=lattice(layout.x_mm[0] - margin, layout.x_mm[-1] + margin, sampling.ray_mm),
        y_mm=lattice(layout.y_mm[0] - margin, layout.y_mm[-1] + margin, sampling.ray_mm),
        plane_mm=sampling.plane_mm,
        deepest_mm=float(tables.ends_mm.max()),
    )
    at = fan.index(grid.to_world(voxels))
    hit = np.flatnonzero(((at >= 0) & (at < np.asarray(fan.wed_mm.shape) - 1)).all(axis=1))
    points = np.ascontiguousarray(at[hit])
    with ThreadPoolExecutor(max_workers=cores()) as pool:
        parts = list(
            pool.map(lambda n: _one_layer(fan, tables, layout, n, points), range(len(tables.doses)))
        )
    rows = np.concatenate([hit[part_rows] for part_rows, _, _ in parts])
    columns = np.concatenate([part_columns for _, part_columns, _ in parts])
    values = np.concatenate([part_values for _, _, part_values in parts])
    return coo_matrix((values, (rows, columns)), shape=(len(voxels), layout.count)).tocsr()


def _one_layer(
    fan: Fan, tables: BeamTables, layout: SpotLayout, layer: int, points: FloatArray
) -> tuple[NDArray[np.intp], NDArray[np.int64], FloatArray]:
    from qa_suite.dose.protons.kernels import spot_rows, spread_along

    variance = np.zeros(fan.flat_wed.shape, dtype=np.float32)
    spread_along(
        fan.flat_wed,
        tables.angles[layer],
        STEP_MM,
        fan.z_mm,
        fan.scales,
        0,
        fan.x_mm.size * fan.y_mm.size,
        variance,
    )
    ray, sigma = fan.spacing_mm, float(tables.sigma_mm[layer])
    wide = split_sigma_mm(sigma, ray)
    at = np.arange(int(_CUT * wide / ray) + 1)
    shares = np.exp(-0.5 * (at * ray / wide) ** 2)
    shares /= 2 * shares.sum() - shares[0]
    stride = round(float(layout.x_mm[1] - layout.x_mm[0]) / ray)
    offset = np.array(
        [round((layout.y_mm[0] - fan.y_mm[0]) / ray), round((layout.x_mm[0] - fan.x_mm[0]) / ray)]
    )
    top = 100.0 * tables.doses[layer].max() / (2 * np.pi * sigma**2)
    columns = layout.columns[layer]
    sub2 = (SUB_SHARE * ray) ** 2
    reach = _REACH * float(np.sqrt(sub2 + 1.2 * variance.max())) + _CUT * wide + 2 * ray
    near = int(2 * reach / (ray * stride)) + 2  # spots that a voxel can meet, a side
    room = points.shape[0] * min(near * near, int((columns >= 0).sum()))
    rows, cols = np.empty(room, dtype=np.intp), np.empty(room, dtype=np.int64)
    values = np.empty(room)
    count = spot_rows(
        points,
        fan.wed_mm,
        variance.reshape(fan.wed_mm.shape),
        fan.scales,
        tables.doses[layer],
        float(tables.ends_mm[layer]),
        STEP_MM,
        sub2,
        ray,
        shares,
        stride,
        columns,
        offset,
        _REACH,
        _LEAST * top,
        rows,
        cols,
        values,
    )
    return rows[:count].copy(), cols[:count].copy(), values[:count].copy()
