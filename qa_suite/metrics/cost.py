"""What a translation costs: time and memory as the examiner saw them, evaluations as stated.

Time and memory differ from run to run, so their rows stand in a table of their own
(``costs.parquet``); the others are measurements like any other.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from qa_suite.core.prediction import Prediction
from qa_suite.core.records import Measurement
from qa_suite.metrics.base import Censored, NoValue, as_value
from qa_suite.metrics.facts import METRICS, MetricFacts

FAMILY = "cost"
REGION = "all"
SECONDS, MEMORY = "translation_seconds", "translation_memory"
STATED = {"network_evaluations": "network_evaluations", "steps": "sampler_steps"}
"""Name in the translator's own words to metric."""
VARIANTS = {
    "cpu": {"memory": "growth of the process's resident set (RSS) while translating"},
    "cuda": {"memory": "largest memory allocated by torch on the GPU while translating"},
}

_MIB = 2.0**20
_EVERY_S = 0.005
_STATM = Path("/proc/self/statm")

T = TypeVar("T")


def _declare(name: str, **facts: Any) -> None:
    given = {
        "family": FAMILY,
        "direction": "lower",
        "range": "[0, inf)",
        "kind": "positive",
        "reference": "Definition of this suite",
    }
    METRICS.declare(name, MetricFacts(**(given | facts)))


_declare(
    SECONDS,
    title="Time of a translation",
    unit="s",
    range="(0, inf)",
    kind="positive",
    formula="wall-clock time from the source image to the prediction, files not counted; the first "
    "case of a run pays for what is loaded once",
    empty="no row where the translation failed",
)
_declare(
    MEMORY,
    title="Peak memory of a translation",
    unit="MiB",
    formula="cpu: highest resident memory while translating minus that before; cuda: largest "
    "memory allocated by torch on the GPU while translating, weights included",
    empty="cpu: undefined where the system does not tell; no row for cuda without a GPU",
)
_declare(
    "network_evaluations",
    title="Network evaluations of a translation",
    unit="1",
    range="integers in [0, inf)",
    kind="count",
    formula="passes through a network, each window or slice, flip, member, sample and step "
    "counted singly; as the translator states it",
    empty="undefined where the translator does not say",
)
_declare(
    "sampler_steps",
    title="Steps of the sampler",
    unit="1",
    range="integers in [0, inf)",
    kind="count",
    formula="of one sample, as the translator states it",
    empty="undefined where the translator does not say",
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one translation took.

    Parameters
    ----------
    seconds
        Wall-clock time.
    cpu_mib
        Growth of the process's resident memory, or why it is not known.
    cuda_mib
        Largest memory allocated on the GPU; None where no GPU was used.
    """

    seconds: float
    cpu_mib: float | NoValue
    cuda_mib: float | None


def watched(function: Callable[[], T]) -> tuple[T, Cost]:
    """Call a function, beside which nothing runs in this process, and say what it took.

    Parameters
    ----------
    function
        Translates; what it raises is raised here.
    """
    _forget_cuda_peak()
    with _Resident() as resident:
        started = time.perf_counter()
        result = function()
        seconds = time.perf_counter() - started
    return result, Cost(seconds=seconds, cpu_mib=resident.growth_mib, cuda_mib=_cuda_peak_mib())


class _Resident:
    """Samples the resident memory of this process from a thread while a block runs."""

    def __init__(self) -> None:
        self.watching = _STATM.exists()
        self.before = self.highest = resident_mib() if self.watching else 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Resident:
        if self.watching:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self.watching:
            self._thread.join()
            self.highest = max(self.highest, resident_mib())

    def _look(self) -> None:
        while not self._done.wait(_EVERY_S):
            self.highest = max(self.highest, resident_mib())

    @property
    def growth_mib(self) -> float | NoValue:
        """Highest memory minus that at the beginning."""
        if not self.watching:
            return NoValue(why="this system does not tell the resident memory of a process")
        return self.highest - self.before


def resident_mib() -> float:
    """Resident memory of this process, in MiB; Linux only."""
    import resource

    pages = int(_STATM.read_text().split()[1])
    return pages * resource.getpagesize() / _MIB


def _cuda() -> Any:
    """Return torch.cuda where this process uses a GPU, else None; never loads torch."""
    torch = sys.modules.get("torch")
    cuda = None if torch is None else torch.cuda
    return cuda if cuda is not None and cuda.is_initialized() else None


def _forget_cuda_peak() -> None:
    cuda = _cuda()
    if cuda is not None:
        for device in range(cuda.device_count()):
            cuda.reset_peak_memory_stats(device)


def _cuda_peak_mib() -> float | None:
    cuda = _cuda()
    if cuda is None:
        return None
    highest = sum(cuda.max_memory_allocated(device) for device in range(cuda.device_count()))
    return float(highest) / _MIB if highest else None


# ---------------------------------------------------------------------------------------
# Rows


def measured_rows(cost: Cost, who: dict[str, str]) -> list[Measurement]:
    """Write time and memory as rows; they differ from run to run."""
    rows = [_row(SECONDS, cost.seconds, "s", who), _row(MEMORY, cost.cpu_mib, "MiB", who, "cpu")]
    if cost.cuda_mib is not None:
        rows.append(_row(MEMORY, cost.cuda_mib, "MiB", who, "cuda"))
    return rows


def stated_rows(prediction: Prediction, who: dict[str, str]) -> list[Measurement]:
    """Write what the translator says of its own cost as rows."""
    silent = NoValue(why="the translator does not say")
    return [
        _row(metric, prediction.cost.get(name, silent), "1", who) for name, metric in STATED.items()
    ]


def _row(
    metric: str,
    value: float | Censored | NoValue,
    unit: str,
    who: dict[str, str],
    variant: str = "default",
) -> Measurement:
    told = as_value(metric, REGION, value, variant=variant)
    return told.measurement(unit=unit, family=FAMILY, **who)
