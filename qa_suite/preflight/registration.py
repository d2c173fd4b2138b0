"""The checks of alignment: the estimate against its bounds."""

from __future__ import annotations

import numpy as np

from qa_suite.preflight.alignment import AXES, estimate_alignment
from qa_suite.preflight.evidence import Evidence, Status, Values, undetermined
from qa_suite.records import PreflightValue
from qa_suite.volume import Quantity

NEVER_REFUSED: tuple[Quantity, ...] = ("SUVbw",)
"""References that no case is refused by: on real patients the estimate is off by 5 to 25 mm."""


def check_alignment(evidence: Evidence) -> Values:
    """Refuse gross misalignment, warn of a large rotation, and record all components.

    An MR and a PET share too little for a refusal, so there it is a warning.
    """
    settings = evidence.settings
    body = evidence.common_body
    found = estimate_alignment(evidence.source, evidence.reference, body=body, settings=settings)
    bound = f"<= {settings.max_misalignment_mm:g} mm"
    turn_bound = f"<= {settings.max_rotation_deg:g} deg"
    if found.why:
        return {
            "alignment_shift": undetermined(found.why, unit="mm", bound=bound),
            "alignment_rotation": undetermined(found.why, unit="deg", bound=turn_bound),
        }
    values: Values = {}
    for axis, name in enumerate(AXES):
        known = found.shift_determined[axis]
        values[f"alignment_shift_{name}"] = PreflightValue(
            value=found.shift_mm[axis] if known else None,
            unit="mm",
            bound="recorded only",
            status="ok" if known else "undetermined",
            why="" if known else f"the images hold no structure along {name}",
        )
    agreed = found.consensus >= settings.min_consensus
    certain = evidence.reference.quantity not in NEVER_REFUSED
    sentence = (
        f"source and reference are misaligned by {found.distance_mm:.1f} mm "
        f"(bound {settings.max_misalignment_mm:g} mm)"
    )
    if not agreed:
        sentence += (
            f", but only {found.consensus:.0%} of the body's evidence agrees: a deformation "
            "rather than a shift"
        )
    if not certain:
        sentence += ", but a PET and its source share too little to be sure"
    values["alignment_shift"] = _bounded(
        found.distance_mm,
        "mm",
        bound,
        found.distance_mm > settings.max_misalignment_mm,
        "refused" if agreed and certain else "warning",
        sentence,
        [n for n, known in zip(AXES, found.shift_determined, strict=True) if not known],
    )
    values["alignment_consensus"] = PreflightValue(
        value=round(found.consensus, 6),
        unit="1",
        bound=f">= {settings.min_consensus:g} for a refusal",
        status="ok",
    )
    values["alignment_rotation"] = _bounded(
        found.angle_deg,
        "deg",
        turn_bound,
        found.angle_deg > settings.max_rotation_deg,
        "warning",
        f"source and reference are turned by {found.angle_deg:.1f}° against each other",
        [n for n, known in zip(AXES, found.rotation_determined, strict=True) if not known],
    )
    values["alignment_displacement_95"] = PreflightValue(
        value=found.displacement_95_mm, unit="mm", bound="recorded only", status="ok"
    )
    gain = found.similarity_after - found.similarity_before
    values["alignment_similarity_gain"] = PreflightValue(
        value=float(np.round(gain, 6)), unit="1", bound="recorded only", status="ok"
    )
    return values


def _bounded(
    value: float,
    unit: str,
    bound: str,
    beyond: bool,
    status: Status,
    sentence: str,
    unknown: list[str],
) -> PreflightValue:
    """Judge a length that is a lower bound where some axes are unknown."""
    if beyond:
        return PreflightValue(value=value, unit=unit, bound=bound, status=status, why=sentence)
    if unknown:
        why = f"no structure along {', '.join(unknown)}; the value is that of the other axes"
        return PreflightValue(value=value, unit=unit, bound=bound, status="undetermined", why=why)
    return PreflightValue(value=value, unit=unit, bound=bound, status="ok")
