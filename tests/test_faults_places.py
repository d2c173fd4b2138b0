"""Planted faults of place and of anatomy: slices, motions, organs, strangers, the couch."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from qa_suite.lab.faults import FAULTS, plant
from qa_suite.metrics.base import Pair
from qa_suite.metrics.hallucination.depth import outside_depth
from qa_suite.metrics.hallucination.settings import HallucinationSettings
from tests import fault_cases
from tests.fault_cases import difference, planted

# Fixtures, by the names that the tests ask for.
scene = fault_cases.scene


def test_anatomy(scene):
    bone = np.where(scene.bone, np.maximum(scene.clean.array - 40, 0), 0)
    lost = -difference(scene, "bone_rims_missing", 3)
    assert 0.1 < lost.sum() / bone.sum() < 0.8
    assert not lost[~scene.bone].any()
    cc = scene.grid.voxel_volume_cc
    invented = difference(scene, "bone_invented", 30)
    assert (invented > 300).sum() * cc == pytest.approx(30, rel=0.25)
    filled = difference(scene, "air_filled", 30)
    assert (filled > 500).sum() * cc == pytest.approx(30, rel=0.25)
    lesion = planted(scene, "lesion_removed", 24)
    contrast = lesion.clean.array - lesion.synthetic.array
    assert contrast.max() == pytest.approx(300, abs=1)
    assert contrast.sum() / 300 * cc == pytest.approx(4 / 3 * np.pi * 1.2**3, rel=0.15)
    gained = lesion.reference.array - scene.reference.array
    np.testing.assert_allclose(gained, contrast, atol=0.01)


def test_slices(scene):
    twin = scene.clean.array
    flipped = planted(scene, "left_right_flip").synthetic.array
    np.testing.assert_array_equal(flipped[::-1], twin)
    np.testing.assert_array_equal(
        planted(scene, "slices_reversed").synthetic.array[..., ::-1], twin
    )
    missing = planted(scene, "slice_missing", 1).synthetic.array
    same = [bool(np.array_equal(missing[..., k], twin[..., k])) for k in range(twin.shape[2])]
    k = same.index(False)
    np.testing.assert_array_equal(missing[..., k:-1], twin[..., k + 1 :])
    twice = planted(scene, "slice_duplicated", 1).synthetic.array
    repeats = [
        j for j in range(1, twin.shape[2]) if np.array_equal(twice[..., j], twice[..., j - 1])
    ]
    assert len(repeats) == 1
    np.testing.assert_array_equal(twice[..., repeats[0] + 1 :], twin[..., repeats[0] : -1])


def centre_mm(scene, array):
    weight = np.clip(array, -1000, 200) + 1000
    return (
        np.array(
            [
                np.average(
                    np.arange(n), weights=weight.sum(axis=tuple(a for a in range(3) if a != axis))
                )
                for axis, n in enumerate(array.shape)
            ]
        )
        * scene.grid.spacing_mm
    )


def test_motions(scene):
    moved = planted(scene, "shift", 5).synthetic.array
    way = centre_mm(scene, moved) - centre_mm(scene, scene.clean.array)
    in_plane = way[:2]  # along z the field of view cuts the body
    assert 0 < np.linalg.norm(in_plane) < 6
    larger = planted(scene, "spacing", 5).synthetic.array > -500
    area = larger[..., 12].sum() / (scene.clean.array[..., 12] > -500).sum()
    assert area == pytest.approx(1.05**2, rel=0.02)
    cut = planted(scene, "truncated", 30).synthetic.array
    columns = np.flatnonzero(scene.body.any(axis=(1, 2)))
    assert (cut[columns[0] : columns[0] + 4] < -900).mean() > 0.9
    assert planted(scene, "axes_swapped").synthetic.array.shape == scene.grid.shape


def test_a_shift_is_as_long_as_it_says(scene):
    known = np.random.default_rng(0).standard_normal(3)
    known *= 5 / np.linalg.norm(known)
    from scipy import ndimage

    expected = ndimage.shift(
        scene.clean.array, known / scene.grid.spacing_mm, order=3, mode="nearest"
    )
    got = planted(scene, "shift", 5).synthetic.array
    inner = np.s_[4:-4, 4:-4, 4:-4]
    assert np.abs(got - np.clip(expected, got.min(), got.max()))[inner].mean() < 1


def test_identities(scene):
    other = planted(scene, "wrong_patient").synthetic.array
    assert np.abs(other - scene.clean.array)[scene.body].mean() > 40
    np.testing.assert_allclose(
        planted(scene, "other_modality").synthetic.array, scene.source.array, rtol=1e-6
    )
    mean = planted(scene, "mean_image").synthetic.array
    assert mean.std() < scene.clean.array.std()


def test_organs_move_and_the_skin_stays(scene):
    for name, organ in (("prostate_moved", "Prostate"), ("bladder_moved", "Bladder")):
        change = np.abs(difference(scene, name, FAULTS[name].facts.severities[-1]))
        near = scene.structures[organ]
        assert change[near].mean() > 3 * change[scene.body & ~near].mean()
    moved = planted(scene, "gas_moved", 40)
    cc = scene.grid.voxel_volume_cc
    lost = (moved.synthetic.array - moved.clean.array > 500).sum() * cc
    gained = (moved.clean.array - moved.synthetic.array > 500).sum() * cc
    assert lost == pytest.approx(10, rel=0.3)
    assert gained == pytest.approx(10, rel=0.3)


def test_a_dense_place_changes_the_side(scene):
    made = planted(scene, "heads_exchanged", 24)
    dense = {s: scene.structures[f"Femur_Head_{s}"] for s in "LR"}
    clean, synthetic = (
        {s: float(image.array[mask].mean()) for s, mask in dense.items()}
        for image in (made.clean, made.synthetic)
    )
    own = max(clean, key=clean.__getitem__)
    other = "LR".replace(own, "")
    assert clean[own] - clean[other] > 100
    assert synthetic[other] - synthetic[own] > 50


def test_a_leaked_reference_is_the_reference_and_noise(scene):
    for severity in (0, 3, 6):
        rest = planted(scene, "reference_leaked", severity).synthetic.array - np.maximum(
            scene.reference.array, -1024
        )
        assert rest[scene.body].std() == pytest.approx(severity, rel=0.03, abs=1e-6)


def test_a_stranger_fits_the_outline_and_nothing_beneath(scene):
    for name in ("atlas_fitted", "training_patient_fitted"):
        fitted = planted(scene, name).synthetic.array
        assert (fitted[~scene.body] == -1000).all()
        assert (fitted[scene.body] >= -400).all()
        assert np.abs(fitted - scene.clean.array)[scene.body].mean() > 40


def test_the_couch_lies_behind_the_body(scene):
    made = planted(scene, "couch_missing", 6)
    couch = made.reference.array - scene.reference.array
    assert not couch[scene.body].any()
    water_mm = (couch / 1100 * scene.grid.spacing_mm[1]).sum(axis=1)
    np.testing.assert_allclose(water_mm, 6, atol=0.1)
    found = {
        name: outside_depth(
            Pair(reference=made.reference, synthetic=image, mask=scene.body),
            HallucinationSettings(),
        )
        for name, image in (("clean", made.clean), ("faulted", made.synthetic))
    }
    assert found["clean"] < 0.1
    # 1.1 of water, less where the plate touches the skin: that rim is left out
    assert 0.85 * 6 * 1.1 < found["faulted"] <= 1.01 * 6 * 1.1
    np.testing.assert_array_equal(made.synthetic.array, scene.clean.array)


@pytest.mark.parametrize("fault", ["lesion_removed", "lesion_invented"])
def test_a_lesion_lies_clear_of_bone(scene, fault):
    off_bone_mm = ndimage.distance_transform_edt(~scene.bone, sampling=scene.grid.spacing_mm)
    for seed in range(12):  # one of them lies at bone where the rule is left out
        made = plant(scene, fault, 12, np.random.default_rng(seed))
        with_it = made.synthetic if fault == "lesion_invented" else made.clean
        ball = np.abs(with_it.array - scene.clean.array) > 0.5
        assert ball.any()
        assert off_bone_mm[ball].min() > 12
