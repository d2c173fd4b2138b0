"""Tiny cohorts of every direction: one anatomy, as MR, CT, cone-beam CT and PET show it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qa_suite.core.cohort import Case, Cohort, save_cohort
from qa_suite.core.volume import Quantity, Volume
from qa_suite.io.identity import fingerprint, voxel_hash
from qa_suite.io.images import write_image
from tests.tiny_cohort import HU, SHAPE, SIGNAL, TISSUES, grid, tissue_labels

QUANTITY: dict[str, Quantity] = {"MR": "arbitrary", "CT": "HU", "CBCT": "HU", "PT": "SUVbw"}
UPTAKE = {"air": 0.0, "fat": 0.3, "muscle": 0.8, "bone": 0.6, "gas": 0.1}
LESION_SUV = 9.0
SECOND_MR = {"air": 0.0, "fat": 500.0, "muscle": 700.0, "bone": 90.0, "gas": 10.0}


def lesion() -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[17:22, 12:16, 4:8] = True
    return mask


def picture(modality: str, seed: int, *, second: bool = False, scan: int = 0) -> Volume:
    """Show the anatomy of one patient; MR has a gain of its own, each scan noise of its own."""
    rng = np.random.default_rng([seed, len(modality), int(second), scan])
    labels = tissue_labels(seed)
    values = {"MR": SECOND_MR if second else SIGNAL, "CT": HU, "CBCT": HU, "PT": UPTAKE}[modality]
    array = np.array([values[t] for t in TISSUES])[labels]
    if modality == "PT":
        array = np.where(lesion(), LESION_SUV, array)
        array = np.abs(array + rng.normal(0, 0.03, SHAPE))
    elif modality == "MR":
        array = np.abs(seed * (array + rng.normal(0, 15, SHAPE)))
    else:
        array = array + rng.normal(0, 40 if modality == "CBCT" else 10, SHAPE)
    return Volume(array=array.astype(np.float32), grid=grid(), quantity=QUANTITY[modality])


def make_direction_cohort(folder: Path, direction: str, patients: int = 3) -> Cohort:
    """Write a cohort of one direction; all patients are held out."""
    source, reference = direction.split("->")
    cases = []
    for number in range(1, patients + 1):
        volumes = {
            "source": picture(source, number),
            "reference": picture(reference, number, second=source == reference),
        }
        hashes = {
            "voxel_hashes": {role: voxel_hash(v) for role, v in volumes.items()},
            "fingerprints": {role: fingerprint(v) for role, v in volumes.items()},
        }
        inside = tissue_labels(number) > 0
        volumes["mask"] = _label(inside)
        files = {role: f"volumes/case{number}_{role}.nii.gz" for role in volumes}
        structures = {"GTV": lesion(), "Muscle": tissue_labels(number) == 2}
        places = {name: f"volumes/case{number}_{name}.nii.gz" for name in structures}
        for role, volume in volumes.items():
            write_image(volume, folder / files[role])
        for name, mask in structures.items():
            write_image(_label(mask), folder / places[name])
        cases.append(
            Case(
                case=f"case{number}",
                patient=f"patient{number}",
                site="AB"[number % 2],
                split="test",
                structures=places,
                **files,
                **hashes,
            )
        )
    cohort = Cohort(
        name=f"tiny-{source}-{reference}",
        source_modality=source,
        reference_modality=reference,
        source_quantity=QUANTITY[source],
        reference_quantity=QUANTITY[reference],
        anatomy="pelvis",
        cases=tuple(cases),
    )
    save_cohort(cohort, folder)
    return cohort


def _label(mask: np.ndarray) -> Volume:
    return Volume(array=mask.astype(np.int32), grid=grid(), quantity="label")
