"""A record that holds every status, shown by everything that shows a record.

What is censored stands as its bound, what is undefined or an error as that, what preflight cannot
determine as undetermined; none as a number, and nothing as NaN or None.
"""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qa_suite.checkup.charts import control_limits
from qa_suite.checkup.findings import check_up
from qa_suite.checkup.over_time import append_log, control_over_time, read_log
from qa_suite.cli.checkup import _line
from qa_suite.cli.dvh import _write_curves
from qa_suite.core.record_files import read_evaluation, read_measurements
from qa_suite.core.records import Measurement, Verdict
from qa_suite.core.verdict_files import Overall, WrittenVerdict, read_verdicts
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.dvh.curve import dvhs_of
from qa_suite.dose.structures.samples import MaskStructure
from qa_suite.evaluation.tracking import _tags, log_evaluation, patient_means_of
from qa_suite.judging.criteria import load_profile
from qa_suite.judging.judge import judge
from qa_suite.judging.patient_values import Measure
from reports.dashboard.parts import outcome_text
from reports.facts.readiness import gather
from reports.html.report import render
from tests.dashboard_pages import PAGES, page
from tests.status_record import ALL_OF, BOUND, BROKEN, REASONS, SAID, make_status_record

BOUND_TEXT = re.compile(r"77\.6\d*")
AS_A_BOUND = re.compile(r"(≥|≤|>=|<=|at least|at most|from|to|between|and|…) ?77\.6\d*")
NO_NUMBER = re.compile(r"\b(nan|NaN|None|inf|NaT|<NA>)\b")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Verdict]:
    folder = tmp_path_factory.mktemp("statuses") / "evaluation"
    _, verdict = make_status_record(folder)
    return folder, verdict


