"""The dose grid and what lies on it: matter is kept, bodies are their own, causes add up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.hlut.tables import Hlut
from qa_suite.dose.plan.template import PlanTemplate
from qa_suite.dose.scene.gridding import (
    BEYOND_TARGET_MM,
    averaged_onto,
    centre_of,
    dose_grid,
    mask_onto,
    require_overlap,
)
from qa_suite.dose.scene.scene import (
    AIR_DENSITY,
    BULK_HU,
    CAUSES,
    DoseImage,
    DoseScene,
    bulk_image,
    cause_masks,
    dose_scene,
    with_cause,
)

GRID = Grid(shape=(40, 36, 24), spacing_mm=(2.0, 2.0, 3.0), origin_mm=(-39.0, -35.0, -34.5))
HLUT = Hlut(
    name="line",
    quantity="relative_electron_density",
    points=((-1000, 0), (1000, 2)),
    source="A test: 1 + HU/1000.",
)


def turned(grid: Grid, degrees: float) -> Grid:
    """The grid turned about z around its middle."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    out = replace(grid, direction=(c, -s, 0, s, c, 0, 0, 0, 1))
    away = np.array(grid.centre_mm) - out.centre_mm
    return replace(out, origin_mm=tuple(np.array(out.origin_mm) + away))


def middle(grid: Grid) -> np.ndarray:
    """Values with a border of nothing, so that no matter leaves a grid that covers the middle."""
    rng = np.random.default_rng(1)
    out = np.zeros(grid.shape, np.float32)
    inner = slice(9, -9), slice(9, -9), slice(6, -6)
    out[inner] = rng.uniform(0.5, 2.0, out[inner].shape)
    return out


def mass(array: np.ndarray, grid: Grid) -> float:
    return float(array.sum(dtype=float)) * grid.voxel_volume_cc


PARALLEL = {
    "the same": GRID,
    "finer": Grid(shape=(110, 100, 110), spacing_mm=(0.7, 0.7, 0.7), origin_mm=(-38, -35, -38)),
    "coarser": Grid(shape=(17, 16, 16), spacing_mm=(5, 5, 5), origin_mm=(-40, -37.5, -37.5)),
    "much coarser": Grid(shape=(7, 7, 8), spacing_mm=(12, 12, 10), origin_mm=(-36, -36, -35)),
    "shifted": replace(GRID, origin_mm=(-38.1, -35.9, -33.3)),
    "other voxels": Grid(shape=(30, 50, 20), spacing_mm=(2.7, 1.5, 3.9), origin_mm=(-39, -37, -37)),
}


@pytest.mark.parametrize("name", PARALLEL)
def test_no_matter_is_lost_or_made_between_parallel_grids(name):
    values, target = middle(GRID), PARALLEL[name]
    out = averaged_onto(values, GRID, target)
    assert out.dtype == np.float32 and out.shape == target.shape
    assert mass(out, target) == pytest.approx(mass(values, GRID), rel=1e-5)
    moments = [
        np.einsum("ijk,ijkn->n", a.astype(float), g.to_world(np.stack(np.indices(g.shape), -1)))
        * g.voxel_volume_cc
        for a, g in ((values, GRID), (out, target))
    ]
    np.testing.assert_allclose(moments[1], moments[0], rtol=1e-3, atol=0.05 * mass(values, GRID))


def test_a_grid_onto_itself_changes_nothing():
    values = middle(GRID)
    np.testing.assert_allclose(averaged_onto(values, GRID, GRID), values, rtol=1e-6)
    mask = values > 1
    assert (mask_onto(mask, GRID, GRID) == mask).all()


def test_shares_of_overlapping_boxes_by_hand():
    fine = Grid(shape=(4, 1, 1), spacing_mm=(1.0, 1.0, 1.0))
    coarse = Grid(shape=(2, 1, 1), spacing_mm=(1.5, 1.0, 1.0), origin_mm=(0.25, 0.0, 0.0))
    values = np.array([1.0, 2.0, 4.0, 8.0]).reshape(4, 1, 1)
    # boxes -0.5 to 1.0 and 1.0 to 2.5
    expected = [(1 + 0.5 * 2) / 1.5, (0.5 * 2 + 4) / 1.5]
    np.testing.assert_allclose(averaged_onto(values, fine, coarse).ravel(), expected, rtol=1e-6)
    beyond = replace(coarse, origin_mm=(3.25, 0.0, 0.0))  # 2.5 to 4.0: half a millimetre of nothing
    np.testing.assert_allclose(averaged_onto(values, fine, beyond)[0], 8 / 1.5, rtol=1e-6)


