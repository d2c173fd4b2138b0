"""What several verbs do alike: run an evaluation, judge it and write its page."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qa_suite.cli import console
from qa_suite.core.errors import InputError

if TYPE_CHECKING:
    from qa_suite.cli.evaluate_options import EvaluateOptions, ProtocolOptions
    from qa_suite.core.cohort import Cohort, Split
    from qa_suite.core.executors.crew import Crew
    from qa_suite.core.outbox.sending import Sent
    from qa_suite.core.records import Evaluation, InstrumentFacts, ModelFacts, Profile, Verdict
    from qa_suite.dose.plan.template import Modality
    from qa_suite.evaluation.case_run import EvaluationSettings
    from qa_suite.metrics.base import Instruments
    from qa_suite.preflight import PreflightResult

REPORT_FILE = "report.html"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What was asked, resolved: on whom, how and with what beside it; the model is not loaded."""

    cohort: Cohort
    place: Path
    settings: EvaluationSettings
    instruments: Instruments

    @property
    def networks(self) -> list[InstrumentFacts]:
        """The examiner's own networks that take part."""
        used = [*self.instruments.segmenters, self.instruments.extractor]
        return [one.facts for one in used if one is not None]


def prepare(asked: ProtocolOptions, profile: Profile | None = None) -> Prepared:
    """Resolve what was asked; ``profile`` is refused where it cannot judge it.

    What it asks and this run cannot measure is said, before anything is loaded or translated.
    """
    from qa_suite.cli.checkup import inverse_translator
    from qa_suite.cli.instruments import load_instruments
    from qa_suite.core.cohort import load_cohort, manifest_path
    from qa_suite.evaluation.beforehand import announcement
    from qa_suite.evaluation.eligibility import quantity_of
    from qa_suite.evaluation.models import brought_along
    from qa_suite.evaluation.unmeasured import Run
    from qa_suite.judging.judged_cases import require_fit

    settings = _settings(asked)
    cohort = load_cohort(asked.cohort)
    if profile is not None:
        require_fit(
            profile, cohort=cohort.name, anatomy=cohort.anatomy, directions={cohort.direction}
        )
    if asked.clinic is not None:
        hashes = _clinic_hashes(cohort, asked.clinic)
        settings = settings.model_copy(update={"clinic_files": hashes})
    finders, encoder = load_instruments(asked.segmenters, asked.extractor)
    place = manifest_path(asked.cohort).parent
    back = None
    if asked.inverse is not None:
        back, named = inverse_translator(asked.inverse, cohort.direction, asked.trust)
        settings = settings.model_copy(update={"inverse": named})
    beside = replace(brought_along(cohort, place, back), segmenters=finders, extractor=encoder)
    if profile is not None:
        run = Run(
            settings=settings,
            instruments=beside,
            cases=cohort.in_split(settings.split),
            quantity=quantity_of(cohort),
            finished=asked.images is not None,
        )
        for line in announcement(profile, run):
            console.say(line)
    return Prepared(cohort=cohort, place=place, settings=settings, instruments=beside)


def folder_of(asked: ProtocolOptions, cohort: Cohort, model: ModelFacts) -> Path:
    """Return the evaluation's folder: as asked, or by the names of cohort and model."""
    name = _plain(f"{cohort.name}-{model.name}-{model.version or 0}")
    return asked.out or Path("evaluations") / name


def run_evaluation(
    asked: EvaluateOptions,
    profile: Profile | None = None,
    preflights: dict[str, PreflightResult] | None = None,
) -> tuple[Path, Evaluation]:
    """Evaluate a model, an oracle or a folder of images; return the folder and the record.

    ``profile`` is what will judge it, and is refused before anything is measured where it
    cannot, or where another was locked; ``preflights`` may be shared by evaluations of several
    models on one cohort.
    """
    from qa_suite.api.examinations import examined, require_direction
    from qa_suite.core.locks import read_lock
    from qa_suite.core.one_writer import writing
    from qa_suite.evaluation.evaluate import Examination, evaluate
    from qa_suite.evaluation.protocol import place_lock

    if (asked.model is None) == (asked.images is None):
        raise InputError("Name a model or give --images, one of the two.")
    crew = asked.crew  # refused before anything is loaded, where it cannot be
    _require_one_gpu(asked.device, crew)
    if asked.lock is not None:
        read_lock(asked.lock)  # one that cannot be read is refused before anything is loaded
    ready = prepare(asked, profile)
    facts, translate = examined(asked.model, asked.images, asked.name, asked.ask, asked.trust)
    require_direction(facts, ready.cohort)
    folder = folder_of(asked, ready.cohort, facts)
    with writing(folder, "evaluate"), console.progress_bar(f"Examining {facts.name}") as progress:
        if asked.lock is not None:
            place_lock(asked.lock.read_bytes(), folder)
        record = evaluate(
            Examination(
                cohort=ready.cohort,
                folder=ready.place,
                model=facts,
                translate=translate,
                settings=ready.settings,
                preflights={} if preflights is None else preflights,
                clinic=asked.clinic,
                instruments=ready.instruments,
                profile=profile,
            ),
            folder,
            crew=crew,
            progress=progress,
        )
    return folder, record


