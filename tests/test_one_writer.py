"""One writer a folder: the second is refused and told who writes; who has ended writes no more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qa_suite.core import one_writer
from qa_suite.core.errors import InputError
from qa_suite.core.one_writer import WRITER_FILE, Writer, has_ended, writing
from tests.conftest import ROOT

HOLD = """
import sys, time
from contextlib import ExitStack
from pathlib import Path
from qa_suite.core.one_writer import writing
with ExitStack() as held:
    for place in sys.argv[1].splitlines():
        held.enter_context(writing(Path(place), "evaluate", file=len(sys.argv) > 2))
    print("held", flush=True)
    time.sleep(600)
"""


def started(code: str, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def holding(place: Path, *more: str) -> subprocess.Popen[str]:
    process = started(HOLD, str(place), *more)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = holding(tmp_path / "out")
    yield process
    process.kill()
    process.wait()


def test_the_second_is_refused_and_told_who_writes(tmp_path: Path, holder) -> None:
    who = rf"'qa-suite evaluate' \(process {holder.pid} on this machine, since "
    with pytest.raises(InputError, match=who), writing(tmp_path / "out", "judge"):
        pytest.fail("two write into one folder")


@pytest.mark.parametrize("reaped", [True, False])
def test_the_place_of_one_that_was_killed_is_taken(tmp_path: Path, holder, reaped: bool) -> None:
    holder.send_signal(signal.SIGKILL)
    if reaped:
        holder.wait()
    else:  # what is left of it has its number until its parent asks how it ended
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    with writing(tmp_path / "out", "judge"):
        assert Writer.model_validate_json((tmp_path / "out" / WRITER_FILE).read_text()).verb
    assert list((tmp_path / "out").iterdir()) == []


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    with writing(tmp_path / "new", "audit"):
        pass
    assert not (tmp_path / "new").exists()
    with pytest.raises(ValueError, match="on purpose"), writing(tmp_path / "new", "audit"):
        (tmp_path / "new" / "audit.json").write_text("{}")
        raise ValueError("on purpose")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["audit.json"]


def myself() -> Writer:
    return one_writer._myself("evaluate")


@pytest.mark.parametrize(
    ("change", "ended"),
    [
        ({}, False),
        ({"process_began": "1"}, True),  # its number went to another process
        ({"pid": 2**22 + 1, "process_began": "77"}, True),
        ({"boot": "another"}, True),
        ({"host": "another"}, False),  # nothing is guessed
        ({"machine": "another"}, False),
        ({"pid_space": "pid:[1]"}, False),
        ({"host": "another", "boot": "another", "process_began": "1"}, False),
    ],
)
def test_when_a_writer_is_known_to_have_ended(change: dict, ended: bool) -> None:
    assert has_ended(myself().model_copy(update=change)) == ended


def test_one_on_another_host_is_believed_and_the_way_out_is_told(tmp_path: Path) -> None:
    other = myself().model_copy(update={"host": "node-7", "process_began": "1"})
    (tmp_path / WRITER_FILE).write_text(other.model_dump_json())
    told = rf"on the machine node-7, .* if not, remove {tmp_path / WRITER_FILE}\."
    with pytest.raises(InputError, match=told), writing(tmp_path, "judge"):
        pytest.fail("guessed")


@pytest.mark.parametrize("content", [b"", b"{", b"\x00" * 40, b'{"pid": 3}'])
def test_a_file_that_a_crash_cut_off_names_nobody(tmp_path: Path, content: bytes) -> None:
    (tmp_path / WRITER_FILE).write_bytes(content)
    with writing(tmp_path, "judge"):
        pass


def test_the_clock_decides_nothing(tmp_path: Path, holder, monkeypatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    with pytest.raises(InputError), writing(tmp_path / "out", "judge"):
        pytest.fail("a clock that was set back makes nobody dead")


def test_the_same_thread_may_hold_it_again_and_another_may_not(tmp_path: Path) -> None:
    refused: list[bool] = []

    def other() -> None:
        try:
            with writing(tmp_path, "judge"):
                refused.append(False)
        except InputError:
            refused.append(True)

    with writing(tmp_path, "evaluate"):
        with writing(tmp_path / "." / "", "report"):
            pass
        assert (tmp_path / WRITER_FILE).is_file(), "the inner one does not let go"
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert refused == [True]
    other()
    assert refused == [True, False]


def test_files_in_one_folder_are_held_each_by_itself(tmp_path: Path) -> None:
    process = holding(tmp_path / "one.nii.gz", "file")
    try:
        with writing(tmp_path / "two.nii.gz", "gamma", file=True):
            pass
        with pytest.raises(InputError), writing(tmp_path / "one.nii.gz", "gamma", file=True):
            pytest.fail("two write one file")
    finally:
        process.kill()
        process.wait()


RACE = """
import os, sys, time
from pathlib import Path
from qa_suite.core.errors import InputError
from qa_suite.core.one_writer import writing
folder, end = Path(sys.argv[1]), float(sys.argv[2])
held = 0
while time.time() < end:
    try:
        with writing(folder / "out", "evaluate"):
            handle = os.open(folder / "alone", os.O_CREAT | os.O_EXCL)  # two at once cannot
            time.sleep(0.002)
            held += 1
            os.close(handle)
            os.unlink(folder / "alone")
            if held % 7 == 0:
                (folder / "ended").open("a").write("x")
                os._exit(3)  # without a word
    except InputError:
        time.sleep(0.001)
print(held)
"""


def test_of_many_that_begin_and_die_at_once_one_writes(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    end = time.time() + 4
    statuses = []
    while time.time() < end - 0.5:
        batch = [started(RACE, str(tmp_path), str(end)) for _ in range(4)]
        for process in batch:
            process.communicate()
            statuses.append(process.returncode)
    assert set(statuses) <= {0, 3}, "two wrote at once"
    assert 3 in statuses, "the place of one that had ended was taken"


def test_no_module_needs_what_only_one_system_has() -> None:
    """``fcntl`` and ``resource`` are imported where they are used, never at the top."""
    import ast

    for package in ("qa_suite", "translators", "reports"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.Import):
                    names = {alias.name for alias in node.names}
                    assert not names & {"fcntl", "resource", "msvcrt", "pwd", "grp"}, path
