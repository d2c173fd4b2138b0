"""Training the feature extractor, without labels, on slices of reference CTs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError
from qa_suite.core.records import InstrumentFacts
from qa_suite.instruments.extractor import TrainedExtractor, axial_slices, build_encoder, encode
from qa_suite.instruments.network import (
    average_into,
    pick_device,
    rate_at,
    set_weights,
    sha256_of_bytes,
    weights_bytes,
    weights_of,
)
from qa_suite.instruments.settings import AIR_HU, Disturbance, ExtractorSettings
from qa_suite.instruments.slices import add_noise, blur, column, disturb, through_windows

if TYPE_CHECKING:
    import torch
    from torch import nn

    from qa_suite.instruments.fit_segmenter import TrainingImage

Progress = Callable[[int, int, dict[str, float]], None]

_SHRINK = 4  # the decoder ends at a quarter of the resolution
_DEAD = 1e-3  # of the median deviation: such a feature never moves and is held at zero


def train_extractor(
    cohort: Cohort,
    folder: Path,
    settings: ExtractorSettings | None = None,
    *,
    seed: int = 1,
    device: str = "auto",
    progress: Progress | None = None,
    name: str = "ct-features",
) -> TrainedExtractor:
    """Train a feature extractor on the reference CTs of a cohort's ``train`` patients.

    ``validation`` patients tell its loss; a patient of ``calibration`` or ``test`` is never read.

    Raises
    ------
    Problems, LeakageError, InputError
        If the cohort cannot be learnt from.
    """
    from qa_suite.instruments.material import (
        check_cohort,
        cohort_settings,
        load_images,
        training_facts,
    )

    check_cohort(cohort)
    found = fit_extractor(
        load_images(cohort, folder, "train"),
        load_images(cohort, folder, "validation"),
        settings,
        seed=seed,
        device=device,
        progress=progress,
        name=name,
    )
    said = {**found.facts.settings, **cohort_settings(cohort)}
    return found.with_facts(settings=said, **training_facts(cohort))


def fit_extractor(
    training: Sequence[TrainingImage],
    validation: Sequence[TrainingImage],
    settings: ExtractorSettings | None = None,
    *,
    seed: int,
    device: str = "auto",
    progress: Progress | None = None,
    name: str = "extractor",
) -> TrainedExtractor:
    """Train a feature extractor on images in memory; their structures are not looked at.

    Parameters
    ----------
    training
        What it learns from, and over whose undisturbed slices its features are standardised.
    validation
        For the loss that its facts state; may be empty.
    settings, seed, device, progress, name
        As of :func:`~qa_suite.instruments.fit_segmenter.fit_segmenter`.

    Raises
    ------
    InputError
        If there are fewer than two slices.
    """
    settings = settings or ExtractorSettings()
    slices = _slices(training, settings)
    judged = _slices(validation, settings)
    if len(slices) < 2:
        raise InputError(f"A feature extractor cannot learn from {len(slices)} slices.")
    place = pick_device(device)
    network = build_encoder(settings, seed=seed).to(place)
    average = copy.deepcopy(network).requires_grad_(False).eval()
    optimiser = _optimiser(network, settings)
    for iteration in range(1, settings.iterations + 1):
        rng = np.random.default_rng([seed, iteration])
        for group in optimiser.param_groups:
            group["lr"] = rate_at(iteration, settings.iterations, settings.learning_rate)
        chosen = slices[rng.integers(len(slices), size=settings.batch)]
        network.train()
        loss = _loss(network, chosen, settings, rng, place)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        value = float(loss.detach())
        if not np.isfinite(value):
            raise InputError(f"The extractor's loss became {value}; lower learning_rate.")
        average_into(average, network, settings.average, iteration)
        if progress is not None:
            progress(iteration, settings.iterations, {"loss": value})
    final = build_encoder(settings, seed=seed)
    set_weights(final, weights_of(average))
    final.eval().requires_grad_(False)
    _standardise(final, slices, settings)
    fit = {
        "iterations": settings.iterations,
        "slices": len(slices),
        "validation_loss": _validation_loss(final, judged, settings, seed),
    }
    facts = InstrumentFacts(
        kind="extractor",
        name=name,
        uri=f"memory:{name}",
        weights_sha256=sha256_of_bytes(weights_bytes(final)),
        training_patients=tuple(sorted({i.patient for i in (*training, *validation)})),
        settings={
            "dimensions": settings.channels[-1],
            "seed": seed,
            "fit": fit,
            "network": settings.model_dump(mode="json"),
        },
    )
    return TrainedExtractor(facts=facts, settings=settings, network=final)


def _optimiser(network: nn.Module, settings: ExtractorSettings) -> torch.optim.Optimizer:
    import torch

    return torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )


def _slices(images: Sequence[TrainingImage], settings: ExtractorSettings) -> NDArray[np.int16]:
    """Return the axial slices of all images in whole HU, shape (slices, x, y)."""
    parts = [np.zeros((0, *settings.shape), dtype=np.int16)]
    for image in images:
        hu = axial_slices(image.volume, image.mask, settings.working_spacing_mm, settings.shape)
        parts.append(np.clip(np.rint(hu), -32768, 32767).astype(np.int16))
    return np.concatenate(parts)


def _loss(
    network: nn.Module,
    slices: NDArray[np.int16],
    settings: ExtractorSettings,
    rng: np.random.Generator,
    device: torch.device,
) -> torch.Tensor:
    """Error of the rebuilt slice (all windows alike) plus error of what is told was done."""
    import torch
    from torch.nn import functional

    spec = settings.disturbance
    spacing = (settings.working_spacing_mm[0], settings.working_spacing_mm[1])
    hu = torch.from_numpy(slices[:, None].astype(np.float32)).to(device)
    moving = Disturbance(
        rotate_deg=spec.rotate_deg,
        zoom=spec.zoom,
        shift_mm=spec.shift_mm,
        blur_mm=0,
        noise_hu=0,
        offset_hu=0,
        scale=0,
    )
    clean, _ = disturb(hu, None, moving, spacing, rng)
    done = rng.uniform(0, 1, (len(slices), 4))
    changed = blur(clean, done[:, 0] * spec.blur_mm, spacing)
    factor, offset = (2 * done[:, 2] - 1) * spec.scale, (2 * done[:, 3] - 1) * spec.offset_hu
    # outside the body there is air before and after: else the offset could be read off there
    inside = clean > AIR_HU
    changed = torch.where(inside, changed * column(1 + factor, hu) + column(offset, hu), changed)
    noisy = add_noise(changed, done[:, 1] * spec.noise_hu, rng)
    changed = torch.where(inside, noisy, changed)
    rebuilt, told = network(through_windows(changed, settings.windows_hu))
    target = functional.avg_pool2d(through_windows(clean, settings.windows_hu), _SHRINK)
    truth = torch.from_numpy(done.astype(np.float32)).to(device)
    error: torch.Tensor = (rebuilt - target).abs().mean() + (told - truth).square().mean()
    return error


def _validation_loss(
    network: nn.Module, slices: NDArray[np.int16], settings: ExtractorSettings, seed: int
) -> float | None:
    """Return the loss over validation slices, or None where there are none."""
    import torch

    if not len(slices):
        return None
    count = min(len(slices), settings.validation_slices)
    chosen = np.unique(np.linspace(0, len(slices) - 1, count).round().astype(int))
    with torch.inference_mode():
        loss = _loss(
            network, slices[chosen], settings, np.random.default_rng([seed, 0]), torch.device("cpu")
        )
    return round(float(loss), 6)


def _standardise(network: Any, slices: NDArray[np.int16], settings: ExtractorSettings) -> None:
    """Set mean and standard deviation of the features over undisturbed training slices."""
    import torch

    found: Float32Array = encode(network, slices.astype(np.float32), settings)
    deviation = found.std(axis=0, dtype=np.float64)
    dead = deviation <= _DEAD * np.median(deviation)
    deviation[dead] = 1e12  # stays at zero
    network.mean.copy_(torch.from_numpy(found.mean(axis=0, dtype=np.float64).astype(np.float32)))
    network.deviation.copy_(torch.from_numpy(deviation.astype(np.float32)))
