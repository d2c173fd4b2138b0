"""What the segmenter is trained on and by: balanced batches, Dice and cross-entropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.instruments.network import arrays_of, multiple_of
from qa_suite.instruments.segmenter import predict, with_neighbours
from qa_suite.instruments.settings import AIR_HU, SegmenterSettings
from qa_suite.instruments.slices import disturb, pad_to, through_windows
from qa_suite.learning.summary import Progress

if TYPE_CHECKING:
    import torch
    from torch import nn


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


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Disturbed slices through their windows, the labels, and which structures are known."""

    image: torch.Tensor
    target: torch.Tensor
    known: torch.Tensor

    def to(self, device: torch.device, *, channels_last: bool = False) -> Batch:
        """Return it as it is: it was made on the device and in the layout of the network."""
        return self


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
    from torch import nn

    from qa_suite.learning.course import Plain
    from qa_suite.learning.loop import Player, Step
    from qa_suite.learning.loop import optimise as train

    def loss(networks: nn.ModuleDict, batch: Batch, step: Step) -> torch.Tensor:
        return _loss(networks["segmenter"](batch.image).float(), batch.target, batch.known)

    best, summary = train(
        nn.ModuleDict({"segmenter": network}),
        (Player(name="segmenter", moves=("segmenter",), loss=loss),),
        Plain(
            seed=seed,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            ema_decay=settings.average,
            warmup=max(1, settings.iterations // 20),
            validate_every=settings.validate_every,
            patience=settings.patience,
            clip_norm=1.0,
            amp="bf16",
            channels_last=True,
        ),
        kept=("segmenter",),
        make_batch=lambda rng, on: _batch(material, settings, rng, on),
        validate=(lambda networks: _validate(networks["segmenter"], judged, settings))
        if judged
        else None,
        judged_by="validation_dice",
        most=True,
        identity="",
        workdir=None,
        resume=False,
        iterations=settings.iterations,
        device=device,
        progress=progress,
    )
    dice = summary.best_validation
    return arrays_of(best, "segmenter."), {
        "iterations": summary.iterations,
        "best_iteration": summary.best_iteration,
        "validation_dice": None if dice is None else round(dice, 6),
    }


def _batch(
    material: Sequence[Prepared],
    settings: SegmenterSettings,
    rng: np.random.Generator,
    device: torch.device,
) -> Batch:
    """Draw and disturb the slices of one batch, on the device."""
    import torch

    hu, labels, known = _draw(material, settings, rng)
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
    return Batch(
        image=image.contiguous(memory_format=torch.channels_last),
        target=pad_to(target, multiple, value=0.0),
        known=torch.from_numpy(known).to(device),
    )


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
