"""The worst verdict that stands is what everybody says: tags, page, list and exit status."""

from __future__ import annotations

from html import unescape
from pathlib import Path

import pytest

from qa_suite.cli import run
from qa_suite.core.record_files import read_evaluation
from qa_suite.core.verdict_files import overall, read_verdict
from qa_suite.evaluation.tracking import _tags
from qa_suite.judging.evidence import save_verdict
from qa_suite.judging.judge import judge
from reports.facts.readiness import gather
from reports.facts.standing import UNWRITTEN, standing_of
from reports.html.report import render
from tests.record_factory import make_record
from tests.record_facts import PROFILE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_record(tmp_path / "evaluations" / "one", keep=False)  # its verdict fails
    return tmp_path / "evaluations" / "one"


def with_bound(bound: float, version: str):
    (first, *_) = [c for c in PROFILE.criteria if c.scope == "pooled" and c.metric == "mae"] or [
        PROFILE.criteria[0]
    ]
    easy = first.model_copy(update={"bound": bound, "scope": "pooled", "statistic": "mean"})
    return PROFILE.model_copy(update={"criteria": (easy,), "version": version})


def decide(folder: Path, profile, **more):
    return read_verdict(save_verdict(judge(folder, profile), folder, **more)).verdict


def test_everybody_says_the_worst_that_stands(folder: Path, monkeypatch, capsys) -> None:
    easy = decide(folder, with_bound(1e4, "easy"))
    own = easy.outcome
    assert own in ("pass", "inconclusive")
    assert overall(folder).outcome == "fail"
    tags = _tags(read_evaluation(folder), overall(folder))
    assert tags["qa.outcome"] == "fail" and tags["qa.profiles_tried"] == "2"
    page = unescape(render(gather(folder, easy)))
    assert "Fail overall" in page and "<title>Fail overall" in page
    assert "2 on this evaluation, in this order" in page
    assert "Second profile tried on this evaluation" in page
    monkeypatch.chdir(folder.parent.parent)
    assert run(["list", "evaluations", "--json"]) == 0
    assert '"outcome": "fail"' in capsys.readouterr().out
    # superseded by name, everybody says the other
    first = overall(folder).written[0]
    decide(folder, with_bound(1e4, "easy"), supersedes=[first.file], because="the bound was wrong")
    assert overall(folder).outcome == own
    assert _tags(read_evaluation(folder), overall(folder))["qa.outcome"] == own
    page = unescape(render(gather(folder, first.verdict)))
    assert "Fail overall" not in page
    assert "1 further profile tried on this evaluation after this verdict" in page


def test_the_exit_status_of_judge_is_that_of_the_evaluation(folder: Path, capsys) -> None:
    path = folder.parent.parent / "plain.yaml"
    path.write_text(
        "schema_version: 1\nname: plain\nversion: '1'\ndirection: any\nanatomy: any\n"
        "intended_use: tests\ndescribe: [{metric: mae, region: body}]\n"
    )
    assert run(["judge", str(folder), "--profile", str(path), "--no-track"]) == 1
    out = capsys.readouterr().out
    assert "OVERALL: Fail, the worst of 2 verdicts that stand" in out


def test_a_verdict_that_was_not_written_says_so_on_its_page(folder: Path) -> None:
    verdict = judge(folder, with_bound(1e4, "unwritten"))
    assert UNWRITTEN in standing_of(folder, read_evaluation(folder), verdict).warnings
    assert len(overall(folder).written) == 1
