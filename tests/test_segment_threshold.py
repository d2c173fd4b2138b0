"""Threshold segmenters: known answers on drawn anatomies, and on a real trunk."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.boxes import bounding_box
from qa_suite.imaging.threshold import ThresholdSettings, body, bone, segment_threshold
from qa_suite.instruments.threshold import SEGMENTERS

SHAPE = (40, 40, 10)


def ct(array, spacing=(2.0, 2.0, 3.0)):
    array = np.asarray(array, dtype=np.float32)
    return Volume(array=array, grid=Grid(shape=array.shape, spacing_mm=spacing), quantity="HU")


@pytest.fixture
def torso():
    array = np.full(SHAPE, -1000.0)
    array[8:32, 8:30] = 30
    return array


def test_body_is_filled_slice_by_slice(torso):
    outline = torso > -500
    torso[12:18, 12:20, 0:6] = -850  # a lung, open to the first slice
    np.testing.assert_array_equal(body(ct(torso)), outline)


def test_a_notch_open_to_the_outside_is_not_filled(torso):
    torso[18:22, 8:14, :] = -1000
    assert not body(ct(torso))[20, 10, 5]


def test_couch_goes_and_a_second_leg_stays(torso):
    torso[5:35, 34:35] = -300  # a couch shell, apart from the body: 6 % of its volume
    alone = body(ct(torso))
    assert not alone[:, 34].any() and alone[20, 20, 5]
    legs = np.full(SHAPE, -1000.0)
    legs[4:16, 10:30] = 30
    legs[24:35, 10:30] = 30
    np.testing.assert_array_equal(body(ct(legs)), legs > -500)


def test_the_threshold_is_inclusive_and_half_way():
    array = np.full((4, 4, 4), -1000.0)
    array[:2] = -500
    array[2] = -500.1
    found = body(ct(array))
    assert found[:2].all() and not found[2:].any()


def test_specks_are_no_bone(torso):
    torso[12:16, 12:16, 3:5] = 600  # 0.384 cm³
    torso[20:22, 20:22, 3:5] = 600  # 0.096 cm³
    torso[25, 25, 2:10] = 600  # 0.096 cm³
    found = bone(ct(torso))
    assert found[12:16, 12:16, 3:5].all()
    assert found.sum() == 4 * 4 * 2


def test_bone_on_the_diagonal_is_one_part(torso):
    for n in range(9):
        torso[12 + n, 12 + n, n] = 600
    assert bone(ct(torso)).sum() == 9  # 0.108 cm³ together


def test_outside_the_domain_is_nothing(torso):
    torso[36:40] = 900
    domain = np.zeros(SHAPE, dtype=bool)
    domain[:34] = True
    assert not bone(ct(torso), domain=domain).any()
    assert bone(ct(torso)).any()
    torso[0] = np.nan
    domain[0] = False
    assert body(ct(torso), domain=domain).any()


def test_nothing_found_is_an_empty_mask(torso):
    assert not bone(ct(torso)).any()
    assert not body(ct(np.full(SHAPE, -1000.0))).any()
    assert not body(ct(torso), domain=np.zeros(SHAPE, dtype=bool)).any()


def test_flips_and_repeats_give_the_same(torso):
    rng = np.random.default_rng(20263)
    torso += rng.normal(0, 200, SHAPE)
    for segment in (body, bone):
        found = segment(ct(torso))
        np.testing.assert_array_equal(found, segment(ct(torso)))
        for axis in range(3):
            flipped = segment(ct(np.flip(torso, axis)))
            np.testing.assert_array_equal(np.flip(flipped, axis), found)


def test_what_cannot_be_segmented_is_refused(torso):
    array = torso.astype(np.float32)
    grid = Grid(shape=SHAPE, spacing_mm=(2, 2, 3))
    with pytest.raises(InputError, match="needs HU, got arbitrary"):
        body(Volume(array=array, grid=grid, quantity="arbitrary"))
    array[3, 3, 3] = np.nan
    with pytest.raises(InputError, match="1 voxel"):
        body(ct(array))
    with pytest.raises(GeometryError, match="domain"):
        segment_threshold(
            ct(torso), np.ones((2, 2, 2), dtype=bool), ThresholdSettings(threshold_hu=0)
        )


def test_registered_segmenters_share_one_call(torso):
    torso[12:16, 12:16] = 600
    domain = np.ones(SHAPE, dtype=bool)
    for entry in SEGMENTERS:
        settings = ThresholdSettings(**entry.facts.settings)
        found = entry.function(ct(torso), domain, settings)
        assert tuple(found) == entry.facts.structures
        assert all(mask.dtype == bool and mask.any() for mask in found.values())


def test_bounding_box():
    mask = np.zeros((9, 8, 7), dtype=bool)
    assert bounding_box(mask) is None
    mask[2:4, 0, 6] = True
    assert bounding_box(mask) == (slice(2, 4), slice(0, 1), slice(6, 7))
    assert bounding_box(mask, margin=3) == (slice(0, 7), slice(0, 4), slice(3, 7))


def test_a_real_trunk(shared_data):
    from qa_suite.io.images import read_image

    file = shared_data / "body" / "example_ct.nii.gz"
    if not file.is_file():
        pytest.skip(f"{file.name} is absent")
    volume = read_image(file, "HU")
    outline, skeleton = body(volume), bone(volume)
    litres = outline.sum() * volume.grid.voxel_volume_cc / 1000
    assert 10 < litres < 40
    lung = (volume.array < -700) & outline
    assert lung.sum() * volume.grid.voxel_volume_cc > 300  # filled in
    share = (skeleton & outline).sum() / outline.sum()
    assert 0.01 < share < 0.15
    assert (skeleton & outline).sum() > 0.95 * skeleton.sum()
