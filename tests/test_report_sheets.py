"""Commissioning, check-up and comparison: each in every form, and all forms of one content."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pypdf
import pytest

from qa_suite.audit.compare import CompareSettings, compare_sources
from qa_suite.checkup import check_up
from qa_suite.checkup.charts import control_limits
from qa_suite.cli import run
from qa_suite.cli.report_files import hazards_of
from qa_suite.cli.sheet_files import ENDINGS, SHEET_FORMATS, write_sheet
from qa_suite.core.record_files import read_evaluation
from qa_suite.core.verdict_files import overall
from qa_suite.judging.patient_values import Measure
from reports.facts.readiness import gather
from reports.facts.sheets.check_up import MOST_ROWS, check_up_sheet
from reports.facts.sheets.commissioning import commissioning_sheet
from reports.facts.sheets.comparison import comparison_sheet
from reports.facts.sheets.records import Sheet
from reports.facts.short import short_report
from reports.html.comparison import render_comparison
from reports.pdf.report import sheet_pdf
from tests.audit_cases import profile, source
from tests.dicom_validator import errors_of
from tests.record_factory import make_record
from tests.test_audit_compare import better_by
from tests.test_checkup import row
from tests.test_report_short import pages, plain

AT = "2026-01-05T10:00:00+00:00"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluations") / "one"
    make_record(folder, keep=False)
    return folder


def commissioning(folder: Path) -> Sheet:
    verdict = overall(folder).written[-1].verdict
    found = gather(folder, verdict)
    short = short_report(found, hazards=hazards_of(folder, verdict))
    return commissioning_sheet(short, found)


def checked(folder: Path) -> Sheet:
    rng = np.random.default_rng(3)
    names = [f"measure_{n:02d}" for n in range(16)]
    usual = {
        Measure(metric=name, region="body", variant="default"): control_limits(
            rng.normal(10, 1, 24).tolist()
        )
        for name in names
    }
    rows = [row(name, 10.0 + 0.1 * n) for n, name in enumerate(names)]
    rows[3] = row(names[3], 19.0)
    rows[5] = row(names[5], None)
    found = check_up(rows, usual)
    return check_up_sheet(found.model_dump(mode="json"), read_evaluation(folder), at=AT)


def compared(folder: Path) -> Sheet:
    return comparison_sheet(a_comparison())


def a_comparison():
    old = source(patients=6)
    settings = CompareSettings(asked="non-inferiority", margins={"mae:body": 3.0})
    return compare_sources(better_by(old, mae=-1.0), old, profile(), settings)


SHEETS: dict[str, Callable[[Path], Sheet]] = {
    "commissioning": commissioning,
    "check-up": checked,
    "comparison": compared,
}


@pytest.fixture(scope="module", params=SHEETS)
def written(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Sheet, Path]:
    sheet, out = SHEETS[request.param](folder), tmp_path_factory.mktemp("out")
    write_sheet(sheet, SHEET_FORMATS[sheet.kind], out)
    return sheet, out


def texts(sheet: Sheet, out: Path) -> dict[str, str]:
    """What each form says, without what only lays it out."""

    def read(name: str) -> str:
        return (out / f"{sheet.kind}{ENDINGS[name]}").read_text()

    page = html.unescape(re.sub(r"<[^>]+>", " ", read("html")))
    found = {"html": plain(page), "pdf": "".join(pages((out / f"{sheet.kind}.pdf").read_bytes()))}
    if "card" in SHEET_FORMATS[sheet.kind]:
        found["card"] = plain(read("card"))
    return found


def test_every_kind_has_its_forms() -> None:
    assert set(SHEETS) == set(SHEET_FORMATS)
    assert all({"html", "pdf", "dicom", "json"} <= set(forms) for forms in SHEET_FORMATS.values())


def test_every_form_says_every_number(written: tuple[Sheet, Path]) -> None:
    sheet, out = written
    again = Sheet.model_validate_json((out / f"{sheet.kind}-sheet.json").read_text())
    assert again == sheet
    numbers = [cell for t in again.tables for cells in t.rows for cell in cells]
    assert sum(cell.value is not None for cell in numbers) >= 8
    for form, text in texts(sheet, out).items():
        for cell in numbers:
            assert plain(cell.text) in text, (form, cell.text)
        for line in again.facts:
            assert plain(line.text) in text, (form, line.label)
        for words in (again.sentence, again.headline, again.identifier, *again.warnings):
            assert plain(words) in text, (form, words)
        for said in (words for one in again.points for words in one.said):
            assert plain(said) in text, (form, said)


def test_a_text_is_the_number_beside_it(written: tuple[Sheet, Path]) -> None:
    """Read back from its text, every number is that of its cell, as far as it was written."""
    for table in written[0].tables:
        for cell in (cell for cells in table.rows for cell in cells if cell.value is not None):
            said = re.match(r"[+−]?[\d.]+", cell.text)
            assert said, cell
            read = float(said.group().replace("−", "-"))
            if cell.text.replace("\N{NO-BREAK SPACE}", " ").endswith(" %") and abs(cell.value) <= 1:
                read = read / 100 if abs(read - cell.value) > abs(read / 100 - cell.value) else read
            assert read == pytest.approx(cell.value, rel=6e-3, abs=6e-3), cell


def test_dicom_holds_the_pdf_and_is_valid(written: tuple[Sheet, Path]) -> None:
    sheet, out = written
    dicom = pydicom.dcmread(out / f"{sheet.kind}.dcm")
    content = (out / f"{sheet.kind}.pdf").read_bytes()
    assert dicom.EncapsulatedDocument[: dicom.EncapsulatedDocumentLength] == content
    assert errors_of(out / f"{sheet.kind}.dcm", "EncapsulatedPDF") == []
    assert (
        b"pdfaid:part>2<"
        in pypdf.PdfReader(io.BytesIO(content)).trailer["/Root"]["/Metadata"].get_data()
    )


def test_the_schema_is_that_of_the_file(written: tuple[Sheet, Path]) -> None:
    sheet, out = written
    schema = json.loads((out / f"{sheet.kind}-sheet.schema.json").read_text())
    said = json.loads((out / f"{sheet.kind}-sheet.json").read_text())
    assert set(schema["required"]) <= set(said) <= set(schema["properties"])


def test_the_same_sheet_gives_the_same_bytes(written: tuple[Sheet, Path], tmp_path: Path) -> None:
    sheet, out = written
    for path in write_sheet(sheet, SHEET_FORMATS[sheet.kind], tmp_path):
        assert path.read_bytes() == (out / path.name).read_bytes(), path.name


def test_the_page_of_a_comparison_says_the_numbers_of_its_sheet() -> None:
    found = a_comparison()
    page = plain(html.unescape(re.sub(r"<[^>]+>", " ", render_comparison(found))))
    for table in comparison_sheet(found).tables:
        for cell in (cell for cells in table.rows for cell in cells if cell.value is not None):
            assert plain(cell.text) in page, cell


def test_a_check_up_takes_half_a_page(folder: Path) -> None:
    sheet = checked(folder)
    (table,) = sheet.tables
    assert len(table.rows) == MOST_ROWS and "8 further measures" in table.note
    assert {row[0].text for row in table.rows[:2]} == {"measure 03 in body", "measure 05 in body"}
    assert sheet.headline == "Outside"
    (page,) = pypdf.PdfReader(io.BytesIO(sheet_pdf(sheet))).pages
    heights: list[float] = []
    page.extract_text(
        visitor_text=lambda text, cm, tm, *_: text.strip() and heights.append(cm[5] + cm[3] * tm[5])
    )
    top = float(page.mediabox.height)
    heights = [abs(y) for y in heights if 0 < abs(y) < top]
    body = sorted(heights)
    assert body and sum(y < top / 2 for y in body) <= 6  # the margin's line alone


def test_the_commissioning_names_each_criterion_once_and_its_baselines(folder: Path) -> None:
    sheet = commissioning(folder)
    verdict = overall(folder).written[-1].verdict
    acceptance, baselines = sheet.tables[:2]
    names = [row[0].text for row in acceptance.rows]
    assert sorted(names) == sorted({one.criterion.name for one in verdict.findings})
    outcomes = [row[-1].text.split()[-1] for row in acceptance.rows]
    order = [("fail", "inconclusive", "pass").index(one) for one in outcomes]
    assert order == sorted(order) and "fail" in outcomes
    assert {row[1].text for row in baselines.rows} >= {"A", "B", "C"}
    assert any("'qa-suite compare'" in words for words in sheet.points[1].said)


def test_the_command_writes_a_commissioning(folder: Path, tmp_path: Path, capsys) -> None:
    words = ["report", str(folder), "--profile", "descriptive", "--no-track", "--commissioning"]
    assert run([*words, "--formats", "json", "--out", str(tmp_path)]) == 0, capsys.readouterr().err
    assert (tmp_path / "commissioning-sheet.json").is_file()
