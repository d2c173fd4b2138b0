"""The training loop of the segmenter: balanced batches, Dice and cross-entropy, early stopping."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.core.errors import InputError
from qa_suite.instruments.network import average_into, multiple_of, rate_at, weights_of
from qa_suite.instruments.segmenter import predict, with_neighbours
from qa_suite.instruments.settings import AIR_HU, SegmenterSettings
from qa_suite.instruments.slices import disturb, pad_to, through_windows

if TYPE_CHECKING:
    import torch
    from torch import nn

Progress = Callable[[int, int, dict[str, float]], None]
"""Called with (iteration, iterations, figures by name)."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A training image in working voxels.

    Parameters
    ----------
    hu
        Shape (x, y, z), in whole HU.
    bits
        The labels packed to bits over the structures, shape (structures / 8, x, y, z).
    known
        Whether each structure was looked for.
    slices_with
        For each structure the axial slices that show it.
    """

    hu: NDArray[np.int16]
    bits: NDArray[np.uint8]
    known: NDArray[np.bool_]
    slices_with: tuple[NDArray[np.intp], ...]

    def labels(self, where: Sequence[int]) -> NDArray[np.uint8]:
        """Return the labels of some slices, shape (slices, structures, x, y)."""
        packed = self.bits[:, :, :, list(where)]
        return np.unpackbits(packed, axis=0, count=self.known.size).transpose(3, 0, 1, 2)


def optimise(
    network: nn.Module,
    material: Sequence[Prepared],
    judged: Sequence[Prepared],
    settings: SegmenterSettings,
    *,
    seed: int,
    device: torch.device,
    progress: Progress | None,
) -> tuple[dict[str, NDArray[np.generic]], dict[str, Any]]:
    """Return the best averaged weights, and how they came about."""
    import torch

    average = copy.deepcopy(network).requires_grad_(False).eval()
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    best, best_dice, best_at, worse, iteration = weights_of(average), None, 0, 0, 0
    for iteration in range(1, settings.iterations + 1):
        rng = np.random.default_rng([seed, iteration])
        for group in optimiser.param_groups:
            group["lr"] = rate_at(iteration, settings.iterations, settings.learning_rate)
        hu, labels, weight = _draw(material, settings, rng)
        figures = {"loss": _step(network, optimiser, hu, labels, weight, settings, rng, device)}
        average_into(average, network, settings.average, iteration)
        last = iteration == settings.iterations
        if judged and (iteration % settings.validate_every == 0 or last):
            dice = figures["validation_dice"] = _validate(average, judged, settings)
            worse += 1
            if best_dice is None or dice > best_dice:
                best, best_dice, best_at, worse = weights_of(average), dice, iteration, 0
        if progress is not None:
            progress(iteration, settings.iterations, figures)
        if worse >= settings.patience:
            break
    if best_dice is None:
        best, best_at = weights_of(average), iteration
    return best, {
        "iterations": iteration,
        "best_iteration": best_at,
        "validation_dice": None if best_dice is None else round(best_dice, 6),
    }


def _draw(
    material: Sequence[Prepared], settings: SegmenterSettings, rng: np.random.Generator
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Draw the slices of one batch: HU, labels and whether each structure is known."""
    chosen = [_choose(material, settings, rng) for _ in range(settings.batch)]
    x = max(material[n].hu.shape[0] for n, _ in chosen)
    y = max(material[n].hu.shape[1] for n, _ in chosen)
    count = material[0].known.size
    hu = np.full((len(chosen), settings.slices, x, y), AIR_HU, dtype=np.float32)
    labels = np.zeros((len(chosen), count, x, y), dtype=np.float32)
    weight = np.zeros((len(chosen), count), dtype=np.float32)
    for row, (n, k) in enumerate(chosen):
        one = material[n]
        i, j = one.hu.shape[:2]
        hu[row, :, :i, :j] = with_neighbours(one.hu, [k], settings.slices)[0]
        labels[row, :, :i, :j] = one.labels([k])[0]
        weight[row] = one.known
    return hu, labels, weight


def _choose(
    material: Sequence[Prepared], settings: SegmenterSettings, rng: np.random.Generator
) -> tuple[int, int]:
    """Choose an image and a slice: by structure, or any."""
    if rng.random() < settings.balanced:
        structure = int(rng.integers(material[0].known.size))
        having = [n for n, one in enumerate(material) if one.slices_with[structure].size]
        if having:
            n = int(rng.choice(having))
            return n, int(rng.choice(material[n].slices_with[structure]))
    n = int(rng.integers(len(material)))
    return n, int(rng.integers(material[n].hu.shape[2]))


def _step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    hu: Float32Array,
    labels: Float32Array,
    weight: Float32Array,
    settings: SegmenterSettings,
    rng: np.random.Generator,
    device: torch.device,
) -> float:
    """Take one step of the optimiser; return the loss."""
    import torch

    network.train()
    spacing = (settings.working_spacing_mm[0], settings.working_spacing_mm[1])
    image, target = disturb(
        torch.from_numpy(hu).to(device),
        torch.from_numpy(labels).to(device),
        settings.disturbance,
        spacing,
        rng,
    )
    assert target is not None
    multiple = multiple_of(settings)
    image = through_windows(pad_to(image, multiple, value=AIR_HU), settings.windows_hu)
    target = pad_to(target, multiple, value=0.0)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
        answer = network(image.contiguous(memory_format=torch.channels_last))
    loss = _loss(answer.float(), target, torch.from_numpy(weight).to(device))
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    value = float(loss.detach())
    if not np.isfinite(value):
        raise InputError(
            f"The segmenter's loss became {value}; lower learning_rate "
            f"({settings.learning_rate:g})."
        )
    return value


def _loss(answer: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Dice (each structure alike, over the batch as one) plus cross-entropy, of what is known.

    Isensee et al. (2021), Nat Methods 18:203, whose Dice without squares this is.
    """
    from torch.nn import functional

    known = weight[:, :, None, None]
    axes = (0, 2, 3)
    entropy = functional.binary_cross_entropy_with_logits(answer, target, reduction="none")
    share, truth = answer.sigmoid() * known, target * known
    present = (truth.sum(dim=axes) > 0).float()
    dice = 1 - (2 * (share * truth).sum(dim=axes) + 1) / ((share + truth).sum(dim=axes) + 1)
    overlap = (dice * present).sum() / present.sum().clamp_min(1)
    return overlap + (entropy * known).sum() / known.expand_as(entropy).sum().clamp_min(1)


def _validate(network: nn.Module, judged: Sequence[Prepared], settings: SegmenterSettings) -> float:
    """Mean over the structures of the Dice over all validation slices as one."""
    per_image = max(1, settings.validation_slices // len(judged))
    count = judged[0].known.size
    both, size = np.zeros(count), np.zeros(count)
    for one in judged:
        depth = one.hu.shape[2]
        where = np.unique(np.linspace(0, depth - 1, min(per_image, depth)).round().astype(int))
        found = predict(network, one.hu, settings, where=where) >= 0.5
        truth = one.labels(where.tolist()).transpose(1, 2, 3, 0).astype(bool)
        both += one.known * 2 * (found & truth).sum(axis=(1, 2, 3))
        size += one.known * (found.sum(axis=(1, 2, 3)) + truth.sum(axis=(1, 2, 3)))
    dice = np.divide(both, size, out=np.zeros(count), where=size > 0)
    return float(dice[size > 0].mean()) if (size > 0).any() else 0.0
