"""Pages: a pill says what its interval shows, folds open at what is wrong, no private words."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest

from qa_suite.core.record_files import read_evaluation, read_measurements
from qa_suite.core.records import SiteGap, Verdict
from qa_suite.core.verdict_files import overall
from reports.facts import measures, wording
from reports.facts.measures import family_tables
from reports.facts.readiness import gather
from reports.html.comparison import render_comparison
from reports.html.report import render
from reports.html.sheet import render_sheet
from tests.record_factory import make_record
from tests.test_figures import pages as drawn_pages
from tests.test_report_sheets import SHEETS, a_comparison

__all__ = ["drawn_pages"]

PRIVATE = re.compile(
    r"\b(at home|abroad|cr(?:y|ied|ies) wolf|worse at home|no shift shown|yardstick|untold)\b",
    re.IGNORECASE,
)
"""Words that this suite uses among its own, or that say less than the number beside them."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluations") / "one"
    make_record(folder, keep=False)
    return folder


@pytest.fixture(scope="module")
def verdict(folder: Path) -> Verdict:
    return overall(folder).written[-1].verdict


def seen(page: str) -> str:
    """What people read of a page: texts, titles and labels."""
    labels = " ".join(re.findall(r'(?:title|aria-label)="([^"]*)"', page))
    body = re.sub(r"<style.*?</style>", " ", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", " ", body)) + " " + html.unescape(labels)


# ---------------------------------------------------------------------------------------
# Words


def test_no_page_has_private_words(folder: Path, verdict: Verdict, drawn_pages) -> None:
    shown = [
        re.sub(r"gap interval [^:]*: no shift shown", "", one)  # holds zero: see the test below
        for one in (
            seen(render(gather(folder, verdict))),
            seen(render_comparison(a_comparison())),
            *(seen(render_sheet(made(folder))) for made in SHEETS.values()),
            *(seen(page) for page in drawn_pages.values()),
        )
    ]
    for text in shown:
        assert PRIVATE.findall(text) == []
    assert PRIVATE.findall("it is worse at home")


@pytest.mark.parametrize(
    ("interval", "shifted", "in_training", "word"),
    [
        ((-3.0, 4.0), False, False, "no difference shown"),
        ((0.0, 4.0), False, False, "no difference shown"),
        ((-9.0, -2.0), False, False, "differs, and is not worse"),
        ((2.0, 9.0), True, False, "shifted"),
        ((2.0, 9.0), True, True, "worse than the other training sites"),
        ((2.0, 9.0), None, False, "undecided"),
        ((None, None), None, False, "undecided"),
    ],
)
def test_a_pill_says_what_the_interval_beside_it_shows(
    verdict, interval, shifted, in_training, word
) -> None:
    low, high = interval
    gap = verdict.site_gaps[0].model_copy(
        update={"gap_low": low, "gap_high": high, "shifted": shifted, "in_training": in_training}
    )
    assert wording.gap_word(gap)[2] == word


def test_every_gap_of_a_page_has_the_pill_of_its_interval(folder: Path, verdict: Verdict) -> None:
    """Of the whole record: where an interval excludes zero no pill and no sentence says nothing."""
    gaps: tuple[SiteGap, ...] = verdict.site_gaps
    assert gaps
    for gap in gaps:
        excludes = gap.gap_low is not None and not gap.gap_low <= 0 <= gap.gap_high
        word = wording.gap_word(gap)[2]
        assert not (excludes and word == "no difference shown")
        assert not (excludes and "no shift shown" in gap.sentence)


# ---------------------------------------------------------------------------------------
# What is wrong stands open


def opened(folder: Path, verdict: Verdict, monkeypatch, **changed) -> dict[str, bool]:
    """Which groups of measures stand open, where none is open for its place or size."""
    monkeypatch.setattr(measures, "_ALWAYS_OPEN", 0)
    monkeypatch.setattr(measures, "_SMALL", 0)
    table = read_measurements(folder)
    if status := changed.get("status"):
        metric, case = changed["of"]
        rows = (table["metric"] == metric) & (table["case"] == case) & (table["region"] == "bone")
        assert rows.any()
        table.loc[rows, ["status", "value", "why"]] = [status, None, "it raised"]
    findings = changed.get("findings", verdict.findings)
    evaluation, criteria = read_evaluation(folder), verdict.profile.criteria
    found = family_tables(table, evaluation, criteria, findings)
    return {f"{f.title}: {group.title}": group.opened for f in found for group in f.groups}


def test_a_group_opens_where_a_bound_is_missed(folder, verdict, monkeypatch) -> None:
    nothing = opened(folder, verdict, monkeypatch, findings=())
    assert not any(nothing.values())
    for finding in verdict.findings:
        one = finding.model_copy(update={"outcome": "fail"})
        found = opened(folder, verdict, monkeypatch, findings=(one,))
        assert sum(found.values()) == 1, finding.criterion.name
        met = finding.model_copy(update={"outcome": "pass"})
        assert not any(opened(folder, verdict, monkeypatch, findings=(met,)).values())


def test_a_group_opens_where_a_measure_raised(folder, verdict, monkeypatch) -> None:
    found = opened(folder, verdict, monkeypatch, findings=(), status="error", of=("mae", "A01"))
    assert [title for title, is_open in found.items() if is_open] == ["Image: By tissue and place"]


def test_a_page_opens_what_is_wrong_and_marks_it(folder: Path, verdict: Verdict) -> None:
    readiness = gather(folder, verdict)
    page = render(readiness)
    assert "✕ beyond its bound" in page
    closed = replace(
        readiness,
        families=tuple(
            replace(f, groups=tuple(replace(g, opened=False) for g in f.groups))
            for f in readiness.families
        ),
    )
    assert "beyond the bound" in seen(render(closed))  # a closed group says what it holds
