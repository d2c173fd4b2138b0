"""Planted faults: each is what it says, and nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from pydantic import ValidationError

from qa_suite.core.errors import InputError, UnknownName
from qa_suite.core.volume import Grid
from qa_suite.lab.exam.scenes import cohort_person, virtual_person, virtual_scene
from qa_suite.lab.faults import FAULTS, FaultFacts, plant
from qa_suite.lab.faults.base import ball, place
from qa_suite.lab.phantom import make_phantom_cohort
from qa_suite.metrics.base import Pair
from qa_suite.metrics.hallucination.depth import outside_depth
from qa_suite.metrics.hallucination.settings import HallucinationSettings

EVERY = [(entry.name, severity) for entry in FAULTS for severity in entry.facts.severities]
WORST = [(entry.name, entry.facts.severities[-1]) for entry in FAULTS]


@pytest.fixture(scope="module")
def scene():
    return virtual_scene("A", 1, seed=3, spacing_mm=(6, 6, 8))


def planted(scene, name, severity=None, seed=0):
    facts = FAULTS[name].facts
    return plant(
        scene, name, facts.clinical if severity is None else severity, np.random.default_rng(seed)
    )


def difference(scene, name, severity=None, seed=0):
    made = planted(scene, name, severity, seed)
    return made.synthetic.array - made.clean.array


@pytest.mark.parametrize(("name", "severity"), EVERY)
def test_a_fault_changes_the_image_and_leaves_the_scene_alone(scene, name, severity):
    before = scene.clean.array.copy(), scene.reference.array.copy()
    made = planted(scene, name, severity)
    assert made.synthetic.grid == scene.grid
    assert made.synthetic.array.dtype == np.float32
    assert not np.array_equal(made.synthetic.array, made.clean.array), "nothing happened"
    assert np.array_equal(before[0], scene.clean.array)
    assert np.array_equal(before[1], scene.reference.array)
    assert made.synthetic.history[-1].startswith("fault: ") or made.synthetic is scene.clean
    if name != "nan":
        assert np.isfinite(made.synthetic.array).all()
        assert made.synthetic.array.min() >= -1024


@pytest.mark.parametrize(("name", "severity"), WORST)
def test_the_same_generator_plants_the_same_fault(scene, name, severity):
    one, two = (planted(scene, name, severity, seed=4).synthetic.array for _ in range(2))
    np.testing.assert_array_equal(one, two)


NOT_FARTHER = {"reference_leaked", "reference_of_one", "gas_moved"}
"""A better copy is nearer; what moved by more than its size is as far as it can be."""


def test_more_severe_is_farther_from_the_clean_image(scene):
    for entry in FAULTS:
        if entry.name in NOT_FARTHER:
            continue
        far = [
            float(np.abs(np.nan_to_num(difference(scene, entry.name, s), nan=1e4)).mean())
            for s in entry.facts.severities
        ]
        assert far == sorted(far), entry.name


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


def test_what_cancels_has_two_sides(scene):
    for name, severity in (("sites_cancel", 30), ("examinations_cancel", 30)):
        both = [
            planted(dataclasses.replace(scene, side=side), name, severity).synthetic.array
            for side in (1, -1)
        ]
        inside = scene.body & (scene.clean.array > -900)
        np.testing.assert_allclose((both[0] - both[1])[inside], 2 * severity, atol=0.01)


def test_every_candidate_gets_the_fault_in_the_same_place():
    person = virtual_person("B", 4, seed=3, spacing_mm=(6, 6, 8))
    places = []
    for candidate in ("twin", "realistic"):
        made = planted(person.scene(candidate), "pocket_value")
        change = np.abs(made.synthetic.array - made.clean.array)
        places.append(np.unravel_index(np.argmax(change), change.shape))
    assert places[0] == places[1]


def test_a_ball_has_its_volume():
    grid = Grid(shape=(20, 20, 20), spacing_mm=(3, 3, 4))
    share = ball(grid, np.array([9.6, 10.2, 9.5]), 15)
    assert share.sum() * grid.voxel_volume_cc == pytest.approx(4 / 3 * np.pi * 1.5**3, rel=0.05)


def test_no_room_is_said():
    grid = Grid(shape=(9, 9, 9), spacing_mm=(4, 4, 4))
    mask = np.zeros(grid.shape, dtype=bool)
    mask[4, 4, 4] = True
    with pytest.raises(InputError, match="no room for a lesion of 40 mm"):
        place(mask, grid, 20, np.random.default_rng(0), "a lesion")


def test_facts_are_checked(scene):
    with pytest.raises(UnknownName, match="hu_bias"):
        plant(scene, "hu_biass", 10, np.random.default_rng(0))
    with pytest.raises(ValidationError, match="clinical severity"):
        FaultFacts(
            title="t",
            unit="1",
            severities=(1,),
            clinical=2,
            why_clinical="w",
            hits="all",
            answers=(("me", "body"),),
        )
    facts = FAULTS["bone_clipped"].facts
    assert [facts.matters(s) for s in facts.severities] == [False, False, False, True]


def test_scenes_of_a_cohort_are_those_of_its_patients(tmp_path):
    cohort = make_phantom_cohort(
        tmp_path, hospitals=("A",), patients_per_hospital=2, spacing_mm=(10, 10, 12), seed=1
    )
    first, second = (cohort_person(cohort, tmp_path, case).scene() for case in cohort.cases)
    assert first.case == "A-001"
    assert first.bone.any()
    np.testing.assert_array_equal(first.body, first.structures["Body"])
    assert not np.array_equal(first.clean.array, second.clean.array)
    other = cohort_person(cohort, tmp_path, cohort.cases[0]).scene(number=1)
    assert not np.array_equal(first.clean.array, other.clean.array)
    assert first.stranger().array.shape == first.clean.array.shape
    blind = cohort.cases[0].model_copy(update={"truth": {}})
    with pytest.raises((InputError, KeyError), match="virtual patient"):
        cohort_person(cohort, tmp_path, blind)
