"""Which scans of a virtual patient are source and reference, for each direction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from qa_suite.core.arrays import Mask
from qa_suite.core.errors import UnknownName
from qa_suite.core.registry import unknown_name
from qa_suite.core.volume import Volume
from qa_suite.lab.phantom.further import scan_cbct, scan_pet
from qa_suite.lab.phantom.hospitals import Hospital
from qa_suite.lab.phantom.mr import MRProtocol
from qa_suite.lab.phantom.scan import VirtualPatient, scan_again
from qa_suite.lab.phantom.uptake import OCCULT_STRUCTURE


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The two images of one patient for one direction, and what is known of them.

    Parameters
    ----------
    source, reference
        The image to translate and the real one.
    noise_free
        The reference before noise.
    coverage
        Where both have values; None is everywhere.
    structures
        Delineated besides those of the anatomy.
    distorted
        Whether the two lie to each other as ``VirtualPatient.distortion_mm`` says.
    facts
        Of the scanners, by the names of :class:`qa_suite.core.cohort.Strata`.
    """

    source: Volume
    reference: Volume
    noise_free: Volume
    coverage: Mask | None = None
    structures: Mapping[str, Mask] = field(default_factory=dict)
    distorted: bool = True
    facts: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Direction:
    """One direction of translation: modalities, as DICOM names them, and how to scan."""

    name: str
    source_modality: str
    reference_modality: str
    scan: Callable[[VirtualPatient], Pair]


def _mr_facts(protocol: MRProtocol) -> dict[str, Any]:
    return {
        "field_strength_t": protocol.field_t,
        "sequence": protocol.sequence,
        "repetition_time_ms": protocol.repetition_ms,
        "echo_time_ms": protocol.echo_ms,
    }


def _ct_facts(site: Hospital) -> dict[str, Any]:
    return {
        "ct_kernel": site.ct.kernel,
        "tube_voltage_kv": site.ct.tube_voltage_kv,
        "slice_thickness_mm": site.ct.slice_mm,
    }


def _makers(site: Hospital, source: str, reference: str) -> dict[str, Any]:
    """Manufacturer and model of the scanners named ``mr``, ``ct``, ``pet`` or ``cbct``."""
    return {
        f"{role}_{what}": getattr(site, f"{scanner}_{what}")
        for role, scanner in (("source", source), ("reference", reference))
        for what in ("manufacturer", "model")
    }


def _mr_to_ct(patient: VirtualPatient) -> Pair:
    site = patient.hospital
    return Pair(
        source=patient.mr,
        reference=patient.ct,
        noise_free=patient.ct_noise_free,
        facts=_makers(site, "mr", "ct") | _mr_facts(site.mr) | _ct_facts(site),
    )


def _ct_to_mr(patient: VirtualPatient) -> Pair:
    site = patient.hospital
    return Pair(
        source=patient.ct,
        reference=patient.mr,
        noise_free=patient.mr_noise_free,
        facts=_makers(site, "ct", "mr") | _mr_facts(site.mr) | _ct_facts(site),
    )


def _mr_to_pet(patient: VirtualPatient) -> Pair:
    site, scan = patient.hospital, scan_pet(patient)
    return Pair(
        source=patient.mr,
        reference=scan.image,
        noise_free=scan.noise_free,
        structures={OCCULT_STRUCTURE: scan.focus},
        facts=_makers(site, "mr", "pet") | _mr_facts(site.mr),
    )


def _cbct_to_ct(patient: VirtualPatient) -> Pair:
    site, scan = patient.hospital, scan_cbct(patient)
    return Pair(
        source=scan.image,
        reference=patient.ct,
        noise_free=patient.ct_noise_free,
        coverage=scan.seen,
        distorted=False,
        facts=_makers(site, "cbct", "ct") | _ct_facts(site),
    )


def _mr_to_mr(patient: VirtualPatient) -> Pair:
    """Both sequences of the hospital, always from T1-weighted to T2-weighted."""
    site = patient.hospital
    image, clean = scan_again(patient, site.mr_second)
    first = (patient.mr, patient.mr_noise_free, site.mr)
    source, reference = first, (image, clean, site.mr_second)
    if site.mr.sequence == "T2w TSE":
        source, reference = reference, source
    return Pair(
        source=source[0],
        reference=reference[0],
        noise_free=reference[1],
        distorted=False,
        facts=_makers(site, "mr", "mr") | _mr_facts(source[2]),
    )


DIRECTIONS: Mapping[str, Direction] = MappingProxyType(
    {
        direction.name: direction
        for direction in (
            Direction(name="MR->CT", source_modality="MR", reference_modality="CT", scan=_mr_to_ct),
            Direction(name="CT->MR", source_modality="CT", reference_modality="MR", scan=_ct_to_mr),
            Direction(
                name="MR->PET", source_modality="MR", reference_modality="PT", scan=_mr_to_pet
            ),
            Direction(
                name="CBCT->CT", source_modality="CBCT", reference_modality="CT", scan=_cbct_to_ct
            ),
            Direction(name="MR->MR", source_modality="MR", reference_modality="MR", scan=_mr_to_mr),
        )
    }
)
"""Directions that virtual cohorts are made for. A manifest calls PET by its DICOM name, PT."""


def direction(name: str) -> Direction:
    """Return the direction of that name; ``MR->PT``, as a manifest has it, is ``MR->PET``.

    Raises
    ------
    UnknownName
        If there is none; the message lists the close matches.
    """
    name = "MR->PET" if name == "MR->PT" else name
    if name not in DIRECTIONS:
        raise UnknownName(unknown_name("direction", name, list(DIRECTIONS)))
    return DIRECTIONS[name]
