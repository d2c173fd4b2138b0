"""Schedules, samplers and paths against what is known of them by formula."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from translators.networks.noising import (
    bridge_sd,
    chosen_times,
    clean_from,
    ddim_step,
    ddpm_step,
    each,
    euler,
    even_times,
    noise_from,
    noise_levels,
    noised,
    on_path,
    sample,
    walk_bridge,
    wanted,
)

SCHEDULES = ("linear", "cosine")
KINDS = ("epsilon", "v", "x0")


def _normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _no_noise() -> torch.Tensor:
    raise AssertionError("this sampler needs no fresh noise")


# ------------------------------------------------------------------ forward process


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [2, 10, 1000])
def test_levels_fall_from_one_to_nearly_zero(schedule: str, steps: int) -> None:
    levels = noise_levels(schedule, steps)  # type: ignore[arg-type]
    assert levels.shape == (steps + 1,) and levels[0] == 1
    assert np.all(np.diff(levels) < 0) and 0 < levels[-1] < (0.01 if steps > 2 else 0.3)


def test_the_schedules_are_those_of_their_papers() -> None:
    beta = np.linspace(1e-4, 0.02, 1000)
    np.testing.assert_allclose(noise_levels("linear", 1000)[1:], np.cumprod(1 - beta), rtol=1e-10)
    t = np.arange(1, 991)  # the last steps are held back, beta < 0.999
    f = np.cos((np.array([0, *t]) / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2
    np.testing.assert_allclose(noise_levels("cosine", 1000)[1:991], f[1:] / f[0], rtol=1e-10)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_forward_process_keeps_the_variance(schedule: str) -> None:
    clean, noise = _normal(200_000), _normal(200_000, seed=1)
    levels = noise_levels(schedule, 1000)  # type: ignore[arg-type]
    for time in (1, 100, 500, 999):
        noisy = noised(clean, noise, float(levels[time]))
        assert float(noisy.var()) == pytest.approx(1, abs=0.02)
        share = float((noisy * clean).mean()) ** 2
        assert share == pytest.approx(levels[time], abs=0.02)


def test_one_step_after_the_other_gives_what_one_leap_gives() -> None:
    levels = noise_levels("linear", 20)
    generator = torch.Generator().manual_seed(0)
    image = torch.full((100_000,), 2.0, dtype=torch.float64)
    for time in range(1, 21):
        kept = float(levels[time] / levels[time - 1])
        fresh = torch.randn(image.shape, generator=generator, dtype=torch.float64)
        image = math.sqrt(kept) * image + math.sqrt(1 - kept) * fresh
    assert float(image.mean()) == pytest.approx(2 * math.sqrt(levels[20]), abs=0.02)
    assert float(image.var()) == pytest.approx(1 - levels[20], abs=0.02)


def test_even_times_cover_the_range_and_each_is_uniform() -> None:
    torch.manual_seed(0)
    drawn = torch.stack([even_times(4, 100, torch.device("cpu")) for _ in range(3000)])
    assert int(drawn.min()) == 1 and int(drawn.max()) == 100
    quarters = (drawn - 1) // 25
    assert all(sorted(row) == [0, 1, 2, 3] for row in quarters.tolist())
    assert torch.bincount(drawn.flatten(), minlength=101)[1:].float().std() < 25


# ------------------------------------------------------------------ predictions


@pytest.mark.parametrize("kind", KINDS)
@given(level=st.floats(1e-3, 1 - 1e-3), seed=st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_every_prediction_leads_back_to_clean_and_noise(kind: str, level: float, seed: int) -> None:
    clean, noise = _normal(3, 1, 4, 4, seed=seed), _normal(3, 1, 4, 4, seed=seed + 100)
    noisy = noised(clean, noise, level)
    aim = wanted(kind, clean, noise, level)  # type: ignore[arg-type]
    back = clean_from(kind, aim, noisy, level)  # type: ignore[arg-type]
    torch.testing.assert_close(back, clean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(noise_from(back, noisy, level), noise, rtol=1e-5, atol=1e-5)


def test_levels_of_single_samples_broadcast() -> None:
    clean, noise = torch.ones(2, 1, 3, 3), torch.zeros(2, 1, 3, 3)
    noisy = noised(clean, noise, each(torch.tensor([0.25, 0.81]), clean))
    torch.testing.assert_close(noisy[:, 0, 0, 0], torch.tensor([0.5, 0.9]))


# ------------------------------------------------------------------ samplers


@given(last=st.integers(2, 1000), share=st.floats(0.001, 1))
@settings(max_examples=60, deadline=None)
def test_chosen_times_begin_at_the_last_and_never_repeat(last: int, share: float) -> None:
    count = max(1, round(last * share))
    times = chosen_times(last, count)
    assert len(times) == count and times[0] == last and times[-1] >= 1
    assert all(a > b for a, b in itertools.pairwise(times))


def test_all_steps_are_all_times() -> None:
    assert chosen_times(7, 7) == [7, 6, 5, 4, 3, 2, 1]
    assert chosen_times(1000, 1) == [1000] and chosen_times(1000, 4) == [1000, 750, 500, 250]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("count", [1, 2, 7, 50])
def test_ddim_with_the_exact_clean_image_recovers_it(schedule: str, count: int) -> None:
    clean = _normal(2, 1, 8, 8)
    levels = noise_levels(schedule, 50)  # type: ignore[arg-type]
    times: list[int] = []

    def exact(noisy: torch.Tensor, time: int) -> torch.Tensor:
        times.append(time)
        return clean

    found = sample(
        exact, _normal(2, 1, 8, 8, seed=1), levels, count, sampler="ddim", draw=_no_noise
    )
    torch.testing.assert_close(found, clean)
    assert times == chosen_times(50, count)


def test_ddim_stays_on_the_line_between_clean_and_noise() -> None:
    clean, noise = _normal(5), _normal(5, seed=1)
    found = ddim_step(clean, noised(clean, noise, 0.3), 0.3, 0.8)
    torch.testing.assert_close(found, noised(clean, noise, 0.8))


@given(pair=st.tuples(st.floats(1e-4, 0.98), st.floats(1e-4, 0.98)).filter(lambda p: p[0] < p[1]))
@settings(max_examples=60, deadline=None)
def test_the_ddpm_step_is_the_posterior(pair: tuple[float, float]) -> None:
    """Against Bayes: the product of N(x_s; √ᾱ_s x₀, 1 − ᾱ_s) and N(x_t; √α x_s, 1 − α)."""
    level, following = pair
    alpha, clean, noisy = level / following, 0.7, -1.3
    precision = 1 / (1 - following) + alpha / (1 - alpha)
    mean = (
        math.sqrt(following) * clean / (1 - following) + math.sqrt(alpha) * noisy / (1 - alpha)
    ) / precision
    one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    middle = ddpm_step(clean * one, noisy * one, level, following, zero)
    spread = ddpm_step(clean * one, noisy * one, level, following, one) - middle
    assert float(middle) == pytest.approx(mean, rel=1e-6, abs=1e-9)
    assert float(spread) == pytest.approx(math.sqrt(1 / precision), rel=1e-6)


def test_ddim_with_all_the_noise_is_ddpm() -> None:
    clean, noisy, noise = _normal(6), _normal(6, seed=1), _normal(6, seed=2)
    torch.testing.assert_close(
        ddim_step(clean, noisy, 0.2, 0.5, noise, eta=1.0), ddpm_step(clean, noisy, 0.2, 0.5, noise)
    )


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_samplers_reach_the_distribution_that_the_best_denoiser_knows(sampler: str) -> None:
    """Clean images are N(3, 0.5²): the posterior mean is known, and so must the samples be."""
    levels = noise_levels("cosine", 200)

    def best(noisy: torch.Tensor, time: int) -> torch.Tensor:
        level = float(levels[time])
        gain = 0.25 * math.sqrt(level) / (0.25 * level + 1 - level)
        return 3 + gain * (noisy - math.sqrt(level) * 3)

    generator = torch.Generator().manual_seed(3)
    start = _normal(40_000, seed=4)
    found = sample(
        best,
        start,
        levels,
        200,
        sampler=sampler,
        draw=lambda: torch.randn(40_000, generator=generator, dtype=torch.float64),
    )
    assert float(found.mean()) == pytest.approx(3, abs=0.02)
    assert float(found.std()) == pytest.approx(0.5, abs=0.03)


def test_an_unknown_sampler_is_an_error() -> None:
    levels = noise_levels("linear", 5)
    with pytest.raises(ValueError, match="'euler'; known: ddpm, ddim"):
        sample(lambda x, t: x, _normal(2), levels, 2, sampler="euler", draw=_no_noise)


# ------------------------------------------------------------------ paths


@pytest.mark.parametrize("count", [1, 3, 10])
def test_the_exact_velocity_arrives_in_any_number_of_steps(count: int) -> None:
    start, end = _normal(2, 1, 5, 5), _normal(2, 1, 5, 5, seed=1)
    seen: list[float] = []

    def exact(image: torch.Tensor, time: float) -> torch.Tensor:
        torch.testing.assert_close(image, on_path(start, end, time))
        seen.append(time)
        return end - start

    torch.testing.assert_close(euler(exact, start, count), end)
    assert seen == [n / count for n in range(count)]


@pytest.mark.parametrize("count", [1, 2, 9])
def test_a_brownian_bridge_ends_exactly(count: int) -> None:
    start, end = _normal(4), _normal(4, seed=1)
    generator = torch.Generator().manual_seed(0)
    found = walk_bridge(
        lambda image, time: end - start,
        start,
        count,
        halfway=0.5,
        draw=lambda: torch.randn(4, generator=generator, dtype=torch.float64),
    )
    torch.testing.assert_close(found, end)


def test_a_brownian_bridge_has_its_variance_on_the_way() -> None:
    count, halfway = 8, 0.7
    start = torch.zeros(60_000, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    spread: dict[float, float] = {}

    def watch(image: torch.Tensor, time: float) -> torch.Tensor:
        spread[time] = float(image.std())
        assert float(image.mean()) == pytest.approx(2 * time, abs=0.02)
        return torch.full_like(image, 2.0)

    walk_bridge(
        watch,
        start,
        count,
        halfway=halfway,
        draw=lambda: torch.randn(60_000, generator=generator, dtype=torch.float64),
    )
    for time, found in spread.items():
        assert found == pytest.approx(bridge_sd(time, halfway), abs=0.01)
    assert bridge_sd(0.5, halfway) == pytest.approx(halfway)
    assert bridge_sd(0.0, halfway) == bridge_sd(1.0, halfway) == 0
