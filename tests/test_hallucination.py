"""Components that appear or vanish: planted ones, their size, and silence on clean twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_suite.core.volume import Grid, Volume
from qa_suite.lab.phantom import make_patient, oracle_translate
from qa_suite.metrics.base import Pair
from qa_suite.metrics.hallucination.blobs import blobs, digital_balls
from qa_suite.metrics.hallucination.depth import along_rays, reach
from qa_suite.metrics.hallucination.family import find_components, hallucination
from qa_suite.metrics.hallucination.fields import block_mean
from qa_suite.metrics.hallucination.settings import HallucinationSettings
from qa_suite.metrics.run import measure_pair
from qa_suite.metrics.settings import MeasureSettings

DEFAULTS = HallucinationSettings()
COARSE = Grid(shape=(30, 26, 20), spacing_mm=(6.0, 6.0, 6.0), origin_mm=(-80.0, -70.0, -50.0))
FINE = Grid(shape=(90, 80, 40), spacing_mm=(1.5, 1.5, 3.0), origin_mm=(-60.0, -60.0, -60.0))
KINDS = ("bone", "air", "lesion", "bone_lesion")
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


def ball(grid: Grid, centre_mm, radius_mm: float, sub: int = 4) -> np.ndarray:
    """Share of every voxel inside a ball."""
    axes = [
        o + s * ((np.arange(n * sub) + 0.5) / sub - 0.5) - c
        for n, s, o, c in zip(grid.shape, grid.spacing_mm, grid.origin_mm, centre_mm, strict=True)
    ]
    x, y, z = np.ix_(*axes)
    inside = (x**2 + y**2 + z**2 <= radius_mm**2).astype(np.float32)
    ni, nj, nk = grid.shape
    return inside.reshape(ni, sub, nj, sub, nk, sub).mean(axis=(1, 3, 5))


def middle(grid: Grid) -> np.ndarray:
    return grid.to_world((np.array(grid.shape) - 1) / 2)


def flat(grid: Grid, hu: float, seed: int = 0, noise: float = 12.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(hu, noise, grid.shape).astype(np.float32)


def pair_of(grid: Grid, reference, synthetic, mask=None, **more) -> Pair:
    return Pair(
        reference=Volume(array=reference, grid=grid, quantity="HU"),
        synthetic=Volume(array=synthetic, grid=grid, quantity="HU"),
        mask=np.ones(grid.shape, dtype=bool) if mask is None else mask,
        **more,
    )


def planted(grid: Grid, background: float, value: float, radius_mm: float, offset=(0, 0, 0)):
    centre = middle(grid) + np.asarray(offset) * np.asarray(grid.spacing_mm)
    share = ball(grid, centre, radius_mm)
    with_it = flat(grid, background, 1) + share * (value - background)
    return with_it.astype(np.float32), flat(grid, background, 2), centre


def body_with_air(spacing_mm: float = 6.0) -> tuple[Grid, np.ndarray, np.ndarray]:
    """A block of tissue with air around it, all of whose faces touch its own box."""
    grid = Grid(shape=(24, 24, 24), spacing_mm=(spacing_mm,) * 3)
    body = np.zeros(grid.shape, dtype=bool)
    body[3:-3, 3:-3, 3:-3] = True
    return grid, body, np.where(body, flat(grid, 30.0, 3), -1000.0).astype(np.float32)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("layers", [(3, 4), (20, 19), (10, 11)])
def test_a_skin_that_moves_a_little_is_no_lesion_where_the_body_touches_its_box(axis, layers):
    """The outermost voxels take in a seventh of air; the same deeper down is a lesion."""
    grid, body, hu = body_with_air()
    other = hu.copy()
    for layer, change in zip(layers, (-150.0, -50.0), strict=True):
        patch = [slice(10, 14)] * 3
        patch[axis] = slice(layer, layer + 1)
        other[tuple(patch)] += np.float32(change)
    found = find_components(pair_of(grid, hu, other, body), DEFAULTS)
    assert [one.kind for one in found] == (["lesion"] if layers == (10, 11) else [])


def test_a_lesion_at_the_end_of_an_image_that_cuts_the_patient_is_found():
    grid, body, hu = body_with_air()
    hu, body = hu[:, :, 3:-3], body[:, :, 3:-3]
    grid = Grid(shape=hu.shape, spacing_mm=grid.spacing_mm)
    other = hu.copy()
    other[10:13, 10:13, :3] -= 100.0
    found = find_components(pair_of(grid, hu, other, body), DEFAULTS)
    assert [one.kind for one in found] == ["lesion"]


def values_of(pair: Pair, settings=DEFAULTS) -> dict[tuple[str, str], float | None]:
    return {(v.metric, v.region): v.value for v in hallucination(pair, settings)}


PLANTED = [  # kind, HU around, HU inside, radius in mm
    ("bone_lesion", 300.0, 600.0, 7.5),
    ("bone_lesion", 450.0, 150.0, 7.5),
    ("lesion", 40.0, 100.0, 10.0),
    ("lesion", 40.0, -20.0, 10.0),
    ("air", 40.0, -1000.0, 8.95),
    ("bone", 40.0, 400.0, 8.95),
]


@pytest.mark.parametrize("grid", [COARSE, FINE], ids=["6 mm", "1.5x1.5x3 mm"])
@pytest.mark.parametrize(("kind", "around", "inside", "radius"), PLANTED)
def test_a_planted_component_is_found_where_it_is(grid, kind, around, inside, radius):
    volume = 4 / 3 * np.pi * radius**3 / 1000
    for offset in ((0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0, 0.25)):
        with_it, without, centre = planted(grid, around, inside, radius, offset)
        for false, reference, synthetic in ((True, without, with_it), (False, with_it, without)):
            found = find_components(pair_of(grid, reference, synthetic), DEFAULTS)
            (one,) = [c for c in found if c.kind == kind]
            assert one.false == false
            assert np.linalg.norm(np.array(one.position_mm) - centre) < 0.5 * max(grid.spacing_mm)
            assert 0.5 * volume < one.volume_cc < 1.5 * volume
            assert 0.6 < one.contrast_hu / (inside - around) < 1.1


def test_false_and_missed_change_places_with_the_images():
    with_it, without, _ = planted(COARSE, 40, 400, 9)
    forth = values_of(pair_of(COARSE, without, with_it))
    back = values_of(pair_of(COARSE, with_it, without))
    for region in ("bone", "air", "lesion"):
        for metric in ("components", "volume", "contrast"):
            assert forth[f"false_{metric}", region] == back[f"missed_{metric}", region]
    assert forth["false_components", "bone"] == 1 and forth["missed_components", "bone"] == 0
    assert forth["largest_false", "bone"] == forth["false_volume", "bone"] > 0


def test_two_components_are_two():
    share = [
        ball(COARSE, middle(COARSE) + np.array((x, 0, 0)), r) for x, r in ((-30, 10), (30, 14))
    ]
    synthetic = flat(COARSE, 40, 2) + 400 * (share[0] + share[1])
    found = values_of(pair_of(COARSE, flat(COARSE, 40), synthetic.astype(np.float32)))
    assert found["false_components", "bone"] == 2
    assert found["largest_false", "bone"] < found["false_volume", "bone"]


@given(axis=st.integers(0, 2), seed=st.integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_flips_change_nothing(axis, seed):
    offset = np.random.default_rng(seed).uniform(-3, 3, 3)
    with_it, without, _ = planted(COARSE, 40, 110, 10, offset)
    there = values_of(pair_of(COARSE, without, with_it))
    flipped = values_of(pair_of(COARSE, np.flip(without, axis), np.flip(with_it, axis)))
    assert there == {
        key: value if value is None else pytest.approx(value, rel=1e-4)
        for key, value in flipped.items()
    }


def test_identical_images_and_a_bias_have_no_component():
    reference = planted(COARSE, 40, 500, 20)[0]
    for bias in (0.0, 15.0, -60.0, 80.0):
        assert not find_components(pair_of(COARSE, reference, reference + bias), DEFAULTS)


def test_a_sheet_is_no_component_and_a_slab_is():
    reference, sheet = flat(FINE, 40), flat(FINE, 40, 2)
    sheet[:, 40, :] += 300  # 1.5 mm thick
    assert not find_components(pair_of(FINE, reference, sheet), DEFAULTS)
    slab = flat(FINE, 40, 2)
    slab[:, 34:46, :] += 300  # 18 mm
    found = find_components(pair_of(FINE, reference, slab), DEFAULTS)
    assert [(c.kind, c.false) for c in found] == [("bone", True)]  # and no compact lesion


def test_an_edge_that_moves_by_a_millimetre_is_no_component():
    x = np.arange(FINE.shape[0])[:, None, None] * 1.5 - 60.0
    edge = np.broadcast_to(40 + 600 / (1 + np.exp(-x / 1.5)), FINE.shape).astype(np.float32)
    moved = np.broadcast_to(40 + 600 / (1 + np.exp(-(x - 1) / 1.5)), FINE.shape)
    far = np.broadcast_to(40 + 600 / (1 + np.exp(-(x - 12) / 1.5)), FINE.shape)
    assert not find_components(pair_of(FINE, edge, moved.astype(np.float32)), DEFAULTS)
    found = find_components(pair_of(FINE, edge, far.astype(np.float32)), DEFAULTS)
    assert [(c.kind, c.false) for c in found if c.kind == "bone"] == [("bone", False)]


def test_bone_whose_values_are_off_is_matched():
    reference = planted(COARSE, 40, 800, 25)[0]
    synthetic = planted(COARSE, 40, 500, 25)[0]
    found = values_of(pair_of(COARSE, reference, synthetic))
    assert found["missed_components", "bone"] == found["false_components", "bone"] == 0


@pytest.mark.parametrize("grid", [COARSE, FINE])
@pytest.mark.parametrize("drawn", [-1000, -700, -400, -320, 40])
def test_gas_of_a_wrong_value_costs_water_whatever_is_shown_of_it(grid, drawn):
    """Whether it counts as missed or not: a ray through 10 cc meets up to 27 mm of it."""
    share = ball(grid, middle(grid), 13.4)
    reference, synthetic = (
        (1 - share) * flat(grid, 40, seed) + share * value
        for seed, value in ((0, -1000), (1, drawn))
    )
    found = values_of(pair_of(grid, reference.astype("f4"), synthetic.astype("f4")))
    water = 26.8 * (drawn + 1000) / 1000
    assert found["value_depth", "air"] == pytest.approx(0.7 * water, abs=0.5 + 0.2 * water)
    assert found["value_error", "air"] == pytest.approx(drawn + 1000, abs=10 + 0.4 * (drawn + 1000))
    assert found["value_depth", "bone"] == found["value_depth", "metal"] == 0


def test_metal_drawn_as_bone_has_a_wrong_value_and_metal_drawn_right_has_none():
    metal, bone = planted(COARSE, 40, 3000, 15)[0], planted(COARSE, 40, 800, 15)[0]
    wrong, right = (values_of(pair_of(COARSE, metal, s)) for s in (bone, metal))
    assert wrong["missed_components", "bone"] == 0  # something is there
    assert wrong["value_error", "metal"] == pytest.approx(-2200, abs=150)
    assert wrong["value_depth", "metal"] > 20
    assert right["value_depth", "metal"] == right["value_error", "metal"] == 0


def test_a_lesion_is_not_lost_in_a_patch_of_a_smaller_error():
    """12 mm of +300 HU within 60 mm that lie 45 HU too high, as a translator's errors do."""
    _, clean, centre = planted(COARSE, 40, 85, 30)
    patch = clean + 45 * ball(COARSE, centre, 30)
    lesion = (patch + 300 * ball(COARSE, centre, 6)).astype(np.float32)
    plain = flat(COARSE, 40, 1)
    found = [
        values_of(pair_of(COARSE, plain, image.astype(np.float32))) for image in (patch, lesion)
    ]
    assert found[0]["largest_false_contrast", "lesion"] < 50
    assert found[1]["largest_false_contrast", "lesion"] > 90