@pytest.fixture(scope="module")
def logged(shown, tmp_path_factory: pytest.TempPathFactory, _empty_database: Path) -> Iterator[Any]:
    """A store that holds the evaluation; its client and its run."""
    from qa_suite.core import store

    home = tmp_path_factory.mktemp("store") / "mlruns"
    home.mkdir()
    shutil.copy(_empty_database, home / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
        patch.chdir(home.parent)
        run = log_evaluation(shown[0]).run_id
        yield store.connect().MlflowClient().get_run(run)


BY_CHANCE = "88.8 77.6 66.4 55.2"
"""Volumes in the table of a made-up DVH, which come to the planted bound by themselves."""


def plain(text: str) -> str:
    """Return what a reader sees."""
    text = re.sub(r"<(style|script).*?</\1>", " ", text, flags=re.DOTALL)
    text = re.sub(r"<(?!title)[^>]*>", " ", text)
    text = " ".join(unescape(text).replace("\N{NO-BREAK SPACE}", " ").split())
    return text.replace(BY_CHANCE, "")


def require_said_as_it_is(text: str, where: str) -> None:
    """Hold a text to showing no bound as a number, and no number that is none."""
    bare = [
        text[max(m.start() - 40, 0) : m.end() + 10]
        for m in BOUND_TEXT.finditer(text)
        if not AS_A_BOUND.search(text[max(m.start() - 12, 0) : m.end()])
    ]
    assert not bare, f"{where} shows a bound as a number: {bare}"
    none = [text[max(m.start() - 40, 0) : m.end() + 20] for m in NO_NUMBER.finditer(text)]
    assert not [t for t in none if "<NaN>" not in t], f"{where} shows {none}"
    for status, reason in REASONS.items():
        for found in re.finditer(re.escape(reason), text):
            before = text[max(found.start() - 60, 0) : found.start()]
            others = [s for s in SAID if s != status and re.search(rf"\b{s}: $", before)]
            assert not others, f"{where} calls {status} {others[0]}: {before}{reason}"


def test_the_page_says_every_status(shown) -> None:
    text = plain(render(gather(*shown)))
    require_said_as_it_is(text, "the report")
    for said in (
        *SAID.values(),
        "≥ 77.6 mm",
        "no mean: 1 of 3 censored",
        "? undetermined",
        "at least 2.12 mm",
        "alignment_displacement_95 is undetermined for A02",
        "time of a volume: 1 of 6 cases censored",
        f"at least 77.6: {REASONS['censored']}",  # a distance between the sets
        f"at most 77.6 %: {REASONS['censored']}",  # a gamma pass rate
        f"at least 77.6 Gy: {REASONS['censored']}",  # a goal, a metric of the target
        f"at least 77.6 HU: {REASONS['censored']}",  # the case that is shown last
    ):
        assert said in text, said


def test_findings_and_verdict_say_bounds(shown) -> None:
    _, verdict = shown
    by_name = {f.criterion.name: f for f in verdict.findings if f.scope_name != "B"}
    assert by_name["mean contour"].estimate is None
    assert by_name["worst contour"].at_least == BOUND
    assert set(verdict.excluded) == {"A02"}
    text = " ".join((verdict.sentence, *(f.sentence for f in verdict.findings), *verdict.notices))
    require_said_as_it_is(text, "the verdict")


def test_no_logged_metric_or_tag_hides_one(shown, logged) -> None:
    folder, _ = shown
    means = patient_means_of(read_measurements(folder))
    assert means and not [name for name, value in means.items() if abs(value - BOUND) < 1]
    for (case, metric, region, variant), status in BROKEN.items():
        if status == "censored":
            more = "" if variant == "default" else f".{variant}"
            assert f"{metric}.{region}{more}" not in means, case
    assert not [name for name in means if name.split(".")[0] in ALL_OF]
    assert len(logged.data.metrics) <= 30
    assert np.isfinite(list(logged.data.metrics.values())).all()
    tags = logged.data.tags
    assert tags["qa.outcome"] == "fail"
    assert tags["qa.preflight"] == "5 ok, 1 warning, 1 undetermined, 1 refused"
    assert {"censored", "undefined", "error"} <= set(re.findall("[a-z]+", tags["qa.measurements"]))


def test_the_dashboard_says_every_status(shown, logged) -> None:
    """Every page and every family; what its tables hold is what it draws."""
    apps = {name: page(name) for name in set(PAGES) - {"compare", "provenance"}}
    texts = [everything(app) for app in apps.values()]
    families = apps["measures"].selectbox(key="family")
    for n in range(1, len(families.options)):
        texts.append(everything(apps["measures"].selectbox(key="family").set_value(n).run()))
    texts.append(everything(apps["cases"].toggle(key="preflight").set_value(True).run()))
    cases = apps["cases"].selectbox(key="preflight-case")
    place = next(n for n, label in enumerate(cases.options) if label == "A02, undetermined")
    texts.append(everything(cases.set_value(place).run()))
    plans = (1, 2)
    texts += [
        everything(apps["doses"].selectbox(key="dose-plan").set_value(n).run()) for n in plans
    ]
    assert not any(app.exception for app in apps.values())
    text = " ".join(texts)
    require_said_as_it_is(text, "the dashboard")
    for said in (
        *SAID.values(),
        "≥ 77.6 mm",
        "no mean: 1 of 3 censored",
        "? undetermined",
        "at least 2.12 mm",
        "planted: no structure along z",
        "✕ refused",
        "⚠ warning",
        f"at least 77.6: {REASONS['censored']}",
        f"at most 77.6 %: {REASONS['censored']}",
        f"at least 77.6 HU: {REASONS['censored']}",
    ):
        assert said in text, said


def everything(app: Any) -> str:
    """All that a page shows: texts, cells of tables, the titles of drawings, labels of choices."""
    kinds = ("html", "markdown", "info", "warning", "error", "caption", "header")
    parts = [
        str(getattr(part, "body", None) or getattr(part, "value", None) or part.proto)
        for kind in kinds
        for part in app.get(kind)
    ]
    for frame in app.dataframe:
        assert not frame.value.isna().any(axis=None), f"an empty cell in {list(frame.value)}"
        parts += [str(cell) for row in frame.value.to_numpy() for cell in row]
    parts += [label for box in app.selectbox for label in box.options]
    return plain(" ".join(parts).replace("\\", ""))


def test_a_profile_without_bounds_judges_nothing(shown) -> None:
    described = judge(shown[0], load_profile("descriptive"))
    passed = read_verdicts(shown[0])[0].model_copy(update={"outcome": "pass"})
    written = [
        WrittenVerdict(verdict=one, identifier=str(n), file="")
        for n, one in enumerate((described, passed))
    ]
    tags = _tags(read_evaluation(shown[0]), Overall(written=tuple(written)))
    assert (tags["qa.outcome.descriptive"], tags["qa.outcome"]) == ("described", "pass")
    assert outcome_text("described") == "– described"


# --- one patient, and his log


def measured(case: str, metric: str, status: str) -> Measurement:
    bound = {"at_least": BOUND} if status == "censored" else {}
    return Measurement(
        case=case,
        patient=case,
        site="s",
        family="reference_free",
        metric=metric,
        region="soft",
        unit="HU",
        value=6.0 if status == "ok" else None,
        status=status,
        why=REASONS.get(status, ""),
        **bound,
    )


def looked_at(case: str, **status: str):
    limits = {
        Measure(metric=metric, region="soft"): control_limits([5 + n / 10 for n in range(25)])
        for metric in status
    }
    return check_up([measured(case, metric, s) for metric, s in status.items()], limits)


def test_a_check_up_says_every_status() -> None:
    found = looked_at(
        "c1", noise_level="censored", fat_level="undefined", muscle_level="error", void_filled="ok"
    )
    by_name = {f.metric: f for f in found.findings}
    cells = {name: str(_line(finding)[3]) for name, finding in by_name.items()}
    assert cells == {
        "noise_level": "≥ 77.6",
        "fat_level": "undefined",
        "muscle_level": "error",
        "void_filled": "6",
    }
    assert {n: f.status for n, f in by_name.items()} == {
        "noise_level": "censored",
        "fat_level": "undefined",
        "muscle_level": "error",
        "void_filled": "ok",
    }
    for name in ("fat_level", "muscle_level"):
        assert f"({by_name[name].status})" in by_name[name].sentence
    text = found.model_dump_json() + found.sentence + "".join(f.sentence for f in found.findings)
    assert not NO_NUMBER.search(text)


def test_a_log_tells_a_lost_value_from_a_censored_one(tmp_path) -> None:
    log = tmp_path / "log.csv"
    names = ("noise_level", "fat_level", "muscle_level")
    for n in range(20):
        append_log(log, looked_at(f"c{n}", **dict.fromkeys(names, "ok")), time="t", evaluation="e")
    newest = looked_at("new", noise_level="censored", fat_level="undefined", muscle_level="error")
    rows = append_log(log, newest, time="t", evaluation="e")
    with log.open(newline="") as stream:
        cells = {row["metric"]: row["value"] for row in csv.DictReader(stream)}
    assert cells == {"noise_level": ">=77.625", "fat_level": "undefined", "muscle_level": "error"}
    assert read_log(log) == rows
    found = control_over_time(rows)
    assert (found.state, found.signals) == ("undetermined", ())
    told = {chart.metric: chart.why for chart in found.undetermined}
    assert "known by a bound only (at least 77.6" in told["noise_level"]
    assert "undefined" in told["fat_level"] and "error" in told["muscle_level"]


def test_a_log_of_before_has_empty_cells_where_there_is_no_value(tmp_path) -> None:
    log = tmp_path / "log.csv"
    append_log(log, looked_at("c1", fat_level="undefined"), time="t", evaluation="e")
    log.write_text(log.read_text().replace(",undefined,", ",,"))
    (row,) = read_log(log)
    assert (row.value, row.status) == (None, "undefined")


def test_curves_name_a_structure_without_one(tmp_path) -> None:
    grid = Grid(shape=(4, 4, 4), spacing_mm=(2.0, 2.0, 2.0))
    dose = Volume(array=np.full(grid.shape, 2.0, np.float32), grid=grid, quantity="Gy")
    whole, empty = np.ones(grid.shape, bool), np.zeros(grid.shape, bool)
    masks = {"PTV": whole, "Bladder": empty}
    found = dvhs_of(dose, [MaskStructure(name=n, mask=m, grid=grid) for n, m in masks.items()])
    _write_curves(found, tmp_path / "dvh.csv", 1.0)
    with (tmp_path / "dvh.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    (lost,) = [row for row in rows if row["structure"] == "Bladder"]
    assert lost["dose_gy"] == "" and lost["remark"].startswith("undefined: ")
    assert all(row["dose_gy"] and not row["remark"] for row in rows if row["structure"] == "PTV")
