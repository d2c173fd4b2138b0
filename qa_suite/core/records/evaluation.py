"""Who measured what, with what, and when."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, SerializerFunctionWrapHandler, model_serializer

from qa_suite.core.records.measurement import STRICT, SchemaVersion, SetMeasurement, unsaid
from qa_suite.core.records.sources import TrainingSources
from qa_suite.core.trust import ForeignCode


class PluginFacts(BaseModel):
    """What another package brought to the suite: an entry point, and whose code it is."""

    model_config = STRICT

    group: str = Field(description="of the entry point, such as 'qa_suite.metrics'")
    name: str
    package: str
    version: str
    digest: str = Field(description="of the source, as plugins.source_digest takes it")


class ModelFacts(BaseModel):
    """The examined: which translator, which weights, trained on what."""

    model_config = STRICT

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
    plugin: PluginFacts | None = Field(
        default=None, description="the other package that its family comes from"
    )
    training_sources: TrainingSources | None = Field(
        default=None, description="looks of its training images; None where it was not recorded"
    )
    asked: dict[str, int | str] = Field(
        default_factory=dict, description="what the caller chose of its prediction, such as steps"
    )
    mlflow_run_id: str | None = None
    digest: str | None = Field(
        default=None,
        description="over the SHA-256 of all files of a registered model, as they were examined",
    )
    unproven: str | None = Field(
        default=None, description="why nobody can tell whether these files were registered"
    )
    trusted: ForeignCode | None = Field(
        default=None, description="code that is no part of the suite, run because --trust said so"
    )

    @model_serializer(mode="wrap")
    def _what_there_is(self, as_usual: SerializerFunctionWrapHandler) -> Any:
        """Leave a record without any of these as it was before there were any."""
        said = as_usual(self)
        for name in ("plugin", "training_sources", "digest", "unproven", "trusted"):
            if getattr(self, name) is None:
                said.pop(name, None)
        return said

    @property
    def announced(self) -> tuple[str, ...]:
        """What whoever reads a verdict on it should know of its files and its code."""
        ran = self.trusted
        foreign = "" if ran is None else f"Foreign code was run ({ran.digest}): {ran.runs}."
        return tuple(words for words in (self.unproven or "", foreign) if words)


class InstrumentFacts(BaseModel):
    """One of the examiner's own networks: which weights, trained on whom, how good."""

    model_config = STRICT

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
    digest: str | None = Field(
        default=None, description="over the SHA-256 of all its files, where it is registered"
    )
    unproven: str | None = Field(
        default=None, description="why nobody can tell whether these files were registered"
    )

    @model_serializer(mode="wrap")
    def _what_there_is(self, as_usual: SerializerFunctionWrapHandler) -> Any:
        """Leave a record without any of these as it was before there were any."""
        said = as_usual(self)
        for name in ("digest", "unproven"):
            if getattr(self, name) is None:
                said.pop(name, None)
        return said


class LeftOutMeasures(BaseModel):
    """Measures that have no meaning for what was examined, such as HU bands of a PET."""

    model_config = STRICT

    family: str
    whole: bool = Field(description="whether the whole family is left out")
    metrics: tuple[str, ...]
    why: str


class CohortFacts(BaseModel):
    """The material: which cohort, which patients of it."""

    model_config = STRICT

    name: str
    digest: str
    direction: str
    anatomy: str
    split: str
    cases: int
    patients: int
    sites: tuple[str, ...] = Field(description="of the examined cases")
    expected_sites: tuple[str, ...] | None = Field(
        default=None,
        description="that must be judged: those examined, those of which no case could be "
        "imported, and those that the manifest names; None where a record does not say",
    )


class CodeFacts(BaseModel):
    """The examiner: which code and which packages measured."""

    model_config = STRICT

    suite_version: str
    git_commit: str | None
    git_dirty: bool | None
    python: str
    packages: dict[str, str]
    plugins: tuple[PluginFacts, ...] = Field(
        default=(), description="other packages' metrics, families and engines that were loaded"
    )

    @model_serializer(mode="wrap")
    def _plugins_where_there_are_any(self, as_usual: SerializerFunctionWrapHandler) -> Any:
        """Leave a record without plug-ins as it was before there were any."""
        said = as_usual(self)
        if not self.plugins:
            said.pop("plugins", None)
        return said


class When(BaseModel):
    """Timestamps, timings and the machine: the only part that differs between two runs."""

    model_config = STRICT

    started: str
    finished: str
    seconds_by_case: dict[str, float] = Field(default_factory=dict)
    peak_memory_mib: float | None = Field(
        default=None, description="highest resident memory of a process that took part"
    )
    costs_sha256: str = Field(default="", description="of costs.parquet")
    lock: str = Field(
        default="", description="identifier of the lock that lay there before the first case"
    )
    dose_device_by_case: dict[str, str] = Field(
        default_factory=dict,
        description="where each case's dose was computed: 'cpu', or 'cuda' and the card's name",
    )


class Evaluation(BaseModel):
    """What was measured, with what and on whom; the tables lie beside it."""

    model_config = STRICT

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
        """The notices, what is known of foreign files, and what this schema cannot say."""
        files = [one.unproven for one in self.instruments if one.unproven]
        return (*self.notices, *self.model.announced, *files, *unsaid(self.schema_version))
