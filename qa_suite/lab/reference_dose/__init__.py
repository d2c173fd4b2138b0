"""The reference dose engine, called in an environment of its own."""

from qa_suite.lab.reference_dose.environment import (
    has_reference,
    reference_environment,
    reference_python,
)
from qa_suite.lab.reference_dose.job import ReferenceJob, job_of
from qa_suite.lab.reference_dose.run import ReferenceAnswer, reference_doses

__all__ = [
    "ReferenceAnswer",
    "ReferenceJob",
    "has_reference",
    "job_of",
    "reference_doses",
    "reference_environment",
    "reference_python",
]
