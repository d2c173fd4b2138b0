"""The reference dose engine, called in an environment of its own."""

from qa_suite.dose.reference.environment import (
    has_reference,
    reference_environment,
    reference_python,
)
from qa_suite.dose.reference.job import ReferenceJob, job_of
from qa_suite.dose.reference.run import ReferenceAnswer, reference_doses

__all__ = [
    "ReferenceAnswer",
    "ReferenceJob",
    "has_reference",
    "job_of",
    "reference_doses",
    "reference_environment",
    "reference_python",
]
