"""The sections of the page on simulations, each of which a worker can simulate by itself."""

from __future__ import annotations

from typing import Any

from benchmarks.simulations.control_charts import section as control_charts
from benchmarks.simulations.good_models import section as good_models
from benchmarks.simulations.studies import each_site, equivalence, new_sites, pooled, shares

SECTIONS = (
    "good_models", "control_charts", "new_sites", "shares", "pooled", "each_site", "equivalence",
)  # fmt: skip
"""Those that take longest come first, so that no worker is left alone with one at the end."""


def numbers(material: tuple[int, int]) -> tuple[int, int]:
    """Return how many studies a row has: where they are quick, and where they are not."""
    return material


def simulated(studies: tuple[int, int], section: str) -> Any:
    """Simulate one section."""
    many, few = studies
    if section in ("good_models", "control_charts"):
        return {"good_models": good_models, "control_charts": control_charts}[section](many)
    if section == "new_sites":
        return list(new_sites(many, few))
    by_name = {
        "each_site": (each_site, many),
        "pooled": (pooled, many),
        "shares": (shares, few),
        "equivalence": (equivalence, few),
    }
    function, number = by_name[section]
    return list(function(number))
