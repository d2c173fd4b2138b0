"""Workers that SLURM starts, with a SLURM of the test's own: three programs that run a job here."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if importlib.util.find_spec("dask_jobqueue") is None:
    pytest.skip("dask is not installed (pip install 'qa-suite[dask]')", allow_module_level=True)

from qa_suite.core.errors import InputError
from qa_suite.core.executors.crew import Crew, executor_of
from qa_suite.core.executors.jobs import Kit, in_order, jobs_of
from tests import executor_cases as cases
from tests.dask_cluster import wait_for

SBATCH = """#!/bin/sh
n=$(ls {folder}/job-* 2>/dev/null | wc -l)
cp "$1" {folder}/job-$n.sh
setsid sh {folder}/job-$n.sh > {folder}/said-$n 2>&1 &
echo $! > {folder}/pid-$n
echo "Submitted batch job $n"
"""
SCANCEL = """#!/bin/sh
for n in "$@"; do kill -TERM -- -$(cat {folder}/pid-$n); done
"""
REFUSES = """#!/bin/sh
echo "sbatch: error: invalid account physics" >&2
exit 1
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of programs called sbatch and scancel; what they started is ended at the end."""
    place = tmp_path / "slurm"
    place.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        write_program(place / name, text.format(folder=place))
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    monkeypatch.chdir(tmp_path)
    yield place
    for file in place.glob("pid-*"):
        try:
            os.killpg(int(file.read_text()), signal.SIGKILL)
        except ProcessLookupError:
            continue


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def jobs_file(folder: Path, more: str = "") -> Path:
    file = folder / "jobs.yaml"
    file.write_text(
        f"jobs: 1\ncores: 2\nmemory: 4GB\nshared_temp_directory: {folder}\n"
        f"interface: lo\nlocal_directory: {folder}\nwalltime: '00:10:00'\n{more}"
    )
    return file


def test_a_job_of_two_cores_is_two_workers_that_are_ended_with_the_call(
    slurm: Path, tmp_path: Path
) -> None:
    crew = Crew(dask_slurm=jobs_file(tmp_path, "job_extra_directives: ['-G 1']\n"))
    with executor_of(crew, Kit(make=cases.as_they_are)) as executor:
        seen = list(in_order(executor, jobs_of(cases.surroundings, range(8))))
    assert len({pid for pid, *_ in seen}) == 2
    script = (slurm / "job-0.sh").read_text()
    for line in ("#SBATCH --cpus-per-task=2", "#SBATCH -t 00:10:00", "#SBATCH -G 1"):
        assert line in script
    assert "--nthreads 1" in script and "--nworkers 2" in script and "tls://127.0.0.1" in script
    keys = re.findall(r"--tls-key (\S+)", script)
    assert len(keys) == 1 and not Path(keys[0]).exists(), "the run's own key is gone"
    wait_for(lambda: not any(alive(pid) for pid, *_ in seen))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_what_slurm_says_against_it_is_told(slurm: Path, tmp_path: Path) -> None:
    write_program(slurm / "sbatch", REFUSES)
    crew = Crew(dask_slurm=jobs_file(tmp_path))
    with (
        executor_of(crew, Kit(make=cases.as_they_are)) as executor,
        pytest.raises(InputError, match=r"SLURM takes no jobs .*invalid account physics"),
    ):
        list(executor.run(jobs_of(cases.squared, [1])))
