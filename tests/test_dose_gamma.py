"""Gamma: answers known by hand, laws of scaling, references, and what must not be compared."""

import json
from dataclasses import replace

import numpy as np
import pytest

from qa_suite.cli import run
from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.gamma import GammaCriterion, GammaSettings, gamma, parse_criteria
from qa_suite.io.images import read_image, write_image

EXACT = ("trilinear", "simplex")
TWO = GammaCriterion(dose_pct=2, distance_mm=2)


def dose(array, spacing_mm=(2.0, 2.0, 2.0), **more) -> Volume:
    array = np.asarray(array, dtype=np.float32)
    return Volume(
        array=array, grid=Grid(shape=array.shape, spacing_mm=spacing_mm, **more), quantity="Gy"
    )


def one(reference, evaluated, criterion=TWO, **settings):
    keywords = {k: settings.pop(k) for k in ("prescription_gy", "threads") if k in settings}
    return gamma(reference, evaluated, [criterion], GammaSettings(**settings), **keywords)[0]


def smooth(shape=(14, 13, 12), shift_mm=(0.0, 0.0, 0.0), scale=1.0, spacing_mm=(2.0, 2.0, 2.0)):
    """A field with penumbrae and a hot spot."""
    x, y, z = (
        (np.arange(n) - (n - 1) / 2).reshape([-1 if a == n_ else 1 for a in range(3)]) * s - m
        for n_, (n, s, m) in enumerate(zip(shape, spacing_mm, shift_mm, strict=True))
    )
    edge = lambda t, half: 1 / (1 + np.exp((np.abs(t) - half) / 2.0))  # noqa: E731
    field = 60 * edge(x, 8) * edge(y, 7) * edge(z, 6) + 8 * np.exp(-(x**2 + y**2 + z**2) / 50)
    return dose(scale * field, spacing_mm)


def noisy(seed, shape=(6, 7, 5), spacing_mm=(2.0, 2.5, 3.0)):
    return dose(20 + np.random.default_rng(seed).normal(0, 0.4, shape), spacing_mm)


# --- answers known by hand ---------------------------------------------------------------------


@pytest.mark.parametrize("mode", [*EXACT, "pymedphys", "matrad"])
def test_a_dose_agrees_with_itself(mode):
    result = one(smooth(), smooth(), mode=mode)
    assert np.nanmax(result.values) == 0
    assert result.pass_rate().share_pct == 100


@pytest.mark.parametrize("mode", EXACT)
def test_a_constant_offset_is_its_share_of_the_criterion(mode):
    flat = np.full((5, 6, 7), 50.0)
    result = one(dose(flat), dose(flat + 0.8), mode=mode)
    np.testing.assert_allclose(result.values, 0.8 / (0.02 * 50), rtol=1e-5)


@pytest.mark.parametrize("off", [1.0, -1.0])
def test_an_offset_of_exactly_the_criterion_passes_by_the_stated_tolerance(off):
    flat = np.full((4, 4, 4), 60.1)
    result = one(dose(flat), dose(flat * (1 + 0.02 * off)))
    np.testing.assert_allclose(result.values, 1, atol=1e-5)
    assert result.pass_rate().share_pct == 100
    assert result.pass_rule == "gamma <= 1.0001"
    beyond = one(dose(flat), dose(flat * (1 + 0.0201 * off)))
    assert beyond.pass_rate().share_pct == 0


@pytest.mark.parametrize("mode", EXACT)
@pytest.mark.parametrize("offset_gy", [0.7, -1.3])
@pytest.mark.parametrize("gradient", [(1.0, 0.0, 0.0), (0.4, -0.5, 0.3)])
def test_a_ramp_has_the_distance_of_a_point_from_a_plane(mode, offset_gy, gradient):
    """gamma = |e| / sqrt(dose² + |grad|² distance²); a shift of a ramp is such an offset."""
    shape, spacing = (15, 15, 15), (2.0, 1.5, 2.5)
    index = np.indices(shape).astype(float)
    ramp = 60 + sum(g * s * (i - 7) for g, s, i in zip(gradient, spacing, index, strict=True))
    criterion = GammaCriterion(dose_pct=3, distance_mm=2.5)
    settings = {"mode": mode, "normalisation": 50.0}
    result = one(dose(ramp, spacing), dose(ramp + offset_gy, spacing), criterion, **settings)
    steep = np.sum(np.square(gradient))
    expected = abs(offset_gy) / np.sqrt(1.5**2 + steep * 2.5**2)
    inner = (slice(5, -5),) * 3
    np.testing.assert_allclose(result.values[inner], expected, rtol=2e-5)


