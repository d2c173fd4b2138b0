"""Scenes to plant faults into: virtual patients made on the spot, or those of a cohort."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.cohort import Case, Cohort
from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid, Triple, Volume
from qa_suite.io.cases import load_case
from qa_suite.lab.faults import Scene
from qa_suite.lab.phantom import VirtualPatient, make_patient, phantom_grid
from qa_suite.lab.phantom.candidates import CANDIDATES, TWIN, KnownTruth, Truth

SPACING_MM: Triple = (6.0, 6.0, 6.0)
EXTENT_MM: Triple = (440.0, 320.0, 144.0)
"""Voxels and field of view of the exam's own patients: small, so that thousands can be examined.
For the same reason a voxel is one cell of the phantom (of a cohort's patients it is eight)."""

_STRANGER = 10_000
_AVERAGE_OF = (
    ("A", 20_001),
    ("B", 20_002),
    ("C", 20_003),
    ("A", 20_004),
    ("B", 20_005),
    ("C", 20_006),
)


@dataclass(frozen=True, kw_only=True)
class Person:
    """One virtual patient before a candidate has seen him: what all candidates share.

    Parameters
    ----------
    case
        His name.
    source, reference
        MR, and CT with its noise.
    truth
        What candidates are made from.
    labels
        Part with the largest share of each voxel.
    structures
        Delineated structures by name.
    seeds
        Begin the seed of every candidate's image.
    stranger
        Makes the clean image of another patient by a candidate of that name.
    average
        Makes the mean CT of other patients.
    """

    case: str
    source: Volume
    reference: Volume
    truth: KnownTruth
    labels: NDArray[np.uint8]
    structures: Mapping[str, NDArray[np.bool_]]
    seeds: tuple[int, ...]
    stranger: Callable[[str], Volume] = field(repr=False)
    average: Callable[[], Volume] = field(repr=False)

    def scene(self, candidate: str = TWIN, *, number: int = 0, side: int = 1) -> Scene:
        """Let a candidate make its clean image of him.

        Parameters
        ----------
        candidate
            Its registered name.
        number
            Of the image; each is drawn afresh.
        side
            See :class:`~qa_suite.lab.faults.Scene`.

        Raises
        ------
        UnknownName
            If there is no such candidate.
        """
        word = np.random.default_rng([*self.seeds, number, *self.case.encode()]).integers(2**31)
        return Scene(
            case=self.case,
            source=self.source,
            reference=self.reference,
            clean=CANDIDATES[candidate].function(self.truth, int(word)),
            body=self.truth.body,
            labels=self.labels,
            structures=self.structures,
            stranger=lambda: self.stranger(candidate),
            average=self.average,
            side=side,
        )


def exam_grid(spacing_mm: Triple) -> Grid:
    """Return the grid of the exam's own patients at a voxel size."""
    return phantom_grid(spacing_mm, EXTENT_MM)


def virtual_person(
    hospital: str, index: int, *, seed: int, spacing_mm: Triple = SPACING_MM
) -> Person:
    """Make one virtual patient; see :func:`qa_suite.lab.phantom.make_patient`."""
    patient = _made(hospital, index, seed, spacing_mm)
    return Person(
        case=patient.case,
        source=patient.mr,
        reference=patient.ct,
        truth=patient,
        labels=np.asarray(patient.labels.array, dtype=np.uint8),
        structures=patient.structures,
        seeds=(seed,),
        stranger=lambda candidate: _image(
            candidate, _stranger(hospital, index, seed, spacing_mm), seed
        ),
        average=lambda: _average(seed, spacing_mm),
    )


def virtual_scene(
    hospital: str,
    index: int,
    *,
    seed: int,
    spacing_mm: Triple = SPACING_MM,
    candidate: str = TWIN,
    number: int = 0,
) -> Scene:
    """Make one virtual patient with a candidate's clean image of him.

    Parameters
    ----------
    hospital, index, seed, spacing_mm
        The patient, see :func:`virtual_person`.
    candidate, number
        The image, see :meth:`Person.scene`.
    """
    person = virtual_person(hospital, index, seed=seed, spacing_mm=spacing_mm)
    return person.scene(candidate, number=number)


def _made(hospital: str, index: int, seed: int, spacing_mm: Triple) -> VirtualPatient:
    grid = exam_grid(spacing_mm)
    return make_patient(hospital, index, seed=seed, grid=grid, subsample_mm=max(spacing_mm))


def _image(candidate: str, patient: VirtualPatient, seed: int) -> Volume:
    word = np.random.default_rng([seed, 0, *patient.case.encode()]).integers(2**31)
    image: Volume = CANDIDATES[candidate].function(patient, int(word))
    return image


@lru_cache(maxsize=1)
def _stranger(hospital: str, index: int, seed: int, spacing_mm: Triple) -> VirtualPatient:
    return _made(hospital, _STRANGER + index, seed, spacing_mm)


@lru_cache(maxsize=2)
def _average(seed: int, spacing_mm: Triple) -> Volume:
    images = [_made(hospital, index, seed, spacing_mm).ct.array for hospital, index in _AVERAGE_OF]
    mean = np.stack(images).mean(axis=0, dtype=np.float32)
    return Volume(array=mean, grid=exam_grid(spacing_mm), quantity="HU")


def cohort_person(cohort: Cohort, folder: Path, case: Case) -> Person:
    """Take a virtual patient out of a cohort.

    Parameters
    ----------
    cohort, folder
        A cohort that ``qa-suite phantom`` made, and where its manifest lies.
    case
        One of its cases.

    Raises
    ------
    InputError
        If the case is no virtual patient.
    """
    loaded = load_case(cohort, case, folder, truth=True)
    if loaded.reference is None or loaded.mask is None or "labels" not in loaded.truth:
        raise InputError(
            f"Case {case.case} of {cohort.name} is no virtual patient; the exam plants its faults "
            f"into patients whose truth is known ('qa-suite phantom' makes them)."
        )
    return Person(
        case=case.case,
        source=loaded.source,
        reference=loaded.reference,
        truth=Truth(
            ct_noise_free=loaded.truth["noise_free_reference"],
            body=loaded.mask,
            structures=loaded.structures,
        ),
        labels=np.asarray(loaded.truth["labels"].array, dtype=np.uint8),
        structures=loaded.structures,
        seeds=(),
        stranger=lambda candidate: _other_of(cohort, folder, case, candidate),
        average=lambda: _average_of(cohort, folder, case),
    )


def _other_of(cohort: Cohort, folder: Path, case: Case, candidate: str) -> Volume:
    other = load_case(cohort, _others(cohort, case)[0], folder, truth=True)
    if other.mask is None:
        raise InputError(f"Case {other.case.case} of {cohort.name} has no mask of the body.")
    truth = Truth(
        ct_noise_free=other.truth["noise_free_reference"],
        body=other.mask,
        structures=other.structures,
    )
    image: Volume = CANDIDATES[candidate].function(truth, 1)
    return image


def _average_of(cohort: Cohort, folder: Path, case: Case) -> Volume:
    images = [
        load_case(cohort, other, folder, truth=True).truth["noise_free_reference"]
        for other in _others(cohort, case)[:6]
    ]
    mean = np.stack([image.array for image in images]).mean(axis=0, dtype=np.float32)
    return images[0].with_array(mean)


def _others(cohort: Cohort, case: Case) -> Sequence[Case]:
    """Cases of other patients, those of the same site first."""
    others = [other for other in cohort.cases if other.patient != case.patient]
    if not others:
        raise InputError(f"The cohort {cohort.name} has one patient only; the exam needs more.")
    return sorted(others, key=lambda other: (other.site != case.site, other.case))
