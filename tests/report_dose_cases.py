"""A report of a record with doses: the record, what the section gathers, its page and images."""

from __future__ import annotations

from pathlib import Path

import pytest

from qa_suite.core.record_files import read_cases, read_curves, read_measurements
from qa_suite.core.records import Criterion, Evaluation, Verdict
from reports.facts.dose import DosePlan, DoseReport, dose_report
from reports.facts.dose_volumes import DoseImages, load_dose_images
from reports.facts.readiness import gather
from reports.html.report import render
from tests import dose_record_factory as factory

Made = tuple[Path, Evaluation, Verdict]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("dose")
    return folder, *factory.make_dose_record(folder)


@pytest.fixture(scope="module")
def report(made: Made) -> DoseReport:
    return gathered(made)


@pytest.fixture(scope="module")
def page(made: Made) -> str:
    folder, _, verdict = made
    return render(gather(folder, verdict))


@pytest.fixture(scope="module")
def images(report: DoseReport) -> DoseImages:
    return load_dose_images(kept(report.plans[0]).volumes)


def gathered(made: Made, criteria: tuple[Criterion, ...] = ()) -> DoseReport:
    folder, evaluation, _ = made
    found = dose_report(
        folder,
        read_measurements(folder),
        read_curves(folder),
        evaluation,
        read_cases(folder),
        criteria,
    )
    assert found is not None
    return found


def kept(plan: DosePlan) -> object:
    return next(case for case in plan.case_views if case.case == factory.KEPT)
