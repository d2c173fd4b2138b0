"""The norms of a training cohort: learnt from its images, patient by patient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.core.cohort import Case, Cohort, Split
from qa_suite.core.errors import InputError, QAError
from qa_suite.core.volume import Volume
from qa_suite.imaging.body import ct_body
from qa_suite.io.cases import load_case
from qa_suite.metrics.reference_free.norms import (
    MIN_PATIENTS,
    NAMES,
    Norms,
    fit_model,
    histogram_of,
    leave_one_out,
)
from qa_suite.metrics.reference_free.patient import Patient, Scene
from qa_suite.metrics.reference_free.settings import ReferenceFreeSettings


def norms_of(cohort: Cohort, folder: Path, *, split: Split = "train") -> Norms:
    """Learn what the patients of one set look like.

    Parameters
    ----------
    cohort, folder
        The cohort and where its manifest lies. Its real images must be in HU.
    split
        The patient set; never the held-out one, which is to be compared with it.

    Returns
    -------
    Norms
        The same for the same cohort, whatever the order of its cases.

    Raises
    ------
    InputError
        If the cohort's real images are not in HU, or fewer than :data:`MIN_PATIENTS` patients
        of the set could be used.
    """
    if cohort.reference_quantity != "HU":
        raise InputError(
            f"norms need real images in HU, and those of {cohort.name} are in "
            f"{cohort.reference_quantity}"
        )
    histograms, rows, left_out = [], [], {}
    for case in _one_a_patient(cohort.in_split(split)):
        try:
            loaded = load_case(cohort, case, folder)
            if loaded.reference is None:
                raise InputError("it has no real image")
            found = _described(loaded.source)
            histogram = _body_histogram(loaded.reference, loaded.coverage)
        except QAError as error:
            left_out[case.case] = str(error).rstrip(".").replace(f"{folder}/", "")
            continue
        rows.append([found[name] for name in NAMES])
        histograms.append(histogram)
    if len(rows) < MIN_PATIENTS:
        raise InputError(
            f"norms need {MIN_PATIENTS} patients, and the set '{split}' of {cohort.name} has "
            f"{len(rows)} that can be used"
        )
    table = np.array(rows)
    model = fit_model(table)
    return Norms(
        cohort=cohort.name,
        cohort_digest=cohort.digest,
        split=split,
        patients=len(rows),
        left_out=left_out,
        histogram=_plain(np.mean(histograms, axis=0)),
        names=NAMES,
        centre=_plain(model.centre),
        spread=_plain(model.spread),
        covariance=tuple(_plain(row) for row in model.covariance),
        shrinkage=model.shrinkage,
        distances=tuple(sorted(leave_one_out(table))),
    )


def _one_a_patient(cases: Sequence[Case]) -> list[Case]:
    """Return each patient's first examination, by name."""
    first: dict[str, Case] = {}
    for case in sorted(cases, key=lambda c: (c.examination, c.case)):
        first.setdefault(case.patient, case)
    return sorted(first.values(), key=lambda case: case.case)


def _described(source: Volume) -> dict[str, float]:
    scene = Scene(
        patient=Patient(synthetic=source, source=source), settings=ReferenceFreeSettings()
    )
    if scene.nonfinite_source:
        raise InputError("its source holds voxels that are not finite")
    found = scene.descriptor
    if found is None:
        raise InputError("the body in its source is flat or too small")
    return found


def _body_histogram(reference: Volume, coverage: NDArray[np.bool_] | None) -> FloatArray:
    if not np.isfinite(reference.array).all():
        raise InputError("its real image holds voxels that are not finite")
    body = ct_body(reference.array, reference.grid)
    values = reference.array[body if coverage is None else body & coverage]
    if values.size == 0:
        raise InputError("its real image shows no body")
    return histogram_of(values)


def _plain(values: FloatArray) -> tuple[float, ...]:
    return tuple(float(v) for v in values)
