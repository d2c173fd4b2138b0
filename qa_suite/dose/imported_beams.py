"""Beams of an imported plan in the surrogate's own terms: a patient who lies head first, supine.

Turning the patient is turning the machine the other way. With the fixed system of IEC 61217
(x, y, z) and the patient's axes in it, prone is supine turned by 180° about y, feet first is
head first turned by 180° about z. A beam on such a patient is therefore the beam on a supine one
with other gantry and couch angles; the collimator's angle stays, since it is counted in the
gantry's own system.
"""

from __future__ import annotations

from qa_suite.dose.template import BeamTemplate
from qa_suite.io.rtplan_types import IonBeam, PatientPosition, PhotonBeam


def supine_angles(
    position: PatientPosition, gantry_deg: float, couch_deg: float
) -> tuple[float, float]:
    """Return gantry and couch angle of the same beam for a patient head first, supine.

    Parameters
    ----------
    position
        How the patient lies.
    gantry_deg, couch_deg
        IEC 61217, in degrees.
    """
    if position == "HFS":
        gantry, couch = gantry_deg, couch_deg
    elif position == "HFP":
        gantry, couch = gantry_deg + 180, -couch_deg
    elif position == "FFS":
        gantry, couch = gantry_deg, couch_deg + 180
    else:
        gantry, couch = gantry_deg + 180, 180 - couch_deg
    return gantry % 360.0, couch % 360.0


def beam_template(
    beam: PhotonBeam | IonBeam,
    position: PatientPosition,
    *,
    gantry_deg: float | None = None,
    couch_deg: float | None = None,
    collimator_deg: float | None = None,
) -> BeamTemplate:
    """Return the angles of an imported beam as the engines take them.

    Parameters
    ----------
    beam
        From :func:`qa_suite.io.rtplan.read_plan`.
    position
        The plan's patient position.
    gantry_deg, couch_deg, collimator_deg
        Of one segment of the beam; without them, those of its beginning.
    """
    start = beam.control_points[0] if isinstance(beam, PhotonBeam) else beam
    gantry, couch = supine_angles(
        position,
        start.gantry_deg if gantry_deg is None else gantry_deg,
        start.couch_deg if couch_deg is None else couch_deg,
    )
    collimator = start.collimator_deg if collimator_deg is None else collimator_deg
    return BeamTemplate(
        gantry_deg=gantry, couch_deg=couch, collimator_deg=collimator % 360.0, name=beam.name
    )
