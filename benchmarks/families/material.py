"""The cohorts that the families are trained and examined on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from qa_suite.cli.checks import without_refused
from qa_suite.core.cohort import Cohort, Split, assign_splits, load_cohort, save_cohort
from qa_suite.io.layouts.importing import import_cohort
from qa_suite.lab.phantom import Setup, make_phantom_cohort

HOSPITALS = ("A", "B", "C")
PATIENTS = 22  # a hospital; 12 calibrate, where 19 would be wanted: the attained level is stated
SPACING_MM = (4.0, 4.0, 6.0)
SEED = 53  # tune on another: who is examined here should be new to every specification
FRACTIONS: Mapping[Split, float] = {
    "train": 0.40,
    "validation": 0.05,
    "calibration": 0.17,
    "test": 0.38,
}


REAL_KEY = b"public-example-key"  # the collection is public, so its pseudonyms may be
REAL_FRACTIONS: Mapping[Split, float] = {
    "train": 0.6,
    "validation": 0.15,
    "calibration": 0.0,
    "test": 0.25,
}
REAL_SEED = 6
HOME_SITE = "GE"


def real_cohort(folder: Path, data: Path, direction: str) -> tuple[Cohort, Path]:
    """Return the cohort of the soft-tissue sarcomas and its folder; imported where missing.

    Dealt as in docs/real-patients.md: patients of one vendor's scanners are trained on.
    """
    source, _, reference = direction.partition("->")
    place = folder / f"sts-{source}-to-{reference}".lower()
    if not (place / "manifest.yaml").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        key = folder / "sts.key"
        key.write_bytes(REAL_KEY)
        made = import_cohort(
            data / "sts" / "nifti",
            place,
            anatomy="extremity",
            source_modality=source,
            reference_modality=reference,
            site_by="manufacturer",
            key_file=key,
            workers=2,
        )
        dealt = assign_splits(
            made, fractions=REAL_FRACTIONS, seed=REAL_SEED, train_sites=[HOME_SITE]
        )
        save_cohort(dealt, place)
    return without_refused(load_cohort(place), place, max_misalignment_mm=10.0), place


def virtual_cohort(
    folder: Path, direction: str, patients: int = PATIENTS, *, as_placed: bool = False
) -> tuple[Cohort, Path]:
    """Return the cohort of a direction and its folder; it is made where it is not there yet.

    ``as_placed``: shifted and turned as patients are, instead of aligned on their femoral heads.
    """
    lie = "placed" if as_placed else "aligned"
    place = folder / f"{direction.replace('->', '-to-').lower()}-{lie}-{patients}"
    if not (place / "manifest.yaml").is_file():
        made = make_phantom_cohort(
            place,
            hospitals=HOSPITALS,
            patients_per_hospital=patients,
            spacing_mm=SPACING_MM,
            seed=SEED,
            workers=2,
            direction=direction,
            setup=Setup() if as_placed else None,
        )
        dealt = assign_splits(made, fractions=FRACTIONS, seed=SEED)
        save_cohort(dealt, place)
    return load_cohort(place), place
