"""The record: measurements, evaluations, criteria, findings and verdicts.

An evaluation is a folder::

    evaluation.json        who measured what, with what, when (Evaluation)
    measurements.parquet   one row a measurement (Measurement)
    cases.parquet          one row a case: status, reason, preflight values, strata (CaseRecord)
    costs.parquet          time and memory of each translation, as measurements
    curves.parquet         one row a point of a curve (CurvePoint): DVH, profiles
    volumes/               content-addressed NIfTI files, as many as were kept

Measuring is done once; the record is never edited. Judging reads it and writes a verdict of
its own. Two runs of the same thing give the same bytes apart from ``evaluation.json``'s
``when`` block and ``costs.parquet``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

SchemaVersion = Literal[1, 2]
"""Of evaluations and verdicts; both are read, 2 is written."""

MeasurementStatus = Literal["ok", "censored", "undefined", "error"]
CaseStatus = Literal["evaluated", "refused", "failed"]
Outcome = Literal["pass", "fail", "inconclusive"]
Scope = Literal["pooled", "each_site", "worst_patient", "new_site"]
Statistic = Literal["mean", "median", "max", "min", "fraction_within"]


NO_CENSORING = (
    "This evaluation was recorded before censored values had a status of their own (schema 1): a "
    "value that lies at the end of its search window, such as a contour distance of 10 mm, cannot "
    "be told from a measured one and may stand in means; evaluate again to tell them apart."
)
"""What everybody must know who reads a record of schema 1."""


class Measurement(BaseModel):
    """One number about one case, the bound that is known of it, or why there is neither.

    ``variant`` is a short key into the evaluation's ``variants``, so that two settings never
    collide on one row. ``coverage`` is the share of the region that could be measured. A
    *censored* row has no value: the search ended at its window, a cap or the image, and the
    true value is only known to be at least ``at_least`` or at most ``at_most``.
    """

    model_config = _STRICT

    case: str
    patient: str
    site: str
    family: str
    metric: str
    region: str
    variant: str = "default"
    value: float | None
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    status: MeasurementStatus = "ok"
    why: str = ""
    coverage: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _one_statement(self) -> Measurement:
        _require_one_statement(self)
        return self


def _unsaid(schema: SchemaVersion) -> tuple[str, ...]:
    return (NO_CENSORING,) if schema == 1 else ()


def _require_one_statement(row: Measurement | SetMeasurement) -> None:
    """Refuse a row that says anything but one thing: a value, a bound, or why neither."""
    bounds = [bound for bound in (row.at_least, row.at_most) if bound is not None]
    if row.status == "ok":
        if row.value is None:
            raise ValueError("a measurement that is ok needs a value")
    elif row.value is not None or not row.why:
        raise ValueError("a measurement without a value needs its reason, and no value")
    if (row.status == "censored") != bool(bounds):
        raise ValueError("at_least and at_most are for censored measurements, which need one")
    if bounds != sorted(bounds):
        raise ValueError(f"at least {bounds[0]:g} and at most {bounds[1]:g} cannot both hold")


class CaseRecord(BaseModel):
    """What happened to one case of the cohort, refused and failed ones included."""

    model_config = _STRICT

    case: str
    patient: str
    site: str
    split: str | None
    examination: int = 1
    status: CaseStatus
    reason: str = ""
    preflight: dict[str, PreflightValue] = Field(default_factory=dict)
    strata: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    grid: str = Field(default="", description="shape and spacing of the measured grid")
    history: tuple[str, ...] = Field(default=(), description="steps the volumes went through")
    volumes: dict[str, str] = Field(
        default_factory=dict, description="'synthetic', 'difference' ... to file in volumes/"
    )
    remarks: tuple[str, ...] = Field(
        default=(),
        description="what must be known of how it was measured, such as the parts of "
        "a plan that were ignored",
    )


PreflightStatus = Literal["ok", "warning", "undetermined", "refused"]


class PreflightValue(BaseModel):
    """One preflight check of one case: what was found against what must hold.

    What could not be determined has no value, and whatever is not in order says why.
    """

    model_config = _STRICT

    value: float | None = None
    at_least: float | None = Field(
        default=None, description="the true value is at least this, where it is not known"
    )
    unit: str = ""
    bound: str = Field(default="", description="as people read it, such as '<= 10 mm'")
    status: PreflightStatus
    why: str = ""

    @model_validator(mode="after")
    def _unknown_is_no_number(self) -> PreflightValue:
        if self.status == "undetermined" and self.value is not None:
            raise ValueError("a check that is undetermined has no value")
        if self.status == "ok" and self.value is None:
            raise ValueError("a check that is ok has a value")
        if self.status != "ok" and not self.why:
            raise ValueError(f"a check that is {self.status} needs its reason")
        if self.value is not None and self.at_least is not None:
            raise ValueError("a value that is known is not at least something")
        return self


DECIDING_CHECKS = ("overlap", "alignment_displacement_95")
"""The preflight checks without whose answer a case as a whole is undetermined."""


def preflight_status(checks: Mapping[str, PreflightValue]) -> PreflightStatus:
    """Say how a case as a whole fared in preflight, by the worst of its checks.

    It is undetermined where one of the deciding checks is: whether it is aligned, and whether
    the images show the same part of the body. What else cannot be answered (no air in view, no
    frame of reference in the files) is told by its own check alone.
    """
    found = {check.status for check in checks.values()}
    if "refused" in found:
        return "refused"
    if any(checks[key].status == "undetermined" for key in DECIDING_CHECKS if key in checks):
        return "undetermined"
    return "warning" if "warning" in found else "ok"


def preflight_sentence(checks: Mapping[str, PreflightValue]) -> str:
    """Say why a case has its status in preflight; empty only where it is ok."""
    status = preflight_status(checks)
    if status == "refused":
        reasons = [check.why for check in checks.values() if check.status == "refused"]
    else:
        deciding = [checks[key] for key in DECIDING_CHECKS if key in checks]
        reasons = [check.why for check in deciding if check.status == "undetermined"]
        reasons += [check.why for check in checks.values() if check.status == "warning"]
    text = "; ".join(dict.fromkeys(reasons))
    return text[:1].upper() + text[1:] + "." if text else ""


class CurvePoint(BaseModel):
    """One point of one curve of one case."""

    model_config = _STRICT

    case: str
    patient: str
    site: str
    family: str
    curve: str
    region: str
    variant: str = "default"
    x: float
    x_unit: str
    y: float
    y_unit: str


class ModelFacts(BaseModel):
    """The examined: which translator, which weights, trained on what."""

    model_config = _STRICT

    uri: str
    name: str
    version: str | None = None
    family: str
    weights_sha256: str | None = None
    direction: str | None = None
    training_sites: tuple[str, ...] = ()
    training_data_digest: str | None = None
    training_patients: tuple[str, ...] = Field(default=(), description="keyed hashes")
    training_voxel_hashes: tuple[str, ...] = ()
    training_fingerprints: tuple[str, ...] = ()
    loss_networks: tuple[str, ...] = Field(
        default=(), description="SHA-256 of the frozen networks in the loss it was trained with"
    )
    parent: str | None = Field(default=None, description="version that its training began from")
    asked: dict[str, int | str] = Field(
        default_factory=dict, description="what the caller chose of its prediction, such as steps"
    )
    mlflow_run_id: str | None = None


class InstrumentFacts(BaseModel):
    """One of the examiner's own networks: which weights, trained on whom, how good."""

    model_config = _STRICT

    kind: Literal["segmenter", "extractor"]
    name: str
    uri: str
    version: str | None = None
    weights_sha256: str
    training_patients: tuple[str, ...] = Field(default=(), description="keyed hashes")
    training_voxel_hashes: tuple[str, ...] = ()
    noise_floor: dict[str, float] = Field(
        default_factory=dict,
        description="structure to Dice against the true labels on real CTs it was not trained on",
    )
    settings: dict[str, Any] = Field(default_factory=dict)