def test_at_the_edge_the_ramp_can_only_be_followed_inwards():
    """At the cold end of a ramp that is too hot no colder dose is left: only the offset counts."""
    ramp = np.broadcast_to(30 + np.arange(9.0)[:, None, None], (9, 4, 4))
    values = one(dose(ramp), dose(ramp + 1), normalisation=50.0).values
    np.testing.assert_allclose(values[0], 1.0, rtol=1e-5)
    np.testing.assert_allclose(values[4], 1 / np.sqrt(1 + 0.25 * 4), rtol=1e-5)


def test_a_flat_grid_is_two_dimensional():
    ramp = np.broadcast_to(30 + np.arange(9.0)[:, None, None], (9, 8, 1))
    for mode in EXACT:
        values = one(dose(ramp), dose(ramp + 1), normalisation=50.0, mode=mode).values
        np.testing.assert_allclose(values[4], 1 / np.sqrt(2), rtol=1e-5)


# --- laws --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", EXACT)
def test_units_do_not_matter(mode):
    a, b = smooth(), smooth(shift_mm=(0.8, -0.5, 0.4), scale=1.01)
    small = one(a, b, mode=mode).values
    more = one(a.with_array(a.array * 1.7), b.with_array(b.array * 1.7), mode=mode).values
    np.testing.assert_allclose(more, small, atol=2e-5)
    wide = [dose(v.array, (6.0, 6.0, 6.0)) for v in (a, b)]
    same = one(*wide, GammaCriterion(dose_pct=2, distance_mm=6), mode=mode).values
    np.testing.assert_allclose(same, small, atol=2e-5)


def test_the_trilinear_search_knows_no_direction():
    a, b = smooth(), smooth(shift_mm=(0.8, -0.5, 0.4), scale=1.01)
    values = one(a, b).values
    for axis in range(3):
        turned = one(*(v.with_array(np.flip(v.array, axis).copy()) for v in (a, b))).values
        np.testing.assert_allclose(np.flip(turned, axis), values, atol=3e-5)
    swapped = [dose(v.array.transpose(2, 0, 1)) for v in (a, b)]
    np.testing.assert_allclose(one(*swapped).values.transpose(1, 2, 0), values, atol=3e-5)


def test_a_wider_criterion_never_gives_a_higher_gamma():
    a, b = noisy(1), noisy(2)
    criteria = parse_criteria("1/1,1/2,2/2,3/3,3/1")
    by_key = {r.criterion.key: r.values for r in gamma(a, b, criteria)}
    assert (by_key["1pct2mm"] <= by_key["1pct1mm"] + 1e-5).all()
    assert (by_key["2pct2mm"] <= by_key["1pct2mm"] + 1e-5).all()
    assert (by_key["3pct1mm"] <= by_key["1pct1mm"] + 1e-5).all()
    # Criteria of one ratio share the nearest point; their gammas differ by the unit only.
    np.testing.assert_allclose(by_key["3pct3mm"] * 3, by_key["1pct1mm"], rtol=1e-5)


@pytest.mark.parametrize("mode", EXACT)
def test_several_criteria_at_once_are_what_each_is_alone(mode):
    a, b = smooth(), smooth(shift_mm=(0.8, -0.5, 0.4), scale=1.01)
    criteria = (*parse_criteria("3/3,2/2,1/1,2/3"), *parse_criteria("2/2,3/1", local=True))
    for together in gamma(a, b, criteria, GammaSettings(mode=mode)):
        alone = one(a, b, together.criterion, mode=mode)
        np.testing.assert_allclose(together.values, alone.values, atol=3e-5)


def test_a_cap_ends_the_search_and_changes_nothing_below_it():
    a, b = noisy(3), noisy(4)
    free = one(a, b, GammaCriterion(dose_pct=1, distance_mm=0.5))
    capped = one(a, b, GammaCriterion(dose_pct=1, distance_mm=0.5), max_gamma=1.5)
    assert np.nanmax(free.values) > 1.5
    np.testing.assert_allclose(capped.values, np.minimum(free.values, 1.5), atol=1e-5)
    said = capped.region("all")
    assert said.capped == int((free.values >= 1.5).sum()) > 0
    assert said.max == 1.5


