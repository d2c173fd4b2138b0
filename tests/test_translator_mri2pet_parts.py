"""What MR to PET is built of: the scale of SUV, the Laplacian pyramid, moments and style."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qa_suite.core.arrays import Float32Array
from translators.data import from_unit, to_unit, valued
from translators.spec import TargetSpec
from translators.training.pyramid import halved, laplacian, pyramid_error, rebuilt
from translators.training.style import Style, moments

SUV = TargetSpec(modality="PT", quantity="SUVbw", low=0, high=60, outside=0, transform="sqrt")


# ------------------------------------------------------------------ the scale of SUV


def test_the_root_scale_goes_there_and_back_and_clips_at_its_window() -> None:
    suv = np.array([0.0, 0.6, 2.4, 15.0, 60.0], dtype=np.float32)
    unit = to_unit(suv, SUV)
    np.testing.assert_allclose(unit, [-1, -0.8, -0.6, 0, 1], atol=1e-6)
    np.testing.assert_allclose(from_unit(unit, SUV), suv, atol=1e-5)
    np.testing.assert_allclose(valued(torch.from_numpy(unit), SUV).numpy(), suv, atol=1e-5)
    assert to_unit(np.array([-1.0, 90.0], dtype=np.float32), SUV).tolist() == [-1, 1]
    assert from_unit(np.array([-3.0, 1.5], dtype=np.float32), SUV).tolist() == [0, 60]
    assert SUV.model_copy(update={"centre": 0.6}).unit_centre == pytest.approx(-0.8)
    with pytest.raises(ValueError, match="transform belongs to scale absolute"):
        TargetSpec(
            quantity="arbitrary", low=0, high=1, outside=0, transform="sqrt", scale="percentile"
        )


# ------------------------------------------------------------------ Laplacian pyramid


SHAPES = [(2, 1, 16, 12), (1, 1, 33, 17), (1, 1, 20, 24, 3), (1, 1, 21, 24, 7)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_pyramid_is_rebuilt_exactly_and_equal_images_have_no_error(
    shape: tuple[int, ...],
) -> None:
    image = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    bands = laplacian(image, 3)
    assert len(bands) == 4 and bands[0].shape == image.shape
    assert bands[1].shape[2] == (shape[2] + 1) // 2
    torch.testing.assert_close(rebuilt(bands), image, atol=1e-6, rtol=0)
    assert float(pyramid_error(image, image, torch.ones(shape), 3)) == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_a_wrong_level_is_seen_by_what_remains_alone(shape: tuple[int, ...]) -> None:
    image, weight = torch.randn(shape), torch.ones(shape)
    bands = laplacian(torch.full(shape, 2.0), 3)
    assert all(float(band.abs().max()) < 1e-5 for band in bands[:-1])
    assert float(pyramid_error(image + 2, image, weight, 3)) == pytest.approx(2 / 4, rel=1e-4)


def test_detail_lives_in_the_finest_band_and_a_slope_does_not() -> None:
    checkers = torch.ones(1, 1, 32, 32)
    checkers[..., ::2, 1::2] = checkers[..., 1::2, ::2] = -1
    fine = [float(band[..., 4:-4, 4:-4].abs().mean()) for band in laplacian(checkers, 2)[:1]]
    assert fine[0] == pytest.approx(1, abs=1e-5)
    slope = torch.arange(32.0).expand(1, 1, 32, 32)
    assert float(laplacian(slope, 2)[0][..., 4:-4, 4:-4].abs().max()) < 1e-5
    assert float(halved(slope)[0, 0, 0, 8]) == pytest.approx(16.5)


def test_what_weighs_nothing_is_not_counted() -> None:
    image, weight = torch.zeros(1, 1, 64, 64), torch.zeros(1, 1, 64, 64)
    weight[..., :16] = 1
    changed = image.clone()
    changed[..., 48:] = 5
    assert float(pyramid_error(changed, image, weight, 2)) == 0
    assert float(pyramid_error(changed, image, 1 - weight, 2)) > 0.1


# ------------------------------------------------------------------ pseudo-PET


def _slices(seed: int, count: int = 3) -> torch.Tensor:
    return torch.randn(count, 1, 64, 56, generator=torch.Generator().manual_seed(seed))


def _volume(slices: torch.Tensor) -> Float32Array:
    return np.ascontiguousarray(slices[:, 0].numpy().transpose(1, 2, 0))


def test_moments_are_those_of_all_voxels_in_the_mask() -> None:
    features = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    mask = (torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(3)) > 0.4).float()
    ((mean, covariance),) = moments([features], mask)
    inside = features.permute(1, 0, 2, 3)[:, mask[:, 0] > 0].numpy()
    np.testing.assert_allclose(mean, inside.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(covariance, np.cov(inside, ddof=0), atol=1e-5)


def test_an_image_is_in_its_own_style_and_another_is_not() -> None:
    image, mask = _slices(1), torch.ones(3, 1, 64, 56)
    style = Style.of([(_volume(image), _volume(mask) > 0)])
    assert float(style.distance(image, mask)) == pytest.approx(0, abs=1e-6)
    for other in (image + 1, 2 * image, torch.nn.functional.avg_pool2d(image, 3, 1, 1)):
        assert float(style.distance(other, mask)) > 0.01
    # where things stand is content, not style
    assert float(style.distance(image.roll(7, 2), mask)) < 0.005


def test_the_style_of_several_images_is_that_of_all_their_voxels() -> None:
    one, two = _slices(1), 2 * _slices(2, 5) + 1
    mask = torch.ones(8, 1, 64, 56)
    apart = Style.of([(_volume(i), np.ones((64, 56, len(i)), dtype=bool)) for i in (one, two)])
    both = torch.cat([one, two])
    together = Style.of([(_volume(both), _volume(mask) > 0)])
    for (a, b), (c, d) in zip(apart.moments, together.moments, strict=True):
        torch.testing.assert_close(a, c, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(b, d, atol=1e-4, rtol=1e-4)


def test_an_edge_may_turn_round_and_may_not_vanish() -> None:
    style = Style.of([(_volume(_slices(1)), np.ones((64, 56, 3), dtype=bool))])
    source = torch.zeros(1, 1, 24, 20)
    source[:, :, 12:] = 1
    mask = torch.ones_like(source)
    kept = float(style.edge_loss(3 * source, source, mask))
    assert float(style.edge_loss(-3 * source, source, mask)) == pytest.approx(kept, rel=1e-5)
    assert kept < 0.15
    assert float(style.edge_loss(torch.zeros_like(source), source, mask)) == pytest.approx(1)
    across = torch.zeros_like(source)
    across[..., 10:] = 3
    assert float(style.edge_loss(across, source, mask)) > 0.8
