"""The reference dose engine, called in an environment of its own."""

from qa_suite.lab.reference_dose.job import ReferenceJob, job_of
from qa_suite.lab.reference_dose.run import (
    ReferenceAnswer,
    has_reference,
    reference_doses,
    reference_environment,
    reference_python,
)

__all__ = [
    "ReferenceAnswer",
    "ReferenceJob",
    "has_reference",
    "job_of",
    "reference_doses",
    "reference_environment",
    "reference_python",
]