def test_far_from_everything_gamma_is_still_found():
    """The evaluated dose is right only 30 mm away: the search must go there, and no further."""
    array = np.zeros((40, 6, 6))
    array[30:] = 50
    result = one(dose(np.full((40, 6, 6), 50.0)), dose(array))
    # Between voxels 29 and 30 the dose climbs from 0 to 50 over 2 mm.
    steps = (29 - np.arange(29)) * 2.0
    slope = 25.0
    expected = []
    for away in steps:
        t = np.linspace(0, 2, 20001)
        expected.append(np.sqrt(((slope * t - 50) / 1.0) ** 2 + ((away + t) / 2) ** 2).min())
    np.testing.assert_allclose(result.values[:29, 3, 3], expected, rtol=1e-4)


@pytest.mark.parametrize("mode", [*EXACT, "pymedphys"])
def test_threads_do_not_matter(mode):
    a, b = smooth((30, 25, 24)), smooth((30, 25, 24), shift_mm=(0.5, 0.5, 0), scale=1.02)
    first, second = (one(a, b, mode=mode, threads=n).values for n in (1, 3))
    np.testing.assert_array_equal(first, second)


# --- references --------------------------------------------------------------------------------


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


def replace_local(criterion, local):
    return criterion.model_copy(update={"local": local})


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


# --- regions, coverage, normalisation ----------------------------------------------------------


def test_the_cutoff_and_the_regions_are_counted():
    a, b = smooth(), smooth(scale=1.03)
    result = one(a, b, cutoff_pct=50)
    above = a.array >= 0.5 * a.array.max()
    np.testing.assert_array_equal(result.judged, above)
    assert np.isnan(result.values[~above]).all()
    mask = np.zeros(a.array.shape, dtype=bool)
    mask[6:8] = True
    rate = result.pass_rate(mask)
    assert rate.judged == rate.above_cutoff == int((above & mask).sum())
    assert rate.coverage == 1
    assert rate.share_pct == 100 * rate.passed / rate.judged
    assert result.cutoff_gy == pytest.approx(0.5 * a.array.max())
    summary = result.summary({"slab": mask, "nothing": np.zeros_like(mask)})
    assert [region.region for region in summary.regions] == ["all", "slab", "nothing"]
    assert summary.regions[2].pass_pct is None
    assert summary.regions[2].why == "the region is empty"


def test_normalisation_and_cutoff_of_the_prescription():
    a, b = smooth(), smooth(scale=1.05)
    by_max = one(a, b)
    by_dose = one(a, b, normalisation=2 * float(a.array.max()))
    inside = by_max.values > 0.2
    assert inside.any()
    assert (by_dose.values[inside] < by_max.values[inside]).all()
    prescribed = one(
        a, b, normalisation="prescription", cutoff_of="prescription", prescription_gy=50.0
    )
    assert prescribed.normalisation_gy == 50
    assert prescribed.cutoff_gy == pytest.approx(5)
    assert prescribed.cutoff_rule == "prescription"
    np.testing.assert_array_equal(prescribed.above_cutoff, a.array >= 5)
    local = one(a, b, replace_local(TWO, True))
    assert local.normalisation_gy is None
    flat = np.full((4, 4, 4), 30.0)
    flat[:2] = 60
    values = one(dose(flat), dose(flat * 1.01), replace_local(TWO, True)).values
    np.testing.assert_allclose(values[0], 0.5, rtol=1e-5)
    np.testing.assert_allclose(values[3], 0.5, rtol=1e-5)


def test_where_everything_is_below_the_cutoff_nothing_is_said():
    a = smooth()
    result = one(a, a, cutoff_of="prescription", prescription_gy=2000.0)
    rate = result.pass_rate()
    assert rate.share_pct is None
    assert rate.coverage is None
    assert "cut-off of 200 Gy" in rate.why
    assert not result.passes.any()
    assert result.summary().regions[0].pass_pct is None


def test_what_the_evaluated_grid_does_not_cover_is_not_judged():
    a = smooth()
    half = Volume(array=a.array[:7].copy(), grid=replace(a.grid, shape=(7, 13, 12)), quantity="Gy")
    result = one(a, half)
    above = a.array >= 0.1 * a.array.max()
    assert not result.judged[7:].any()
    rate = result.pass_rate()
    assert rate.share_pct == 100
    assert rate.judged == above[:7].sum()
    assert rate.above_cutoff == above.sum()
    assert rate.coverage == pytest.approx(above[:7].sum() / above.sum())
    outside = np.zeros(a.array.shape, dtype=bool)
    outside[9:] = True
    nothing = result.pass_rate(outside)
    assert nothing.share_pct is None
    assert nothing.coverage == 0
    assert "none of" in nothing.why


