"""The dose grid and what lies on it: no matter is lost or made, and the grid covers the body."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid
from qa_suite.dose.scene.gridding import (
    BEYOND_TARGET_MM,
    averaged_onto,
    centre_of,
    dose_grid,
    mask_onto,
    require_overlap,
)

GRID = Grid(shape=(40, 36, 24), spacing_mm=(2.0, 2.0, 3.0), origin_mm=(-39.0, -35.0, -34.5))


def turned(grid: Grid, degrees: float) -> Grid:
    """The grid turned about z around its middle."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    out = replace(grid, direction=(c, -s, 0, s, c, 0, 0, 0, 1))
    away = np.array(grid.centre_mm) - out.centre_mm
    return replace(out, origin_mm=tuple(np.array(out.origin_mm) + away))


def middle(grid: Grid) -> np.ndarray:
    """Values with a border of nothing, so that no matter leaves a grid that covers the middle."""
    rng = np.random.default_rng(1)
    out = np.zeros(grid.shape, np.float32)
    inner = slice(9, -9), slice(9, -9), slice(6, -6)
    out[inner] = rng.uniform(0.5, 2.0, out[inner].shape)
    return out


def mass(array: np.ndarray, grid: Grid) -> float:
    return float(array.sum(dtype=float)) * grid.voxel_volume_cc


PARALLEL = {
    "the same": GRID,
    "finer": Grid(shape=(110, 100, 110), spacing_mm=(0.7, 0.7, 0.7), origin_mm=(-38, -35, -38)),
    "coarser": Grid(shape=(17, 16, 16), spacing_mm=(5, 5, 5), origin_mm=(-40, -37.5, -37.5)),
    "much coarser": Grid(shape=(7, 7, 8), spacing_mm=(12, 12, 10), origin_mm=(-36, -36, -35)),
    "shifted": replace(GRID, origin_mm=(-38.1, -35.9, -33.3)),
    "other voxels": Grid(shape=(30, 50, 20), spacing_mm=(2.7, 1.5, 3.9), origin_mm=(-39, -37, -37)),
}


@pytest.mark.parametrize("name", PARALLEL)
def test_no_matter_is_lost_or_made_between_parallel_grids(name):
    values, target = middle(GRID), PARALLEL[name]
    out = averaged_onto(values, GRID, target)
    assert out.dtype == np.float32 and out.shape == target.shape
    assert mass(out, target) == pytest.approx(mass(values, GRID), rel=1e-5)
    moments = [
        np.einsum("ijk,ijkn->n", a.astype(float), g.to_world(np.stack(np.indices(g.shape), -1)))
        * g.voxel_volume_cc
        for a, g in ((values, GRID), (out, target))
    ]
    np.testing.assert_allclose(moments[1], moments[0], rtol=1e-3, atol=0.05 * mass(values, GRID))


def test_a_grid_onto_itself_changes_nothing():
    values = middle(GRID)
    np.testing.assert_allclose(averaged_onto(values, GRID, GRID), values, rtol=1e-6)
    mask = values > 1
    assert (mask_onto(mask, GRID, GRID) == mask).all()


def test_shares_of_overlapping_boxes_by_hand():
    fine = Grid(shape=(4, 1, 1), spacing_mm=(1.0, 1.0, 1.0))
    coarse = Grid(shape=(2, 1, 1), spacing_mm=(1.5, 1.0, 1.0), origin_mm=(0.25, 0.0, 0.0))
    values = np.array([1.0, 2.0, 4.0, 8.0]).reshape(4, 1, 1)
    # boxes -0.5 to 1.0 and 1.0 to 2.5
    expected = [(1 + 0.5 * 2) / 1.5, (0.5 * 2 + 4) / 1.5]
    np.testing.assert_allclose(averaged_onto(values, fine, coarse).ravel(), expected, rtol=1e-6)
    beyond = replace(coarse, origin_mm=(3.25, 0.0, 0.0))  # 2.5 to 4.0: half a millimetre of nothing
    np.testing.assert_allclose(averaged_onto(values, fine, beyond)[0], 8 / 1.5, rtol=1e-6)


AXES = {
    "RAS": (-1, 0, 0, 0, -1, 0, 0, 0, 1),
    "feet first": (1, 0, 0, 0, 1, 0, 0, 0, -1),
    "coronal": (1, 0, 0, 0, 0, 1, 0, -1, 0),
    "sagittal": (0, 0, -1, 1, 0, 0, 0, -1, 0),
}


@pytest.mark.parametrize("name", AXES)
def test_axes_in_another_order_or_sense_are_parallel_too(name):
    """The same image stored differently gives the same values, exactly."""
    stored = Grid(shape=(30, 28, 26), spacing_mm=(2.0, 2.5, 3.0), direction=AXES[name])
    away = np.array(GRID.centre_mm) - stored.centre_mm
    stored = replace(stored, origin_mm=tuple(away))
    values = middle(stored)
    # what it is in LPS, by each voxel's own place
    lps = [0, 0, 0]
    spacing = np.abs(stored.axes) @ stored.spacing_mm
    low = stored.corners_mm().min(axis=0)
    for axis in range(3):
        lps[axis] = stored.shape[int(np.abs(stored.axes[axis]).argmax())]
    axial = Grid(shape=tuple(lps), spacing_mm=tuple(spacing), origin_mm=tuple(low))
    moved = np.zeros(axial.shape, np.float32)
    places = axial.to_index(stored.to_world(np.stack(np.indices(stored.shape), -1)))
    i, j, k = np.moveaxis(np.rint(places).astype(int), -1, 0)
    moved[i, j, k] = values
    target = PARALLEL["coarser"]
    out = averaged_onto(values, stored, target)
    np.testing.assert_allclose(out, averaged_onto(moved, axial, target), atol=1e-6)
    assert mass(out, target) == pytest.approx(mass(values, stored), rel=1e-5)


