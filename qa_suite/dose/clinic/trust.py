"""Whether plan and doses of the clinic are those of a cohort's case, which knows no identifiers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from qa_suite.core.errors import InputError
from qa_suite.dose.clinic.given import ClinicCase
from qa_suite.io.identity import default_key_file, load_key, patient_hash
from qa_suite.io.rt.plan.types import ImportedPlan

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
    if not _is_of(plan.patient_id, patient, patients, f"{plan.path} is a plan"):
        remarks.append("its patient cannot be compared with the case's, and is taken on trust")
    return replace(plan, remarks=tuple(remarks))


def doses_of_case(case: ClinicCase, patient: str, patients: Collection[str]) -> ClinicCase:
    """Compare the patient of a case's doses with its pseudonym, as :func:`plan_of_case` does.

    Raises
    ------
    InputError
        If a dose is one of another patient of the cohort.
    """
    known = [_is_of(who, patient, patients, f"{path} is a dose") for path, who in case.of_patients]
    if known and not all(known):
        said = "clinic's doses: their patient cannot be compared with the case's; taken on trust"
        return replace(case, history=(*case.history, said))
    return case


def _is_of(identifier: str, patient: str, patients: Collection[str], what: str) -> bool:
    """Whether a file is known to be of a patient; False where nobody can tell.

    Raises
    ------
    InputError
        If it is of another one of ``patients``.
    """
    theirs = _pseudonym(identifier)
    if theirs != patient and theirs in patients:
        raise InputError(
            f"{what} of another patient of the cohort than its case; put each file into the folder "
            f"of its own case."
        )
    return theirs == patient


def _pseudonym(identifier: str) -> str | None:
    if not identifier.strip() or not default_key_file().is_file():
        return None
    return patient_hash(identifier, load_key())
