"""What the short report says, as data: the content of the JSON file and its schema."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

_STRICT = ConfigDict(extra="forbid", frozen=True)


class Line(BaseModel):
    """A label and what is said under it."""

    model_config = _STRICT

    label: str
    text: str


class ShortFinding(BaseModel):
    """One criterion in one scope."""

    model_config = _STRICT

    criterion: str
    asks: str
    scope: str
    outcome: Literal["pass", "fail", "inconclusive"]
    estimate: float | None
    low: float | None
    high: float | None
    bound: float
    unit: str
    patients: int
    missing: int
    estimate_text: str
    interval_text: str
    because: str
    sentence: str
    source: str
    confirmed: bool
    known_to_find: tuple[str, ...] = Field(
        default=(),
        description="planted faults, each as large as matters, that the exam on record shows this "
        "criterion to be among the first to find",
    )
    known_text: str = ""


class ShortGap(BaseModel):
    """How a site differs from the training sites in one measure."""

    model_config = _STRICT

    measure: str
    site: str
    in_training: bool
    patients: int
    gap: float | None
    low: float | None
    high: float | None
    gap_text: str
    worse: bool | None


class ShortSite(BaseModel):
    """What became of the cases of a site."""

    model_config = _STRICT

    site: str
    held_out: int
    refused: int
    failed: int
    excluded: int
    judged: int


class ShortStratum(BaseModel):
    """The worst stratum but the sites; of none, ``text`` says why."""

    model_config = _STRICT

    text: str
    name: str
    measure: str
    estimate: float | None
    bound: float | None
    unit: str
    patients: int


class ShortFault(BaseModel):
    """A planted fault of the exam on record."""

    model_config = _STRICT

    fault: str
    severity: str
    caught: tuple[int, ...] = Field(description="verdicts, of each candidate")
    verdicts: int
    answered_by: tuple[str, ...]


class WorstCase(BaseModel):
    """A patient who is among the worst of a site in a measure that the profile bounds."""

    model_config = _STRICT

    cases: str
    site: str
    measure: str
    text: str


class ShortDose(BaseModel):
    """One number of one plan, on both images."""

    model_config = _STRICT

    plan: str
    what: str
    reference: str
    synthetic: str
    difference: str
    patients: int


class ShortComparator(BaseModel):
    """One measure at one site beside what cannot be beaten and what must be."""

    model_config = _STRICT

    site: str
    measure: str
    floor: str
    model: str
    baseline: str
    improvement: str


class HazardLine(BaseModel):
    """One hazard: whether this evaluation looked for it, and what remains."""

    model_config = _STRICT

    hazard: str
    effect: str
    seen: str
    residual: str


class Short(BaseModel):
    """Everything that the short report says."""

    model_config = _STRICT

    schema_version: Literal[1] = 1
    evaluation: str
    verdict: str
    at: str = Field(description="when it was judged; of a verdict not written, when measured")
    log_head: str = Field(description="digest of the log's last line when the report was made")
    model: str
    profile: str
    symbol: str
    headline: str
    outcome: str
    colour: Literal["pass", "fail", "inconclusive"]
    own: str
    sentence: str
    front: tuple[Line, ...] = Field(description="what must be known with the verdict")
    about: tuple[Line, ...] = Field(description="whom it speaks of in full, and how it was reached")
    warnings: tuple[str, ...]
    meaning: str
    deciding: tuple[ShortFinding, ...] = Field(description="at most five, the worst first")
    worst_site: str
    worst_stratum: ShortStratum
    exam: str = Field(description="what an exam of the examiner has shown of this very profile")
    exam_faults: tuple[ShortFault, ...] = Field(description="those that were planted")
    findings: tuple[ShortFinding, ...]
    gaps: tuple[ShortGap, ...]
    sites: tuple[ShortSite, ...]
    worst_cases: tuple[WorstCase, ...]
    dose: tuple[ShortDose, ...]
    reference: tuple[Line, ...] = Field(description="how sure the reference itself is")
    comparators: tuple[ShortComparator, ...]
    hazards: tuple[HazardLine, ...]
    not_asked: tuple[str, ...]
    changes: tuple[Line, ...] = Field(description="what asks for which examination again")
    provenance: tuple[Line, ...]
