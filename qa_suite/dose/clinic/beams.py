"""Beams of an imported plan in the surrogate's own terms: a patient who lies head first, supine.

Turning the patient is turning the machine the other way. With the fixed system of IEC 61217
(x, y, z) and the patient's axes in it, prone is supine turned by 180° about y, feet first is
head first turned by 180° about z. A beam on such a patient is therefore the beam on a supine one
from another gantry and couch angle. A couch turned by 180° is written as the coplanar beam that
it is: from the mirrored gantry angle, with the collimator turned by 180°.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.errors import InputError
from qa_suite.core.tolerances import same_angle, same_length, wrapped_deg
from qa_suite.core.volume import Triple
from qa_suite.dose.clinic.apertures import PIXEL_MM, SHAPE, segment_fluences
from qa_suite.dose.clinic.arcs import STEP_DEG
from qa_suite.dose.plan.plan import PlannedBeam, ProtonSpots
from qa_suite.dose.plan.template import BeamTemplate
from qa_suite.io.rt.plan.types import ImportedPlan, IonLayer, PatientPosition, PhotonBeam

FWHM_OF_SIGMA = 2 * math.sqrt(2 * math.log(2))
"""Full width at half maximum of a Gaussian, in standard deviations."""


@dataclass(frozen=True, kw_only=True)
class ImportedField:
    """One photon field, or one part of an arc, ready for an engine's machine.

    Parameters
    ----------
    geometry
        Its angles for a patient head first, supine.
    monitor_units
        Of the whole course.
    aperture
        Open share of each pixel, shape (inline, crossline), in the axes of the collimator.
    pixel_mm
        In the isocentre plane.
    beam
        Index of the beam that it is a part of, in the plan's order.
    """

    geometry: BeamTemplate
    monitor_units: float
    aperture: NDArray[Any] = field(repr=False)
    pixel_mm: float
    beam: int


def supine_angles(
    position: PatientPosition, gantry_deg: float, couch_deg: float, collimator_deg: float = 0.0
) -> tuple[float, float, float]:
    """Return gantry, couch and collimator angle of the same beam on a supine patient.

    Parameters
    ----------
    position
        How the patient lies.
    gantry_deg, couch_deg, collimator_deg
        IEC 61217, in degrees.
    """
    gantry, couch, collimator = gantry_deg, couch_deg, collimator_deg
    if position in ("HFP", "FFP"):
        gantry, couch = gantry + 180.0, -couch
    if position in ("FFS", "FFP"):
        couch = couch + 180.0
    if same_angle(couch, 180.0):
        gantry, couch, collimator = -gantry, 0.0, collimator + 180.0
    elif same_angle(couch):
        couch = 0.0  # engines that cannot turn the couch take what stands straight
    return wrapped_deg(gantry), wrapped_deg(couch), wrapped_deg(collimator)


def common_isocentre(plan: ImportedPlan) -> Triple:
    """Return the one isocentre of a plan, LPS mm.

    Raises
    ------
    InputError
        If its beams have several.
    """
    places = [
        beam.control_points[0].isocentre_mm if isinstance(beam, PhotonBeam) else beam.isocentre_mm
        for beam in plan.beams
    ]
    apart = float(np.ptp(np.array(places), axis=0).max())
    if not same_length(apart):
        raise InputError(
            f"The beams of {plan.path} have isocentres up to {apart:.1f} mm apart; export the "
            f"beams of each isocentre as a plan of its own."
        )
    return places[0]


def machine_remark(plan: ImportedPlan, machines: Sequence[str]) -> str:
    """Say which machines of the suite stand in for those of a plan."""
    theirs = list(dict.fromkeys(beam.machine for beam in plan.beams if beam.machine))
    ours = ", ".join(dict.fromkeys(machines))
    return f"the treatment machine {', '.join(theirs) or 'without a name'} is computed as {ours}"


def fractions_of(plan: ImportedPlan) -> int:
    """Return the number of fractions of a plan.

    Raises
    ------
    InputError
        If neither the plan nor the user says it.
    """
    if plan.fractions is None:
        raise InputError(
            f"{plan.path} does not say its number of fractions; state it with --fractions."
        )
    return plan.fractions


def imported_fields(
    plan: ImportedPlan,
    shape: tuple[int, int] = SHAPE,
    pixel_mm: float = PIXEL_MM,
    *,
    step_deg: float = STEP_DEG,
) -> tuple[ImportedField, ...]:
    """Return the photon fields of a plan, an arc as one field a part (:mod:`.arcs`).

    Monitor units are those of all fractions; within a part no angle turns by more than a step.

    Raises
    ------
    InputError
        If it is a proton plan, or a field reaches beyond the map.
    """
    fields = []
    for index, beam in enumerate(plan.photon_beams):
        parts = segment_fluences(beam, shape, pixel_mm, step_deg=step_deg)
        for number, part in enumerate(parts, start=1):
            angles = (part.gantry_deg, part.couch_deg, part.collimator_deg)
            name = beam.name if len(parts) == 1 else f"{beam.name} {number}/{len(parts)}"
            fields.append(
                ImportedField(
                    geometry=_template(plan.patient_position, angles, name),
                    monitor_units=part.weight * beam.meterset_mu * fractions_of(plan),
                    aperture=part.fluence,
                    pixel_mm=pixel_mm,
                    beam=index,
                )
            )
    return tuple(fields)


def imported_spots(plan: ImportedPlan) -> tuple[PlannedBeam, ...]:
    """Return the scanned proton beams of a plan with the protons of all fractions.

    Parameters
    ----------
    plan
        From :func:`qa_suite.io.rt.plan.read.read_plan`; one in monitor units goes through
        :func:`qa_suite.dose.machines.of_beams.in_protons` first.

    Returns
    -------
    tuple of PlannedBeam
        With the widths of spots and the distance of the source that the plan gives. A spot
        wider along x than along y, or a source that lies nearer for one of them, gets the
        geometric mean of both.

    Raises
    ------
    InputError
        If it is a photon plan, or in monitor units of unknown size.
    """
    beams = []
    for beam in plan.ion_beams:
        if beam.meterset_unit == "MU":
            raise InputError(
                f"{plan.path}: beam {beam.name} counts monitor units, and how many protons one of "
                f"them is depends on the machine; say it with --protons-per-mu, or as "
                f"protons_per_mu in the machine's file."
            )
        places = np.concatenate([layer.spots_mm for layer in beam.layers])
        weights = np.concatenate([layer.spot_weights for layer in beam.layers])
        counts = [len(layer.spot_weights) for layer in beam.layers]
        energies = np.repeat([layer.energy_mev for layer in beam.layers], counts)
        widths = [_sigma_mm(layer) for layer in beam.layers]
        sigma = np.repeat(widths, counts)
        kept = weights > 0
        spots = ProtonSpots(
            energy_mev=energies[kept],
            x_mm=places[kept, 0],
            y_mm=places[kept, 1],
            weight=weights[kept] * fractions_of(plan) / 1e6,
            sigma_mm=sigma[kept] if np.isfinite(sigma[kept]).all() else None,
        )
        # spots lie in the gantry's axes, whatever the collimator is turned by
        angles = (beam.gantry_deg, beam.couch_deg, 0.0)
        geometry = _template(plan.patient_position, angles, beam.name)
        sad = None if beam.virtual_sad_mm is None else math.sqrt(math.prod(beam.virtual_sad_mm))
        beams.append(PlannedBeam(geometry=geometry, weight=1.0, delivery=spots, sad_mm=sad))
    return tuple(beams)


def _sigma_mm(layer: IonLayer) -> float:
    """Return σ of a layer's spots; NaN where the plan gives no width."""
    if layer.spot_fwhm_mm is None:
        return math.nan
    return math.sqrt(math.prod(layer.spot_fwhm_mm)) / FWHM_OF_SIGMA


def _template(
    position: PatientPosition, angles: tuple[float, float, float], name: str
) -> BeamTemplate:
    gantry, couch, collimator = supine_angles(position, *angles)
    return BeamTemplate(gantry_deg=gantry, couch_deg=couch, collimator_deg=collimator, name=name)
