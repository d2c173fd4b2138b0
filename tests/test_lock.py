"""A locked protocol: what differs is refused, and a verdict says how far it was kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from qa_suite.cli import run
from qa_suite.core.cohort import load_cohort, save_cohort
from qa_suite.core.errors import InputError, Problems, QAError
from qa_suite.core.examination_log import LOG_FILE, read_log
from qa_suite.core.locks import lock_identifier, read_lock
from qa_suite.core.records import Evidence, ModelFacts, Profile
from qa_suite.core.verdict_files import overall, read_verdict, read_verdicts
from qa_suite.evaluation.evaluate import evaluate
from qa_suite.evaluation.protocol import make_lock, place_lock
from qa_suite.judging.evidence import save_verdict
from qa_suite.judging.judge import judge
from tests.judging_record import criterion
from tests.test_evaluate import examination
from tests.tiny_cohort import make_tiny_cohort


def asked(bound: float = 60, **more) -> Profile:
    """Ask for the worst of few patients, of whom no mean has an interval."""
    facts = {"scope": "worst_patient", "statistic": "max", "min_patients": 2, "bound": bound}
    return Profile.model_validate(
        {
            "name": "tiny",
            "version": "1",
            "direction": "any",
            "anatomy": "any",
            "intended_use": "tests",
            "criteria": (criterion(**facts),),
        }
        | more
    )


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "tiny"
    make_tiny_cohort(folder, "tss")
    return folder


def locked(cohort: Path, out: Path, profile: Profile | None = None, **settings) -> Path:
    one = examination(cohort, families=("image",), **settings)
    return make_lock(profile or asked(), one.cohort, one.settings, (), None, out, by="Ada")


def measured(cohort: Path, out: Path, **settings) -> None:
    evaluate(examination(cohort, families=("image",), **settings), out)


def decided(out: Path, profile: Profile | None = None, **more) -> Evidence:
    path = save_verdict(judge(out, profile or asked()), out, **more)
    found = read_verdict(path).verdict.evidence
    assert found is not None
    return found


def test_lock_then_measure_then_judge_is_locked(cohort: Path, tmp_path: Path) -> None:
    path = locked(cohort, tmp_path / "one")
    measured(cohort, tmp_path / "one")
    evidence = decided(tmp_path / "one")
    assert evidence.protocol.state == "locked" and evidence.protocol.lock == read_lock(path).lock
    plan = json.loads((tmp_path / "one" / "journal" / "plan.json").read_text())
    assert plan["lock"] == evidence.protocol.lock  # it stood there before the first case
    assert not [w for w in evidence.warnings if "Protocol" in w]
    assert [line.what for line in read_log(tmp_path / LOG_FILE).lines] == [
        "locked", "examined", "recorded", "judged",
    ]  # fmt: skip


def test_without_a_lock_it_says_so(cohort: Path, tmp_path: Path) -> None:
    measured(cohort, tmp_path / "one")
    evidence = decided(tmp_path / "one")
    assert evidence.protocol.state == "not locked"
    assert "qa-suite lock" in evidence.protocol.sentence


def test_a_lock_put_there_afterwards_is_one_after_the_fact(cohort: Path, tmp_path: Path) -> None:
    measured(cohort, tmp_path / "one")
    locked(cohort, tmp_path / "one")
    measured(cohort, tmp_path / "one")  # finished already, and stays what it was
    evidence = decided(tmp_path / "one")
    assert evidence.protocol.state == "locked after the fact"
    assert evidence.protocol.lock and len(evidence.protocol.reasons) == 2
    assert any(warning.startswith("Protocol: ") for warning in evidence.warnings)


@pytest.mark.parametrize("renamed", [False, True])
def test_a_cohort_that_was_examined_before_is_after_the_fact(
    cohort: Path, tmp_path: Path, renamed: bool
) -> None:
    """Under another model, and with the cohort's name changed: the scans are the same."""
    earlier = cohort
    if renamed:
        earlier = tmp_path / "other-name"
        shutil.copytree(cohort, earlier)
        save_cohort(load_cohort(cohort).model_copy(update={"name": "another"}), earlier)
    other = ModelFacts(uri="test:first", name="first", family="test")
    measured(earlier, tmp_path / "evaluations" / "first", model=other)
    locked(cohort, tmp_path / "evaluations" / "second")
    measured(cohort, tmp_path / "evaluations" / "second")
    evidence = decided(tmp_path / "evaluations" / "second")
    assert evidence.protocol.state == "locked after the fact"
    assert "examined 1 time before it was written, first with test:first" in (
        evidence.protocol.sentence
    )
    assert [use.model for use in evidence.examinations] == ["test:first", "test:noisy"]
    assert [use.shared for use in evidence.examinations] == [2 if renamed else None, None]


def test_a_second_model_under_one_lock_is_locked_too(cohort: Path, tmp_path: Path) -> None:
    file = locked(cohort, tmp_path / "protocol")
    place = tmp_path / "evaluations"
    for name in ("first", "second"):
        place_lock(file.read_bytes(), place / name)
        facts = ModelFacts(uri=f"test:{name}", name=name, family="test")
        measured(cohort, place / name, model=facts)
    states = [decided(place / name).protocol.state for name in ("first", "second")]
    assert states == ["locked", "locked"]


