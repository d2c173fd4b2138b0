"""An evaluation whose record holds every status: ok, censored, undefined, error; each preflight's.

Built on :mod:`tests.dose_record_factory`. The bound of every censored value is :data:`BOUND`, a
number that stands nowhere else: who prints it without ``≥``, ``≤``, *at least* or *at most* shows
a bound as if it had been measured. The reasons name their own status.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from qa_suite.core.record_files import (
    CASES_FILE,
    COSTS_FILE,
    EVALUATION_FILE,
    MEASUREMENTS_FILE,
    read_cases,
    write_model,
    write_table,
)
from qa_suite.core.records import (
    CaseRecord,
    Criterion,
    Evaluation,
    Measurement,
    PreflightValue,
    SetMeasurement,
    Verdict,
)
from qa_suite.judging.evidence import save_verdict
from qa_suite.judging.judge import judge
from tests.dose_record_factory import make_dose_record

BOUND = 77.625
PATIENTS = {"A": 3, "B": 3, "C": 2}
REASONS = {
    "censored": "planted end of the window",
    "undefined": "planted nothing to measure",
    "error": "planted exception",
}
SAID = {"undefined": f"undefined: {REASONS['undefined']}", "error": f"error: {REASONS['error']}"}
GAMMA = "photon-drawn:2pct2mm"
BROKEN = {  # (case, metric, region, variant) to status
    ("A03", "contour_distance_95", "seg:Bone", "default"): "censored",
    ("B01", "contour_distance_95", "seg:Bone", "default"): "undefined",
    ("C01", "contour_distance_95", "seg:Bone", "default"): "error",
    ("C01", "mae", "body", "default"): "censored",
    ("B01", "gamma_pass_rate", "body", GAMMA): "censored",
    ("C01", "gamma_pass_rate", "body", GAMMA): "undefined",
    ("A01", "d2_synthetic", "structure:Bladder", "photon-drawn"): "censored",
    ("A01", "d95_difference", "target", "photon-drawn"): "censored",
    ("B01", "dose_difference_mean", "target", "photon-drawn"): "error",
    ("C01", "cause_dmean", "cause:air", "photon-drawn"): "censored",
    ("A01", "path_unseen", "beam:G000", "photon-drawn"): "censored",
    ("A01", "wepl_difference_95", "beam:G090", "proton-drawn"): "censored",
}
ALL_OF = {"hd95": "censored", "assd": "undefined", "surface_dice": "error"}
"""Metrics that no patient has a value of."""


def make_status_record(folder: Path) -> tuple[Evaluation, Verdict]:
    """Write the evaluation into ``folder`` and its verdict into ``folder/verdicts``."""
    evaluation, verdict = make_dose_record(folder, patients_by_site=PATIENTS)
    cases = tuple(_with_preflight(case) for case in read_cases(folder))
    rows = [_broken(row) for row in (*_read(folder), *_more(cases))]
    costs = [
        _row(case, "translation_seconds", "cost", "all", "s", 2.0) for case in _measured(cases)
    ]
    costs[0] = _without(costs[0], "censored")
    tables = {
        **evaluation.tables_sha256,
        MEASUREMENTS_FILE: write_table(folder / MEASUREMENTS_FILE, rows, Measurement),
        CASES_FILE: write_table(folder / CASES_FILE, list(cases), CaseRecord),
    }
    costs_hash = write_table(folder / COSTS_FILE, costs, Measurement)
    evaluation = evaluation.model_copy(
        update={
            "tables_sha256": tables,
            "when": evaluation.when.model_copy(update={"costs_sha256": costs_hash}),
            "set_measurements": (*evaluation.set_measurements, *_sets()),
        }
    )
    write_model(folder / EVALUATION_FILE, evaluation)
    profile = verdict.profile.model_copy(
        update={
            "criteria": (*verdict.profile.criteria, *_criteria()),
            "exclude": {"alignment_displacement_95": 5.0},
        }
    )
    verdict = judge(folder, profile)
    for old in (folder / "verdicts").glob("*.json"):
        old.unlink()
    save_verdict(verdict, folder)
    return evaluation, verdict


def _measured(cases: tuple[CaseRecord, ...]) -> list[CaseRecord]:
    return [case for case in cases if case.status == "evaluated"]


def _read(folder: Path) -> Iterator[Measurement]:
    for row in pd.read_parquet(folder / MEASUREMENTS_FILE).to_dict(orient="records"):
        yield Measurement.model_validate({k: None if v != v else v for k, v in row.items()})


def _more(cases: tuple[CaseRecord, ...]) -> Iterator[Measurement]:
    for n, case in enumerate(_measured(cases)):
        yield _row(case, "contour_distance_95", "geometry", "seg:Bone", "mm", 1 + n / 10)
        for metric, status in ALL_OF.items():
            yield _without(_row(case, metric, "segmentation", "seg:Bone", "mm", 1.0), status)


def _row(
    case: CaseRecord, metric: str, family: str, region: str, unit: str, value: float
) -> Measurement:
    return Measurement(
        case=case.case,
        patient=case.patient,
        site=case.site,
        family=family,
        metric=metric,
        region=region,
        unit=unit,
        value=value,
    )


def _broken(row: Measurement) -> Measurement:
    status = BROKEN.get((row.case, row.metric, row.region, row.variant))
    return row if status is None else _without(row, status)


def _without(row: Measurement, status: str) -> Measurement:
    """Take the value away, and say why."""
    end = "at_most" if row.metric == "gamma_pass_rate" else "at_least"
    bound = {end: BOUND} if status == "censored" else {}
    what = {"value": None, "status": status, "why": REASONS[status], **bound}
    return Measurement.model_validate(row.model_dump() | what)


def _with_preflight(case: CaseRecord) -> CaseRecord:
    """Give each status of preflight to a case; B03 is refused already."""
    if not case.preflight:
        return case
    known: dict[str, Any] = {"unit": "mm", "bound": "<= 10 mm"}
    planted = {
        "A02": {
            "status": "undetermined",
            "at_least": 2.125,
            "why": "planted: no structure along z",
        },
        "B02": {"status": "warning", "value": 4.5, "why": "planted: hardly enough structure"},
        "B03": {"status": "refused", "value": 14.5, "why": "planted: MR and CT are not aligned"},
    }
    found = planted.get(case.case, {"status": "ok", "value": 1.25})
    checks = {"alignment_displacement_95": PreflightValue.model_validate(known | found)}
    if case.case != "A02":
        checks["alignment_rotation"] = PreflightValue(
            value=0.5, unit="deg", bound="<= 5 deg", status="ok"
        )
    return case.model_copy(update={"preflight": case.preflight | checks})


def _sets() -> Iterator[SetMeasurement]:
    facts = {
        "scope": "pooled",
        "unit": "1",
        "patients": 19,
        "n_reference": 380,
        "n_synthetic": 380,
        "value": None,
    }
    for metric, status in (("fid", "censored"), ("density", "error")):
        bound = {"at_least": BOUND} if status == "censored" else {}
        told = {"metric": metric, "status": status, "why": REASONS[status], **bound}
        yield SetMeasurement.model_validate(facts | told)


def _criteria() -> tuple[Criterion, ...]:
    facts = {
        "metric": "contour_distance_95",
        "region": "seg:Bone",
        "unit": "mm",
        "bound": 3.0,
        "direction": "at_most",
        "min_patients": 2,
        "source": "made up",
    }
    share = {"statistic": "fraction_within", "bound": 0.9, "per_patient_bound": 3.0}
    return tuple(
        Criterion.model_validate(facts | more)
        for more in (
            {"name": "mean contour"},
            {"name": "worst contour", "statistic": "max", "scope": "worst_patient"},
            {"name": "share of contours"} | share,
            {"name": "contour of each site", "scope": "each_site"},
        )
    )
