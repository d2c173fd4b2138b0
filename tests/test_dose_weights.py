"""Weights of beams by hand-made influence matrices, and the voxels that they are found on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from qa_suite.core.errors import InputError
from qa_suite.dose.dvh.goals import Goal
from qa_suite.dose.plan.template import Prescription
from qa_suite.dose.plan.weights import coverage_factor, optimise_weights, planning_voxels

RX = Prescription(dose_gy=60, fractions=30)


def goal(structure: str, text: str) -> Goal:
    return Goal.model_validate({"structure": structure, "goal": text, "source": "A test."})


def solved(matrix: np.ndarray, target: range, organs=None, goals=(), **more) -> np.ndarray:
    organs = {name: np.array(rows) for name, rows in (organs or {}).items()}
    return optimise_weights(
        matrix,
        target=np.array(target, dtype=int),
        organs=organs,
        goals=goals,
        prescription=more.pop("prescription", RX),
        **more,
    )


def test_one_beam_is_scaled_to_the_prescribed_coverage():
    depth = np.linspace(1.0, 0.8, 101)[:, None]  # falls through the target
    weights = solved(depth, range(101))
    assert np.quantile(depth @ weights, 0.05) == pytest.approx(57.0)
    all_of_it = Prescription(dose_gy=60, fractions=30, coverage_pct=100, coverage_dose_pct=100)
    assert (depth @ solved(depth, range(101), prescription=all_of_it)).min() == pytest.approx(60)


def test_opposed_beams_share_the_dose_evenly():
    depth = np.linspace(1.0, 0.6, 41)
    weights = solved(np.stack([depth, depth[::-1]], axis=1), range(41))
    assert weights[0] == pytest.approx(weights[1], rel=1e-3)
    assert (weights > 0).all()


def test_units_of_the_influence_do_not_matter():
    rng = np.random.default_rng(0)
    matrix = rng.uniform(0.5, 1.0, (60, 4))
    one = matrix @ solved(matrix, range(40))
    two = 1e-4 * matrix @ solved(1e-4 * matrix, range(40))
    np.testing.assert_allclose(one, two, rtol=1e-3)


def test_sparse_and_dense_agree():
    rng = np.random.default_rng(1)
    matrix = rng.uniform(0, 1, (80, 12)) * (rng.uniform(size=(80, 12)) > 0.5)
    organs = {"Rectum": range(40, 60)}
    goals = (goal("Rectum", "Dmean <= 10 Gy"),)
    dense = solved(matrix, range(40), organs, goals)
    sparse = solved(csr_matrix(matrix), range(40), organs, goals)
    np.testing.assert_allclose(matrix @ dense, matrix @ sparse, rtol=1e-3, atol=0.05)
    assert (dense >= 0).all()


def test_an_upper_goal_spares_its_organ_and_a_lower_goal_does_not():
    # each beam covers half of the target better; beam 0 passes the organ
    matrix = np.array([[1.0, 0.5]] * 10 + [[0.5, 1.0]] * 10 + [[1.0, 0.0]] * 20)
    organs = {"Cord": range(20, 40)}
    free = solved(matrix, range(20), organs)
    spared = solved(matrix, range(20), organs, (goal("Cord", "Dmean <= 5 Gy"),))
    lower = solved(matrix, range(20), organs, (goal("Cord", "D95 >= 50 Gy"),))
    absent = solved(matrix, range(20), organs, (goal("Bladder", "Dmean <= 5 Gy"),))
    assert (matrix @ spared)[20:].mean() < 0.8 * (matrix @ free)[20:].mean()
    for same in (lower, absent):
        np.testing.assert_allclose(same, free, rtol=1e-6)


def test_the_answer_is_the_minimum():
    """Against the normal equations, where no weight is pressed to 0."""
    rng = np.random.default_rng(2)
    matrix = rng.uniform(0.2, 1.0, (200, 3))
    target, rest = np.arange(150), np.arange(150, 200)
    a = np.concatenate([matrix[target] / np.sqrt(150), np.sqrt(0.05 / 50) * matrix[rest]])
    b = np.concatenate([np.full(150, 60.0) / np.sqrt(150), np.zeros(50)])
    expected = np.linalg.lstsq(a, b, rcond=None)[0]
    assert (expected > 0).all()
    found = solved(matrix, range(150))
    np.testing.assert_allclose(found / found.sum(), expected / expected.sum(), rtol=0.01)


def test_what_no_beam_reaches_is_refused():
    with pytest.raises(InputError, match="No beam reaches the target"):
        solved(np.zeros((10, 2)), range(5))
    with pytest.raises(InputError, match="No beam reaches the target"):
        solved(np.ones((10, 2)), range(0))
    half = np.ones((10, 1))
    half[:3] = 0
    with pytest.raises(InputError, match=r"Less than 95 % of the target gets any dose"):
        solved(half, range(10))
    with pytest.raises(InputError, match="Less than 95 %"):
        coverage_factor(np.zeros(10), RX)


# --- voxels ------------------------------------------------------------------------------------

SHAPE = (30, 30, 30)
X = np.indices(SHAPE)[0]


def test_rows_are_those_of_their_voxels():
    target, organ, body = X < 3, (X >= 2) & (X < 5), X < 20
    voxels, rows = planning_voxels(target, {"Rectum": organ}, body)
    flat = np.zeros(target.size, bool)
    flat[voxels.flat] = True
    assert (np.diff(voxels.flat) > 0).all()
    assert target.ravel()[voxels.flat[voxels.target]].all()
    assert voxels.target.size == target.sum()  # few: all of them
    of_organ = voxels.flat[rows["Rectum"]]
    assert (organ & ~target).ravel()[of_organ].all() and of_organ.size == (organ & ~target).sum()
    assert body.ravel()[voxels.flat].all()


def test_large_structures_are_sampled_and_always_alike():
    target, body = X < 10, np.ones(SHAPE, bool)  # 9000 and 27000
    one, rows = planning_voxels(target, {"Rectum": X > 20, "None": X > 99}, body)
    two, _ = planning_voxels(target, {"Rectum": X > 20, "None": X > 99}, body)
    np.testing.assert_array_equal(one.flat, two.flat)
    np.testing.assert_array_equal(one.target, two.target)
    assert one.target.size == rows["Rectum"].size == 4000
    assert rows["None"].size == 0
    assert one.flat.size <= 12000
    assert len(np.unique(one.flat[one.target] // 900)) == 10  # from everywhere
