"""Linear and uniform doses, and balls in them."""

from __future__ import annotations

import numpy as np

from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.structures.samples import MaskStructure

GRID = Grid(shape=(28, 28, 28), spacing_mm=(3.0, 3.0, 3.0), origin_mm=(-40.1, -39.3, -40.6))
BASE_GY = 50.0


def places(grid=GRID):
    return grid.to_world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1))


def linear(axis="z", gy_per_mm=1.0, grid=GRID):
    """A dose of 50 Gy in the origin and a constant gradient."""
    along = places(grid)[..., "xyz".index(axis)]
    array = (BASE_GY + gy_per_mm * along).astype(np.float32)
    return Volume(array=array, grid=grid, quantity="Gy")


def uniform(value=20.0, grid=GRID):
    return Volume(array=np.full(grid.shape, value, np.float32), grid=grid, quantity="Gy")


def ball(radius, centre=(0.0, 0.0, 0.0), name="ball", grid=GRID):
    inside = ((places(grid) - np.array(centre)) ** 2).sum(-1) <= radius**2
    return MaskStructure(name=name, mask=inside, grid=grid)
