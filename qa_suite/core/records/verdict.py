"""Findings and the verdict that they add up to."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from qa_suite.core.records.evidence import Evidence
from qa_suite.core.records.measurement import NO_CENSORING, STRICT
from qa_suite.core.records.profile import Criterion, Profile

Outcome = Literal["pass", "fail", "inconclusive"]
VerdictSchema = Literal[1, 2, 3]
"""All three are read, 3 is written."""

NO_EVIDENCE = (
    "This verdict was written before verdicts carried their evidence (schema {schema}): which "
    "tables, model and code it rests on, who judged when, how many profiles were tried and whether "
    "the protocol was locked cannot be told; judge again to have it written down."
)
"""What everybody must know who reads a verdict of schema 1 or 2."""

ReasonCode = Literal[
    "nothing_measured",
    "too_few_patients",
    "no_interval",
    "censored",
    "interval_includes_bound",
    "lost",
    "refused",
    "excluded",
    "absent",
    "site_missing",
    "seen_in_training",
    "beyond_hlut",
    "alike_at_worst_end",
    "near_best_end",
]
"""What can leave a finding undecided, or decide one without an interval: an expected site of which
nobody was judged and values that are alike at the worst end of their range fail it, values that
are all near the best end pass it."""
_IN_SHORT: dict[ReasonCode, str] = {
    "censored": "values censored",
    "lost": "data missing",
    "refused": "too many refused",
    "excluded": "too many excluded",
    "absent": "too often absent from the reference",
    "seen_in_training": "not held out",
}
"""Of reasons whose words name cases or numbers that the short form leaves to the finding."""


SpeaksOf = Literal[
    "these patients",
    "this hospital",
    "these hospitals",
    "hospitals like these",
    "a hospital never seen",
]
"""Whom a finding speaks of: the patients examined, or patients like them at these hospitals, at
hospitals of which these are a sample, or at one yet to come."""


class Reason(BaseModel):
    """One reason why a finding is undecided."""

    model_config = STRICT

    code: ReasonCode
    words: str = Field(min_length=1, description="a few, with the numbers that decided")


class Finding(BaseModel):
    """One criterion applied to one scope: the estimate, its interval and what follows."""

    model_config = STRICT

    criterion: Criterion
    scope_name: str = Field(description="'pooled', a site, a patient ...")
    outcome: Outcome
    estimate: float | None
    at_least: float | None = Field(
        default=None, description="what is known of an estimate that is censored"
    )
    at_most: float | None = None
    low: float | None
    high: float | None
    patients: int = Field(description="with a value, or a bound of it")
    censored: int = Field(default=0, description="patients of whom only a bound is known")
    missing: int = Field(description="patients of the scope without a usable value")
    missing_cases: dict[str, str] = Field(
        default_factory=dict, description="case of the scope without a usable value to reason"
    )
    sites: tuple[str, ...] = Field(
        default=(),
        description="sites that the finding is about; for the worst patient, where the bound "
        "is missed",
    )
    method: str = Field(description="how the interval was made")
    speaks_of: SpeaksOf | None = Field(
        default=None, description="whom it speaks of; None in records from before this was said"
    )
    reasons: tuple[Reason, ...] = Field(
        default=(),
        description="why it is undecided, the reason that decided first, or why it fails whatever "
        "its interval (an expected site without anybody, all values at the worst end); else empty",
    )
    sentence: str

    @property
    def because(self) -> str:
        """The reason that decided that it is undecided, in short; empty where it is decided."""
        if not self.reasons:
            return ""
        first = self.reasons[0]
        if first.code == "too_few_patients":
            return f"n = {self.patients} of {self.criterion.min_patients} required"
        return _IN_SHORT.get(first.code, first.words)


class SiteGap(BaseModel):
    """How a site differs from the training sites in one measure."""

    model_config = STRICT

    metric: str
    region: str
    variant: str = "default"
    unit: str
    site: str
    in_training: bool
    patients: int
    censored: int = 0
    missing: int
    estimate: float | None
    low: float | None
    high: float | None
    gap: float | None = Field(default=None, description="site minus training sites' patients")
    gap_low: float | None = None
    gap_high: float | None = None
    shifted: bool | None = Field(
        default=None, description="whether the gap's interval excludes zero to the worse side"
    )
    method: str
    sentence: str


class Verdict(BaseModel):
    """The outcome of one evaluation under one profile, with its evidence."""

    model_config = STRICT

    schema_version: VerdictSchema = 3
    outcome: Outcome
    sentence: str
    evaluation: str
    profile: Profile
    profile_sha256: str
    findings: tuple[Finding, ...]
    site_gaps: tuple[SiteGap, ...] = ()
    excluded: dict[str, str] = Field(
        default_factory=dict, description="case to reason, by the profile's exclude rules"
    )
    case_counts: dict[str, int]
    notices: tuple[str, ...] = ()
    dose: tuple[str, ...] = Field(
        default=(), description="what was judged of dose, a sentence a plan, or that none was"
    )
    speaks_of: str = Field(
        default="", description="patients, scanners and protocols judged, and who is not in it"
    )
    evidence: Evidence | None = Field(
        default=None, description="what it rests on; none where it was computed and not written"
    )

    @property
    def outcome_word(self) -> str:
        """The outcome; 'described' under a profile that sets no bounds and nothing failed."""
        judged = self.profile.criteria or self.outcome == "fail"
        return self.outcome if judged else "described"

    @property
    def dose_said(self) -> tuple[str, ...]:
        """What was judged of dose; of an older verdict, that it does not say."""
        return self.dose or ("What was judged of dose is not said by this verdict; judge again.",)

    @property
    def speaks_of_said(self) -> str:
        """Whom it speaks of; of an older verdict, that it does not say."""
        return self.speaks_of or "Whom it speaks of is not said by this verdict; judge again."

    @property
    def announced(self) -> tuple[str, ...]:
        """The notices, those of its evidence, and what this schema cannot say."""
        known = () if self.evidence is None else self.evidence.warnings
        return tuple(dict.fromkeys((*self.notices, *known, *self._unsaid)))

    @property
    def statement(self) -> dict[str, Any]:
        """What judging alone says: the same of the same record, whoever judges when."""
        return self.model_dump(mode="json", exclude={"schema_version", "evidence"})

    @property
    def _unsaid(self) -> tuple[str, ...]:
        """What this schema cannot say, one sentence each."""
        if self.schema_version == 3:
            return ()
        lacking = (NO_CENSORING,) if self.schema_version == 1 else ()
        return (*lacking, NO_EVIDENCE.format(schema=self.schema_version))
