"""Samplers and sliding windows beside MONAI's: equal where it can do the same; where it cannot."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler

from translators.networks.noising import (
    chosen_times,
    clean_from,
    ddim_step,
    ddpm_step,
    noise_levels,
)
from translators.networks.sliding import _ramp, _starts, slide
from translators.spec import InferenceSpec, NetworkSpec

SCHEDULES = {"linear": "linear_beta", "cosine": "cosine"}
KINDS = {"epsilon": "epsilon", "v": "v_prediction", "x0": "sample"}
STEPS = 1000
FLOAT32 = 5e-4
"""MONAI keeps ᾱ and its roots in float32; near times 0 and T that is felt in the fourth place."""


def _normal(seed: int) -> torch.Tensor:
    return torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def _far(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_levels_of_noise_are_monais(schedule: str) -> None:
    theirs = DDIMScheduler(num_train_timesteps=STEPS, schedule=SCHEDULES[schedule])
    mine = noise_levels(schedule, STEPS)[1:]  # type: ignore[arg-type]
    np.testing.assert_allclose(theirs.alphas_cumprod.numpy(), mine, rtol=0, atol=1e-6)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_monais_where_the_stride_is_one_that_it_takes(schedule: str, kind: str) -> None:
    levels, noisy = noise_levels(schedule, STEPS), _normal(0)  # type: ignore[arg-type]
    how = {
        "num_train_timesteps": STEPS,
        "schedule": SCHEDULES[schedule],
        "prediction_type": KINDS[kind],
        "clip_sample": False,
    }
    ddim, ddpm = DDIMScheduler(**how), DDPMScheduler(**how)
    ddim.set_timesteps(20)
    for time in range(60, STEPS + 1, 47):
        found, level = _normal(time), float(levels[time])
        clean = clean_from(kind, found, noisy, level)  # type: ignore[arg-type]
        for eta in (0.0, 1.0):
            theirs, _ = ddim.step(
                found, time - 1, noisy, eta=eta, generator=torch.Generator().manual_seed(time)
            )
            mine = ddim_step(
                clean,
                noisy,
                level,
                float(levels[time - 50]),
                _normal(time) if eta else None,
                eta=eta,
            )
            assert _far(mine, theirs) < FLOAT32
        theirs, _ = ddpm.step(found, time - 1, noisy, torch.Generator().manual_seed(time))
        mine = ddpm_step(clean, noisy, level, float(levels[time - 1]), _normal(time))
        assert _far(mine, theirs) < FLOAT32


@pytest.mark.parametrize("count", [3, 4, 20])
def test_monais_ddim_steps_to_other_times_than_it_visits(count: int) -> None:
    """Its times lie evenly between T - 1 and 0, and each step goes back by T // count."""
    theirs = DDIMScheduler(num_train_timesteps=STEPS)
    theirs.set_timesteps(count)
    reached = (theirs.timesteps - STEPS // count)[:-1]
    assert not torch.equal(reached, theirs.timesteps[1:])
    assert chosen_times(STEPS, 4) == [1000, 750, 500, 250]


def _three(patch: tuple[int, int, int], overlap: float) -> tuple[NetworkSpec, InferenceSpec]:
    return (
        NetworkSpec(dimensions="3D", channels=(8, 8, 8)),
        InferenceSpec(patch=patch, overlap=overlap, batch=3),
    )


def _slid(image: np.ndarray, patch: tuple[int, int, int], overlap: float) -> list[np.ndarray]:
    network, settings = _three(patch, overlap)

    def bent(windows: torch.Tensor) -> torch.Tensor:
        place = torch.linspace(-1, 1, windows.shape[2])[:, None, None]
        return windows.tanh() + place  # depends on where in its window a voxel lies

    mine = slide(image, network, settings, lambda windows, noise: bent(windows))
    theirs = sliding_window_inference(
        torch.from_numpy(image)[None, None],
        patch,
        3,
        bent,
        overlap=overlap,
        roi_weight_map=torch.from_numpy(_ramp(list(patch)))[None, None],
    )
    return [mine, theirs.numpy()[0, 0]]


def test_windows_are_monais_where_they_lie_at_the_same_places() -> None:
    image = np.random.default_rng(1).standard_normal((32, 16, 8)).astype(np.float32)
    mine, theirs = _slid(image, (16, 16, 8), 0.5)
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)


def test_monai_pushes_its_last_window_back_where_ours_lie_evenly() -> None:
    assert _starts(36, 16, 0.25) == [0, 10, 20]  # MONAI: 0, 12, 20
    image = np.random.default_rng(1).standard_normal((36, 16, 8)).astype(np.float32)
    mine, theirs = _slid(image, (16, 16, 8), 0.25)
    assert np.abs(mine - theirs).max() > 0.1
