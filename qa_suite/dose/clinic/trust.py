"""Whether plan and doses of the clinic are those of a cohort's case, and made on its images.

A cohort knows no identifiers; a source that does not stand as far from the skin as the plan says
may be of other images.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from qa_suite.core.errors import InputError
from qa_suite.core.volume import Grid
from qa_suite.dose.clinic.beams import supine_angles
from qa_suite.dose.clinic.given import ClinicCase
from qa_suite.dose.plan.plan import Mask
from qa_suite.dose.plan.template import BeamTemplate
from qa_suite.dose.range.raytrace import beam_frame
from qa_suite.io.identity import default_key_file, load_key, patient_hash
from qa_suite.io.rt.plan.types import ImportedPlan, PhotonBeam

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


MOST_APART_MM = 10.0
"""Breathing, the couch and the outline's threshold make some mm; more is another patient model."""
_STEP_MM = 0.5
_DEFAULT_SAD_MM = 1000.0


def surface_remarks(plan: ImportedPlan, body: Mask, grid: Grid) -> tuple[str, ...]:
    """Compare the source-to-surface distances of a photon plan with an image's body.

    Parameters
    ----------
    body
        Bool, of the grid's shape.

    Returns
    -------
    tuple of str
        One sentence with every beam that is further off than :data:`MOST_APART_MM`, or none.
    """
    off = []
    for beam in plan.beams:
        if not isinstance(beam, PhotonBeam) or beam.control_points[0].ssd_mm is None:
            continue
        said, found = beam.control_points[0].ssd_mm, source_to_surface_mm(plan, beam, body, grid)
        if found is None:
            off.append(f"{beam.name} ({said:.0f} mm; its axis misses the body)")
        elif abs(said - found) > MOST_APART_MM:
            off.append(f"{beam.name} ({said:.0f} mm, on the image {found:.0f} mm)")
    if not off:
        return ()
    return (
        f"its source-to-surface distances differ from the reference image's by more than "
        f"{MOST_APART_MM:g} mm: {', '.join(off)}; it may have been made on other images",
    )


def source_to_surface_mm(
    plan: ImportedPlan, beam: PhotonBeam, body: Mask, grid: Grid
) -> float | None:
    """Return the distance from the source along the central axis to the body, at the first point.

    None where the axis misses the body.
    """
    first = beam.control_points[0]
    gantry, couch, _ = supine_angles(plan.patient_position, first.gantry_deg, first.couch_deg)
    sad = beam.sad_mm or _DEFAULT_SAD_MM
    frame = beam_frame(
        BeamTemplate(gantry_deg=gantry, couch_deg=couch), first.isocentre_mm, sad_mm=sad
    )
    along = np.arange(0.0, 2 * sad, _STEP_MM)
    places = frame.to_world(np.stack([0 * along, 0 * along, sad - along], axis=-1))
    voxels = np.rint(grid.to_index(places)).astype(int)
    inside = ((voxels >= 0) & (voxels < grid.shape)).all(axis=1)
    hit = np.zeros(len(along), dtype=bool)
    hit[inside] = body[tuple(voxels[inside].T)]
    return float(along[np.argmax(hit)]) if hit.any() else None
