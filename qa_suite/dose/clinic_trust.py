"""Whether a plan of the clinic is that of a cohort's case, which knows no identifiers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from qa_suite.errors import InputError
from qa_suite.io.identity import default_key_file, load_key, patient_hash
from qa_suite.io.rtplan_types import ImportedPlan

MASKS_ON_TRUST = (
    "the structures do not say which structure set they are of, so the plan's is taken on trust"
)


def plan_of_case(plan: ImportedPlan, patient: str, patients: Collection[str]) -> ImportedPlan:
    """Compare a plan's patient with a case's pseudonym; tell what is taken on trust.

    The pseudonym of a case that was imported from DICOM is made of the patient's identifier with
    a local key; where the key is at hand the plan's is made alike.

    Parameters
    ----------
    patient
        Pseudonym of the case's patient.
    patients
        Those of the cohort.

    Raises
    ------
    InputError
        If the plan is one of another patient of the cohort.
    """
    remarks = [*plan.remarks, MASKS_ON_TRUST] if plan.structure_set_uid else [*plan.remarks]
    theirs = _pseudonym(plan)
    if theirs != patient:
        if theirs in patients:
            raise InputError(
                f"{plan.path} is a plan of another patient of the cohort than its case; put each "
                f"plan into the folder of its own case."
            )
        remarks.append("its patient cannot be compared with the case's, and is taken on trust")
    return replace(plan, remarks=tuple(remarks))


def _pseudonym(plan: ImportedPlan) -> str | None:
    if not plan.patient_id.strip() or not default_key_file().is_file():
        return None
    return patient_hash(plan.patient_id, load_key())
