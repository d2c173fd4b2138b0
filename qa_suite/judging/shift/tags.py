"""The protocol tags and other strata of a case, as text, and in how many patients each stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qa_suite.core.records import CaseRecord

STRATA: dict[str, tuple[str, str]] = {
    "source_manufacturer": ("source scanners", ""),
    "source_model": ("source models", ""),
    "field_strength_t": ("field strengths", "T"),
    "sequence": ("sequences", ""),
    "source_tube_voltage_kv": ("source tube voltages", "kV"),
    "source_kernel": ("source kernels", ""),
    "reference_manufacturer": ("reference scanners", ""),
    "tube_voltage_kv": ("tube voltages", "kV"),
    "ct_kernel": ("kernels", ""),
    "sex": ("sexes", ""),
    "age_band": ("age bands", ""),
    "implant": ("implants", ""),
}
"""Strata that the sentence tells, in its order: their words and unit."""
NUMBERS: dict[str, tuple[str, str]] = {
    "repetition_time_ms": ("repetition times", "ms"),
    "echo_time_ms": ("echo times", "ms"),
    "flip_angle_deg": ("flip angles", "°"),
    "slice_thickness_mm": ("slice thicknesses", "mm"),
}
"""Tags that are numbers without steps: held against the training's range."""
PERSONAL = ("sex", "age_band", "implant")
"""Strata of the patient: no protocol."""
OF_MODALITY = (("field_strength_t", "sequence"), ("source_tube_voltage_kv", "source_kernel"))
"""Tags that a source of one modality has and one of the other has not: MR, CT."""
TAGS = tuple(name for name in STRATA if name not in PERSONAL)
"""Protocol tags that are one of a few values."""


def words_of(tag: str, values: Sequence[str]) -> str:
    """Write values of a tag with their unit, the tag's own words before."""
    words, unit = (STRATA | NUMBERS)[tag]
    told = [f"{value} {unit}".replace(" °", "°").strip() for value in values]
    return f"{words} {', '.join(told)}"


def value_of(case: CaseRecord, tag: str) -> str | None:
    """Return what a case says of a tag, as text; None where it does not."""
    value = case.strata.get(tag)
    if value is None or value in ("unknown", ""):
        return None
    return f"{value:g}" if isinstance(value, float) else str(value)


def values_of(cases: Sequence[CaseRecord], tag: str) -> dict[str, str | None]:
    """Return every patient's value of a tag: that of the first examination that tells one."""
    found: dict[str, str | None] = {}
    for case in sorted(cases, key=lambda one: (one.examination, one.case)):
        found[case.patient] = found.get(case.patient) or value_of(case, tag)
    return found


def counted(cases: Sequence[CaseRecord], tag: str) -> dict[str, int]:
    """Count the patients of each value of a tag; one with two of them counts at both."""
    patients: dict[str, set[str]] = {}
    for case in cases:
        value = value_of(case, tag)
        if value is not None:
            patients.setdefault(value, set()).add(case.patient)
    return {value: len(patients[value]) for value in sorted(patients)}


def summed(protocols: Mapping[str, Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """Sum what a registration says of its sites: tag to value to patients."""
    found: dict[str, dict[str, int]] = {}
    for strata in protocols.values():
        for tag, values in strata.items():
            counts = found.setdefault(tag, {})
            for value, patients in values.items():
                counts[value] = counts.get(value, 0) + patients
    return found
