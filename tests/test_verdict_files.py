"""Verdicts on disk: never overwritten, superseded by name alone; the worst that stands counts."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import yaml

from qa_suite.cli import run
from qa_suite.core.errors import Problems, QAError
from qa_suite.core.records import NO_EVIDENCE, Profile, Verdict
from qa_suite.core.verdict_files import overall, read_verdict, read_verdicts, verdict_paths
from qa_suite.judging.evidence import save_verdict
from qa_suite.judging.judge import judge
from tests.judging_record import Record, criterion, profile

PASSING = profile(criterion(bound=70))
STRICT = profile(criterion(bound=30), version="2.0")
MIDDLE = profile(criterion(bound=50), version="3.0")
PLAIN = Profile(
    name="plain",
    version="1",
    direction="any",
    anatomy="any",
    intended_use="tests",
    describe=({"metric": "mae", "region": "body"},),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "evaluations" / "one"
    place.mkdir(parents=True)
    Record().write(place)
    return place


def decide(folder: Path, by_profile, **more) -> Verdict:
    return read_verdict(save_verdict(judge(folder, by_profile), folder, **more)).verdict


def test_a_judgement_has_its_evidence_and_reads_as_it_was_written(folder: Path) -> None:
    computed = judge(folder, PASSING)
    path = save_verdict(computed, folder, by="Dr Ada Example")
    assert path == folder / "verdicts" / "verdict-0001.json"
    written = read_verdict(path).verdict
    assert written.statement == computed.statement and computed.evidence is None
    evidence = written.evidence
    assert evidence is not None and evidence.number == 1 and evidence.previous == ""
    for name, digest in evidence.tables_sha256.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert set(evidence.tables_sha256) == {"measurements.parquet", "cases.parquet"}
    whole = hashlib.sha256((folder / "evaluation.json").read_bytes()).hexdigest()
    assert evidence.evaluation_sha256 == whole
    assert (evidence.judged_by, evidence.person_from) == ("Dr Ada Example", "said")
    assert (evidence.model, evidence.cohort_digest, evidence.split) == ("models:/m/1", "d", "test")


def test_who_is_unknown_is_said_to_be(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nobody)
    evidence = decide(folder, PASSING).evidence
    assert evidence is not None and evidence.judged_by is None
    assert evidence.person_from == "unknown" and "None" not in evidence.judged_sentence


def test_the_same_again_is_a_verdict_of_its_own_that_says_so(folder: Path) -> None:
    first = save_verdict(judge(folder, PASSING), folder, by="A")
    before = first.read_bytes()
    again = decide(folder, PASSING, by="B")
    assert first.read_bytes() == before
    known = read_verdict(first)
    assert again.evidence is not None and again.evidence.repeats == known.identifier
    assert again.evidence.previous == known.identifier
    assert again.statement == known.verdict.statement
    assert any(known.identifier[:8] in notice for notice in again.announced)
    assert len(read_verdicts(folder)) == 2


def test_the_worst_of_the_standing_verdicts_counts_in_whatever_order(folder: Path) -> None:
    assert overall(folder).outcome == "not judged"
    for by_profile, outcome in ((PASSING, "pass"), (MIDDLE, "inconclusive"), (STRICT, "fail")):
        decide(folder, by_profile)
        assert overall(folder).outcome == outcome
    decide(folder, PASSING)
    assert overall(folder).outcome == "fail"


def test_every_profile_tried_is_counted_once_and_told(folder: Path) -> None:
    said = [decide(folder, one) for one in (PASSING, PLAIN, STRICT, STRICT, MIDDLE)]
    words = [v.evidence.tried_sentence.split(" profile")[0] for v in said if v.evidence]
    assert words == ["First", "First", "Second", "Second", "Third"]
    assert not any("profile tried" in notice for notice in said[0].announced)
    assert any(n.startswith("Third profile tried on this evaluation") for n in said[4].announced)


# ---------------------------------------------------------------------------------------
# Superseding


def test_a_verdict_stands_until_it_is_superseded_by_name_and_with_a_reason(folder: Path) -> None:
    failed = decide(folder, STRICT)
    assert failed.evidence is not None
    name = failed.evidence.verdict
    passed = decide(folder, PASSING, supersedes=[name[:8]], because="the bound was a slip")
    judged = overall(folder)
    assert judged.outcome == "pass" and len(judged.standing) == 1
    assert judged.written[0].superseded_by == passed.evidence.verdict
    assert "1 verdict superseded" in judged.sentence
    (step,) = passed.evidence.supersedes
    assert (step.verdict, step.because) == (name, "the bound was a slip")
    assert any(step.because in notice for notice in passed.announced)
    # in a chain the middle one is superseded as well, and the first does not come back
    last = decide(folder, MIDDLE, supersedes=["verdict-0002.json"], because="agreed in the meeting")
    assert [one.verdict for one in overall(folder).standing] == [last]


@pytest.mark.parametrize(
    ("names", "because", "words"),
    [
        (["verdict-0001"], "", "with a reason, in words"),
        (["verdict-0001"], "   ", "with a reason, in words"),
        ([], "a reason", "no verdict is named"),
        (["ffffffff"], "a reason", "is no verdict of this evaluation; those that stand are"),
        ([""], "a reason", "is no verdict of this evaluation"),
        (["verdict-0002"], "a reason", "was superseded by"),
    ],
)
def test_what_cannot_be_superseded_is_refused_and_nothing_is_written(
    folder: Path, names: list[str], because: str, words: str
) -> None:
    decide(folder, PASSING)
    decide(folder, STRICT)
    decide(folder, MIDDLE, supersedes=["verdict-0002"], because="a slip")
    with pytest.raises(Problems, match=words):
        decide(folder, PASSING, supersedes=names, because=because)
    assert len(verdict_paths(folder)) == 3


def test_the_command_says_all_that_stands_against_superseding_at_once(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decide(folder, STRICT)
    asked = tmp_path / "passing.yaml"
    asked.write_text(yaml.safe_dump(PASSING.model_dump(mode="json", exclude_unset=True)))
    words = ["judge", str(folder), "--profile", str(asked), "--no-track"]
    assert run([*words, "--supersedes", "ffffffff"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "2 problems" in said and "ffffffff" in said
    assert run([*words, "--because", "a slip"]) == 2
    assert len(verdict_paths(folder)) == 1
    assert run([*words, "--supersedes", "verdict-0001", "--because", "a slip"]) == 0
    assert overall(folder).outcome == "pass"


def test_a_description_takes_no_judgements_place(folder: Path) -> None:
    decide(folder, STRICT)
    with pytest.raises(Problems, match="sets no bounds"):
        decide(folder, PLAIN, supersedes=["verdict-0001"], because="we only describe")
    assert overall(folder).outcome == "fail"


def test_all_that_is_wrong_with_a_superseding_is_said_at_once(folder: Path) -> None:
    decide(folder, STRICT)
    with pytest.raises(Problems) as caught:
        decide(folder, PLAIN, supersedes=["verdict-0001", "nothing"])
    assert len(caught.value.problems) == 3


# ---------------------------------------------------------------------------------------
# Files


def judge_in_a_process(folder: Path, bound: float) -> str:
    return save_verdict(judge(folder, profile(criterion(bound=bound))), folder).name


def test_two_who_judge_at_once_lose_nothing(folder: Path) -> None:
    bounds = [30.0 + n for n in range(8)]
    with ProcessPoolExecutor(max_workers=4) as pool:
        names = list(pool.map(judge_in_a_process, [folder] * 8, bounds))
    assert sorted(names) == [f"verdict-{n:04d}.json" for n in range(1, 9)]
    written = overall(folder).written
    assert {v.verdict.profile.criteria[0].bound for v in written} == set(bounds)
    chain = [one.verdict.evidence.previous for one in written if one.verdict.evidence]
    assert chain == ["", *(one.identifier for one in written[:-1])]
    assert len(written[-1].verdict.evidence.tried) == 8
    assert not list((folder / "verdicts").glob("*.tmp")) + list((folder / "verdicts").glob(".*"))


@pytest.mark.parametrize("field", sorted(set(Verdict.model_fields) - {"schema_version"}))
def test_a_verdict_that_was_edited_is_refused(folder: Path, field: str) -> None:
    path = save_verdict(judge(folder, STRICT), folder)
    raw = json.loads(path.read_text())
    value = raw[field]
    if field == "outcome":
        raw[field] = "pass"
    elif field == "profile":
        raw[field]["criteria"][0]["bound"] = 99.0
    elif field == "evidence":
        raw[field]["judged_by"] = "somebody else"
    elif isinstance(value, str):
        raw[field] = value + "x"
    elif isinstance(value, list):
        raw[field] = value[1:] if value else ["all is well"]
    else:
        raw[field] = {**value, "judged": 1} if field == "case_counts" else {"A1": "no reason"}
    path.write_text(json.dumps(raw))
    with pytest.raises(QAError, match="was changed after it was written"):
        overall(folder)


def test_verdicts_of_before_are_read_and_say_what_they_lack(folder: Path) -> None:
    computed = judge(folder, STRICT).model_copy(update={"schema_version": 2})
    old = json.loads(computed.model_dump_json(exclude={"evidence"}))
    place = folder / "verdicts"
    place.mkdir()
    (place / "pelvis-0a1b2c3d.json").write_text(json.dumps(old))
    (known,) = overall(folder).written
    assert known.verdict.announced[-1] == NO_EVIDENCE.format(schema=2)
    new = decide(folder, PASSING)
    assert new.evidence is not None and new.evidence.number == 1
    assert new.evidence.previous == known.identifier
    assert overall(folder).outcome == "fail"  # the old one stands
    decide(folder, PASSING, supersedes=["pelvis-0a1b2c3d.json"], because="judged anew")
    assert overall(folder).outcome == "pass"
