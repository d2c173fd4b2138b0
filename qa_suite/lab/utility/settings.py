"""What the utility experiment can be told; written whole into its result."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from qa_suite.core.cohort import HELD_OUT, Split
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
