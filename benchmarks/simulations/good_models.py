"""How often a good model passes at the ``min_patients`` of the shipped profiles, by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache

import numpy as np

import qa_suite.metrics.run  # noqa: F401  registers the metrics
from benchmarks.simulations.populations import POPULATIONS, Population
from benchmarks.simulations.vectorised import limits
from qa_suite.core.measure_kinds import Kind
from qa_suite.core.records import Profile
from qa_suite.judging.criteria import list_profiles
from qa_suite.metrics.facts import METRICS

PATIENTS = (5, 7, 8, 10, 15, 20, 30)
_OF_SD = 200_000

HEAD = """
### Of every kind, not normal values alone

Share of studies in which *one* mean is shown to meet its bound, by a model whose true mean lies two
standard deviations between patients inside it ({runs:,} studies each). Where values are skewed
the interval is wider at the side of the bound, and more patients are needed than the table above
says.

| Population | {patients} |
|---|{dashes}
"""
OF_PROFILES = """
All means of a shipped profile together, at its `min_patients` and the hospitals it is planned for,
as if they were independent (where they go together more pass): of the population of each kind that
passes most often, at least 80 %, and of the one that does least. What `planned` reckons with are
normal values: where means are of other kinds a profile asks for more patients than that, and who
expects skewed values takes the number of patients from the table above.

| Profile | Hospitals | Means at each | Patients | Passes, at best | at worst |
|---|---|---|---|---|---|
"""


@cache
def chance(population: Population, patients: int, runs: int, seed: int = 6) -> float:
    """Return how often one mean of a good model is shown to meet its bound."""
    rng = np.random.default_rng([seed, patients, len(population.name)])
    spread = float(population.draw(rng, (_OF_SD,)).std())
    low, high, decided = limits(population.draw(rng, (runs, patients)), population.kind)
    if population.kind.kind == "bounded":
        return float((decided & (low >= population.mean - 2 * spread)).mean())
    return float((decided & (high <= population.mean + 2 * spread)).mean())


def passes(profile: Profile, runs: int) -> tuple[float, float]:
    """How often a good model passes all means of a profile, at best and at worst, by population.

    Parameters
    ----------
    profile
        One that says what it is planned for.
    runs
        Studies of each mean.
    """
    assert profile.planned is not None
    best, worst = 1.0, 1.0
    for (kind, n), number in _means(profile).items():
        chances = [chance(p, n, runs) for k, p in _inside() if k == kind]
        times = number * profile.planned.sites
        best, worst = best * max(chances) ** times, worst * min(chances) ** times
    return best, worst


def section(runs: int) -> str:
    """Return the part of the page."""
    text = HEAD.format(
        runs=runs,
        patients=" | ".join(f"{n} patients" for n in PATIENTS),
        dashes="---|" * len(PATIENTS),
    )
    for kind, population in _inside():
        cells = [f"{100 * chance(population, n, runs):.0f} %" for n in PATIENTS]
        text += f"| {kind}: {population.name} | " + " | ".join(cells) + " |\n"
    text += OF_PROFILES
    for profile in list_profiles():
        means = _means(profile)
        if profile.planned is None or not means:
            continue
        best, worst = passes(profile, runs)
        kinds = Counter[str]()
        for (kind, _), number in means.items():
            kinds[kind] += number
        told = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
        least = ", ".join(str(n) for n in sorted({n for _, n in means}))
        text += (
            f"| {profile.name} | {profile.planned.sites} | {told} | {least} | "
            f"{100 * best:.0f} % | {100 * worst:.0f} % |\n"
        )
    return text


def _inside() -> Iterator[tuple[Kind, Population]]:
    for kind, populations in POPULATIONS.items():
        yield from ((kind, population) for population in populations if population.inside)


def _means(profile: Profile) -> Counter[tuple[Kind, int]]:
    """Count the means at each site by their kind and least number of patients."""
    return Counter(
        (METRICS[criterion.metric].facts.kind, criterion.min_patients)
        for criterion in profile.criteria
        if criterion.statistic == "mean" and criterion.scope == "each_site"
    )
