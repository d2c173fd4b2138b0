"""What a plan says of itself that casts doubt on it, and how its patient lies.

Beams that are alike in all that they deliver count to it: one may be a copy by mistake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qa_suite.io.dicom.headers import number_of
from qa_suite.io.dicom.opening import text_of
from qa_suite.io.rt.plan.reading import Findings, name_of
from qa_suite.io.rt.plan.types import IonBeam, PhotonBeam

POSITIONS = ("HFS", "HFP", "FFS", "FFP")
_NOT_TO_TREAT = ("VERIFICATION", "MACHINE_QA", "RESEARCH", "SERVICE")
_UNUSUAL = ("TBI", "SKIN_APPOSITION")


def check_trust(header: Any, found: Findings) -> None:
    """Tell what a physicist would ask about before believing a plan."""
    approval = text_of(header, "ApprovalStatus").upper()
    if not approval:
        found.remark("it does not say whether it was approved (no ApprovalStatus)")
    elif approval != "APPROVED":
        found.remark(f"it is {approval} (ApprovalStatus)")
    intent = text_of(header, "PlanIntent").upper()
    if intent in _NOT_TO_TREAT:
        found.remark(f"it is a plan of {intent} and not one to treat by (PlanIntent)")
    qualification = text_of(header, "ContentQualification").upper()
    if qualification not in ("", "PRODUCT"):
        found.remark(f"its content is of {qualification} (ContentQualification)")
    if text_of(header, "SyntheticData").upper() == "YES":
        found.remark("it calls itself synthetic (SyntheticData)")
    for item in header.get("ReferencedRTPlanSequence") or ():
        relation = text_of(item, "RTPlanRelationship").upper() or "of unknown relation"
        found.remark(
            f"it refers to another plan, {relation}, which is not computed"
            + (": both doses add up" if relation == "CONCURRENT" else "")
        )
    _check_geometry(header, found)


def _check_geometry(header: Any, found: Findings) -> None:
    """Say where the isocentre may lie nowhere in the patient's images."""
    geometry = text_of(header, "RTPlanGeometry").upper()
    sets = [
        one
        for one in header.get("ReferencedStructureSetSequence") or ()
        if text_of(one, "ReferencedSOPInstanceUID")
    ]
    if geometry not in ("", "PATIENT"):
        if sets:
            found.remark(f"its geometry is {geometry} and yet it refers to a structure set")
        else:
            found.cannot(f"a plan of the geometry {geometry}, made on no patient's structure set")
    if not text_of(header, "FrameOfReferenceUID"):
        found.remark("it names no frame of reference, so its isocentre is taken on trust")
    if geometry == "PATIENT" and not sets:
        found.remark("it names no structure set, so what it was planned on is taken on trust")


def patient_position(header: Any, beams: Sequence[Any], found: Findings) -> str:
    """Return the one position that the patient lies in for all treated beams.

    Each beam's own set-up counts; a beam that refers to none is in that of all.

    Parameters
    ----------
    beams
        Items of the treated beams.
    """
    setups = list(header.get("PatientSetupSequence") or ())
    said = {text_of(setup, "PatientPosition").upper() for setup in setups} - {""}
    if not said:
        known = ", ".join(POSITIONS)
        found.problem(f"it does not say how the patient lies (PatientPosition: {known})")
        return ""
    by_number = {number_of(setup, "PatientSetupNumber"): setup for setup in setups}
    positions: dict[str, list[str]] = {}
    for beam in beams:
        chosen = _setups_of(beam, by_number, setups, found)
        for setup in chosen:
            position = text_of(setup, "PatientPosition").upper()
            if position and name_of(beam) not in positions.setdefault(position, []):
                positions[position].append(name_of(beam))
            technique = text_of(setup, "SetupTechnique").upper()
            if technique in _UNUSUAL:
                found.remark(f"the patient is set up for {technique} (SetupTechnique)")
    return _one_position(positions, found)


def _setups_of(
    beam: Any, by_number: Mapping[float | None, Any], setups: Sequence[Any], found: Findings
) -> Sequence[Any]:
    number = number_of(beam, "ReferencedPatientSetupNumber")
    if number in by_number and number is not None:
        return [by_number[number]]
    if number is not None:
        about = found.about(f"beam {name_of(beam)}")
        if len(setups) == 1:
            about.remark(f"refers to patient set-up {number:g}; the only one there is is taken")
        else:
            about.problem(f"refers to patient set-up {number:g}, which is not there")
            return ()
    return setups


def _one_position(positions: Mapping[str, Sequence[str]], found: Findings) -> str:
    unknown = sorted(set(positions) - set(POSITIONS))
    if unknown:
        found.problem(
            f"the patient position {', '.join(unknown)} is not one of {', '.join(POSITIONS)}"
        )
    elif len(positions) > 1:
        said = "; ".join(f"{p} for {', '.join(names)}" for p, names in sorted(positions.items()))
        found.problem(
            f"its beams differ in patient position ({said}); export the beams of each position "
            f"as a plan of its own"
        )
    elif positions:
        return next(iter(positions))
    return ""


_DIGITS = 2  # of a degree, a mm, an MeV


def tell_copies(beams: Sequence[PhotonBeam | IonBeam], found: Findings) -> None:
    """Remark on beams with the same angles, openings or spots, and the same meterset."""
    alike: dict[bytes, list[str]] = {}
    for beam in beams:
        alike.setdefault(_delivery(beam), []).append(beam.name)
    for names in alike.values():
        if len(names) > 1:
            found.remark(f"beams {', '.join(names)} deliver the same; one of them may be a copy")


def _delivery(beam: PhotonBeam | IonBeam) -> bytes:
    """Return all that a beam delivers, rounded, as bytes."""
    parts: list[Any]
    if isinstance(beam, PhotonBeam):
        parts = [[beam.meterset_mu]]
        for point in beam.control_points:
            angles = (point.gantry_deg, point.collimator_deg, point.couch_deg)
            parts.append([100 * point.weight, *angles, *point.isocentre_mm])
            parts += [point.positions_mm[kind].ravel() for kind in sorted(point.positions_mm)]
    else:
        angles = (beam.gantry_deg, beam.collimator_deg, beam.couch_deg)
        parts = [[beam.meterset, *angles, *beam.isocentre_mm]]
        for layer in beam.layers:
            parts += [[layer.energy_mev], layer.spots_mm.ravel(), layer.spot_weights]
    values = np.concatenate([np.asarray(part, dtype=float) for part in parts])
    return (np.round(values, _DIGITS) + 0.0).tobytes()
