"""The audit: every measure by site and stratum, who is named, and what could have been found."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from qa_suite.core.records.audit_shift import AuditShift
from qa_suite.core.records.measurement import STRICT
from qa_suite.core.records.profile import Criterion
from qa_suite.core.records.verdict import Outcome

AuditOutcome = Literal["named", "none_named", "undecided", "described"]
Reach = Literal["reached", "excluded", "open"]


class AuditedEvaluation(BaseModel):
    """One evaluation that the audit joins."""

    model_config = STRICT

    evaluation: str
    model_uri: str
    cohort: str
    direction: str
    anatomy: str
    split: str
    cases: int = Field(description="held out, whatever became of them")
    patients: int
    sites: tuple[str, ...]


class AuditMeasure(BaseModel):
    """One measure over everybody, and what is asked of it."""

    model_config = STRICT

    metric: str
    region: str
    variant: str = "default"
    unit: str
    title: str
    better: Literal["lower", "higher", "zero"]
    primary: bool
    criterion: Criterion | None = Field(default=None, description="of the profile, at each site")
    patients: int
    estimate: float | None
    sd: float | None = Field(
        default=None, description="of patients about the mean of their hospital"
    )
    size: float | None = Field(
        default=None, description="the gap looked for, in the measure's unit"
    )
    size_words: str = Field(default="", description="as it was declared, such as '2 SD'")


class AuditCell(BaseModel):
    """One site or stratum: who is in it."""

    model_config = STRICT

    dimension: str = Field(description="key, such as 'site', 'sex' or 'site×sex'")
    title: str = Field(description="of the dimension")
    cell: str
    name: str = Field(description="as in a sentence: 'site C', 'age 60–69 years'")
    patients: int
    cases: int
    sites: tuple[str, ...]
    in_training: bool = Field(default=False, description="a site that was trained on")
    small: bool = Field(description="fewer patients than are interpreted")
    untested: str = Field(default="", description="why the cell cannot be named; empty if it can")
    same_as: tuple[str, ...] = Field(
        default=(), description="cells of other dimensions with the very same cases"
    )


class Gap(BaseModel):
    """A cell minus those that it is compared with, at the audit's confidence."""

    model_config = STRICT

    to: str = Field(description="whom it is compared with")
    patients: int = Field(description="of those")
    estimate: float
    low: float | None
    high: float | None
    method: str


class CellTest(BaseModel):
    """The comparison by which a cell of the primary family may be named."""

    model_config = STRICT

    gap: Gap = Field(description="its interval stands at the level that Holm's procedure gives")
    level: float = Field(description="confidence of that interval")
    p: float = Field(description="adjusted by Holm's procedure over the family")
    named: bool = Field(description="worse, the gap's interval without zero")
    reach: Reach = Field(
        description="whether a gap of the size looked for is reached by the whole interval, "
        "excluded by it, or open"
    )
    power: float = Field(description="chance of being named, were it worse by the size looked for")


class CellFinding(BaseModel):
    """One measure in one cell."""

    model_config = STRICT

    metric: str
    region: str
    variant: str = "default"
    dimension: str
    cell: str
    patients: int = Field(description="with a value, or a bound of it")
    missing: int
    censored: int = 0
    estimate: float | None
    low: float | None
    high: float | None
    no_interval: str = Field(default="", description="why no interval is shown; empty if one is")
    method: str
    outcome: Outcome | None = Field(
        default=None, description="of the interval under the profile's bound, where there is one"
    )
    to_training: Gap | None = None
    to_rest: Gap | None = None
    within_hospitals: Gap | None = Field(
        default=None, description="to the other patients of the same hospitals"
    )
    test: CellTest | None = None
    untested: str = Field(
        default="", description="why it cannot be named, of a primary measure; empty if it can"
    )
    sentence: str

    @property
    def telling_gap(self) -> Gap | None:
        """The gap that says most: that of the test, else to those most alike."""
        if self.test is not None:
            return self.test.gap
        if self.dimension == "site":
            return self.to_training or self.to_rest
        return self.within_hospitals or self.to_rest


class NewSite(BaseModel):
    """What the observed mean of a further hospital may be, by the hospitals seen."""

    model_config = STRICT

    metric: str
    region: str
    variant: str = "default"
    unit: str
    sites: tuple[str, ...]
    target: str
    estimate: float | None
    low: float | None
    high: float | None
    method: str
    outcome: Outcome | None = None
    sentence: str


class Audit(BaseModel):
    """Evaluations of one model joined and looked at by site and stratum."""

    model_config = STRICT

    schema_version: Literal[1] = 1
    audit: str = Field(description="identifier: digest of evaluations, criteria and what was asked")
    outcome: AuditOutcome
    sentence: str
    lead: str = Field(description="the worst stratum")
    power: str = Field(description="what an audit like this one would find")
    undivided: tuple[str, ...] = Field(
        default=(), description="what all patients have in common, or was not recorded"
    )
    rules: tuple[str, ...] = Field(description="how many questions there are and how they count")
    model: str
    model_version: str | None = None
    model_uri: str
    weights_sha256: str | None = None
    training_sites: tuple[str, ...]
    evaluations: tuple[AuditedEvaluation, ...]
    profile: str
    profile_sha256: str
    confidence: float
    small_below: int = Field(description="patients; a cell with fewer is shown, not interpreted")
    family: int = Field(description="comparisons of the primary family")
    measures: tuple[AuditMeasure, ...]
    cells: tuple[AuditCell, ...]
    findings: tuple[CellFinding, ...]
    new_sites: tuple[NewSite, ...] = ()
    shift: AuditShift | None = Field(
        default=None, description="whose images moved; None where the records do not describe them"
    )
    suite_version: str
    notices: tuple[str, ...] = ()
