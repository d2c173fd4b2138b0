"""The empty-case table of docs/measures, row by row, over every metric."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import qa_suite.metrics.run
from qa_suite.core.records import Measurement
from qa_suite.core.volume import Grid, Volume
from qa_suite.instruments.threshold import SEGMENTERS
from qa_suite.metrics.base import Pair
from qa_suite.metrics.facts import FAMILIES, METRICS
from qa_suite.metrics.image.comparison import OF_BODY
from qa_suite.metrics.image.regions import BY_REGION
from qa_suite.metrics.image.settings import ImageSettings
from qa_suite.metrics.segmentation.bone_threshold import BY_THRESHOLD
from qa_suite.metrics.segmentation.family import segmentation
from qa_suite.metrics.segmentation.structures import BY_OVERLAP
from qa_suite.metrics.segmentation.surfaces import BY_SURFACE
from qa_suite.metrics.settings import MeasureSettings

SHAPE = (24, 24, 12)
GRID = Grid(shape=SHAPE, spacing_mm=(2.0, 2.0, 3.0))
BODY = np.s_[4:20, 4:20, :]
BONE = np.s_[9:14, 9:14, 3:9]
DOCS = Path(__file__).resolve().parent.parent / "docs"

IMAGE_BY_REGION = tuple(sorted(BY_REGION))
IMAGE_OF_BODY = tuple(sorted(OF_BODY))
IMAGE = (*IMAGE_BY_REGION, *IMAGE_OF_BODY)
CANCELLING = (
    "shading",
    "octant_error",
    "block_error",
    "plane_jitter",
    "beam_depth_error",
    "arc_depth_error",
)
SURFACE = (*BY_SURFACE, "surface_dice")
STRUCTURE = (*BY_OVERLAP, *SURFACE, *BY_THRESHOLD)

# what a structure metric says: (reference has it, synthetic has it) -> value, or None: undefined
STRUCTURE_TABLE = {
    "dice": {(1, 1): 1.0, (1, 0): 0.0, (0, 1): 0.0, (0, 0): None},
    "volume_difference": {(1, 1): 0.0, (1, 0): -100.0, (0, 1): None, (0, 0): None},
    "centroid_shift": {(1, 1): 0.0, (1, 0): None, (0, 1): None, (0, 0): None},
    "missed": {(1, 1): 0.0, (1, 0): 1.0, (0, 1): None, (0, 0): None},
    "hd": {(1, 1): 0.0, (1, 0): None, (0, 1): None, (0, 0): None},
    "hd95": {(1, 1): 0.0, (1, 0): None, (0, 1): None, (0, 0): None},
    "assd": {(1, 1): 0.0, (1, 0): None, (0, 1): None, (0, 0): None},
    "surface_dice": {(1, 1): 1.0, (1, 0): None, (0, 1): None, (0, 0): None},
    "threshold_shift": {(1, 1): 0.0, (1, 0): None, (0, 1): None, (0, 0): None},
    "dice_at_best_threshold": {(1, 1): 1.0, (1, 0): None, (0, 1): None, (0, 0): None},
}


def ct(*, bone: bool, body: bool = True) -> np.ndarray:
    array = np.full(SHAPE, -1000.0, dtype=np.float32)
    if body:
        array[BODY] = 20
    if bone:
        array[BONE] = 700
    return array


def rows_of(
    reference, synthetic, mask=None, quantity="HU", settings=None, **more
) -> list[Measurement]:
    if mask is None:
        mask = np.zeros(SHAPE, dtype=bool)
        mask[BODY] = True
    pair = Pair(
        reference=Volume(array=reference, grid=GRID, quantity=quantity),
        synthetic=Volume(array=synthetic, grid=GRID, quantity=quantity),
        mask=mask,
        **more,
    )
    return qa_suite.metrics.run.measure_pair(
        pair, families=None, settings=settings or MeasureSettings(), case="c", patient="p", site="s"
    ).rows


def one(rows, metric, region):
    here = [r for r in rows if (r.metric, r.region) == (metric, region)]
    (found,) = [r for r in here if not r.variant.startswith("synthrad")]
    return found


def test_the_tables_speak_of_metrics_that_there_are():
    assert set(STRUCTURE_TABLE) <= set(STRUCTURE)
    assert {*IDENTICAL, *CONSTANT} <= set(IMAGE)


@pytest.mark.parametrize("metric", STRUCTURE)
@pytest.mark.parametrize("present", [(1, 1), (1, 0), (0, 1), (0, 0)])
def test_structures(metric, present):
    rows = rows_of(ct(bone=bool(present[0])), ct(bone=bool(present[1])))
    found = one(rows, metric, "seg:Bone")
    if metric not in STRUCTURE_TABLE:  # a newcomer may answer as it likes, but not fail
        assert found.status != "error"
        return
    expected = STRUCTURE_TABLE[metric][present]
    if expected is None:
        assert (found.status, found.value) == ("undefined", None)
        who = {
            (1, 0): "the synthetic image does not have",
            (0, 1): "the reference does not have",
            (0, 0): "neither the reference nor the synthetic image has",
        }
        assert found.why.startswith(who[present])
    else:
        assert (found.status, found.value) == ("ok", expected)
    assert one(rows, "dice", "seg:Body").value == 1  # the other structure is untouched


def ramp() -> np.ndarray:
    """Return soft tissue that is nowhere constant, in a body that reaches the image's ends."""
    i, j, k = np.indices(SHAPE)
    noise = np.random.default_rng(1).normal(0, 1, SHAPE)
    return (20 + 10 * np.sin(i) + 5 * np.cos(2 * j) + 3 * np.sin(3 * k) + noise).astype(np.float32)


