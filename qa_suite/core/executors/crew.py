"""Who does the work, as people say it: how many processes, or which cluster."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.executors.addresses import address_problems, certificate_problems
from qa_suite.core.executors.here import Here
from qa_suite.core.executors.jobs import Executor, Kit
from qa_suite.core.executors.processes import Processes
from qa_suite.core.executors.slurm import read_slurm

DASK_HELP = "Dask scheduler that measures, tls://HOST:PORT; tcp:// on this machine alone."
DASK_LOCAL_HELP = "Dask workers of this machine that measure."
DASK_SLURM_HELP = "YAML file of the SLURM jobs whose dask workers measure."
DASK_TLS_HELP = "Folder with ca.pem, cert.pem and key.pem for --dask; default: dask's settings."
WORKERS_HELP = "Processes that measure, each with a translator of its own; 1 is this one."


@dataclass(frozen=True, kw_only=True)
class Crew:
    """Who does the work.

    Parameters
    ----------
    workers
        Processes of this machine; 1 is this process itself.
    dask
        Address of a scheduler of dask whose workers do it instead.
    dask_tls
        Folder of our certificates for it; by default what dask's own settings name.
    dask_local
        How many workers of dask on this machine do it instead.
    dask_slurm
        File of the jobs that SLURM starts for it.

    Raises
    ------
    Problems
        With everything that cannot be, before anything is started.
    InputError
        If dask is asked for and not installed, or the file of jobs cannot be used.
    """

    workers: int = 1
    dask: str | None = None
    dask_tls: Path | None = None
    dask_local: int | None = None
    dask_slurm: Path | None = None

    def __post_init__(self) -> None:
        raise_problems("What is asked of workers", self._problems())
        if self.on_dask:
            _require_dask(jobqueue=self.dask_slurm is not None)
        if self.dask_slurm is not None:
            read_slurm(self.dask_slurm)

    def _problems(self) -> Iterator[str]:
        if self.workers < 1:
            yield f"workers must be at least 1, got {self.workers}"
        clusters = {
            "--dask": self.dask,
            "--dask-local": self.dask_local,
            "--dask-slurm": self.dask_slurm,
        }
        asked = [name for name, value in clusters.items() if value is not None]
        if len(asked) > 1:
            yield f"{' and '.join(asked)} are two clusters; name one"
        if self.dask is not None:
            yield from address_problems(self.dask)
        if self.dask_local is not None and self.dask_local < 1:
            yield f"--dask-local must be at least 1, got {self.dask_local}"
        if self.dask_tls is not None:
            if self.dask is None or not self.dask.startswith("tls://"):
                yield "--dask-tls is for --dask tls://HOST:PORT"
            yield from certificate_problems(self.dask_tls)

    @property
    def on_dask(self) -> bool:
        """Whether a cluster of dask does it."""
        return not (self.dask is None and self.dask_local is None and self.dask_slurm is None)

    @property
    def here(self) -> bool:
        """Whether everything is done in this process."""
        return self.workers == 1 and not self.on_dask


HERE = Crew()
"""This process, and no other."""


def executor_of(crew: Crew, kit: Kit) -> Executor:
    """Return whoever does the work; nothing is started before the first job.

    Raises
    ------
    InputError
        If the kit exists in this process alone, and others need it.
    """
    if crew.here:
        return Here(kit)
    if crew.on_dask:
        return _on_dask(crew, kit)
    return Processes(kit, crew.workers)


def _on_dask(crew: Crew, kit: Kit) -> Executor:
    from qa_suite.core.executors.clusters import local_cluster, running_cluster, slurm_cluster
    from qa_suite.core.executors.on_dask import OnDask

    if crew.dask is not None:
        return OnDask(kit, running_cluster(crew.dask, crew.dask_tls))
    if crew.dask_slurm is not None:
        return OnDask(kit, slurm_cluster(read_slurm(crew.dask_slurm)))
    assert crew.dask_local is not None
    return OnDask(kit, local_cluster(crew.dask_local))


def _require_dask(*, jobqueue: bool) -> None:
    for module in ("distributed", "dask_jobqueue")[: 2 if jobqueue else 1]:
        if importlib.util.find_spec(module) is None:
            raise InputError(
                f"{module.replace('_', '-')} is not installed here; install qa-suite[dask], or use "
                f"--workers."
            )
