"""What is taken from an RTPLAN: beams with their control points, and the prescription.

Angles are in degrees and IEC 61217, lengths in mm; positions of jaws, leaves and spots are
those in the isocentre plane.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from qa_suite.core.arrays import FloatArray
from qa_suite.core.errors import InputError
from qa_suite.core.tolerances import same_angle
from qa_suite.core.volume import Triple

PatientPosition = Literal["HFS", "HFP", "FFS", "FFP"]
Rotation = Literal["CW", "CC", "NONE"]


@dataclass(frozen=True, kw_only=True)
class BeamLimiter:
    """A pair of jaws, or a multileaf collimator.

    Parameters
    ----------
    kind
        As DICOM names it: ``X``, ``ASYMX``, ``MLCX`` ... .
    axis
        Along which it moves: ``x`` (crossline) or ``y`` (inline).
    boundaries_mm
        Edges of the leaves across that axis, ascending, shape (pairs + 1,); None for jaws.
    """

    kind: str
    axis: Literal["x", "y"]
    pairs: int
    boundaries_mm: FloatArray | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class ControlPoint:
    """The state of the machine at one point of a photon beam, nothing left out.

    Parameters
    ----------
    weight
        Cumulative meterset weight as a share of the final one, 0 to 1.
    gantry_rotation, collimator_rotation, couch_rotation
        How they turn to the next control point, as DICOM says it: clockwise (``CW``) seen from
        the isocentre, from the source, and from above.
    positions_mm
        Of each limiter by its kind, shape (2, pairs): the lower and the higher edge of the
        opening.
    energy_mv
        Nominal; None where the plan does not say it.
    ssd_mm
        Source to the patient's surface, where the plan says it.
    """

    index: int
    weight: float
    gantry_deg: float
    gantry_rotation: Rotation
    collimator_deg: float
    couch_deg: float
    isocentre_mm: Triple
    energy_mv: float | None
    ssd_mm: float | None
    positions_mm: Mapping[str, FloatArray] = field(repr=False)
    collimator_rotation: Rotation = "NONE"
    couch_rotation: Rotation = "NONE"


@dataclass(frozen=True, kw_only=True)
class PhotonBeam:
    """One photon beam.

    Parameters
    ----------
    meterset_mu
        Monitor units of one fraction.
    sad_mm
        Source to axis; None where the plan does not say.
    fluence_mode
        ``STANDARD``, or what the plan calls a filter-free beam.
    """

    number: int
    name: str
    machine: str
    meterset_mu: float
    sad_mm: float | None
    fluence_mode: str
    limiters: tuple[BeamLimiter, ...]
    control_points: tuple[ControlPoint, ...]

    @property
    def is_arc(self) -> bool:
        """Whether the gantry turns while the beam is on."""
        first = self.control_points[0]
        return not all(same_angle(p.gantry_deg, first.gantry_deg) for p in self.control_points)

    @property
    def energy_mv(self) -> float | None:
        """Nominal energy at the first control point, where the plan says one."""
        return self.control_points[0].energy_mv


@dataclass(frozen=True, kw_only=True)
class RangeShifter:
    """A range shifter in the beam, with its water-equivalent thickness where the plan says it."""

    identifier: str
    kind: str
    thickness_mm: float | None


@dataclass(frozen=True, kw_only=True)
class IonLayer:
    """The spots of one energy.

    Parameters
    ----------
    spots_mm
        Shape (spots, 2): x and y, IEC gantry system, in the isocentre plane.
    spot_weights
        Shape (spots,): meterset of each spot in one fraction, in the beam's unit.
    spot_fwhm_mm
        Width of a spot in air, x and y, where the plan says it.
    """

    energy_mev: float
    spots_mm: FloatArray = field(repr=False)
    spot_weights: FloatArray = field(repr=False)
    spot_fwhm_mm: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class IonBeam:
    """One proton beam of scanned spots.

    Parameters
    ----------
    meterset, meterset_unit
        Of one fraction, in ``MU`` or ``NP`` (number of particles).
    virtual_sad_mm
        Virtual source to axis, x and y; None where the plan does not say.
    snout, snout_mm
        What the plan calls it, and where it stands.
    lateral_spreading, range_shifters
        What stands in the beam.
    """

    number: int
    name: str
    machine: str
    meterset: float
    meterset_unit: str
    virtual_sad_mm: tuple[float, float] | None
    gantry_deg: float
    couch_deg: float
    collimator_deg: float
    isocentre_mm: Triple
    snout: str = ""
    snout_mm: float | None
    lateral_spreading: tuple[str, ...]
    range_shifters: tuple[RangeShifter, ...]
    layers: tuple[IonLayer, ...]

    @property
    def energies_mev(self) -> tuple[float, ...]:
        """Nominal energies, in the order of delivery."""
        return tuple(layer.energy_mev for layer in self.layers)


@dataclass(frozen=True, kw_only=True)
class TargetDose:
    """The dose that a plan prescribes to one target, in Gy of the whole course.

    Parameters
    ----------
    name
        The target's description, or its number where the plan has no description.
    roi_number
        Of its contours in the plan's structure set, where the plan says it; ``structure`` is what
        that set calls them, once it was looked up.
    at_a_point
        Whether it is prescribed at a point of the target, such as the reference point of ICRU
        Report 50, and not to a volume.
    """

    name: str
    dose_gy: float
    roi_number: int | None = None
    structure: str | None = None
    at_a_point: bool = False


@dataclass(frozen=True, kw_only=True)
class ImportedPlan:
    """A plan of the clinic, to drive the surrogate with the real geometry.

    Parameters
    ----------
    modality
        ``photons`` or ``protons``.
    target_doses
        What is prescribed to each target; empty where the plan says nothing.
    fractions
        Number of fractions planned; None where the plan does not say it.
    patient_position
        How the patient lies; the beams' angles mean nothing without it.
    unsupported
        One sentence for each thing in it that the surrogate cannot represent.
    remarks
        What must be known of it though it may be used: beams that were left out, what casts
        doubt on it, every element that is ignored. One line a kind.
    uid, sop_class, patient_id, study_uid, frame_of_reference, structure_set_uid
        Identifiers; they never leave the machine, but for a dose that is exported on purpose.
    """

    path: Path
    label: str
    modality: Literal["photons", "protons"]
    beams: tuple[PhotonBeam, ...] | tuple[IonBeam, ...]
    target_doses: tuple[TargetDose, ...]
    fractions: int | None
    patient_position: PatientPosition
    approval: str
    unsupported: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    uid: str = field(repr=False)
    sop_class: str = field(repr=False)
    patient_id: str = field(repr=False)
    study_uid: str = field(repr=False)
    frame_of_reference: str | None = field(repr=False)
    structure_set_uid: str | None = field(repr=False)

    @property
    def photon_beams(self) -> tuple[PhotonBeam, ...]:
        """The beams of a photon plan; a proton plan is refused."""
        beams = tuple(beam for beam in self.beams if isinstance(beam, PhotonBeam))
        if len(beams) != len(self.beams):
            raise InputError(f"{self.path} is a plan of protons, and one of photons is needed.")
        return beams

    @property
    def ion_beams(self) -> tuple[IonBeam, ...]:
        """The beams of a proton plan; a photon plan is refused."""
        beams = tuple(beam for beam in self.beams if isinstance(beam, IonBeam))
        if len(beams) != len(self.beams):
            raise InputError(f"{self.path} is a plan of photons, and one of protons is needed.")
        return beams