def test_other_grids_and_turned_ones_give_the_same_for_a_linear_dose():
    """A linear dose is the same between the voxels of any grid."""

    def linear(grid):
        world = grid.to_world(np.stack(np.indices(grid.shape), -1))
        return Volume(
            array=(40 + world @ [0.3, -0.2, 0.4]).astype(np.float32), grid=grid, quantity="Gy"
        )

    fine = Grid(shape=(12, 12, 12), spacing_mm=(2, 2, 2), origin_mm=(-11, -11, -11))
    c, s = np.cos(0.3), np.sin(0.3)
    turned = Grid(
        shape=(40, 40, 40),
        spacing_mm=(1.7, 2.1, 1.3),
        origin_mm=(-28, -40, -26),
        direction=(c, -s, 0, s, c, 0, 0, 0, 1),
    )
    flipped = Grid(
        shape=(30, 30, 30),
        spacing_mm=(1.5, 2, 2.5),
        origin_mm=(22, -30, -35),
        direction=(-1, 0, 0, 0, 1, 0, 0, 0, 1),
    )
    a = linear(fine)
    for grid in (turned, flipped):
        b = linear(grid)
        for mode in EXACT:
            result = one(a, b.with_array(b.array + 0.5), normalisation=50.0, mode=mode)
            inside = result.values[4:8, 4:8, 4:8]
            np.testing.assert_allclose(inside, 0.5 / np.sqrt(1 + 0.29 * 4), rtol=1e-4)


# --- what must not be compared -----------------------------------------------------------------


def broken(how):
    a, b = smooth(), smooth(scale=1.01)
    spoilt = b.array.copy()
    if how == "nan":
        spoilt[3, 3, 3] = np.nan
        return a, b.with_array(spoilt)
    if how == "nan in the reference":
        spoilt[3, 3, 3] = np.inf
        return a.with_array(spoilt), b
    if how == "cGy":
        return a, b.with_array(b.array * 100)
    if how == "HU":
        return a, replace(b, quantity="HU")
    if how == "no dose":
        return a.with_array(np.zeros_like(a.array)), b
    if how == "apart":
        return a, replace(b, grid=replace(b.grid, origin_mm=(500.0, 0, 0)))
    frames = ["1.2.3", "1.2.4"]
    return tuple(
        replace(v, grid=replace(v.grid, frame_of_reference=f))
        for v, f in zip((a, b), frames, strict=True)
    )


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("nan", InputError, "1 voxels that are NaN"),
        ("nan in the reference", InputError, "The reference dose has 1 voxels"),
        ("cGy", InputError, "looks like cGy"),
        ("HU", InputError, "holds HU"),
        ("no dose", InputError, "no voxel above 0 Gy"),
        ("apart", GeometryError, "do not overlap"),
        ("frames", GeometryError, "different frames of reference"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(how, kind, words):
    with pytest.raises(kind, match=words):
        one(*broken(how))


def test_a_scale_of_a_hundred_can_be_meant():
    a, b = broken("cGy")
    assert one(a, b, any_scale=True).pass_rate().share_pct == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"normalisation": "prescription"}, "no prescription is given"),
        ({"cutoff_of": "prescription", "prescription_gy": -3.0}, "must be above 0"),
        ({"threads": 0}, "at least one thread"),
    ],
)
def test_what_cannot_be_asked_for_is_one_sentence(settings, words):
    with pytest.raises(InputError, match=words):
        one(smooth(), smooth(), **settings)


def test_conventions_say_what_they_cannot_do():
    a = smooth()
    other = replace(a, grid=replace(a.grid, origin_mm=(1.0, 0, 0)))
    with pytest.raises(GeometryError, match="one grid"):
        one(a, other, mode="matrad")
    turned = replace(a, grid=replace(a.grid, direction=(0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1)))
    with pytest.raises(GeometryError, match="parallel axes"):
        one(a, turned, mode="pymedphys")
    with pytest.raises(InputError, match="cut-off above 0"):
        one(a, a, replace_local(TWO, True), cutoff_pct=0)
    with pytest.raises(GeometryError, match="bool array"):
        one(a, a).pass_rate(np.ones((2, 2, 2), dtype=bool))


@pytest.mark.parametrize("text", ["3/x", "3", "0/2", "2/-1", "2/2,2/2", "", "nan/2"])
def test_bad_criteria_are_one_sentence(text):
    with pytest.raises(InputError):
        parse_criteria(text)


# --- the command -------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    a, b = smooth(), smooth(shift_mm=(0.8, -0.5, 0.4), scale=1.02)
    paths = [tmp_path / "reference.nii.gz", tmp_path / "evaluated.mha", tmp_path / "organs.nii.gz"]
    write_image(a, paths[0])
    write_image(b, paths[1])
    labels = (a.array > 20).astype(np.int32) + (a.array > 40)
    write_image(replace(a, array=labels, quantity="label"), paths[2])
    return paths