AXES = {
    "RAS": (-1, 0, 0, 0, -1, 0, 0, 0, 1),
    "feet first": (1, 0, 0, 0, 1, 0, 0, 0, -1),
    "coronal": (1, 0, 0, 0, 0, 1, 0, -1, 0),
    "sagittal": (0, 0, -1, 1, 0, 0, 0, -1, 0),
}


@pytest.mark.parametrize("name", AXES)
def test_axes_in_another_order_or_sense_are_parallel_too(name):
    """The same image stored differently gives the same values, exactly."""
    stored = Grid(shape=(30, 28, 26), spacing_mm=(2.0, 2.5, 3.0), direction=AXES[name])
    away = np.array(GRID.centre_mm) - stored.centre_mm
    stored = replace(stored, origin_mm=tuple(away))
    values = middle(stored)
    # what it is in LPS, by each voxel's own place
    lps = [0, 0, 0]
    spacing = np.abs(stored.axes) @ stored.spacing_mm
    low = stored.corners_mm().min(axis=0)
    for axis in range(3):
        lps[axis] = stored.shape[int(np.abs(stored.axes[axis]).argmax())]
    axial = Grid(shape=tuple(lps), spacing_mm=tuple(spacing), origin_mm=tuple(low))
    moved = np.zeros(axial.shape, np.float32)
    places = axial.to_index(stored.to_world(np.stack(np.indices(stored.shape), -1)))
    i, j, k = np.moveaxis(np.rint(places).astype(int), -1, 0)
    moved[i, j, k] = values
    target = PARALLEL["coarser"]
    out = averaged_onto(values, stored, target)
    np.testing.assert_allclose(out, averaged_onto(moved, axial, target), atol=1e-6)
    assert mass(out, target) == pytest.approx(mass(values, stored), rel=1e-5)


@pytest.mark.parametrize("degrees", [3.0, 20.0, 45.0])
@pytest.mark.parametrize("name", ["coarser", "much coarser", "shifted"])
def test_hardly_any_matter_is_lost_onto_an_oblique_grid(degrees, name):
    """Smooth values: interpolated samples, a sum to half a percent, a constant exactly."""
    from scipy.ndimage import gaussian_filter

    stored = turned(GRID, degrees)
    values = gaussian_filter(middle(stored), 1.5)
    target = PARALLEL[name]
    out = averaged_onto(values, stored, target)
    assert mass(out, target) == pytest.approx(mass(values, stored), rel=0.005)
    inside = Grid(shape=(3, 3, 3), spacing_mm=(6.0, 6.0, 6.0), origin_mm=(-6.0, -6.0, -6.0))
    even = averaged_onto(np.ones(stored.shape, np.float32), stored, inside)
    np.testing.assert_allclose(even, 1.0, rtol=1e-5)


def test_beyond_an_oblique_image_there_is_nothing():
    stored = turned(GRID, 30.0)
    far = Grid(shape=(3, 3, 3), spacing_mm=(3.0, 3.0, 3.0), origin_mm=(200.0, 0.0, 0.0))
    assert (averaged_onto(np.ones(stored.shape), stored, far) == 0).all()


def test_a_mask_keeps_its_volume_and_its_place():
    world = GRID.to_world(np.stack(np.indices(GRID.shape), -1))
    ball = np.linalg.norm(world - np.array([5.0, -3.0, 2.0]), axis=-1) <= 22
    for stored in (GRID, turned(GRID, 10.0)):
        world = stored.to_world(np.stack(np.indices(stored.shape), -1))
        ball = np.linalg.norm(world - np.array([5.0, -3.0, 2.0]), axis=-1) <= 22
        target = PARALLEL["coarser"]
        found = mask_onto(ball, stored, target)
        assert found.dtype == np.bool_
        volume = found.sum() * target.voxel_volume_cc
        assert volume == pytest.approx(4 / 3 * np.pi * 2.2**3, rel=0.03)
        np.testing.assert_allclose(centre_of(found, target), (5.0, -3.0, 2.0), atol=0.5)
        np.testing.assert_allclose(centre_of(ball, stored), (5.0, -3.0, 2.0), atol=0.3)


