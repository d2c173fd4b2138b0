"""Writing a cohort of virtual patients, as import writes real ones."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.cohort import Case, Cohort, Strata, save_cohort, with_file_hashes
from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.making_cohorts import make_way, require_no_cohort
from qa_suite.core.one_writer import writing
from qa_suite.core.volume import Triple, Volume
from qa_suite.io.images import write_image
from qa_suite.lab.phantom.directions import Direction, Pair
from qa_suite.lab.phantom.directions import direction as direction_of
from qa_suite.lab.phantom.hospitals import hospital
from qa_suite.lab.phantom.randomness import generator
from qa_suite.lab.phantom.scan import VirtualPatient, make_patient
from qa_suite.lab.phantom.setup import Setup

Progress = Callable[[int, int, str], None]

SPACINGS_MM = (0.5, 20.0)
"""Least and largest side of a voxel: below it a pelvis has 10⁸ voxels, above it no bone."""


def make_phantom_cohort(
    folder: Path,
    *,
    hospitals: Sequence[str] = ("A", "B", "C"),
    patients_per_hospital: int | Mapping[str, int],
    spacing_mm: Triple,
    seed: int,
    direction: str = "MR->CT",
    setup: Setup | None = None,
    replace: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
    deal: Callable[[Cohort], Cohort] | None = None,
) -> Cohort:
    """Make virtual patients and write them with their manifest.

    A patient depends on the seed, his hospital and his number there alone: more hospitals
    or more patients leave the others as they are, byte by byte.

    Parameters
    ----------
    folder
        Gets ``manifest.yaml`` and ``volumes/<case>/*.nii.gz``.
    hospitals
        Names from :data:`qa_suite.lab.phantom.HOSPITALS`.
    patients_per_hospital
        One number for all, or one for each.
    spacing_mm
        Voxel size of the pelvic field of view.
    seed
        Of everything.
    direction
        One of :data:`qa_suite.lab.phantom.DIRECTIONS`; the patients of a seed are the same people
        in every direction, with the same pseudonyms.
    setup
        How differently they lie; by default all are aligned on their femoral heads.
    replace
        Whether a cohort that the folder holds already is replaced.
    workers
        Processes that make patients; the result does not depend on it.
    progress
        Called with (done, total, case) after each patient.
    deal
        What is still to be said of the cohort, such as its patient sets. It is written once, so
        that no cohort without them is ever found there.

    Returns
    -------
    Cohort
        Without splits, unless ``deal`` deals them (:func:`qa_suite.core.cohort.assign_splits`).

    Raises
    ------
    InputError
        If a hospital stands twice or has no number of patients, the voxels have no size, the
        folder holds a cohort, or another process writes there.
    UnknownName
        If there is no such hospital or direction.
    """
    wanted_direction = direction_of(direction)
    counts = _counts(hospitals, patients_per_hospital)
    _require_possible(spacing_mm, seed)
    require_no_cohort(folder, replace=replace)
    wanted = [(name, index) for name, count in counts.items() for index in range(1, count + 1)]
    make = functools.partial(
        _make,
        folder=folder,
        seed=seed,
        spacing_mm=spacing_mm,
        direction=wanted_direction.name,
        setup=setup,
    )
    cases = []
    with writing(folder, "phantom"):
        make_way(folder)
        for case in _each(make, wanted, workers):
            cases.append(case)
            if progress is not None:
                progress(len(cases), len(wanted), case.case)
        settings = settings_of(seed, spacing_mm, setup)
        cohort = _cohort(wanted_direction, cases, ", ".join(counts), settings)
        if deal is not None:
            cohort = deal(cohort)
        cohort = with_file_hashes(cohort, folder)
        save_cohort(cohort, folder)
    return cohort


def _require_possible(spacing_mm: Triple, seed: int) -> None:
    """Refuse voxels that no scan has, and seeds that no generator takes."""
    low, high = SPACINGS_MM
    problems = []
    if len(spacing_mm) != 3 or not all(low <= side <= high for side in spacing_mm):
        sides = ",".join(f"{side:g}" for side in spacing_mm)
        problems.append(f"voxels of {sides} mm; each side is {low:g} to {high:g} mm")
    if seed < 0:
        problems.append(f"the seed {seed}; it is a whole number from 0 on")
    raise_problems("The virtual cohort", problems)


def _cohort(
    direction: Direction, cases: Sequence[Case], sites: str, settings: dict[str, Any]
) -> Cohort:
    from qa_suite.io.dicom.series import QUANTITY_OF_MODALITY

    source, reference = direction.source_modality, direction.reference_modality
    usual = direction.name == "MR->CT"
    ending = "" if usual else f"-{source.lower()}-to-{reference.lower()}"
    return Cohort(
        name=f"virtual-pelvis-{settings['seed']}{ending}",
        source_modality=source,
        reference_modality=reference,
        source_quantity=QUANTITY_OF_MODALITY[source],
        reference_quantity=QUANTITY_OF_MODALITY[reference],
        anatomy="pelvis",
        description=f"Virtual male pelves of hospitals {sites}; anatomy, physics and truth known.",
        import_settings=settings,
        cases=tuple(cases),
    )


def settings_of(seed: int, spacing_mm: Triple, setup: Setup | None) -> dict[str, Any]:
    """Say what the cohort was made from."""
    x, y, z = (float(s) for s in spacing_mm)
    settings = {
        "phantom": "male pelvis",
        "seed": seed,
        "spacing_x_mm": x,
        "spacing_y_mm": y,
        "spacing_z_mm": z,
    }
    if setup is not None:
        x, y, z = (float(s) for s in setup.shift_mm)
        settings |= {
            "setup_x_mm": x,
            "setup_y_mm": y,
            "setup_z_mm": z,
            "setup_turn_deg": float(setup.turn_deg),
        }
    return settings


def _make(
    wanted: tuple[str, int],
    *,
    folder: Path,
    seed: int,
    spacing_mm: Triple,
    direction: str,
    setup: Setup | None,
) -> Case:
    name, index = wanted
    patient = make_patient(name, index, seed=seed, spacing_mm=spacing_mm, setup=setup)
    return _write(patient, direction_of(direction).scan(patient), folder)


def _each(
    make: Callable[[tuple[str, int]], Case], wanted: Sequence[tuple[str, int]], workers: int
) -> Iterator[Case]:
    """Make the patients in their order, in this process or in several."""
    if workers <= 1:
        yield from map(make, wanted)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(make, wanted)


def _counts(hospitals: Sequence[str], number: int | Mapping[str, int]) -> dict[str, int]:
    names = list(hospitals)
    if not names or len(set(names)) != len(names):
        raise InputError(
            f"The hospitals must be named once each, got {', '.join(names) or 'none'}."
        )
    for name in names:
        hospital(name)
    counts = {}
    for name in names:
        count = number if isinstance(number, int) else number.get(name)
        if count is None or count < 1:
            raise InputError(f"Hospital {name} needs at least one patient, got {count}.")
        counts[name] = int(count)
    return counts


def _write(patient: VirtualPatient, pair: Pair, folder: Path) -> Case:
    from qa_suite.io.identity import fingerprint, voxel_hash

    base = Path("volumes") / patient.case
    volumes = {
        "source": pair.source,
        "reference": pair.reference,
        "mask": _mask(patient, patient.body),
        **{f"truth_{name}": volume for name, volume in _truth(patient, pair).items()},
    }
    if pair.coverage is not None:
        volumes["coverage"] = _mask(patient, pair.coverage)
    masks = {**patient.structures, **pair.structures}
    structures = {name: _mask(patient, mask) for name, mask in masks.items() if mask.any()}
    files = {name: f"{base.as_posix()}/{name}.nii.gz" for name in volumes}
    structure_files = {name: f"{base.as_posix()}/structure_{name}.nii.gz" for name in structures}
    for name, volume in volumes.items():
        write_image(volume, folder / files[name])
    for name, volume in structures.items():
        write_image(volume, folder / structure_files[name])
    both = {"source": pair.source, "reference": pair.reference}
    return Case(
        case=patient.case,
        patient=patient.patient,
        site=f"hospital-{patient.hospital.name}",
        source=files["source"],
        reference=files["reference"],
        mask=files["mask"],
        coverage=files.get("coverage"),
        structures=structure_files,
        truth={
            name.removeprefix("truth_"): file
            for name, file in files.items()
            if name.startswith("truth_")
        },
        voxel_hashes={role: voxel_hash(volume) for role, volume in both.items()},
        fingerprints={role: fingerprint(volume) for role, volume in both.items()},
        strata=_strata(patient, pair),
        history=_history(pair),
    )


def _truth(patient: VirtualPatient, pair: Pair) -> dict[str, Volume]:
    truth = {"noise_free_reference": pair.noise_free}
    if pair.distorted:
        size = np.linalg.norm(patient.distortion_mm, axis=-1).astype(np.float32)
        truth["distortion_mm"] = Volume(array=size, grid=patient.grid, quantity="arbitrary")
    return truth | {"labels": patient.labels}


def _history(pair: Pair) -> tuple[str, ...]:
    steps = dict.fromkeys((*pair.source.history, *pair.reference.history))
    return tuple(steps)


def _mask(patient: VirtualPatient, mask: NDArray[np.bool_]) -> Volume:
    return Volume(array=mask.astype(np.uint8), grid=patient.grid, quantity="label")


def _strata(patient: VirtualPatient, pair: Pair) -> Strata:
    decade = int(patient.traits.age_years // 10) * 10
    columns = patient.body.any(axis=(1, 2))
    rng = generator(patient.seed, patient.hospital.name, patient.index, "interval")
    return Strata(
        **pair.facts,
        sex="M",
        age_band=f"{decade}-{decade + 9}",
        body_width_mm=round(float(columns.sum()) * patient.grid.spacing_mm[0], 1),
        implant="no",
        scan_interval_days=int(rng.integers(0, 15)),
    )
