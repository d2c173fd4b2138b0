"""What an image looks like, on blocks of tissue whose answer is known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.appearance import SOURCE_FEATURES, describe_source, voxel_sizes
from qa_suite.judging.shift.features import FEATURES
from qa_suite.metrics.base import Pair
from qa_suite.metrics.run import measure_pair
from qa_suite.metrics.settings import MeasureSettings
from translators.registry.sources import FEATURES as REGISTERED

SHAPE = (48, 40, 20)
GRID = Grid(shape=SHAPE, spacing_mm=(2.0, 2.0, 3.0))
MASK = np.zeros(SHAPE, dtype=bool)
MASK[6:42, 6:34, :] = True
MUSCLE = np.zeros(SHAPE, dtype=bool)
MUSCLE[14:34, 12:28, :] = True
BONE = np.zeros(SHAPE, dtype=bool)
BONE[20:28, 16:24, 4:16] = True


def ct(*, fat: float = -100, muscle: float = 50, bone: float = 800, air: float = -1000):
    array = np.full(SHAPE, air, dtype=np.float32)
    array[MASK], array[MUSCLE], array[BONE] = fat, muscle, bone
    return array


def mr(*, fat: float = 600, muscle: float = 200) -> np.ndarray:
    array = np.full(SHAPE, 5, dtype=np.float32)
    array[MASK], array[MUSCLE] = fat, muscle
    return array + np.random.default_rng(3).normal(0, 4, SHAPE).astype(np.float32)


def rows_of(reference=None, synthetic=None, source=None, quantity="arbitrary", **more):
    images = [ct() if image is None else image for image in (reference, synthetic)]
    one, other = (Volume(array=image, grid=GRID, quantity="HU") for image in images)
    told = None if source is None else Volume(array=source, grid=GRID, quantity=quantity)
    pair = Pair(reference=one, synthetic=other, source=told, mask=MASK, **more)
    found = measure_pair(
        pair, families=["appearance"], settings=MeasureSettings(), case="c", patient="p", site="s"
    ).rows
    return {(row.metric, row.region, row.variant): row for row in found}


def value(rows, metric: str, region: str = "body", variant: str = "default") -> float:
    row = rows[metric, region, variant]
    assert row.status == "ok", row.why
    return float(row.value)


def test_levels_of_tissues_are_those_of_the_blocks_image_by_image():
    rows = rows_of(ct(), ct(fat=-90, muscle=60, bone=1000, air=-990))
    for tissue, hu in {"air": -1000, "fat": -100, "muscle": 50, "bone": 800}.items():
        assert value(rows, "tissue_hu", tissue, "reference") == pytest.approx(hu)
    for tissue, hu in {"air": -990, "fat": -90, "muscle": 60, "bone": 1000}.items():
        assert value(rows, "tissue_hu", tissue, "synthetic") == pytest.approx(hu)


@pytest.mark.parametrize("variant", ["reference", "synthetic"])
def test_noise_is_the_deviation_that_was_added_to_one_image_alone(variant):
    grain = np.random.default_rng(1).normal(0, 10, SHAPE).astype(np.float32)
    rows = rows_of(**{variant: ct() + grain})
    other = "synthetic" if variant == "reference" else "reference"
    assert value(rows, "image_noise", variant=variant) == pytest.approx(10, rel=0.05)
    assert value(rows, "image_noise", variant=other) == 0


def test_an_edge_is_as_steep_as_the_ramp_that_it_is():
    """Soft tissue rises by 30 HU a voxel of 2 mm through -30 HU: 15 HU/mm."""
    ramp = np.broadcast_to((np.arange(SHAPE[0])[:, None, None] - 24.5) * 30.0, SHAPE)
    rows = rows_of(ramp.astype(np.float32), np.ascontiguousarray(ramp[::-1], dtype=np.float32))
    for variant in ("reference", "synthetic"):
        for edge in ("fat", "bone"):
            assert value(rows, "edge_steepness", edge, variant) == pytest.approx(15, rel=1e-5)


def test_a_gain_moves_level_and_contrast_of_the_source_and_nothing_else():
    one, two = rows_of(source=mr()), rows_of(source=2.5 * mr())
    for metric in SOURCE_FEATURES:
        factor = 2.5 if metric in ("source_level", "source_span") else 1
        assert value(two, metric) == pytest.approx(factor * value(one, metric), rel=1e-3), metric


def test_the_source_in_hu_counts_its_signal_from_air():
    rows = rows_of(source=ct(), quantity="HU")
    inside = ct()[MASK]
    assert value(rows, "source_level") == pytest.approx(np.median(inside) + 1000)
    assert value(rows, "tissue_hu", "fat", "source") == pytest.approx(-100)


def test_unevenness_is_the_spread_of_the_field_that_was_laid_over_the_source():
    """A linear field of ±20 % has a standard deviation of 0.2 / √3 = 11.5 %."""
    across = np.linspace(0.8, 1.2, 36)
    field = np.ones(SHAPE, dtype=np.float32)
    field[6:42] = across[:, None, None]
    even, uneven = rows_of(source=mr()), rows_of(source=mr() * field)
    assert value(even, "source_unevenness") < 0.5
    assert value(uneven, "source_unevenness") == pytest.approx(100 * across.std(), rel=0.08)


def test_blur_takes_sharpness_and_noise_from_the_source():
    from scipy.ndimage import gaussian_filter

    sharp, soft = rows_of(source=mr()), rows_of(source=gaussian_filter(mr(), (1.5, 1.5, 0)))
    assert value(soft, "source_sharpness") < 0.6 * value(sharp, "source_sharpness")
    assert value(soft, "source_noise") < 0.5 * value(sharp, "source_noise")


def test_what_was_not_scanned_is_not_looked_at():
    coverage = np.ones(SHAPE, dtype=bool)
    coverage[:20] = False
    padded = ct()
    padded[:20] = -2000
    told = rows_of(padded, coverage=coverage)
    for tissue in ("air", "fat", "muscle"):
        expected = {"air": -1000, "fat": -100, "muscle": 50}[tissue]
        assert value(told, "tissue_hu", tissue, "reference") == pytest.approx(expected)


def test_an_image_that_is_not_finite_says_so_and_leaves_the_others():
    broken = ct()
    broken[20, 20, 10] = np.nan
    rows = rows_of(synthetic=broken, source=mr())
    for (metric, _, variant), row in rows.items():
        assert row.status == ("error" if variant == "synthetic" else "ok"), (metric, variant)


def test_a_flat_source_and_none_at_all_are_undefined():
    for source in (None, np.full(SHAPE, 7, dtype=np.float32)):
        row = rows_of(source=source)["source_noise", "body", "default"]
        assert (row.status, row.value) == ("undefined", None) and row.why


def test_what_training_registers_is_what_an_evaluation_measures():
    rows = rows_of(source=mr())
    assert {feature.key for feature in FEATURES["source"]} == set(REGISTERED)
    for features in FEATURES.values():
        for feature in features:
            assert (feature.metric, feature.region, feature.variant) in rows
    told = describe_source(Volume(array=mr(), grid=GRID, quantity="arbitrary"), MASK)
    for metric, expected in told.items():
        assert value(rows, metric) == expected
    assert voxel_sizes(GRID) == {"in_plane": pytest.approx(2.0), "slice": 3.0}