# --- the dose grid -----------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", [2.5, 4.0, 7.0])
@pytest.mark.parametrize("degrees", [0.0, 15.0])
def test_the_dose_grid_covers_the_body(spacing, degrees):
    long = turned(replace(GRID, shape=(40, 36, 120), origin_mm=(-39.0, -35.0, -200.0)), degrees)
    body, target = np.zeros(long.shape, bool), np.zeros(long.shape, bool)
    body[5:-4, 6:-9] = True
    target[18:22, 16:20, 55:65] = True
    grid = dose_grid(body, target, long, spacing)
    assert grid.spacing_mm == (spacing,) * 3
    np.testing.assert_array_equal(grid.axes, np.eye(3))
    low, high = (np.array(grid.to_world(e)) for e in ([-0.5] * 3, np.array(grid.shape) - 0.5))
    places = long.to_world(np.argwhere(body))
    assert (places[:, :2].min(axis=0) > low[:2] + 8).all()
    assert (places[:, :2].max(axis=0) < high[:2] - 8).all()
    heights = long.to_world(np.argwhere(target))[:, 2]
    for edge, reach in (
        (low[2], heights.min() - 1.5 - BEYOND_TARGET_MM),
        (high[2], heights.max() + 1.5 + BEYOND_TARGET_MM),
    ):
        assert edge == pytest.approx(reach, abs=spacing)


def test_the_dose_grid_ends_where_the_image_does():
    body = np.zeros(GRID.shape, bool)
    body[5:-5, 5:-5] = True
    target = body & (np.indices(GRID.shape)[2] > 18)
    grid = dose_grid(body, target, GRID, 3.0)
    assert grid.shape[2] == 24 and grid.origin_mm[2] == pytest.approx(GRID.origin_mm[2])
    for empty in ((np.zeros_like(body), target), (body, np.zeros_like(body))):
        with pytest.raises(InputError, match=r"There is no (body|target) to compute dose in"):
            dose_grid(*empty, GRID, 3.0)


def test_grids_that_have_nothing_in_common_are_refused():
    away = replace(GRID, origin_mm=(500.0, 0.0, 0.0))
    with pytest.raises(GeometryError, match=r"^The dose .* and the images .* do not overlap\.$"):
        require_overlap(away, GRID, "The dose", "the images")
    one, two = replace(GRID, frame_of_reference="1.2"), replace(GRID, frame_of_reference="1.3")
    with pytest.raises(GeometryError, match="different frames of reference"):
        require_overlap(one, two, "The dose", "the images")
    require_overlap(PARALLEL["coarser"], GRID, "The dose", "the images")


# --- the scene ---------------------------------------------------------------------------------

SHAPE = (44, 40, 24)
SCENE_GRID = Grid(shape=SHAPE, spacing_mm=(4.0, 4.0, 4.0), origin_mm=(-86.0, -78.0, -46.0))
X, Y, Z = np.moveaxis(SCENE_GRID.to_world(np.stack(np.indices(SHAPE), -1)), -1, 0)
TEMPLATE = PlanTemplate.model_validate(
    {
        "name": "test",
        "modality": "photons",
        "anatomy": "box",
        "engine": "photons-pydosert",
        "machine": "varian_10MV",
        "technique": "conformal",
        "beams": [{"gantry_deg": 0}],
        "prescription": {"dose_gy": 60, "fractions": 30},
        "targets": [{"structures": ["PTV"]}],
        "grid_mm": 4.0,
        "source": "A test.",
    }
)
PTV = np.hypot(X, Y) <= 20


def patient(rx: float = 70.0, ry: float = 54.0, gas_hu: float = -950.0) -> np.ndarray:
    """An ellipse of soft tissue with two bones and a pocket of gas."""
    hu = np.full(SHAPE, -1000.0, np.float32)
    hu[(X / rx) ** 2 + (Y / ry) ** 2 <= 1] = 30.0
    hu[np.hypot(np.abs(X) - 40, Y) <= 11] = 600.0
    hu[np.hypot(X, Y + 25) <= 10] = gas_hu
    return hu


def volume(array: np.ndarray) -> Volume:
    return Volume(array=array, grid=SCENE_GRID, quantity="HU")


def scene_of(synthetic: np.ndarray, **more: object) -> DoseScene:
    structures = {"PTV": PTV} | dict(more.pop("structures", {}))  # type: ignore[call-overload]
    return dose_scene(
        volume(patient()), volume(synthetic), template=TEMPLATE, structures=structures, **more
    )  # type: ignore[arg-type]