def test_a_sclerosis_of_a_wrong_value_is_not_lost_in_a_large_bone():
    """30 mm of 1300 HU drawn at 700 HU are 9 mm of water (600/1950 of 30 mm); the bone is right."""
    bone, centre = planted(COARSE, 40, 400, 40)[0], middle(COARSE)
    share = ball(COARSE, centre, 15)
    reference, right, drawn = (
        ((1 - share) * bone + share * hu).astype(np.float32) for hu in (1300, 1300, 700)
    )
    found = values_of(pair_of(COARSE, reference, drawn))
    assert found["value_depth", "dense"] == pytest.approx(0.8 * 9.2, abs=1.0)
    assert found["value_depth", "bone"] < 0.6 * found["value_depth", "dense"]
    assert values_of(pair_of(COARSE, reference, right))["value_depth", "dense"] == 0


def test_outside_the_mask_nothing_is_looked_for():
    mask = np.zeros(COARSE.shape, dtype=bool)
    mask[4:12] = True
    synthetic = flat(COARSE, 40, 2)
    synthetic[14:20, 8:16, 6:14] = 900
    assert not find_components(pair_of(COARSE, flat(COARSE, 40), synthetic, mask), DEFAULTS)
    outside = synthetic.copy()
    outside[20:] = np.nan  # nor does what lies there matter
    assert not find_components(pair_of(COARSE, flat(COARSE, 40), outside, mask), DEFAULTS)


