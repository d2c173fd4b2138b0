"""Censored values in records of before, pages, comparisons and check-ups: told, never averaged."""

from __future__ import annotations

import json
import shutil
from html import unescape
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.families.run import patient_averages
from qa_suite.checkup.charts import control_limits
from qa_suite.checkup.cohort import limits_of
from qa_suite.checkup.findings import check_up
from qa_suite.checkup.over_time import LogRow, append_log, control_over_time, read_log
from qa_suite.core.record_files import (
    MEASUREMENTS_FILE,
    read_cases,
    read_evaluation,
    read_measurements,
    read_model,
    write_model,
    write_table,
)
from qa_suite.core.records import NO_CENSORING, Criterion, Evaluation, Measurement, Profile, Verdict
from qa_suite.core.verdict_files import read_verdicts
from qa_suite.evaluation.tracking import patient_means_of
from qa_suite.judging.judge import judge
from qa_suite.judging.patient_values import Measure
from qa_suite.judging.tables import table_problems
from reports.facts.comparison import compare
from reports.facts.measures import family_tables
from reports.facts.readiness import gather
from reports.html.report import render
from tests.censored_rows import row, tables
from tests.record_factory import make_record

OLD = Path(__file__).parent / "data" / "record-schema-1"


# --- the old record


def test_a_record_of_schema_1_is_read_judged_and_told_apart(tmp_path):
    """Its contour distances of 10 mm are values, as written; that they may be none is said."""
    folder = tmp_path / "old"
    shutil.copytree(OLD, folder)
    evaluation = read_evaluation(folder)
    assert evaluation.schema_version == 1 and NO_CENSORING in evaluation.announced
    assert NO_CENSORING not in evaluation.notices  # the record itself is never edited
    table = read_measurements(folder)
    assert list(table.columns) == list(Measurement.model_fields)
    assert table[["at_least", "at_most"]].isna().all(axis=None)
    assert table_problems(table, read_cases(folder)) == []
    (old,) = read_verdicts(folder)
    assert old.schema_version == 1 and NO_CENSORING in old.announced
    new = judge(folder, old.profile)
    assert new.schema_version == 3 and NO_CENSORING in new.notices
    differ = [
        one
        for one, before in zip(new.findings, old.findings, strict=True)
        if one.outcome != before.outcome
    ]
    assert [(f.criterion.name, f.scope_name, f.outcome) for f in differ] == [
        ("bone contour", "C", "inconclusive")
    ]
    assert differ[0].reasons[0].code == "no_interval"
    page = unescape(render(gather(folder, new)))
    assert NO_CENSORING in page and "10.0" in page
    (contour,) = [
        f for f in new.findings if f.criterion.name == "bone contour" and f.sites == ("C",)
    ]
    assert contour.estimate == 10.0 and contour.censored == 0


def test_a_schema_from_the_future_is_refused(tmp_path):
    text = json.loads((OLD / "evaluation.json").read_text())
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps({**text, "schema_version": 3}))
    with pytest.raises(Exception, match="schema_version"):
        read_model(path, Evaluation)
    assert Profile.model_fields["schema_version"].default == 1


def test_no_logged_mean_contains_one():
    rows = [row("A1", 1.0), row("A2", 2.0), row("B1", ">=10", "B"), row("B2", 3.0, "B")]
    assert patient_means_of(tables(rows)[0]) == {}
    assert patient_means_of(tables(rows[:2])[0]) == {"gap.body": 1.5}
    assert patient_averages(tables(rows)[0]) == {}
    assert patient_averages(tables(rows[:2])[0]) == {("gap", "body"): (1.5, 2)}


def test_a_comparison_has_no_mean_of_a_site_with_a_censored_patient():
    def maes(*values: float | str) -> pd.DataFrame:
        made = [row(f"P{n}", value, "AB"[n > 1]) for n, value in enumerate(values)]
        table, _ = tables([r.model_copy(update={"metric": "mae", "unit": "HU"}) for r in made])
        return table

    found = compare(
        maes(10.0, 20.0, 30.0, ">=40"),
        ("A", "B"),
        floor=None,
        baseline=maes(20.0, 40.0, 60.0, 80.0),
    )
    first, second, whole = found
    assert (first.site, first.model, first.improvement) == ("A", 15.0, 0.5)
    for one in (second, whole):
        assert (one.model, one.improvement) == (None, None) and "1 patient censored" in one.why


# --- what people see


