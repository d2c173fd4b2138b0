"""A record and its verdicts are recomputed: every planted edit is found and said, all at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from qa_suite.cli import run
from qa_suite.core.errors import Problems, QAError
from qa_suite.core.record_files import read_evaluation
from qa_suite.core.records import Evaluation, Verdict
from qa_suite.core.verdict_files import identifier_of, overall, verdict_paths
from qa_suite.judging.evidence import save_verdict
from qa_suite.judging.judge import judge
from qa_suite.judging.verify import Doubt, verify
from reports.facts.readiness import gather
from tests.record_factory import make_record
from tests.record_facts import PROFILE

TABLES = ("measurements.parquet", "cases.parquet", "curves.parquet")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation with volumes and two verdicts that say the same."""
    place = tmp_path_factory.mktemp("place") / "evaluations"
    make_record(place / "one")
    save_verdict(judge(place / "one", PROFILE), place / "one")
    return place


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "evaluations")
    return tmp_path / "evaluations" / "one"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], tuple[int, list[Doubt]]]:
    """The verb's exit status, and the doubts that it was found from: both of one verification."""
    found: list[Doubt] = []

    def heard(folder: Path) -> tuple[Doubt, ...]:
        doubts = verify(folder)
        found.extend(doubts)
        return doubts

    monkeypatch.setattr("qa_suite.judging.verify.verify", heard)
    return lambda folder: (run(["verify", str(folder)]), found)


def said(doubts: Iterable[Doubt]) -> str:
    return " ".join(doubt.sentence for doubt in doubts)


def edit(path: Path, change: Callable[[dict[str, Any]], None], *, forged: bool = False) -> None:
    """Change a JSON file; a forged verdict gets the identifier of its new content."""
    raw = json.loads(path.read_text())
    change(raw)
    if forged:
        raw["evidence"]["verdict"] = identifier_of(raw)
    path.write_text(json.dumps(raw))


