"""Image measures: known answers, properties, and agreement with scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from qa_suite.core.errors import UnknownName
from qa_suite.metrics.facts import METRICS
from qa_suite.metrics.image.family import image
from qa_suite.metrics.image.settings import ImageSettings
from qa_suite.metrics.image.ssim import local_similarity, whole_windows
from qa_suite.metrics.run import measure_pair, variants_of
from qa_suite.metrics.settings import MeasureSettings
from tests import image_cases
from tests.image_cases import SHAPE, SPACING, anatomy, measured, pair_of

# Fixtures, by the names that the tests ask for.
rng = image_cases.rng

IN_BLOCKS = ("shading", "octant_error", "block_error", "beam_depth_error", "arc_depth_error")


def row(rows, metric, region):
    key = (metric, region, "default")
    (found,) = [r for r in rows if (r.metric, r.region, r.variant) == key]
    return found


def rows_of(pair, families=None):
    return measure_pair(
        pair, families=families, settings=MeasureSettings(), case="c", patient="p", site="s"
    ).rows


# --- known answers


@pytest.mark.parametrize("offset", [-37.0, 12.5])
def test_constant_offset(rng, offset):
    reference = np.round(anatomy(rng))
    found = measured(pair_of(reference, reference + offset))
    for region in ("body", "lung", "soft", "bone"):
        assert found["me", region].value == pytest.approx(offset)
        assert found["mae", region].value == pytest.approx(abs(offset))
        assert found["rmse", region].value == pytest.approx(abs(offset))
        expected = 20 * np.log10(4024 / abs(offset))
        assert found["psnr", region].value == pytest.approx(expected)
        assert found["me", region].coverage == 1


def test_hand_computed():
    reference = np.zeros((7, 7, 7))
    synthetic = reference.copy()
    mask = np.zeros(reference.shape, dtype=bool)
    mask[3, 3, :4] = True
    synthetic[3, 3, :4] = [3, -1, 0, 2]
    synthetic[0] = 999  # outside the mask: not measured
    found = measured(pair_of(reference, synthetic, mask))
    assert found["mae", "body"].value == pytest.approx(1.5)
    assert found["me", "body"].value == pytest.approx(1.0)
    assert found["rmse", "body"].value == pytest.approx(np.sqrt(3.5))


def test_scaled_noise(rng):
    reference = np.zeros((32, 32, 32))
    noise = rng.normal(0, 1, reference.shape)
    one = measured(pair_of(reference, 20 * noise))
    two = measured(pair_of(reference, 40 * noise))
    assert one["rmse", "body"].value == pytest.approx(20, rel=0.02)
    assert one["mae", "body"].value == pytest.approx(20 * np.sqrt(2 / np.pi), rel=0.02)
    assert two["mae", "body"].value == pytest.approx(2 * one["mae", "body"].value, rel=1e-5)
    drop = one["psnr", "body"].value - two["psnr", "body"].value
    assert drop == pytest.approx(20 * np.log10(2), abs=1e-4)
    assert two["ssim", "body"].value < one["ssim", "body"].value < 1


def test_ssim_of_two_constants():
    a, b = 1024 + 0.0, 1024 + 100.0
    c1 = (0.01 * 4024) ** 2
    values = image(pair_of(np.zeros((9, 9, 9)), np.full((9, 9, 9), 100.0)), ImageSettings())
    (found,) = [v.value for v in values if (v.metric, v.variant) == ("ssim", "synthrad2023")]
    expected = (2 * a * b + c1) / (a * a + b * b + c1)  # of whole windows alone
    assert found == pytest.approx(expected, abs=1e-6)


def test_identical_images(rng):
    reference = anatomy(rng)
    found = measured(pair_of(reference, reference))
    assert found["mae", "body"].value == 0
    assert found["ssim", "body"].value == pytest.approx(1, abs=1e-6)
    assert found["psnr", "body"].status == "undefined"
    assert "identical" in found["psnr", "body"].why


# --- agreement with scikit-image


@pytest.mark.parametrize("window", [3, 7, 9])
def test_ssim_map_is_that_of_scikit_image(rng, window):
    first = (rng.random((20, 17, 13)) * 4024).astype(np.float32)
    second = np.clip(first + rng.normal(0, 300, first.shape), 0, 4024).astype(np.float32)
    mean, full = structural_similarity(
        first.astype(float), second.astype(float), win_size=window, data_range=4024, full=True
    )
    everywhere = np.ones(first.shape, dtype=bool)
    ours = local_similarity(first, second, everywhere, data_range=4024, window=window).ssim
    whole = whole_windows(everywhere, window, offset=(0, 0, 0), shape=first.shape)
    inner = (slice(window // 2, -(window // 2)),) * 3
    np.testing.assert_allclose(ours[whole], full[inner].ravel(), atol=1e-6)
    assert whole.sum() == full[inner].size
    assert float(ours[whole].mean(dtype=float)) == pytest.approx(mean, abs=1e-6)


def test_masked_ssim_is_that_of_scikit_image(rng):
    """In an image with air around it, so that every window is whole."""
    reference = anatomy(rng, (40, 30, 24))
    reference[5:8, 5:9, 5:9] = 3500  # metal: clipped
    synthetic = reference + rng.normal(0, 60, reference.shape)
    i, j, k = np.ogrid[:40, :30, :24]
    mask = ((i - 19) / 15) ** 2 + ((j - 15) / 14.6) ** 2 + 0 * k < 1  # touches the faces of k
    prepared = [
        np.pad(np.where(mask, np.clip(np.float32(x), -1024, 3000), -1024).astype(float) + 1024, 3)
        for x in (reference, synthetic)
    ]
    _, full = structural_similarity(*prepared, data_range=4024, full=True)
    full = full[3:-3, 3:-3, 3:-3]
    found = measured(pair_of(reference, synthetic, mask))
    assert found["ssim", "body"].value == pytest.approx(full[mask].mean(), abs=1e-6)
    assert found["ssim", "body"].coverage == 1
    bone = mask & (np.float32(reference) >= 250)
    assert found["ssim", "bone"].value == pytest.approx(full[bone].mean(), abs=1e-6)


def test_psnr_is_that_of_scikit_image(rng):
    reference = anatomy(rng).astype(np.float32)
    synthetic = (reference + rng.normal(0, 40, SHAPE)).astype(np.float32)
    expected = peak_signal_noise_ratio(
        reference.astype(float), synthetic.astype(float), data_range=4024
    )
    found = measured(pair_of(reference, synthetic))
    assert found["psnr", "body"].value == pytest.approx(expected, abs=1e-6)


# --- properties


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    order=st.permutations([0, 1, 2]),
)
def test_flips_and_turns_change_nothing(seed, flips, order):
    rng = np.random.default_rng(seed)
    reference = anatomy(rng)
    synthetic = reference + rng.normal(0, 50, SHAPE)
    mask = rng.random(SHAPE) < 0.7

    def turned(array):
        axes = [axis for axis, flip in enumerate(flips) if flip]
        return np.ascontiguousarray(np.flip(array, axes).transpose(order))

    before = measured(pair_of(reference, synthetic, mask))
    spacing = tuple(SPACING[axis] for axis in order)
    images = (turned(reference), turned(synthetic), turned(mask))
    after = measured(pair_of(*images, spacing=spacing))
    assert before.keys() == after.keys()
    for key, value in before.items():
        if key[0] in ("slice_error", *IN_BLOCKS):
            continue  # they join blocks from the first voxel on, or know the patient's axis
        assert after[key].status == value.status, key
        if value.status == "ok":
            assert after[key].value == pytest.approx(value.value, abs=1e-5, rel=1e-6), key
        assert after[key].coverage == pytest.approx(value.coverage)


def test_swapping_the_images_turns_the_sign_only(rng):
    reference = anatomy(rng)
    synthetic = reference + rng.normal(3, 50, SHAPE)
    one = measured(pair_of(reference, synthetic))
    two = measured(pair_of(synthetic, reference))
    assert two["me", "body"].value == pytest.approx(-one["me", "body"].value)
    for metric in ("mae", "rmse", "psnr", "ssim"):
        assert two[metric, "body"].value == pytest.approx(one[metric, "body"].value, abs=1e-6)


# --- what cannot be measured


def test_another_quantity_has_no_guessed_range(rng):
    dose = rng.random(SHAPE) * 60
    rows = rows_of(pair_of(dose, dose + 1, quantity="Gy"), ["image"])
    assert row(rows, "mae", "body").unit == "Gy"
    assert row(rows, "mae", "body").value == pytest.approx(1, abs=1e-5)
    for metric in ("psnr", "ssim", "ms_ssim", "mutual_information"):
        assert row(rows, metric, "body").status == "undefined"
        assert "data range" in row(rows, metric, "body").why
    assert row(rows, "psnr", "body").unit == "dB"
    assert row(rows, "gradient_error", "body").unit == "Gy/mm"
    assert not [r for r in rows if r.region == "air" or r.variant.startswith("synthrad")]


# --- rows of the record


def test_rows_are_complete_and_repeatable(rng):
    reference = anatomy(rng)
    pair = pair_of(reference, reference + rng.normal(0, 9, SHAPE))
    rows = rows_of(pair)
    assert rows == rows_of(pair)
    keys = [(r.family, r.metric, r.region, r.variant) for r in rows]
    assert len(set(keys)) == len(keys)
    assert {r.variant for r in rows} <= set(variants_of(MeasureSettings()))
    here = {entry.name for entry in METRICS if entry.facts.family == "image"}
    here -= {"reference_scale", "scale_ratio"}  # of arbitrary units: tests/test_measures_scale.py
    assert {r.metric for r in rows if r.family == "image"} == here
    assert {r.family for r in rows_of(pair, ["image"])} == {"image"}


def test_a_family_that_raises_leaves_a_row_and_the_others_go_on(rng, monkeypatch):
    def broken(pair, settings):
        raise RuntimeError("the disk\nis on fire")

    from qa_suite.metrics import run

    real = run.FAMILIES["image"]
    monkeypatch.setitem(
        run.FAMILIES._entries, "image", type(real)(name="image", function=broken, facts=real.facts)
    )
    rows = rows_of(pair_of(anatomy(rng), anatomy(rng)))
    (failed,) = [r for r in rows if r.family == "image"]
    assert (failed.metric, failed.region, failed.status) == ("family", "all", "error")
    assert failed.why == "RuntimeError: the disk is on fire"
    assert any(r.family == "segmentation" and r.status == "ok" for r in rows)


def test_an_unknown_family_is_named(rng):
    with pytest.raises(UnknownName, match="did you mean image"):
        rows_of(pair_of(anatomy(rng), anatomy(rng)), ["imge"])


@pytest.mark.parametrize("family", ["image", "reference_free"])
def test_a_choice_of_metrics_that_there_are_not_is_refused(rng, family):
    settings = MeasureSettings.model_validate({family: {"only": ["mea"]}})
    hu = anatomy(rng)
    with pytest.raises(UnknownName, match=f"Unknown metric of the family {family} 'mea'"):
        measure_pair(
            pair_of(hu, hu), families=["image"], settings=settings, case="a", patient="a", site="A"
        )