CONTOUR = Criterion(
    name="bone contour",
    metric="contour_distance_95",
    region="seg:Bone",
    statistic="max",
    bound=3,
    direction="at_most",
    unit="mm",
    scope="worst_patient",
    min_patients=2,
    source="made up",
)


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> tuple[Path, Verdict]:
    """An evaluation with contour distances of which those of site C were not found."""
    folder = tmp_path_factory.mktemp("shown") / "model"
    evaluation, verdict = make_record(folder, keep=False)
    table = read_measurements(folder)
    rows = [Measurement.model_validate(_without_nan(r)) for r in table.to_dict(orient="records")]
    for case in read_cases(folder):
        if case.status == "evaluated":
            far = case.site == "C"
            said = {"status": "censored", "at_least": 10.0, "why": "not found"} if far else {}
            rows.append(
                Measurement(
                    case=case.case,
                    patient=case.patient,
                    site=case.site,
                    family="geometry",
                    metric="contour_distance_95",
                    region="seg:Bone",
                    unit="mm",
                    value=None if far else 1.0 + int(case.case[1:]) / 10,
                    **said,
                )
            )
    digest = write_table(folder / MEASUREMENTS_FILE, rows, Measurement)
    tables = {**evaluation.tables_sha256, MEASUREMENTS_FILE: digest}
    facts = {"title": "Contour distance", "direction": "lower", "unit": "mm"}
    rest = {"formula": "planted", "empty": "planted", "reference": "planted", "censored": "beyond"}
    definitions = {**evaluation.definitions, "contour_distance_95": facts | rest}
    update = {"tables_sha256": tables, "definitions": definitions}
    write_model(folder / "evaluation.json", evaluation.model_copy(update=update))
    mean = CONTOUR.model_copy(update={"statistic": "mean", "scope": "each_site", "name": "mean"})
    share = CONTOUR.model_copy(
        update={
            "statistic": "fraction_within",
            "scope": "pooled",
            "per_patient_bound": 3.0,
            "bound": 0.95,
            "name": "share",
        }
    )
    criteria = (*verdict.profile.criteria, CONTOUR, mean, share)
    return folder, judge(folder, verdict.profile.model_copy(update={"criteria": criteria}))


def _without_nan(row: dict) -> dict:
    return {k: None if isinstance(v, float) and v != v else v for k, v in row.items()}


def test_a_table_of_schema_2_is_read_as_it_was_written(shown):
    table = read_measurements(shown[0])
    rows = table[table["status"] == "censored"]
    assert len(rows) == 5 and (rows["at_least"] == 10).all() and rows["value"].isna().all()
    assert rows["at_most"].isna().all()


def test_the_page_shows_the_bound_and_averages_none(shown):
    folder, verdict = shown
    page = unescape(render(gather(folder, verdict))).replace("\N{NO-BREAK SPACE}", " ")
    assert "≥ 10 mm" in page and "no mean: 5 of 18 censored" in page
    assert "5 of 5 censored" in page  # in the distributions
    by_name = {(f.criterion.name, f.scope_name): f for f in verdict.findings}
    (worst,) = [f for f in verdict.findings if f.criterion.name == "bone contour"]
    assert (worst.outcome, worst.at_least, worst.sites) == ("fail", 10, ("C",))
    assert by_name["mean", "C"].outcome == "inconclusive" and by_name["mean", "A"].outcome == "pass"
    assert by_name["share", "pooled"].outcome == "fail"
    assert "at least 10 mm" in verdict.sentence
    values = table_means(folder)
    assert not [v for v in values if v == 10.0]


def table_means(folder: Path) -> list[float]:
    """Every mean that the report's tables show of the contour distance."""
    evaluation = read_evaluation(folder)
    families = family_tables(read_measurements(folder), evaluation)
    rows = [row for family in families for group in family.groups for row in group.rows]
    (row,) = [row for row in rows if row.metric == "contour_distance_95"]
    assert (row.worst_text.replace("\N{NO-BREAK SPACE}", " "), row.sd) == ("≥ 10 mm", None)
    return [row.mean] if row.mean is not None else []


def test_a_check_up_holds_the_bound_against_the_limits(tmp_path):
    values = [5.0 + n / 10 for n in range(25)]
    key = Measure(metric="noise_level", region="soft")
    limits = {key: control_limits(values)}

    def looked_at(case: str, **what):
        one = Measurement(
            case=case,
            patient=case,
            site="s",
            family="reference_free",
            metric="noise_level",
            region="soft",
            unit="HU",
            **what,
        )
        return check_up([one], limits)

    beyond = looked_at("c1", value=None, status="censored", at_least=62.5, why="noise")
    assert beyond.outcome == "outside" and "at least 62.5 HU" in beyond.outside[0].sentence
    open_ = looked_at("c2", value=None, status="censored", at_least=4.0, why="noise")
    assert open_.outcome == "inconclusive"
    within = looked_at("c3", value=6.0)
    log = tmp_path / "log.csv"
    for one in (within, beyond):
        append_log(log, one, time="2026-01-01T00:00:00", evaluation="e")
    assert ">=62.5" in log.read_text()
    first, second = read_log(log)
    assert (first.value, second.value, second.at_least) == (6.0, None, 62.5)


def test_a_cohort_with_a_censored_value_has_no_limits_for_it():
    rows = [
        {
            **row(
                f"P{n:02d}", ">=62.5" if n == 0 and metric == "noise_level" else 5.0 + n / 10
            ).model_dump(),
            "family": "reference_free",
            "metric": metric,
        }
        for n in range(25)
        for metric in ("noise_level", "muscle_level")
    ]
    assert {key.metric for key in limits_of(pd.DataFrame(rows))} == {"muscle_level"}


def test_a_censored_newest_check_up_signals():
    def logged(case: str, **what) -> LogRow:
        return LogRow(
            time="t",
            case=case,
            evaluation="e",
            metric="noise_level",
            region="soft",
            variant="default",
            unit="HU",
            outside=False,
            **{"value": None, **what},
        )

    log = [logged(f"c{n}", value=5.0 + (n * 7 % 20) / 10) for n in range(25)]
    assert control_over_time(log).state == "in control"
    found = control_over_time([*log, logged("new", at_least=62.5)])
    assert found.state == "out of control" and "at least 62.5" in found.signals[0].sentence
    assert control_over_time([*log, logged("new", at_least=4.0)]).state == "undetermined"
