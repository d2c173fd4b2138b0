"""Errors whose mean is zero: each shape of them turns its own measure, and by its amount."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.volume import Grid, Volume
from qa_suite.metrics.base import Pair
from qa_suite.metrics.image.family import image
from qa_suite.metrics.image.settings import ImageSettings

SHAPE, SPACING = (60, 40, 32), (6.0, 6.0, 6.0)
GRID = Grid(shape=SHAPE, spacing_mm=SPACING)
SETTINGS = ImageSettings(structures=False, shells_mm=(), synthrad_modes=())
X, Y, Z = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
BODY = X**2 + Y**2 <= 0.9  # an elliptic cylinder of 340 mm by 224 mm
RADIUS_MM = 3.0 * np.sqrt(0.9) * (np.array(SHAPE[:2]) - 1)
NAMES = (
    "shading",
    "octant_error",
    "block_error",
    "plane_jitter",
    "beam_depth_error",
    "arc_depth_error",
)


def chequered(edge_mm: float) -> np.ndarray:
    cells = [np.arange(n) * s // edge_mm for n, s in zip(SHAPE, SPACING, strict=True)]
    return 1 - 2 * (sum(np.meshgrid(*cells, indexing="ij")) % 2)


def striped(axis: int) -> np.ndarray:
    return 1.0 - 2 * (np.indices(SHAPE)[axis] % 2)


def measured(error, *, base=None, mask=BODY, settings=SETTINGS) -> dict[str, float]:
    rng = np.random.default_rng(0)
    reference = np.where(BODY, rng.normal(20, 15, SHAPE), -1000).astype(np.float32)
    reference = reference if base is None else base
    pair = Pair(
        reference=Volume(array=reference, grid=GRID, quantity="HU"),
        synthetic=Volume(array=(reference + error).astype(np.float32), grid=GRID, quantity="HU"),
        mask=mask,
    )
    rows = image(pair, settings)
    return {v.metric: v.value for v in rows if v.region == "body" and v.metric in (*NAMES, "me")}


SHAPES = {
    "ramp left to right": (60 * X, "shading", 57),
    "ramp front to back": (60 * Y, "shading", 57),
    "ramp up and down": (60 * Z, "shading", 60),
    "ramp oblique": (30 * X + 30 * Z, "shading", 58),
    "cupping": (60 * (X**2 + Y**2 - 0.45), "shading", 27),
    "halves left and right": (30 * np.sign(X), "octant_error", 30),
    "halves front and back": (30 * np.sign(Y), "octant_error", 30),
    "halves up and down": (30 * np.sign(Z), "octant_error", 30),
    "octants": (30 * np.sign(X) * np.sign(Y) * np.sign(Z), "octant_error", 30),
    "chequers of 60 mm": (40 * chequered(60), "block_error", 40),
    "chequers of 36 mm": (40 * chequered(36), "block_error", 40),
    "jitter of axial planes": (20 * striped(2), "plane_jitter", 20),
    "jitter of coronal planes": (20 * striped(1), "plane_jitter", 20),
    "jitter of sagittal planes": (20 * striped(0), "plane_jitter", 20),
}


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_of_an_error_that_cancels_turns_its_own_measure(name):
    error, metric, amount = SHAPES[name]
    found = measured(error)
    assert abs(found["me"]) < 1.5
    assert found[metric] == pytest.approx(amount, rel=0.08)


def test_a_bias_alone_is_none_of_them_and_is_water_to_every_beam():
    found = measured(30.0)
    for metric in NAMES[:4]:
        assert found[metric] == pytest.approx(0, abs=1e-3)
    # 30 HU of water-like tissue along the long half axis: the worst beam; and in the mean
    slope = np.array([1 / 1950, 1 / 1000])
    low, high = 30 * slope * RADIUS_MM[0]
    assert low < found["beam_depth_error"] < high
    assert found["arc_depth_error"] < found["beam_depth_error"]


def test_the_depth_error_is_the_integral_from_the_skin_to_the_middle():
    """A ramp of ±60 HU below water: half of it on the way, 60/2 HU × 170 mm / 1000 = 5.1 mm."""
    base = np.where(BODY, -100.0, -1000.0).astype(np.float32)
    found = measured(60 * X, base=base)
    along = 60 * np.sqrt(0.9) / 2 / 1000 * RADIUS_MM[0]
    assert found["beam_depth_error"] == pytest.approx(along, rel=0.08)
    assert found["arc_depth_error"] < 0.1 * along


def test_a_beam_sees_the_slab_it_runs_in():
    """A ramp along the patient is a bias of the beams at its ends, to all of them alike."""
    base = np.where(BODY, -100.0, -1000.0).astype(np.float32)
    found = measured(60 * Z, base=base)
    assert found["beam_depth_error"] > 60 * 0.8 / 1000 * RADIUS_MM[0] * 0.9
    assert found["arc_depth_error"] > 0.6 * found["beam_depth_error"]


def test_one_lump_of_error_is_no_shading():
    lump = 400 * np.exp(-((X - 0.3) ** 2 + Y**2 + Z**2) / 0.01)
    assert measured(lump)["shading"] < 2
    bones = np.where(X > 0.3, 300.0, 0.0) * (Y > 0)  # of the reference: no even tissue
    base = np.where(BODY, 20.0 + bones, -1000.0).astype(np.float32)
    assert measured(np.where(bones > 0, -200.0, 0.0), base=base)["shading"] < 1e-3


def test_noise_is_none_of_them():
    noise = np.random.default_rng(3).normal(0, 40, SHAPE)
    found = measured(noise)
    assert found["shading"] < 3 and found["octant_error"] < 1.5 and found["plane_jitter"] < 1.5
    assert found["block_error"] < 20 and found["beam_depth_error"] < 1
