"""Whether the source stands as far from the skin as a plan says: it may be of other images."""

from __future__ import annotations

import numpy as np

from qa_suite.core.volume import Grid
from qa_suite.dose.clinic.beams import supine_angles
from qa_suite.dose.plan.plan import Mask
from qa_suite.dose.plan.template import BeamTemplate
from qa_suite.dose.range.raytrace import beam_frame
from qa_suite.io.rt.plan.types import ImportedPlan, PhotonBeam

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
