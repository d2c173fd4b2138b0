"""The report: what it says, that it invents nothing, and that patients hang the right way."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from qa_suite.core.errors import InputError, Problems
from qa_suite.core.record_files import (
    CASES_FILE,
    EVALUATION_FILE,
    MEASUREMENTS_FILE,
    read_cases,
    read_evaluation,
    write_model,
    write_table,
)
from qa_suite.core.records import CaseRecord, Evaluation, Measurement, Verdict
from qa_suite.core.verdict_files import read_verdicts
from reports.facts.readiness import gather
from reports.html.report import render, write_report
from tests.record_factory import make_record
from tests.record_facts import identified

Made = tuple[Path, Evaluation, Verdict]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    for kind in ("model", "floor", "baseline"):
        make_record(folder / kind, kind=kind, keep=kind == "model")
    return folder


@pytest.fixture(scope="module")
def made(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("again") / "model"
    return folder, *make_record(folder)


@pytest.fixture(scope="module")
def page(home: Path, made: Made, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder, _, verdict = made
    out = tmp_path_factory.mktemp("out") / "deep" / "report.html"
    write_report(folder, verdict, out, floor=home / "floor", baseline=home / "baseline")
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
    return out.read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Collects the text people see, and checks that every element is closed."""

    VOID = frozenset({"meta", "br", "img", "link", "image", "path", "rect", "circle", "stop"})

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.open: list[str] = []
        self.targets: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "action"):
                self.targets.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def words(page: str) -> str:
    return " ".join(" ".join(read(page).text).replace("\N{NO-BREAK SPACE}", " ").split())


# ---------------------------------------------------------------------------------------
# The page


def test_the_page_needs_nothing_from_outside(page: str) -> None:
    reader = read(page)
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in reader.targets)
    assert "<script" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page
    without_namespaces = page.replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in without_namespaces
    assert "https://" not in without_namespaces
    assert len(reader.ids) == len(set(reader.ids))


def test_the_verdict_comes_first_and_the_evidence_after_it(page: str, made: Made) -> None:
    _, evaluation, verdict = made
    said = words(page)
    assert said.index("✕ Fail") < said.index("Findings", said.index("✕ Fail"))
    for must in (
        verdict.sentence,
        verdict.profile.intended_use,
        evaluation.model.uri,
        evaluation.model.weights_sha256,
        evaluation.cohort.digest,
        evaluation.code.git_commit,
        "with uncommitted changes",
        "The leakage check was overridden by hand",
        "torch 2.13.0",
    ):
        assert must in said
    for finding in verdict.findings:
        assert finding.sentence in said
        assert finding.criterion.source in said


def test_the_same_record_gives_the_same_bytes(home: Path, made: Made) -> None:
    folder, _, verdict = made
    other = home / "model"
    assert render(gather(folder, verdict)) == render(gather(other, verdict))


def test_nothing_is_blank_nan_or_none(page: str) -> None:
    said = words(page.replace("&lt;NaN&gt;", ""))
    assert not re.search(r"\b(nan|None|inf|NaT)\b", said)
    assert "undefined: the reference has <no> bone above 250 HU" in said


def test_what_the_record_says_is_escaped(tmp_path: Path) -> None:
    bad = "<script>alert('x')</script>"
    _, verdict = make_record(tmp_path, keep=False, notices=(bad,))
    page = render(gather(tmp_path, verdict))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "<NaN>" not in page
    assert "<no>" not in page


def test_the_flow_adds_up(made: Made) -> None:
    folder, evaluation, verdict = made
    flow = gather(folder, verdict).flow
    for before, after in itertools.pairwise(flow):
        assert before.count - sum(n for _, n in after.left) == after.count
    assert flow[0].count == evaluation.case_counts["imported"]
    assert flow[-1].count == 18


def test_every_case_that_is_not_judged_is_named_with_its_reason(page: str, made: Made) -> None:
    folder, _, verdict = made
    rows = {row.case: row for row in gather(folder, verdict).left_out}
    assert {name: row.stage for name, row in rows.items()} == {
        "A99": "could not be imported",
        "B03": "refused by preflight",
        "B05": "excluded by the profile",
        "C02": "failed",
    }
    said = words(page)
    assert all(row.reason in said for row in rows.values())


def test_the_shifted_site_is_named(page: str, made: Made) -> None:
    _, _, verdict = made
    shifted = {gap.site for gap in verdict.site_gaps if gap.shifted}
    assert shifted == {"C"}
    assert re.search(r"Shifted: site C \(MAE in body", words(page))


def test_a_clean_record_has_no_banner_and_names_no_shift(tmp_path: Path) -> None:
    make_record(tmp_path, keep=False, kind="floor", notices=(), patients_by_site={"A": 2, "B": 2})
    (written,) = read_verdicts(tmp_path)
    clean = written.model_copy(update={"notices": ()})
    page = render(gather(tmp_path, clean))
    assert 'class="banner"' not in page
    assert "No site was judged that the model was not trained on" in words(page)


