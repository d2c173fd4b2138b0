"""The beam's eye view: LPS of a patient lying head first, supine, to IEC 61217 and back.

In the fixed system x points to the patient's left, y to the head and z up to the front; at
gantry 0 the source is above the patient, at 90 on his left. Couch 0 is the only angle at which
the couch's own system is the fixed one.
"""

from __future__ import annotations

import numpy as np

from qa_suite.core.arrays import FloatArray
from qa_suite.dose.plan.template import BeamTemplate

# rows: fixed x, y, z of LPS x, y, z
_LPS_TO_FIXED = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


def beam_axes(beam: BeamTemplate) -> FloatArray:
    """Return the axes of the gantry system in LPS.

    Returns
    -------
    ndarray of float, shape (3, 3)
        Rows: the unit vectors of x (crossline), y (inline) and z (from the isocentre to the
        source), IEC 61217 gantry system, of a patient on a couch turned by the beam's angle.
    """
    gantry, couch = np.deg2rad([beam.gantry_deg, beam.couch_deg])
    cos, sin = np.cos(gantry), np.sin(gantry)
    in_fixed = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
    cos, sin = np.cos(couch), np.sin(couch)
    from_couch = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return np.asarray(in_fixed @ from_couch @ _LPS_TO_FIXED)