class SetMeasurement(BaseModel):
    """One number about a set of cases: how far the synthetic images lie from the real ones."""

    model_config = _STRICT

    metric: str
    scope: str = Field(description="'pooled' or a site")
    value: float | None
    at_least: float | None = None
    at_most: float | None = None
    standard_error: float | None = None
    unit: str
    status: MeasurementStatus = "ok"
    why: str = ""
    variant: str = "default"
    patients: int
    n_reference: int = Field(description="feature vectors of the reference images")
    n_synthetic: int

    @model_validator(mode="after")
    def _one_statement(self) -> SetMeasurement:
        _require_one_statement(self)
        return self


class LeftOutMeasures(BaseModel):
    """Measures that have no meaning for what was examined, such as HU bands of a PET."""

    model_config = _STRICT

    family: str
    whole: bool = Field(description="whether the whole family is left out")
    metrics: tuple[str, ...]
    why: str


class CohortFacts(BaseModel):
    """The material: which cohort, which patients of it."""

    model_config = _STRICT

    name: str
    digest: str
    direction: str
    anatomy: str
    split: str
    cases: int
    patients: int
    sites: tuple[str, ...]


class PluginFacts(BaseModel):
    """What another package brought to the suite: an entry point, and whose code it is."""

    model_config = _STRICT

    group: str = Field(description="of the entry point, such as 'qa_suite.metrics'")
    name: str
    package: str
    version: str
    digest: str = Field(description="of the source, as plugins.source_digest takes it")


class CodeFacts(BaseModel):
    """The examiner: which code and which packages measured."""

    model_config = _STRICT

    suite_version: str
    git_commit: str | None
    git_dirty: bool | None
    python: str
    packages: dict[str, str]


