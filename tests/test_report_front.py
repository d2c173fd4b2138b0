"""The front page in every form: the worst site and stratum, and the exam that stands behind it."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from benchmarks.exam_facts import named, written
from qa_suite.cli.report_files import FORMATS, write_formats
from qa_suite.core.record_files import read_cases, read_evaluation, read_measurements
from qa_suite.core.records import Verdict
from qa_suite.evaluation.profiles import load_profile
from qa_suite.judging.criteria import list_profiles
from qa_suite.judging.judge import judge
from reports.facts import worst
from reports.facts.exams import EXAMS_FILE, exam_of, exam_said, exams_on_record
from reports.facts.short.records import Short
from reports.html.report import write_report
from tests.record_factory import make_record
from tests.test_report_short import pages, plain


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluations") / "one"
    make_record(folder, keep=False)
    return folder


@pytest.fixture(scope="module", params=["mr-to-ct-pelvis", "demo-pelvis"])
def forms(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Each form of the report as plain text; of a profile with an exam, and of one without."""
    out = tmp_path_factory.mktemp("out")
    verdict = judge(folder, load_profile(request.param))
    write_formats(folder, verdict, tuple(FORMATS), out)
    write_report(folder, verdict, out / "report.html")
    page = html.unescape(re.sub(r"<[^>]+>", " ", (out / "report.html").read_text()))
    return {
        "json": (out / "report.json").read_text(),
        "html": plain(page.split("What this verdict means")[0]),
        "pdf": pages((out / "report.pdf").read_bytes())[0],
        "card": plain((out / "model-card.md").read_text()),
        "whole page": plain(page),
        "whole pdf": "".join(pages((out / "report.pdf").read_bytes())),
    }


def test_the_front_of_every_form_says_worst_site_stratum_and_exam(forms: dict[str, str]) -> None:
    short = Short.model_validate_json(forms["json"])
    for said in (short.worst_site, short.worst_stratum.text, short.exam):
        assert said
        for form in ("html", "pdf", "card"):
            assert plain(said) in forms[form], form


def test_beside_each_finding_stands_what_it_is_known_to_find(forms: dict[str, str]) -> None:
    short = Short.model_validate_json(forms["json"])
    examined = bool(short.exam_faults)
    assert examined == (short.profile.startswith("mr-to-ct-pelvis"))
    assert examined != short.exam.startswith("No exam on record for this profile")
    for one in short.findings:
        if not examined:
            assert one.known_to_find == () and one.known_text == "no exam on record"
            continue
        for form in ("whole page", "whole pdf"):
            assert plain(one.known_text) in forms[form], form
    for one in short.deciding:
        assert plain(one.known_text) in forms["card"]
    for fault in short.exam_faults:
        for form in ("whole page", "whole pdf"):
            assert plain(fault.fault) in forms[form] and plain(fault.severity) in forms[form]
    if examined:
        finds = {one.criterion: one.known_to_find for one in short.findings}
        assert "HU bias (30 HU)" in finds["body ME"] and "Shift (2 mm)" not in finds["body ME"]
        assert "Shift (2 mm)" in finds["set-up shift of the worst patient"]


# ---------------------------------------------------------------------------------------
# The exams on record


def test_the_exams_as_data_are_those_of_the_documentation() -> None:
    assert EXAMS_FILE.read_text() == written()


@pytest.mark.parametrize("name", [one.name for one in list_profiles()])
def test_every_profile_that_names_an_exam_has_it_on_record(name: str) -> None:
    profile = load_profile(name)
    told = profile.examined is not None and profile.examined.version == profile.version
    assert (exam_of(profile) is not None) == told
    assert exam_said(profile).startswith("No exam on record for this profile") != told


def test_other_bounds_of_the_same_name_are_not_those_that_were_examined() -> None:
    profile = load_profile("mr-to-ct-pelvis")
    first, *others = profile.criteria
    looser = first.model_copy(update={"bound": first.bound * 2})
    changed = profile.model_copy(update={"criteria": (looser, *others)})
    assert exam_of(changed) is None
    assert "other bounds" in exam_said(changed)


def test_a_fault_that_a_candidate_escaped_with_counts_for_no_criterion() -> None:
    exam = exams_on_record()[0]
    fault = exam.faults[0]
    missed = fault.model_copy(update={"caught": (fault.verdicts, fault.verdicts - 1)})
    other = exam.model_copy(update={"faults": (missed,)})
    assert exam.found_by(fault.answered_by[0]) and not other.found_by(fault.answered_by[0])


def test_criteria_with_a_comma_in_their_name_are_told_apart() -> None:
    names = ["range", "range, beam A", "dose"]
    assert named("range, beam A, dose, range", names) == ("range, beam A", "dose", "range")
    with pytest.raises(ValueError, match="gamma"):
        named("dose, gamma", names)


# ---------------------------------------------------------------------------------------
# The worst stratum


def stratum(folder: Path, **changed: object) -> worst.Stratum:
    evaluation, cases = read_evaluation(folder), read_cases(folder)
    verdict: Verdict = judge(folder, load_profile("demo-pelvis"))
    table = read_measurements(folder)
    judged = table[~table["case"].isin(set(verdict.excluded))]
    cases = tuple(c.model_copy(update={"strata": c.strata | changed}) for c in cases)
    return worst.worst_stratum(judged, cases, evaluation, verdict)


def test_the_worst_stratum_is_the_one_that_uses_up_most_of_a_bound(folder: Path) -> None:
    found = stratum(folder)
    assert found.name == "vendor Vendor C" and found.estimate is not None and found.bound
    rows = read_measurements(folder)
    profile = load_profile("demo-pelvis")
    (asked,) = [c for c in profile.criteria if c.name == found.measure]
    mine = rows[(rows["site"] == "C") & (rows["metric"] == asked.metric)]
    mine = mine[(mine["region"] == asked.region) & (mine["status"] == "ok")]
    assert found.estimate == pytest.approx(mine["value"].mean())
    assert found.patients == len(mine) >= worst.FEWEST_OF_A_STRATUM
    assert "not tested" in found.text


def test_a_stratum_of_everybody_is_none(folder: Path) -> None:
    found = stratum(folder, source_manufacturer="one")
    assert found.name == "" and "Nothing recorded but the site" in found.text


def test_few_patients_are_no_stratum(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worst, "FEWEST_OF_A_STRATUM", 50)
    assert stratum(folder).name == ""
