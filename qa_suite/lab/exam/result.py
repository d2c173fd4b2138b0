"""What an exam found: which faults were caught, by what, and how often it cried wolf."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from qa_suite.core.records import CodeFacts, Outcome
from qa_suite.lab.exam.settings import ExamSettings

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Cell(BaseModel):
    """One fault at one severity, in the images of one candidate.

    ``caught`` counts the verdicts that fail with a finding that is the fault's own, of a
    criterion that the candidate's clean images pass; ``misnamed`` those that fail without one;
    ``turned`` those that are no longer a pass, whatever the finding.
    """

    model_config = _STRICT

    fault: str
    severity: float
    clinical: bool = Field(description="whether it matters to a patient at this severity")
    verdicts: int
    turned: int
    caught: int
    misnamed: int = 0
    answered_by: dict[str, int] = Field(description="criterion to verdicts in which it answered")
    clean_passed: int | None = Field(
        default=None, description="verdicts over the fault's own clean images that passed"
    )
    alone_images: int = 0
    alone_caught: int = Field(default=0, description="named without a reference")
    alone_by: dict[str, int] = Field(default_factory=dict)


class CleanCohorts(BaseModel):
    """Cohorts without a fault."""

    model_config = _STRICT

    cohorts: int
    patients: int
    alarms: int = Field(description="verdicts that were no pass")
    alarmed_by: dict[str, int] = Field(default_factory=dict)
    alone_images: int = 0
    alone_alarms: int = 0
    alone_by: dict[str, int] = Field(default_factory=dict)


class CandidateResult(BaseModel):
    """The faults in the images of one candidate, and its clean cohorts."""

    model_config = _STRICT

    candidate: str
    cells: tuple[Cell, ...]
    clean: CleanCohorts

    @property
    def missed(self) -> tuple[Cell, ...]:
        """Faults that matter and were not caught in every verdict."""
        return tuple(c for c in self.cells if c.clinical and c.caught < c.verdicts)

    @property
    def spoilt(self) -> tuple[Cell, ...]:
        """Faults whose own clean image did not pass."""
        return tuple(
            c for c in self.cells if c.clean_passed is not None and c.clean_passed < c.verdicts
        )

    @property
    def passed(self) -> bool:
        """Whether every fault that matters was caught, and clean cohorts hardly ever alarm.

        At most 1 alarm in 93 cohorts, or none in 59: the exact 95 % upper limit (one-sided) of
        the rate is then 5 %. Fewer cohorts cannot show that; none of them may alarm.
        """
        allowed = 1 if self.clean.cohorts >= 93 else 0
        return not self.missed and not self.spoilt and self.clean.alarms <= allowed


class CleanCheck(BaseModel):
    """One clean cohort of a candidate that no fault is planted into."""

    model_config = _STRICT

    candidate: str
    outcome: Outcome
    must_pass: bool = Field(description="whether the profile is one that the candidate must pass")
    failed_by: tuple[str, ...] = Field(default=(), description="criteria that it does not pass")
    not_asked: tuple[str, ...] = Field(
        default=(), description="those that it need not meet of a profile that it must pass"
    )

    @property
    def passed(self) -> bool:
        """Whether it passed where it must."""
        if self.outcome == "pass" or not self.must_pass:
            return True
        return bool(self.not_asked) and set(self.failed_by) == set(self.not_asked)


class ExamResult(BaseModel):
    """One exam of the examiner."""

    model_config = _STRICT

    schema_version: int = 2
    settings: ExamSettings
    patients_from: str = Field(description="'virtual', or the cohort's name")
    profile_sha256: str
    code: CodeFacts = Field(description="that judged")
    measured_by: str = Field(
        default="", description="version and commit that measured, where they are told apart"
    )
    candidates: tuple[CandidateResult, ...]
    checks: tuple[CleanCheck, ...] = ()
    impossible: tuple[str, ...] = Field(
        default=(), description="faults that a patient had no place for"
    )
    seconds: float = Field(description="by the clock, from the call to the result")
    cpu_seconds: float = Field(
        default=0, description="the processors' time for patients and measures, earlier runs too"
    )

    @property
    def passed(self) -> bool:
        """Whether the exam passed with every candidate, and every check where it must."""
        return all(c.passed for c in self.candidates) and all(c.passed for c in self.checks)