class When(BaseModel):
    """Timestamps, timings and the machine: the only part that differs between two runs."""

    model_config = _STRICT

    started: str
    finished: str
    seconds_by_case: dict[str, float] = Field(default_factory=dict)
    peak_memory_mib: float | None = None
    costs_sha256: str = Field(default="", description="of costs.parquet")
    dose_device_by_case: dict[str, str] = Field(
        default_factory=dict,
        description="where each case's dose was computed: 'cpu', or 'cuda' and the card's name",
    )


class Evaluation(BaseModel):
    """What was measured, with what and on whom; the tables lie beside it."""

    model_config = _STRICT

    schema_version: SchemaVersion = 2
    evaluation: str = Field(description="identifier: digest of cohort, model and settings")
    model: ModelFacts
    cohort: CohortFacts
    code: CodeFacts
    settings: dict[str, Any] = Field(description="the resolved configuration")
    variants: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="what each variant key of a measurement stands for"
    )
    definitions: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="what each measured metric is: its registry entry"
    )
    instruments: tuple[InstrumentFacts, ...] = Field(
        default=(), description="the examiner's own networks that took part"
    )
    set_measurements: tuple[SetMeasurement, ...] = Field(
        default=(), description="distances between the sets of real and synthetic images"
    )
    left_out: tuple[LeftOutMeasures, ...] = Field(
        default=(), description="measures without a meaning for the reference's quantity"
    )
    case_counts: dict[str, int] = Field(
        description="imported, import_failed, held_out, refused, failed, evaluated"
    )
    notices: tuple[str, ...] = Field(
        default=(), description="what every report must show, such as a leakage override"
    )
    tables_sha256: dict[str, str] = Field(default_factory=dict)
    when: When

    @property
    def announced(self) -> tuple[str, ...]:
        """The notices, and what this schema of the record cannot say."""
        return (*self.notices, *_unsaid(self.schema_version))


class Criterion(BaseModel):
    """One bound of a profile.

    The bound is met when the whole interval lies on its good side, missed when the whole
    interval lies on its bad side, and undecided in between.
    """

    model_config = _STRICT

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
    unit: str
    scope: Scope = "pooled"
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    min_patients: int = Field(ge=1)
    source: str = Field(min_length=1, description="paper, report or local decision")

    @model_validator(mode="after")
    def _one_sense(self) -> Criterion:
        if (self.statistic == "fraction_within") != (self.per_patient_bound is not None):
            raise ValueError("fraction_within and per_patient_bound belong together")
        if self.statistic == "fraction_within" and not 0 <= self.bound <= 1:
            raise ValueError("the bound of fraction_within is a share between 0 and 1")
        limit = self.bound if self.per_patient_bound is None else self.per_patient_bound
        if self.direction == "within" and limit < 0:
            raise ValueError("a bound 'within' is the largest magnitude and not negative")
        self._require_a_bad_penalty(limit)
        extremes = {"at_most": "max", "at_least": "min"}
        if self.statistic in ("max", "min") and extremes.get(self.direction) != self.statistic:
            raise ValueError("the extreme to bound is max at_most or min at_least")
        if self.scope == "worst_patient" and self.statistic in ("median", "fraction_within"):
            raise ValueError("the worst patient has no median and no share")
        if self.scope == "new_site" and self.statistic != "mean":
            raise ValueError("a new site can be predicted for the mean only")
        return self

    def _require_a_bad_penalty(self, limit: float) -> None:
        penalty = self.missed_penalty
        if penalty is None:
            return
        bad = {
            "at_most": penalty > limit,
            "at_least": penalty < limit,
            "within": abs(penalty) > limit,
        }
        if not bad[self.direction]:
            raise ValueError(f"the missed_penalty {penalty:g} would meet the bound of {limit:g}")


class Described(BaseModel):
    """A measure that a profile wants shown, by site and patient, without a bound."""

    model_config = _STRICT

    metric: str
    region: str
    variant: str = "default"


class Profile(BaseModel):
    """A set of criteria for one kind of use, or of measures to describe without a bound."""

    model_config = _STRICT

    schema_version: Literal[1] = 1
    name: str
    version: str
    direction: str = Field(description="such as 'MR->CT', or 'any'")
    anatomy: str
    intended_use: str
    exclude: dict[str, float] = Field(
        default_factory=dict,
        description="preflight value to largest allowed magnitude; excludes cases from judging",
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

    @model_validator(mode="after")
    def _says_something(self) -> Profile:
        if not self.criteria and not self.describe:
            raise ValueError("a profile needs criteria, or measures to describe")
        return self


class Finding(BaseModel):
    """One criterion applied to one scope: the estimate, its interval and what follows."""

    model_config = _STRICT

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
    sentence: str


class SiteGap(BaseModel):
    """How a site differs from the training sites in one measure."""

    model_config = _STRICT

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

    model_config = _STRICT

    schema_version: SchemaVersion = 2
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

    @property
    def announced(self) -> tuple[str, ...]:
        """The notices, and what this schema of the record cannot say."""
        return tuple(dict.fromkeys((*self.notices, *_unsaid(self.schema_version))))


CaseRecord.model_rebuild()
