"""What the utility experiment found, as it is written."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from qa_suite.core.records import CodeFacts, ModelFacts
from qa_suite.lab.utility.settings import UtilitySettings

RESULT_FILE = "utility.json"

Arm = Literal["real", "synthetic", "both"]
ARMS: tuple[Arm, ...] = ("real", "synthetic", "both")
OVERALL = "all structures"
"""Name of the mean over the structures that a patient has."""

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class FitScores(BaseModel):
    """What one trained segmenter scored on the real images of the patients it did not see."""

    model_config = _STRICT

    seed: int
    fold: int
    arm: Arm
    training_patients: int
    weights_sha256: str
    dice: dict[str, dict[str, float]] = Field(
        description="case to structure to Dice (0 to 1), of the structures that the case has"
    )
    seconds: float


class Difference(BaseModel):
    """Dice of an arm minus that of the arm trained on real images, patient by patient."""

    model_config = _STRICT

    arm: Arm
    estimate: float
    low: float | None
    high: float | None
    patients: int
    confidence: float
    method: str
    seed_range: tuple[float, float] = Field(
        description="lowest and highest mean difference of a single repetition"
    )
    sentence: str


class StructureUtility(BaseModel):
    """One structure, or the mean over all: how well each arm finds it on real images."""

    model_config = _STRICT

    structure: str
    patients: int
    dice: dict[Arm, float]
    differences: tuple[Difference, ...]


class UtilityResult(BaseModel):
    """The whole experiment; frozen, and enough to judge it again."""

    model_config = _STRICT

    schema_version: Literal[1] = 1
    utility: str = Field(description="identifier: digest of cohort, model and settings")
    cohort: str
    cohort_digest: str
    model: ModelFacts
    code: CodeFacts
    settings: UtilitySettings
    patients: int
    cases: int
    seeds: tuple[int, ...]
    structures: tuple[StructureUtility, ...] = Field(description="the mean over all first")
    scores: tuple[FitScores, ...]
    left_out: dict[str, str] = Field(default_factory=dict, description="case to reason")
    structures_left_out: dict[str, str] = Field(default_factory=dict)
    notices: tuple[str, ...] = ()
    seconds: float = Field(description="of training and testing; differs between two runs")
