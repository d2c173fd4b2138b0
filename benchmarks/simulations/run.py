"""Simulate and write docs/simulations.md: ``make simulations``."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.simulations.page import page
from benchmarks.simulations.peers import part_of, put
from benchmarks.simulations.sections import SECTIONS, numbers, simulated
from qa_suite.core.executors.crew import Crew, executor_of
from qa_suite.core.executors.jobs import Kit, in_order, jobs_of


def simulate(*, quick: bool, workers: int = 1) -> str:
    """Return the page; ``quick`` is for a look and for tests, with few studies a row."""
    many, few = (2_000, 200) if quick else (20_000, 2_000)
    with executor_of(Crew(workers=workers), Kit(make=numbers, material=(many, few))) as executor:
        answers = in_order(executor, jobs_of(simulated, SECTIONS))
        found = dict(zip(SECTIONS, answers, strict=True))
    parts = (
        ("At each site", "One hospital's patients.", found["each_site"]),
        (
            "Pooled means",
            "Hospitals differ by 15 % of the mean (one standard deviation).",
            found["pooled"],
        ),
        (
            "Pooled shares and events",
            "Korn and Graubard's interval; the likeness is the correlation within a hospital. "
            "Where all patients are alike the exact interval speaks of these hospitals alone.",
            found["shares"],
        ),
        (
            "A hospital never seen",
            "Target: a new hospital's observed mean over the median number of patients "
            f"({few:,} studies a row where their numbers are unlike).",
            found["new_sites"],
        ),
    )
    told = page(parts, found["equivalence"], many=many, few=few)
    return told + found["good_models"] + found["control_charts"]


def main() -> None:
    """Parse, simulate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="the page; else it is printed")
    parser.add_argument("--quick", action="store_true", help="few studies a row")
    parser.add_argument("--workers", type=int, default=1, help="processes that simulate")
    asked = parser.parse_args()
    text = simulate(quick=asked.quick, workers=asked.workers)
    if asked.write:
        if asked.write.exists():  # what 'python -m benchmarks.simulations.peers' wrote stays
            text = put(text, part_of(asked.write.read_text(encoding="utf-8")))
        asked.write.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
