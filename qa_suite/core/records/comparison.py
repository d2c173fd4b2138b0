"""Two models, or two versions of one, on the same patients."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from qa_suite.core.records.measurement import STRICT

Asked = Literal["difference", "non-inferiority", "equivalence"]
Answer = Literal["yes", "no", "undecided"]


class Compared(BaseModel):
    """One of the two: its evaluation and its model."""

    model_config = STRICT

    evaluation: str
    cohort: str
    model: str
    model_version: str | None = None
    model_uri: str
    weights_sha256: str | None = None


class PairedFinding(BaseModel):
    """One measure of both on the patients that both have a value of.

    Differences are the new one minus the old one; of a bias, which is best at zero, of its
    magnitudes.
    """

    model_config = STRICT

    metric: str
    region: str
    variant: str = "default"
    unit: str
    better: Literal["lower", "higher", "zero"]
    primary: bool
    patients: int
    new: float | None = Field(default=None, description="mean over these patients")
    old: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    method: str
    p_t: float | None = Field(default=None, description="paired t test, two-sided")
    p_ranks: float | None = Field(
        default=None, description="Wilcoxon's signed ranks, two-sided; signs alone of events"
    )
    p_holm: float | None = Field(
        default=None, description="of the paired t test, adjusted over the primary measures"
    )
    wins: int = Field(description="patients in whom the new one is better")
    losses: int
    ties: int
    lost_by_new: tuple[str, ...] = Field(
        default=(), description="patients of whom the old one alone has a value"
    )
    lost_by_old: tuple[str, ...] = ()
    margin: float | None = None
    answer: Answer | None = Field(default=None, description="to what was asked, with the margin")
    sentence: str


class Comparison(BaseModel):
    """A new model against an old one, on the same patients by the same rules."""

    model_config = STRICT

    schema_version: Literal[1] = 1
    comparison: str = Field(description="identifier: digest of both and of what was asked")
    asked: Asked
    answer: Answer | None
    sentence: str
    new: Compared
    old: Compared
    profile: str
    profile_sha256: str
    confidence: float
    rules: tuple[str, ...]
    findings: tuple[PairedFinding, ...]
    patients: int = Field(description="whom both were examined on")
    only_new: tuple[str, ...] = Field(default=(), description="patients of the new one alone")
    only_old: tuple[str, ...] = ()
    suite_version: str
    notices: tuple[str, ...] = ()
