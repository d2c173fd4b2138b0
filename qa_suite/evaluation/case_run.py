"""One examination: the material, the examined and the settings; and what one case gives.

A case goes through preflight, translation and measuring. One that raises becomes a
measurement with its reason, so that the run goes on.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from qa_suite.core.answers import require_plausible, told
from qa_suite.core.cohort import HELD_OUT, Case, Cohort, Split
from qa_suite.core.errors import InputError, QAError
from qa_suite.core.failures import is_of_the_run, why
from qa_suite.core.prediction import Prediction
from qa_suite.core.record_names import digest_of, evaluation_identifier
from qa_suite.core.records import CaseRecord, InstrumentFacts, Measurement, ModelFacts, Profile
from qa_suite.core.volume import require_same_grid
from qa_suite.dose.clinic.given import ClinicCase, read_clinic_case
from qa_suite.dose.clinic.trust import doses_of_case, plan_of_case
from qa_suite.dose.engines import where_computed
from qa_suite.evaluation import kept_volumes as volumes
from qa_suite.evaluation.journal import CaseEntry
from qa_suite.instruments.independence import independent_extractor, independent_segmenter
from qa_suite.io.cases import LoadedCase, Translate, load_case
from qa_suite.metrics.base import Instruments, Pair
from qa_suite.metrics.copies import Scans, refuse_copies, refuse_others
from qa_suite.metrics.cost import measured_rows, stated_rows, watched
from qa_suite.metrics.run import Measured, measure_pair, noise_rows
from qa_suite.metrics.set_distances.features import CaseFeatures, features_of
from qa_suite.metrics.settings import MeasureSettings
from qa_suite.preflight import PreflightResult, PreflightSettings, preflight, unreadable

log = logging.getLogger(__name__)


class EvaluationSettings(BaseModel):
    """Everything that decides what is measured, and how; recorded whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: Split = HELD_OUT
    families: tuple[str, ...] | None = None
    preflight: PreflightSettings = PreflightSettings()
    measures: MeasureSettings = MeasureSettings()
    keep_volumes: Literal["worst", "all", "none"] = "worst"
    dose_cases: Literal["all", "one_per_site"] = Field(
        default="all",
        description="whose dose is computed; one is each site's first case that may be measured",
    )
    allow_leakage: bool = False
    clinic_files: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description="case to SHA-256 of the clinic's doses and plan, by their role",
    )
    inverse: str | None = Field(
        default=None, description="translator of the way back, and the hash of its weights"
    )


@dataclass(frozen=True, kw_only=True)
class Examination:
    """One evaluation about to run: the material, the examined and the settings.

    ``preflights`` is what is known already of these cases under these settings, by a digest
    of both; evaluations of several models on one cohort may share it. ``clinic`` is the folder
    of the doses and plans of the clinic's planning system. ``profile`` is what will judge it,
    where that is known: a lock that lies in the evaluation's folder is held against it.
    """

    cohort: Cohort
    folder: Path
    model: ModelFacts
    translate: Translate
    settings: EvaluationSettings
    preflights: dict[str, PreflightResult] = field(default_factory=dict)
    instruments: Instruments = field(default_factory=Instruments)
    clinic: Path | None = None
    profile: Profile | None = None

    def __post_init__(self) -> None:
        # an instrument that shares its network with the model must not be applied by anybody
        object.__setattr__(
            self, "instruments", independent_instruments(self.instruments, self.model)
        )

    @property
    def instrument_facts(self) -> tuple[InstrumentFacts, ...]:
        """The examiner's own networks that take part."""
        found = [segmenter.facts for segmenter in self.instruments.segmenters]
        if self.instruments.extractor is not None:
            found.append(self.instruments.extractor.facts)
        return tuple(found)

    @cached_property
    def scans(self) -> Scans:
        """Every scan of the cohort, by what a copy of it is known by."""
        return Scans(self.cohort.cases)

    @property
    def identifier(self) -> str:
        """Digest of cohort, model and settings: what makes two evaluations the same."""
        norms = self.instruments.norms
        return evaluation_identifier(
            cohort_digest=self.cohort.digest,
            model=self.model.model_dump(mode="json"),
            settings=self.settings.model_dump(mode="json"),
            instruments=[facts.model_dump(mode="json") for facts in self.instrument_facts],
            norms=None if norms is None else norms.model_dump(mode="json"),
        )


