"""Scenes to plant faults into: virtual patients made on the spot, or those of a cohort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from qa_suite.cohort import Case, Cohort
from qa_suite.errors import InputError
from qa_suite.io.cases import load_case
from qa_suite.phantom import VirtualPatient, make_patient, oracle_translate, phantom_grid
from qa_suite.phantom.faults import Scene
from qa_suite.volume import Grid, Triple, Volume

SPACING_MM: Triple = (6.0, 6.0, 6.0)
EXTENT_MM: Triple = (440.0, 320.0, 144.0)
"""Voxels and field of view of the exam's own patients: small, so that thousands can be examined."""

_STRANGER = 10_000
_AVERAGE_OF = (("A", 20_001), ("B", 20_002), ("C", 20_003), ("A", 20_004), ("B", 20_005),
               ("C", 20_006))  # fmt: skip


def exam_grid(spacing_mm: Triple) -> Grid:
    """Return the grid of the exam's own patients at a voxel size."""
    return phantom_grid(spacing_mm, EXTENT_MM)


def virtual_scene(
    hospital: str, index: int, *, seed: int, spacing_mm: Triple = SPACING_MM, twin: int = 0
) -> Scene:
    """Make one virtual patient with his clean twin.

    Parameters
    ----------
    hospital, index, seed
        The patient, see :func:`qa_suite.phantom.make_patient`.
    spacing_mm
        Voxel size.
    twin
        Number of the twin; each has fresh noise and another field.
    """
    patient = make_patient(hospital, index, seed=seed, grid=exam_grid(spacing_mm))
    return Scene(
        case=f"{patient.case}",
        source=patient.mr,
        reference=patient.ct,
        twin=_twin(patient, seed, twin),
        body=patient.body,
        labels=np.asarray(patient.labels.array, dtype=np.uint8),
        structures=patient.structures,
        stranger=lambda: _stranger(hospital, index, seed, spacing_mm),
        average=lambda: _average(seed, spacing_mm),
    )


def _twin(patient: VirtualPatient, seed: int, number: int) -> Volume:
    word = np.random.default_rng([seed, number, *patient.case.encode()]).integers(2**31)
    return oracle_translate(patient.ct_noise_free, seed=int(word))


def _stranger(hospital: str, index: int, seed: int, spacing_mm: Triple) -> Volume:
    other = make_patient(hospital, _STRANGER + index, seed=seed, grid=exam_grid(spacing_mm))
    return _twin(other, seed, 0)


@lru_cache(maxsize=2)
def _average(seed: int, spacing_mm: Triple) -> Volume:
    images = [
        make_patient(hospital, index, seed=seed, grid=exam_grid(spacing_mm)).ct.array
        for hospital, index in _AVERAGE_OF
    ]
    mean = np.stack(images).mean(axis=0, dtype=np.float32)
    return Volume(array=mean, grid=exam_grid(spacing_mm), quantity="HU")


def cohort_scene(cohort: Cohort, folder: Path, case: Case, *, twin: int = 0) -> Scene:
    """Take a virtual patient out of a cohort, with a clean twin.

    Parameters
    ----------
    cohort, folder
        A cohort that ``qa-suite phantom`` made, and where its manifest lies.
    case
        One of its cases.
    twin
        Number of the twin; each has fresh noise and another field.

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
    seed = np.random.default_rng([twin, *case.case.encode()]).integers(2**31)
    return Scene(
        case=case.case,
        source=loaded.source,
        reference=loaded.reference,
        twin=oracle_translate(loaded.truth["noise_free_reference"], seed=int(seed)),
        body=loaded.mask,
        labels=np.asarray(loaded.truth["labels"].array, dtype=np.uint8),
        structures=loaded.structures,
        stranger=_other_of(cohort, folder, case),
        average=lambda: _average_of(cohort, folder, case),
    )


def _other_of(cohort: Cohort, folder: Path, case: Case) -> Callable[[], Volume]:
    others = _others(cohort, case)

    def stranger() -> Volume:
        other = load_case(cohort, others[0], folder, truth=True)
        return oracle_translate(other.truth["noise_free_reference"], seed=1)

    return stranger


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
