"""What several verbs do alike: run an evaluation, judge it and write its page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qa_suite.cli import console
from qa_suite.core.errors import InputError

if TYPE_CHECKING:
    from qa_suite.core.cohort import Cohort
    from qa_suite.core.records import Evaluation, Measurement, Profile, Verdict
    from qa_suite.dose.plan.template import Modality
    from qa_suite.metrics.base import Pair
    from qa_suite.metrics.dose.settings import DoseSettings
    from qa_suite.preflight import PreflightResult

REPORT_FILE = "report.html"


def run_evaluation(
    cohort_path: Path,
    model: str | None,
    *,
    images: Path | None = None,
    name: str = "external",
    out: Path | None = None,
    workers: int = 2,
    split: str = "test",
    keep_volumes: str = "worst",
    max_misalignment_mm: float = 10.0,
    allow_leakage: bool = False,
    inverse: str | None = None,
    segmenters: Sequence[str] = (),
    extractor: str | None = None,
    ask: Sequence[str] = (),
    dose: DoseSettings | None = None,
    dose_cases: str = "all",
    clinic: Path | None = None,
    preflights: dict[str, PreflightResult] | None = None,
    profile: Profile | None = None,
) -> tuple[Path, Evaluation]:
    """Evaluate a model, an oracle or a folder of images; return the folder and the record.

    ``preflights`` may be shared by evaluations of several models on one cohort; ``profile`` is
    what will judge it, and is refused before anything is measured where it cannot.
    """
    from pydantic import ValidationError

    from qa_suite.api.examinations import examined, require_direction
    from qa_suite.cli.checkup import inverse_translator
    from qa_suite.cli.instruments import load_instruments
    from qa_suite.core.cohort import describe_validation, load_cohort, manifest_path
    from qa_suite.core.errors import Problems
    from qa_suite.core.store import require_folder
    from qa_suite.evaluation.evaluate import EvaluationSettings, Examination, evaluate
    from qa_suite.evaluation.models import brought_along
    from qa_suite.judging.judged_cases import require_fit
    from qa_suite.metrics.settings import MeasureSettings
    from qa_suite.preflight import PreflightSettings

    if (model is None) == (images is None):
        raise InputError("Name a model or give --images, one of the two.")
    try:
        settings = EvaluationSettings(
            split=split,
            keep_volumes=keep_volumes,
            allow_leakage=allow_leakage,
            preflight=PreflightSettings(max_misalignment_mm=max_misalignment_mm),
            measures=MeasureSettings() if dose is None else MeasureSettings(dose=dose),
            dose_cases=dose_cases,
        )
    except ValidationError as error:
        raise Problems("The settings", describe_validation(error)) from None
    cohort = load_cohort(cohort_path)
    facts, translate = examined(model, images, name, ask)
    if images is None:
        _share_cores(workers)
    require_direction(facts, cohort)
    if profile is not None:
        require_fit(
            profile, cohort=cohort.name, anatomy=cohort.anatomy, directions={cohort.direction}
        )
    if clinic is not None:
        settings = settings.model_copy(update={"clinic_files": _clinic_hashes(cohort, clinic)})
    finders, encoder = load_instruments(segmenters, extractor)
    place = manifest_path(cohort_path).parent
    back = None
    if inverse is not None:
        back, named = inverse_translator(inverse, cohort.direction)
        settings = settings.model_copy(update={"inverse": named})
    folder = out or Path("evaluations") / _plain(f"{cohort.name}-{facts.name}-{facts.version or 0}")
    require_folder(folder)
    with console.progress_bar(f"Examining {facts.name}") as progress:
        record = evaluate(
            Examination(
                cohort=cohort,
                folder=place,
                model=facts,
                translate=translate,
                settings=settings,
                preflights={} if preflights is None else preflights,
                clinic=clinic,
                instruments=replace(
                    brought_along(cohort, place, back), segmenters=finders, extractor=encoder
                ),
            ),
            folder,
            workers=workers,
            progress=progress,
        )
    return folder, record


def log_or_say(folder: Path) -> None:
    """Log an evaluation to MLflow; where that fails, say so and go on: it is whole without."""
    from qa_suite.evaluation.tracking import log_evaluation

    try:
        log_evaluation(folder)
    except InputError as error:
        console.say(str(error))


def _clinic_hashes(cohort: Cohort, folder: Path) -> dict[str, dict[str, str]]:
    """Return the SHA-256 of the clinic's files of every case that has any."""
    from qa_suite.dose.clinic.given import clinic_hashes

    found = {case.case: clinic_hashes(folder, case.case) for case in cohort.cases}
    hashes = {case: files for case, files in found.items() if files}
    if not hashes:
        raise InputError(f"{folder} holds no doses or plan of a case of {cohort.name}.")
    return hashes


def _share_cores(workers: int) -> None:
    """Leave a core to each worker: two pools of threads on the same cores slow each other."""
    import os

    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // max(1, workers)))


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-")


