"""Planted faults, every one: it changes what it says; its facts, its place, its scene."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from qa_suite.core.errors import InputError, UnknownName
from qa_suite.core.volume import Grid
from qa_suite.lab.exam.scenes import cohort_person, virtual_person
from qa_suite.lab.faults import FAULTS, FaultFacts, plant
from qa_suite.lab.faults.base import ball, place
from qa_suite.lab.phantom import make_phantom_cohort
from tests import fault_cases
from tests.fault_cases import difference, planted

# Fixtures, by the names that the tests ask for.
scene = fault_cases.scene

EVERY = [(entry.name, severity) for entry in FAULTS for severity in entry.facts.severities]
WORST = [(entry.name, entry.facts.severities[-1]) for entry in FAULTS]


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
