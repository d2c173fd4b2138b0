"""Image measures in bands and structures, and what cannot be measured."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.errors import GeometryError, InputError
from qa_suite.metrics.base import Pair
from qa_suite.metrics.image.family import image
from qa_suite.metrics.image.settings import Band, ImageSettings
from tests import image_cases
from tests.image_cases import SHAPE, anatomy, measured, pair_of, volume

# Fixtures, by the names that the tests ask for.
rng = image_cases.rng


# --- regions


def test_bands_are_taken_on_the_reference_and_are_half_open():
    reference = np.full((7, 7, 7), 0.0)
    edges = [-950.0, -190.0, -30.0, 150.0, 600.0]
    below = [np.nextafter(np.float32(e), np.float32(-2000)) for e in edges]
    reference[0, 0, :5] = below
    reference[0, 1, :5] = edges
    errors = np.zeros_like(reference)
    errors[0, 0, :5] = [1, 2, 3, 4, 5]
    errors[0, 1, :5] = [10, 20, 30, 40, 50]
    found = measured(pair_of(reference, reference + errors))
    soft = 7**3 - 8
    expected = {
        "air": 1,
        "lung": (10 + 2) / 2,
        "fat": (20 + 3) / 2,
        "soft": (30 + 4) / soft,
        "spongy": (40 + 5) / 2,
        "cortical": 50,
        "bone": (5 + 50) / 2,
    }
    for band, value in expected.items():
        assert found["mae", band].value == pytest.approx(value, abs=2e-3), band


def test_invented_bone_shows_in_soft_tissue_not_in_bone():
    reference = np.full(SHAPE, 30.0)
    reference[:4] = 900
    synthetic = reference.copy()
    synthetic[10:] = 900
    found = measured(pair_of(reference, synthetic))
    assert found["me", "bone"].value == 0
    assert found["me", "soft"].value > 300


def test_structures_are_measured_inside_the_mask():
    reference = np.zeros(SHAPE)
    synthetic = np.zeros(SHAPE)
    synthetic[:4] = 10
    synthetic[12:] = 99
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:8] = True
    half, out, empty = (np.zeros(SHAPE, dtype=bool) for _ in range(3))
    half[2:4], half[12:14] = True, True
    out[12:] = True
    pair = pair_of(reference, synthetic, mask, structures={"A": half, "B": out, "C": empty})
    found = measured(pair)
    assert found["mae", "structure:A"].value == pytest.approx(10)
    assert found["mae", "structure:A"].coverage == pytest.approx(0.5)
    assert found["mae", "structure:B"].status == "undefined"
    assert "outside the mask" in found["mae", "structure:B"].why
    assert found["mae", "structure:B"].coverage == 0
    assert "is empty" in found["mae", "structure:C"].why


# --- what cannot be measured


def test_one_nan_is_an_error_and_never_a_smaller_mean(rng):
    reference = anatomy(rng)
    synthetic = reference + 5
    synthetic[8, 7, 6] = np.nan  # in soft tissue
    synthetic[8, 7, 7] = np.inf
    found = measured(pair_of(reference, synthetic))
    for metric in ("mae", "me", "rmse", "psnr", "ssim"):
        for region in ("body", "soft"):
            value = found[metric, region]
            assert (value.status, value.value) == ("error", None)
            assert value.why.startswith("2 of ")
            assert 0 < value.coverage < 1
    assert found["mae", "bone"].value == pytest.approx(5, abs=1e-4)
    assert found["ssim", "bone"].status == "error"  # windows may reach the NaN


def test_nan_in_the_reference_spoils_every_band(rng):
    reference = anatomy(rng)
    synthetic = reference.copy()
    reference[0, 0, 0] = np.nan
    found = measured(pair_of(reference, synthetic))
    bands = [v for v in found.values() if not v.region.startswith("shell:")]
    assert {v.status for v in bands} == {"error"}


def test_nan_outside_the_mask_is_nobodys_business(rng):
    reference = anatomy(rng)
    synthetic = reference + 5
    synthetic[0] = np.nan
    mask = np.ones(SHAPE, dtype=bool)
    mask[0] = False
    found = measured(pair_of(reference, synthetic, mask))
    assert found["mae", "body"].value == pytest.approx(5, abs=1e-4)
    assert found["ssim", "body"].status == "ok"


def test_ssim_of_2023_needs_room_for_its_window():
    values = image(pair_of(np.zeros((20, 20, 6)), np.ones((20, 20, 6))), ImageSettings())
    (found,) = [v for v in values if (v.metric, v.variant) == ("ssim", "synthrad2023")]
    assert found.status == "undefined"
    assert "window" in found.why


def test_given_range_and_bands_of_another_quantity(rng):
    dose = rng.random(SHAPE) * 60
    found = measured(
        pair_of(dose, dose + 1, quantity="Gy"),
        data_range={"Gy": (0, 60)},
        bands={"Gy": (Band(name="high", low=30),)},
    )
    assert found["psnr", "body"].value == pytest.approx(20 * np.log10(60), abs=1e-4)
    assert found["ssim", "high"].status == "ok"


@pytest.mark.parametrize(
    "changes",
    [
        {"ssim_window": 6},
        {"data_range": {"HU": (3000, -1024)}},
        {"bands": {"HU": (Band(name="body"),)}},
        {"bands": {"HU": (Band(name="a"), Band(name="a"))}},
        {"shells_mm": (0.0, 5.0)},
        {"shells_mm": (20.0, 5.0)},
        {"ms_ssim_weights": (0.5, 0.0)},
        {"synthrad_modes": ("synthrad2023", "synthrad2023")},
        {"window": 7},
    ],
)
def test_unsound_settings_are_refused(changes):
    with pytest.raises(ValueError):
        ImageSettings(**changes)
    with pytest.raises(ValueError):
        Band(name="a", low=1, high=0)


def test_two_quantities_are_no_pair(rng):
    reference = volume(anatomy(rng))
    synthetic = volume(anatomy(rng), "arbitrary")
    pair = Pair(reference=reference, synthetic=synthetic, mask=np.ones(SHAPE, dtype=bool))
    with pytest.raises(InputError, match="arbitrary"):
        image(pair, ImageSettings())


def test_coverage_must_lie_on_the_grid(rng):
    reference = volume(anatomy(rng))
    with pytest.raises(GeometryError, match="coverage"):
        Pair(
            reference=reference,
            synthetic=reference,
            mask=np.ones(SHAPE, dtype=bool),
            coverage=np.ones((2, 2, 2), dtype=bool),
        )
