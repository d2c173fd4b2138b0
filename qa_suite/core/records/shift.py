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


class PatientDistance(BaseModel):
    """How far one patient's source image lies from the training's, in standard deviations.

    ``p_value`` is how often a training patient lies so far from the others; None where the
    patient is one of those that are compared with, or these are too few.
    """

    model_config = STRICT

    site: str
    patient: str
    distance: float
    nearest: str = Field(description="site of the comparison")
    p_value: float | None = None
    unlike: bool | None = None
    features: dict[str, float] = Field(
        default_factory=dict, description="from the nearest site's mean, in SD, farthest first"
    )


class SiteDistance(BaseModel):
    """How far one site's source images lie from the training's, and how many of them too far."""

    model_config = STRICT

    site: str
    in_training: bool
    patients: int
    basis: Basis = Field(description="what it is compared with")
    patients_against: int = 0
    median: float | None = Field(default=None, description="distance, in standard deviations")
    unlike: int | None = Field(default=None, description="patients; None where it cannot be told")
    p_value: float | None = None
    p_adjusted: float | None = Field(default=None, description="by Holm over the sites")
    differs: bool | None = Field(default=None, description="None where it cannot be told")
    why: str = Field(default="", description="why it cannot")
    features: dict[str, float] = Field(
        default_factory=dict, description="of the patients who are unlike, in SD, farthest first"
    )
    sentence: str = ""


class TagShare(BaseModel):
    """How often one value of a protocol tag occurs at a site and in the training.

    Patients with a value that is known to both.
    """

    model_config = STRICT

    tag: str
    value: str
    here: int
    here_of: int
    there: int
    there_of: int
    p_value: float = Field(description="Fisher's exact test, two-sided")
    p_adjusted: float = Field(default=1.0, description="by Holm over all shares of the call")
    differs: bool = False


class SiteProtocol(BaseModel):
    """How one site's protocol tags differ from the training's."""

    model_config = STRICT

    site: str
    in_training: bool
    patients: int
    basis: Basis | None = Field(description="what it is compared with; None where nothing is known")
    patients_against: int = 0
    never: dict[str, dict[str, int]] = Field(
        default_factory=dict, description="tag to value seen in no training patient to patients"
    )
    beyond: dict[str, dict[str, int]] = Field(
        default_factory=dict,
        description="tag that is a number to range of the training to patients outside of it",
    )
    shares: tuple[TagShare, ...] = Field(default=(), description="those that both have")
    missing: dict[str, int] = Field(
        default_factory=dict, description="tag to patients here of whom it is not known"
    )
    missing_there: dict[str, int] = Field(
        default_factory=dict, description="tag to patients of the training, likewise"
    )
    untold: tuple[str, ...] = Field(
        default=(), description="tags of which nothing is known of the training"
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
    change of the measure for one standard deviation of distance. None where there are too few;
    over patients of several sites without interval and p value, for sites' own levels are in it.
    """

    model_config = STRICT

    metric: str
    region: str
    variant: str = "default"
    unit: str
    level: Level
    n: int
    left_out: int = Field(default=0, description="patients without the measure or a distance")
    magnitude: bool = Field(default=False, description="whether its size without sign is meant")
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
