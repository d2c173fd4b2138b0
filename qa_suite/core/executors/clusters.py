"""Clusters of dask, which are opened when there is work.

What we start ourselves is spoken with by TLS whose certificates exist for this run alone: on a
machine that others use too, nobody else can send work to it.
"""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster, Security

from qa_suite.core.errors import InputError
from qa_suite.core.executors.addresses import certificates, require_safe
from qa_suite.core.executors.share import environment_of
from qa_suite.core.executors.slurm import SlurmOptions
from qa_suite.core.failures import why

_CONNECT_S = 10
_NO_WORKER_S = 60.0
_CLOSE_S = 10

logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is told by us


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster that may be opened.

    Parameters
    ----------
    name
        How people are told of it.
    opened
        Opens it, and ends on leaving what it started.
    patience_s
        How long it may be without any worker; None where they may wait in a queue.
    """

    name: str
    opened: Callable[[], AbstractContextManager[Client]]
    patience_s: float | None = _NO_WORKER_S


def running_cluster(address: str, folder: Path | None) -> Cluster:
    """Return a scheduler that runs already, with our certificates for it."""
    return Cluster(
        name=f"the dask scheduler at {address}", opened=lambda: _running(address, folder)
    )


def local_cluster(workers: int) -> Cluster:
    """Return so many workers on this machine."""
    return Cluster(name="the dask workers of this machine", opened=lambda: _local(workers))


def slurm_cluster(jobs: SlurmOptions) -> Cluster:
    """Return workers that SLURM starts; they may wait in its queue."""
    return Cluster(
        name="the dask workers by SLURM", opened=lambda: _by_slurm(jobs), patience_s=None
    )


@contextmanager
def _running(address: str, folder: Path | None) -> Iterator[Client]:
    """Join a scheduler that runs already."""
    security = None
    if address.startswith("tls://"):
        security = _security(folder)
    try:
        client = Client(address, security=security, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"No dask scheduler answers at {address} ({why(error)}); start one with "
            f"'dask scheduler', or see whether both sides have certificates of one authority."
        ) from None
    with client:
        require_open(client, f"The cluster at {address}")
        yield client


def require_open(client: Client, whose: str) -> dict[str, str]:
    """Return a cluster's workers and how each is, such as *running* or *paused*.

    Raises
    ------
    InputError
        With the first worker that is in the open, or does several jobs at a time.
    """
    facts = client.scheduler_info(n_workers=-1)
    workers: dict[str, Any] = facts["workers"]
    require_safe([facts["address"], *workers], whose)
    for address, worker in workers.items():
        if worker["nthreads"] != 1:
            raise InputError(
                f"{whose}: the worker {address} has {worker['nthreads']} threads, and a translator "
                f"answers one case at a time; start workers with 'dask worker --nthreads 1', as "
                f"many as there are cores or GPUs."
            )
    return {address: str(worker["status"]) for address, worker in workers.items()}


def _security(folder: Path | None) -> Security:
    if folder is None:
        found = Security(require_encryption=True)  # dask's own settings name the files
        if not (found.tls_ca_file and found.tls_client_cert and found.tls_client_key):
            raise InputError(
                "No certificates are known for a scheduler at tls://; give --dask-tls FOLDER with "
                "ca.pem, cert.pem and key.pem, or name them in dask's settings "
                "(distributed.comm.tls)."
            )
        return found
    files = certificates(folder)
    return Security(
        require_encryption=True,
        tls_ca_file=str(files.ca),
        tls_client_cert=str(files.certificate),
        tls_client_key=str(files.key),
    )


@contextmanager
def _own_scheduler() -> Iterator[None]:
    """Give out a job once, since who tries it again is decided here; and serve no pages."""
    settings = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }
    with dask.config.set(settings):
        yield


@contextmanager
def _local(workers: int) -> Iterator[Client]:
    """Start workers on this machine."""
    security = Security.temporary()
    with tempfile.TemporaryDirectory(prefix="qa-suite-dask-") as scratch, _own_scheduler():
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            protocol="tls://",
            security=security,
            dashboard_address=None,
            scheduler_kwargs={"dashboard": False},
            silence_logs=logging.CRITICAL,
            memory_limit=0,  # the system decides, as for every other worker
            local_directory=scratch,
            env=_environment(workers),
        )
        with _closing(cluster), Client(cluster, set_as_default=False) as client:
            yield client


def _environment(workers: int) -> dict[str, str]:
    """Return what every worker's environment says; its GPU is its own affair."""
    shared = environment_of(0, workers)
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        shared["CUDA_VISIBLE_DEVICES"] = os.environ["CUDA_VISIBLE_DEVICES"]
    else:
        shared.pop("CUDA_VISIBLE_DEVICES", None)
    return shared


def _slurm_cluster() -> Any:
    """Return dask_jobqueue's cluster; what it does to Ctrl-C when it is loaded is taken back."""
    before = signal.getsignal(signal.SIGINT)
    from dask_jobqueue import SLURMCluster

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, before)
    return SLURMCluster


@contextmanager
def _by_slurm(jobs: SlurmOptions) -> Iterator[Client]:
    """Have SLURM start workers."""
    SLURMCluster = _slurm_cluster()
    shared = jobs.shared_temp_directory
    with tempfile.TemporaryDirectory(prefix=".qa-suite-", dir=shared) as keys, _own_scheduler():
        try:
            cluster = SLURMCluster(
                security=_in_files(Security.temporary(), Path(keys)),
                protocol="tls://",
                silence_logs=logging.CRITICAL,
                **jobs.cluster_options(),
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(f"The jobs for SLURM cannot be made ({why(error)}).") from None
        with _closing(cluster), Client(cluster, set_as_default=False) as client:
            try:
                for _ in range(jobs.jobs):
                    cluster.worker_spec.update(cluster.new_worker_spec())
                cluster.sync(cluster._correct_state)  # unlike scale, it says what went wrong
            except (OSError, ValueError, RuntimeError) as error:
                raise InputError(f"SLURM takes no jobs ({why(error)[-300:]}).") from None
            yield client


def _in_files(security: Security, folder: Path) -> Security:
    """Write certificates that exist in memory into a folder of our own, for the workers' jobs."""
    texts = {name: getattr(security, name) for name in Security.__slots__ if name[:4] == "tls_"}
    files = {}
    for name, text in texts.items():
        if isinstance(text, str) and "\n" in text:
            files[name] = str(folder / f"{name}.pem")
            Path(files[name]).touch(mode=0o600)
            Path(files[name]).write_text(text)
    return Security(require_encryption=True, **files)


@contextmanager
def _closing(cluster: Any) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(Exception):  # also of workers that never came: the first error counts
            cluster.close(timeout=_CLOSE_S)
