"""Components that appear or vanish: planted ones are found where they are, with their values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_suite.metrics.hallucination.blobs import blobs, digital_balls
from qa_suite.metrics.hallucination.family import find_components
from qa_suite.metrics.hallucination.fields import block_mean
from tests.hallucination_cases import (
    COARSE,
    DEFAULTS,
    FINE,
    ball,
    flat,
    middle,
    pair_of,
    planted,
    values_of,
)

PLANTED = [  # kind, HU around, HU inside, radius in mm
    ("bone_lesion", 300.0, 600.0, 7.5),
    ("bone_lesion", 450.0, 150.0, 7.5),
    ("lesion", 40.0, 100.0, 10.0),
    ("lesion", 40.0, -20.0, 10.0),
    ("air", 40.0, -1000.0, 8.95),
    ("bone", 40.0, 400.0, 8.95),
]


@pytest.mark.parametrize("grid", [COARSE, FINE], ids=["6 mm", "1.5x1.5x3 mm"])
@pytest.mark.parametrize(("kind", "around", "inside", "radius"), PLANTED)
def test_a_planted_component_is_found_where_it_is(grid, kind, around, inside, radius):
    volume = 4 / 3 * np.pi * radius**3 / 1000
    for offset in ((0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0, 0.25)):
        with_it, without, centre = planted(grid, around, inside, radius, offset)
        for false, reference, synthetic in ((True, without, with_it), (False, with_it, without)):
            found = find_components(pair_of(grid, reference, synthetic), DEFAULTS)
            (one,) = [c for c in found if c.kind == kind]
            assert one.false == false
            assert np.linalg.norm(np.array(one.position_mm) - centre) < 0.5 * max(grid.spacing_mm)
            assert 0.5 * volume < one.volume_cc < 1.5 * volume
            assert 0.6 < one.contrast_hu / (inside - around) < 1.1


def test_false_and_missed_change_places_with_the_images():
    with_it, without, _ = planted(COARSE, 40, 400, 9)
    forth = values_of(pair_of(COARSE, without, with_it))
    back = values_of(pair_of(COARSE, with_it, without))
    for region in ("bone", "air", "lesion"):
        for metric in ("components", "volume", "contrast"):
            assert forth[f"false_{metric}", region] == back[f"missed_{metric}", region]
    assert forth["false_components", "bone"] == 1 and forth["missed_components", "bone"] == 0
    assert forth["largest_false", "bone"] == forth["false_volume", "bone"] > 0


def test_two_components_are_two():
    share = [
        ball(COARSE, middle(COARSE) + np.array((x, 0, 0)), r) for x, r in ((-30, 10), (30, 14))
    ]
    synthetic = flat(COARSE, 40, 2) + 400 * (share[0] + share[1])
    found = values_of(pair_of(COARSE, flat(COARSE, 40), synthetic.astype(np.float32)))
    assert found["false_components", "bone"] == 2
    assert found["largest_false", "bone"] < found["false_volume", "bone"]


@given(axis=st.integers(0, 2), seed=st.integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_flips_change_nothing(axis, seed):
    offset = np.random.default_rng(seed).uniform(-3, 3, 3)
    with_it, without, _ = planted(COARSE, 40, 110, 10, offset)
    there = values_of(pair_of(COARSE, without, with_it))
    flipped = values_of(pair_of(COARSE, np.flip(without, axis), np.flip(with_it, axis)))
    assert there == {
        key: value if value is None else pytest.approx(value, rel=1e-4)
        for key, value in flipped.items()
    }


def test_bone_whose_values_are_off_is_matched():
    reference = planted(COARSE, 40, 800, 25)[0]
    synthetic = planted(COARSE, 40, 500, 25)[0]
    found = values_of(pair_of(COARSE, reference, synthetic))
    assert found["missed_components", "bone"] == found["false_components", "bone"] == 0


@pytest.mark.parametrize("grid", [COARSE, FINE])
@pytest.mark.parametrize("drawn", [-1000, -700, -400, -320, 40])
def test_gas_of_a_wrong_value_costs_water_whatever_is_shown_of_it(grid, drawn):
    """Whether it counts as missed or not: a ray through 10 cc meets up to 27 mm of it."""
    share = ball(grid, middle(grid), 13.4)
    reference, synthetic = (
        (1 - share) * flat(grid, 40, seed) + share * value
        for seed, value in ((0, -1000), (1, drawn))
    )
    found = values_of(pair_of(grid, reference.astype("f4"), synthetic.astype("f4")))
    water = 26.8 * (drawn + 1000) / 1000
    assert found["value_depth", "air"] == pytest.approx(0.7 * water, abs=0.5 + 0.2 * water)
    assert found["value_error", "air"] == pytest.approx(drawn + 1000, abs=10 + 0.4 * (drawn + 1000))
    assert found["value_depth", "bone"] == found["value_depth", "metal"] == 0


def test_the_depth_of_a_value_is_that_of_beams_across_the_patient():
    """A column of gas, 20 mm wide, 30 HU too dense: 0.6 mm across, however long it is."""
    width, length = 20, 110
    half = (width / 2, width / 2, length / 2)
    found = []
    for turn in (0, 1, 2):  # the long axis: from head to feet, then across
        axes = np.roll(half, turn)
        at = [
            np.abs((np.arange(n) - n // 2) * s) <= h
            for n, s, h in zip(COARSE.shape, COARSE.spacing_mm, axes, strict=True)
        ]
        column = at[0][:, None, None] & at[1][None, :, None] & at[2][None, None, :]
        reference = np.where(column, np.float32(-950), flat(COARSE, 40, 0))
        synthetic = np.where(column, np.float32(-920), flat(COARSE, 40, 1))
        found.append(values_of(pair_of(COARSE, reference, synthetic))["value_depth", "air"])
    assert found[0] < 1.2
    assert found[1] > 2 and found[2] > 2


def test_metal_drawn_as_bone_has_a_wrong_value_and_metal_drawn_right_has_none():
    metal, bone = planted(COARSE, 40, 3000, 15)[0], planted(COARSE, 40, 800, 15)[0]
    wrong, right = (values_of(pair_of(COARSE, metal, s)) for s in (bone, metal))
    assert wrong["missed_components", "bone"] == 0  # something is there
    assert wrong["value_error", "metal"] == pytest.approx(-2200, abs=150)
    assert wrong["value_depth", "metal"] > 20
    assert right["value_depth", "metal"] == right["value_error", "metal"] == 0


def test_a_lesion_is_not_lost_in_a_patch_of_a_smaller_error():
    """12 mm of +300 HU within 60 mm that lie 45 HU too high, as a translator's errors do."""
    _, clean, centre = planted(COARSE, 40, 85, 30)
    patch = clean + 45 * ball(COARSE, centre, 30)
    lesion = (patch + 300 * ball(COARSE, centre, 6)).astype(np.float32)
    plain = flat(COARSE, 40, 1)
    found = [
        values_of(pair_of(COARSE, plain, image.astype(np.float32))) for image in (patch, lesion)
    ]
    assert found[0]["largest_false_contrast", "lesion"] < 50
    assert found[1]["largest_false_contrast", "lesion"] > 90


