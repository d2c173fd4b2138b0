"""Processor, memory, disk, network and graphics cards while a training runs, for its run."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from qa_suite.core.store import be_silent

_EVERY_S = 5.0
_NOTED_AT_ONCE = 6  # samples; each note is a write to disk

_log = logging.getLogger(__name__)

Note = Callable[[list[tuple[str, float, int, int]]], None]


@contextlib.contextmanager
def watching(note: Note | None) -> Iterator[None]:
    """Note MLflow's system metrics while the block runs; nothing where ``note`` is None."""
    if note is None:
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_watch, args=(note, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _watch(note: Note, done: threading.Event) -> None:
    rows: list[tuple[str, float, int, int]] = []
    try:
        monitors = _monitors()
        step = 0
        while not done.wait(_EVERY_S):
            now = int(time.time() * 1000)
            for monitor in monitors:
                monitor.collect_metrics()
                found = monitor.aggregate_metrics()
                monitor.clear_metrics()
                rows += [(f"system/{k}", float(v), now, step) for k, v in found.items()]
            step += 1
            if step % _NOTED_AT_ONCE == 0:
                note(rows)
                rows = []
    except Exception as error:  # what is watched beside a training never stops it
        _log.info("The machine is not watched: %s", error)
    if rows:
        note(rows)


def _monitors() -> list[Any]:
    """Return MLflow's monitors of this machine, so that its page shows them as it does others."""
    be_silent()
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monitors: list[Any] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    with contextlib.suppress(Exception):  # no card, or no driver
        monitors.append(GPUMonitor())
    return monitors
