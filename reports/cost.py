"""What the translations cost, in one line: from the recorded rows of the family ``cost``."""

from __future__ import annotations

from statistics import median

import pandas as pd

from qa_suite.wording import count, number

_MEMORY = {"cpu": "of the process, on the CPU", "cuda": "on the GPU"}


def cost_line(table: pd.DataFrame) -> str:
    """Say time, memory and network evaluations of a translation; empty without any.

    Parameters
    ----------
    table
        Measurements of an evaluation; every translated case has rows of the family ``cost``.
    """
    rows = table[(table["family"] == "cost") & (table["status"] == "ok")]
    parts = []
    seconds = _values(rows, "translation_seconds")
    if seconds:
        spread = f", {number(min(seconds))} to {number(max(seconds))}" if len(seconds) > 1 else ""
        of = f"median of {count(len(seconds), 'case')}"
        parts.append(f"{number(median(seconds))} s a volume ({of}{spread})")
    for variant, where in _MEMORY.items():
        memory = _values(rows, "translation_memory", variant)
        if memory:
            told = f"largest of {count(len(memory), 'case')}"
            parts.append(f"{max(memory):.0f} MiB of memory {where} ({told})")
    for metric, singular in (
        ("network_evaluations", "network evaluation"),
        ("sampler_steps", "sampler step"),
    ):
        stated = _values(rows, metric)
        if stated:
            parts.append(_counted(stated, singular))
    return "; ".join(parts)


def _values(rows: pd.DataFrame, metric: str, variant: str = "default") -> list[float]:
    here = rows[(rows["metric"] == metric) & (rows["variant"] == variant)]
    return [float(value) for value in here["value"]]


def _counted(values: list[float], singular: str) -> str:
    low, high = min(values), max(values)
    if low == high:
        return count(round(low), singular)
    return f"{low:.0f} to {high:.0f} {singular}s"
