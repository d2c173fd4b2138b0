"""Two unpaired lists: sources of some patients, targets of others, so that no pair is ever seen.

An unpaired family learns from a cohort that may hold pairs. Whatever it does with them, it
must be impossible that it profits from one: each ``train`` patient is dealt into the list of
sources or into that of targets, never both, and the two are drawn from independently.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.core.cohort import Case, Cohort, Split
from qa_suite.core.errors import InputError, QAError, raise_problems
from qa_suite.core.wording import count
from qa_suite.io.cases import load_case
from translators.data import Bool, Frame, Prepared, frame_of, prepare, prepared_target, to_unit
from translators.spec import LossSpec, TranslatorSpec
from translators.training.augment import Batch, augment, flip
from translators.training.patches import CachedPair, cut_patch, stack

Patch = tuple[Float32Array, Float32Array, Float32Array]


@dataclass(frozen=True, kw_only=True)
class Dealt:
    """Cases whose source, and cases of other patients whose target may be used."""

    sources: tuple[Case, ...]
    targets: tuple[Case, ...]

    @property
    def patients(self) -> dict[str, list[str]]:
        """The patients of both lists, to be recorded with the model."""
        return {
            "source_patients": sorted({case.patient for case in self.sources}),
            "target_patients": sorted({case.patient for case in self.targets}),
        }


@dataclass(frozen=True, kw_only=True)
class PreparedSource:
    """A source image without a target, in working voxels."""

    case: Case
    prepared: Prepared


@dataclass(frozen=True, kw_only=True)
class PreparedTarget:
    """A target image without a source, in working voxels and its own unit, and its own mask."""

    case: Case
    target: Float32Array
    mask: Bool
    frame: Frame


def deal(cohort: Cohort, split: Split = "train") -> Dealt:
    """Deal the patients of one set into sources and targets.

    Site by site, in the order of the SHA-256 of the patient, each patient goes to the list that
    has fewer of his site (then fewer at all), so that both lists have every site in like parts.
    A patient who has no reference can be a source only.

    Raises
    ------
    InputError
        If one of the lists would be empty.
    """
    cases: dict[str, list[Case]] = {}
    for case in cohort.in_split(split):
        cases.setdefault(case.patient, []).append(case)
    order = sorted(cases, key=lambda name: (cases[name][0].site, _hash(name)))
    alone = [name for name in order if all(case.reference is None for case in cases[name])]
    sources, targets = list(alone), list[str]()
    for name in order:
        if name in alone:
            continue
        site = cases[name][0].site

        def size(some: list[str], site: str = site) -> tuple[int, int]:
            return sum(cases[other][0].site == site for other in some), len(some)

        (sources if size(sources) <= size(targets) else targets).append(name)
    if not sources or not targets:
        raise InputError(
            f"The {split} set of cohort {cohort.name} gives {count(len(sources), 'patient')} as "
            "sources and "
            f"{len(targets)} as targets; an unpaired translator needs one of each or more."
        )
    return Dealt(
        sources=tuple(case for name in sources for case in cases[name]),
        targets=tuple(c for name in targets for c in cases[name] if c.reference is not None),
    )


def _hash(patient: str) -> str:
    return hashlib.sha256(patient.encode()).hexdigest()


def load_sources(
    cohort: Cohort, cases: Iterable[Case], folder: Path, spec: TranslatorSpec
) -> tuple[PreparedSource, ...]:
    """Read and prepare source images; the body is found in each of them.

    Neither reference nor mask of these cases is opened.

    Raises
    ------
    Problems
        With one sentence for every case that cannot be read.
    """

    def load(case: Case) -> PreparedSource:
        bare = case.model_copy(
            update={"reference": None, "mask": None, "coverage": None, "structures": {}}
        )
        return PreparedSource(
            case=case, prepared=prepare(load_case(cohort, bare, folder).source, spec)
        )

    return _each(cases, load, f"The sources of cohort {cohort.name}")


def load_targets(
    cohort: Cohort, cases: Iterable[Case], folder: Path, spec: TranslatorSpec
) -> tuple[PreparedTarget, ...]:
    """Read and prepare target images with their own masks.

    Raises
    ------
    Problems
        With one sentence for every case that has no reference, cannot be read, or holds NaN.
    """

    def load(case: Case) -> PreparedTarget:
        loaded = load_case(cohort, case.model_copy(update={"structures": {}}), folder)
        if loaded.reference is None:
            raise InputError("it has no reference image, so it cannot be a target.")
        frame = frame_of(loaded.reference.grid, spec.working_spacing_mm)
        target, mask = prepared_target(loaded, frame, spec.target)
        return PreparedTarget(case=case, target=target, mask=mask, frame=frame)

    return _each(cases, load, f"The targets of cohort {cohort.name}")


_Loaded = TypeVar("_Loaded")


def _each(
    cases: Iterable[Case], load: Callable[[Case], _Loaded], subject: str
) -> tuple[_Loaded, ...]:
    found: list[_Loaded] = []
    problems: list[str] = []
    for case in cases:
        try:
            found.append(load(case))
        except QAError as error:
            problems.append(f"case {case.case}: {error}")
    raise_problems(subject, problems)
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class CachedImage:
    """One image of either list, ready for drawing, and the centre of mass of its body (voxels)."""

    pair: CachedPair
    centre: NDArray[np.float64]


def cache_sources(sources: Iterable[PreparedSource], loss: LossSpec) -> tuple[CachedImage, ...]:
    """Make sources ready for drawing, each weighed by its own body."""
    return tuple(
        _cached(found.case.patient, found.prepared.image, found.prepared.body, loss)
        for found in sources
    )


def cache_targets(
    targets: Iterable[PreparedTarget], spec: TranslatorSpec, loss: LossSpec
) -> tuple[CachedImage, ...]:
    """Make targets ready for drawing: on the unit scale, each weighed by its own mask."""
    return tuple(
        _cached(found.case.patient, to_unit(found.target, spec.target), found.mask, loss)
        for found in targets
    )


def _cached(patient: str, image: Float32Array, mask: Bool, loss: LossSpec) -> CachedImage:
    """Put an image beside itself, as the cutting and augmenting of pairs wants it."""
    if not mask.any():
        raise InputError(f"No body was found in an image of patient {patient}.")
    pair = CachedPair(
        patient=patient,
        source=image,
        target=image,
        mask=mask,
        weight=np.where(mask, 1.0, loss.outside_weight).astype(np.float32),
        body_index=np.flatnonzero(mask),
        bone_index=np.zeros(0, dtype=np.int64),
    )
    return CachedImage(pair=pair, centre=np.array([axis.mean() for axis in np.nonzero(mask)]))


def draw_unpaired(
    sources: tuple[CachedImage, ...],
    targets: tuple[CachedImage, ...],
    spec: TranslatorSpec,
    rng: np.random.Generator,
    device: torch.device,
) -> Batch:
    """Draw sources and targets of other patients, and augment each by itself, on the device.

    Patients are drawn independently. The target's patch lies to the centre of its body as the
    source's lies to its own, so that both lists show the same regions of the body equally often;
    for the same reason the two are flipped together.
    """
    assert spec.training is not None and spec.network is not None
    training, network = spec.training, spec.network
    drawn: tuple[list[Patch], list[Patch]] = [], []
    for _ in range(training.batch):
        source = sources[int(rng.integers(len(sources)))]
        target = targets[int(rng.integers(len(targets)))]
        shape = source.pair.source.shape
        index = source.pair.body_index
        if rng.random() >= training.in_body:
            index = np.arange(source.pair.source.size)
        centre = np.array(np.unravel_index(int(index[rng.integers(index.size)]), shape))
        jitter = rng.random(3)
        for image, place, patches in zip(
            (source, target), (centre, like_place(centre, source, target)), drawn, strict=True
        ):
            patches.append(cut_patch(image.pair, network, training.patch, place, jitter))
    apart = training.augmentation.model_copy(update={"flip_axes": ()})
    source_batch, target_batch = (
        augment(stack(patches).to(device), apart, rng) for patches in drawn
    )
    # augmentation changes the signal of the source alone, so targets keep their values
    both = Batch(
        source=source_batch.source,
        target=target_batch.target,
        weight=target_batch.weight,
        source_weight=source_batch.weight,
    )
    return flip(both, training.augmentation, rng)


def like_place(
    place: NDArray[np.int64], here: CachedImage, there: CachedImage
) -> NDArray[np.int64]:
    """Find the voxel that lies to another body's centre of mass as ``place`` does to this one's.

    Sizes are left as they are: bodies differ in size by their fat rather than by their skeleton.
    """
    found = np.round(place + there.centre - here.centre).astype(np.int64)
    return np.clip(found, 0, np.array(there.pair.source.shape) - 1)
