"""γ: answers known by hand, laws of scaling, and what region and normalisation are counted."""

from dataclasses import replace

import numpy as np
import pytest

from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.gamma import GammaCriterion, GammaSettings, gamma, parse_criteria
from tests.gamma_cases import EXACT, TWO, dose, noisy, one, replace_local, smooth

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
