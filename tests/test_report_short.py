"""The report in short: one content in PDF, DICOM, JSON and Markdown, and what stands first."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
import unicodedata
from pathlib import Path

import pydicom
import pypdf
import pytest

from qa_suite.cli import run
from qa_suite.cli.report_files import FORMATS, hazards_of, write_formats
from qa_suite.core.records import Finding, Verdict
from qa_suite.core.verdict_files import overall
from qa_suite.judging.judge import judge
from reports.facts.model_card import model_card
from reports.facts.readiness import Readiness, gather
from reports.facts.short import short_report
from reports.facts.short.findings import deciding
from reports.facts.short.lines import in_short
from reports.facts.short.records import Short
from reports.facts.worst import used_up, worst_site
from reports.pdf.report import pdf_of
from reports.pdf.setting import lacks
from tests.dicom_validator import errors_of
from tests.record_factory import make_record


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluations") / "one"
    make_record(folder, keep=False)
    return folder


@pytest.fixture(scope="module")
def verdict(folder: Path) -> Verdict:
    return overall(folder).written[-1].verdict


@pytest.fixture(scope="module")
def found(folder: Path, verdict: Verdict) -> Readiness:
    return gather(folder, verdict)


@pytest.fixture(scope="module")
def written(folder: Path, verdict: Verdict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    write_formats(folder, verdict, tuple(FORMATS), out)
    return out


def pages(content: bytes) -> list[str]:
    reader = pypdf.PdfReader(io.BytesIO(content))
    return [plain(page.extract_text()) for page in reader.pages]


def plain(text: str) -> str:
    """A text without what only lays it out."""
    return re.sub(r"[\s\\\u00a0\u200b-]+", "", text)


# ---------------------------------------------------------------------------------------
# One content


def test_every_form_says_the_same_numbers(written: Path, verdict: Verdict) -> None:
    short = Short.model_validate_json((written / "report.json").read_text())
    pdf = "".join(pages((written / "report.pdf").read_bytes()))
    card = plain((written / "model-card.md").read_text())
    for one, finding in zip(short.findings, verdict.findings, strict=True):
        assert (one.estimate, one.low, one.high) == (finding.estimate, finding.low, finding.high)
        for text in (one.estimate_text, one.interval_text, one.criterion):
            assert plain(text) in pdf
    for one in short.deciding:
        assert plain(one.estimate_text) in card and plain(one.interval_text) in card
    for text in (short.sentence, short.worst_site, short.evaluation, short.verdict):
        assert plain(text) in pdf and plain(text) in card
    dicom = pydicom.dcmread(written / "report.dcm")
    length = dicom.EncapsulatedDocumentLength
    assert dicom.EncapsulatedDocument[:length] == (written / "report.pdf").read_bytes()


def test_the_schema_is_that_of_the_file(written: Path) -> None:
    schema = json.loads((written / "report.schema.json").read_text())
    said = json.loads((written / "report.json").read_text())
    assert set(schema["required"]) <= set(said) <= set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_the_same_record_gives_the_same_bytes(folder, verdict, written, tmp_path) -> None:
    write_formats(folder, verdict, tuple(FORMATS), tmp_path)
    for name in FORMATS.values():
        if name != FORMATS["html"]:
            assert (tmp_path / name).read_bytes() == (written / name).read_bytes(), name


# ---------------------------------------------------------------------------------------
# The PDF


def test_the_front_page_is_one_page(written: Path) -> None:
    first, second, *_ = pages((written / "report.pdf").read_bytes())
    assert plain("What decides") in first and plain("Signatures") in first
    assert second.startswith(plain("About this verdict"))


def test_it_is_marked_as_pdf_a(written: Path) -> None:
    reader = pypdf.PdfReader(written / "report.pdf")
    text = reader.trailer["/Root"]["/Metadata"].get_data().decode()
    assert re.search(r"pdfaid:part>2<", text) and re.search(r"pdfaid:conformance>A<", text)
    assert "/OutputIntents" in reader.trailer["/Root"]


def test_every_page_names_the_evaluation_and_its_number(written: Path, verdict: Verdict) -> None:
    found = pages((written / "report.pdf").read_bytes())
    for number, text in enumerate(found, start=1):
        assert verdict.evaluation in text and plain(f"Page {number} of {len(found)}") in text


SCRIPTS = "Ω Ж Ä ğ – 中文 한 ا ₂ #emph[x] *b* $a$ \\ // @me <b> ![i](http://x)"


def test_names_in_any_script_are_shown_or_told(found: Readiness) -> None:
    short = short_report(found).model_copy(update={"model": SCRIPTS, "sentence": SCRIPTS})
    first = pages(pdf_of(short, found))[0]
    for word in ("Ω", "Ж", "Ä", "ğ", "#emph[x]", "*b*", "$a$", "@me", "<b>"):
        assert word in first, word
    for letter in "中文한":
        assert letter in lacks(SCRIPTS) and f"U+{ord(letter):04X}" in first


SPELT = {
    "Hebrew": "שלום עולם",
    "Arabic": "مستشفى الملك",
    "Persian, with digits and a joiner": "می‌خواهم ۱۲۳",
    "combining marks": "e\u0301 o\u0308\u0304 Ho\u0300",
    "Cyrillic": "Привет",
    "Georgian": "ქართული",
    "Armenian": "Հայերեն",
}
UNSHOWN = {
    "Chinese": "中文",
    "Devanagari": "हिन्दी",
    "Thai": "ไทย",
    "a mark of byte order": "\ufeff",
    "a control": "\u0007",
    "what turns the direction of writing": "\u202e",
    "what isolates it": "\u2066",
    "a private letter": "\ue000",
    "a letter beyond the first plane": "𠮷",
}


def test_every_script_is_set_or_told(found: Readiness) -> None:
    """None of them ends the PDF, whose standard forbids some, or goes without a sign."""
    said = "; ".join([*SPELT.values(), *UNSHOWN.values()])
    first = pages(pdf_of(short_report(found).model_copy(update={"sentence": said}), found))[0]
    for text in UNSHOWN.values():
        for letter in text:
            assert f"U+{ord(letter):04X}" in first, text
    for name, text in SPELT.items():
        assert not lacks(text), name
        letters = {c for c in unicodedata.normalize("NFKC", text) if c.isalpha()}
        written = unicodedata.normalize("NFKC", first)
        assert letters <= set(written), name


def test_fonts_of_the_environment_show_what_ours_lacks(found, tmp_path, monkeypatch) -> None:
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    from qa_suite.core.errors import InputError
    from reports.pdf.setting import MORE_FONTS

    pen = TTGlyphPen(None)
    pen.moveTo((0, 0)), pen.lineTo((0, 500)), pen.lineTo((500, 500)), pen.closePath()
    glyph = pen.glyph()
    made = FontBuilder(1000, isTTF=True)
    made.setupGlyphOrder([".notdef", "middle"])
    made.setupCharacterMap({0x4E2D: "middle"})
    made.setupGlyf({".notdef": glyph, "middle": glyph})
    made.setupHorizontalMetrics({".notdef": (600, 0), "middle": (600, 0)})
    made.setupHorizontalHeader(ascent=800, descent=-200)
    made.setupNameTable({"familyName": "Tiny", "styleName": "Regular"})
    made.setupOS2(), made.setupPost()
    made.save(tmp_path / "tiny.ttf")
    assert lacks("中文") == ["中", "文"]
    monkeypatch.setenv(MORE_FONTS, str(tmp_path))
    assert lacks("中文") == ["文"]
    short = short_report(found).model_copy(update={"sentence": "中文"})
    first = pages(pdf_of(short, found))[0]
    assert "中" in first and "U+6587" in first and "U+4E2D" not in first
    monkeypatch.setenv(MORE_FONTS, str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=MORE_FONTS):
        pdf_of(short, found)


def test_a_card_holds_no_markup_of_others(found: Readiness) -> None:
    card = model_card(short_report(found).model_copy(update={"sentence": SCRIPTS}))
    assert "![i](" not in card and "<b>" not in card and "\\!\\[i\\]" in card


def test_many_hospitals_and_criteria_stay_within_twelve_pages(tmp_path: Path) -> None:
    sites = {f"hospital-{n:02d}": 7 for n in range(8)}
    make_record(tmp_path / "big", keep=False, patients_by_site=sites)
    verdict = overall(tmp_path / "big").written[-1].verdict
    found = gather(tmp_path / "big", verdict)
    hazards = hazards_of(tmp_path / "big", verdict)
    assert len(pages(pdf_of(short_report(found, hazards=hazards), found))) <= 12


def test_without_typst_it_is_said(found: Readiness, monkeypatch: pytest.MonkeyPatch) -> None:
    from qa_suite.core.errors import InputError

    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(InputError, match="typst"):
        pdf_of(short_report(found), found)


# ---------------------------------------------------------------------------------------
# What stands first


def test_what_decides_is_the_worst_first_and_each_criterion_once(verdict: Verdict) -> None:
    chosen = deciding(verdict)
    outcomes = [("fail", "inconclusive", "pass").index(one.outcome) for one in chosen]
    assert outcomes == sorted(outcomes) and len(chosen) == min(5, len(verdict.findings))
    names = [one.criterion.name for one in chosen]
    criteria = {one.criterion.name for one in verdict.findings}
    assert len(set(names)) == min(5, len(criteria))
    failed = {one.criterion.name for one in verdict.findings if one.outcome == "fail"}
    assert set(names[: len(failed)]) == failed or len(failed) > 5


@pytest.mark.parametrize(
    ("direction", "bound", "unit", "estimate", "used"),
    [
        ("at_most", 50.0, "HU", 25.0, 0.5),
        ("at_most", 50.0, "HU", 60.0, 1.2),
        ("within", 15.0, "HU", -15.0, 1.0),
        ("at_least", 0.7, "1", 0.7, 1.0),
        ("at_least", 0.7, "1", 1.0, 0.0),
        ("at_least", 0.7, "1", 0.4, 2.0),
        ("at_least", 95.0, "%", 95.0, 1.0),
        ("at_most", 0.0, "1", 1.0, None),
        ("at_most", 50.0, "HU", None, None),
    ],
)
def test_how_much_of_a_bound_is_used_up(verdict, direction, bound, unit, estimate, used) -> None:
    first: Finding = verdict.findings[0]
    more = {"direction": direction, "bound": bound, "unit": unit, "statistic": "mean"}
    criterion = first.criterion.model_copy(update=more)
    one = first.model_copy(update={"criterion": criterion, "estimate": estimate})
    assert used_up(one) == (None if used is None else pytest.approx(used))


def test_the_worst_site_is_the_one_with_most_bounds_missed(verdict: Verdict) -> None:
    missed = [one for one in verdict.findings if one.outcome == "fail" and "C" in one.sites]
    assert missed and worst_site(verdict).startswith(f"C misses {len(missed)} bound")
    none = verdict.model_copy(update={"findings": ()})
    assert worst_site(none) == "No criterion asks site by site."


def test_where_no_site_misses_a_bound_the_nearest_to_one_is_named(verdict: Verdict) -> None:
    of_sites = [f for f in verdict.findings if f.criterion.scope == "each_site"]
    met = [f.model_copy(update={"outcome": "pass"}) for f in of_sites]
    far = [
        f.model_copy(update={"estimate": f.criterion.bound / 10})
        for f in met
        if f.scope_name != "B"
    ]
    near = [f for f in met if f.scope_name == "B" and f.criterion.direction == "at_most"]
    near = [f.model_copy(update={"estimate": 0.9 * f.criterion.bound}) for f in near]
    far = [f for f in far if f.criterion.direction == "at_most"]
    said = worst_site(verdict.model_copy(update={"findings": (*far, *near)}))
    assert said.startswith(f"No site misses a bound. Nearest to one: B, {near[0].criterion.name} ")


def test_of_whom_in_short() -> None:
    assert in_short("It speaks of 2 patients.") == "It speaks of 2 patients."
    assert in_short("It speaks of A; b (2). New: c.") == "It speaks of A. New: c."


# ---------------------------------------------------------------------------------------
# The command and the archive


def test_the_validator_takes_the_dicom_file(written: Path) -> None:
    assert errors_of(written / "report.dcm", "EncapsulatedPDF") == []


def test_report_writes_what_is_asked_for(folder: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(folder, tmp_path / "one")
    words = ["report", str(tmp_path / "one"), "--profile", "descriptive"]
    words += ["--no-track", "--out", str(tmp_path / "out")]
    assert run([*words, "--formats", "html,pdf,paper,smoke"]) == 2
    assert "paper" in (said := capsys.readouterr().err) and "smoke" in said
    assert run([*words, "--formats", "pdf,card"]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "model-card.md",
        "report.pdf",
    ]


def test_a_verdict_without_bounds_has_a_front_page(tmp_path: Path) -> None:
    from qa_suite.evaluation.profiles import load_profile

    make_record(tmp_path / "one", keep=False)
    verdict = judge(tmp_path / "one", load_profile("descriptive"))
    found = gather(tmp_path / "one", verdict)
    first = pages(pdf_of(short_report(found), found))[0]
    assert plain("Described, not judged") in first


@pytest.mark.parametrize(
    ("values", "span"),
    [([0.0, 0.0], (-0.1, 1.0)), ([1.0, 3.0], (0.8, 3.2)), ([-2.0], (-2.2, -1.8))],
)
def test_an_axis_has_room_and_begins_near_zero_where_all_is_zero(values, span) -> None:
    from reports.figures.marks import padded

    assert padded(values, 0.1) == pytest.approx(span)


def test_of_many_cases_those_not_in_order_are_told_one_by_one(found: Readiness) -> None:
    from reports.facts.readiness import MOST_ONE_BY_ONE, told_one_by_one

    few = found.cases
    assert told_one_by_one(few) == few
    (good,) = [c for c in few if c.status == "evaluated" and c.case == "A01"]
    many = (*few, *[good.model_copy(update={"case": f"n{n}"}) for n in range(MOST_ONE_BY_ONE)])
    told = {case.case for case in told_one_by_one(many)}
    assert {"B03", "C02"} <= told and not {case for case in told if case.startswith("n")}