def independent_instruments(instruments: Instruments, model: ModelFacts) -> Instruments:
    """Put a refusal in the place of every instrument that shares its network with the model."""
    extractor = instruments.extractor
    return replace(
        instruments,
        segmenters=tuple(independent_segmenter(s, model) for s in instruments.segmenters),
        extractor=None if extractor is None else independent_extractor(extractor, model),
    )


# ---------------------------------------------------------------------------------------
# One case


def examine_case(
    examination: Examination, case: Case, out: Path, *, with_dose: bool = True
) -> CaseEntry:
    """Take one case through preflight, translation and measuring; never raises for bad data.

    ``with_dose`` says whether the plans of the settings are computed for this case. A process
    examines one case at a time, so that the memory of a translation can be told.

    Raises
    ------
    CaseUndone
        If it failed for a reason of the run, which says nothing of the case.
    OSError
        If its volumes cannot be kept.
    """
    started = time.perf_counter()
    record = blank_record(case)
    try:
        loaded = load_examined(examination, case)
        record = record.model_copy(
            update={
                "grid": loaded.source.grid.describe(),
                "strata": case.strata.model_dump(mode="json", exclude_none=True),
            }
        )
        checked = preflight_of(examination, loaded)
    except Exception as error:
        _require_of_data(examination, case, error)
        if isinstance(error, QAError):
            checked = unreadable(InputError(_reason(examination, error)))
        else:  # our mistake, not the case's: it failed, it was not refused
            log.debug("preflight of case %s", case.case, exc_info=True)
            return _failed(record, started, _reason(examination, error))
    record = record.model_copy(update={"preflight": checked.values})
    if checked.refused:
        return _entry(record, started, status="refused", reason=checked.reason)
    who = {"case": case.case, "patient": case.patient, "site": case.site}
    try:
        settings = _measures(examination, case.site, with_dose=with_dose)
        clinic = _clinic_case(examination, case)
        prediction, cost = watched(lambda: examination.translate(loaded))
        pair = replace(_pair(loaded, prediction, examination.instruments), clinic=clinic)
        require_plausible(prediction.mean.array, prediction.mean.quantity, examination.model.name)
        refuse_copies(pair)
        refuse_others(prediction.mean, case.case, examination.scans)
        measured = measure_pair(
            pair, families=examination.settings.families, settings=settings, **who
        )
        families = examination.settings.families
        if families is not None and "image" not in families:
            measured.rows.extend(noise_rows(pair, settings, who))
        measured.rows.extend(stated_rows(prediction, who))
        features = _features(examination, pair)
    except Exception as error:  # becomes a measurement with its reason
        _require_of_data(examination, case, error)
        log.debug("case %s", case.case, exc_info=True)
        return _failed(record, started, _reason(examination, error))
    kept: dict[str, str] = {}
    if examination.settings.keep_volumes != "none":
        kept["synthetic"] = volumes.keep(prediction.mean, out)
        kept |= {role: volumes.keep(v, out) for role, v in measured.volumes.items()}
    history = (*case.history, *told(prediction.mean).history)
    if clinic is not None:
        history = (*history, *clinic.history)
    record = record.model_copy(
        update={
            "volumes": kept,
            "history": history,
            "hluts": _tables(examination, settings),
            "remarks": tuple(measured.remarks),
        }
    )
    entry = _entry(record, started, status="evaluated", measured=measured, features=features)
    costs = tuple(measured_rows(cost, who))
    device = _dose_device(examination, settings)
    return entry.model_copy(update={"costs": costs, "dose_device": device})


class CaseUndone(Exception):
    """A case that failed for a reason of the run: nothing is known of it, and it is to be done."""


def _require_of_data(examination: Examination, case: Case, error: Exception) -> None:
    if is_of_the_run(error):
        log.debug("case %s is to be done again", case.case, exc_info=True)
        raise CaseUndone(_reason(examination, error)) from error


def _clinic_case(examination: Examination, case: Case) -> ClinicCase | None:
    """Read the clinic's doses and plan of a case; None where it has none."""
    if examination.clinic is None or case.case not in examination.settings.clinic_files:
        return None
    request = examination.settings.measures.dose.clinic_request
    found = read_clinic_case(examination.clinic, case.case, request)
    patients = {one.patient for one in examination.cohort.cases}
    found = doses_of_case(found, case.patient, patients)
    if found.plan is None:
        return found
    return replace(found, plan=plan_of_case(found.plan, case.patient, patients))


