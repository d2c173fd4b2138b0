"""The cohorts that the families are trained and examined on."""

from __future__ import annotations

from pathlib import Path

from qa_suite.cohort import Cohort, assign_splits, load_cohort, save_cohort
from qa_suite.phantom import make_phantom_cohort

HOSPITALS = ("A", "B", "C")
PATIENTS = 14  # a hospital: 19 calibration patients would take more; the attained level is stated
SPACING_MM = (4.0, 4.0, 6.0)
SEED = 31
FRACTIONS = {"train": 0.5, "validation": 0.1, "calibration": 0.15, "test": 0.25}


def virtual_cohort(folder: Path, direction: str, patients: int = PATIENTS) -> tuple[Cohort, Path]:
    """Return the cohort of a direction and its folder; it is made where it is not there yet."""
    place = folder / direction.replace("->", "-to-").lower()
    if not (place / "manifest.yaml").is_file():
        made = make_phantom_cohort(
            place, hospitals=HOSPITALS, patients_per_hospital=patients, spacing_mm=SPACING_MM,
            seed=SEED, workers=2, direction=direction,
        )  # fmt: skip
        dealt = assign_splits(made, fractions=FRACTIONS, seed=SEED)  # type: ignore[arg-type]
        save_cohort(dealt, place)
    return load_cohort(place), place
