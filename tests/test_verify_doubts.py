"""Every doubt by itself, over a record of tables alone: which file, how certain, and of what."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qa_suite.core.errors import InputError
from qa_suite.core.examination_log import LogLine, append, read_log
from qa_suite.core.plain_files import sha256_of
from qa_suite.core.record_files import read_evaluation
from qa_suite.core.records import Verdict
from qa_suite.core.suite import suite_code
from qa_suite.core.verdict_files import identifier_of, load_verdict, read_verdict, verdict_paths
from qa_suite.judging import evidence as evidence_module
from qa_suite.judging import verify as verify_module
from qa_suite.judging.evidence import person_of, save_verdict, written_before
from qa_suite.judging.judge import judge, judge_record, profile_digest
from qa_suite.judging.verify import verify
from tests.judging_record import Record, criterion, profile

PASSING, STRICT = profile(criterion(bound=70)), profile(criterion(bound=30), version="2.0")
FIRST, SECOND, LOG = "verdict-0001.json", "verdict-0002.json", "examinations.jsonl"
JUDGED: dict[str, Verdict] = {}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("place") / "evaluations"
    (place / "one").mkdir(parents=True)
    Record().write(place / "one")
    for one in (PASSING, STRICT):
        save_verdict(judge(place / "one", one), place / "one", by="Ada")
    return place


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "evaluations")
    return tmp_path / "evaluations" / "one"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge once by each profile: no test with this touches a table."""

    def once(*tables: Any) -> Verdict:
        key = profile_digest(tables[-1])
        if key not in JUDGED:
            JUDGED[key] = judge_record(*tables)
        return JUDGED[key]

    monkeypatch.setattr(verify_module, "judge_record", once)


def doubts(folder: Path) -> list[tuple[str, bool]]:
    return sorted((doubt.file, doubt.certain) for doubt in verify(folder))


