"""Noise schedules, what a denoiser predicts, samplers and paths: plain functions of tensors.

A network, its loss and its sampler are three separate things, as Karras 2022 ("Elucidating the
design space of diffusion-based generative models", arXiv:2206.00364) laid them out. What passes
between them is the *clean* image x₀, the *noisy* image x_t and the *level* ᾱ_t, the share of
the clean image in the variance: x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε. All on a scale on which an image has
a standard deviation of about one.

Sources: Ho 2020 (arXiv:2006.11239: forward process, linear schedule, posterior), Nichol and
Dhariwal 2021 (arXiv:2102.09672: cosine schedule), Song 2021 (arXiv:2010.02502: DDIM), Salimans and
Ho 2022 (arXiv:2202.00512: v), Lin 2024 (arXiv:2305.08891: chosen steps that begin at T), Kingma
2021 (arXiv:2107.00630: even times in a batch), Liu 2022 (arXiv:2209.03003: rectified flow), Li
2023 (arXiv:2205.07680: Brownian bridge).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

Levels = NDArray[np.float64]
"""ᾱ by time, shape (T + 1,): 1 at time 0, falling to nearly 0 at time T."""

Level = float | torch.Tensor
"""One ᾱ for all samples, or one for each in a shape that broadcasts over images."""

Predicted = Literal["epsilon", "v", "x0"]

_LARGEST_BETA = 0.999
_COSINE_OFFSET = 0.008


# --- the forward process ------------------------------------------------------------------


def noise_levels(schedule: Literal["linear", "cosine"], steps: int) -> Levels:
    """Return ᾱ at the times 0 to ``steps``.

    ``linear`` is Ho 2020: β rises from 1e-4 to 0.02 over 1000 steps; with T steps instead, both
    are multiplied by 1000/T, so that as much noise is added in all. ``cosine`` is Nichol and
    Dhariwal 2021: ᾱ falls as cos², with β held below 0.999.
    """
    if schedule == "linear":
        beta = np.linspace(1e-4, 0.02, steps) * (1000 / steps)
    else:
        place = (np.arange(steps + 1) / steps + _COSINE_OFFSET) / (1 + _COSINE_OFFSET)
        wave = np.cos(place * math.pi / 2) ** 2
        beta = 1 - wave[1:] / wave[:-1]
    return np.concatenate([[1.0], np.cumprod(1 - np.minimum(beta, _LARGEST_BETA))])


def noised(clean: torch.Tensor, noise: torch.Tensor, level: Level) -> torch.Tensor:
    """Return x_t: the clean image with as much noise as the level says."""
    return _root(level) * clean + _root(1 - level) * noise


def even_times(count: int, last: int, device: torch.device) -> torch.Tensor:
    """Draw a time from 1 to ``last`` for each sample of a batch, spread evenly over the range.

    Each is uniform by itself; together they share one random offset, which takes the chance of
    an unlucky batch out of the loss. Integers, shape (count,), from torch's global generator.
    """
    return (even_places(count, device) * last).long().clamp_(max=last - 1) + 1


def even_places(count: int, device: torch.device) -> torch.Tensor:
    """Draw places in [0, 1) as :func:`even_times` draws times, shape (count,)."""
    offset = torch.rand((), device=device)
    return ((torch.arange(count, device=device) + offset) / count).clamp_(max=1 - 1e-6)


def each(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Give one value a sample, shape (batch,), the shape that broadcasts over its images."""
    return values.to(like.device, torch.float32).view(-1, *(1,) * (like.ndim - 1))


# --- what a network predicts --------------------------------------------------------------


def wanted(kind: Predicted, clean: torch.Tensor, noise: torch.Tensor, level: Level) -> torch.Tensor:
    """Return what the network should have answered: ε, x₀, or v = √ᾱ ε − √(1 − ᾱ) x₀."""
    if kind == "epsilon":
        return noise
    if kind == "x0":
        return clean
    return _root(level) * noise - _root(1 - level) * clean


def clean_from(
    kind: Predicted, found: torch.Tensor, noisy: torch.Tensor, level: Level
) -> torch.Tensor:
    """Turn a network's answer to a noisy image into its clean image.

    From ε the clean image is (x_t − √(1 − ᾱ) ε) / √ᾱ, which near time T divides by nearly
    zero: there ε tells next to nothing of the image, and v and x₀ do.
    """
    if kind == "x0":
        return found
    if kind == "epsilon":
        return (noisy - _root(1 - level) * found) / _root(level)
    return _root(level) * noisy - _root(1 - level) * found


def noise_from(clean: torch.Tensor, noisy: torch.Tensor, level: Level) -> torch.Tensor:
    """Return the noise that a clean image implies in a noisy one; the level is below 1."""
    return (noisy - _root(level) * clean) / _root(1 - level)


# --- samplers -----------------------------------------------------------------------------
# Our own: of MONAI's schedulers DDPM goes from t to t - 1 alone, DDIM steps to other times than it
# visits, and both draw their noise themselves, so that slices cannot share it: test_monai_peers.py.

Denoise = Callable[[torch.Tensor, int], torch.Tensor]
"""From a noisy image and its time to the clean image."""


