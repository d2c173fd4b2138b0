"""From lock to release: refused at the failing site, signed, released, withdrawn."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from qa_suite.cli import run
from qa_suite.core import store
from qa_suite.core.examination_log import LOG_FILE, read_log
from qa_suite.core.record_files import read_evaluation
from qa_suite.core.review_queue import add_event, new_event
from qa_suite.core.verdict_files import overall
from qa_suite.release.refusals import Candidate, _of_the_model
from tests.judging_record import criterion
from tests.mlflow_server import Nursery, Server
from tests.record_factory import make_record
from tests.record_facts import PROFILE
from tests.tiny_cohort import make_tiny_cohort
from tests.verb_cases import disk_full_after

MODEL = "models:/tiny/1"
PHRASE = "correct horse battery"


@dataclass
class Clinic:
    """Where somebody works: a folder with a cohort, a registered model, profiles and people."""

    place: Path

    def __call__(self, *words: str | Path) -> int:
        return run([str(word) for word in words])

    def evaluation(self, profile: str) -> Path:
        return self.place / profile / "evaluation"

    def measured(self, profile: str, *, lock: bool = True) -> Path:
        """Lock, evaluate and judge; return the evaluation."""
        out = self.evaluation(profile)
        words = ["cohort", MODEL, "--profile", f"{profile}.yaml", "--out", out, "--no-track"]
        words += ["--families", "image"]
        if lock:
            assert self("lock", *words) == 0
        self("evaluate", *words)
        return out

    def signed(self, out: Path, name: str = "Ada", meaning: str = "approved") -> int:
        key = ["--key", f"{name}.pem", "--passphrase-file", "phrase"]
        return self("sign", out, *key, "--meaning", meaning)

    def promoted(self, out: Path, profile: str, *more: str) -> int:
        words = ["--evaluation", out, "--profile", f"{profile}.yaml", "--by", "Ada"]
        return self("promote", MODEL, *words, *more)

    def refusals(self, out: Path, profile: str, capsys: Any) -> dict[str, str]:
        """Return the reasons why a release is refused, by code."""
        capsys.readouterr()
        assert self.promoted(out, profile, "--dry-run", "--json") == 1
        told = json.loads(capsys.readouterr().out)
        return {one["code"]: one["words"] for one in told["refused"]}


def profile(name: str, bound: float, **more: Any) -> dict[str, Any]:
    facts = {"scope": "worst_patient", "statistic": "max", "min_patients": 2, "bound": bound}
    one = criterion(**facts).model_dump(mode="json")
    head = {"name": name, "version": "1", "direction": "any", "anatomy": "any"}
    return head | {"intended_use": "tests", "criteria": [one]} | more


def prepare(place: Path) -> Clinic:
    """Write cohort, profiles, keys and reviewers, and register a model."""
    make_tiny_cohort(place / "cohort", "ttss")
    clinic = Clinic(place)
    for name, bound in (("wide", 5000.0), ("narrow", 0.001)):
        (place / f"{name}.yaml").write_text(yaml.safe_dump(profile(name, bound)))
    (place / "phrase").write_text(PHRASE)
    people = []
    for name in ("Ada", "Ben"):
        words = ["--name", name, "--role", "medical physicist", "--passphrase-file", "phrase"]
        assert clinic("key", f"{name}.pem", *words) == 0
        people += yaml.safe_load((place / f"{name}.reviewer.yaml").read_text())
    (place / "reviewers.yaml").write_text(yaml.safe_dump({"reviewers": people}))
    words = ["train", "intensity", "cohort", "--no-preflight", "--name", "tiny"]
    assert clinic(*words) == 0
    return clinic


@pytest.fixture
def clinic(own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clinic]:
    monkeypatch.setenv("QA_SUITE_REVIEWERS", str(tmp_path / "reviewers.yaml"))
    yield prepare(tmp_path)


def holder(alias: str = "champion") -> str:
    client = store.connect().MlflowClient()
    return str(client.get_registered_model("tiny").aliases.get(alias, ""))


def tags() -> dict[str, str]:
    return dict(store.connect().MlflowClient().get_model_version("tiny", "1").tags)


def whole_way(clinic: Clinic, capsys: Any) -> None:
    """Lock, evaluate, judge, sign, release, withdraw; refused and overridden on the way."""
    narrow, wide = clinic.measured("narrow"), clinic.measured("wide")
    assert clinic.signed(narrow) == 0
    refused = clinic.refusals(narrow, "narrow", capsys)
    assert set(refused) == {"did_not_pass"} and "hospital" not in refused["did_not_pass"]
    assert any(site in refused["did_not_pass"] for site in ("A", "B"))
    assert clinic.promoted(narrow, "narrow") == 1 and holder() == ""

    assert set(clinic.refusals(wide, "wide", capsys)) == {"not_signed"}
    assert clinic.signed(wide) == 0
    assert clinic.promoted(wide, "wide", "--dry-run") == 0 and holder() == ""
    assert clinic.promoted(wide, "wide") == 0 and holder() == "1"
    assert tags()["qa.outcome"] == "pass" and tags()["qa.outcome.wide"] == "pass"
    log = read_log(clinic.place / "wide" / LOG_FILE)
    assert [x.what for x in log.lines][-2:] == ["signed", "released"]
    assert tags()["qa.log_head"] == log.head
    card = store.connect().MlflowClient().get_model_version("tiny", "1").description
    assert "## What decides" in card and card.count("\n\n---\n\n") == 1
    assert clinic("verify", wide) == 0

    words = ["--because", "bone is wrong", "--by", "Ada", "--evaluations", "wide"]
    assert clinic("withdraw", MODEL, *words) == 0
    assert holder() == "" and "bone is wrong" in tags()["qa.withdrawn"]
    assert clinic("verify", wide) == 0
    assert set(clinic.refusals(wide, "wide", capsys)) == {"withdrawn"}
    in_spite = ["--override", "mended", "--key", "Ada.pem", "--passphrase-file", "phrase"]
    assert clinic.promoted(wide, "wide", *in_spite) == 0 and holder() == "1"
    assert "mended" in tags()["qa.override.champion"]
    assert read_log(clinic.place / "wide" / LOG_FILE).lines[-1].what == "overridden"


def test_the_whole_way_on_sqlite(clinic: Clinic, capsys) -> None:
    whole_way(clinic, capsys)


def test_every_condition_is_asked_for(clinic: Clinic, capsys) -> None:
    out = clinic.measured("wide", lock=False)
    assert set(clinic.refusals(out, "wide", capsys)) == {"not_locked", "not_signed"}
    assert set(clinic.refusals(out, "narrow", capsys)) == {"not_judged"}
    assert clinic("judge", out, "--profile", "narrow.yaml", "--no-track") == 1
    assert set(clinic.refusals(out, "wide", capsys)) == {"not_locked", "not_signed", "overall"}
    wide = json.loads(next((out / "verdicts").glob("*-0001.json")).read_text())["evidence"][
        "verdict"
    ]
    words = ["--verdict", wide]
    key = ["--key", "Ada.pem", "--passphrase-file", "phrase", "--meaning", "rejected"]
    assert clinic("sign", out, *key, *words) == 0
    assert "rejected" in clinic.refusals(out, "wide", capsys)
    people = yaml.safe_load((clinic.place / "reviewers.yaml").read_text())
    people["policy"] = {"signatures": 2, "valid_days": 1}
    (clinic.place / "reviewers.yaml").write_text(yaml.safe_dump(people))
    assert "expired" not in clinic.refusals(out, "wide", capsys)
    make_tiny_cohort(clinic.place / "other", "tttss")
    assert clinic("train", "intensity", "other", "--no-preflight", "--name", "tiny") == 0
    capsys.readouterr()
    words = ["--evaluation", out, "--profile", "wide.yaml", "--json"]
    assert clinic("promote", "models:/tiny/2", *words) == 1
    assert "other_model" in {x["code"] for x in json.loads(capsys.readouterr().out)["refused"]}
    raw = json.loads((out / "evaluation.json").read_text())
    raw["case_counts"]["evaluated"] += 1
    (out / "evaluation.json").write_text(json.dumps(raw))
    assert clinic.promoted(out, "wide") in (1, 2)


def test_what_cannot_be_asked_is_said_first(clinic: Clinic, capsys) -> None:
    out = clinic.evaluation("wide")
    for words in (["--alias", "v3"], ["--alias", "a b"], ["--override", "because"]):
        assert clinic.promoted(out, "wide", *words) == 2
        assert "qa-suite:" in capsys.readouterr().err
    assert clinic("withdraw", "tiny", "--because", "x", "--evaluations", ".") == 2
    assert clinic("withdraw", "models:/tiny/7", "--because", "x", "--evaluations", ".") == 2
    assert "list models" in capsys.readouterr().err


def test_an_alias_that_is_moved_by_hand_is_found(clinic: Clinic, capsys) -> None:
    out = clinic.measured("wide")
    assert clinic.signed(out) == 0 and clinic.promoted(out, "wide") == 0
    assert clinic("verify", out) == 0
    store.connect().MlflowClient().delete_registered_model_alias("tiny", "champion")
    assert clinic("verify", out) == 1
    assert "altered" in clinic.refusals(out, "wide", capsys)


def test_a_disk_that_is_full_releases_nothing(clinic: Clinic, capsys) -> None:
    out = clinic.measured("wide")
    assert clinic.signed(out) == 0
    capsys.readouterr()
    with disk_full_after(0):
        assert clinic.promoted(out, "wide") in (2, 5)
    assert "internal error" not in capsys.readouterr().err
    assert holder() == "" and not list((out / "releases").glob("*"))
    assert clinic.promoted(out, "wide") == 0 and holder() == "1"


@pytest.mark.slow
def test_the_whole_way_on_a_server(
    tmp_path: Path, _empty_database: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    shutil.copy(_empty_database, tmp_path / "mlflow.db")
    nursery = Nursery()
    server = Server(tmp_path, nursery)
    try:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        monkeypatch.setenv("QA_SUITE_REVIEWERS", str(tmp_path / "reviewers.yaml"))
        monkeypatch.chdir(tmp_path)
        whole_way(prepare(tmp_path), capsys)
    finally:
        server.die()
        nursery.end()


def test_models_may_be_registered_elsewhere_than_runs_are(
    own_store: Path, tmp_path: Path, _empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = f"sqlite:///{tmp_path / 'registry.db'}"
    shutil.copy(_empty_database, tmp_path / "registry.db")
    for number in range(2):  # what MLflow writes into the environment is nobody's wish
        assert store.connect().get_registry_uri() == store.tracking_uri()
        assert store.registry_uri() == store.tracking_uri(), number
        assert "MLFLOW_REGISTRY_URI" not in os.environ
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", elsewhere)
    assert store.connect().get_registry_uri() == elsewhere
    store.connect().MlflowClient().create_registered_model("here")
    monkeypatch.delenv("MLFLOW_REGISTRY_URI")
    assert not store.connect().MlflowClient().search_registered_models()


def test_a_backup_says_what_the_original_said(clinic: Clinic, tmp_path: Path, monkeypatch) -> None:
    out = clinic.measured("wide")
    add_event(out, new_event("Ada", "accepted", "e" * 16, case="case3"))
    assert clinic.signed(out) == 0 and clinic.promoted(out, "wide") == 0
    shutil.copytree(tmp_path / "wide", tmp_path / "backup" / "wide")
    shutil.copytree(tmp_path / "mlruns", tmp_path / "backup" / "mlruns")
    shutil.rmtree(out.parent)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'backup/mlruns/mlflow.db'}")
    restored = tmp_path / "backup" / "wide" / out.name
    assert clinic("verify", restored) == 0
    (restored / "reviews.jsonl").write_text('{"before": ""}\n')
    assert clinic("verify", restored) == 1


@pytest.mark.parametrize(
    ("examined", "registered", "codes"),
    [
        ({}, {}, []),
        ({"digest": "a" * 64}, {"digest": "a" * 64}, []),
        ({"digest": "a" * 64}, {"digest": "b" * 64}, ["other_model"]),
        ({"digest": None}, {"digest": "b" * 64}, []),  # a record from before
        ({"weights_sha256": "f" * 64}, {}, ["other_model"]),
        ({"weights_sha256": None}, {}, ["unknown_weights"]),
        ({"asked": {"steps": 4}}, {}, ["other_model"]),
    ],
)
def test_the_same_model_is_the_same_files(examined, registered, codes, tmp_path: Path) -> None:
    make_record(tmp_path / "one", keep=False)
    record = read_evaluation(tmp_path / "one")
    model = record.model.model_copy(update={"weights_sha256": "e" * 64})
    candidate = Candidate(
        folder=tmp_path / "one",
        evaluation=record.model_copy(update={"model": model.model_copy(update=examined)}),
        judged=overall(tmp_path / "one"),
        doubts=(),
        model=model.model_copy(update=registered),
        withdrawn="",
        profile=PROFILE,
        profile_sha256="",
    )
    assert [code for code, _ in _of_the_model(candidate)] == codes
