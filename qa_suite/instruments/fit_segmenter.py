"""Training the segmenter on images in memory.

Structures overlap (a femoral head is bone), so each has a channel of its own. The loss is
Dice plus cross-entropy over the voxels of a batch. A structure that an image does not name
is unknown there, not absent, and teaches nothing in it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.errors import InputError
from qa_suite.instruments.frame import Float, frame_of, mask_to_working, to_working
from qa_suite.instruments.network import (
    average_into,
    build_unet,
    multiple_of,
    pick_device,
    rate_at,
    set_weights,
    sha256_of_bytes,
    weights_bytes,
    weights_of,
)
from qa_suite.instruments.segmenter import TrainedSegmenter, predict, with_neighbours
from qa_suite.instruments.settings import AIR_HU, SegmenterSettings
from qa_suite.instruments.slices import disturb, pad_to, through_windows
from qa_suite.records import InstrumentFacts
from qa_suite.volume import Volume

if TYPE_CHECKING:
    import torch
    from torch import nn

Mask = NDArray[np.bool_]
Progress = Callable[[int, int, dict[str, float]], None]
"""Called with (iteration, iterations, figures by name)."""


@dataclass(frozen=True, kw_only=True)
class TrainingImage:
    """A CT with its structures.

    Parameters
    ----------
    volume
        In HU, finite inside the mask.
    mask
        Where the structures may lie (the body); bool, of the volume's shape.
    structures
        Name to mask. An empty mask says that the patient has no such structure; a name that
        is missing says that nobody looked.
    patient
        Whose it is.
    """

    volume: Volume
    mask: Mask
    structures: Mapping[str, Mask]
    patient: str


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """A training image in working voxels; the labels are packed to bits over the structures."""

    hu: NDArray[np.int16]
    bits: NDArray[np.uint8]
    known: NDArray[np.bool_]
    slices_with: tuple[NDArray[np.intp], ...]

    def labels(self, where: Sequence[int]) -> NDArray[np.uint8]:
        """Return the labels of some slices, shape (slices, structures, x, y)."""
        packed = self.bits[:, :, :, list(where)]
        return np.unpackbits(packed, axis=0, count=self.known.size).transpose(3, 0, 1, 2)


def learnable(
    training: Sequence[TrainingImage], settings: SegmenterSettings
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Say which structures enough patients have, and why the others are left out."""
    who: dict[str, set[str]] = {}
    for image in training:
        for name, mask in image.structures.items():
            found = who.setdefault(name, set())
            if (mask & image.mask).any():
                found.add(image.patient)
    kept, left_out = [], {}
    for name, patients in sorted(who.items()):
        if name in settings.leave_out:
            left_out[name] = "found by a threshold, not learnt"
        elif len(patients) < settings.least_patients:
            left_out[name] = (
                f"delineated in {len(patients)} training patients, "
                f"{settings.least_patients} are needed"
            )
        else:
            kept.append(name)
    return tuple(kept), left_out


def fit_segmenter(
    training: Sequence[TrainingImage],
    validation: Sequence[TrainingImage],
    settings: SegmenterSettings | None = None,
    *,
    seed: int,
    structures: Sequence[str] | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    name: str = "segmenter",
) -> TrainedSegmenter:
    """Train a segmenter on images in memory.

    Parameters
    ----------
    training
        What it learns from.
    validation
        What decides when to stop, by mean Dice; without any, the last weights are kept.
    settings
        Network, budget and disturbance; by default those of the suite.
    seed
        Of the first weights and of every draw. The same images, settings and seed give the
        same weights on the CPU.
    structures
        Which to learn; by default all that enough patients have (see :func:`learnable`).
    device
        ``auto``, ``cpu`` or ``cuda``.
    progress
        Called with (iteration, iterations, figures).
    name
        Written into its facts.

    Returns
    -------
    TrainedSegmenter
        On the CPU; its ``uri`` is ``memory:NAME``, for it is not registered.

    Raises
    ------
    InputError
        If there is nothing to learn, or a structure that no training image has.
    """
    settings = settings or SegmenterSettings()
    found, left_out = learnable(training, settings)
    names = found if structures is None else tuple(structures)
    _check(names, training, left_out)
    material = [_prepare(image, names, settings) for image in training]
    judged = [_prepare(image, names, settings) for image in validation]
    torch_device = pick_device(device)
    network = build_unet(settings, len(names), seed=seed).to(torch_device)
    best, fit = _optimise(
        network, material, judged, settings, seed=seed, device=torch_device, progress=progress
    )
    final = build_unet(settings, len(names), seed=seed)
    set_weights(final, best)
    facts = InstrumentFacts(
        kind="segmenter",
        name=name,
        uri=f"memory:{name}",
        weights_sha256=sha256_of_bytes(weights_bytes(final)),
        training_patients=tuple(sorted({i.patient for i in (*training, *validation)})),
        settings={
            "structures": list(names), "left_out": left_out, "seed": seed, "fit": fit,
            "network": settings.model_dump(mode="json"),
        },
    )  # fmt: skip
    return TrainedSegmenter(
        facts=facts, settings=settings, outputs=names, structures=names,
        network=final.eval().requires_grad_(False),
    )  # fmt: skip


