"""Whoever does the work, the answers are alike; who is ended is replaced, and nobody outlives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from qa_suite.core.errors import InputError, Problems, Unfinished
from qa_suite.core.executors.crew import Crew, executor_of
from qa_suite.core.executors.here import Here
from qa_suite.core.executors.jobs import Job, Kit, Trials, WorkerDied, in_order, jobs_of
from qa_suite.core.executors.processes import Processes
from qa_suite.core.executors.share import cores, environment_of, gpus, one_thread
from qa_suite.core.failures import is_of_the_run
from tests import executor_cases as cases

NOTHING = Kit(make=cases.as_they_are)
TWO = Crew(workers=2)
"""Each worker is a new process: a tenth of a second, since it imports nothing but these jobs."""


def answers(crew: Crew, kit: Kit, function: Callable, tasks: range) -> dict[str, object]:
    with executor_of(crew, kit) as executor:
        return {done.name: done.answer for done in executor.run(jobs_of(function, tasks))}


def test_whoever_does_it_the_answers_are_the_same() -> None:
    known = {str(n): n * n for n in range(5)}
    assert answers(Crew(), NOTHING, cases.squared, range(5)) == known
    assert answers(TWO, NOTHING, cases.squared, range(5)) == known


def test_one_worker_is_this_process_and_more_are_not() -> None:
    assert isinstance(executor_of(Crew(), NOTHING), Here)
    assert isinstance(executor_of(TWO, NOTHING), Processes)
    with pytest.raises(Problems, match="workers must be at least 1, got 0"):
        Crew(workers=0)


def test_tools_are_made_once_a_worker_and_serve_several_calls(tmp_path: Path) -> None:
    with executor_of(TWO, Kit(make=cases.noted, material=tmp_path)) as executor:
        first = list(in_order(executor, jobs_of(cases.squared, range(6))))
        second = list(in_order(executor, jobs_of(cases.squared, range(6))))
    assert first == second == [0, 1, 4, 9, 16, 25]
    assert len(list(tmp_path.glob("made-*"))) == 2


@pytest.mark.parametrize("crew", [Crew(), TWO], ids=["here", "processes"])
def test_what_a_job_raises_is_its_own_and_the_others_go_on(crew: Crew) -> None:
    with executor_of(crew, NOTHING) as executor:
        found = {done.name: done for done in executor.run(jobs_of(cases.failing, range(4)))}
    assert {name: done.answer for name, done in found.items() if name != "2"} == {
        "0": 0, "1": 1, "3": 3
    }  # fmt: skip
    error = found["2"].error
    assert isinstance(error, OSError) and error.errno == 28
    assert error.filename == "volumes/x.nii.gz"


def test_what_cannot_travel_back_is_told_in_words() -> None:
    with executor_of(TWO, NOTHING) as executor:
        (odd,) = executor.run(jobs_of(cases.oddly_failing, [1]))
        (unfit,) = executor.run(jobs_of(cases.unsendable, [1]))
    assert str(odd.error) == "Odd: two words"
    assert "cannot travel" in str(unfit.error)


@pytest.mark.parametrize("crew", [Crew(), TWO], ids=["here", "processes"])
def test_tools_that_cannot_be_made_end_the_call_with_their_reason(crew: Crew) -> None:
    with (
        executor_of(crew, Kit(make=cases.refused)) as executor,
        pytest.raises(InputError, match="the weights are not those that were registered"),
    ):
        list(executor.run(jobs_of(cases.squared, range(3))))


def test_what_exists_in_this_process_alone_is_refused_before_anything_starts() -> None:
    with pytest.raises(InputError, match=r"exists in this process alone .* take one worker"):
        executor_of(TWO, Kit(make=lambda material: material))


def test_what_the_started_script_defines_is_refused(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from qa_suite.core.executors.crew import Crew, executor_of\n"
        "from qa_suite.core.executors.jobs import Kit\n"
        "def make(material): ...\n"
        "executor_of(Crew(workers=2), Kit(make=make))\n"
    )
    ended = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=environment()
    )
    assert "put it into a module, or take one worker" in ended.stderr


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def test_a_worker_that_is_ended_is_replaced_and_its_job_done_again(tmp_path: Path) -> None:
    kit = Kit(make=cases.as_they_are, material=tmp_path)
    assert answers(TWO, kit, cases.once_deadly, range(4)) == {str(n): n for n in range(4)}
    tries = [len(list(tmp_path.glob(f"tried-{n}-*"))) for n in range(4)]
    assert tries == [1, 2, 1, 2]


def test_a_job_that_ends_every_worker_is_given_up_alone(tmp_path: Path) -> None:
    kit = Kit(make=cases.as_they_are, material=tmp_path)
    with executor_of(TWO, kit) as executor:
        found = {done.name: done for done in executor.run(jobs_of(cases.always_deadly, range(4)))}
    assert {name for name, done in found.items() if done.error is None} == {"0", "2", "3"}
    error = found["1"].error
    assert isinstance(error, WorkerDied) and is_of_the_run(error)
    assert str(error) == (
        "the worker that did it was ended 3 times, the last time with nothing else beside it "
        "(signal 9)"
    )
    assert len(list(tmp_path.glob("deadly-*"))) == 3
    assert list(tmp_path.glob("deadly-0-*")), "the last time nothing ran beside it"


def test_workers_that_end_before_they_begin_end_the_call_in_one_sentence() -> None:
    with (
        executor_of(TWO, Kit(make=cases.stillborn)) as executor,
        pytest.raises(
            Unfinished, match=r"end before they can begin \(signal 9, 3 times in a row\)"
        ),
    ):
        list(executor.run(jobs_of(cases.squared, range(3))))


def test_a_worker_that_was_ended_while_idle_is_blamed_on_no_job() -> None:
    with executor_of(TWO, NOTHING) as executor:
        pids = {pid for pid, *_ in in_order(executor, jobs_of(cases.surroundings, range(4)))}
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=5)
        again = {pid for pid, *_ in in_order(executor, jobs_of(cases.surroundings, range(4)))}
    assert len(pids) == len(again) == 2 and not pids & again


# ------------------------------------------------------------------ nobody outlives


def wait_for(what: Callable[[], object], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def test_leaving_early_ends_everybody(tmp_path: Path) -> None:
    kit = Kit(make=cases.as_they_are, material=tmp_path)
    with pytest.raises(KeyboardInterrupt), executor_of(TWO, kit) as executor:
        jobs = [Job(name="quick", function=cases.squared, task=2), *jobs_of(cases.endless, [1])]
        for _ in executor.run(jobs):
            wait_for(lambda: list(tmp_path.glob("endless-*")))
            raise KeyboardInterrupt
    (pid,) = (int(path.name.rpartition("-")[2]) for path in tmp_path.glob("endless-*"))
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_worker_outlives_whoever_asked(tmp_path: Path, number: signal.Signals) -> None:
    code = (
        "from pathlib import Path; from qa_suite.core.executors.crew import *;"
        "from qa_suite.core.executors.jobs import *; from tests import executor_cases as c;"
        f"k = Kit(make=c.as_they_are, material=Path({str(tmp_path)!r}));"
        "e = executor_of(Crew(workers=2), k).__enter__();"
        "list(e.run(jobs_of(c.endless, range(2))))"
    )
    asker = subprocess.Popen(
        [sys.executable, "-c", code], env=environment(), stderr=subprocess.PIPE
    )
    try:
        wait_for(lambda: len(list(tmp_path.glob("endless-*"))) == 2)
        asker.send_signal(number)
        asker.communicate(timeout=20)
    finally:
        asker.kill()
    pids = [int(path.name.rpartition("-")[2]) for path in tmp_path.glob("endless-*")]
    wait_for(lambda: not any(map(psutil.pid_exists, pids)))


# ------------------------------------------------------------------ what a worker gets


def test_each_worker_has_one_thread_and_a_gpu_of_its_own(monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", cases.TWO_GPUS["CUDA_VISIBLE_DEVICES"])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with executor_of(TWO, NOTHING) as executor:
        found = set(in_order(executor, jobs_of(cases.surroundings, range(6))))
    assert {threads for _, threads, _ in found} == {"1"}
    assert sorted(gpu for _, _, gpu in found) == ["GPU-a", "GPU-b"]


@pytest.mark.parametrize(
    ("said", "listed", "known"),
    [
        (None, 0, ()),
        (None, 3, ("0", "1", "2")),
        ("", 3, ()),
        ("-1", 3, ()),
        ("2", 3, ("2",)),
        ("MIG-a, MIG-b", 1, ("MIG-a", "MIG-b")),
    ],
)
def test_the_gpus_that_may_be_used(tmp_path: Path, said, listed: int, known) -> None:
    for n in range(listed):
        (tmp_path / f"0000:0{n}:00.0").mkdir()
    surroundings = {} if said is None else {"CUDA_VISIBLE_DEVICES": said}
    assert gpus(surroundings, tmp_path) == known


def test_more_workers_than_gpus_share_them_and_one_gpu_is_left_as_it_is(monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    shared = [environment_of(n, 5)["CUDA_VISIBLE_DEVICES"] for n in range(5)]
    assert shared == ["4", "7", "4", "7", "4"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
    assert "CUDA_VISIBLE_DEVICES" not in environment_of(0, 5)


def test_cores_are_shared_out_among_the_workers(monkeypatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    assert cores() == 16
    assert environment_of(0, 3)["QA_SUITE_CORES"] == "5"
    assert environment_of(0, 40)["QA_SUITE_CORES"] == "1"
    monkeypatch.setenv("QA_SUITE_CORES", "5")
    assert cores() == 5


def test_one_worker_here_computes_on_one_thread_too_and_gives_the_others_back(monkeypatch) -> None:
    import torch

    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    torch.set_num_threads(2)
    with one_thread():
        assert torch.get_num_threads() == 1
        assert os.environ["OMP_NUM_THREADS"] == "1"
    assert torch.get_num_threads() == 2
    assert os.environ["OMP_NUM_THREADS"] == "3"


# ------------------------------------------------------------------ which job is next


def test_jobs_that_ended_a_worker_wait_until_the_others_are_done() -> None:
    a, b, c = jobs = jobs_of(cases.squared, range(3))
    trials = Trials(jobs)
    assert trials.take(0) is a
    assert trials.died(a, "signal 9") is None
    assert trials.take(1) is b and trials.take(1) is c
    assert trials.take(1) is a
    assert trials.died(a, "signal 9") is None
    assert trials.take(1) is None, "its last trial waits until nothing runs beside it"
    trials.died(c, "signal 9")
    assert trials.take(0) is c, "who ended fewer workers comes first"
    trials.ended(c)
    assert trials.take(0) is a
    given_up = trials.died(a, "signal 9")
    assert given_up is not None and isinstance(given_up.error, WorkerDied)
    assert not trials


def test_nothing_begins_beside_a_last_trial() -> None:
    a, b = jobs = jobs_of(cases.squared, range(2))
    trials = Trials(jobs)
    for job in (a, b, a, b):
        assert trials.take(0) is job
        trials.died(job, "signal 9")
    assert trials.take(0) is a
    assert trials.take(0) is None and trials.take(1) is None
    trials.ended(a)
    assert trials.take(0) is b


def test_two_jobs_of_one_name_are_a_mistake_of_ours() -> None:
    job = Job(name="x", function=cases.squared, task=1)
    with pytest.raises(ValueError, match="Two jobs have one name"):
        Trials([job, job])
