"""Feature vectors of a case's two images: small enough for the journal, and back again."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from qa_suite.core.errors import InputError, QAError
from qa_suite.core.failures import is_of_the_run
from qa_suite.core.validation import in_words
from qa_suite.core.volume import Volume
from qa_suite.instruments.base import Extractor, Mask
from qa_suite.metrics.facts import MetricFunctions
from qa_suite.metrics.set_distances.settings import SetDistanceSettings

_BYTES = np.dtype("<f4")


class CaseFeatures(BaseModel):
    """Feature vectors of one case, or the reason why there are none.

    The vectors are base64 text of little-endian float32 in C order, shape
    (vectors, ``dimensions``): nothing is rounded, and 32 slices of 128 numbers are 22 kB.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dimensions: int = Field(default=0, ge=0)
    reference: str = ""
    synthetic: str = ""
    why: str = ""

    @model_validator(mode="after")
    def _features_or_reason(self) -> CaseFeatures:
        if (self.dimensions > 0) == bool(self.why):
            raise ValueError("a case has features or a reason, and not both")
        return self


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """Feature vectors of many patients.

    Parameters
    ----------
    vectors
        Shape (vectors, dimensions), float64, finite.
    patients
        Number of the patient of each vector, shape (vectors,); the same number is the same
        patient in every set of a comparison.
    """

    vectors: NDArray[np.float64]
    patients: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or self.patients.shape != self.vectors.shape[:1]:
            raise InputError(
                f"Feature vectors must have the shape (vectors, dimensions) and one patient "
                f"each, got {self.vectors.shape} and {self.patients.shape}."
            )
        if not np.isfinite(self.vectors).all():
            raise InputError("A feature vector holds NaN or infinity.")

    def of(self, chosen: NDArray[np.int64]) -> FeatureSet:
        """Return the vectors of some patients."""
        keep = np.isin(self.patients, chosen)
        return FeatureSet(vectors=self.vectors[keep], patients=self.patients[keep])


def features_of(
    extractor: Extractor, reference: Volume, synthetic: Volume, mask: Mask, *, most: int
) -> CaseFeatures:
    """Extract the features of both images of a case; never raises for bad data.

    Parameters
    ----------
    extractor
        Applied alike to both images.
    reference, synthetic
        On one grid, in HU.
    mask
        Where the body is and the reference covers it.
    most
        Vectors to keep of each image, evenly spaced over the slices; the same ones of both.
    """
    try:
        pair = [np.asarray(extractor.features(v, mask)) for v in (reference, synthetic)]
    except Exception as error:  # a network that fails on one case must not end the run
        if is_of_the_run(error):
            raise
        if isinstance(error, QAError):
            return CaseFeatures(why=in_words(error))
        return CaseFeatures(why=f"{type(error).__name__}: {in_words(error)}")
    if pair[0].ndim != 2 or pair[0].shape != pair[1].shape or pair[0].size == 0:
        return CaseFeatures(
            why=f"the extractor gave features of shape {pair[0].shape} and {pair[1].shape}"
        )
    if not all(np.isfinite(vectors).all() for vectors in pair):
        return CaseFeatures(why="the extractor gave features that are not finite")
    count = pair[0].shape[0]
    kept = np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int))
    first, second = (
        base64.b64encode(np.ascontiguousarray(vectors[kept], dtype=_BYTES).tobytes()).decode()
        for vectors in pair
    )
    return CaseFeatures(dimensions=pair[0].shape[1], reference=first, synthetic=second)


def feature_sets(
    cases: Sequence[CaseFeatures], patients: Sequence[str]
) -> tuple[FeatureSet, FeatureSet]:
    """Put the features of cases together, as the reference set and the synthetic set.

    Parameters
    ----------
    cases
        All with features of the same number of dimensions.
    patients
        Whose each case is; several cases may be one patient's.
    """
    wide = {case.dimensions for case in cases}
    if len(wide) != 1 or 0 in wide:
        raise InputError(f"Features of {sorted(wide)} dimensions cannot be put together.")
    numbers = {name: number for number, name in enumerate(sorted(set(patients)))}
    owner = [numbers[name] for name in patients]
    sets = []
    for texts in ([c.reference for c in cases], [c.synthetic for c in cases]):
        parts = [_decoded(text, cases[0].dimensions) for text in texts]
        sets.append(
            FeatureSet(
                vectors=np.concatenate(parts),
                patients=np.repeat(np.array(owner, dtype=np.int64), [len(p) for p in parts]),
            )
        )
    return sets[0], sets[1]


def _decoded(text: str, dimensions: int) -> NDArray[np.float64]:
    try:
        flat = np.frombuffer(base64.b64decode(text, validate=True), dtype=_BYTES)
        return flat.reshape(-1, dimensions).astype(np.float64)
    except ValueError:
        raise InputError(
            f"The features of a case are damaged: {len(text)} characters are no vectors of "
            f"{dimensions} numbers; measure the case again."
        ) from None


Result = tuple[float, float | None]
"""Value and standard error; None where that cannot be told."""

OF_SETS: MetricFunctions[Callable[[FeatureSet, FeatureSet, SetDistanceSettings], Result]] = (
    MetricFunctions("set_distance")
)
"""Metrics of the sets of reference and synthetic images."""
