"""Criteria and the profiles that hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import (
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from qa_suite.core.records.exclusion import Limit
from qa_suite.core.records.measurement import STRICT

Scope = Literal["pooled", "each_site", "worst_patient", "new_site"]
Statistic = Literal["mean", "median", "max", "min", "fraction_within"]


class Criterion(BaseModel):
    """One bound of a profile.

    The bound is met when the whole interval lies on its good side, missed when the whole
    interval lies on its bad side, and undecided in between.
    """

    model_config = STRICT

    name: str
    metric: str
    region: str
    variant: str = "default"
    statistic: Statistic = "mean"
    bound: float
    direction: Literal["at_most", "at_least", "within"] = Field(
        description="'within' means between -bound and +bound"
    )
    per_patient_bound: float | None = Field(
        default=None,
        description="for fraction_within: the bound that each patient must meet in 'direction'; "
        "'bound' is then the least share of patients (0 to 1) that must meet it",
    )
    missed_penalty: float | None = Field(
        default=None,
        description="value, in the criterion's unit, of an examination whose synthetic image "
        "misses the structure that the reference has; without it the examination is lost",
    )
    max_absent_fraction: float | None = Field(
        default=None, ge=0, le=1, description="in the place of the profile's, for this criterion"
    )
    min_coverage: float | None = Field(
        default=None, ge=0, le=1, description="in the place of the profile's, for this criterion"
    )
    unit: str
    scope: Scope = "pooled"
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    min_patients: int = Field(ge=1)
    source: str = Field(min_length=1, description="paper, report or local decision")
    rationale: str = Field(default="", description="why this bound, and not another")
    population: str = Field(
        default="",
        description="whom the bound was derived from, such as '18 head-and-neck patients, bulk "
        "densities'; 'none: local decision'",
    )
    confirmed: bool = Field(
        default=True, description="whether the source was looked up and says what is said of it"
    )

    @model_validator(mode="after")
    def _one_sense(self) -> Criterion:
        said = [sentence for _, sentence in contradictions(dict(self))]
        if said:
            raise ValueError("; ".join(said))
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, as_usual: SerializerFunctionWrapHandler) -> Any:
        """Leave a criterion as it was before it could say more, and its digest with it."""
        return _without_defaults(self, as_usual(self), _LATER_OF_CRITERION)


def contradictions(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield key and sentence of what in a criterion contradicts itself.

    Parameters
    ----------
    given
        The criterion's values by key; a key that is not there is not looked at.
    """
    statistic, bound = given.get("statistic"), given.get("bound")
    direction, scope = given.get("direction"), given.get("scope")
    share = statistic == "fraction_within"
    single = given.get("per_patient_bound")
    if None not in (statistic, bound) and share != (single is not None):
        yield "statistic", "fraction_within and per_patient_bound belong together"
    if share and bound is not None and not 0 <= bound <= 1:
        yield "bound", "the bound of fraction_within is a share between 0 and 1"
    limit = bound if single is None else single
    if direction == "within" and limit is not None and limit < 0:
        yield "bound", "a bound 'within' is the largest magnitude and not negative"
    penalty = given.get("missed_penalty")
    if None not in (penalty, limit, direction) and _good(penalty, limit, direction):
        sentence = f"the missed_penalty {penalty:g} would meet the bound of {limit:g}"
        yield "missed_penalty", sentence
    extremes = {"at_most": "max", "at_least": "min"}
    extreme = direction is not None and statistic in ("max", "min")
    if extreme and extremes.get(str(direction)) != statistic:
        yield "statistic", "the extreme to bound is max at_most or min at_least"
    if scope == "worst_patient" and statistic in ("median", "fraction_within"):
        yield "statistic", "the worst patient has no median and no share"
    if scope == "new_site" and statistic not in (None, "mean"):
        yield "statistic", "a new site can be predicted for the mean only"


def _good(value: Any, limit: Any, direction: Any) -> bool:
    if direction == "at_most":
        return bool(value <= limit)
    return bool(value >= limit if direction == "at_least" else abs(value) <= limit)


_LATER_OF_CRITERION = ("rationale", "population", "confirmed")
_LATER_OF_PROFILE = (
    "clinical",
    "does_not_ask",
    "hazards",
    "planned",
    "examined",
    "primary",
    "primary_source",
    "primary_rationale",
    "margins",
    "signatures",
)
NOT_ASKED, NOT_ASKED_BY_CRITERION = ("examined",), ("confirmed",)
"""Keys that tell of a profile, or of a bound's source, and ask nothing: they leave its digest and a
lock as they are."""


def _without_defaults(model: BaseModel, said: Any, keys: tuple[str, ...]) -> Any:
    fields = type(model).model_fields
    for key in keys:
        if getattr(model, key) == fields[key].get_default(call_default_factory=True):
            said.pop(key, None)
    return said


class Planned(BaseModel):
    """What ``min_patients`` was chosen for: with what chance a good model passes every mean."""

    model_config = STRICT

    sites: int = Field(ge=1, le=100, description="hospitals that are judged each by itself")
    sd_inside: float = Field(
        gt=0,
        le=10,
        description="how far a good model's true mean lies inside each bound, in standard "
        "deviations between patients",
    )
    power: float = Field(ge=0.5, lt=1, description="chance that it passes all of them")


class Margin(BaseModel):
    """By how much another model may be worse in the mean and still count as no worse."""

    model_config = STRICT

    margin: float = Field(gt=0, description="in the criterion's unit")
    source: str = Field(min_length=1, description="paper, report or local decision")
    rationale: str = Field(min_length=1, description="why this margin, and not another")


def margin_of(stated: float | Margin) -> float:
    """Return a margin as profiles state it, as a number in its criterion's unit."""
    return stated.margin if isinstance(stated, Margin) else stated