def test_a_clock_that_was_set_back_changes_nothing(cohort: Path, tmp_path: Path) -> None:
    """The log's order is a chain of digests, whatever the times in it say."""
    measured(cohort, tmp_path / "first", model=ModelFacts(uri="t:a", name="a", family="t"))
    path = locked(cohort, tmp_path / "second")
    raw = json.loads(path.read_text())
    raw |= {"written": "2001-01-01T00:00:00+00:00", "examined_before": []}
    raw["lock"] = lock_identifier(raw)
    path.write_text(json.dumps(raw))
    place_lock(path.read_bytes(), tmp_path / "second")
    measured(cohort, tmp_path / "second")
    assert decided(tmp_path / "second").protocol.state == "locked after the fact"


# ---------------------------------------------------------------------------------------
# What differs


def test_what_differs_is_refused_before_anything_is_measured(cohort: Path, tmp_path: Path) -> None:
    locked(cohort, tmp_path / "one")
    with pytest.raises(Problems) as caught:
        evaluate(examination(cohort, split="train", keep_volumes="none"), tmp_path / "one")
    text = str(caught.value)
    assert "'train'" in text and "'test'" in text
    assert 'settings.keep_volumes is "none", and "worst" was locked' in text
    assert 'settings.families is null, and ["image"] was locked' in text
    assert not (tmp_path / "one" / "journal").exists()


def test_another_profile_is_refused_by_evaluate_and_breaks_a_verdict(
    cohort: Path, tmp_path: Path
) -> None:
    locked(cohort, tmp_path / "one")
    measured(cohort, tmp_path / "one")
    evidence = decided(tmp_path / "one", asked(bound=90))
    assert evidence.protocol.state == "broken"
    assert "profile.criteria.body MAE.bound is 90.0, and 60.0 was locked" in (
        evidence.protocol.sentence
    )


def test_a_locked_verdict_is_superseded_under_the_same_lock_alone(
    cohort: Path, tmp_path: Path
) -> None:
    locked(cohort, tmp_path / "one", asked(bound=1))
    measured(cohort, tmp_path / "one")
    first = decided(tmp_path / "one", asked(bound=1))
    assert overall(tmp_path / "one").outcome == "fail"
    with pytest.raises(Problems, match="only another verdict under the same lock"):
        decided(tmp_path / "one", asked(), supersedes=[first.verdict], because="too strict")
    again = decided(
        tmp_path / "one", asked(bound=1), supersedes=[first.verdict], because="a better reason"
    )
    assert again.protocol.state == "locked"


@pytest.mark.parametrize("how", ["edited", "gone", "another"])
def test_a_lock_that_was_touched_is_broken(cohort: Path, tmp_path: Path, how: str) -> None:
    path = locked(cohort, tmp_path / "one")
    measured(cohort, tmp_path / "one")
    raw = json.loads(path.read_text())
    path.unlink()
    if how != "gone":
        raw["written_by"] = "somebody else"
        if how == "another":
            raw["lock"] = lock_identifier(raw)
        path.write_text(json.dumps(raw))
    protocol = decided(tmp_path / "one").protocol
    words = {"edited": "was changed after", "gone": "is not there", "another": "was begun under"}
    assert protocol.state == "broken" and words[how] in protocol.sentence


def test_a_lock_is_never_overwritten(cohort: Path, tmp_path: Path) -> None:
    path = locked(cohort, tmp_path / "one")
    before = path.read_bytes()
    with pytest.raises(InputError, match="never overwritten"):
        locked(cohort, tmp_path / "one", asked(bound=99))
    assert path.read_bytes() == before


def test_an_evaluation_is_not_carried_on_without_its_lock(cohort: Path, tmp_path: Path) -> None:
    path = locked(cohort, tmp_path / "one")
    measured(cohort, tmp_path / "one")
    (tmp_path / "one" / "evaluation.json").unlink()
    path.unlink()
    with pytest.raises(QAError, match="was begun under the lock"):
        measured(cohort, tmp_path / "one")


# ---------------------------------------------------------------------------------------
# The command

PROFILE = """
schema_version: 1
name: two-patients
version: "1"
direction: MR->CT
anatomy: any
intended_use: Testing.
criteria:
  - {name: body ME, metric: me, region: body, bound: 30, direction: within, unit: HU,
     scope: pooled, min_patients: 2, source: Local decision.}
"""


def test_the_verbs_lock_and_evaluate(cohort: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("two.yaml").write_text(PROFILE)
    Path("three.yaml").write_text(PROFILE.replace("bound: 30", "bound: 40"))
    where = ["--out", "protocol", "--families", "image", "--no-track", "--by", "Ada"]
    assert run(["lock", str(cohort), "--profile", "two.yaml", *where]) == 0
    assert capsys.readouterr().out.strip() == "protocol/lock.json"
    assert read_lock(Path("protocol/lock.json")).written_by == "Ada"
    box = tmp_path / "box"
    box.mkdir()
    for case in load_cohort(cohort).in_split("test"):
        shutil.copy(cohort / case.reference, box / f"{case.case}.nii.gz")
    words = ["evaluate", str(cohort), "--images", "box", "--families", "image", "--no-track"]
    words += ["--lock", "protocol/lock.json", "--out", "evaluations/box"]
    assert run([*words, "--profile", "three.yaml"]) == 2
    assert "body ME.bound is 40.0, and 30.0 was locked" in capsys.readouterr().err
    assert run([*words, "--profile", "two.yaml", "--families", "image,noise"]) == 2
    assert run([*words, "--profile", "two.yaml"]) in (1, 3)  # copies are failures
    assert read_verdicts(Path("evaluations/box"))[-1].evidence.protocol.state == "locked"
    assert run(["lock", str(cohort), "--profile", "two.yaml", "--no-track"]) == 2
    assert "needs --out" in capsys.readouterr().err
