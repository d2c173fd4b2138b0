"""Audits and comparisons in MLflow: a run each, and nothing lost where the server is away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qa_suite.audit.tracking import AUDITS, COMPARISONS
from qa_suite.cli import run
from qa_suite.core import store
from qa_suite.core.outbox.lines import OUTBOX_FILE
from tests.audit_cases import PRIMARY, at_site, source, write
from tests.test_audit_compare import better_by

AWAY = "http://127.0.0.1:9"  # nobody listens to the discard service
MARGINS = "mae:body=3,dice:seg:Bone=0.02"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Evaluations of two models on the same patients, the new one worse at hospital H."""
    old = source(sites="ABCH", patients=8)
    new = better_by(source(sites="ABCH", patients=8, change=at_site("H", 6)), mae=0.0)
    return write(new, tmp_path / "new"), write(old, tmp_path / "old")


def audited(new: Path, out: Path, *more: str) -> int:
    words = ["audit", str(new), "--primary", ",".join(PRIMARY), "--by", "site"]
    return run([*words, "--out", str(out), *more])


def compared(new: Path, old: Path, out: Path, *more: str) -> int:
    words = ["compare", str(new), str(old), "--ask", "equivalence", "--margin", MARGINS]
    return run([*words, "--out", str(out), *more])


def runs_of(experiment: str) -> list[Any]:
    client = store.connect().MlflowClient()
    found = client.get_experiment_by_name(experiment)
    return [] if found is None else list(client.search_runs([found.experiment_id]))


def files_of(one: Any) -> set[str]:
    client = store.connect().MlflowClient()
    return {item.path for item in client.list_artifacts(one.info.run_id, "record")}


def test_an_audit_is_a_run_with_its_record(
    own_store: Path, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "audit"
    assert audited(folders[0], out) == 1, "H is named"
    assert audited(folders[0], out) == 1, "the same audit again is the same run"
    (one,) = runs_of(AUDITS)
    tags = one.data.tags
    assert (tags["qa.kind"], tags["qa.outcome"]) == ("audit", "named")
    assert "H" in tags["qa.sentence"] and tags["qa.model"] == "models:/pelvis/1"
    assert one.info.status == "FINISHED"
    assert one.data.params["primary"] == "mae:body, me:body, dice:seg:Bone"
    figures = one.data.metrics
    assert figures["H/mae.body"] - figures["A/mae.body"] > 20
    assert figures["H/gap.mae.body"] > 20 > abs(figures["A/gap.mae.body"])
    assert files_of(one) == {"record/audit.json", "record/audit.html"}
    (cohort,) = one.inputs.dataset_inputs
    assert cohort.dataset.name == "hospitals" and cohort.tags[0].value == "audit"
    assert not (out / OUTBOX_FILE).exists()


def test_a_comparison_is_a_run_with_both_models(
    own_store: Path, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    compared(*folders, tmp_path / "comparison")
    (one,) = runs_of(COMPARISONS)
    tags = one.data.tags
    assert (tags["qa.kind"], tags["qa.asked"]) == ("comparison", "equivalence")
    assert tags["qa.outcome"] in ("yes", "no", "undecided")
    assert tags["qa.evaluations"].count(",") == 1
    assert one.data.params["margins"] == "mae:body=3, dice:seg:Bone=0.02"
    figures = one.data.metrics
    difference = figures["new/mae.body"] - figures["old/mae.body"]
    assert figures["difference/mae.body"] == pytest.approx(difference)
    assert files_of(one) == {"record/comparison.json", "record/comparison.html"}


def test_with_the_server_away_one_sentence_is_said_and_nothing_is_lost(
    own_store: Path,
    folders: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outs = tmp_path / "audits" / "one", tmp_path / "audits" / "two"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", AWAY)
    assert audited(folders[0], outs[0]) == 1, "the exit status is the audit's"
    said = capsys.readouterr().err
    assert said.count("takes nothing") == 1 and f"qa-suite sync {outs[0]}" in " ".join(said.split())
    compared(*folders, outs[1])
    assert capsys.readouterr().err.count("takes nothing") == 1
    for out, record in zip(outs, ("audit", "comparison"), strict=True):
        assert {p.name for p in out.iterdir()} >= {f"{record}.json", f"{record}.html", OUTBOX_FILE}

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{own_store / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    assert run(["sync"]) == 0
    assert [one.info.status for one in (*runs_of(AUDITS), *runs_of(COMPARISONS))] == [
        "FINISHED"
    ] * 2
    assert files_of(runs_of(AUDITS)[0]) == {"record/audit.json", "record/audit.html"}
    assert not any((out / OUTBOX_FILE).exists() for out in outs)


def test_no_track_tells_nobody(own_store: Path, folders: tuple[Path, Path], tmp_path: Path) -> None:
    assert audited(folders[0], tmp_path / "audit", "--no-track") == 1
    compared(*folders, tmp_path / "comparison", "--no-track")
    assert runs_of(AUDITS) == runs_of(COMPARISONS) == []
    assert not list(tmp_path.rglob(OUTBOX_FILE))