def another(value: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return "0" * 16 if len(value) == 16 else f"{value}0"
    if isinstance(value, list):
        return value[:-1] if value else ["planted"]
    if isinstance(value, dict):
        return {**value, "planted": "planted"}
    return "planted"


def test_a_record_that_nobody_touched_is_without_doubt(folder: Path, command, capsys) -> None:
    assert command(folder) == (0, [])
    told = capsys.readouterr().out
    assert not any(name in told for name in (p.name for p in verdict_paths(folder)))


# ---------------------------------------------------------------------------------------
# The record


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("how", ["edited", "gone", "swapped"])
def test_a_table_that_was_touched_is_refused_and_found(
    folder: Path, command, name: str, how: str
) -> None:
    path = folder / name
    if how == "gone":
        path.unlink()
    elif how == "swapped":
        shutil.copy(folder / TABLES[TABLES.index(name) - 1], path)
    else:
        pd.read_parquet(path).iloc[:-1].to_parquet(path)
    with pytest.raises(Problems, match=name.replace(".", r"\.")):
        read_evaluation(folder)
    with pytest.raises(Problems):
        judge(folder, PROFILE)
    status, doubts = command(folder)
    assert name in said(doubts) and status == 1


@pytest.mark.parametrize("field", sorted(set(Evaluation.model_fields) - {"schema_version"}))
def test_every_field_of_the_evaluation_that_was_edited_is_found(
    folder: Path, command, field: str
) -> None:
    def change(raw: dict[str, Any]) -> None:
        value = raw[field]
        if field in ("model", "cohort", "code", "when"):
            key = {"model": "uri", "cohort": "digest", "code": "python", "when": "finished"}[field]
            raw[field] = {**value, key: another(value[key])}
        elif field == "case_counts":
            raw[field] = {**value, "evaluated": value["evaluated"] + 1}
        elif field == "tables_sha256":
            raw[field] = {**value, "cases.parquet": "0" * 64}
        elif field in ("variants", "definitions"):
            raw[field] = {**value, "planted": {}}
        elif field == "left_out":
            raw[field] = [{"family": "pet", "whole": True, "metrics": [], "why": "planted"}]
        else:
            raw[field] = another(value)

    edit(folder / "evaluation.json", change)
    status, doubts = command(folder)
    assert "evaluation_sha256" in said(doubts) and status == 1
    if field in ("model", "settings", "cohort", "instruments", "evaluation"):
        with pytest.raises(Problems, match="its identifier is"):
            read_evaluation(folder)
    if field == "case_counts":
        with pytest.raises(Problems, match=r"case_counts says 20 evaluated, and .* holds 19"):
            read_evaluation(folder)


def test_everything_wrong_with_a_record_is_said_at_once(folder: Path) -> None:
    (folder / "curves.parquet").unlink()
    table = pd.read_parquet(folder / "measurements.parquet")
    table.loc[table["case"] == "A01", "case"] = "Z99"
    table.to_parquet(folder / "measurements.parquet")
    edit(folder / "evaluation.json", lambda raw: raw["case_counts"].update(refused=7))
    edit(folder / "evaluation.json", lambda raw: raw["settings"].update(seed=2))
    with pytest.raises(Problems) as caught:
        read_evaluation(folder)
    text = str(caught.value)
    for words in (
        "curves.parquet is missing",
        "measurements.parquet was changed after it was measured",
        "measurements.parquet has rows of Z99",
        "case_counts says 7 refused, and cases.parquet holds 1",
        "cohort, model and settings give",
    ):
        assert words in text
    assert len(caught.value.problems) == 5


@pytest.mark.parametrize("how", ["removed", "swapped", "added"])
def test_a_volume_that_was_touched_is_found(folder: Path, command, how: str) -> None:
    first, second, *_ = sorted((folder / "volumes").iterdir())
    if how == "removed":
        first.unlink()
    elif how == "swapped":
        first.write_bytes(second.read_bytes())
    else:
        shutil.copy(first, folder / "volumes" / "0123456789abcdef.nii.gz")
    words = {"removed": "is missing", "swapped": "is not what it was", "added": "1 file of no case"}
    status, doubts = command(folder)
    assert words[how] in said(doubts) and status == 1
    read_evaluation(folder)  # judging needs no image


# ---------------------------------------------------------------------------------------
# Verdicts


FINDING = ("estimate", "low", "high", "outcome", "patients", "missing", "sentence", "method")
FORGED = [
    *sorted(set(Verdict.model_fields) - {"schema_version", "profile", "evidence"}),
    *(f"findings.{field}" for field in FINDING),
]


@pytest.mark.parametrize("field", FORGED)
@pytest.mark.parametrize("which", [0, 1])
def test_a_forged_verdict_is_found_by_judging_again(
    folder: Path, command, field: str, which: int
) -> None:
    """Its identifier was made anew, so that the file agrees with itself."""

    def change(raw: dict[str, Any]) -> None:
        if field == "outcome":
            raw["outcome"] = "pass"
        elif field == "excluded":
            raw["excluded"] = {"A01": "planted"}
        elif field == "findings":
            raw["findings"] = [f for f in raw["findings"] if f["outcome"] != "fail"]
        elif field.startswith("findings."):
            finding, key = raw["findings"][0], field.partition(".")[2]
            worse = "fail" if finding["outcome"] == "pass" else "pass"
            finding[key] = worse if key == "outcome" else another(finding[key])
        elif field == "case_counts":
            raw[field]["judged"] += 1
        else:
            raw[field] = another(raw[field])

    edit(verdict_paths(folder)[which], change, forged=True)
    status, doubts = command(folder)
    doubted = {doubt.file for doubt in doubts if doubt.certain}
    # the verdict itself, and the log, which knows the one that was written
    assert {verdict_paths(folder)[which].name, "examinations.jsonl"} <= doubted
    assert status == 1


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("number", 7, "number is 7"),
        ("previous", "0" * 16, "previous is"),
        ("statement_sha256", "0" * 64, "statement_sha256 is"),
        ("evaluation_sha256", "0" * 64, "evaluation_sha256 is"),
        ("tables_sha256", {}, "tables_sha256.cases.parquet is nothing"),
        ("model", "models:/other/1", "model is"),
        ("weights_sha256", None, "weights_sha256 is null"),
        ("cohort_digest", "0" * 64, "cohort_digest is"),
        ("split", "train", "split is"),
        ("tried", [], "the last of tried is"),
        ("supersedes", [{"verdict": "0" * 16, "because": "x"}], "cannot: it is not there"),
        ("protocol", {"state": "locked", "lock": "0" * 16}, "it says 'locked' of its protocol"),
        ("repeats", "f" * 16, "is gone"),
        ("judged_by", "somebody else", "is no longer what it was"),
        ("judged_at", "2020-01-01T00:00:00+00:00", "is no longer what it was"),
        ("suite_version", "9.9", "is no longer what it was"),
        ("examinations", [], "is no longer what it was"),
        ("tried_elsewhere", [], "Everything"),
    ],
)
def test_evidence_that_was_forged_is_found(
    folder: Path, key: str, value: Any, words: str, capsys
) -> None:
    def change(raw: dict[str, Any]) -> None:
        raw["evidence"][key] = value

    edit(verdict_paths(folder)[-1], change, forged=True)
    status = run(["verify", str(folder)])
    assert words in capsys.readouterr().out
    assert status == (0 if words == "Everything" else 1)  # nothing was there to be taken away


