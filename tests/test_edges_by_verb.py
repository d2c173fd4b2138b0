"""Every verb at its edges: a second writer, an output below a file, a disk that is full."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qa_suite.cli import run
from qa_suite.core.record_files import read_evaluation
from qa_suite.core.records import ModelFacts
from qa_suite.evaluation import registered
from tests.advice import verbs
from tests.conftest import ROOT
from tests.test_evaluate import noisy
from tests.test_one_writer import holding
from tests.verb_cases import (
    COMMANDS,
    IN_A_RECORD,
    ONE_FILE,
    WRITES_NOTHING,
    command,
    disk_full_after,
    make_material,
    written_by,
)

BIG = {"exam", "demo"}  # whose whole work is too long for here


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("material")
    make_material(folder)
    return folder


@pytest.fixture
def material(ready: Path, own_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(ready)
    facts = ModelFacts(uri="models:/m/1", name="m", family="test", direction="MR->CT")
    monkeypatch.setattr(registered, "load_translator", lambda *_, **__: (facts, noisy))
    return ready


@pytest.fixture(scope="module")
def holders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """A folder for each verb into which another process writes, and the record for judging."""
    places = {verb: tmp_path_factory.mktemp(verb) / "out" for verb in COMMANDS}
    processes: list[subprocess.Popen[str]] = []
    for kind in ((), ("file",)):
        mine = [v for v in COMMANDS if (v in ONE_FILE) == bool(kind)]
        processes += [holding_all([written_by(v, places[v]) for v in mine], *kind)]
    yield places
    for process in processes:
        process.kill()
        process.wait()


def holding_all(places: list[Path], *kind: str) -> subprocess.Popen[str]:
    return holding(Path("\n".join(map(str, places))), *kind)


def one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("qa-suite:")]
    assert len(told) == 1, told
    assert "internal error" not in told[0]
    return told[0]


def test_every_verb_is_here() -> None:
    assert set(COMMANDS) | WRITES_NOTHING == set(verbs())


@pytest.mark.parametrize("verb", COMMANDS)
def test_the_second_writer_is_refused(material, holders, verb: str, capsys) -> None:
    out = holders[verb]
    if verb in IN_A_RECORD:
        shutil.copytree("record", out, dirs_exist_ok=True)
    before = sorted(path.name for path in out.parent.rglob("*"))
    assert run(command(verb, out)) == 2
    said = one_sentence(capsys)
    assert "is being written by 'qa-suite evaluate' (process" in said
    assert str(written_by(verb, out)) in said
    assert sorted(path.name for path in out.parent.rglob("*")) == before


@pytest.mark.parametrize("verb", COMMANDS)
def test_an_output_below_a_file_is_refused(material, verb: str, capsys) -> None:
    assert run(command(verb, Path("file") / "below")) == 2
    assert "file" in one_sentence(capsys)


@pytest.mark.parametrize("verb", [verb for verb in COMMANDS if verb not in IN_A_RECORD])
def test_a_folder_that_cannot_be_written_is_refused(material, verb, monkeypatch, capsys) -> None:
    def read_only(*_):
        raise PermissionError(30, "Read-only file system", "out")

    monkeypatch.setattr("qa_suite.core.one_writer._opened", read_only)
    assert run(command(verb, Path("never"))) == 2
    assert "cannot be written (Read-only file system)" in one_sentence(capsys)


@pytest.mark.parametrize("size", [0, 700, 3000])
@pytest.mark.parametrize("verb", COMMANDS)
def test_a_full_disk_is_one_sentence_and_the_same_command_carries_on(
    material: Path, tmp_path: Path, verb: str, size: int, capsys
) -> None:
    if verb in BIG and size > 700:
        pytest.skip("hours of measuring come before its next file")
    out = tmp_path / "out"
    if verb in IN_A_RECORD:
        shutil.copytree("record", out)
    with disk_full_after(size):
        status = run(command(verb, out))
    if status in (2, 5):
        one_sentence(capsys)
    else:  # what it writes is small, or there was nothing to write
        assert status in (0, 1, 3), status
        assert size or verb == "checkup"
    nothing_to_learn = {"instrument", "utility"}  # nobody is delineated
    if status in (2, 5) and size == 700 and verb not in BIG | nothing_to_learn:
        assert run(command(verb, out)) in (0, 1, 3), capsys.readouterr().err


def test_of_two_evaluations_into_one_folder_one_is_made(material: Path, tmp_path: Path) -> None:
    """The second comes while the first is in its work, held there; the record is that of one."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    alone, out = tmp_path / "alone", tmp_path / "both"
    assert run(command("evaluate", alone)) == 0
    first = subprocess.Popen(
        [sys.executable, "-m", "qa_suite.cli", *command("evaluate", out)],
        cwd=material, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not (out / "journal" / "plan.json").exists():
            assert first.poll() is None, first.communicate()
            time.sleep(0.001)
        first.send_signal(signal.SIGSTOP)
        assert not (out / "evaluation.json").exists(), "it was stopped too late"
        second = subprocess.run(
            [sys.executable, "-m", "qa_suite.cli", *command("evaluate", out)],
            cwd=material, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        first.send_signal(signal.SIGCONT)
        said = first.communicate()[1].decode()
    assert (first.returncode, second.returncode) == (0, 2), said + second.stderr
    assert f"is being written by 'qa-suite evaluate' (process {first.pid} " in second.stderr
    assert read_evaluation(out).case_counts["evaluated"] == 2
    for table in ("measurements.parquet", "cases.parquet"):
        assert (out / table).read_bytes() == (alone / table).read_bytes()
    assert not list(out.glob(".*"))
