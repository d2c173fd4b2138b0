"""What may be asked of workers: everything else is refused before anything is started."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

from qa_suite.cli import run
from qa_suite.core.errors import InputError, Problems, QAError
from qa_suite.core.executors import crew as crews
from qa_suite.core.executors.addresses import address_problems
from qa_suite.core.executors.crew import Crew
from qa_suite.core.executors.slurm import read_slurm

SAFE = (
    "tls://10.0.0.2:8786", "tls://scheduler.clinic:8786", "tls://[fe80::1]:8786",
    "tcp://127.0.0.1:8786", "tcp://127.9.9.9:1", "tcp://localhost:8786", "tcp://[::1]:8786",
)  # fmt: skip
OPEN = (
    "tcp://10.0.0.2:8786", "tcp://scheduler.clinic:8786", "tcp://[fe80::1]:8786", "tcp://0.0.0.0:8786",
    "tcp://127.0.0.1.evil.org:8786", "tcp://localhost.evil.org:8786", "tcp://[::]:8786",
    "tcp://[::ffff:10.0.0.2]:8786", "tcp://2130706433:8786",
)  # fmt: skip
NO_ADDRESS = (
    "10.0.0.2:8786", "127.0.0.1:8786", "ws://127.0.0.1:8786", "wss://127.0.0.1:8786", "ucx://127.0.0.1:1",
    "inproc://127.0.0.1/1/1", "http://127.0.0.1:8787", "tls://10.0.0.2", "tls://:8786",
    "tcp://127.0.0.1:0", "tcp://127.0.0.1:99999", "tcp://127.0.0.1:port", "",
)  # fmt: skip


@pytest.mark.parametrize("address", SAFE)
def test_safe_addresses(address: str) -> None:
    assert list(address_problems(address)) == []


@pytest.mark.parametrize("address", OPEN)
def test_nothing_is_said_in_the_open_beyond_this_machine(address: str) -> None:
    (problem,) = address_problems(address)
    assert "is not on this machine" in problem and "give tls://" in problem


@pytest.mark.parametrize("address", NO_ADDRESS)
def test_what_is_no_address(address: str) -> None:
    assert len(list(address_problems(address))) == 1


def test_every_problem_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(Problems) as caught:
        Crew(workers=0, dask="tcp://far:1", dask_local=0, dask_tls=tmp_path / "none")
    assert caught.value.problems == (
        "workers must be at least 1, got 0",
        "--dask and --dask-local are two clusters; name one",
        "tcp://far:1 is not on this machine, and whoever reads or sends plain tcp:// there could "
        "run code here; start scheduler and workers with certificates and give tls://far:1",
        "--dask-local must be at least 1, got 0",
        "--dask-tls is for --dask tls://HOST:PORT",
        f"there is no folder {tmp_path / 'none'}",
    )


def test_a_folder_of_certificates_is_whole_and_its_key_is_ones_own(tmp_path: Path) -> None:
    (tmp_path / "key.pem").touch(mode=0o644)
    (tmp_path / "ca.pem").touch()
    with pytest.raises(Problems) as caught:
        Crew(dask="tls://far:1", dask_tls=tmp_path)
    key = tmp_path / "key.pem"
    assert caught.value.problems == (
        f"{tmp_path} holds no cert.pem",
        f"{key} can be read by others; 'chmod 600 {key}' takes it from them",
    )


@pytest.mark.parametrize("package", ["distributed", "dask_jobqueue"])
def test_without_dask_the_extra_is_named(tmp_path: Path, monkeypatch, package: str) -> None:
    file = tmp_path / "jobs.yaml"
    file.write_text("jobs: 1\ncores: 1\nmemory: 8GB\nshared_temp_directory: .\n")
    known = importlib.util.find_spec
    monkeypatch.setattr(
        crews.importlib.util, "find_spec", lambda name: None if name == package else known("json")
    )
    with pytest.raises(InputError, match=r"is not installed here; install qa-suite\[dask\]"):
        Crew(dask_slurm=file)


def test_the_command_refuses_before_it_reads_anything(capsys) -> None:
    words = ["evaluate", "no-cohort", "oracle:twin", "--dask", "tcp://far:8786"]
    assert run(words) == 2
    assert "tcp://far:8786 is not on this machine" in capsys.readouterr().err


def test_one_gpu_by_its_number_is_refused_where_each_worker_has_its_own(capsys) -> None:
    words = ["evaluate", "no-cohort", "oracle:twin", "--workers", "2", "--device", "cuda:1"]
    assert run(words) == 2
    assert "--device cuda:1 names one GPU" in capsys.readouterr().err


# ------------------------------------------------------------------ SLURM


def test_a_file_of_jobs_becomes_one_worker_a_core_with_one_thread_and_no_pages(
    tmp_path: Path,
) -> None:
    file = tmp_path / "jobs.yaml"
    file.write_text(
        f"jobs: 3\ncores: 8\nmemory: 64GB\nqueue: gpu\nshared_temp_directory: {tmp_path}\n"
        "job_extra_directives: ['--gres=gpu:1']\n"
    )
    jobs = read_slurm(file)
    assert jobs.jobs == 3
    assert jobs.cluster_options() == {
        "cores": 8, "processes": 8, "memory": "64GB", "queue": "gpu",
        "shared_temp_directory": str(tmp_path), "death_timeout": 120,
        "job_extra_directives": ["--gres=gpu:1"], "job_script_prologue": [],
        "worker_extra_args": ["--no-dashboard", "--memory-limit", "0"],
        "scheduler_options": {"dashboard": False},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 1", "a block of keys is needed"),
        ("jobs: 1\ncores: 1\nmemory: 8GB", "shared_temp_directory"),
        ("jobs: 0\ncores: 1\nmemory: 8GB\nshared_temp_directory: .", "jobs"),
        ("jobs: 1\ncores: two\nmemory: 8GB\nshared_temp_directory: .", "cores"),
        ("jobs: 1\ncores: 1\nmemory: much\nshared_temp_directory: .", "'much' is no size"),
        ("jobs: 1\ncores: 1\nmemory: 8GB\nshared_temp_directory: .\nprocesses: 2", "processes"),
        ("jobs: 1\ncores: 1\nmemory: 8GB\nshared_temp_directory: .\nsecurity: no", "security"),
        ("jobs: 1\ncores: 1\nmemory: 8GB\nshared_temp_directory: gone", "there is no folder gone"),
        (
            "jobs: 1\ncores: 1\nmemory: 8GB\nshared_temp_directory: .\nqueue: ''",
            "one line is needed",
        ),
    ],
)
def test_a_file_of_jobs_that_cannot_be(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "jobs.yaml"
    file.write_text(text)
    with pytest.raises(QAError) as caught:
        read_slurm(file)
    assert said in str(caught.value) and str(file) in str(caught.value)


# ------------------------------------------------------------------ a cluster that runs already


def cluster_of(scheduler: str, *workers: tuple[str, int]) -> SimpleNamespace:
    facts = {
        "address": scheduler,
        "workers": {a: {"nthreads": n, "status": "running"} for a, n in workers},
    }
    return SimpleNamespace(scheduler_info=lambda n_workers: facts)


def test_a_cluster_is_joined_only_where_all_of_it_is_spoken_with_safely() -> None:
    pytest.importorskip("distributed", reason="dask is not installed")
    from qa_suite.core.executors.clusters import require_open

    here, safe = "tcp://127.0.0.1:1", "tls://10.0.0.2:1"
    found = require_open(cluster_of(here, ("tcp://127.0.0.1:2", 1)), "It")
    assert found == {"tcp://127.0.0.1:2": "running"}
    require_open(cluster_of(safe, ("tls://10.0.0.3:1", 1)), "It")
    for scheduler, worker in (("tcp://10.0.0.2:1", here), (here, "tcp://10.0.0.3:1")):
        with pytest.raises(InputError, match=r"It: tcp://10\.0\.0\.\d:1 is not on this machine"):
            require_open(cluster_of(scheduler, (worker, 1)), "It")
    with pytest.raises(
        InputError, match=r"has 8 threads.* start workers with 'dask worker --nthreads 1'"
    ):
        require_open(cluster_of(here, (here, 8)), "It")