def test_a_lesion_is_as_strong_as_its_strongest_part_whatever_lies_around_it():
    """12 mm of +300 HU within 24 mm of +60 HU: the patch tells a part of it, and dilutes it."""
    _, _, centre = planted(COARSE, 40, 85, 30)
    plain = flat(COARSE, 40, 1)
    alone = plain + 300 * ball(COARSE, centre, 6)
    within = alone + 60 * ball(COARSE, centre + np.array([9.0, 0.0, 0.0]), 14)
    shown = [
        values_of(pair_of(COARSE, plain, image.astype(np.float32))) for image in (alone, within)
    ]
    assert shown[0]["false_components", "lesion"] == shown[1]["false_components", "lesion"] == 1
    strong, patched = (one["largest_false_contrast", "lesion"] for one in shown)
    assert patched > 0.8 * strong


def test_a_lesion_near_what_both_images_show_as_bone_is_one_of_its_own_kind():
    plain, centre = flat(COARSE, 40, 1), planted(COARSE, 40, 85, 30)[2]
    kinds = []
    for away in (21.0, 48.0):
        bone = 600 * ball(COARSE, centre - np.array([away, 0.0, 0.0]), 12)
        lesion = 300 * ball(COARSE, centre, 8)
        pair = pair_of(
            COARSE, (plain + bone).astype(np.float32), (plain + bone + lesion).astype(np.float32)
        )
        found = [c for c in find_components(pair, DEFAULTS) if "lesion" in c.kind]
        kinds += [c.kind for c in found]
        assert found[0].to_bone_mm == pytest.approx(away - 12, abs=COARSE.spacing_mm[0])
    assert kinds == ["lesion_near_bone", "lesion"]


def test_a_sclerosis_of_a_wrong_value_is_not_lost_in_a_large_bone():
    """30 mm of 1300 HU drawn at 700 HU are 9 mm of water (600/1950 of 30 mm); the bone is right."""
    bone, centre = planted(COARSE, 40, 400, 40)[0], middle(COARSE)
    share = ball(COARSE, centre, 15)
    reference, right, drawn = (
        ((1 - share) * bone + share * hu).astype(np.float32) for hu in (1300, 1300, 700)
    )
    found = values_of(pair_of(COARSE, reference, drawn))
    assert found["value_depth", "dense"] == pytest.approx(0.8 * 9.2, abs=1.0)
    assert found["value_depth", "bone"] < 0.6 * found["value_depth", "dense"]
    assert values_of(pair_of(COARSE, reference, right))["value_depth", "dense"] == 0


def test_block_means_are_those_of_the_blocks():
    image = np.random.default_rng(0).normal(size=(7, 6, 5)).astype(np.float32)
    means = block_mean(image, (3, 2, 2))
    assert means.shape == (3, 3, 3)
    assert means[1, 2, 0] == pytest.approx(image[3:6, 4:6, 0:2].mean(), abs=1e-6)
    assert means[2, 0, 2] == pytest.approx(image[6, 0:2, 4].sum() / 12, abs=1e-6)


def test_digital_balls_are_as_deep_as_stated():
    three, two = digital_balls(4.0, (6.0, 6.0, 6.0))
    assert three.sum() == 7 and two.shape == (2, 2, 2) and two.all()
    fine, corner = digital_balls(4.0, (1.0, 1.0, 2.0))
    assert fine.shape == (9, 9, 5) and corner.shape == (8, 8, 4)
    bar = np.zeros((20, 20, 20), dtype=bool)
    bar[:, 8:10, 8] = True
    assert not list(blobs(bar, (6.0, 6.0, 6.0), fewest=5, radius_mm=4.0))
    bar[:, 8:10, 9] = True
    assert len(list(blobs(bar, (6.0, 6.0, 6.0), fewest=5, radius_mm=4.0))) == 1
