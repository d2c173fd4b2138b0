"""The photon surrogate on a GPU gives the dose of the CPU; skips where torch finds no GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qa_suite.core.volume import Grid
from qa_suite.dose.engines import engine_of, where_computed
from qa_suite.dose.photons import PhotonEngine
from qa_suite.dose.plan.plan import Plan
from tests.photon_cases import CENTRE, HLUT, MACHINE, template

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device: torch.cuda.is_available() is False"
)
SAME = 1e-3  # of the maximum


def patient() -> tuple[Grid, np.ndarray, np.ndarray]:
    """A pelvis of water with gas and two bones, on voxels that are no cubes; and a target."""
    grid = Grid(shape=(64, 50, 36), spacing_mm=(5.0, 5.0, 6.0), origin_mm=(-157.5, -122.5, -105.0))
    x, y, z = np.moveaxis(grid.to_world(np.stack(np.indices(grid.shape), axis=-1)), -1, 0)
    density = ((x / 140) ** 2 + (y / 105) ** 2 <= 1).astype(np.float32)
    density[(np.abs(x) > 60) & (np.abs(x) < 95) & (np.abs(y) < 20)] = 1.4
    density[(x / 15) ** 2 + ((y - 55) / 20) ** 2 <= 1] = 0.0012
    return grid, density, x**2 + y**2 + z**2 <= 30**2


def planned(engine: PhotonEngine, *gantry: float, technique: str = "conformal") -> Plan:
    grid, density, target = patient()
    return engine.plan(
        density,
        grid,
        target=target,
        avoid={},
        isocentre_mm=CENTRE,
        template=template(*gantry, technique=technique),
        hlut=HLUT,
        target_name="PTV",
    )


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference of two doses, as a share of the maximum."""
    return float(np.abs(one.astype(float) - other).max() / one.max())


@pytest.fixture(scope="module")
def engines() -> tuple[PhotonEngine, PhotonEngine]:
    return PhotonEngine(MACHINE), PhotonEngine(MACHINE, device="cuda")


def test_a_plan_has_one_dose_on_cpu_and_gpu(engines):
    cpu, gpu = engines
    plan = planned(cpu, 0, 72, 144, 216, 288)
    _, density, _ = patient()
    doses = [engine.recalculate(density, plan) for engine in (cpu, gpu)]
    assert doses[0].array.max() > 57
    assert difference(doses[0].array, doses[1].array) < SAME
    assert doses[1].array.dtype == np.float32 and doses[1].grid == plan.grid


def test_a_plan_made_on_the_gpu_is_that_of_the_cpu(engines):
    _, density, _ = patient()
    plans = [planned(engine, 0, 90, 180) for engine in engines]
    weights = np.array([[beam.weight for beam in plan.beams] for plan in plans])
    np.testing.assert_allclose(weights[1], weights[0], rtol=5e-3)
    doses = [e.recalculate(density, p).array for e, p in zip(engines, plans, strict=True)]
    assert difference(*doses) < 5 * SAME  # the weights differ too


def test_modulated_fields_are_optimised_on_the_gpu(engines):
    cpu, gpu = engines
    plan = planned(gpu, 0, 120, technique="imrt")
    _, density, target = patient()
    doses = [engine.recalculate(density, plan).array for engine in (cpu, gpu)]
    assert difference(*doses) < SAME
    assert np.quantile(doses[1][target], 0.05) == pytest.approx(57.0, rel=1e-4)


def test_the_same_plan_gives_the_same_dose_twice_on_the_gpu(engines):
    _, gpu = engines
    _, density, _ = patient()
    plan = planned(gpu, 0, 90)
    twice = [gpu.recalculate(density, plan).array for _ in range(2)]
    assert difference(*twice) < 1e-6


def test_the_record_names_the_card():
    made = template(0)
    assert engine_of(made, "cuda").device == "cuda"
    assert where_computed([made], "cuda") == f"cuda ({torch.cuda.get_device_name('cuda')})"