def _measures(examination: Examination, site: str, *, with_dose: bool) -> MeasureSettings:
    """Return the settings of a case's measures: its site's HLUTs, no plans without a dose."""
    measures = examination.settings.measures
    if not measures.dose.plans:
        return measures
    dose = measures.dose.at(site) if with_dose else measures.dose.model_copy(update={"plans": ()})
    return measures.model_copy(update={"dose": dose})


def _tables(examination: Examination, settings: MeasureSettings) -> dict[str, str]:
    """Say with which HLUT each plan of a case was computed."""
    families = examination.settings.families
    if families is not None and "dose" not in families:
        return {}
    return {
        choice.key: f"{choice.hlut.name} sha256:{choice.hlut.digest}"
        for choice in settings.dose.plans
    }


def _dose_device(examination: Examination, settings: MeasureSettings) -> str:
    """Say where the dose of a case was computed; empty where none was."""
    families = examination.settings.families
    if not settings.dose.plans or (families is not None and "dose" not in families):
        return ""
    return where_computed([choice.template for choice in settings.dose.plans], settings.dose.device)


def load_examined(examination: Examination, case: Case) -> LoadedCase:
    """Read a case; only an oracle gets to see the truth of a virtual patient."""
    knows_truth = examination.model.family == "oracle"
    return load_case(examination.cohort, case, examination.folder, truth=knows_truth)


def preflight_of(examination: Examination, loaded: LoadedCase) -> PreflightResult:
    """Check a case once; cases that have no hash of their files are checked each time."""
    settings = examination.settings.preflight
    if not loaded.case.file_sha256:  # nothing to recognise the case by
        return preflight(loaded, examination.cohort, settings)
    key = preflight_key(examination, loaded.case)
    if key not in examination.preflights:
        examination.preflights[key] = preflight(loaded, examination.cohort, settings)
    return examination.preflights[key]


def preflight_key(examination: Examination, case: Case) -> str:
    """Return what the result of a case's checks is known by: its files, and the settings."""
    settings = examination.settings.preflight
    return digest_of([case.file_sha256, settings.model_dump(mode="json")])


def _pair(loaded: LoadedCase, prediction: Prediction, instruments: Instruments) -> Pair:
    if loaded.reference is None:
        raise InputError("the case has no reference image to compare with")
    if loaded.mask is None:
        raise InputError("the case has no mask that says where it may be measured")
    require_same_grid({"the source": loaded.source, "the synthetic image": prediction.mean})
    return Pair(
        source=loaded.source,
        reference=loaded.reference,
        synthetic=prediction.mean,
        mask=loaded.mask,
        coverage=loaded.coverage,
        structures=loaded.structures,
        prediction=prediction,
        instruments=instruments,
    )


def _features(examination: Examination, pair: Pair) -> CaseFeatures | None:
    """Features of both images for the distances between sets; None without an extractor."""
    extractor = examination.instruments.extractor
    if extractor is None:
        return None
    inside = pair.mask if pair.coverage is None else pair.mask & pair.coverage
    most = examination.settings.measures.set_distances.slices_per_case
    return features_of(extractor, pair.reference, pair.synthetic, inside, most=most)


def blank_record(case: Case) -> CaseRecord:
    """Return what is known of a case before it is looked at."""
    return CaseRecord(
        case=case.case,
        patient=case.patient,
        site=case.site,
        split=case.split,
        examination=case.examination,
        status="refused",
        structures=tuple(sorted(case.structures)) if case.import_problem is None else None,
        voxel_hashes=dict(case.voxel_hashes),
        history=case.history,
    )


def _entry(
    record: CaseRecord,
    started: float,
    *,
    status: Literal["evaluated", "refused", "failed"],
    reason: str = "",
    measured: Measured | None = None,
    features: CaseFeatures | None = None,
) -> CaseEntry:
    measured = measured or Measured()
    return CaseEntry(
        record=record.model_copy(update={"status": status, "reason": reason}),
        measurements=tuple(measured.rows),
        curves=tuple(measured.curves),
        features=features,
        seconds=time.perf_counter() - started,
    )


def _failed(record: CaseRecord, started: float, reason: str) -> CaseEntry:
    row = Measurement(
        case=record.case,
        patient=record.patient,
        site=record.site,
        family="run",
        metric="translation",
        region="all",
        value=None,
        unit="",
        status="error",
        why=reason,
    )
    measured = Measured(rows=[row])
    return _entry(record, started, status="failed", reason=reason, measured=measured)


def _reason(examination: Examination, error: Exception) -> str:
    """Write an error on one line, its files relative to the cohort as in the manifest."""
    return why(error).replace(f"{examination.folder}/", "")
