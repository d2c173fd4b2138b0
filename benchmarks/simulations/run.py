"""Simulate and write docs/simulations.md: ``make simulations``."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.simulations.control_charts import section as control_charts
from benchmarks.simulations.good_models import section as good_models
from benchmarks.simulations.page import page
from benchmarks.simulations.peers import part_of, put
from benchmarks.simulations.studies import each_site, equivalence, new_sites, pooled, shares


def simulate(*, quick: bool) -> str:
    """Return the page; ``quick`` is for a look and for tests, with few studies a row."""
    many, few = (2_000, 200) if quick else (20_000, 2_000)
    parts = (
        ("At each site", "One hospital's patients.", list(each_site(many))),
        (
            "Pooled means",
            "Hospitals differ by 15 % of the mean (one standard deviation).",
            list(pooled(many)),
        ),
        (
            "Pooled shares and events",
            "Korn and Graubard's interval; the likeness is the correlation within a hospital. "
            "Where all patients are alike the exact interval speaks of these hospitals alone.",
            list(shares(few)),
        ),
        (
            "A hospital never seen",
            "Target: a new hospital's observed mean over the median number of patients "
            f"({few:,} studies a row where their numbers are unlike).",
            list(new_sites(many, few)),
        ),
    )
    told = page(parts, list(equivalence(few)), many=many, few=few)
    return told + good_models(many) + control_charts(many)


def main() -> None:
    """Parse, simulate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="the page; else it is printed")
    parser.add_argument("--quick", action="store_true", help="few studies a row")
    asked = parser.parse_args()
    text = simulate(quick=asked.quick)
    if asked.write:
        if asked.write.exists():  # what 'python -m benchmarks.simulations.peers' wrote stays
            text = put(text, part_of(asked.write.read_text(encoding="utf-8")))
        asked.write.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