def test_each_image_keeps_its_own_outline():
    scene = scene_of(patient(rx=62.0))
    one, two = scene.density(scene.reference, HLUT), scene.density(scene.synthetic, HLUT)
    lost = scene.reference.body & ~scene.synthetic.body
    rim = averaged_onto(lost, SCENE_GRID, scene.grid) > 0.999
    assert rim.any() and (one[rim] > 0.9).all() and (two[rim] == 0).all()
    assert scene.reference.body.sum() > scene.synthetic.body.sum()
    corner = scene.grid.to_world([0, 0, 0])  # the grid holds both bodies
    assert corner[0] < -70 and corner[1] < -54


def test_gas_in_the_body_is_air_and_not_vacuum():
    scene = scene_of(patient(gas_hu=-1024.0))
    density = scene.density(scene.synthetic, HLUT)
    inside = mask_onto(scene.synthetic.body, SCENE_GRID, scene.grid)
    whole = averaged_onto(scene.synthetic.body, SCENE_GRID, scene.grid) > 0.999
    assert density[whole].min() >= AIR_DENSITY * 0.999
    gas = mask_onto(np.hypot(X, Y + 25) <= 6, SCENE_GRID, scene.grid)
    assert density[gas & inside].max() < 0.3
    assert (density[averaged_onto(scene.synthetic.body, SCENE_GRID, scene.grid) == 0] == 0).all()


def test_density_is_converted_before_it_is_averaged():
    """Half bone, half air in a voxel is the mean of their densities, not of their HU."""
    bent = Hlut(
        name="bent",
        quantity="relative_electron_density",
        points=((-1000, 0), (0, 1), (1000, 1.2)),
        source="A test.",
    )
    hu = patient()
    mixed = np.hypot(X, Y) <= 25
    hu[mixed] = np.where(np.indices(SHAPE)[0] % 2, 1000.0, -1000.0)[mixed]
    scene = scene_of(hu, grid_mm=8.0)
    density = scene.density(scene.synthetic, bent)
    where = averaged_onto(mixed, SCENE_GRID, scene.grid) > 0.999
    assert where.any()
    np.testing.assert_allclose(density[where], (1.2 + AIR_DENSITY) / 2, rtol=0.02)


def test_what_the_source_did_not_see_carries_the_reference_exactly():
    seen = np.broadcast_to(X < 10, SHAPE)
    other = patient(rx=60.0) + np.float32(50)
    scene = scene_of(other, seen=seen)
    np.testing.assert_array_equal(scene.synthetic.hu[~seen], scene.reference.hu[~seen])
    np.testing.assert_array_equal(scene.synthetic.hu[seen], other[seen])
    one, two = scene.density(scene.reference, HLUT), scene.density(scene.synthetic, HLUT)
    far = averaged_onto(X > 14, SCENE_GRID, scene.grid) > 0.999
    np.testing.assert_array_equal(two[far], one[far])
    assert (two[~far] != one[~far]).any()
    with pytest.raises(InputError, match="The source image does not see the target PTV"):
        scene_of(other, seen=~PTV & (X > 20))


def test_supports_are_the_same_on_both_images():
    """Also where one of the bodies reaches into them, and where an image shows another HU there."""
    couch = (Y > 50) & (Y < 64) & (np.abs(X) < 60)
    other = patient(ry=62.0)
    other[(Y > 56) & (np.abs(X) < 40)] = 300.0
    scene = scene_of(other, structures={"Couch": couch}, support_hu={"Couch": -500.0})
    one, two = scene.density(scene.reference, HLUT), scene.density(scene.synthetic, HLUT)
    inside = averaged_onto(couch, SCENE_GRID, scene.grid) > 0.999
    assert inside.any()
    np.testing.assert_allclose(one[inside], 0.5, rtol=1e-5)
    np.testing.assert_array_equal(two[inside], one[inside])
    assert "Couch" not in scene.structures
    with pytest.raises(InputError, match="The case has no structure Mask to override"):
        scene_of(other, support_hu={"Mask": 0.0})


def test_what_no_scene_can_be_made_of_is_one_sentence():
    bad = patient()
    bad[3, 3, 3] = np.nan
    with pytest.raises(InputError, match=r"^The synthetic image holds 1 voxels that are no numb"):
        scene_of(bad)
    with pytest.raises(InputError, match=r"^The synthetic image shows no body above -400 HU"):
        scene_of(np.full(SHAPE, -1000.0, np.float32))
    with pytest.raises(InputError, match=r"^Dose needs HU; the reference holds SUVbw\.$"):
        dose_scene(
            Volume(array=patient(), grid=SCENE_GRID, quantity="SUVbw"),
            volume(patient()),
            template=TEMPLATE,
            structures={"PTV": PTV},
        )
    moved = Volume(
        array=patient(), grid=replace(SCENE_GRID, origin_mm=(0.0, 0.0, 0.0)), quantity="HU"
    )
    with pytest.raises(GeometryError, match="does not lie on the grid"):
        dose_scene(volume(patient()), moved, template=TEMPLATE, structures={"PTV": PTV})
    dot = np.zeros(SHAPE, bool)
    dot[22, 20, 12] = True
    with pytest.raises(InputError, match=r"^The target PTV fills no voxel of the dose grid"):
        scene_of(patient(), structures={"PTV": dot}, grid_mm=10.0)


