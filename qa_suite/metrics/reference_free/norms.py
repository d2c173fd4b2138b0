"""What a training cohort looks like: the yardstick of the checks without a reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from qa_suite.core.arrays import Float32Array, FloatArray
from qa_suite.core.cohort import Case, Cohort, Split
from qa_suite.core.errors import InputError, QAError
from qa_suite.core.volume import Volume
from qa_suite.imaging.bodies import ct_body
from qa_suite.io.cases import load_case
from qa_suite.metrics.reference_free.descriptor import NAMES
from qa_suite.metrics.reference_free.patient import Patient, Scene
from qa_suite.metrics.reference_free.settings import ReferenceFreeSettings

NORMS_FILE = "norms.json"
MIN_PATIENTS = 10
"""Fewer training patients give no norms: a covariance of 15 numbers would be mostly shrinkage."""

LOW_HU, HIGH_HU, BIN_HU = -1024.0, 3076.0, 10.0
BINS = round((HIGH_HU - LOW_HU) / BIN_HU)


class Norms(BaseModel):
    """What the images of a cohort look like, in numbers.

    Parameters
    ----------
    cohort, cohort_digest, split
        Whose.
    patients
        How many they rest on; the first examination of each.
    left_out
        Case to reason, for those that could not be used.
    histogram
        Share of the body's voxels of the real image in each step of 10 HU from -1024; the
        mean over the patients. Values beyond the ends count in the last steps.
    names, centre, spread
        Descriptor of the sources: names, mean and standard deviation.
    covariance
        Of the descriptor divided by its spread, shrunk to a multiple of the identity.
    shrinkage
        Weight of that identity.
    distances
        Of each training patient from the others (leave one out), in no order of patients.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    cohort: str
    cohort_digest: str
    split: str
    patients: int = Field(ge=MIN_PATIENTS)
    left_out: dict[str, str] = Field(default_factory=dict)
    histogram: tuple[float, ...]
    names: tuple[str, ...]
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    shrinkage: float = Field(ge=0, le=1)
    distances: tuple[float, ...]

    @model_validator(mode="after")
    def _one_size(self) -> Norms:
        sizes = {len(self.centre), len(self.spread), len(self.covariance), len(self.names)}
        sizes |= {len(row) for row in self.covariance}
        if len(sizes) != 1 or len(self.histogram) != BINS:
            raise ValueError(f"the descriptor has sizes {sorted(sizes)}")
        return self

    def distance(self, descriptor: Mapping[str, float]) -> float:
        """Mahalanobis distance of a descriptor from the cohort's mean."""
        values = np.array([descriptor[name] for name in self.names])
        model = _Model(
            centre=np.asarray(self.centre),
            spread=np.asarray(self.spread),
            covariance=np.asarray(self.covariance),
            shrinkage=self.shrinkage,
        )
        return _distance(model, values)


@dataclass(frozen=True, kw_only=True)
class _Model:
    """Mean, spread and shrunk covariance of rows of numbers."""

    centre: FloatArray
    spread: FloatArray
    covariance: FloatArray
    shrinkage: float


def _fit(rows: FloatArray) -> _Model:
    centre, spread = rows.mean(axis=0), rows.std(axis=0, ddof=1)
    spread = np.maximum(spread, 1e-6 * np.maximum(np.abs(centre), 1.0))
    covariance, shrinkage = shrunk_covariance((rows - centre) / spread)
    return _Model(centre=centre, spread=spread, covariance=covariance, shrinkage=shrinkage)


def _distance(model: _Model, values: FloatArray) -> float:
    gap = (values - model.centre) / model.spread
    return math.sqrt(max(0.0, float(gap @ np.linalg.solve(model.covariance, gap))))


def shrunk_covariance(rows: FloatArray) -> tuple[FloatArray, float]:
    """Covariance of centred rows, shrunk to a multiple of the identity, and the weight of that.

    References
    ----------
    Ledoit O, Wolf M (2004) A well-conditioned estimator for large-dimensional covariance
    matrices, J Multivar Anal 88:365, equations 14 to 17.
    """
    n, size = rows.shape
    sample = rows.T @ rows / n
    mean = float(np.trace(sample)) / size
    gap = float(np.square(sample - mean * np.eye(size)).sum()) / size
    if gap == 0:
        return sample, 0.0
    squares = np.square(rows)
    error = float((squares.T @ squares / n - np.square(sample)).sum()) / size / n
    weight = min(1.0, max(0.0, error) / gap)
    return weight * mean * np.eye(size) + (1 - weight) * sample, weight


def histogram_of(values: Float32Array | FloatArray) -> FloatArray:
    """Share of HU values in each step of 10 HU; those beyond the ends go into the last steps."""
    steps = np.clip((values - LOW_HU) / BIN_HU, 0, BINS - 1).astype(np.int64)
    return np.bincount(steps, minlength=BINS) / max(1, values.size)


def beyond_histogram(values: Float32Array | FloatArray) -> float:
    """Mean distance of values from the histogram's span, in HU; 0 for those within."""
    high = LOW_HU + BINS * BIN_HU
    within = np.clip(values, LOW_HU, high).astype(np.float64)
    return float(np.abs(values.astype(np.float64) - within).mean())


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
    model = _fit(table)
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


def leave_one_out(rows: FloatArray) -> list[float]:
    """Distance of each row from a model of all the others."""
    kept = np.arange(len(rows))
    return [_distance(_fit(rows[kept != one]), rows[one]) for one in kept]


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
