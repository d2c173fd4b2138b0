"""What tests of the checks without a reference share: images of tissue, and their values."""

from __future__ import annotations

import numpy as np

from qa_suite.core.volume import Grid, Volume
from qa_suite.metrics.reference_free import Patient, examine
from qa_suite.metrics.reference_free.settings import ReferenceFreeSettings

SETTINGS = ReferenceFreeSettings()
SHAPE = (40, 32, 20)
GRID = Grid(shape=SHAPE, spacing_mm=(4.0, 4.0, 5.0))


def measured(synthetic: Volume, source: Volume | None = None, **more) -> dict:
    patient = Patient(synthetic=synthetic, source=source, **more)
    return {(v.metric, v.region): v for v in examine(patient, SETTINGS)}


def value(found: dict, metric: str, region: str = "body") -> float:
    assert found[metric, region].status == "ok", found[metric, region]
    return found[metric, region].value


def hu(array: np.ndarray, grid: Grid = GRID) -> Volume:
    return Volume(array=array.astype(np.float32), grid=grid, quantity="HU")


def signal(array: np.ndarray, grid: Grid = GRID) -> Volume:
    return Volume(array=array.astype(np.float32), grid=grid, quantity="arbitrary")


def tissue(seed: int = 0, noise: float = 8.0) -> np.ndarray:
    """A box of muscle in a rim of fat, an off-centre bone, air around; noise everywhere."""
    rng = np.random.default_rng(seed)
    array = np.full(SHAPE, -1000.0)
    array[6:34, 6:26, :] = -100
    array[9:31, 9:23, :] = 40
    array[12:17, 12:18, 2:14] = 700
    return array + rng.normal(0, noise, SHAPE)


def mr_of(array: np.ndarray, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shown = np.select([array < -500, array < -40, array < 300], [5.0, 900.0, 400.0], 60.0)
    return shown + rng.normal(0, 10, SHAPE)
