"""Fluence of a photon beam in the isocentre plane: an aperture, seen through the machine's head."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import FloatArray
from qa_suite.core.tolerances import same_angle
from qa_suite.core.volume import Grid, Triple
from qa_suite.dose.machines.photon import PhotonMachine
from qa_suite.dose.plan.plan import Mask
from qa_suite.dose.plan.template import BeamTemplate
from qa_suite.dose.range.raytrace import beam_frame

PIXELS = 400
PIXEL_MM = 1.0
_FWHM = 2.355  # of a Gaussian, in standard deviations


def target_aperture(
    target: Mask,
    grid: Grid,
    isocentre_mm: Triple,
    beam: BeamTemplate,
    *,
    margin_mm: float,
    sad_mm: float,
) -> FloatArray:
    """Draw the field that shows the target with a margin.

    Parameters
    ----------
    target
        Bool, of the grid's shape.
    margin_mm
        From the target's outline to the field's edge, in the isocentre plane.
    sad_mm
        From the source to the isocentre.

    Returns
    -------
    ndarray of float, shape (400, 400)
        1 where the field is open; indices [inline, crossline], 1 mm pixels, collimator at 0.
    """
    from scipy import ndimage

    points = grid.to_world(np.argwhere(target))
    straight = beam.model_copy(update={"collimator_deg": 0.0})
    frame = beam_frame(straight, isocentre_mm, sad_mm=sad_mm)
    places = frame.project(points) / PIXEL_MM + PIXELS / 2 - 0.5
    column, row = np.rint(places).astype(int).T
    inside = (row >= 0) & (row < PIXELS) & (column >= 0) & (column < PIXELS)
    seen = np.zeros((PIXELS, PIXELS), dtype=bool)
    seen[row[inside], column[inside]] = True
    if not seen.any():
        return np.zeros((PIXELS, PIXELS))
    # voxel centres are dots in this fine map: closing by the voxel's diagonal joins them
    voxel = float(np.linalg.norm(grid.spacing_mm)) / 2 / PIXEL_MM
    far = ndimage.distance_transform_edt(~seen) > voxel
    shown = ndimage.distance_transform_edt(~far) > voxel
    half_voxel = max(grid.spacing_mm) / 2
    field = ndimage.distance_transform_edt(~shown) * PIXEL_MM <= margin_mm + half_voxel
    return np.asarray(ndimage.binary_fill_holes(field), dtype=float)


def machine_fluence(aperture: FloatArray, machine: PhotonMachine) -> NDArray[np.float32]:
    """Send an aperture through the machine's head.

    The model is PyDoseRT's: leakage, a Gaussian penumbra, the off-axis profile of the primary
    fluence, scatter from the head as a wide Gaussian of the aperture, and the output factor of
    the jaws, which frame the aperture.

    Parameters
    ----------
    aperture
        Open share of each pixel, shape (400, 400).
    machine
        Whose head it is.

    Returns
    -------
    ndarray of float32, of the aperture's shape
    """
    from scipy import ndimage

    if not aperture.any():
        return aperture.astype(np.float32)
    rows, columns = np.flatnonzero(aperture.any(axis=1)), np.flatnonzero(aperture.any(axis=0))
    jaws = np.zeros_like(aperture)
    jaws[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = 1.0
    leakage = machine.leaf_transmission
    through = (leakage + (1 - leakage) * aperture) * jaws
    across, along = machine.penumbra_fwhm_mm
    sigma = (along / _FWHM / PIXEL_MM, across / _FWHM / PIXEL_MM)
    primary = ndimage.gaussian_filter(through, sigma, mode="nearest", truncate=3.0)
    primary = primary * np.interp(_off_axis_mm(), *np.asarray(machine.profile).T)
    fluence = primary
    if machine.head_scatter is not None:
        share = machine.head_scatter.share
        across, along = machine.head_scatter.sigma_mm
        sigma = (along / PIXEL_MM, across / PIXEL_MM)
        scatter = ndimage.gaussian_filter(through, sigma, mode="constant", truncate=5.0)
        fluence = (1 - share) * primary + share * scatter
    sides = np.array([np.ptp(rows) + 1, np.ptp(columns) + 1]) * PIXEL_MM
    factor = np.interp(sides, *np.asarray(machine.output_factors).T).mean()
    return np.asarray(fluence * float(factor), dtype=np.float32)


def turned(aperture: FloatArray, collimator_deg: float) -> FloatArray:
    """Turn an aperture drawn in the collimator's axes into those of the gantry (IEC 61217)."""
    from scipy import ndimage

    if same_angle(collimator_deg):
        return aperture
    # a positive angle turns +x towards +y; rotate() turns the second axis towards the first
    # for negative angles
    return np.asarray(
        ndimage.rotate(aperture, -collimator_deg, reshape=False, order=1, mode="constant")
    )


def _off_axis_mm() -> FloatArray:
    place = (np.arange(PIXELS) + 0.5 - PIXELS / 2) * PIXEL_MM
    return np.asarray(np.hypot(*np.meshgrid(place, place)))
