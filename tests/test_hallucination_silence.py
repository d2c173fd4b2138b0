"""What is no component: moved edges, padding, bias, clean twins; and what lies next to that."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.volume import Grid
from qa_suite.lab.phantom import make_patient, oracle_translate
from qa_suite.metrics.base import Pair
from qa_suite.metrics.hallucination.depth import reach
from qa_suite.metrics.hallucination.family import find_components
from tests.hallucination_cases import (
    COARSE,
    DEFAULTS,
    FINE,
    ball,
    flat,
    pair_of,
    planted,
    values_of,
)


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


def test_a_thin_mask_has_no_place_for_a_component():
    mask = np.zeros(COARSE.shape, dtype=bool)
    mask[:, 5, :] = True
    found = values_of(pair_of(COARSE, flat(COARSE, 40), flat(COARSE, 400), mask))
    assert found["false_components", "bone"] == 0


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
