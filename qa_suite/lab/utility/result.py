"""What the utility experiment can be told, and what it found, as it is written."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from qa_suite.core.cohort import HELD_OUT, Split
from qa_suite.core.records import CodeFacts, ModelFacts
from qa_suite.instruments.settings import SegmenterSettings


class UtilitySettings(BaseModel):
    """Settings of the utility experiment.

    Parameters
    ----------
    split
        The patient set it is done on; the translator must have seen none of them.
    folds
        Parts into which the patients are dealt; each is tested once by segmenters that were
        trained on the others.
    seeds
        Repetitions, each with a deal and first weights of its own.
    first_seed
        Number of the first repetition.
    confidence
        Of the intervals.
    least_patients
        Fewer patients are refused.
    weak_dice
        Where the segmenter trained on real images stays below, the result warns: arms that
        learn nothing do not differ.
    segmenter
        Network and budget, alike for all arms.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    split: Split = HELD_OUT
    folds: int = Field(default=3, ge=2)
    seeds: int = Field(default=3, ge=1)
    first_seed: int = Field(default=0, ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    least_patients: int = Field(default=6, ge=2)
    weak_dice: float = Field(default=0.5, ge=0, le=1)
    segmenter: SegmenterSettings = SegmenterSettings()


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