def test_padding_of_the_reference_is_no_missed_anatomy():
    reference, synthetic = flat(COARSE, 40), flat(COARSE, 40, 2)
    reference[..., 10:] = -1000
    coverage = np.zeros(COARSE.shape, dtype=bool)
    coverage[..., :10] = True
    blind = find_components(pair_of(COARSE, reference, synthetic), DEFAULTS)
    assert [c.kind for c in blind] == ["air"]
    told = pair_of(COARSE, reference, synthetic, coverage=coverage)
    assert not find_components(told, DEFAULTS)


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


def test_a_thin_mask_has_no_place_for_a_component():
    mask = np.zeros(COARSE.shape, dtype=bool)
    mask[:, 5, :] = True
    found = values_of(pair_of(COARSE, flat(COARSE, 40), flat(COARSE, 400), mask))
    assert found["false_components", "bone"] == 0


def test_block_means_are_those_of_the_blocks():
    image = np.random.default_rng(0).normal(size=(7, 6, 5)).astype(np.float32)
    means = block_mean(image, (3, 2, 2))
    assert means.shape == (3, 3, 3)
    assert means[1, 2, 0] == pytest.approx(image[3:6, 4:6, 0:2].mean(), abs=1e-6)
    assert means[2, 0, 2] == pytest.approx(image[6, 0:2, 4].sum() / 12, abs=1e-6)


