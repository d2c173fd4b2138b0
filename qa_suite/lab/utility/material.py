"""The material: real and synthetic image of every patient with one set of structures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qa_suite.core.errors import InputError
from qa_suite.core.failures import is_of_the_run, unfinished, why
from qa_suite.evaluation.case_run import Examination
from qa_suite.instruments.fit_segmenter import TrainingImage
from qa_suite.instruments.frame import check_image
from qa_suite.io.cases import LoadedCase, load_case
from qa_suite.preflight import preflight

if TYPE_CHECKING:
    from qa_suite.core.cohort import Case

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class UtilityCase:
    """One case: its two images, delineated alike.

    Parameters
    ----------
    case, patient, site
        As in the cohort.
    real, synthetic
        With one mask and one set of structures, those delineated on the real image.
    """

    case: str
    patient: str
    site: str
    real: TrainingImage
    synthetic: TrainingImage


def prepare(
    examination: Examination, cases: Sequence[Case], progress: Progress | None = None
) -> tuple[list[UtilityCase], dict[str, str]]:
    """Translate every case, and say why some cannot take part.

    Returns
    -------
    tuple
        The cases in their order, and case to reason for those that preflight refused, that
        could not be translated, or that have no structure.
    """
    ready: list[UtilityCase] = []
    left_out: dict[str, str] = {}
    truth = examination.model.family == "oracle"
    for number, case in enumerate(cases, 1):
        try:
            loaded = load_case(examination.cohort, case, examination.folder, truth=truth)
            checked = preflight(loaded, examination.cohort, examination.settings.preflight)
            if checked.refused:
                raise InputError(f"refused by preflight: {checked.reason}")
            ready.append(_pair(loaded, examination))
        except Exception as error:  # a translator that fails on one case must not end the run
            if is_of_the_run(error):
                raise unfinished(f"The case {case.case} could not be prepared", error) from error
            left_out[case.case] = why(error)
        if progress is not None:
            progress(number, len(cases), case.case)
    return ready, left_out


def _pair(loaded: LoadedCase, examination: Examination) -> UtilityCase:
    if loaded.reference is None or loaded.mask is None:
        raise InputError("the case needs a reference image and a mask")
    if not loaded.structures:
        raise InputError("the case has no delineated structure to learn")
    mask = loaded.mask if loaded.coverage is None else loaded.mask & loaded.coverage
    if not mask.any():
        raise InputError("the mask is empty")
    synthetic = examination.translate(loaded).mean
    for volume in (loaded.reference, synthetic):
        check_image(volume, mask)
    case = loaded.case
    images = [
        TrainingImage(volume=v, mask=mask, structures=loaded.structures, patient=case.patient)
        for v in (loaded.reference, synthetic)
    ]
    return UtilityCase(
        case=case.case, patient=case.patient, site=case.site, real=images[0], synthetic=images[1]
    )


def deal(cases: Sequence[UtilityCase], folds: int, seed: int) -> dict[str, int]:
    """Deal the patients into folds of nearly equal size, site by site.

    Returns
    -------
    dict
        Patient to fold. A patient with several cases goes as a whole.
    """
    rng = np.random.default_rng([seed, 20])
    site_of: dict[str, str] = {}
    for case in sorted(cases, key=lambda c: c.case):
        site_of.setdefault(case.patient, case.site)
    dealt: dict[str, int] = {}
    order = rng.permutation(folds)
    for site in sorted(set(site_of.values())):
        patients = sorted(p for p, where in site_of.items() if where == site)
        for patient in rng.permutation(patients):  # goes on where the last site stopped
            dealt[str(patient)] = int(order[len(dealt) % folds])
    return dealt
