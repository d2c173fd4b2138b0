"""What an audit finds of shift: which images moved, whose shift a gap is, whom it speaks of."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from qa_suite.core.records.measurement import STRICT

Image = Literal["source", "reference", "synthetic"]
Basis = Literal["registered", "training sites", "other sites"]
Answer = Literal[
    "no gap shown", "none shown", "source", "reference", "synthetic", "several", "cannot be told"
]
Level = Literal["patients", "within sites", "between sites"]


class FeatureMove(BaseModel):
    """One feature of a site against the nearest comparison, in standard deviations within sites.

    ``here`` and ``there`` are the means (geometric ones of a ratio); ``p_value`` is adjusted for
    the other features of the comparison.
    """

    model_config = STRICT

    feature: str
    difference_sd: float
    low: float
    high: float
    p_value: float
    here: float
    there: float


class ImageMove(BaseModel):
    """Whether the images of one site are unlike those of its comparison."""

    model_config = STRICT

    image: Image
    site: str
    in_training: bool
    patients: int
    basis: Basis = Field(description="what it is compared with")
    against: str = Field(default="", description="nearest site of the comparison")
    patients_against: int = 0
    p_value: float | None = Field(default=None, description="that it is like the nearest one")
    p_adjusted: float | None = Field(default=None, description="by Holm over the call")
    moved: bool | None = Field(default=None, description="None where it cannot be told")
    why: str = Field(default="", description="why it cannot")
    features: tuple[FeatureMove, ...] = Field(
        default=(), description="against the nearest site, the farthest first"
    )
    sentence: str = ""


class ExpectedLevel(BaseModel):
    """Where a tissue lies in a CT of about 120 kV."""

    model_config = STRICT

    low_hu: float
    high_hu: float
    source: str


class LevelCheck(BaseModel):
    """One tissue of one site's references against its expected level."""

    model_config = STRICT

    site: str
    tissue: str
    patients: int
    mean_hu: float | None
    low_hu: float | None
    high_hu: float | None
    expected: ExpectedLevel
    outside: bool | None = Field(
        description="whether the whole interval lies beyond the window; None without an interval"
    )
    tube_voltages: tuple[str, ...]
    sentence: str


class ErrorFollows(BaseModel):
    """How one error measure goes with the distance of the source image, at one level.

    ``rho`` is Spearman's correlation with its interval and permutation p value, ``slope`` the
    change of the measure for one standard deviation of distance. None where there are too few.
    """

    model_config = STRICT

    metric: str
    region: str
    variant: str = "default"
    unit: str
    level: Level
    n: int
    rho: float | None = None
    rho_low: float | None = None
    rho_high: float | None = None
    p_value: float | None = None
    slope: float | None = None
    slope_low: float | None = None
    slope_high: float | None = None
    sentence: str = ""


class WhoseShift(BaseModel):
    """What is behind one gap of a site: which images moved, and which could not be tested."""

    model_config = STRICT

    metric: str
    region: str
    variant: str = "default"
    site: str
    answer: Answer
    moved: tuple[Image, ...]
    unknown: tuple[Image, ...]
    sentence: str


class SpokenOf(BaseModel):
    """Who was judged, and what of the training or of the strata was not."""

    model_config = STRICT

    patients: int
    sites: tuple[str, ...]
    tested: dict[str, dict[str, int]] = Field(description="stratum to value to patients")
    unknown: dict[str, int] = Field(description="stratum to patients of whom it is not known")
    days: tuple[int, int] | None = Field(description="least and most between the two scans")
    not_tested: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="stratum to values trained on, and judged in nobody"
    )
    not_trained: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="stratum to values judged, and trained on in nobody"
    )
    sentence: str = ""