class Examined(BaseModel):
    """Whether an exam has shown what the bounds catch, on what, and where that stands.

    It is a fact about the profile and no part of what it asks: an exam that was made after the
    bounds does not make another profile of them.
    """

    model_config = STRICT

    on: str = Field(min_length=1, description="such as 'virtual pelves'; 'none' where there is no")
    version: str = Field(default="", description="of the profile whose exam it was")
    page: str = Field(default="", description="of the documentation, with the exam's table")
    because: str = Field(default="", description="why there is none, or what to know of it")

    @model_validator(mode="after")
    def _says_where_or_why(self) -> Examined:
        lacking = "because" if self.on == NO_EXAM else "page"
        if not getattr(self, lacking).strip():
            raise ValueError(f"an exam on '{self.on}' says its {lacking}")
        if self.on == NO_EXAM and (self.version or self.page):
            raise ValueError("without an exam there is neither its version nor its page")
        return self

    def of(self, version: str) -> str:
        """Say of a profile's version what was examined, as lists and reports do."""
        if self.on == NO_EXAM:
            return f"none: {self.because}"
        said = f"{self.on}, version {self.version or 'not said'}"
        other = "" if self.version == version else f", not this {version}"
        more = f"; {self.because}" if self.because else ""
        return f"{said}{other} ({self.page}{more})"


NO_EXAM = "none"


class Described(BaseModel):
    """A measure that a profile wants shown, by site and patient, without a bound."""

    model_config = STRICT

    metric: str
    region: str
    variant: str = "default"


class Profile(BaseModel):
    """A set of criteria for one kind of use, or of measures to describe without a bound."""

    model_config = STRICT

    schema_version: Literal[1, 2] = 1
    name: str
    version: str
    direction: str = Field(description="such as 'MR->CT', or 'any'")
    anatomy: str
    intended_use: str
    clinical: bool = Field(
        default=False,
        description="whether meeting it is meant to carry a clinical decision, with what it does "
        "not ask answered elsewhere",
    )
    does_not_ask: tuple[str, ...] = Field(
        default=(), description="what a pass under it says nothing about"
    )
    hazards: tuple[str, ...] = Field(
        default=(), description="of the table of hazards, those that this use is exposed to"
    )
    planned: Planned | None = None
    examined: Examined | None = Field(
        default=None, description="whether an exam has shown what the bounds catch; None: not said"
    )
    exclude: dict[str, Limit | float] = Field(
        default_factory=dict,
        description="preflight value to where it is good; other cases are left out of judging. A "
        "bare number is the largest magnitude",
    )
    max_excluded_fraction: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="share of a scope's patients that 'exclude' may leave out, with any of their "
        "examinations, before the scope is undecided",
    )
    max_absent_fraction: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="share of a scope's patients whose reference may lack the region before the "
        "scope is undecided",
    )
    min_coverage: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="share of a region that must have been measured; with less the value is lost",
    )
    expected_sites: tuple[str, ...] = Field(
        default=(), description="sites that must be judged, whatever was imported"
    )
    max_refused_fraction: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="share of a scope's patients that preflight may refuse before the scope is "
        "undecided",
    )
    describe: tuple[Described, ...] = Field(
        default=(), description="shown without a bound, where the record holds them"
    )
    criteria: tuple[Criterion, ...] = ()
    primary: tuple[str, ...] = Field(
        default=(),
        description="names of the few criteria among which an audit names a site or stratum",
    )
    primary_source: str = Field(default="", description="whose choice the primary ones are")
    primary_rationale: str = Field(default="", description="why these, and not others")
    margins: dict[str, Margin | float] = Field(
        default_factory=dict,
        description="criterion to the difference by which another model may be worse in the mean "
        "and still count as no worse; a bare number is in the criterion's unit",
    )

    signatures: int | None = Field(
        default=None,
        ge=1,
        le=10,
        description="people who must approve a verdict before a release; by default two where the "
        "profile is clinical (four eyes), else one",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Profile:
        if not self.criteria and not self.describe:
            raise ValueError("a profile needs criteria, or measures to describe")
        known = {criterion.name for criterion in self.criteria}
        for what, names in (("primary", self.primary), ("margins", self.margins)):
            unknown = sorted(set(names) - known)
            if unknown:
                raise ValueError(f"{what} names {', '.join(unknown)}, which is no criterion here")
        wrong = sorted(name for name, one in self.margins.items() if not margin_of(one) > 0)
        if wrong:
            raise ValueError(f"the margin of {', '.join(wrong)} must be above zero")
        return self

    @property
    def signatures_asked(self) -> int:
        """How many people must approve a verdict under it before a release."""
        return self.signatures or (2 if self.clinical else 1)

    @property
    def exam(self) -> str:
        """What is known of an exam of these bounds, in words."""
        return "not said" if self.examined is None else self.examined.of(self.version)

    @property
    def asks(self) -> dict[str, Any]:
        """Everything that it asks, and nothing that is only told of it."""
        return asked_by(self.model_dump(mode="json"))

    @model_serializer(mode="wrap")
    def _as_before(self, as_usual: SerializerFunctionWrapHandler) -> Any:
        """Leave a profile as it was before it could say more, and its digest with it."""
        return _without_defaults(self, as_usual(self), _LATER_OF_PROFILE)


def asked_by(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a profile, as it stands in a file, asks: its digest is that of this."""
    asked = {key: value for key, value in said.items() if key not in NOT_ASKED}
    criteria = [
        {key: value for key, value in one.items() if key not in NOT_ASKED_BY_CRITERION}
        for one in said["criteria"]
    ]
    return asked | {"criteria": criteria}