def _check(
    names: Sequence[str], training: Sequence[TrainingImage], left_out: Mapping[str, str]
) -> None:
    if not names:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise InputError(
            f"A segmenter has nothing to learn from {len(training)} images "
            f"({why or 'they have no structures'})."
        )
    have = {n for image in training for n, mask in image.structures.items() if mask.any()}
    lacking = sorted(set(names) - have)
    if lacking:
        raise InputError(f"No training image has the structure {', '.join(lacking)}.")


def _prepare(image: TrainingImage, names: Sequence[str], settings: SegmenterSettings) -> _Prepared:
    frame = frame_of(
        image.volume.grid, image.mask, spacing_mm=settings.working_spacing_mm,
        margin_mm=settings.margin_mm,
    )  # fmt: skip
    if frame is None:
        raise InputError(f"The mask of patient {image.patient} is empty; nothing can be learnt.")
    hu = to_working(image.volume, image.mask, frame)
    masks = np.zeros((len(names), *hu.shape), dtype=bool)
    for n, name in enumerate(names):
        if name in image.structures:
            masks[n] = mask_to_working(image.structures[name] & image.mask, frame)
    return _Prepared(
        hu=np.clip(np.rint(hu), -32768, 32767).astype(np.int16),
        bits=np.packbits(masks, axis=0),
        known=np.array([name in image.structures for name in names]),
        slices_with=tuple(np.flatnonzero(mask.any(axis=(0, 1))) for mask in masks),
    )


def _optimise(
    network: nn.Module,
    material: Sequence[_Prepared],
    judged: Sequence[_Prepared],
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
    material: Sequence[_Prepared], settings: SegmenterSettings, rng: np.random.Generator
) -> tuple[Float, Float, Float]:
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
    material: Sequence[_Prepared], settings: SegmenterSettings, rng: np.random.Generator
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
    hu: Float,
    labels: Float,
    weight: Float,
    settings: SegmenterSettings,
    rng: np.random.Generator,
    device: torch.device,
) -> float:
    """Take one step of the optimiser; return the loss."""
    import torch

    network.train()
    spacing = (settings.working_spacing_mm[0], settings.working_spacing_mm[1])
    image, target = disturb(
        torch.from_numpy(hu).to(device), torch.from_numpy(labels).to(device),
        settings.disturbance, spacing, rng,
    )  # fmt: skip
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
    """Cross-entropy and Dice, each structure alike, over what is known of it in the batch.

    Dice is of Milletari et al. (2016), 3DV, eq. 3, over the batch as one.
    """
    from torch.nn import functional

    known = weight[:, :, None, None]
    entropy = functional.binary_cross_entropy_with_logits(answer, target, reduction="none")
    voxels = answer.shape[2] * answer.shape[3]
    by_structure = (entropy * known).sum(dim=(0, 2, 3)) / (weight.sum(dim=0) * voxels).clamp_min(1)
    share = answer.sigmoid() * known
    truth = target * known
    both = (share * truth).sum(dim=(0, 2, 3))
    size = (share**2).sum(dim=(0, 2, 3)) + (truth**2).sum(dim=(0, 2, 3))
    present = (truth.sum(dim=(0, 2, 3)) > 0).float()
    dice = 1 - (2 * both + 1) / (size + 1)
    # the mean entropy is small where most voxels are easy: weighted to stand beside the Dice
    return (dice * present).sum() / present.sum().clamp_min(1) + 5 * by_structure.mean()


def _validate(
    network: nn.Module, judged: Sequence[_Prepared], settings: SegmenterSettings
) -> float:
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
