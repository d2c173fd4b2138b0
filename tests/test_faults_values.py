"""Planted faults of values: numbers, fields, planes, bone and metal; each is what it says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from qa_suite.lab.exam.scenes import virtual_scene
from qa_suite.lab.faults import FAULTS
from tests import fault_cases
from tests.fault_cases import difference, planted

# Fixtures, by the names that the tests ask for.
scene = fault_cases.scene


def test_numbers(scene):
    body = scene.body
    assert difference(scene, "hu_bias", 20)[body].mean() == pytest.approx(20, abs=0.01)
    scaled = planted(scene, "hu_scale", 3).synthetic.array
    twin = scene.clean.array
    np.testing.assert_allclose((scaled + 1000)[body], 1.03 * (twin + 1000)[body], rtol=1e-4)
    assert difference(scene, "intercept_lost")[body].mean() == pytest.approx(1024, abs=0.01)
    assert difference(scene, "noise", 80)[body].std() == pytest.approx(80, rel=0.02)
    assert planted(scene, "bone_clipped", 400).synthetic.array.max() == 400
    assert np.isnan(planted(scene, "nan", 10).synthetic.array).sum() == 10
    changed = np.abs(difference(scene, "slice_jump", 30)).max(axis=(0, 1))
    assert np.count_nonzero(changed) == 1
    assert changed.max() == pytest.approx(30, abs=0.01)


def test_a_blur_takes_the_contrast_that_a_gaussian_takes():
    scene = virtual_scene("A", 2, seed=3, spacing_mm=(6, 6, 6))
    blurred = planted(scene, "blurred", 12).synthetic.array
    sigma = 12 / 2.3548 / 6
    line, other = scene.clean.array[:, 30, 20], blurred[:, 30, 20]
    assert np.abs(np.diff(other)).max() < np.abs(np.diff(line)).max() / (1 + sigma**2)
    assert blurred.mean() == pytest.approx(scene.clean.array.mean(), abs=2)


FIELDS = (
    "shading_x",
    "shading_y",
    "shading_z",
    "halves_x",
    "halves_z",
    "cupping",
    "saddle",
    "coil_patch",
    "checkerboard",
)


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_has_no_mean_and_ends_at_the_skin(scene, name):
    change = difference(scene, name, 120 if "halves" not in name else 70)
    assert abs(change[scene.body].mean(dtype=np.float64)) < 0.6  # what -1024 cuts off apart
    assert not change[~scene.body].any()
    assert np.abs(change).max() > 60


def test_the_shape_of_the_fields(scene):
    for name, axis in (("shading_x", 0), ("shading_y", 1), ("shading_z", 2)):
        change = difference(scene, name, FAULTS[name].facts.severities[-1])
        steps = np.diff(change, axis=axis)
        both = np.logical_and(
            *(np.take(scene.body, range(a, scene.grid.shape[axis] - 1 + a), axis) for a in (0, 1))
        )
        inner = both & (np.take(scene.clean.array, range(scene.grid.shape[axis] - 1), axis) > -300)
        assert np.ptp(steps[inner]) < 1, "a ramp rises by the same from voxel to voxel"
    halves = difference(scene, "halves_x", 70)[scene.body & (scene.clean.array > -300)]
    assert len(np.unique(np.round(halves))) <= 3, "left, right, and a column in the middle"
    cup = difference(scene, "cupping", 60)
    k = scene.grid.shape[2] // 2
    i, j = np.argwhere(scene.body[..., k]).mean(axis=0).astype(int)
    assert cup[i, j, k] < -20 < 20 < cup[..., k][scene.body[..., k]].max()


def test_planes(scene):
    turns = difference(scene, "slices_alternate", 30)
    level = [np.median(turns[..., k][scene.body[..., k]]) for k in range(scene.grid.shape[2])]
    np.testing.assert_allclose(np.abs(level), 30, atol=0.01)
    np.testing.assert_allclose(
        np.diff(np.sign(level)), np.resize([2, -2], len(level) - 1) * -np.sign(level[0])
    )
    levels = difference(scene, "slice_levels", 20)
    own = [np.ptp(levels[..., k][scene.body[..., k]]) for k in range(scene.grid.shape[2])]
    assert max(own) < 0.01 or min(scene.clean.array.min(), -1000) <= -1000
    assert abs(levels[scene.body].mean(dtype=np.float64)) < 0.5


def test_values_inside_a_right_outline(scene):
    for name, true, drawn in (
        ("pocket_value", -1000, -700),
        ("metal_value", 3000, 2400),
        ("bone_value", 1300, 700),
    ):
        made = planted(scene, name)
        changed = made.synthetic.array - made.clean.array
        assert np.abs(changed).max() == pytest.approx(abs(drawn - true), abs=1)
        middle = np.unravel_index(np.argmax(np.abs(changed)), changed.shape)
        assert made.reference.array[middle] == pytest.approx(true, abs=1)
        assert made.synthetic.array[middle] == pytest.approx(drawn, abs=1)
        outside = changed == 0
        np.testing.assert_array_equal(made.clean.array[outside], made.synthetic.array[outside])
        np.testing.assert_allclose(  # planted alike: what a voxel gains depends on its share
            made.clean.array[middle], made.reference.array[middle], atol=1
        )


def test_metal_is_there_before_it_is_lost(scene):
    made = planted(scene, "metal_removed", 30)
    assert made.clean.array.max() == pytest.approx(3000, abs=1)
    assert made.reference.array.max() == pytest.approx(3000, abs=1)
    np.testing.assert_array_equal(made.synthetic.array, scene.clean.array)


def test_bone_contrast_is_scaled(scene):
    twin = scene.clean.array
    for name, sign in (("bone_contrast", -1), ("bone_overdrawn", 1)):
        change = difference(scene, name, 45)
        high = scene.bone & (twin > 41)
        np.testing.assert_allclose(change[high], sign * 0.45 * (twin[high] - 40), rtol=1e-3)
        assert not change[~scene.bone].any()


def test_a_forced_histogram_is_the_clean_one_in_the_order_of_the_mr(scene):
    forced = planted(scene, "histogram_forced").synthetic.array[scene.body]
    np.testing.assert_array_equal(np.sort(forced), np.sort(scene.clean.array[scene.body]))
    order = np.argsort(scene.source.array[scene.body], kind="stable")
    assert (np.diff(forced[order]) >= 0).all()


def test_what_cancels_has_two_sides(scene):
    for name, severity in (("sites_cancel", 30), ("examinations_cancel", 30)):
        both = [
            planted(dataclasses.replace(scene, side=side), name, severity).synthetic.array
            for side in (1, -1)
        ]
        inside = scene.body & (scene.clean.array > -900)
        np.testing.assert_allclose((both[0] - both[1])[inside], 2 * severity, atol=0.01)