# the test's body is a small one
IMAGE_SETTINGS = ImageSettings(skin_mm=0.0, taper_mm=6.0, ms_ssim_weights=(0.6, 0.4))


@pytest.mark.parametrize("metric", IMAGE)
def test_an_empty_band_structure_or_shell(metric):
    nothing = np.zeros(SHAPE, dtype=bool)
    rows = rows_of(
        ramp(),
        ramp() + 1,
        np.ones(SHAPE, dtype=bool),
        structures={"Rectum": nothing},
        settings=MeasureSettings(image=IMAGE_SETTINGS),
    )
    for region in ("bone", "air", "structure:Rectum", "shell:0-5mm"):
        found = [r for r in rows if (r.metric, r.region) == (metric, region)]
        assert {(r.status, r.value) for r in found} <= {("undefined", None)}
        assert len(found) == (metric in IMAGE_BY_REGION)
        assert all(r.why for r in found)
    assert one(rows, metric, "body").status != "error"


IDENTICAL = {
    "psnr": None,
    "ssim": 1.0,
    "ms_ssim": 1.0,
    "ncc": 1.0,
    **dict.fromkeys(
        (
            "mae",
            "me",
            "rmse",
            "percentile_99_error",
            "slope_error",
            "gradient_error",
            "spectral_error",
            "high_frequency_ratio",
            "slice_error",
            *CANCELLING,
            "error_to_noise",
        ),
        0.0,
    ),
    "shared_noise": 1.0,
}


@pytest.mark.parametrize("metric", IDENTICAL)
def test_identical_images(metric):
    rows = rows_of(
        ramp(), ramp(), np.ones(SHAPE, dtype=bool), settings=MeasureSettings(image=IMAGE_SETTINGS)
    )
    found = one(rows, metric, "body")
    if IDENTICAL[metric] is None:
        assert (found.status, found.value) == ("undefined", None) and "infinite" in found.why
    else:
        assert found.value == pytest.approx(IDENTICAL[metric], abs=1e-6)


CONSTANT = {
    "ncc": (None, None, None),
    "slope_error": (None, -100.0, None),
    "mutual_information": (0.0, 0.0, 0.0),
    "spectral_error": (None, None, None),
    "high_frequency_ratio": (None, None, None),
}


@pytest.mark.parametrize("metric", CONSTANT)
def test_images_without_any_contrast(metric):
    """Constant reference, constant synthetic image, both."""
    flat, settings = np.full(SHAPE, 40, np.float32), MeasureSettings(image=IMAGE_SETTINGS)
    pairs = ((flat, ramp()), (ramp(), flat), (flat, flat + 1))
    for (reference, synthetic), expected in zip(pairs, CONSTANT[metric], strict=True):
        rows = rows_of(reference, synthetic, np.ones(SHAPE, dtype=bool), settings=settings)
        found = one(rows, metric, "body")
        if expected is None:
            assert (found.status, found.value) == ("undefined", None) and "constant" in found.why
        else:
            assert found.value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        ("spectral_error", "deeper than 10 mm"),
        ("high_frequency_ratio", "deeper than 10 mm"),
        ("slice_error", "axial slices"),
    ],
)
def test_a_body_that_is_too_small(metric, why):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[10:14, 10:14, 4:8] = True
    found = one(rows_of(ramp(), ramp() + 1, mask), metric, "body")
    assert found.status == "undefined" and why in found.why


def test_a_single_voxel_has_no_gradient_inside_the_mask():
    mask = np.zeros(SHAPE, dtype=bool)
    mask[12, 12, 6] = True
    rows = rows_of(ramp(), ramp() + 1, mask)
    assert one(rows, "gradient_error", "body").status == "undefined"
    assert one(rows, "ncc", "body").status == "undefined"
    assert one(rows, "mae", "body").value == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("metric", [*IMAGE, *STRUCTURE])
def test_a_mask_of_zeros(metric):
    rows = [
        r
        for r in rows_of(ct(bone=True), ct(bone=True), np.zeros(SHAPE, dtype=bool))
        if r.metric == metric
    ]
    assert rows
    assert {(r.status, r.value) for r in rows} == {("undefined", None)}
    assert all(r.why for r in rows)


