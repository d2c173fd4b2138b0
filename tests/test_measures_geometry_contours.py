"""Distances between contours and local shifts: balls and parts whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from qa_suite.core.volume import Grid, Volume
from qa_suite.lab.phantom.candidates import realistic, twin
from qa_suite.metrics.base import NoValue
from qa_suite.metrics.geometry import geometry, images
from qa_suite.metrics.geometry.contours import contour_distances
from qa_suite.metrics.geometry.local import (
    LocalShifts,
    local_shift_95,
    local_shift_median,
    local_shifts,
)
from qa_suite.metrics.geometry.settings import GeometrySettings, PositioningSettings
from tests import geometry_cases
from tests.geometry_cases import LOCAL, NO_SOURCE, SPACING, averaged, number, one, pair_of

# Fixtures, by the names that the tests ask for.
patient = geometry_cases.patient
clean = geometry_cases.clean
clean_rows = geometry_cases.clean_rows

LOCAL_ONLY = GeometrySettings(
    source_alignment="off", positioning=PositioningSettings(cbct=False, drr=False)
)


# --- contours


def sphere_ct(radius_mm, grid, inside=40.0, centre=(0.0, 0.0, 0.0)):
    """A ball with an edge that is blurred evenly, so that the half value lies at the radius."""
    place = grid.to_world(np.stack(np.indices(grid.shape), axis=-1))
    depth = radius_mm - np.linalg.norm(place - np.asarray(centre), axis=-1)
    share = np.clip(0.5 + depth / 8.0, 0, 1)
    array = (-1000 + (inside + 1000) * share).astype(np.float32)
    return Volume(array=array, grid=grid, quantity="HU")


BALL = Grid(shape=(50, 50, 40), spacing_mm=(3.0, 3.0, 4.0), origin_mm=(-73.5, -73.5, -78.0))
THRESHOLD = -480.0  # half way between −1000 and 40


@pytest.mark.parametrize("growth", [-3.0, -0.5, 0.0, 0.7, 2.0, 5.0])
def test_a_ball_that_grew_has_that_contour_distance(growth):
    reference, synthetic = sphere_ct(50.0, BALL), sphere_ct(50.0 + growth, BALL)
    found = contour_distances(
        reference,
        synthetic,
        reference.array >= THRESHOLD,
        domain=np.ones(BALL.shape, bool),
        threshold=THRESHOLD,
        reach_mm=10.0,
    )
    assert not isinstance(found, NoValue)
    np.testing.assert_allclose(found.distance_mm, growth, atol=0.2)
    assert found.area_mm2.sum() == pytest.approx(
        4 * np.pi * 50**2, rel=0.1
    )  # of voxel steps: too large


def test_a_ball_that_moved_has_no_bias_and_half_the_shift():
    reference, synthetic = sphere_ct(50.0, BALL), sphere_ct(50.0, BALL, centre=(4.0, 0.0, 0.0))
    found = contour_distances(
        reference,
        synthetic,
        reference.array >= THRESHOLD,
        domain=np.ones(BALL.shape, bool),
        threshold=THRESHOLD,
        reach_mm=10.0,
    )
    assert found.distance_mm @ found.area_mm2 / found.area_mm2.sum() == pytest.approx(0, abs=0.2)
    mean = np.abs(found.distance_mm) @ found.area_mm2 / found.area_mm2.sum()
    assert mean == pytest.approx(2.0, abs=0.15)  # mean of |4 cos θ| over the sphere


def test_distances_are_cut_off_at_the_reach():
    reference = sphere_ct(40.0, BALL)
    for other, expected in ((sphere_ct(70.0, BALL), 10.0), (sphere_ct(12.0, BALL), -10.0)):
        found = contour_distances(
            reference,
            other,
            reference.array >= THRESHOLD,
            domain=np.ones(BALL.shape, bool),
            threshold=THRESHOLD,
            reach_mm=10.0,
        )
        np.testing.assert_allclose(found.distance_mm, expected)


def test_bone_that_lost_its_rim_has_a_negative_bias(patient, clean):
    bone = clean.array >= 250
    thin = ndimage.binary_erosion(bone)
    array = np.where(bone & ~thin, 50, clean.array).astype(np.float32)
    rows = geometry(pair_of(patient, clean.with_array(array)), NO_SOURCE)
    bias = one(rows, "contour_bias", region="seg:Bone")
    assert bias.status == "censored" and bias.at_least is None and bias.at_most < -2
    assert number(rows, "contour_unmatched", region="seg:Bone") > 50
    assert abs(number(rows, "contour_bias", region="seg:Body")) < 0.2


def test_the_twin_has_contours_far_below_a_voxel(clean_rows):
    assert number(clean_rows, "contour_distance", region="seg:Body") < 0.15
    assert number(clean_rows, "contour_distance", region="seg:Bone") < 0.5


# --- local shifts


def test_a_part_that_moved_is_seen_by_the_percentile_and_not_by_the_median(patient, clean):
    image = averaged(clean.array, patient.grid)
    left = averaged(ndimage.shift(clean.array, (4 / 6, 0, 0), order=3), patient.grid)
    mixed = image.values.copy()
    part = slice(0, 26)
    mixed[part] = left.values[part]
    reference = averaged(patient.ct.array, patient.grid)
    found = local_shifts(
        reference,
        images.Image(values=mixed, grid=image.grid),
        patient.structures["Body"],
        block_mm=36.0,
        reach_mm=12.0,
    )
    assert local_shift_median(found) < 1.0
    assert local_shift_95(found) == pytest.approx(4, abs=0.8)


def test_a_shift_beyond_the_reach_is_at_least_the_reach(patient, clean):
    image = ndimage.shift(clean.array, (15 / 6, 0, 0), order=3, mode="nearest")
    rows = geometry(pair_of(patient, clean.with_array(image)), NO_SOURCE)
    for metric in LOCAL:
        found = one(rows, metric)
        assert (found.status, found.value, found.at_least) == ("censored", None, 12)
    assert number(rows, "positioning_x", "cbct") == pytest.approx(15, abs=0.4)


@pytest.mark.parametrize("maker", [twin, realistic], ids=["twin", "realistic"])
def test_a_part_beyond_the_reach_is_never_a_small_shift(patient, maker):
    """A third of the image moved so far that hardly a block of it can be found again."""
    image = maker(patient, 5).array

    def moved(mm: float) -> np.ndarray:
        far = ndimage.shift(image, (mm / SPACING[0], 0, 0), order=1, mode="nearest")
        part = image.shape[2] // 3
        return np.concatenate([far[:, :, :part], image[:, :, part:]], axis=2)

    clean = one(geometry(pair_of(patient, patient.ct.with_array(image)), LOCAL_ONLY), LOCAL[1])
    assert clean.status == "ok" and clean.value < 4
    for mm in (15, 30, 45):
        pair = pair_of(patient, patient.ct.with_array(moved(mm)))
        found = one(geometry(pair, LOCAL_ONLY), LOCAL[1])
        assert found.status == "censored", (mm, found.value)
        assert 0 <= found.at_least <= 12
        assert "reach" in found.why or "not found again" in found.why


def shifts(sizes, *, lost: int = 0, unsharp: int = 0, far: tuple = ()) -> LocalShifts:
    return LocalShifts(
        shift_mm=np.zeros((len(sizes), 3)),
        size_mm=np.array(sizes, dtype=float),
        centre_index=np.zeros((len(sizes), 3)),
        in_body=50,
        reach_mm=12.0,
        lost=lost,
        far_mm=np.array(far, dtype=float),
        with_structure=len(sizes) + lost + unsharp + len(far),
    )


def test_a_percentile_that_may_lie_among_lost_blocks_is_a_bound():
    """Of 20 blocks the 95th percentile is the 19th, and the median the 10th."""
    ordered = [float(n) for n in range(1, 21)]
    assert local_shift_95(shifts(ordered)) == 19
    assert local_shift_95(shifts(ordered[:19], lost=1)) == 19  # of the 19: 0.95 * 19 = 18.05
    two = local_shift_95(shifts(ordered[:18], lost=2))
    assert (two.at_least, two.at_most) == (17, None)  # with both at 0 it is the 17th of the 18
    assert "2 of 20 blocks with structure were not found again" in two.why
    assert local_shift_median(shifts(ordered[:18], lost=2)) == 9
    half = local_shift_median(shifts(ordered[:8], lost=12))
    assert half.at_least == 0  # were none of the 12 moved, the 10th were one of them
    # of 40 blocks, 19 whose shift is not known sharply go by the 18 that are and moved less
    assert local_shift_95(shifts(ordered[:19], lost=2, unsharp=19)) == 18
    # one block may have slipped: of 77 blocks 18 are known sharply, and the worst is one of 77
    assert local_shift_95(shifts([*ordered[:17], 99], unsharp=59)) == 17
    assert local_shift_95(shifts([*ordered[:16], 99, 99], unsharp=59)) == 99
    proven = local_shift_95(shifts([1.0] * 15 + [np.inf] * 3, lost=2))
    assert proven.at_least == 12 and "beyond the reach" in proven.why


def test_far_blocks_decide_where_they_are_a_part_of_the_body():
    """Of 40 blocks two may lie beyond the 95th percentile."""
    near = [float(n) / 10 for n in range(1, 21)]
    assert local_shift_95(shifts(near, unsharp=20)) == 1.9
    assert local_shift_95(shifts(near, unsharp=18, far=(9, 9))) == 1.9
    assert local_shift_95(shifts(near, unsharp=17, far=(9, 9, 9))) == 9
    assert local_shift_95(shifts(near, unsharp=17, far=(9, 9, np.inf))) == 9
    assert local_shift_95(shifts(near, unsharp=17, far=(np.inf,) * 3)).at_least == 12


def test_a_structure_that_is_gone_is_no_local_shift(patient, clean):
    without_bone = clean.with_array(np.minimum(clean.array, 80))
    assert number(geometry(pair_of(patient, without_bone), NO_SOURCE), "local_shift_95") < 1.5
    without_muscle = clean.with_array(np.minimum(clean.array, -50))
    found = one(geometry(pair_of(patient, without_muscle), NO_SOURCE), "local_shift_95")
    assert found.status == "undefined" and "found again" in found.why