def chosen_times(last: int, count: int) -> list[int]:
    """Choose ``count`` times from 1 up, falling evenly from ``last``; after them comes time 0."""
    return [round(last * (count - n) / count) for n in range(count)]


def ddpm_step(
    clean: torch.Tensor, noisy: torch.Tensor, level: float, following: float, noise: torch.Tensor
) -> torch.Tensor:
    """Draw from q(x_s | x_t, x₀), the posterior of the forward process, for any s < t.

    With α = ᾱ_t / ᾱ_s and β = 1 − α its mean is √ᾱ_s β / (1 − ᾱ_t) x₀ + √α (1 − ᾱ_s) /
    (1 − ᾱ_t) x_t and its variance (1 − ᾱ_s) / (1 − ᾱ_t) β (Ho 2020, equation 7, for a stride of any
    length).
    """
    alpha = level / following
    beta = 1 - alpha
    rest = 1 - level
    mean = (
        math.sqrt(following) * beta / rest * clean
        + math.sqrt(alpha) * (1 - following) / rest * noisy
    )
    return mean + math.sqrt((1 - following) / rest * beta) * noise


def ddim_step(
    clean: torch.Tensor,
    noisy: torch.Tensor,
    level: float,
    following: float,
    noise: torch.Tensor | None = None,
    *,
    eta: float = 0.0,
) -> torch.Tensor:
    """Go from time t to an earlier one with the noise that is in the image (Song 2021, eq. 12).

    Parameters
    ----------
    noise
        Fresh noise, needed where ``eta`` is above zero.
    eta
        0: no fresh noise at all; 1: as much as the posterior of :func:`ddpm_step`.
    """
    fresh = eta * math.sqrt((1 - following) / (1 - level) * (1 - level / following))
    kept = math.sqrt(max(1 - following - fresh**2, 0.0))
    result = math.sqrt(following) * clean + kept * noise_from(clean, noisy, level)
    return result if noise is None else result + fresh * noise


def sample(
    denoise: Denoise,
    start: torch.Tensor,
    levels: Levels,
    count: int,
    *,
    sampler: str,
    eta: float = 0.0,
    draw: Callable[[], torch.Tensor],
) -> torch.Tensor:
    """Take noise to a clean image in ``count`` steps.

    Parameters
    ----------
    denoise
        The network behind :func:`clean_from`.
    start
        Standard normal: the noisy image at time T.
    sampler
        ``ddpm`` or ``ddim``.
    draw
        Gives fresh standard normal noise of a shape that broadcasts to ``start``; not called
        where the sampler needs none.
    """
    times = chosen_times(len(levels) - 1, count)
    noisy = start
    for time, after in pairwise(times):
        clean = denoise(noisy, time)
        level, following = float(levels[time]), float(levels[after])
        match sampler:
            case "ddpm":
                noisy = ddpm_step(clean, noisy, level, following, draw())
            case "ddim":
                noise = draw() if eta > 0 else None
                noisy = ddim_step(clean, noisy, level, following, noise, eta=eta)
            case _:
                raise ValueError(f"unknown sampler {sampler!r}; known: ddpm, ddim")
    return denoise(noisy, times[-1])  # the step to time 0 leaves the clean image alone


# --- paths from one image to another ------------------------------------------------------

Displacement = Callable[[torch.Tensor, float], torch.Tensor]
"""From an image on the path and its time in [0, 1] to (end − start)."""


def on_path(start: torch.Tensor, end: torch.Tensor, time: Level) -> torch.Tensor:
    """Return the image on the straight path at a time: 0 at the start, 1 at the end."""
    return (1 - time) * start + time * end


def bridge_sd(time: Level, halfway: float) -> Level:
    """Return the SD of a Brownian bridge at a time: ``halfway`` at ½, zero at both ends."""
    return 2 * halfway * _root(time * (1 - time))


def euler(velocity: Displacement, start: torch.Tensor, count: int) -> torch.Tensor:
    """Follow a velocity from time 0 to time 1 in ``count`` equal steps (Liu 2022).

    A velocity that is (end − start) everywhere arrives in one step.
    """
    image = start
    for n in range(count):
        image = image + velocity(image, n / count) / count
    return image


def walk_bridge(
    displacement: Displacement,
    start: torch.Tensor,
    count: int,
    *,
    halfway: float,
    draw: Callable[[], torch.Tensor],
) -> torch.Tensor:
    """Walk along a Brownian bridge from its start to its end in ``count`` equal steps.

    Between times t < s, given the end, a bridge of variance c² t (1 − t) moves on by the share
    (s − t) / (1 − t) of the way to the end, with variance c² (s − t)(1 − s) / (1 − t): the Markov
    property of the bridge. The network tells the end anew at each step; the last step arrives
    at what it told, with no noise.
    """
    image = start
    for n in range(count):
        now, then = n / count, (n + 1) / count
        end = start + displacement(image, now)
        image = image + (then - now) / (1 - now) * (end - image)
        if n + 1 < count:
            variance = 4 * halfway**2 * (then - now) * (1 - then) / (1 - now)
            image = image + math.sqrt(variance) * draw()
    return image


def _root(value: Level) -> Level:
    return math.sqrt(value) if isinstance(value, float | int) else value.sqrt()
