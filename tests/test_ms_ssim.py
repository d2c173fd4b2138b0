"""The masked MS-SSIM: its plain definition, and what must not change it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from monai.metrics.regression import MultiScaleSSIMMetric
from scipy import ndimage

from qa_suite.metrics.base import NoValue
from qa_suite.metrics.image.ms_ssim import Scale, halved, ms_ssim_of, shortest_axis
from qa_suite.metrics.image.settings import MS_SSIM_WEIGHTS

RANGE = 4024.0


def smooth(rng, shape, sigma=2.0, width=400.0):
    array = ndimage.gaussian_filter(rng.normal(size=shape), sigma)
    return 1500 + width * array / array.std()


def scene(seed, shape):
    """Two alike images and a mask of any form, two of whose slices are empty."""
    rng = np.random.default_rng(seed)
    first = smooth(rng, shape)
    second = first + smooth(rng, shape, sigma=1.0, width=150.0) - 1500
    first[:, :, :2], second[:, :, :2] = 0, 0
    mask = ndimage.gaussian_filter(rng.normal(size=shape), 4) > -0.03
    mask[0, 0, 0] = mask[-1, -1, -1] = True
    return first, second, mask


def measured(first, second, mask, **changes):
    images = [np.where(mask, np.clip(a, 0, RANGE), 0).astype(np.float32) for a in (first, second)]
    return ms_ssim_of(*images, mask, **{"data_range": RANGE, "weights": MS_SSIM_WEIGHTS, **changes})


# --- the definition, once more


def overlaps(size):
    """How much of every voxel lies in every cell twice as long, cells centred on the axis."""
    cells = (size + 1) // 2
    start = (size - 2 * cells) / 2  # of the first cell, in voxels from the first one's face
    table = np.zeros((cells, size))
    for cell, voxel in itertools.product(range(cells), range(size)):
        left = start + 2 * cell
        table[cell, voxel] = max(0.0, min(left + 2, voxel + 1) - max(left, voxel))
    return table


def pooled(array):
    tables = [overlaps(n) for n in array.shape]
    return np.einsum("ai,bj,ck,ijk->abc", *tables, array, optimize=True) / 8


def plain(first, second, mask, weights, window=7):
    """By numpy alone, over everything that is in the mask's box."""
    where = np.argwhere(mask)
    box = tuple(slice(a, b + 1) for a, b in zip(where.min(0), where.max(0), strict=True))
    share = mask[box].astype(float)
    x, y = (np.clip(a, 0, RANGE)[box] * share for a in (first, second))
    c1, c2, result = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2, 1.0

    def around(array):
        return ndimage.uniform_filter(array, window, mode="constant")

    for scale, weight in enumerate(weights):
        part = np.maximum(around(share), 1e-9)
        ux, uy, xx, yy, xy = (around(share * a) / part for a in (x, y, x * x, y * y, x * y))
        values = (2 * (xy - ux * uy) + c2) / (xx - ux**2 + yy - uy**2 + c2)
        if scale == len(weights) - 1:
            values *= (2 * ux * uy + c1) / (ux**2 + uy**2 + c1)
        result *= max(np.average(values, weights=share), 0) ** weight
        coarse = pooled(share)
        x, y = (pooled(share * a) / np.maximum(coarse, 1e-12) for a in (x, y))
        share = coarse
    return result


@pytest.mark.parametrize(
    ("shape", "window", "weights"),
    [
        ((34, 37, 35), 7, MS_SSIM_WEIGHTS),
        ((33, 41, 64), 5, MS_SSIM_WEIGHTS),
        ((20, 17, 12), 7, (0.4, 0.35, 0.25)),
        ((9, 8, 7), 3, (1.0,)),
    ],
)
def test_it_is_its_plain_definition(shape, window, weights):
    first, second, mask = scene(7, shape)
    found = measured(first, second, mask, window=window, weights=weights)
    assert found == pytest.approx(plain(first, second, mask, weights, window), abs=2e-6)
    assert 0.2 < found < 0.995


def test_halving_a_full_even_image_is_average_pooling():
    array = np.random.default_rng(1).random((12, 8, 10)).astype(np.float32)
    coarse = halved(Scale(array, array, np.ones(array.shape, dtype=np.float32)))
    expected = torch.nn.functional.avg_pool3d(torch.from_numpy(array)[None, None], 2)[0, 0]
    np.testing.assert_allclose(coarse.first, expected, atol=1e-6)
    assert (coarse.share == 1).all()


def test_halving_an_odd_axis_by_hand():
    """Cells around the first, third and fifth voxel; the outer ones are three quarters full."""
    line = np.array([4.0, 8.0, 2.0, 6.0, 10.0], dtype=np.float32).reshape(5, 1, 1)
    coarse = halved(Scale(line, line, np.ones_like(line)))
    expected = [(4 + 0.5 * 8) / 1.5, (0.5 * 8 + 2 + 0.5 * 6) / 2, (0.5 * 6 + 10) / 1.5]
    np.testing.assert_allclose(coarse.first.ravel(), expected, rtol=1e-6)
    # the two other axes have one voxel, which lies half in its cell
    np.testing.assert_allclose(coarse.share.ravel(), np.array([1.5, 2, 1.5]) / 8)