@pytest.mark.parametrize("metric", [*IMAGE, *STRUCTURE])
def test_a_synthetic_image_of_nan(metric):
    rows = [
        r
        for r in rows_of(ct(bone=True), np.full(SHAPE, np.nan, dtype=np.float32))
        if r.metric == metric and r.region in ("body", "soft", "bone", "seg:Body", "seg:Bone")
    ]
    assert rows
    assert {(r.status, r.value) for r in rows} == {("error", None)}
    assert all("not finite" in r.why for r in rows)


def test_a_structure_without_a_surface_inside_the_image():
    full = np.full(SHAPE, 20.0, dtype=np.float32)
    rows = rows_of(full, full, np.ones(SHAPE, dtype=bool))
    assert one(rows, "dice", "seg:Body").value == 1
    for metric in SURFACE:
        found = one(rows, metric, "seg:Body")
        assert found.status == "undefined" and "no surface" in found.why


def test_images_that_are_not_in_hu_have_no_threshold_structures():
    rows = rows_of(ct(bone=True), ct(bone=True), quantity="arbitrary")
    assert not [r for r in rows if r.family == "segmentation"]
    mask = np.ones(SHAPE, dtype=bool)
    image, signal = (
        Volume(array=ct(bone=True), grid=GRID, quantity=q) for q in ("HU", "arbitrary")
    )
    found = segmentation(
        Pair(reference=image, synthetic=signal, mask=mask), MeasureSettings().segmentation
    )
    assert {r.region for r in found} == {"seg:Body", "seg:Bone"}
    assert {r.status for r in found} == {"undefined"}
    assert all("needs HU" in r.why for r in found)


def test_a_body_drawn_too_large_is_seen_beyond_the_mask():
    synthetic = ct(bone=True)
    synthetic[2:22, 4:20] = np.maximum(synthetic[2:22, 4:20], 0)
    rows = rows_of(ct(bone=True), synthetic)
    assert one(rows, "hd", "seg:Body").value == pytest.approx(4)
    assert one(rows, "volume_difference", "seg:Body").value == pytest.approx(25)


def test_padding_of_the_reference_is_no_missing_body():
    reference, synthetic = ct(bone=True), ct(bone=True)
    reference[..., 8:] = -1000  # the scan ended here
    coverage = np.zeros(SHAPE, dtype=bool)
    coverage[..., :8] = True
    mask = np.zeros(SHAPE, dtype=bool)
    mask[BODY] = True
    mask &= coverage
    blind = rows_of(reference, synthetic, mask)
    told = rows_of(reference, synthetic, mask, coverage=coverage)
    assert one(blind, "dice", "seg:Body").at_most < 0.9  # it goes on where the scan ended
    assert one(told, "dice", "seg:Body").value == 1


PET = sorted(e.name for e in METRICS if e.facts.family == "pet")
NOTHING = np.zeros(SHAPE, dtype=bool)
LESION = NOTHING.copy()
LESION[BONE] = True


@pytest.mark.parametrize(
    ("structures", "mask", "wrong", "status", "why"),
    [
        ({}, LESION, None, "undefined", "no structure whose name begins with GTV"),
        ({"GTV": NOTHING}, LESION, None, "undefined", "is empty"),
        ({"GTV": LESION}, NOTHING, None, "undefined", "outside the mask"),
        ({"GTV": LESION}, ~LESION, None, "undefined", "outside the mask"),
        ({"GTV": LESION}, LESION, np.nan, "error", "not finite"),
        ({"GTV": LESION}, LESION, np.inf, "error", "not finite"),
    ],
)
def test_uptake_of_what_is_not_there(structures, mask, wrong, status, why):
    reference = np.where(LESION, 5.0, 1.0).astype(np.float32)
    synthetic = reference.copy()
    if wrong is not None:
        synthetic[10, 10, 5] = wrong
    rows = rows_of(reference, synthetic, mask, "SUVbw", structures=structures)
    rows = [r for r in rows if r.family == "pet"]
    assert {r.metric for r in rows} == set(PET)
    assert {(r.status, r.value) for r in rows} == {(status, None)}
    assert all(why in r.why for r in rows)


@pytest.mark.parametrize("registry", [METRICS, FAMILIES, SEGMENTERS], ids=lambda r: r.kind)
def test_every_entry_has_its_facts(registry):
    optional = {"settings", "common_scale", "censored", "ends"}  # empty where there is nothing
    for entry in registry:
        facts = entry.facts.model_dump(exclude=optional)
        limits = facts.pop("quantities", ()), facts.pop("because", "")
        assert bool(limits[0]) == bool(limits[1]), entry.name
        assert all(facts.values()), entry.name


def test_families_and_segmenters_stand_in_the_docs():
    pages = (DOCS / "measures.md", *sorted((DOCS / "measures").glob("*.md")))
    text = "\n".join(page.read_text() for page in pages)
    for entry in (*FAMILIES, *SEGMENTERS):
        assert f"`{entry.name}`" in text, f"{entry.name} is missing in docs/measures"
