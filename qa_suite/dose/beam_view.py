"""The beam's eye view: LPS of a patient lying head first, supine, to IEC 61217 and back.

In the fixed system x points to the patient's left, y to the head and z up to the front; at
gantry 0 the source is above the patient, at 90 on his left. Couch 0 is the only angle at which
the couch's own system is the fixed one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.dose.template import BeamTemplate
from qa_suite.volume import Triple

FloatArray = NDArray[np.float64]

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


def source_mm(beam: BeamTemplate, isocentre_mm: Triple, sad_mm: float) -> FloatArray:
    """Return the LPS position of the source, shape (3,), in mm."""
    return np.asarray(np.asarray(isocentre_mm) + sad_mm * beam_axes(beam)[2])


def to_beam(points_mm: Any, isocentre_mm: Triple, beam: BeamTemplate) -> FloatArray:
    """Map LPS positions to the gantry system around the isocentre, shape (..., 3), in mm."""
    offset = np.asarray(points_mm, dtype=float) - np.asarray(isocentre_mm)
    return np.asarray(offset @ beam_axes(beam).T)


def project(points_mm: Any, isocentre_mm: Triple, beam: BeamTemplate, sad_mm: float) -> FloatArray:
    """Project LPS positions from the source onto the isocentre plane.

    Returns
    -------
    ndarray of float, shape (..., 2)
        x (crossline) and y (inline) in mm, collimator at 0.
    """
    x, y, z = np.moveaxis(to_beam(points_mm, isocentre_mm, beam), -1, 0)
    scale = sad_mm / (sad_mm - z)
    return np.stack([x * scale, y * scale], axis=-1)