def test_one_window_around_all_is_the_formula_by_hand():
    """A window wider than the mask, one scale: SSIM of the whole."""
    rng = np.random.default_rng(3)
    x, y = (rng.random((4, 5, 6)) * 3000 for _ in range(2))
    mask = rng.random(x.shape) < 0.6
    mask[0, 0, 0] = mask[-1, -1, -1] = True
    a, b = (np.float32(v[mask]).astype(float) for v in (x, y))
    c1, c2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
    covariance = np.cov(a, b, bias=True)
    expected = (2 * a.mean() * b.mean() + c1) / (a.mean() ** 2 + b.mean() ** 2 + c1)
    expected *= (2 * covariance[0, 1] + c2) / (covariance.trace() + c2)
    found = measured(x, y, mask, window=13, weights=(1.0,))
    assert found == pytest.approx(max(expected, 0), abs=1e-9)


def test_two_constants_see_luminance_once():
    a, b, c1 = 1024.0, 1124.0, (0.01 * RANGE) ** 2
    mask = np.random.default_rng(0).random((40, 36, 33)) < 0.5
    luminance = (2 * a * b + c1) / (a * a + b * b + c1)
    found = measured(np.full(mask.shape, a), np.full(mask.shape, b), mask)
    assert found == pytest.approx(luminance**0.1333, abs=1e-6)


def test_it_is_monais_but_for_the_edge():
    """MONAI leaves out the windows at the edge, 3 of 64 voxels; here they are cut to the mask."""
    rng = np.random.default_rng(5)
    first = (smooth(rng, (112, 112, 112), sigma=3.0) / RANGE).astype(np.float32)
    second = np.clip(first + rng.normal(0, 0.05, first.shape), 0, 1).astype(np.float32)
    monai = MultiScaleSSIMMetric(
        spatial_dims=3, data_range=1, kernel_type="uniform", kernel_size=7, weights=(0.5, 0.3, 0.2)
    )
    theirs = float(monai(*(torch.from_numpy(a)[None, None] for a in (first, second))))
    mask = np.ones(first.shape, dtype=bool)
    ours = ms_ssim_of(first, second, mask, data_range=1, weights=(0.5, 0.3, 0.2))
    assert ours == pytest.approx(theirs, abs=5e-3)


# --- what must not change it


@pytest.mark.parametrize("shape", [(33, 34, 35), (36, 37, 38), (64, 64, 61), (47, 33, 49)])
def test_flips_and_permutations(shape):
    images = scene(sum(shape), shape)
    before = measured(*images)
    for axes in [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]:
        flipped = [np.flip(a, axes) for a in images]
        assert measured(*flipped) == pytest.approx(before, abs=1e-6), axes
    for order in itertools.permutations(range(3)):
        turned = [np.transpose(a, order) for a in images]
        assert measured(*turned) == pytest.approx(before, abs=1e-6), order


@pytest.mark.parametrize("seed", range(6))
def test_air_around_the_mask_and_the_cut_to_its_box(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(33, 50, 3))
    first, second, mask = scene(seed, shape)
    before = measured(first, second, mask)
    pads = [tuple(int(n) for n in rng.integers(0, 40, 2)) for _ in range(3)]
    around = [np.pad(a, pads) for a in (first, second, mask)]
    assert measured(*around) == before
    other = [np.where(mask, a, rng.random(shape) * 4000) for a in (first, second)]
    assert measured(*other, mask) == before  # nor does what lies outside
    small = mask & (np.indices(shape) >= 2).all(axis=0) if min(shape) > 36 else mask
    where = np.argwhere(small)
    box = tuple(slice(a, b + 1) for a, b in zip(where.min(0), where.max(0), strict=True))
    whole, cut = measured(first, second, small), measured(first[box], second[box], small[box])
    assert whole == cut


def test_identical_images_are_alike_to_the_end():
    first, _, mask = scene(2, (40, 41, 42))
    assert measured(first, first, mask) == pytest.approx(1, abs=1e-9)


def test_more_blur_and_more_noise_are_less_alike():
    first, _, mask = scene(4, (40, 44, 39))
    noise = np.random.default_rng(4).normal(size=first.shape)
    noisy = [measured(first, first + s * noise, mask) for s in (0, 20, 60, 200, 600)]
    blurred = [measured(first, ndimage.gaussian_filter(first, s), mask) for s in (0, 0.5, 1, 2, 4)]
    for values in (noisy, blurred):
        assert values == sorted(values, reverse=True)
        assert values[0] - values[-1] > 0.05


# --- what it cannot carry


def test_a_grid_that_cannot_carry_the_scales_has_none():
    assert [shortest_axis(scales) for scales in (1, 2, 5)] == [3, 5, 33]
    first, second, mask = scene(6, (40, 40, 40))
    for axis, span in ((0, 32), (2, 20)):
        thin = np.zeros_like(mask)
        thin[tuple(slice(3, 3 + span) if n == axis else slice(None) for n in range(3))] = True
        found = measured(first, second, thin)
        assert isinstance(found, NoValue)
        assert f"{span}" in found.why and "33 along every axis" in found.why
        assert measured(first, second, thin, weights=(0.5, 0.5)) > 0
    just = np.zeros_like(mask)
    just[3:36, 3:36, 3:36] = True
    assert measured(first, second, just) > 0
