"""Reference CTs of a cohort as training material, and never those of an examined patient."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qa_suite.core.cohort import Case, Cohort, Split, check_splits
from qa_suite.core.errors import InputError, QAError, raise_problems

if TYPE_CHECKING:
    from qa_suite.instruments.fit_segmenter import TrainingImage


SEEN_SPLITS: tuple[Split, ...] = ("train", "validation")
"""What an instrument may learn from; the others are examined, or calibrate."""


def check_cohort(cohort: Cohort) -> None:
    """Refuse a cohort with overlapping sets, other references than CTs, or an empty set.

    Raises
    ------
    LeakageError, InputError
    """
    check_splits(cohort)
    if cohort.reference_quantity != "HU":
        raise InputError(
            f"The examiner's networks read CTs in HU, and the references of {cohort.name} are in "
            f"{cohort.reference_quantity}."
        )
    for split in SEEN_SPLITS:
        if not cohort.in_split(split):
            raise InputError(
                f"The cohort {cohort.name} has no case in the set '{split}', which a network of "
                f"the examiner needs; deal the patients with 'qa-suite import --split'."
            )


def load_images(cohort: Cohort, folder: Path, split: Split) -> list[TrainingImage]:
    """Read the reference CTs of one patient set with what was delineated in them.

    The mask is the case's mask where the CT was really scanned; where the case brings none, it
    is the CT's body.

    Raises
    ------
    Problems
        With one sentence for every case that cannot be read, has no reference, or is not finite.
    """
    images: list[TrainingImage] = []
    problems: list[str] = []
    for case in cohort.in_split(split):
        try:
            images.append(_load(cohort, case, folder))
        except QAError as error:
            problems.append(f"case {case.case}: {error}")
    raise_problems(f"The {split} set of cohort {cohort.name}", problems)
    return images


def _load(cohort: Cohort, case: Case, folder: Path) -> TrainingImage:
    from qa_suite.imaging.threshold import body
    from qa_suite.instruments.fit_segmenter import TrainingImage
    from qa_suite.instruments.frame import check_image
    from qa_suite.io.cases import load_case

    loaded = load_case(cohort, case, folder)
    if loaded.reference is None:
        raise InputError("it has no reference image to learn from")
    if loaded.mask is not None:
        mask = loaded.mask
    else:
        domain = np.isfinite(loaded.reference.array)
        mask = body(loaded.reference, domain=domain)
    if loaded.coverage is not None:
        mask = mask & loaded.coverage
    if not mask.any():
        raise InputError("its mask is empty, so there is nothing to learn from")
    check_image(loaded.reference, mask)
    return TrainingImage(
        volume=loaded.reference, mask=mask, structures=loaded.structures, patient=case.patient
    )


def training_facts(cohort: Cohort) -> dict[str, Any]:
    """Say on whom an instrument was trained, as fields of ``InstrumentFacts``.

    Validation patients count as seen: they chose the weights.
    """
    seen = cohort.in_split(*SEEN_SPLITS)
    return {
        "training_patients": tuple(sorted({case.patient for case in seen})),
        "training_voxel_hashes": tuple(
            sorted({value for case in seen for value in case.voxel_hashes.values()})
        ),
    }


def cohort_settings(cohort: Cohort) -> dict[str, Any]:
    """Say which cohort an instrument comes from, for its ``settings``."""
    return {
        "cohort": cohort.name,
        "data_digest": cohort.data_digest(*SEEN_SPLITS),
        "training_sites": sorted({case.site for case in cohort.in_split(*SEEN_SPLITS)}),
    }
