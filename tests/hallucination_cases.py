"""What tests of appearing and vanishing components share: grids, balls, and planted pairs."""

from __future__ import annotations

import numpy as np

from qa_suite.core.volume import Grid, Volume
from qa_suite.metrics.base import Pair
from qa_suite.metrics.hallucination.family import hallucination
from qa_suite.metrics.hallucination.settings import HallucinationSettings

DEFAULTS = HallucinationSettings()
COARSE = Grid(shape=(30, 26, 20), spacing_mm=(6.0, 6.0, 6.0), origin_mm=(-80.0, -70.0, -50.0))
FINE = Grid(shape=(90, 80, 40), spacing_mm=(1.5, 1.5, 3.0), origin_mm=(-60.0, -60.0, -60.0))


def ball(grid: Grid, centre_mm, radius_mm: float, sub: int = 4) -> np.ndarray:
    """Share of every voxel inside a ball."""
    axes = [
        o + s * ((np.arange(n * sub) + 0.5) / sub - 0.5) - c
        for n, s, o, c in zip(grid.shape, grid.spacing_mm, grid.origin_mm, centre_mm, strict=True)
    ]
    x, y, z = np.ix_(*axes)
    inside = (x**2 + y**2 + z**2 <= radius_mm**2).astype(np.float32)
    ni, nj, nk = grid.shape
    return inside.reshape(ni, sub, nj, sub, nk, sub).mean(axis=(1, 3, 5))


def middle(grid: Grid) -> np.ndarray:
    return grid.to_world((np.array(grid.shape) - 1) / 2)


def flat(grid: Grid, hu: float, seed: int = 0, noise: float = 12.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(hu, noise, grid.shape).astype(np.float32)


def pair_of(grid: Grid, reference, synthetic, mask=None, **more) -> Pair:
    return Pair(
        reference=Volume(array=reference, grid=grid, quantity="HU"),
        synthetic=Volume(array=synthetic, grid=grid, quantity="HU"),
        mask=np.ones(grid.shape, dtype=bool) if mask is None else mask,
        **more,
    )


def planted(grid: Grid, background: float, value: float, radius_mm: float, offset=(0, 0, 0)):
    centre = middle(grid) + np.asarray(offset) * np.asarray(grid.spacing_mm)
    share = ball(grid, centre, radius_mm)
    with_it = flat(grid, background, 1) + share * (value - background)
    return with_it.astype(np.float32), flat(grid, background, 2), centre


def values_of(pair: Pair, settings=DEFAULTS) -> dict[tuple[str, str], float | None]:
    return {(v.metric, v.region): v.value for v in hallucination(pair, settings)}
