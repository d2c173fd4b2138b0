"""Workers of dask do the same; they are joined with certificates, and their deaths are counted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="dask is not installed (pip install 'qa-suite[dask]')")

from qa_suite.core.errors import InputError, Unfinished
from qa_suite.core.executors import clusters, on_dask
from qa_suite.core.executors.crew import Crew, executor_of
from qa_suite.core.executors.jobs import Job, Kit, WorkerDied, in_order, jobs_of
from tests import executor_cases as cases
from tests.dask_certificates import write_certificates
from tests.dask_cluster import cluster, tls_options, wait_for

NOTHING = Kit(make=cases.as_they_are)
LOCAL = Crew(dask_local=2)


def test_on_this_machine_the_answers_are_the_same_and_deaths_are_each_jobs_own(
    tmp_path: Path,
) -> None:
    """One cluster for all of it: it costs a second to start."""
    kit = Kit(make=cases.as_they_are, material=tmp_path)
    with executor_of(LOCAL, kit) as executor:
        assert list(in_order(executor, jobs_of(cases.squared, range(6)))) == [0, 1, 4, 9, 16, 25]
        found = {done.name: done for done in executor.run(jobs_of(cases.failing, range(4)))}
        error = found.pop("2").error
        assert isinstance(error, OSError) and error.filename == "volumes/x.nii.gz"
        assert {name: done.answer for name, done in found.items()} == {"0": 0, "1": 1, "3": 3}
        seen = set(in_order(executor, jobs_of(cases.surroundings, range(6))))
        assert len(seen) == 2 and {threads for _, threads, _ in seen} == {"1"}
        assert list(in_order(executor, jobs_of(cases.once_deadly, range(4)))) == [0, 1, 2, 3]
        assert [len(list(tmp_path.glob(f"tried-{n}-*"))) for n in range(4)] == [1, 2, 1, 2]
        found = {done.name: done for done in executor.run(jobs_of(cases.always_deadly, range(3)))}
    assert {name for name, done in found.items() if done.error is None} == {"0", "2"}
    assert isinstance(found["1"].error, WorkerDied)
    assert len(list(tmp_path.glob("deadly-*"))) == 3
    assert list(tmp_path.glob("deadly-0-*"))


def test_a_scheduler_is_joined_with_certificates_of_its_authority_alone(
    tmp_path: Path, monkeypatch
) -> None:
    """One scheduler with one worker, by two programs, for all of it."""
    monkeypatch.setattr(on_dask, "_GONE_S", 1.0)
    monkeypatch.setattr(clusters, "_CONNECT_S", 3)
    ours, others = write_certificates(tmp_path / "ours"), write_certificates(tmp_path / "others")
    with cluster(tmp_path, tls_options(ours)) as running:
        assert running.address.startswith("tls://127.0.0.1:")
        running.add_worker()
        ask = Crew(dask=running.address, dask_tls=ours)
        with executor_of(ask, NOTHING) as executor:
            assert list(in_order(executor, jobs_of(cases.squared, range(3)))) == [0, 1, 4]

        stranger = Crew(dask=running.address, dask_tls=others)
        shutil.copy(ours / "ca.pem", shutil.copytree(others, tmp_path / "half"))
        half = Crew(dask=running.address, dask_tls=tmp_path / "half")  # trusts us; we not them
        nobody = Crew(dask=running.address)
        plain = Crew(dask=running.address.replace("tls", "tcp"))
        for crew, why in (
            (stranger, "No dask scheduler answers at tls://.* certificates of one authority"),
            (half, "No dask scheduler answers at tls://.* certificates of one authority"),
            (nobody, "No certificates are known .* give --dask-tls FOLDER"),
            (plain, "No dask scheduler answers at tcp://"),
        ):
            with pytest.raises(InputError, match=why), executor_of(crew, NOTHING) as executor:
                list(executor.run(jobs_of(cases.squared, range(3))))

        with (
            executor_of(ask, Kit(make=cases.refused)) as executor,
            pytest.raises(InputError, match=r"The worker on .* cannot begin: the weights are not"),
        ):
            list(executor.run(jobs_of(cases.squared, [1])))

        kit = Kit(make=cases.as_they_are, material=tmp_path)
        with executor_of(ask, kit) as executor:
            asked = executor.run(
                [*jobs_of(cases.squared, [3]), Job(name="long", function=cases.endless, task=1)]
            )
            assert next(asked).answer == 9
            wait_for(lambda: list(tmp_path.glob("endless-*")))
            running.scheduler.kill()
            with pytest.raises(Unfinished, match=r"Nothing is heard of the dask scheduler at tls:"):
                next(asked)
