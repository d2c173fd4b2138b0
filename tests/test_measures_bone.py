"""Bone at many thresholds: known answers, and agreement with one segmentation a threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from qa_suite.core.volume import Grid, Volume
from qa_suite.metrics.base import Curve, NoValue, Pair, Value
from qa_suite.metrics.segmentation.bone_threshold import (
    best_threshold,
    bone_values,
    counts_from,
    dice_by_threshold,
    search_thresholds,
)
from qa_suite.metrics.segmentation.family import segmentation
from qa_suite.metrics.segmentation.settings import SegmentationSettings

SETTINGS = SegmentationSettings()
CURVE = np.asarray(SETTINGS.bone_curve_thresholds_hu)


@pytest.fixture
def bone():
    """Soft tissue, and bone from 150 to 1200 HU."""
    rng = np.random.default_rng(20264)
    values = np.concatenate([rng.normal(40, 20, 4000), rng.uniform(150, 1200, 1500)])
    return values.astype(np.float32)


def plain_dice(first, second):
    total = first.sum() + second.sum()
    return 2 * (first & second).sum() / total if total else np.nan


def by_name(found):
    return {v.metric: v for v in found if isinstance(v, Value)}


def test_the_curve_is_that_of_one_segmentation_a_threshold(bone):
    other = bone + np.random.default_rng(1).normal(0, 60, bone.size).astype(np.float32)
    expected = [plain_dice(bone >= t, other >= t) for t in CURVE]
    np.testing.assert_allclose(dice_by_threshold(bone, other, CURVE), expected)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**16), size=st.integers(0, 300))
def test_counts_are_those_of_comparing(seed, size):
    rng = np.random.default_rng(seed)
    values = (rng.integers(-10, 30, size) * 25).astype(np.float32)  # many on a threshold
    expected = [(values >= t).sum() for t in CURVE]
    np.testing.assert_array_equal(counts_from(values, CURVE), expected)


@pytest.mark.parametrize("offset", [-120, -35, 0, 20, 150])
def test_an_offset_is_the_shift(bone, offset):
    found = by_name(bone_values(bone, bone + offset, SETTINGS))
    assert found["threshold_shift"].value == offset
    assert found["dice_at_best_threshold"].value == 1


def test_a_scale_shifts_the_threshold_in_proportion(bone):
    shift, dice = best_threshold(bone, bone * np.float32(1.2), SETTINGS)
    assert shift == 250 * 1.2
    assert dice == 1


def test_the_best_is_at_least_as_good_as_the_standard(bone):
    other = bone * 0.9 + np.random.default_rng(2).normal(0, 40, bone.size).astype(np.float32)
    found = by_name(bone_values(bone, other, SETTINGS))
    standard = dice_by_threshold(bone, other, np.array([250.0]))[0]
    assert found["dice_at_best_threshold"].value >= standard
    expected = {t: plain_dice(bone >= 250, other >= t) for t in search_thresholds(SETTINGS)}
    assert found["dice_at_best_threshold"].value == pytest.approx(max(expected.values()))


def test_of_equally_good_thresholds_the_nearest_counts():
    values = np.array([20] * 50 + [700] * 50, dtype=np.float32)
    assert best_threshold(values, values, SETTINGS) == (250.0, 1.0)
    assert best_threshold(values, values - 500, SETTINGS) == (200.0, 1.0)  # 200 is still in it


def test_the_search_ends_where_the_curve_does(bone):
    assert search_thresholds(SETTINGS)[[0, -1]].tolist() == [100, 600]
    assert 250 in search_thresholds(SETTINGS)
    found = by_name(bone_values(bone, bone - 400, SETTINGS))
    shift, dice = (found[name] for name in ("threshold_shift", "dice_at_best_threshold"))
    assert (shift.status, shift.value, shift.at_most) == ("censored", None, -150)
    assert dice.status == "censored" and 0 <= dice.at_least < dice.at_most == 1


def test_what_has_no_best_threshold():
    soft, dense = (np.full(9, hu, dtype=np.float32) for hu in (20, 700))
    for reference, synthetic, why in (
        (soft, soft, "neither"),
        (soft, dense, "the reference does not have"),
        (dense, soft, "the synthetic image does not have"),
    ):
        best = best_threshold(reference, synthetic, SETTINGS)
        assert isinstance(best, NoValue) and best.why.startswith(why)
    found = bone_values(soft, soft, SETTINGS)
    assert {v.status for v in found if isinstance(v, Value)} == {"undefined"}
    assert not any(isinstance(v, Curve) for v in found)  # no point of it is defined


def test_points_without_bone_are_left_out():
    values = np.array([20.0, 310.0], dtype=np.float32)
    (curve,) = [v for v in bone_values(values, values, SETTINGS) if isinstance(v, Curve)]
    assert curve.x.tolist() == list(range(100, 301, 25))
    assert (curve.y == 1).all()
    assert (curve.curve, curve.region, curve.x_unit) == ("dice_by_threshold", "seg:Bone", "HU")


def test_thresholds_must_increase():
    with pytest.raises(ValidationError, match="increase"):
        SegmentationSettings(bone_curve_thresholds_hu=(100, 300, 200))


def test_the_family_counts_inside_the_mask_only(bone):
    shape = (11, 20, 25)
    grid = Grid(shape=shape, spacing_mm=(2, 2, 2))
    array = bone.reshape(shape)
    mask = np.zeros(shape, dtype=bool)
    mask[5:] = True
    other = array + np.float32(45)
    other[:5] = 3000
    pair = Pair(
        reference=Volume(array=array, grid=grid, quantity="HU"),
        synthetic=Volume(array=other, grid=grid, quantity="HU"),
        mask=mask,
    )
    found = segmentation(pair, SETTINGS)
    assert by_name(v for v in found if v.region == "seg:Bone")["threshold_shift"].value == 45
    assert sum(isinstance(v, Curve) for v in found) == 1