def test_the_command_states_what_it_did(files, tmp_path, capsys):
    reference, evaluated, organs = map(str, files)
    out = tmp_path / "map.nii.gz"
    assert (
        run(
            [
                "gamma",
                reference,
                evaluated,
                "--criteria",
                "3/3,2/2",
                "--cutoff-pct",
                "15",
                "--normalisation",
                "prescription",
                "--prescription-gy",
                "60",
                "--cutoff-of",
                "max",
                "--structures",
                organs,
                "--out",
                str(out),
                "--json",
            ]
        )
        == 0
    )
    said = json.loads(capsys.readouterr().out)
    first = said["results"][0]
    assert first["key"] == "3pct3mm"
    assert first["normalisation_gy"] == 60
    assert first["normalisation_rule"] == "prescription"
    assert first["cutoff_pct"] == 15
    assert first["cutoff_rule"] == "maximum of the reference dose"
    assert first["pass_rule"] == "gamma <= 1.0001"
    assert [region["region"] for region in first["regions"]] == ["all", "organs:1", "organs:2"]
    for region in first["regions"]:
        assert region["judged"] == region["above_cutoff"] > 0
        assert region["pass_pct"] == pytest.approx(100 * region["passed"] / region["judged"])
    assert said["maps"] == [str(tmp_path / f"map.{key}.nii.gz") for key in ("3pct3mm", "2pct2mm")]
    written = read_image(tmp_path / "map.2pct2mm.nii.gz", "arbitrary").array
    judged = written >= 0
    assert (written[~judged] == -1).all()
    assert judged.sum() == first["regions"][0]["judged"]
    assert 100 * np.mean(written[judged] <= 1.0001) == pytest.approx(
        said["results"][1]["regions"][0]["pass_pct"]
    )


def test_the_command_speaks_to_people(files, capsys):
    reference, evaluated, _ = map(str, files)
    assert run(["gamma", reference, evaluated, "--local", "--dose-pct", "3"]) == 0
    text = capsys.readouterr().out
    assert "3 %/2 mm, local" in text
    assert "reference dose of each voxel" in text
    assert (
        run(
            [
                "gamma",
                reference,
                evaluated,
                "--cutoff-of",
                "prescription",
                "--prescription-gy",
                "5000",
            ]
        )
        == 3
    )
    assert "undefined: no dose above" in capsys.readouterr().out


def test_a_mask_on_another_grid_is_brought_to_the_dose_and_said(files, tmp_path, capsys):
    reference, evaluated, _ = map(str, files)
    mask = Volume(
        array=np.ones((10, 10, 10), dtype=np.int32),
        grid=Grid(shape=(10, 10, 10), spacing_mm=(1, 1, 1), origin_mm=(8, 8, 8)),
        quantity="label",
    )
    write_image(mask, tmp_path / "ptv.nii.gz")
    assert (
        run(["gamma", reference, evaluated, "--structures", str(tmp_path / "ptv.nii.gz"), "--json"])
        == 0
    )
    said = json.loads(capsys.readouterr().out)
    assert "resampled nearest" in said["notes"][0]
    assert said["results"][0]["regions"][1]["region"] == "ptv"
    assert 60 <= said["results"][0]["regions"][1]["above_cutoff"] <= 125


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--criteria", "3/x"], "percent/mm"),
        (["--mode", "guess"], "mode"),
        (["--normalisation", "mean"], "neither 'max' nor 'prescription'"),
        (["--normalisation", "prescription"], "no prescription is given"),
        (["--cutoff-of", "mean"], "cutoff_of"),
        (["--max-gamma", "0.5"], "max_gamma"),
        (["--mode", "matrad", "--normalisation", "60"], "matRad"),
        (["--structures", "nowhere.nii.gz"], "no image at"),
        (["--dose-unit", "mGy"], "Gy"),
    ],
)
def test_bad_input_of_the_command_is_one_sentence(files, capsys, more, words):
    reference, evaluated, _ = map(str, files)
    assert run(["gamma", reference, evaluated, *more]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert error[0].startswith("qa-suite: ")
    assert words in error[0]


def test_a_dose_in_cgy_is_found_out_and_can_be_said(files, tmp_path, capsys):
    reference = str(files[0])
    a = read_image(files[0], "Gy")
    write_image(a.with_array(a.array * 100), tmp_path / "cgy.nii.gz")
    assert run(["gamma", reference, str(tmp_path / "cgy.nii.gz")]) == 2
    assert "cGy" in capsys.readouterr().err
