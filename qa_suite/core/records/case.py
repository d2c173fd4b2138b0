"""What became of a case: its status, what preflight found, where its volumes lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field, model_validator

from qa_suite.core.records.measurement import STRICT

CaseStatus = Literal["evaluated", "refused", "failed"]
PreflightStatus = Literal["ok", "warning", "undetermined", "refused"]


class PreflightValue(BaseModel):
    """One preflight check of one case: what was found against what must hold.

    What could not be determined has no value, and whatever is not in order says why.
    """

    model_config = STRICT

    value: float | None = None
    at_least: float | None = Field(
        default=None, description="the true value is at least this, where it is not known"
    )
    unit: str = ""
    bound: str = Field(default="", description="as people read it, such as '<= 10 mm'")
    status: PreflightStatus
    why: str = ""

    @model_validator(mode="after")
    def _unknown_is_no_number(self) -> PreflightValue:
        if self.status == "undetermined" and self.value is not None:
            raise ValueError("a check that is undetermined has no value")
        if self.status == "ok" and self.value is None:
            raise ValueError("a check that is ok has a value")
        if self.status != "ok" and not self.why:
            raise ValueError(f"a check that is {self.status} needs its reason")
        if self.value is not None and self.at_least is not None:
            raise ValueError("a value that is known is not at least something")
        return self


DECIDING_CHECKS = ("overlap", "alignment_displacement_95")
"""The preflight checks without whose answer a case as a whole is undetermined."""


class CaseRecord(BaseModel):
    """What happened to one case of the cohort, refused and failed ones included."""

    model_config = STRICT

    case: str
    patient: str
    site: str
    split: str | None
    examination: int = 1
    status: CaseStatus
    reason: str = ""
    structures: tuple[str, ...] | None = Field(
        default=None, description="delineated on its images; None where a record does not say"
    )
    voxel_hashes: dict[str, str] = Field(
        default_factory=dict, description="of its source and reference, as the cohort states them"
    )
    preflight: dict[str, PreflightValue] = Field(default_factory=dict)
    strata: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    grid: str = Field(default="", description="shape and spacing of the measured grid")
    history: tuple[str, ...] = Field(default=(), description="steps the volumes went through")
    volumes: dict[str, str] = Field(
        default_factory=dict, description="'synthetic', 'difference' ... to file in volumes/"
    )
    hluts: dict[str, str] = Field(
        default_factory=dict,
        description="plan to the HLUT that its doses were computed with, and its SHA-256",
    )
    remarks: tuple[str, ...] = Field(
        default=(),
        description="what must be known of how it was measured, such as the parts of "
        "a plan that were ignored",
    )


def preflight_status(checks: Mapping[str, PreflightValue]) -> PreflightStatus:
    """Say how a case as a whole fared in preflight, by the worst of its checks.

    It is undetermined where one of the deciding checks is: whether it is aligned, and whether
    the images show the same part of the body. What else cannot be answered (no air in view, no
    frame of reference in the files) is told by its own check alone.
    """
    found = {check.status for check in checks.values()}
    if "refused" in found:
        return "refused"
    if any(checks[key].status == "undetermined" for key in DECIDING_CHECKS if key in checks):
        return "undetermined"
    return "warning" if "warning" in found else "ok"


def preflight_sentence(checks: Mapping[str, PreflightValue]) -> str:
    """Say why a case has its status in preflight; empty only where it is ok."""
    status = preflight_status(checks)
    if status == "refused":
        reasons = [check.why for check in checks.values() if check.status == "refused"]
    else:
        deciding = [checks[key] for key in DECIDING_CHECKS if key in checks]
        reasons = [check.why for check in deciding if check.status == "undetermined"]
        reasons += [check.why for check in checks.values() if check.status == "warning"]
    text = "; ".join(dict.fromkeys(reasons))
    return text[:1].upper() + text[1:] + "." if text else ""
