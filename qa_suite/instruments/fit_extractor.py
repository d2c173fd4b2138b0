"""Training the feature extractor, without labels, on slices of reference CTs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import InputError
from qa_suite.core.records import InstrumentFacts
from qa_suite.core.wording import count as count_of
from qa_suite.instruments.extractor import TrainedExtractor, axial_slices, build_encoder, encode
from qa_suite.instruments.network import arrays_of, set_weights, sha256_of_bytes, weights_bytes
from qa_suite.instruments.settings import AIR_HU, Disturbance, ExtractorSettings
from qa_suite.instruments.slices import add_noise, blur, column, disturb, through_windows
from qa_suite.learning.devices import pick_device
from qa_suite.learning.summary import Progress

if TYPE_CHECKING:
    import torch
    from torch import nn

    from qa_suite.instruments.fit_segmenter import TrainingImage

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
        raise InputError(f"A feature extractor cannot learn from {count_of(len(slices), 'slice')}.")
    place = pick_device(device)
    network = build_encoder(settings, seed=seed).to(place)
    best = _optimise(network, slices, settings, seed=seed, device=place, progress=progress)
    final = build_encoder(settings, seed=seed)
    set_weights(final, best)
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


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Slices as the network is shown them, undisturbed at its resolution, and what was done."""

    shown: torch.Tensor
    target: torch.Tensor
    done: torch.Tensor

    def to(self, device: torch.device, *, channels_last: bool = False) -> Batch:
        """Return it as it is: it was made on the device."""
        return self


def _optimise(
    network: nn.Module,
    slices: NDArray[np.int16],
    settings: ExtractorSettings,
    *,
    seed: int,
    device: torch.device,
    progress: Progress | None,
) -> dict[str, NDArray[np.generic]]:
    """Return the averaged weights after all iterations."""
    from torch import nn

    from qa_suite.learning.course import Plain
    from qa_suite.learning.loop import Player, Step, optimise

    def draw(rng: np.random.Generator, on: torch.device) -> Batch:
        chosen = slices[rng.integers(len(slices), size=settings.batch)]
        return _batch(chosen, settings, rng, on)

    def loss(networks: nn.ModuleDict, batch: Batch, step: Step) -> torch.Tensor:
        return _error(networks["encoder"], batch)

    best, _ = optimise(
        nn.ModuleDict({"encoder": network}),
        (Player(name="encoder", moves=("encoder",), loss=loss),),
        Plain(
            seed=seed,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            ema_decay=settings.average,
            warmup=max(1, settings.iterations // 20),
        ),
        kept=("encoder",),
        make_batch=draw,
        validate=None,
        identity="",
        workdir=None,
        resume=False,
        iterations=settings.iterations,
        device=device,
        progress=progress,
    )
    return arrays_of(best, "encoder.")


def _slices(images: Sequence[TrainingImage], settings: ExtractorSettings) -> NDArray[np.int16]:
    """Return the axial slices of all images in whole HU, shape (slices, x, y)."""
    parts = [np.zeros((0, *settings.shape), dtype=np.int16)]
    for image in images:
        hu = axial_slices(image.volume, image.mask, settings.working_spacing_mm, settings.shape)
        parts.append(np.clip(np.rint(hu), -32768, 32767).astype(np.int16))
    return np.concatenate(parts)


def _batch(
    slices: NDArray[np.int16],
    settings: ExtractorSettings,
    rng: np.random.Generator,
    device: torch.device,
) -> Batch:
    """Disturb slices, and keep what they were and what was done to each."""
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
    return Batch(
        shown=through_windows(changed, settings.windows_hu),
        target=functional.avg_pool2d(through_windows(clean, settings.windows_hu), _SHRINK),
        done=torch.from_numpy(done.astype(np.float32)).to(device),
    )


def _error(network: nn.Module, batch: Batch) -> torch.Tensor:
    """Error of the rebuilt slice (all windows alike) plus error of what is told was done."""
    rebuilt, told = network(batch.shown)
    error: torch.Tensor = (rebuilt - batch.target).abs().mean()
    return error + (told - batch.done).square().mean()


def _validation_loss(
    network: nn.Module, slices: NDArray[np.int16], settings: ExtractorSettings, seed: int
) -> float | None:
    """Return the loss over validation slices, or None where there are none."""
    import torch

    if not len(slices):
        return None
    count = min(len(slices), settings.validation_slices)
    chosen = np.unique(np.linspace(0, len(slices) - 1, count).round().astype(int))
    rng = np.random.default_rng([seed, 0])
    with torch.inference_mode():
        batch = _batch(slices[chosen], settings, rng, torch.device("cpu"))
        loss = _error(network, batch)
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
