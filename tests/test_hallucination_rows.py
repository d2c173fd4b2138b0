"""What is told of a component: its depth along rays, its contrast, and a row for every metric."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_suite.core.volume import Volume
from qa_suite.metrics.base import Pair
from qa_suite.metrics.hallucination.depth import along_rays
from qa_suite.metrics.hallucination.family import find_components, hallucination
from qa_suite.metrics.run import measure_pair
from qa_suite.metrics.settings import MeasureSettings
from tests.hallucination_cases import COARSE, DEFAULTS, FINE, ball, flat, middle, pair_of, planted

KINDS = ("bone", "air", "lesion", "lesion_near_bone", "bone_lesion")
METRICS = (
    "false_components",
    "missed_components",
    "false_volume",
    "missed_volume",
    "largest_false",
    "largest_missed",
    "false_contrast",
    "missed_contrast",
    "largest_false_contrast",
    "largest_missed_contrast",
    "largest_false_depth",
    "largest_missed_depth",
)
VALUES = ("value_error", "value_depth")


def test_what_the_source_shows_too():
    with_it, without, centre = planted(COARSE, 40, 400, 10)
    shows = (300 + 250 * ball(COARSE, centre, 10)).astype(np.float32)
    for array, seen in ((shows, True), (np.full_like(shows, 300), False)):
        noisy = array + np.random.default_rng(3).normal(0, 30, array.shape)
        source = Volume(array=noisy.astype(np.float32), grid=COARSE, quantity="arbitrary")
        found = find_components(pair_of(COARSE, with_it, without, source=source), DEFAULTS)
        assert found and all(c.seen_in_source is seen for c in found)
    assert find_components(pair_of(COARSE, with_it, without), DEFAULTS)[0].seen_in_source is None


def test_the_contrast_of_a_listed_structure():
    share = ball(COARSE, middle(COARSE), 12)
    reference = flat(COARSE, 40, noise=0) + 50 * (share >= 0.5)
    synthetic = flat(COARSE, 60, noise=0) + 20 * (share >= 0.5)  # a bias is no change of contrast
    tiny = np.zeros(COARSE.shape, dtype=bool)
    tiny[5, 5, 5:8] = True
    structures = {"gtv_1": share >= 0.5, "Bladder": share >= 0.5, "Lesion_2": tiny}
    rows = hallucination(pair_of(COARSE, reference, synthetic, structures=structures), DEFAULTS)
    found = {v.region: v for v in rows if v.metric == "lesion_contrast_change"}
    assert set(found) == {"structure:gtv_1", "structure:Lesion_2"}
    assert found["structure:gtv_1"].value == pytest.approx(-30, abs=1e-4)
    assert found["structure:Lesion_2"].status == "undefined"
    assert "3 voxels" in found["structure:Lesion_2"].why


def test_every_metric_has_a_row_whatever_happens():
    reference = flat(COARSE, 40)
    broken = reference.copy()
    broken[3, 3, 3] = np.nan
    structures = {"GTV": ball(COARSE, middle(COARSE), 12) >= 0.5}
    wanted = {(m, r) for m in METRICS for r in KINDS}
    wanted |= {(m, r) for m in VALUES for r in ("bone", "dense", "air", "metal")}
    wanted |= {("lesion_contrast_change", "structure:GTV"), ("outside_depth", "outside")}
    nothing = np.zeros(COARSE.shape, dtype=bool)
    cases = {
        "not finite": pair_of(COARSE, reference, broken, structures=structures),
        "mask is empty": pair_of(COARSE, reference, reference, nothing, structures=structures),
        "covers nothing": pair_of(
            COARSE, reference, reference, coverage=nothing, structures=structures
        ),
    }
    for why, pair in cases.items():
        rows = hallucination(pair, DEFAULTS)
        assert {(v.metric, v.region) for v in rows} == wanted
        assert {v.status for v in rows} == {"error" if why == "not finite" else "undefined"}
        assert all(why in v.why for v in rows)
    clean = hallucination(pair_of(COARSE, reference, reference, structures=structures), DEFAULTS)
    undefined = ("false_contrast", "missed_contrast", "value_error")
    assert {v.status for v in clean if v.metric in undefined} == {"undefined"}
    counted = [v for v in clean if v.metric in (*METRICS, *VALUES) and v.metric not in undefined]
    assert {v.value for v in counted} == {0}


def test_the_depth_of_a_component_is_what_a_ray_through_it_gains_or_loses():
    """A ball of 24 mm of gas in muscle (1.04 of water's electrons) is 25 mm of water."""
    balls = [  # HU inside, mm of water of a ray through 24 mm of it, less 24 mm of 40 HU
        (-1000.0, 24 * 1.04),
        (400.0, 24 * (1 + 400 / 1950 - 1.04)),
        (800.0, 24 * (1 + 800 / 1950 - 1.04)),
    ]
    for grid in (COARSE, FINE):
        for inside, depth in balls:
            with_it, without, _ = planted(grid, 40, inside, 12)
            for reference, synthetic in ((without, with_it), (with_it, without)):
                found = find_components(pair_of(grid, reference, synthetic), DEFAULTS)
                (one,) = [c for c in found if c.kind == ("air" if inside < 0 else "bone")]
                assert one.depth_mm == pytest.approx(depth, rel=0.15)


@given(axis=st.sampled_from([(1, 0, 2), (2, 1, 0), (0, 2, 1), (2, 0, 1)]), seed=st.integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_a_ray_does_not_know_how_its_voxels_are_stored(axis, seed):
    rng = np.random.default_rng(seed)
    change = rng.normal(size=(5, 4, 6)).astype(np.float32)
    mask = rng.random(change.shape) < 0.7
    spacing = (1.0, 2.0, 3.0)
    turned = along_rays(
        change.transpose(axis), mask.transpose(axis), tuple(spacing[a] for a in axis)
    )
    there = along_rays(change, mask, spacing)
    assert turned == pytest.approx(there, rel=1e-5)
    assert along_rays(change[::-1], mask[::-1], spacing) == pytest.approx(there, rel=1e-5)


def test_a_ray_is_as_long_as_its_diagonal():
    change = np.zeros((4, 4, 4), dtype=np.float32)
    change[range(4), range(4), range(4)] = 0.5
    everywhere = np.ones(change.shape, dtype=bool)
    length = np.linalg.norm((1.0, 2.0, 3.0))
    assert along_rays(change, everywhere, (1.0, 2.0, 3.0)) == pytest.approx(4 * 0.5 * length)
    assert along_rays(-change, everywhere, (1.0, 2.0, 3.0)) == 0


def test_in_a_pet_only_the_contrast_of_delineated_lesions_has_a_meaning():
    lesion = ball(COARSE, middle(COARSE), 18) >= 0.5
    reference = np.where(lesion, 8.0, 2.0).astype(np.float32)
    synthetic = np.where(lesion, 5.0, 2.5).astype(np.float32)
    pair = Pair(
        reference=Volume(array=reference, grid=COARSE, quantity="SUVbw"),
        synthetic=Volume(array=synthetic, grid=COARSE, quantity="SUVbw"),
        mask=np.ones(COARSE.shape, dtype=bool),
        structures={"GTV": lesion},
    )
    rows = measure_pair(
        pair,
        families=["hallucination"],
        settings=MeasureSettings(),
        case="c",
        patient="p",
        site="s",
    ).rows
    (row,) = rows
    assert (row.metric, row.region, row.unit) == (
        "lesion_contrast_change",
        "structure:GTV",
        "SUVbw",
    )
    assert row.value == pytest.approx((5 - 2.5) - (8 - 2))
    components = [v for v in hallucination(pair, DEFAULTS) if v.region == "bone"]
    assert all("known by their HU" in v.why for v in components)