def judge_and_report(
    folder: Path, profile: Profile, *, floor: Path | None = None, baseline: Path | None = None
) -> tuple[Verdict, Path]:
    """Judge an evaluation, keep the verdict beside it and write the report."""
    from qa_suite.judging.judge import judge, save_verdict
    from reports.html.report import write_report

    verdict = judge(folder, profile)
    save_verdict(verdict, folder)
    page = write_report(folder, verdict, folder / REPORT_FILE, floor=floor, baseline=baseline)
    return verdict, page


def _write_error_maps(pair: Pair, folder: Path) -> None:
    import numpy as np

    from qa_suite.core.volume import Volume
    from qa_suite.io.images import write_image
    from qa_suite.metrics.error_maps import error_maps

    for name, volume in error_maps(pair).items():
        write_image(volume, folder / f"{name}_error.nii.gz")
    mask = Volume(array=pair.mask.astype(np.int32), grid=pair.grid, quantity="label")
    write_image(mask, folder / "mask.nii.gz")
    console.say(f"Error maps: {folder}")


def doubtful_cases(folder: Path, most: int = 5) -> list[str]:
    """Say which cases of an evaluation failed, or are undetermined, and why, the first few."""
    from qa_suite.core.record_files import read_cases
    from qa_suite.core.records import preflight_sentence, preflight_status

    cases = read_cases(folder)
    failed = [f"FAILED: {c.case}: {c.reason.rstrip('.')}." for c in cases if c.status == "failed"]
    undetermined = [
        f"UNDETERMINED: {case.case}: {preflight_sentence(case.preflight)}"
        for case in cases
        if case.status == "evaluated" and preflight_status(case.preflight) == "undetermined"
    ]
    lines = []
    for found in (failed, undetermined):
        lines += found[:most]
        if len(found) > most:
            lines.append(f"... and {len(found) - most} more; cases.parquet has every reason.")
    return lines


def far_prescriptions(folder: Path, most: int = 5) -> list[str]:
    """Say which cases' target gets a dose far from its prescription on the reference CT."""
    from qa_suite.core.record_files import read_measurements
    from qa_suite.core.wording import far_from_prescription

    table = read_measurements(folder)
    table = table[(table["region"] == "target") & (table["status"] == "ok")]
    asked, means = (
        dict(
            zip(
                zip(rows["case"], rows["variant"], strict=True),
                rows["value"].astype(float),
                strict=True,
            )
        )
        for rows in (table[table["metric"] == m] for m in ("prescribed_dose", "dmean_reference"))
    )
    said = {key: far_from_prescription(mean, asked[key]) for key, mean in means.items()}
    lines = [f"{c}, {v}: on the reference CT {why}." for (c, v), why in said.items() if why]
    rest = len(lines) - most
    return lines if rest <= 0 else [*lines[:most], f"... and {rest} more; the report has them."]


def beyond_tables(folder: Path, most: int = 5) -> list[str]:
    """Say which images hold HU beyond the ends of a plan's HLUT."""
    from qa_suite.core.record_files import read_measurements

    table = read_measurements(folder)
    lines = []
    for metric, name in (
        ("hu_beyond_reference", "reference CT"),
        ("hu_beyond_synthetic", "synthetic image"),
    ):
        rows = table[(table["metric"] == metric) & (table["value"] > 0)]
        lines += [
            f"{row.case}, {row.variant}: in the {name} {row.why}."
            for row in rows.itertuples(index=False)
        ]
    rest = len(lines) - most
    return lines if rest <= 0 else [*lines[:most], f"... and {rest} more; the record has them."]


def beam_machines(folder: Path) -> list[str]:
    """Say which machines computed the beams of the clinic's plans, and which stood in."""
    from qa_suite.core.record_files import read_measurements
    from qa_suite.core.wording import count

    table = read_measurements(folder)
    table = table[(table["metric"] == "machine_energy") & (table["status"] == "ok")]
    return [
        f"{variant}: {why} ({count(len(rows), 'beam')} of {count(rows['case'].nunique(), 'case')})."
        for (variant, why), rows in table.groupby(["variant", "why"], sort=True)
    ]


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


def measure_files(
    reference_path: Path,
    synthetic_path: Path,
    mask_path: Path | None,
    source_path: Path | None,
    *,
    families: Sequence[str] | None,
    maps_folder: Path | None = None,
) -> list[Measurement]:
    """Measure one pair of CT files in HU, and write maps of its error where asked to."""
    from qa_suite.api.pairs import measured, read_pair

    pair = read_pair(reference_path, synthetic_path, mask_path, source_path)
    if mask_path is None:
        console.say("No --mask: measured in the reference's body (HU threshold).")
    if maps_folder is not None:
        _write_error_maps(pair, maps_folder)
    rows, doubts = measured(pair, case=synthetic_path.name, families=families)
    for doubt in doubts:
        console.say(doubt)
    return rows