def forge(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a verdict, and give it the identifier of its new content."""
    raw = json.loads(path.read_text())
    change(raw)
    raw["evidence"]["verdict"] = identifier_of(raw)
    path.write_text(json.dumps(raw))


def logged(path: Path, **more: Any) -> None:
    evaluation = read_evaluation(path)
    facts = {"at": "2026-01-01", "cohort": "three", "cohort_digest": "d", "split": "test",
             "evaluation": evaluation.evaluation, "folder": "one"}  # fmt: skip
    append(path.parent / LOG, LogLine.model_validate(facts | more))


# ---------------------------------------------------------------------------------------
# What is written


def test_each_verdict_says_what_it_rests_on(folder: Path) -> None:
    first, second = (read_verdict(path).verdict.evidence for path in verdict_paths(folder))
    assert first is not None and second is not None
    lines = read_log(folder.parent / LOG)
    assert [line.verdict for line in lines.lines] == [first.verdict, second.verdict]
    assert (first.number, first.previous, first.log_head) == (1, "", "")
    assert (second.number, second.previous) == (2, first.verdict)
    assert second.log_head and lines.digests[0].startswith(second.log_head)
    assert [one.version for one in first.tried] == ["1.0"]
    assert [one.version for one in second.tried] == ["1.0", "2.0"]
    code = suite_code()
    for one in (first, second):
        assert one.evaluation_sha256 == sha256_of(folder / "evaluation.json")
        assert (one.suite_version, one.git_commit) == (code.version, code.commit)
        assert (one.judged_by, one.person_from, one.repeats) == ("Ada", "said", "")
        assert (one.model, one.cohort_digest, one.split) == ("models:/m/1", "d", "test")
        age = datetime.now(UTC) - datetime.fromisoformat(one.judged_at)
        assert 0 <= age.total_seconds() < 3600 and one.judged_at.endswith("+00:00")
    assert ["there is none" in first.looked_in[0], "1 line" in second.looked_in[0]] == [True, True]
    line = lines.lines[0]
    assert (line.cohort, line.cohort_digest, line.split, line.folder) == (
        "three", "d", "test", "one",
    )  # fmt: skip
    assert (line.model, line.evaluation) == ("models:/m/1", read_evaluation(folder).evaluation)
    assert line.profile is not None and line.profile.outcome == "pass"


def test_a_verdict_that_says_the_same_names_the_first_and_is_found(folder, monkeypatch) -> None:
    first, strict = (read_verdict(path).verdict for path in verdict_paths(folder))
    same = judge(folder, PASSING)
    assert written_before(same, folder) == first
    assert written_before(judge(folder, STRICT), folder) == strict
    assert written_before(judge(folder, profile()), folder) is None
    again = read_verdict(save_verdict(same, folder)).verdict
    assert again.evidence is not None and first.evidence is not None
    assert again.evidence.repeats == first.evidence.verdict
    assert [one.version for one in again.evidence.tried] == ["2.0", "1.0"]  # its own last
    assert written_before(same, folder) == again
    assert doubts(folder) == []
    monkeypatch.setattr(evidence_module, "table_digests", lambda evaluation: {})
    assert written_before(same, folder) is None


def test_a_verdict_of_another_evaluation_is_not_written(folder: Path) -> None:
    other = judge(folder, PASSING).model_copy(update={"evaluation": "f" * 16})
    with pytest.raises(InputError, match="f" * 16):
        save_verdict(other, folder)
    assert len(verdict_paths(folder)) == 2


@pytest.mark.parametrize("error", [KeyError, OSError, ImportError])
def test_who_judges_is_said_or_the_account_or_unknown(monkeypatch, error) -> None:
    def nobody() -> str:
        raise error("no account")

    assert person_of(" Ada ") == ("Ada", "said")
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    assert person_of(" ") == ("ada", "account")
    monkeypatch.setattr("getpass.getuser", nobody)
    assert person_of("") == (None, "unknown")


# ---------------------------------------------------------------------------------------
# What is doubted


@pytest.mark.usefixtures("quick")
def test_what_nobody_touched_and_what_was_superseded_rightly_is_without_doubt(folder) -> None:
    assert doubts(folder) == []
    second = verdict_paths(folder)[1]
    name = identifier_of(json.loads(second.read_text()))
    middle = profile(criterion(bound=50), version="3.0")
    path = save_verdict(
        judge(folder, middle), folder, supersedes=[name[:6]], because=" The bound was mistyped. "
    )
    evidence = read_verdict(path).verdict.evidence
    assert evidence is not None
    assert [(one.verdict, one.because) for one in evidence.supersedes] == [
        (name, "The bound was mistyped.")
    ]
    assert doubts(folder) == []
    second.unlink()
    assert (path.name, True) in doubts(folder) and (LOG, True) in doubts(folder)
    assert sum(name in doubt.problem for doubt in verify(folder) if doubt.file == path.name) >= 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("number", 7), ("previous", "0" * 16), ("statement_sha256", "0" * 64),
        ("evaluation_sha256", "0" * 64), ("model", "models:/other/1"), ("weights_sha256", "w"),
        ("cohort_digest", "0" * 64), ("split", "train"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("quick")
def test_one_forged_field_of_the_evidence_is_one_doubt(folder: Path, key: str, value: Any) -> None:
    forge(verdict_paths(folder)[1], lambda raw: raw["evidence"].update({key: value}))
    told = [doubt for doubt in verify(folder) if doubt.file == SECOND and doubt.certain]
    assert [doubt.problem.partition(" is ")[0] for doubt in told] == [key]


@pytest.mark.usefixtures("quick")
def test_tables_tries_repeats_and_the_protocol_are_held_against_what_lies_there(folder) -> None:
    def change(raw: dict[str, Any]) -> None:
        raw["evidence"]["tables_sha256"]["cases.parquet"] = "0" * 64
        raw["evidence"]["tried"] = raw["evidence"]["tried"][1:]
        raw["evidence"]["repeats"] = "f" * 16
        raw["evidence"]["protocol"] |= {"state": "locked", "lock": "0" * 16}

    forge(verdict_paths(folder)[1], change)
    told = [doubt for doubt in verify(folder) if doubt.file == SECOND and doubt.certain]
    assert len(told) == 4
    words = ("tables_sha256.cases.parquet", "pelvis 1.0", "f" * 16, "'not locked'")
    for doubt, word in zip(told, words, strict=True):
        assert word in doubt.problem


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("sentence", lambda raw: raw.update(sentence="All is well.")),
        ("outcome", lambda raw: raw.update(outcome="pass")),
        ("case_counts.judged", lambda raw: raw["case_counts"].update(judged=25)),
        ("findings.", lambda raw: raw["findings"][1].update(patients=99)),
        ("site_gaps.", lambda raw: raw["site_gaps"][1].update(patients=99)),
    ],
)
def test_what_the_tables_do_not_give_is_named_by_its_place(folder: Path, place, change) -> None:
    forge(verdict_paths(folder)[1], change)
    told = [doubt for doubt in verify(folder) if doubt.file == SECOND and doubt.certain]
    assert any(doubt.problem.startswith(place) for doubt in told)


@pytest.mark.usefixtures("quick")
def test_a_verdict_judged_elsewhere_is_no_certain_doubt(folder: Path) -> None:
    def change(raw: dict[str, Any]) -> None:
        raw["sentence"] = "All is well."
        raw["evidence"]["suite_version"] = "0.0.9"

    forge(verdict_paths(folder)[1], change)
    told = [doubt for doubt in verify(folder) if "0.0.9" in doubt.problem]
    assert [(doubt.file, doubt.certain) for doubt in told] == [(SECOND, False)]


@pytest.mark.usefixtures("quick")
def test_files_that_are_no_verdict_or_of_another_record_or_profile_are_each_told(folder) -> None:
    first, second = verdict_paths(folder)
    second.write_text("{}")
    assert doubts(folder) == [(LOG, True), (SECOND, True)]
    shutil.copy(first, second)
    assert (SECOND, True) in doubts(folder)
    forge(first, lambda raw: raw.update(evaluation="f" * 16))
    assert any("f" * 16 in doubt.problem for doubt in verify(folder) if doubt.file == FIRST)
    raw, _ = load_verdict(first)
    digest = raw["profile_sha256"]
    forge(first, lambda raw: raw["profile"]["criteria"][0].update(bound=1.0))
    assert any("digest" in doubt.problem for doubt in verify(folder) if doubt.file == FIRST)
    assert json.loads(first.read_text())["profile_sha256"] == digest


def test_a_verdict_without_evidence_is_recomputed_all_the_same(folder: Path) -> None:
    second = verdict_paths(folder)[1]
    raw = json.loads(second.read_text())
    old = Verdict.model_validate(raw).model_copy(update={"evidence": None, "schema_version": 2})
    second.write_text(old.model_dump_json())
    assert doubts(folder) == [(LOG, True)]  # which knows the one that was written
    second.write_text(old.model_copy(update={"speaks_of": ""}).model_dump_json())
    assert doubts(folder) == [(LOG, True)]
    second.write_text(old.model_copy(update={"sentence": "All is well."}).model_dump_json())
    assert doubts(folder) == [(LOG, True), (SECOND, False)]


@pytest.mark.usefixtures("quick")
def test_the_log_misses_what_it_noted_and_is_missed_where_it_was(folder: Path) -> None:
    log = folder.parent / LOG
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0])
    assert doubts(folder) == [(SECOND, False)]  # no line notes it
    log.write_bytes(lines[1])
    told = doubts(folder)
    assert (SECOND, True) in told and (FIRST, False) in told
    log.unlink()
    assert doubts(folder) == [(SECOND, False)]
    log.write_bytes(b"".join(lines))
    verdict_paths(folder)[0].unlink()
    told = doubts(folder)
    assert told.count((LOG, True)) == 1 and (SECOND, True) in told


@pytest.mark.parametrize(
    ("noted", "doubted"),
    [
        (["own"], False), (["other"], True), (["other", "own"], False), (["own", "other"], False),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("quick")
def test_the_file_is_one_whose_digest_was_noted_when_it_was_written(folder, noted, doubted) -> None:
    own = sha256_of(folder / "evaluation.json")
    for one in noted:
        logged(folder, what="recorded", evaluation_sha256=own if one == "own" else "0" * 64)
    logged(folder, what="recorded", evaluation_sha256="1" * 64, folder="another")
    logged(folder, what="recorded", evaluation_sha256="1" * 64, evaluation="f" * 16)
    logged(folder, what="judged", folder="another", verdict="e" * 16)
    assert doubts(folder) == ([("evaluation.json", True)] if doubted else [])
    if doubted:
        assert "0" * 12 in verify(folder)[0].problem
