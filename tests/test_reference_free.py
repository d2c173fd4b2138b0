"""Checks without a reference: known answers, the way back, and the translator's doubt."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.errors import InputError
from qa_suite.core.prediction import Prediction
from qa_suite.core.volume import Grid, Volume
from tests.reference_free_cases import SHAPE, hu, measured, mr_of, signal, tissue, value

# ---------------------------------------------------------------------------------------
# Known answers


def test_the_levels_of_air_fat_and_muscle():
    found = measured(hu(tissue()))
    assert value(found, "air_error", "air") == pytest.approx(0, abs=1)
    assert value(found, "fat_level", "fat") == pytest.approx(-100, abs=1)
    assert value(found, "muscle_level", "soft") == pytest.approx(40, abs=1)
    moved = measured(hu(tissue() + 30))
    for metric, region in (("air_error", "air"), ("fat_level", "fat"), ("muscle_level", "soft")):
        change = value(moved, metric, region) - value(found, metric, region)
        assert change == pytest.approx(30, abs=0.5)


def test_tissue_volumes_add_up_by_hand():
    found = measured(hu(tissue()))
    bone = 5 * 6 * 12 * 0.08
    fat = (28 * 20 - 22 * 14) * 20 * 0.08
    assert value(found, "tissue_volume", "bone") == pytest.approx(bone)
    assert value(found, "tissue_volume", "fat") == pytest.approx(fat)
    assert value(found, "tissue_volume", "air") == 0
    total = 28 * 20 * 20 * 0.08
    assert value(found, "tissue_ratio", "bone") == pytest.approx(100 * bone / total)
    shares = [value(found, "tissue_ratio", r) for r in ("air", "fat", "soft", "bone")]
    assert sum(shares) == pytest.approx(100)


@pytest.mark.parametrize("sd", [5.0, 20.0])
def test_noise_is_its_standard_deviation(sd):
    assert value(measured(hu(tissue(noise=sd))), "noise_level", "soft") == pytest.approx(
        sd, rel=0.06
    )


def test_the_steepness_of_a_step_is_its_height_over_the_spacing():
    array = np.full(SHAPE, -1000.0)
    array[10:30] = 0  # the only surfaces lie across x
    assert value(measured(hu(array)), "sharpness", "skin") == pytest.approx(1000 / 4)


def test_implausible_values_are_counted():
    array = tissue()
    array[20, 15, 8] = 9000
    array[22, 15, 8] = -3000  # a hole of the body that is filled: still body
    array[24, 15, 8] = 1500  # in range, but alone
    body = 28 * 20 * 20
    assert value(measured(hu(array)), "implausible_voxels") == pytest.approx(100 * 5 / body)
    assert value(measured(hu(tissue())), "implausible_voxels") == 0

    # 9000 and -3000 are out of range and alone; 1500 is alone


def test_the_99_9th_percentile_shows_clipping():
    assert value(measured(hu(tissue())), "hu_range_99_9") > 700
    assert value(measured(hu(np.minimum(tissue(), 300))), "hu_range_99_9") == 300


def test_outlines_of_boxes_by_hand():
    rng = np.random.default_rng(0)
    source = rng.uniform(0, 20, SHAPE)
    source[6:34, 6:26] = rng.uniform(200, 800, (28, 20, 20))
    inner = np.full(SHAPE, -1000.0)
    inner[8:32, 6:26] = 0  # two voxels of 4 mm narrower on the left and the right
    found = measured(hu(inner), signal(source))
    assert value(found, "source_contour_distance_95") == pytest.approx(8, abs=0.5)
    assert value(found, "source_body_dice") == pytest.approx(2 * 24 / (24 + 28), abs=2e-3)
    volume = -4 * 20 * 20 * 80.0  # mm³
    sides = [2 * (w * 4 + 20 * 4) * 19 * 5 for w in (28, 24)]
    assert value(found, "source_contour_bias") == pytest.approx(volume / np.mean(sides), rel=0.02)
    same = measured(hu(np.where(source > 30, 0.0, -1000.0)), signal(source))
    assert value(same, "source_contour_distance") == value(same, "source_contour_bias") == 0
    assert value(same, "source_body_dice") == 1
    assert value(same, "cut_body") == 0


def test_where_the_source_ends_no_outline_is_missing():
    source, synthetic = mr_of(tissue()), tissue()
    source[..., 12:] = 0  # padding: the MR's field of view ends here
    found = measured(hu(synthetic), signal(source))
    assert value(found, "source_contour_distance") < 1
    assert value(found, "source_body_dice") > 0.99


def test_a_truncated_field_and_an_empty_slice_cut_the_body():
    whole = tissue()
    cut = whole.copy()
    cut[:16] = -1000
    assert value(measured(hu(whole), signal(mr_of(whole))), "cut_body") < 0.5
    assert value(measured(hu(cut), signal(mr_of(whole))), "cut_body") > 20
    hole = whole.copy()
    hole[..., 10] = -1000
    assert value(measured(hu(hole), signal(mr_of(whole))), "cut_body") == pytest.approx(5, abs=0.5)


def test_a_filled_void_by_hand():
    with_gas = tissue()
    with_gas[20:24, 12:16, 4:10] = -1000
    source = signal(mr_of(with_gas))
    assert value(measured(hu(with_gas), source), "void_filled") == 0
    assert value(measured(hu(with_gas), source), "tissue_volume", "air") == pytest.approx(
        4 * 4 * 6 * 0.08
    )
    filled = with_gas.copy()
    filled[20:24, 12:16, 4:10] = 40
    assert value(measured(hu(filled), source), "void_filled") == pytest.approx(4 * 4 * 6 * 0.08)


def test_symmetry_of_a_symmetric_image_is_one():
    array = tissue(noise=0)
    array[12:17, 12:18, 2:14] = 40
    assert value(measured(hu(array)), "left_right_symmetry") == pytest.approx(1)
    assert value(measured(hu(tissue())), "left_right_symmetry") < 0.9


def test_slices():
    clean, source = tissue(), signal(mr_of(tissue()))
    found = measured(hu(clean), source)
    assert value(found, "slice_jump") < 3
    assert value(found, "slice_repeat") == 0
    jumped = clean.copy()
    jumped[..., 7] += 25
    assert value(measured(hu(jumped), source), "slice_jump") == pytest.approx(25, abs=2)
    last = clean.copy()
    last[..., -1] += 25
    assert value(measured(hu(last), source), "slice_jump") == pytest.approx(25, abs=2)
    doubled = clean.copy()
    doubled[..., 9] = doubled[..., 8]
    doubled[..., 15] = doubled[..., 14]
    assert value(measured(hu(doubled), source), "slice_repeat") == 2
    both = mr_of(tissue())
    both[..., 9] = both[..., 8]  # the scanner repeated it, not the translator
    assert value(measured(hu(doubled), signal(both)), "slice_repeat") == 1


def test_mutual_information_does_not_depend_on_scale():
    source, image = signal(mr_of(tissue())), tissue()
    first = value(measured(hu(image), source), "source_mutual_information")
    scaled = signal(mr_of(tissue()) * 7 + 100)
    assert value(measured(hu(image), scaled), "source_mutual_information") == pytest.approx(
        first, abs=0.01
    )
    assert value(measured(hu(image + 90), source), "source_mutual_information") == pytest.approx(
        first, abs=1e-3
    )
    assert 1 < first < 2


@pytest.mark.parametrize(("metric", "axis"), [("mirror_evidence", 0), ("reversal_evidence", 2)])
def test_evidence_turns_with_the_image(metric, axis):
    source, image = signal(mr_of(tissue())), tissue()
    right = value(measured(hu(image), source), metric)
    wrong = value(measured(hu(np.flip(image, axis)), source), metric)
    assert right > 0.03
    assert wrong == pytest.approx(-right, abs=0.02)


def test_swapped_axes_are_told():
    grid = Grid(shape=(32, 32, 20), spacing_mm=(4.0, 4.0, 5.0))
    image = tissue()[4:36]
    source = signal(mr_of(tissue())[4:36], grid)
    assert value(measured(hu(image, grid), source), "swap_evidence") > 0.05
    swapped = np.ascontiguousarray(image.transpose(1, 0, 2))
    assert value(measured(hu(swapped, grid), source), "swap_evidence") < -0.05


# ---------------------------------------------------------------------------------------
# The way back, and the translator's doubt


def test_the_way_back():
    source, image = signal(mr_of(tissue())), hu(tissue())

    def exact(volume: Volume) -> Volume:
        return source.with_array(3 * source.array + 50)  # another scale is no error

    assert value(measured(image, source, inverse=exact), "cycle_error") == pytest.approx(
        0, abs=1e-3
    )

    def noisy(volume: Volume) -> Volume:
        return source.with_array(source.array + np.random.default_rng(3).normal(0, 50, SHAPE))

    assert value(measured(image, source, inverse=noisy), "cycle_error") > 3

    def broken(volume: Volume) -> Volume:
        raise InputError("the model answered with shape (1, 2, 3)")

    found = measured(image, source, inverse=broken)["cycle_error", "body"]
    assert (found.status, found.why) == ("error", "the model answered with shape (1, 2, 3)")


def test_the_disagreement_of_samples_and_of_a_std():
    image = hu(tissue())
    draws = tuple(image.with_array(image.array + step) for step in (-10, 0, 10))
    found = measured(image, prediction=Prediction(mean=image, samples=draws))
    assert value(found, "sample_disagreement") == pytest.approx(10, rel=1e-4)
    spread = image.with_array(np.full(SHAPE, 7.0, dtype=np.float32))
    found = measured(image, prediction=Prediction(mean=image, std=spread))
    assert value(found, "sample_disagreement") == pytest.approx(7)
    one = measured(image, prediction=Prediction(mean=image, samples=draws[:1]))
    assert one["sample_disagreement", "body"].status == "undefined"
