"""Runs whose process is gone: they are ended, here and in the store."""

from __future__ import annotations

import hashlib
import os
import socket
import time
import uuid
from typing import Any

from qa_suite.core.outbox.file import Outbox
from qa_suite.core.outbox.lines import Operation

PROCESS_TAG = "qa.process"
"""Says which process works for a run: a digest of the machine's name, its number, its start."""


def this_process() -> str:
    """Return what no other process on any machine is called."""
    import psutil

    return f"{_machine()}-{os.getpid()}-{psutil.Process().create_time():.2f}"


def end_orphans(outbox: Outbox) -> None:
    """Note the end of runs whose process is gone: nobody else can have the outbox open."""
    now = int(time.time() * 1000)
    for name, run in outbox.runs.items():
        if not run.ended:
            end = Operation(id=uuid.uuid4().hex, kind="orphan", what=["KILLED", now])
            outbox.note(name, end)


def end_lost_runs(client: Any) -> int:
    """End the runs of this machine that the store holds for running and whose process is gone.

    Their folder, with whatever waited there, may have been deleted. A training that is resumed
    opens its run again.

    Returns
    -------
    int
        How many were ended.
    """
    experiments = [one.experiment_id for one in client.search_experiments()]
    wanted = f"attributes.status = 'RUNNING' and tags.`{PROCESS_TAG}` LIKE '{_machine()}-%'"
    lost = [
        run
        for run in client.search_runs(experiments, wanted)
        if _is_gone(run.data.tags[PROCESS_TAG])
    ]
    for run in lost:
        client.set_terminated(run.info.run_id, "KILLED")
    return len(lost)


def _machine() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12]


def _is_gone(name: str) -> bool:
    import psutil

    _, number, started = name.split("-")
    try:
        return f"{psutil.Process(int(number)).create_time():.2f}" != started
    except psutil.NoSuchProcess:
        return True
