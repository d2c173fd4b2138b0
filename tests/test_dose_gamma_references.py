"""γ against references: dense sampling, barycentric search, PyMedPhys, matRad."""

from dataclasses import replace

import numpy as np
import pytest

from qa_suite.dose.gamma import GammaCriterion
from tests.gamma_cases import TWO, noisy, one, replace_local, smooth


def sampled(reference, evaluated, criterion, norm_gy, parts):
    """Gamma by looking at every point of a fine lattice: from above, but for its step."""
    from scipy import ndimage

    shape, spacing = reference.array.shape, np.array(reference.grid.spacing_mm)
    axes = [np.linspace(0, n - 1, (n - 1) * parts + 1) for n in shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    field = ndimage.map_coordinates(evaluated.array.astype(float), points.T, order=1)
    values = np.empty(shape)
    for index in np.ndindex(*shape):
        allowed = reference.array[index] if criterion.local else norm_gy
        off = (field - reference.array[index]) / (criterion.dose_pct / 100 * allowed)
        away = ((points - index) * spacing / criterion.distance_mm) ** 2
        values[index] = np.sqrt((off**2 + away.sum(1)).min())
    return values


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("criterion", [(1, 1), (2, 3), (5, 1)])
def test_no_point_of_a_noisy_dose_is_nearer_than_the_one_found(criterion, local):
    a, b = noisy(5), noisy(6)
    wanted = GammaCriterion(dose_pct=criterion[0], distance_mm=criterion[1], local=local)
    found = one(a, b, wanted).values
    samples = sampled(a, b, wanted, float(a.array.max()), parts=8)
    assert (found <= samples + 1e-5).all()
    assert np.mean(samples - found) < 0.03  # and it is a point of the surface: never far below


def barycentric(reference, evaluated, criterion, norm_gy, parts=12):
    """Gamma over the six tetrahedra of every cell by brute force: their points on a fine net."""
    import itertools

    spacing, shape = np.array(reference.grid.spacing_mm), reference.array.shape
    weights = (
        np.array([w for w in itertools.product(range(parts + 1), repeat=4) if sum(w) == parts])
        / parts
    )
    points, doses = [], []
    for cell in np.ndindex(*(n - 1 for n in shape)):
        for order in itertools.permutations(range(3)):
            corners = [np.array(cell)]
            for axis in order:
                corners.append(corners[-1] + np.eye(3, dtype=int)[axis])
            points.append(weights @ np.array(corners))
            doses.append(weights @ np.array([evaluated.array[tuple(c)] for c in corners]))
    points, doses = np.concatenate(points), np.concatenate(doses)
    values = np.empty(shape)
    for index in np.ndindex(*shape):
        off = (doses - reference.array[index]) / (criterion.dose_pct / 100 * norm_gy)
        away = ((points - index) * spacing / criterion.distance_mm) ** 2
        values[index] = np.sqrt((off**2 + away.sum(1)).min())
    return values


def test_simplexes_against_brute_force():
    a, b = noisy(7, (4, 4, 3)), noisy(8, (4, 4, 3))
    found = one(a, b, GammaCriterion(dose_pct=1, distance_mm=1.5), mode="simplex").values
    brute = barycentric(a, b, GammaCriterion(dose_pct=1, distance_mm=1.5), float(a.array.max()))
    assert (found <= brute + 1e-5).all()
    assert np.mean(brute - found) < 0.02
    trilinear = one(a, b, GammaCriterion(dose_pct=1, distance_mm=1.5)).values
    assert np.abs(found - trilinear).max() > 0.01  # another surface in between


def test_the_nearest_point_of_a_tetrahedron_against_least_squares():
    from scipy.optimize import nnls

    from qa_suite.dose.gamma.simplex import nearest_of_tetrahedron

    rng = np.random.default_rng(0)
    for _ in range(200):
        corner = rng.normal(size=(4, 4)) + 0.7 * rng.normal(size=4)
        heavy = 1e4  # holds the sum of the weights at one
        weights, _ = nnls(np.vstack([corner.T, heavy * np.ones(4)]), np.r_[np.zeros(4), heavy])
        expected = np.sum((weights @ corner / weights.sum()) ** 2)
        assert nearest_of_tetrahedron(corner)[0] == pytest.approx(expected, abs=1e-5)


def by_pymedphys(reference, evaluated, dose_pct, distance_mm, **more):
    """The peer, with its axes z, y, x."""
    from pymedphys import gamma as theirs

    def axes(v):
        return tuple(
            v.grid.origin_mm[a] + v.grid.spacing_mm[a] * np.arange(v.array.shape[a])
            for a in (2, 1, 0)
        )

    return theirs(
        axes(reference),
        reference.array.T,
        axes(evaluated),
        evaluated.array.T,
        dose_pct,
        distance_mm,
        **more,
    ).T


@pytest.mark.parametrize(
    ("theirs", "ours", "local"),
    [
        ({}, {}, False),
        ({"local_gamma": True, "lower_percent_dose_cutoff": 10}, {"cutoff_pct": 10}, True),
        ({"max_gamma": 1.3, "interp_fraction": 5}, {"max_gamma": 1.3, "interp_fraction": 5}, False),
        ({"global_normalisation": 50.0}, {"normalisation": 50.0}, False),
    ],
)
def test_the_mode_pymedphys_gives_its_numbers(theirs, ours, local):
    a = smooth()
    b = smooth((12, 11, 9), shift_mm=(0.8, -0.5, 0.4), scale=1.01, spacing_mm=(2.5, 2.2, 3.0))
    centred = [
        replace(v, grid=replace(v.grid, origin_mm=tuple(-x for x in v.grid.centre_mm)))
        for v in (a, b)
    ]
    expected = by_pymedphys(*centred, 2, 2, **theirs)
    result = one(*centred, replace_local(TWO, local), mode="pymedphys", **ours)
    known = np.isfinite(expected)
    np.testing.assert_array_equal(result.judged, known)
    np.testing.assert_allclose(result.values[known], expected[known], atol=1e-6)
    assert result.pass_rate().share_pct == 100 * np.mean(expected[known] <= 1)


def test_steps_of_pymedphys_converge_to_the_exact_search():
    a, b = smooth(), smooth(shift_mm=(0.8, -0.5, 0.4), scale=1.01)
    exact = one(a, b, GammaCriterion(dose_pct=1, distance_mm=1), cutoff_pct=50)
    off = []
    for fraction in (5, 10, 20, 40):
        stepped = one(
            a,
            b,
            GammaCriterion(dose_pct=1, distance_mm=1),
            mode="pymedphys",
            interp_fraction=fraction,
            cutoff_pct=50,
        )
        difference = (stepped.values - exact.values)[exact.judged]
        assert difference.min() > -1e-4
        off.append(difference.mean())
    assert off[0] > 2 * off[1] > 4 * off[2] > 8 * off[3]
    assert off[-1] < 0.01


def by_definition_of_matrad(reference, evaluated, dose_pct, distance_mm):
    """Every voxel of the box of 1.5 distances, zeros outside, without interpolation."""
    a, b = reference.array.astype(float), evaluated.array.astype(float)
    spacing = np.array(reference.grid.spacing_mm)
    reach = np.ceil(1.5 * distance_mm / spacing).astype(int)
    padded = np.pad(b, [(n, n) for n in reach])
    best = np.full(a.shape, np.inf)
    for move in np.ndindex(*(2 * reach + 1)):
        part = padded[tuple(slice(m, m + n) for m, n in zip(move, a.shape, strict=True))]
        away = (((np.array(move) - reach) * spacing / distance_mm) ** 2).sum()
        best = np.minimum(best, ((a - part) / (dose_pct / 100 * a.max())) ** 2 + away)
    counted = (a > dose_pct / 100 * a.max()) | (b > dose_pct / 100 * b.max())
    return np.sqrt(best), counted


def test_the_mode_matrad_is_its_definition():
    a, b = smooth(), smooth(shift_mm=(0.8, -0.5, 0.4), scale=1.01)
    expected, counted = by_definition_of_matrad(a, b, 3, 3)
    result = one(a, b, GammaCriterion(dose_pct=3, distance_mm=3), mode="matrad")
    np.testing.assert_array_equal(result.judged, counted)
    np.testing.assert_allclose(result.values[counted], expected[counted], atol=1e-6)
    assert result.pass_rate().share_pct == pytest.approx(100 * np.mean(expected[counted] < 1))
    assert result.pass_rule == "gamma < 1"


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_matrad_with_more_points_in_between_finds_nearer_ones(interpolation):
    a, b = smooth(), smooth(shift_mm=(0.8, -0.5, 0.4), scale=1.01)
    rates = [
        one(a, b, mode="matrad", matrad_n=n, matrad_interpolation=interpolation).region("all").mean
        for n in (0, 1, 2)
    ]
    assert rates[0] > rates[1] > rates[2]


def test_keys_interpolation_reproduces_a_quadratic():
    from qa_suite.dose.gamma.lattice import _between

    x = np.arange(12.0)[:, None, None] + np.zeros((12, 9, 8))
    moved = _between(x**2, (0.25, 0.5, 0.75), "cubic")
    inner = (slice(2, -2),) * 3
    np.testing.assert_allclose(moved[inner], ((x + 0.25) ** 2)[inner])
