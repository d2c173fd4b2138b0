"""PET measures: spheres whose uptake is known, SUVpeak by hand, and every empty case."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid, Volume
from qa_suite.metrics.base import Pair
from qa_suite.metrics.pet import LESIONS, is_lesion, pet, pet_variants
from qa_suite.metrics.pet.facts import LOST
from qa_suite.metrics.pet.peak import peak, sphere_weights, spheres_in
from qa_suite.metrics.pet.settings import PetSettings
from qa_suite.metrics.pet.uptake import lesion_keys, organ_keys
from qa_suite.metrics.run import measure_pair
from qa_suite.metrics.settings import MeasureSettings

SETTINGS = PetSettings()
SHAPE = (40, 40, 30)
GRID = Grid(shape=SHAPE, spacing_mm=(3.0, 3.0, 4.0))
VOXEL_CC = 3 * 3 * 4 / 1000
CENTRE = np.array([60.0, 60.0, 60.0])


def distance(grid: Grid = GRID, centre=CENTRE) -> np.ndarray:
    index = np.stack(np.indices(grid.shape), axis=-1)
    return np.linalg.norm(grid.to_world(index) - centre, axis=-1)


R = distance()
GTV = R <= 20
LIVER = distance(centre=np.array([30.0, 30.0, 90.0])) <= 18


def suv(array, grid: Grid = GRID) -> Volume:
    return Volume(array=np.asarray(array, dtype=np.float32), grid=grid, quantity="SUVbw")


def measured(reference, synthetic, structures=None, *, mask=None, given=SETTINGS, **more) -> dict:
    pair = Pair(
        reference=suv(reference),
        synthetic=suv(synthetic),
        mask=np.ones(SHAPE, dtype=bool) if mask is None else mask,
        structures={"GTV": GTV} if structures is None else structures,
        **more,
    )
    return {(v.metric, v.region, v.variant): v for v in pet(pair, given)}


def value(rows, metric, region="structure:GTV", variant="default") -> float:
    row = rows[metric, region, variant]
    assert row.status == "ok", row
    return row.value


# --- known answers


def test_a_uniform_sphere():
    image = np.where(GTV, 5.0, 1.0)
    rows = measured(image, image)
    volume = GTV.sum() * VOXEL_CC
    for name in ("suv_mean", "suv_max", "suv_peak"):
        assert value(rows, f"{name}_reference") == pytest.approx(5)
        assert value(rows, f"{name}_difference") == 0
    for variant in ("41pct", "suv4", "suv2.5"):
        assert value(rows, "mtv_synthetic", variant=variant) == pytest.approx(volume)
        assert value(rows, "tlg_synthetic", variant=variant) == pytest.approx(5 * volume)
    assert value(rows, "lesion_to_background_reference") == pytest.approx(5)
    assert value(rows, "suv_mae") == 0
    assert value(rows, LOST) == 0


def test_a_sphere_of_two_levels():
    """Inside 12 mm 10 SUV, outside 4: each threshold takes what lies above it."""
    reference = np.where(R <= 12, 10.0, np.where(GTV, 4.0, 1.0))
    synthetic = np.where(GTV, 4.0, 1.0)  # the core is missing
    rows = measured(reference, synthetic)
    core, whole = ((R <= 12).sum() * VOXEL_CC, GTV.sum() * VOXEL_CC)
    assert value(rows, "mtv_reference", variant="41pct") == pytest.approx(core)  # 4 < 4.1
    assert value(rows, "mtv_synthetic", variant="41pct") == pytest.approx(whole)  # of its own max
    assert value(rows, "mtv_reference", variant="suv4") == pytest.approx(whole)  # 4 is at 4
    assert value(rows, "tlg_reference", variant="41pct") == pytest.approx(10 * core, rel=1e-6)
    assert value(rows, "tlg_difference", variant="suv4") == pytest.approx(-6 * core, rel=1e-5)
    assert value(rows, "suv_peak_reference") == pytest.approx(10)  # a sphere of 6.2 mm fits
    assert value(rows, "suv_peak_difference_pct") == pytest.approx(-60)
    assert value(rows, "suv_max_difference") == pytest.approx(-6)
    mean = (10 * core + 4 * (whole - core)) / whole
    assert value(rows, "suv_mean_reference") == pytest.approx(mean)
    assert value(rows, "suv_mean_difference_pct") == pytest.approx(100 * (4 - mean) / mean)
    assert value(rows, "suv_mae") == pytest.approx(6 * core / whole)
    assert value(rows, "suv_mae_pct") == pytest.approx(100 * 6 * core / whole / mean)


def test_the_peak_of_a_hot_voxel_is_its_share_of_a_cubic_centimetre():
    image = np.zeros(SHAPE)
    image[20, 20, 15] = 50
    rows = measured(image, image)
    assert value(rows, "suv_peak_reference") == pytest.approx(50 * VOXEL_CC / 1.0, rel=0.01)
    assert value(rows, "suv_max_reference") == 50


def test_the_peak_need_not_lie_around_the_hottest_voxel():
    image = np.where(distance(centre=np.array([48.0, 60, 60])) <= 8, 6.0, 0.0)
    image[25, 20, 15] = 9  # hotter, and alone
    rows = measured(image, image)
    assert value(rows, "suv_peak_reference") == pytest.approx(6)
    assert value(rows, "suv_max_reference") == 9


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 2.0, 3.0), (4.0, 4.0, 5.0), (9.0,) * 3])
def test_a_cut_voxel_counts_by_its_share_in_the_sphere(spacing):
    weights = sphere_weights(spacing, 1.0)
    assert weights.sum() == pytest.approx(1)
    assert all(n % 2 for n in weights.shape)
    np.testing.assert_allclose(weights, weights[::-1, ::-1, ::-1], atol=1e-12)
    # a voxel wholly inside has its volume of the sphere's
    if max(spacing) < 5:
        assert weights.max() == pytest.approx(np.prod(spacing) / 1000, rel=0.01)
    # points strewn evenly over the ball fall into each voxel as often as it weighs
    radius = 10 * (3 / (4 * np.pi)) ** (1 / 3)
    points = np.random.default_rng(6).uniform(-radius, radius, (400_000, 3))
    points = points[(points**2).sum(axis=1) <= radius**2]
    halves = np.array(weights.shape) / 2
    edges = [(np.arange(2 * h + 1) - h) * step for h, step in zip(halves, spacing, strict=True)]
    counts = np.histogramdd(points, bins=edges)[0] / len(points)
    np.testing.assert_allclose(weights, counts, atol=0.003)


def test_the_sphere_reaches_beyond_a_small_lesion_and_never_beyond_the_scan():
    lesion = np.zeros(SHAPE, dtype=bool)
    lesion[20, 20, 15] = True
    image = np.full(SHAPE, 2.0)
    everywhere = np.ones(SHAPE, dtype=bool)
    spheres = spheres_in(lesion, everywhere, GRID.spacing_mm, 1.0)
    assert peak(image, spheres) == pytest.approx(2)
    edge = np.zeros(SHAPE, dtype=bool)
    edge[0:6, 20, 15] = True  # 6.2 mm: centres from index 2 on are whole
    spheres = spheres_in(edge, everywhere, GRID.spacing_mm, 1.0)
    image[0:3] = 100
    assert spheres.share == pytest.approx(4 / 6)
    assert peak(image, spheres) < 100  # the hottest positions would leave the image
    edge[2:] = False
    assert "whole in the image" in peak(image, spheres_in(edge, everywhere, (3, 3, 4), 1.0)).why


@settings(max_examples=15, deadline=None)
@given(factor=st.floats(0.2, 5), seed=st.integers(0, 50))
def test_scaling_law(factor, seed):
    rng = np.random.default_rng(seed)
    reference = np.where(GTV, 6.0, 1.0) + rng.uniform(0, 1, SHAPE)
    rows = measured(reference, factor * reference)
    for name in ("suv_mean", "suv_max", "suv_peak"):
        assert value(rows, f"{name}_difference_pct") == pytest.approx(100 * (factor - 1), abs=0.02)
    assert value(rows, "mtv_difference", variant="41pct") == 0
    assert value(rows, "tlg_difference_pct", variant="41pct") == pytest.approx(
        100 * (factor - 1), abs=0.02
    )
    ratios = [value(rows, f"lesion_to_background_{s}") for s in ("reference", "synthetic")]
    assert ratios[1] == pytest.approx(ratios[0], rel=1e-5)


def test_mirrored_images_give_mirrored_numbers():
    rng = np.random.default_rng(4)
    reference, synthetic = (np.where(GTV, 5.0, 1.0) + rng.uniform(0, 2, SHAPE) for _ in range(2))
    plain = measured(reference, synthetic)
    flipped = measured(
        reference[::-1, :, ::-1], synthetic[::-1, :, ::-1], {"GTV": GTV[::-1, :, ::-1]}
    )
    for key, row in plain.items():
        assert flipped[key].value == pytest.approx(row.value, rel=1e-6), key


# --- organs, lesions, and all lesions together


def test_organs_have_bias_and_error_and_margins_have_nothing():
    reference = np.where(LIVER, 2.0, 1.0)
    synthetic = np.where(LIVER, 2.5, 1.0)
    structures = {"Liver": LIVER, "PTV_High": LIVER, "ctv": LIVER}
    rows = measured(reference, synthetic, structures)
    assert {region for _, region, _ in rows} == {"structure:Liver", LESIONS}
    liver = {(m, v) for m, region, v in rows if region == "structure:Liver"}
    assert liver == set(organ_keys())
    assert value(rows, "suv_mean_difference", "structure:Liver") == pytest.approx(0.5)
    assert value(rows, "suv_mean_difference_pct", "structure:Liver") == pytest.approx(25)
    assert value(rows, "suv_mae_pct", "structure:Liver") == pytest.approx(25)


def test_lesions_are_told_by_their_prefix():
    assert is_lesion("GTVp", SETTINGS) and is_lesion("gtv_node_1", SETTINGS)
    assert not is_lesion("IGTV", SETTINGS) and not is_lesion("Liver", SETTINGS)
    assert is_lesion("Lesion1", PetSettings(lesion_prefixes=("GTV", "Lesion")))


def test_all_lesions_together_each_with_its_own_maximum():
    other = LIVER
    reference = np.where(GTV, 10.0, np.where(other, 3.0, 1.0))
    synthetic = np.where(GTV, 10.0, 1.0)  # the second lesion is lost
    rows = measured(reference, synthetic, {"GTVp": GTV, "GTVn": other})
    # 41 % of 10 would leave out the second lesion; it has a maximum of its own
    volume = (GTV.sum() + other.sum()) * VOXEL_CC
    assert value(rows, "mtv_reference", LESIONS, "41pct") == pytest.approx(volume)
    assert value(rows, "mtv_reference", LESIONS, "suv4") == pytest.approx(GTV.sum() * VOXEL_CC)
    assert value(rows, "suv_max_reference", LESIONS) == 10
    assert value(rows, LOST, "structure:GTVn") == 1
    assert value(rows, LOST, "structure:GTVp") == 0
    assert value(rows, LOST, LESIONS) == 1
    assert {(m, v) for m, r, v in rows if r == LESIONS} == set(lesion_keys(SETTINGS))


def test_a_lesion_is_not_the_surroundings_of_its_neighbour():
    other = (R > 20) & (R <= 40) & (np.indices(SHAPE)[0] > 20)
    image = np.where(GTV, 8.0, np.where(other, 8.0, 1.0))
    rows = measured(image, image, {"GTV_1": GTV, "GTV_2": other})
    assert value(rows, "lesion_to_background_reference", "structure:GTV_1") == pytest.approx(8)


def test_a_lesion_that_nobody_sees_cannot_be_lost():
    image = np.full(SHAPE, 2.0)
    rows = measured(image, image)
    row = rows[LOST, "structure:GTV", "default"]
    assert row.status == "undefined" and "does not show it" in row.why


# --- empty cases


def test_a_case_without_lesions_says_so():
    image = np.ones(SHAPE)
    rows = measured(image, image, {"Liver": LIVER})
    lesion = [row for (_, region, _), row in rows.items() if region == LESIONS]
    assert len(lesion) == len(lesion_keys(SETTINGS))
    assert {row.status for row in lesion} == {"undefined"}
    assert {row.why for row in lesion} == {"the case has no structure whose name begins with GTV"}


@pytest.mark.parametrize(
    ("structure", "mask", "why"),
    [
        (np.zeros(SHAPE, dtype=bool), np.ones(SHAPE, dtype=bool), "is empty"),
        (GTV, LIVER, "lies outside the mask"),
        (GTV, np.zeros(SHAPE, dtype=bool), "lies outside the mask"),
    ],
)
def test_a_structure_without_a_voxel_is_undefined(structure, mask, why):
    rows = measured(
        np.ones(SHAPE), np.ones(SHAPE), {"GTV": structure, "Liver": structure}, mask=mask
    )
    assert {row.status for row in rows.values()} == {"undefined"}
    assert all(why in row.why for row in rows.values())


def test_the_share_that_could_be_measured_is_told():
    mask = np.indices(SHAPE)[2] >= 15
    rows = measured(np.where(GTV, 5.0, 1), np.where(GTV, 5.0, 1), mask=mask)
    share = (GTV & mask).sum() / GTV.sum()
    assert rows["suv_mean_reference", "structure:GTV", "default"].coverage == pytest.approx(share)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_voxel_that_is_no_number_is_an_error(wrong):
    image, synthetic = np.where(GTV, 5.0, 1.0), np.where(GTV, 5.0, 1.0)
    synthetic[20, 20, 15] = wrong
    rows = measured(image, synthetic)
    assert {row.status for row in rows.values()} == {"error"}
    assert "1 voxels of structure:GTV are not finite" in rows[LOST, "structure:GTV", "default"].why


def test_a_voxel_around_the_lesion_that_is_no_number_is_an_error_too():
    image, synthetic = np.where(GTV, 5.0, 1.0), np.where(GTV, 5.0, 1.0)
    synthetic[(R > 27) & (R < 30)] = np.nan
    rows = measured(image, synthetic)
    assert rows["lesion_to_background_reference", "structure:GTV", "default"].status == "error"


def test_without_uptake_there_is_no_share_of_it():
    rows = measured(np.zeros(SHAPE), np.ones(SHAPE))
    assert rows["suv_mean_difference_pct", "structure:GTV", "default"].status == "undefined"
    assert rows["mtv_reference", "structure:GTV", "41pct"].status == "undefined"
    assert "SUVmax is 0" in rows["mtv_difference", "structure:GTV", "41pct"].why
    assert value(rows, "mtv_reference", variant="suv4") == 0
    assert value(rows, "suv_mean_difference") == 1
    assert rows["lesion_to_background_reference", "structure:GTV", "default"].status == "undefined"


def test_other_quantities_are_refused_and_left_out():
    ct = Volume(array=np.zeros(SHAPE), grid=GRID, quantity="HU")
    pair = Pair(reference=ct, synthetic=ct, mask=GTV, structures={"GTV": GTV})
    with pytest.raises(InputError, match="the reference is in HU"):
        pet(pair, SETTINGS)
    rows = measure_pair(
        pair, families=None, settings=MeasureSettings(), case="c", patient="p", site="s"
    ).rows
    assert "pet" not in {row.family for row in rows}


# --- settings


def test_the_variants_say_which_threshold_they_are():
    assert pet_variants(SETTINGS) == {
        "41pct": {"mtv_threshold": 41.0, "of": "SUVmax of the image"},
        "suv4": {"mtv_threshold": 4.0, "of": "SUVbw"},
        "suv2.5": {"mtv_threshold": 2.5, "of": "SUVbw"},
    }


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ({"mtv_percent": (0.0,)}, "in percent must differ and lie"),
        ({"mtv_percent": (41.0, 41.0)}, "in percent must differ"),
        ({"mtv_suv": (-1.0,)}, "in SUVbw must differ and be positive"),
        ({"lesion_prefixes": ()}, "at least 1 item"),
        ({"peak_cc": 0.0}, "greater than 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(bad, word):
    with pytest.raises(ValidationError, match=word):
        PetSettings(**bad)
