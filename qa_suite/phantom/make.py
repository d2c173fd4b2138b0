"""Writing a cohort of virtual patients, as import writes real ones."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from qa_suite.cohort import Case, Cohort, Strata, save_cohort, with_file_hashes
from qa_suite.errors import InputError
from qa_suite.io.images import write_image
from qa_suite.phantom.hospitals import hospital
from qa_suite.phantom.randomness import generator
from qa_suite.phantom.scan import VirtualPatient, make_patient
from qa_suite.volume import Triple, Volume

Progress = Callable[[int, int, str], None]


def make_phantom_cohort(
    folder: Path,
    *,
    hospitals: Sequence[str] = ("A", "B", "C"),
    patients_per_hospital: int | Mapping[str, int],
    spacing_mm: Triple,
    seed: int,
    workers: int = 1,
    progress: Progress | None = None,
) -> Cohort:
    """Make virtual patients and write them with their manifest.

    A patient depends on the seed, his hospital and his number there alone: more hospitals
    or more patients leave the others as they are, byte by byte.

    Parameters
    ----------
    folder
        Gets ``manifest.yaml`` and ``volumes/<case>/*.nii.gz``.
    hospitals
        Names from :data:`qa_suite.phantom.HOSPITALS`.
    patients_per_hospital
        One number for all, or one for each.
    spacing_mm
        Voxel size of the pelvic field of view.
    seed
        Of everything.
    workers
        Processes that make patients; the result does not depend on it.
    progress
        Called with (done, total, case) after each patient.

    Returns
    -------
    Cohort
        Without splits; deal them with :func:`qa_suite.cohort.assign_splits`.

    Raises
    ------
    InputError
        If a hospital stands twice or has no number of patients.
    UnknownName
        If there is no such hospital.
    """
    counts = _counts(hospitals, patients_per_hospital)
    wanted = [(name, index) for name, count in counts.items() for index in range(1, count + 1)]
    make = functools.partial(_make, folder=folder, seed=seed, spacing_mm=spacing_mm)
    cases = []
    for case in _each(make, wanted, workers):
        cases.append(case)
        if progress is not None:
            progress(len(cases), len(wanted), case.case)
    sites = ", ".join(counts)
    cohort = Cohort(
        name=f"virtual-pelvis-{seed}",
        source_modality="MR",
        reference_modality="CT",
        source_quantity="arbitrary",
        reference_quantity="HU",
        anatomy="pelvis",
        description=f"Virtual male pelves of hospitals {sites}; anatomy, physics and truth known.",
        import_settings={
            "phantom": "male pelvis",
            "seed": seed,
            "spacing_x_mm": float(spacing_mm[0]),
            "spacing_y_mm": float(spacing_mm[1]),
            "spacing_z_mm": float(spacing_mm[2]),
        },
        cases=tuple(cases),
    )
    cohort = with_file_hashes(cohort, folder)
    save_cohort(cohort, folder)
    return cohort


def _make(wanted: tuple[str, int], *, folder: Path, seed: int, spacing_mm: Triple) -> Case:
    name, index = wanted
    patient = make_patient(name, index, seed=seed, spacing_mm=spacing_mm)
    return _write(patient, folder, index, seed)


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


def _write(patient: VirtualPatient, folder: Path, index: int, seed: int) -> Case:
    from qa_suite.io.identity import fingerprint, voxel_hash

    base = Path("volumes") / patient.case
    size = np.linalg.norm(patient.distortion_mm, axis=-1).astype(np.float32)
    volumes = {
        "source": patient.mr,
        "reference": patient.ct,
        "mask": _mask(patient, "Body"),
        "truth_noise_free_reference": patient.ct_noise_free,
        "truth_distortion_mm": Volume(array=size, grid=patient.grid, quantity="arbitrary"),
        "truth_labels": patient.labels,
    }
    structures = {
        name: _mask(patient, name) for name, mask in patient.structures.items() if mask.any()
    }
    files = {name: f"{base.as_posix()}/{name}.nii.gz" for name in volumes}
    structure_files = {name: f"{base.as_posix()}/structure_{name}.nii.gz" for name in structures}
    for name, volume in volumes.items():
        write_image(volume, folder / files[name])
    for name, volume in structures.items():
        write_image(volume, folder / structure_files[name])
    both = {"source": patient.mr, "reference": patient.ct}
    return Case(
        case=patient.case,
        patient=patient.patient,
        site=f"hospital-{patient.hospital.name}",
        source=files["source"],
        reference=files["reference"],
        mask=files["mask"],
        structures=structure_files,
        truth={
            name.removeprefix("truth_"): file
            for name, file in files.items()
            if name.startswith("truth_")
        },
        voxel_hashes={role: voxel_hash(volume) for role, volume in both.items()},
        fingerprints={role: fingerprint(volume) for role, volume in both.items()},
        strata=_strata(patient, index, seed),
        history=patient.mr.history,
    )


def _mask(patient: VirtualPatient, name: str) -> Volume:
    array = patient.structures[name].astype(np.uint8)
    return Volume(array=array, grid=patient.grid, quantity="label")


def _strata(patient: VirtualPatient, index: int, seed: int) -> Strata:
    site = patient.hospital
    decade = int(patient.traits.age_years // 10) * 10
    columns = patient.body.any(axis=(1, 2))
    gap = generator(seed, site.name, index, "interval").integers(0, 15)
    return Strata(
        source_manufacturer=site.mr_manufacturer,
        source_model=site.mr_model,
        field_strength_t=site.mr.field_t,
        sequence=site.mr.sequence,
        repetition_time_ms=site.mr.repetition_ms,
        echo_time_ms=site.mr.echo_ms,
        reference_manufacturer=site.ct_manufacturer,
        reference_model=site.ct_model,
        ct_kernel=site.ct.kernel,
        tube_voltage_kv=site.ct.tube_voltage_kv,
        slice_thickness_mm=site.ct.slice_mm,
        sex="M",
        age_band=f"{decade}-{decade + 9}",
        body_width_mm=round(float(columns.sum()) * patient.grid.spacing_mm[0], 1),
        implant="no",
        scan_interval_days=int(gap),
    )
