"""What the translations cost, in one line: from the recorded rows of the family ``cost``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median

import pandas as pd

from qa_suite.core.wording import count, number

_MEMORY = {"cpu": "of the process, on the CPU", "cuda": "on the GPU"}


def cost_line(table: pd.DataFrame) -> str:
    """Say time, memory and network evaluations of a translation; empty without any.

    Parameters
    ----------
    table
        Measurements of an evaluation; every translated case has rows of the family ``cost``.
    """
    rows = table[table["family"] == "cost"]
    asked: list[tuple[str, str, str, Callable[[list[float]], str]]] = [
        ("translation_seconds", "default", "time of a volume", _time),
        *(
            ("translation_memory", variant, f"memory {where}", partial(_memory, where))
            for variant, where in _MEMORY.items()
        ),
        (
            "network_evaluations",
            "default",
            "network evaluations",
            partial(_counted, "network evaluation"),
        ),
        ("sampler_steps", "default", "sampler steps", partial(_counted, "sampler step")),
    ]
    said = []
    for metric, variant, name, write in asked:
        here = rows[(rows["metric"] == metric) & (rows["variant"] == variant)]
        values = [float(value) for value in here.loc[here["status"] == "ok", "value"]]
        censored = int((here["status"] == "censored").sum())
        if censored:
            said.append(f"{name}: {censored} of {count(len(here), 'case')} censored")
        elif values:
            said.append(write(values))
    return "; ".join(said)


def _time(values: list[float]) -> str:
    spread = f", {number(min(values))} to {number(max(values))}" if len(values) > 1 else ""
    return f"{number(median(values))} s a volume (median of {count(len(values), 'case')}{spread})"


def _memory(where: str, values: list[float]) -> str:
    return f"{max(values):.0f} MiB of memory {where} (largest of {count(len(values), 'case')})"


def _counted(singular: str, values: list[float]) -> str:
    low, high = min(values), max(values)
    if low == high:
        return count(round(low), singular)
    return f"{low:.0f} to {high:.0f} {singular}s"
