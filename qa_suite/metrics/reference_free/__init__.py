"""Checks without a reference, for a single patient: the family ``reference_free``.

They see the source and the synthetic image alone (and what the examiner knows of the training
cohort), never the reference nor a mask made from it. So the same numbers can be had of a
patient in the clinic, and be held against those of the held-out cohort
(:mod:`qa_suite.checkup`).
"""

from __future__ import annotations

from qa_suite.metrics.base import Pair, Value
from qa_suite.metrics.facts import FAMILIES, FamilyFacts
from qa_suite.metrics.reference_free import comparisons as _comparisons
from qa_suite.metrics.reference_free import levels as _levels
from qa_suite.metrics.reference_free import orientation as _orientation
from qa_suite.metrics.reference_free import outline as _outline
from qa_suite.metrics.reference_free import slices as _slices
from qa_suite.metrics.reference_free import texture as _texture
from qa_suite.metrics.reference_free.checks import CHECKS, FAMILY, examine
from qa_suite.metrics.reference_free.patient import Patient
from qa_suite.metrics.reference_free.settings import ReferenceFreeSettings

__all__ = ["CHECKS", "FAMILY", "Patient", "examine", "reference_free"]

_MODULES = (_comparisons, _levels, _orientation, _outline, _slices, _texture)


@FAMILIES.add(
    FAMILY,
    FamilyFacts(
        title="One patient without a reference: plausible, in place, like the training cohort",
        needs=("synthetic image", "source for most", "norms, inverse or samples for some"),
    ),
)
def reference_free(pair: Pair, settings: ReferenceFreeSettings) -> list[Value]:
    """Check a synthetic image against its source and the training cohort.

    Parameters
    ----------
    pair
        Its reference, mask, structures and coverage are not looked at.
    settings
        Of the family.

    Returns
    -------
    list of Value
        One for each metric and region, with its number or why there is none.
    """
    patient = Patient(
        synthetic=pair.synthetic,
        source=pair.source,
        prediction=pair.prediction,
        norms=pair.instruments.norms,
        inverse=pair.instruments.inverse,
        without=pair.instruments.without,
    )
    return examine(patient, settings, only=settings.only)