def test_a_verdict_that_was_taken_away_is_missed(folder: Path) -> None:
    first, second = verdict_paths(folder)
    second.unlink()
    assert {doubt.file for doubt in verify(folder)} == {"examinations.jsonl"}
    shutil.copy(first, second)
    assert "verdict-0002.json: number is 1, and what lies here gives 2" in said(verify(folder))


def test_a_log_that_was_cut_or_taken_away_is_said(folder: Path, command) -> None:
    log = folder.parent / "examinations.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[1:]))
    assert any(doubt.file == log.name and doubt.certain for doubt in verify(folder))
    log.unlink()
    status, doubts = command(folder)
    assert doubts and not any(doubt.certain for doubt in doubts)  # the folder may have been moved
    assert status == 3


def test_a_difference_under_another_suite_is_told_as_one(folder: Path, capsys) -> None:
    def change(raw: dict[str, Any]) -> None:
        raw["sentence"] += " As the rules of then had it."
        raw["evidence"]["suite_version"] = "0.0.9"

    edit(verdict_paths(folder)[-1], change, forged=True)
    run(["verify", str(folder)])
    (line,) = [row for row in capsys.readouterr().out.splitlines() if "0.0.9" in row]
    assert line.startswith("?") and verdict_paths(folder)[-1].name in line


def test_no_evaluation_at_all_is_bad_input(tmp_path: Path) -> None:
    assert run(["verify", str(tmp_path)]) == 2


def test_a_page_shows_no_volume_that_was_swapped(folder: Path) -> None:
    verdict = overall(folder).written[-1].verdict
    picture = gather(folder, verdict).pictures[0]
    source, other = picture.volumes["source"], picture.volumes["synthetic"]
    source.write_bytes(other.read_bytes())
    with pytest.raises(QAError, match="is not what it was"):
        picture.load()


def test_an_old_record_is_verified_as_far_as_it_goes(tmp_path: Path) -> None:
    old = tmp_path / "evaluations" / "old"
    shutil.copytree(Path(__file__).parent / "data" / "record-schema-1", old)
    doubts = verify(old)
    assert not any(doubt.certain and doubt.file != "volumes" for doubt in doubts), doubts
