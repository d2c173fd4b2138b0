"""The scene that a dose is computed in: bodies are their own, and causes add up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.hlut.tables import Hlut
from qa_suite.dose.plan.template import PlanTemplate
from qa_suite.dose.scene.gridding import averaged_onto, mask_onto
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

# --- the scene ---------------------------------------------------------------------------------


HLUT = Hlut(
    name="line",
    quantity="relative_electron_density",
    points=((-1000, 0), (1000, 2)),
    source="A test: 1 + HU/1000.",
)

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
