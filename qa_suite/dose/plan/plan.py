"""A plan: made once on the reference CT, then frozen and computed on every image alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Mask
from qa_suite.core.volume import Grid, Triple
from qa_suite.dose.machines.of_beams import BeamMachine
from qa_suite.dose.machines.photon import PhotonMachine
from qa_suite.dose.plan.template import BeamTemplate, PlanTemplate


@dataclass(frozen=True, kw_only=True)
class PhotonField:
    """Fluence of one photon beam in the isocentre plane.

    Parameters
    ----------
    fluence
        Relative to the open field, shape (inline, crossline), IEC 61217 beam limiting device
        axes: the second index runs along +x, the first along +y.
    pixel_mm
        Of the fluence, in the isocentre plane; the map's centre is the central axis.
    machine
        What delivers it; None is the engine's own.
    """

    fluence: NDArray[np.float32]
    pixel_mm: float
    machine: PhotonMachine | None = None


@dataclass(frozen=True, kw_only=True)
class ProtonSpots:
    """Pencil beams of one proton beam.

    Parameters
    ----------
    energy_mev, x_mm, y_mm, weight
        Shape (spots,): nominal energy, position in the isocentre plane (IEC 61217 beam
        limiting device axes), and number of protons (10⁶).
    sigma_mm
        Shape (spots,): σ of each spot in air in the isocentre plane; None leaves it to the
        machine.
    """

    energy_mev: NDArray[np.float64]
    x_mm: NDArray[np.float64]
    y_mm: NDArray[np.float64]
    weight: NDArray[np.float64]
    sigma_mm: NDArray[np.float64] | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedBeam:
    """One beam, ready to be computed.

    Parameters
    ----------
    geometry
        Its angles.
    weight
        Monitor units of a photon field; 1 for spots, which carry their own.
    delivery
        What leaves the machine.
    sad_mm
        From its source to the isocentre; None leaves it to the machine.
    """

    geometry: BeamTemplate
    weight: float
    delivery: PhotonField | ProtonSpots
    sad_mm: float | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One plan of one patient.

    Parameters
    ----------
    template
        What it was made from.
    engine
        Name and version of the dose engine.
    isocentre_mm
        LPS position.
    grid
        Of its doses.
    target
        Name of the structure that it aims at; its mask lies on ``grid``.
    target_mask
        Bool, of the grid's shape.
    beams
        In the template's order.
    hlut
        Name and digest of the table that it was optimised with.
    facts
        What the engine wants to have recorded.
    machines
        By what each beam of a clinic's photon plan is computed; none of others.
    remarks
        What must be known of a clinic's plan: what casts doubt on it, what of it is ignored, what
        stands in for its machine.
    """

    template: PlanTemplate
    engine: str
    isocentre_mm: Triple
    grid: Grid
    target: str
    target_mask: Mask = field(repr=False)
    beams: tuple[PlannedBeam, ...]
    hlut: tuple[str, str]
    facts: Mapping[str, str | float | int] = field(default_factory=dict)
    machines: tuple[BeamMachine, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides the dose: geometry, fluence, weights."""
        digest = hashlib.sha256()
        facts = [
            self.engine,
            self.isocentre_mm,
            self.grid.shape,
            self.grid.spacing_mm,
            self.grid.origin_mm,
            self.grid.direction,
        ]
        digest.update(json.dumps(facts).encode())
        for beam in self.beams:
            text = beam.geometry.model_dump_json() + f"{beam.weight!r}"
            text += "" if beam.sad_mm is None else f"{beam.sad_mm!r}"
            digest.update(text.encode())
            for values in vars(beam.delivery).values():
                if isinstance(values, PhotonMachine):
                    digest.update(values.digest.encode())
                elif values is not None:
                    digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()


def field_of(beam: PlannedBeam) -> PhotonField:
    """Return a beam's photon field; a proton beam in a photon plan is a bug."""
    if not isinstance(beam.delivery, PhotonField):
        raise TypeError(f"beam {beam.geometry.label} is no photon field")
    return beam.delivery


def with_weights(plan: Plan, weights: Sequence[float] | NDArray[np.float64]) -> Plan:
    """Return the plan with other monitor units."""
    beams = tuple(
        replace(beam, weight=float(weight))
        for beam, weight in zip(plan.beams, weights, strict=True)
    )
    return replace(plan, beams=beams)