def test_digital_balls_are_as_deep_as_stated():
    three, two = digital_balls(4.0, (6.0, 6.0, 6.0))
    assert three.sum() == 7 and two.shape == (2, 2, 2) and two.all()
    fine, corner = digital_balls(4.0, (1.0, 1.0, 2.0))
    assert fine.shape == (9, 9, 5) and corner.shape == (8, 8, 4)
    bar = np.zeros((20, 20, 20), dtype=bool)
    bar[:, 8:10, 8] = True
    assert not list(blobs(bar, (6.0, 6.0, 6.0), fewest=5, radius_mm=4.0))
    bar[:, 8:10, 9] = True
    assert len(list(blobs(bar, (6.0, 6.0, 6.0), fewest=5, radius_mm=4.0))) == 1


@pytest.mark.parametrize("hospital", ["A", "B"])
def test_clean_twins_of_virtual_patients_are_silent_and_a_removed_lesion_is_not(hospital):
    patient = make_patient(hospital, 3, seed=5, spacing_mm=(6.0, 6.0, 6.0))
    twin = oracle_translate(patient.ct_noise_free, seed=2)
    more = {"source": patient.mr, "structures": {"GTV": patient.structures["GTV"]}}
    clean = Pair(reference=patient.ct, synthetic=twin, mask=patient.body, **more)
    assert not find_components(clean, DEFAULTS)
    bone = np.argwhere(patient.structures["Femur_Head_L"]).mean(axis=0)
    share = ball(patient.grid, patient.grid.to_world(bone), 7.5)
    marked = patient.ct.with_array((patient.ct.array + 300 * share).astype(np.float32))
    found = find_components(
        Pair(reference=marked, synthetic=twin, mask=patient.body, **more), DEFAULTS
    )
    lost = [(c.kind, c.false) for c in found if c.kind != "bone"]
    assert lost == [("bone_lesion", False)]


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


def test_a_gap_between_two_bones_that_a_displacement_fills_is_no_lesion():
    """At 6 mm a shift of 2 mm gives a third of the step to the neighbour, in a gap as beside it."""
    reference = np.full(COARSE.shape, 500, dtype=np.float32)
    reference[15] = 40
    gap = reach(reference, 1.0, 2.0, COARSE.spacing_mm)
    assert gap[15] == pytest.approx(460 / 3)
    assert gap[14].max() == 0
    assert reach(reference, -1.0, 2.0, COARSE.spacing_mm)[14] == pytest.approx(460 / 3)
    assert reach(reference, 1.0, 12.0, COARSE.spacing_mm)[15] == pytest.approx(460)


@pytest.mark.parametrize(("hu", "diameter_mm"), [(340.0, 12.0), (190.0, 16.0), (120.0, 24.0)])
def test_a_lesion_of_soft_tissue_has_more_contrast_than_a_displacement_explains(hu, diameter_mm):
    for offset in ((0, 0, 0), (0.5, 0.5, 0.5)):
        with_it, without, _ = planted(COARSE, 40, hu, diameter_mm / 2, offset)
        lost = values_of(pair_of(COARSE, with_it, without))
        assert 0.25 < lost["largest_missed_contrast", "lesion"] / (hu - 40) < 1
        assert lost["largest_false_contrast", "lesion"] == 0


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