@pytest.mark.parametrize("degrees", [3.0, 20.0, 45.0])
@pytest.mark.parametrize("name", ["coarser", "much coarser", "shifted"])
def test_hardly_any_matter_is_lost_onto_an_oblique_grid(degrees, name):
    """Smooth values: interpolated samples, a sum to half a percent, a constant exactly."""
    from scipy.ndimage import gaussian_filter

    stored = turned(GRID, degrees)
    values = gaussian_filter(middle(stored), 1.5)
    target = PARALLEL[name]
    out = averaged_onto(values, stored, target)
    assert mass(out, target) == pytest.approx(mass(values, stored), rel=0.005)
    inside = Grid(shape=(3, 3, 3), spacing_mm=(6.0, 6.0, 6.0), origin_mm=(-6.0, -6.0, -6.0))
    even = averaged_onto(np.ones(stored.shape, np.float32), stored, inside)
    np.testing.assert_allclose(even, 1.0, rtol=1e-5)


def test_beyond_an_oblique_image_there_is_nothing():
    stored = turned(GRID, 30.0)
    far = Grid(shape=(3, 3, 3), spacing_mm=(3.0, 3.0, 3.0), origin_mm=(200.0, 0.0, 0.0))
    assert (averaged_onto(np.ones(stored.shape), stored, far) == 0).all()


def test_a_mask_keeps_its_volume_and_its_place():
    world = GRID.to_world(np.stack(np.indices(GRID.shape), -1))
    ball = np.linalg.norm(world - np.array([5.0, -3.0, 2.0]), axis=-1) <= 22
    for stored in (GRID, turned(GRID, 10.0)):
        world = stored.to_world(np.stack(np.indices(stored.shape), -1))
        ball = np.linalg.norm(world - np.array([5.0, -3.0, 2.0]), axis=-1) <= 22
        target = PARALLEL["coarser"]
        found = mask_onto(ball, stored, target)
        assert found.dtype == np.bool_
        volume = found.sum() * target.voxel_volume_cc
        assert volume == pytest.approx(4 / 3 * np.pi * 2.2**3, rel=0.03)
        np.testing.assert_allclose(centre_of(found, target), (5.0, -3.0, 2.0), atol=0.5)
        np.testing.assert_allclose(centre_of(ball, stored), (5.0, -3.0, 2.0), atol=0.3)


# --- the dose grid -----------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", [2.5, 4.0, 7.0])
@pytest.mark.parametrize("degrees", [0.0, 15.0])
def test_the_dose_grid_covers_the_body(spacing, degrees):
    long = turned(replace(GRID, shape=(40, 36, 120), origin_mm=(-39.0, -35.0, -200.0)), degrees)
    body, target = np.zeros(long.shape, bool), np.zeros(long.shape, bool)
    body[5:-4, 6:-9] = True
    target[18:22, 16:20, 55:65] = True
    grid = dose_grid(body, target, long, spacing)
    assert grid.spacing_mm == (spacing,) * 3
    np.testing.assert_array_equal(grid.axes, np.eye(3))
    low, high = (np.array(grid.to_world(e)) for e in ([-0.5] * 3, np.array(grid.shape) - 0.5))
    places = long.to_world(np.argwhere(body))
    assert (places[:, :2].min(axis=0) > low[:2] + 8).all()
    assert (places[:, :2].max(axis=0) < high[:2] - 8).all()
    heights = long.to_world(np.argwhere(target))[:, 2]
    for edge, reach in (
        (low[2], heights.min() - 1.5 - BEYOND_TARGET_MM),
        (high[2], heights.max() + 1.5 + BEYOND_TARGET_MM),
    ):
        assert edge == pytest.approx(reach, abs=spacing)


def test_the_dose_grid_ends_where_the_image_does():
    body = np.zeros(GRID.shape, bool)
    body[5:-5, 5:-5] = True
    target = body & (np.indices(GRID.shape)[2] > 18)
    grid = dose_grid(body, target, GRID, 3.0)
    assert grid.shape[2] == 24 and grid.origin_mm[2] == pytest.approx(GRID.origin_mm[2])
    for empty in ((np.zeros_like(body), target), (body, np.zeros_like(body))):
        with pytest.raises(InputError, match=r"There is no (body|target) to compute dose in"):
            dose_grid(*empty, GRID, 3.0)


def test_grids_that_have_nothing_in_common_are_refused():
    away = replace(GRID, origin_mm=(500.0, 0.0, 0.0))
    with pytest.raises(GeometryError, match=r"^The dose .* and the images .* do not overlap\.$"):
        require_overlap(away, GRID, "The dose", "the images")
    one, two = replace(GRID, frame_of_reference="1.2"), replace(GRID, frame_of_reference="1.3")
    with pytest.raises(GeometryError, match="different frames of reference"):
        require_overlap(one, two, "The dose", "the images")
    require_overlap(PARALLEL["coarser"], GRID, "The dose", "the images")