def _settings(asked: ProtocolOptions) -> EvaluationSettings:
    """Return what the record keeps as its settings, but for what the material decides.

    Raises
    ------
    QAError
        If a value cannot be, or an option lacks its other half.
    """
    from pydantic import ValidationError

    from qa_suite.cli.dose_settings import ClinicDoses, dose_settings
    from qa_suite.cli.options import names
    from qa_suite.core.errors import Problems
    from qa_suite.core.validation import describe_validation
    from qa_suite.dose.clinic.given import parse_clinic_request
    from qa_suite.evaluation.case_run import EvaluationSettings
    from qa_suite.metrics.run import FAMILIES
    from qa_suite.metrics.settings import MeasureSettings
    from qa_suite.preflight import PreflightSettings

    families = tuple(names(asked.families)) or None
    for name in families or ():
        FAMILIES[name]  # an unknown one is refused before anything is measured
    clinic = ClinicDoses(
        rtplans=clinic_plans(asked.cohort, asked.clinic)
        if asked.clinic and asked.rtplans
        else None,
        goals=asked.clinic_goals,
        request=parse_clinic_request(asked.clinic_dose),
    )
    of_sites = any("=" in word for word in asked.hluts)
    sites = examined_sites(asked.cohort, asked.split) if of_sites else ()
    dose = dose_settings(asked, clinic, asked.measures.get("dose"), sites=sites)
    measures = asked.measures if dose is None else {**asked.measures, "dose": dose}
    preflight = {**asked.preflight, "max_misalignment_mm": asked.max_misalignment_mm}
    try:
        return EvaluationSettings(
            split=asked.split,
            families=families,
            keep_volumes=asked.keep_volumes,
            allow_leakage=asked.allow_leakage,
            preflight=PreflightSettings(**preflight),
            measures=MeasureSettings(**measures),
            dose_cases=asked.dose_cases,
        )
    except ValidationError as error:
        raise Problems("The settings", describe_validation(error)) from None


def log_or_say(folder: Path) -> None:
    """Log an evaluation to MLflow; say what stays in its outbox, and go on: it is whole without."""
    from qa_suite.evaluation.tracking import log_evaluation

    logged_or_said("The evaluation", folder, lambda: log_evaluation(folder))


def logged_or_said(what: str, folder: Path, log: Callable[[], Sent]) -> None:
    """Log what lies in a folder; say what stays in its outbox, and go on: it is whole without."""
    from qa_suite.cli.sync import send_waiting
    from qa_suite.core.outbox.refused import refused_words
    from qa_suite.core.outbox.runs import stays

    try:
        sent = log()
    except InputError as error:
        console.say(f"{what} is whole in {folder} but was not logged to MLflow: {error}")
        return
    if sent.refused:
        console.say(refused_words(folder, sent.refused))
    if sent.why is not None:
        console.say(stays(sent, folder))
        return
    send_waiting(folder)


def _clinic_hashes(cohort: Cohort, folder: Path) -> dict[str, dict[str, str]]:
    """Return the SHA-256 of the clinic's files of every case that has any."""
    from qa_suite.dose.clinic.given import clinic_hashes

    found = {case.case: clinic_hashes(folder, case.case) for case in cohort.cases}
    hashes = {case: files for case, files in found.items() if files}
    if not hashes:
        raise InputError(f"{folder} holds no doses or plan of a case of {cohort.name}.")
    return hashes


def _require_one_gpu(device: str, crew: Crew) -> None:
    """Refuse a GPU by its number where each worker has, and sees, one of its own."""
    number = device.partition("cuda:")[2]
    if number.isdecimal() and int(number) > 0 and not crew.here:
        raise InputError(
            f"--device {device} names one GPU, and each worker has one of its own that it numbers "
            f"0; take cuda, or --workers 1."
        )


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")


def judge_and_report(
    folder: Path,
    profile: Profile,
    *,
    floor: Path | None = None,
    baseline: Path | None = None,
    by: str = "",
    ask_store: bool = False,
    reviewers: Path | None = None,
) -> tuple[Verdict, Path]:
    """Judge an evaluation, keep the verdict beside it and write the report.

    Where a verdict that says the same lies there already, it is reported and none is added:
    a page is no new judgement.
    """
    from qa_suite.cli.signing import reviewers_for
    from qa_suite.core.one_writer import writing
    from qa_suite.core.verdict_files import read_verdict
    from qa_suite.judging.evidence import save_verdict, written_before
    from qa_suite.judging.judge import judge
    from reports.html.report import write_report

    known = reviewers_for(reviewers, folder)
    computed = judge(folder, profile)
    with writing(folder, "report"):
        verdict = written_before(computed, folder)
        if verdict is None:
            path = save_verdict(computed, folder, by=by, ask_store=ask_store)
            verdict = read_verdict(path).verdict
        page = write_report(
            folder, verdict, folder / REPORT_FILE, floor=floor, baseline=baseline, reviewers=known
        )
    return verdict, page


def examined_sites(cohort_path: Path, split: Split) -> tuple[str, ...]:
    """Return the sites that have cases in a patient set, in alphabetical order."""
    from qa_suite.core.cohort import load_cohort

    cohort = load_cohort(cohort_path, check_files=False)
    return tuple(sorted({case.site for case in cohort.in_split(split)}))


def clinic_plans(cohort_path: Path, clinic: Path) -> dict[Path, Modality]:
    """Return the modality of the RTPLAN of each case that has one, by its path.

    A plan that cannot be read is left out: it fails with its case, whose record says why.

    Raises
    ------
    Problems
        If there are plans and none of them can be read.
    """
    from qa_suite.core.cohort import load_cohort
    from qa_suite.core.errors import QAError, raise_problems
    from qa_suite.dose.clinic.given import clinic_files
    from qa_suite.io.rt.plan.read import read_plan

    found: dict[Path, Modality] = {}
    problems = []
    for case in load_cohort(cohort_path, check_files=False).cases:
        for path in clinic_files(clinic, case.case).get("plan", ()):
            try:
                found[path] = read_plan(path).modality
            except QAError as error:
                problems.append(" ".join(str(error).split()))
    if not found:
        raise_problems(f"The plans of {clinic}", problems)
    return found
