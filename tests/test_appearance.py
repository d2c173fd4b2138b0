"""What an image looks like, on blocks of tissue whose answer is known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.volume import Grid, Volume
from qa_suite.imaging.appearance import describe_source, voxel_sizes
from qa_suite.imaging.embedding import EMBEDDING, LOOKS, describe_looks, embed_source
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
    for metric, region in LOOKS:
        factor = 2.5 if metric in ("source_level", "source_span") else 1
        told = factor * value(one, metric, region)
        assert value(two, metric, region) == pytest.approx(told, rel=1e-3), metric


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
        rows = rows_of(source=source)
        for metric, region in {
            key for key in LOOKS if key[0] not in ("source_level", "source_span")
        }:
            row = rows[metric, region, "default"]
            assert (row.status, row.value) == ("undefined", None) and row.why


def block(array: np.ndarray, spacing=(1.0, 1.0, 3.0)) -> Volume:
    grid = Grid(shape=array.shape, spacing_mm=spacing)
    return Volume(array=array.astype(np.float32), grid=grid, quantity="arbitrary")


def looks(volume: Volume) -> dict:
    return describe_looks(volume, np.ones(volume.array.shape, dtype=bool))


def test_texture_of_a_ramp_grows_with_the_distance_and_that_of_white_noise_does_not():
    """Of a ramp along x of 1/mm half of all pairs differ by the distance, those along y by none.

    Its span is 90 % of its 100 mm, so pairs 8 mm apart differ by 8 / 90 / sqrt(2) = 6.29 %.
    """
    x = np.broadcast_to(np.linspace(0, 100, 101)[:, None, None], (101, 101, 6))
    for mm in (2, 4, 8):
        expected = 100 * mm / 90 / np.sqrt(2)
        assert looks(block(x))["source_texture", f"{mm}mm"] == pytest.approx(expected, rel=0.03)
    noise = np.random.default_rng(4).normal(100, 10, (96, 96, 8))
    span = 2 * 1.6449 * 10
    for mm in (2, 4, 8, 16):
        expected = 100 * np.sqrt(2) * 10 / span
        assert looks(block(noise))["source_texture", f"{mm}mm"] == pytest.approx(expected, rel=0.03)


def test_texture_is_of_distances_in_mm_whatever_the_voxel():
    """Every second voxel of a smooth image tells the same; slices along z are never compared."""
    rng = np.random.default_rng(8)
    waves = sum(np.cos(np.add.outer(np.arange(192) * a, np.arange(192) * b))
                for a, b in rng.normal(0, 0.12, (12, 2)))  # fmt: skip
    stack = waves[:, :, None] + 100 * np.zeros(6)
    fine, coarse = looks(block(stack)), looks(block(stack[::2, ::2], (2.0, 2.0, 3.0)))
    for mm in (4, 8, 16):
        key = ("source_texture", f"{mm}mm")
        assert coarse[key] == pytest.approx(fine[key], rel=0.03), mm
    moved = stack + np.arange(6) * 1e-9
    assert looks(block(moved))["source_texture", "4mm"] == pytest.approx(
        fine["source_texture", "4mm"], rel=1e-5
    )


def test_the_shape_is_that_of_percentiles_between_the_ends():
    """Values of 0 to 1 drawn evenly: the 25th percentile lies (0.25 - 0.05) / 0.9 of the way."""
    even = np.random.default_rng(2).permutation(np.linspace(0, 1, 48000)).reshape(40, 40, 30)
    for at in (10, 25, 75, 90):
        expected = (at / 100 - 0.05) / 0.9
        assert looks(block(even))["source_shape", f"p{at}"] == pytest.approx(expected, abs=1e-3)


def test_the_embedding_tells_every_number_in_its_order():
    volume = Volume(array=mr(), grid=GRID, quantity="arbitrary")
    assert tuple(embed_source(volume, MASK)) == EMBEDDING


def test_what_training_registers_is_what_an_evaluation_measures():
    rows = rows_of(source=mr())
    assert {feature.key for feature in FEATURES["source"]} == set(REGISTERED)
    for features in FEATURES.values():
        for feature in features:
            assert (feature.metric, feature.region, feature.variant) in rows
    volume = Volume(array=mr(), grid=GRID, quantity="arbitrary")
    told = {(metric, "body"): one for metric, one in describe_source(volume, MASK).items()}
    for (metric, region), expected in (told | embed_source(volume, MASK)).items():
        assert value(rows, metric, region) == expected
    assert voxel_sizes(GRID) == {"in_plane": pytest.approx(2.0), "slice": 3.0}