# --- causes and bulk ---------------------------------------------------------------------------


def different() -> np.ndarray:
    """Another outline, other bones, other gas, other soft tissue, everywhere at once."""
    rng = np.random.default_rng(2)
    hu = patient(rx=66.0, ry=57.0) + rng.normal(20, 10, SHAPE).astype(np.float32)
    hu[np.hypot(X - 40, Y) <= 11] = 40.0  # a bone lost
    hu[np.hypot(X, Y - 30) <= 8] = 900.0  # a bone invented
    hu[np.hypot(X, Y + 25) <= 10] = 20.0  # gas filled
    hu[np.hypot(X - 15, Y + 25) <= 8] = -900.0  # gas elsewhere
    return hu


def test_the_causes_share_out_the_whole_difference():
    scene = scene_of(different())
    masks = cause_masks(scene)
    assert set(masks) == set(CAUSES)
    count = sum(mask.astype(int) for mask in masks.values())
    both = scene.reference.body | scene.synthetic.body
    assert (count[both] == 1).all() and (count[~both] == 0).all()
    assert all(mask.any() for mask in masks.values())
    hu, body = scene.reference.hu.copy(), scene.reference.body.copy()
    for cause in CAUSES:  # one after the other: the reference becomes the synthetic image
        one = with_cause(scene, cause)
        where = masks[cause]
        np.testing.assert_array_equal(one.hu[~where], scene.reference.hu[~where])
        np.testing.assert_array_equal(one.body[~where], scene.reference.body[~where])
        hu[where], body[where] = one.hu[where], one.body[where]
    np.testing.assert_array_equal(body, scene.synthetic.body)
    np.testing.assert_array_equal(hu[body], scene.synthetic.hu[body])
    together = scene.density(DoseImage(hu=hu, body=body), HLUT)
    np.testing.assert_array_equal(together, scene.density(scene.synthetic, HLUT))


def test_an_error_is_put_down_to_its_tissue():
    changes = {
        "outline": patient(rx=76.0),
        "soft": np.where(patient() == 30, np.float32(70), patient()),
        "bone": np.where(patient() > 500, np.float32(40), patient()),
        "air": patient(gas_hu=20.0),
    }
    for cause, synthetic in changes.items():
        scene = scene_of(synthetic)
        real = scene.density(scene.reference, HLUT)
        moved = {
            c: float(np.abs(scene.density(with_cause(scene, c), HLUT) - real).sum()) for c in CAUSES
        }
        assert moved[cause] > 0
        assert all(value == 0 for other, value in moved.items() if other != cause), (cause, moved)


def test_identical_images_have_no_cause():
    scene = scene_of(patient())
    assert not cause_masks(scene)["outline"].any()
    for cause in CAUSES:
        one = with_cause(scene, cause)
        np.testing.assert_array_equal(one.hu, scene.reference.hu)
        np.testing.assert_array_equal(one.body, scene.reference.body)


def test_the_bulk_image_has_three_densities():
    scene = scene_of(patient())
    bulk = bulk_image(scene.reference)
    np.testing.assert_array_equal(bulk.body, scene.reference.body)
    assert set(np.unique(bulk.hu)) == set(BULK_HU.values())
    inside = scene.reference.body
    assert (bulk.hu[inside & (scene.reference.hu > 500)] == BULK_HU["bone"]).all()
    assert (bulk.hu[inside & (scene.reference.hu == 30)] == BULK_HU["water"]).all()
    assert (bulk.hu[inside & (scene.reference.hu < -900)] == BULK_HU["air"]).all()
    for hu, kind in ((-200.0, "water"), (-201.0, "air"), (149.9, "water"), (150.0, "bone")):
        one = bulk_image(DoseImage(hu=np.full(SHAPE, hu, np.float32), body=inside))
        assert (one.hu == BULK_HU[kind]).all()