def test_a_verdict_of_another_evaluation_is_refused(home: Path, made: Made) -> None:
    _, _, verdict = made
    with pytest.raises(InputError, match="qa-suite judge"):
        gather(home / "floor", verdict)


def test_a_companion_of_another_cohort_is_refused(tmp_path: Path, made: Made) -> None:
    folder, _, verdict = made
    other, _ = make_record(tmp_path, kind="floor", keep=False)
    moved = other.model_copy(
        update={"cohort": other.cohort.model_copy(update={"digest": "0" * 64, "name": "moved"})}
    )
    write_model(tmp_path / EVALUATION_FILE, identified(moved))
    with pytest.raises(InputError, match="was evaluated on cohort moved"):
        gather(folder, verdict, floor=tmp_path)


def test_a_changed_table_is_refused(tmp_path: Path) -> None:
    _, verdict = make_record(tmp_path, keep=False)
    table = pd.read_parquet(tmp_path / MEASUREMENTS_FILE)
    table["value"] = table["value"] * 0.5
    table.to_parquet(tmp_path / MEASUREMENTS_FILE)
    with pytest.raises(Problems, match="was changed"):
        write_report(tmp_path, verdict, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


# ---------------------------------------------------------------------------------------
# Pictures in the page


def test_best_median_worst_and_each_sites_worst_are_shown(made: Made) -> None:
    folder, _, verdict = made
    shown = gather(folder, verdict).pictures
    values = [p.value for p in shown]
    assert values == sorted(values)
    roles = {p.case: p.roles for p in shown}
    assert shown[0].roles == ("best",)
    assert shown[-1].roles == ("worst", "worst of site C")
    assert sum("median" in r for r in roles.values()) == 1
    assert {r for rs in roles.values() for r in rs if "site" in r} == {
        f"worst of site {site}" for site in "ABC"
    }


def test_a_volume_that_is_gone_is_said_and_nothing_breaks(tmp_path: Path) -> None:
    _, verdict = make_record(tmp_path)
    readiness = gather(tmp_path, verdict)
    readiness.pictures[0].volumes["synthetic"].unlink()
    said = words(render(readiness))
    assert "undefined: There is no image at" in said


def test_without_volumes_the_page_says_how_to_keep_them(tmp_path: Path) -> None:
    _, verdict = make_record(tmp_path, keep=False)
    assert "--keep-volumes worst" in words(render(gather(tmp_path, verdict)))


def test_a_case_that_could_not_be_measured_is_shown_with_its_reason(tmp_path: Path) -> None:
    evaluation, verdict = make_record(tmp_path)
    shown = gather(tmp_path, verdict).pictures
    lost = shown[-1].case
    table = pd.read_parquet(tmp_path / MEASUREMENTS_FILE)
    rows = [Measurement.model_validate(row) for row in clean(table)]
    rows = [
        row.model_copy(update={"value": None, "status": "error", "why": "no voxel in the mask"})
        if (row.case, row.metric, row.region) == (lost, "mae", "body")
        else row
        for row in rows
    ]
    digest = write_table(tmp_path / MEASUREMENTS_FILE, rows, Measurement)
    tables = evaluation.tables_sha256 | {MEASUREMENTS_FILE: digest}
    write_model(tmp_path / EVALUATION_FILE, evaluation.model_copy(update={"tables_sha256": tables}))
    readiness = gather(tmp_path, verdict)
    last = readiness.pictures[-1]
    assert (last.case, last.value, last.rank) == (lost, None, None)
    assert "error: no voxel in the mask" in words(render(readiness))


def clean(table: pd.DataFrame) -> list[dict]:
    rows = table.to_dict(orient="records")
    return [{k: None if isinstance(v, float) and v != v else v for k, v in r.items()} for r in rows]


def test_cases_without_preflight_values_are_said(tmp_path: Path) -> None:
    evaluation, verdict = make_record(tmp_path, keep=False)
    cases = [c.model_copy(update={"preflight": {}}) for c in read_cases(tmp_path)]
    digest = write_table(tmp_path / CASES_FILE, cases, CaseRecord)
    tables = evaluation.tables_sha256 | {CASES_FILE: digest}
    write_model(tmp_path / EVALUATION_FILE, evaluation.model_copy(update={"tables_sha256": tables}))
    assert "undefined: no preflight was recorded" in words(render(gather(tmp_path, verdict)))


def test_the_factory_writes_a_whole_record(made: Made) -> None:
    folder, evaluation, verdict = made
    assert read_evaluation(folder) == evaluation
    assert verdict.outcome == "fail"
