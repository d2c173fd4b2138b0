"""Training the segmenter on images in memory.

Structures overlap (a femoral head is bone), so each has a channel of its own. The loss is
Dice plus cross-entropy over the voxels of a batch. A structure that an image does not name
is unknown there, not absent, and teaches nothing in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qa_suite.core.arrays import Mask
from qa_suite.core.errors import InputError
from qa_suite.core.records import InstrumentFacts
from qa_suite.core.volume import Volume
from qa_suite.core.wording import count
from qa_suite.instruments.frame import frame_of, mask_to_working, to_working
from qa_suite.instruments.network import build_unet, set_weights, sha256_of_bytes, weights_bytes
from qa_suite.instruments.segmenter import TrainedSegmenter
from qa_suite.instruments.segmenter_training import Prepared, optimise
from qa_suite.instruments.settings import SegmenterSettings
from qa_suite.learning.devices import pick_device
from qa_suite.learning.summary import Progress


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
                f"delineated in {count(len(patients), 'training patient')}, "
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
    best, fit = optimise(
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
            "structures": list(names),
            "left_out": left_out,
            "seed": seed,
            "fit": fit,
            "network": settings.model_dump(mode="json"),
        },
    )
    return TrainedSegmenter(
        facts=facts,
        settings=settings,
        outputs=names,
        structures=names,
        network=final.eval().requires_grad_(False),
    )


def _check(
    names: Sequence[str], training: Sequence[TrainingImage], left_out: Mapping[str, str]
) -> None:
    if not names:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise InputError(
            f"A segmenter has nothing to learn from {count(len(training), 'image')} "
            f"({why or 'they have no structures'})."
        )
    have = {n for image in training for n, mask in image.structures.items() if mask.any()}
    lacking = sorted(set(names) - have)
    if lacking:
        raise InputError(f"No training image has the structure {', '.join(lacking)}.")


def _prepare(image: TrainingImage, names: Sequence[str], settings: SegmenterSettings) -> Prepared:
    frame = frame_of(
        image.volume.grid,
        image.mask,
        spacing_mm=settings.working_spacing_mm,
        margin_mm=settings.margin_mm,
    )
    if frame is None:
        raise InputError(f"The mask of patient {image.patient} is empty; nothing can be learnt.")
    hu = to_working(image.volume, image.mask, frame)
    masks = np.zeros((len(names), *hu.shape), dtype=bool)
    for n, name in enumerate(names):
        if name in image.structures:
            masks[n] = mask_to_working(image.structures[name] & image.mask, frame)
    return Prepared(
        hu=np.clip(np.rint(hu), -32768, 32767).astype(np.int16),
        bits=np.packbits(masks, axis=0),
        known=np.array([name in image.structures for name in names]),
        slices_with=tuple(np.flatnonzero(mask.any(axis=(0, 1))) for mask in masks),
    )
