"""What the headers say of a case beside its voxels, in coded words only.

Nothing free in a header is passed on as it stands where it could name somebody: series
descriptions are searched for known sequence words, ages become ten-year bands.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

from qa_suite.core.scanners import normalise_manufacturer
from qa_suite.io.dicom.headers import number_of, texts_of
from qa_suite.io.dicom.opening import text_of

_SEQUENCE_WORDS = (
    "T1",
    "T2",
    "T2*",
    "PD",
    "FLAIR",
    "STIR",
    "DIXON",
    "MDIXON",
    "MPRAGE",
    "VIBE",
    "LAVA",
    "THRIVE",
    "TSE",
    "FSE",
    "SPACE",
    "CUBE",
    "VISTA",
    "GRE",
    "SPGR",
    "FLASH",
    "FFE",
    "TFE",
    "BSSFP",
    "TRUFI",
    "FIESTA",
    "BRAVO",
    "HASTE",
    "DWI",
    "ADC",
)

SITE_WORDS = {
    "manufacturer": "Manufacturer",
    "model": "ManufacturerModelName",
    "station": "StationName",
    "institution": "InstitutionName",
    "field_strength": "MagneticFieldStrength",
}
"""What a DICOM cohort can be divided into sites by, to the header's keyword."""


def age_band(years: float) -> str:
    """Return ten years of age around ``years``; from 90 on one band, as so few reach it."""
    if years >= 90:
        return "90+"
    decade = int(years // 10) * 10
    return f"{decade}-{decade + 9}"


def facts_of_headers(
    source: Any, reference: Any, *, source_modality: str, reference_modality: str
) -> dict[str, Any]:
    """Collect what :class:`qa_suite.core.cohort.Strata` asks for from two DICOM headers.

    Keys whose value is not in the headers are left out.
    """
    facts: dict[str, Any] = {
        "source_manufacturer": normalise_manufacturer(
            text_of(source, "Manufacturer"), source_modality
        ),
        "source_model": text_of(source, "ManufacturerModelName") or None,
        "reference_manufacturer": normalise_manufacturer(
            text_of(reference, "Manufacturer"), reference_modality
        ),
        "reference_model": text_of(reference, "ManufacturerModelName") or None,
        "sex": _sex(source) or _sex(reference),
        "age_band": _age_band(source) or _age_band(reference),
    }
    if facts["source_manufacturer"] is None:
        facts["source_model"] = None
    for header, modality in ((source, source_modality), (reference, reference_modality)):
        if modality == "MR":
            facts.setdefault("field_strength_t", _field_strength_t(header))
            facts.setdefault("sequence", sequence_of(header))
            facts.setdefault("repetition_time_ms", _number(header, "RepetitionTime"))
            facts.setdefault("echo_time_ms", _number(header, "EchoTime", "EffectiveEchoTime"))
            facts.setdefault("flip_angle_deg", _number(header, "FlipAngle"))
    if source_modality in ("CT", "CBCT"):
        facts["source_kernel"] = _kernel(source)
        facts["source_tube_voltage_kv"] = _number(source, "KVP")
    if reference_modality == "CT":
        facts["ct_kernel"] = _kernel(reference)
        facts["tube_voltage_kv"] = _number(reference, "KVP")
        if _first(reference, "ContrastBolusAgent", "ContrastBolusAgentSequence"):
            facts["reference_contrast"] = "yes"
    elif source_modality == "CT":  # the one CT of the case
        facts["ct_kernel"] = facts["source_kernel"]
        facts["tube_voltage_kv"] = facts["source_tube_voltage_kv"]
    thickness = number_of(reference, "SliceThickness")
    facts["slice_thickness_mm"] = None if thickness is None else round(thickness, 3)
    return {key: value for key, value in facts.items() if value is not None}


def _number(header: Any, *keywords: str) -> float | None:
    """Return the first of some numbers that a header, or its functional groups, holds."""
    return number_of({"it": _first(header, *keywords)}, "it")


def _kernel(header: Any) -> str | None:
    """Return the reconstruction kernel's code."""
    return "/".join(texts_of({"it": _first(header, "ConvolutionKernel")}, "it")) or None


def _first(header: Any, *keywords: str) -> Any:
    """Return the first value of some elements that a header holds; None where it holds none.

    Of a multi-frame file what all its frames share is looked at too, and its first frame.
    """
    groups = []
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for frame in list(header.get(keyword) or [])[:1]:
            groups += [e.value[0] for e in frame if e.VR == "SQ" and len(e.value)]
    for where in (header, *groups):
        for keyword in keywords:
            value = where.get(keyword)
            if value not in (None, ""):
                return value
    return None


def sequence_of(header: Any) -> str | None:
    """Return the MR sequence in coded words, such as ``T1 SE/SK``."""
    described = f"{text_of(header, 'SeriesDescription')} {text_of(header, 'ProtocolName')}"
    words = set(re.split(r"[^A-Z0-9*]+", described.upper()))
    named = [word for word in _SEQUENCE_WORDS if word in words]
    codes = []
    for keyword in ("ScanningSequence", "SequenceVariant"):
        values = texts_of(header, keyword)
        code = "+".join(value for value in values if re.fullmatch(r"[A-Z]{1,4}", value))
        if code and code != "NONE":
            codes.append(code)
    return " ".join([*named, "/".join(codes)]).strip() or None


def scan_date(header: Any) -> date | None:
    """Return the day of the scan: of the acquisition, else of the series, else of the study."""
    for keyword in ("AcquisitionDate", "SeriesDate", "StudyDate"):
        day = _date(text_of(header, keyword))
        if day is not None:
            return day
    return None


def _date(text: str) -> date | None:
    try:
        return datetime.strptime(text[:8], "%Y%m%d").date()
    except ValueError:
        return None


def _sex(header: Any) -> str | None:
    sex = text_of(header, "PatientSex").upper()
    return sex if sex in ("M", "F", "O") else None


def _age_band(header: Any) -> str | None:
    match = re.fullmatch(r"(\d{3})([DWMY])", text_of(header, "PatientAge").upper())
    if match:
        per_year = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}[match[2]]
        return age_band(int(match[1]) / per_year)
    born, scanned = _date(text_of(header, "PatientBirthDate")), scan_date(header)
    if born is None or scanned is None or scanned < born:
        return None
    return age_band((scanned - born).days / 365.25)


def _field_strength_t(header: Any) -> float | None:
    strength = number_of(header, "MagneticFieldStrength")
    # some exports write gauss: no scanner has 50 T, and none less than 50 gauss
    return strength / 10_000 if strength is not None and strength > 50 else strength
