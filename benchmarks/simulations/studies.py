"""Simulated studies: how often an interval holds the truth, and a model at its bound passes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulations.populations import EVENT, POPULATIONS, Population
from benchmarks.simulations.vectorised import limits
from qa_suite.judging.comparisons import tost_p_value
from qa_suite.judging.hospitals import new_site_interval, share_over_hospitals

PATIENTS = (5, 8, 10, 20, 40)
SITES = (6, 10, 20)


@dataclass(frozen=True, kw_only=True)
class Study:
    """What became of many simulated studies of one design.

    Parameters
    ----------
    name, design
        The population, and who was examined.
    inside
        Whether the interval makes its promise for it.
    undecided
        Share of studies without an interval.
    too_high, too_low
        Share of all studies with an interval wholly above the truth, and wholly below it: false
        passes of ``at_least`` and of ``at_most`` at the bound.
    width
        Median width, in units of the mean.
    """

    name: str
    design: str
    inside: bool
    undecided: float
    too_high: float
    too_low: float
    width: float

    @property
    def coverage(self) -> float:
        """Share of the studies with an interval that hold the truth."""
        decided = 1 - self.undecided
        return 1 - (self.too_high + self.too_low) / decided if decided else float("nan")


def _study(
    name: str,
    design: str,
    inside: bool,
    found: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]],
    truth: NDArray[np.float64] | float,
    unit: float,
) -> Study:
    low, high, decided = found
    width = float(np.median((high - low)[decided])) / unit if decided.any() else float("nan")
    return Study(
        name=name,
        design=design,
        inside=inside,
        undecided=float(1 - decided.mean()),
        too_high=float((decided & (low > truth)).mean()),
        too_low=float((decided & (high < truth)).mean()),
        width=width,
    )


def each_site(runs: int, seed: int = 1) -> Iterator[Study]:
    """One hospital: every population with every number of patients."""
    for kind, populations in POPULATIONS.items():
        for population in populations:
            rng = np.random.default_rng([seed, len(kind), len(population.name)])
            for n in PATIENTS:
                found = limits(population.draw(rng, (runs, n)), population.kind)
                name = f"{kind}: {population.name}"
                yield _study(
                    name,
                    f"{n} patients",
                    population.inside,
                    found,
                    population.mean,
                    population.mean,
                )


def _of_hospitals(
    population: Population, rng: np.random.Generator, shape: tuple[int, int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return values of (runs, sites, patients) and the sites' true means.

    Hospitals differ by a factor of mean one (positive) or a shift, CV and SD 15 % of the mean.
    """
    values = population.draw(rng, shape)
    effect = rng.normal(0, 0.15, shape[:2])
    if population.kind.kind == "positive":
        factor = np.exp(effect - 0.15**2 / 2)
        return values * factor[..., None], population.mean * factor
    return values + effect[..., None], population.mean + effect


def pooled(runs: int, patients: int = 10, seed: int = 2) -> Iterator[Study]:
    """Several hospitals: hospitals as the sample from six, as strata of these alone below."""
    for kind in ("signed", "positive"):
        population = POPULATIONS[kind][1 if kind == "positive" else 0]
        for k in (3, *SITES):
            rng = np.random.default_rng([seed, k, len(kind)])
            values, true = _of_hospitals(population, rng, (runs, k, patients))
            strata = k < SITES[0]
            sample = values.reshape(runs, -1) if strata else values.mean(axis=2)
            truth = true.mean(axis=1) if strata else population.mean
            whom = "these hospitals" if strata else "hospitals like these"
            yield _study(
                f"{kind}: {population.name}, {whom}",
                f"{k} sites of {patients}",
                True,
                limits(sample, population.kind),
                truth,
                population.mean,
            )


def shares(runs: int, patients: int = 10, seed: int = 3) -> Iterator[Study]:
    """Events over hospitals that differ (beta-binomial), by Korn and Graubard."""
    assert EVENT.kind == "event"
    for k in SITES:
        for share, likeness in ((0.1, 0.1), (0.3, 0.2), (0.9, 0.1)):
            rng = np.random.default_rng([seed, k, int(100 * share)])
            size = 1 / likeness - 1
            rate = rng.beta(share * size, (1 - share) * size, (runs, k))
            events = rng.binomial(1, rate[..., None], (runs, k, patients)).reshape(runs, -1)
            sites = np.repeat(np.arange(k), patients)
            ends = [share_over_hospitals(row, sites) for row in events]
            low, high = (
                np.array([np.nan if e is None else e for e in side], dtype=float)
                for side in ([f.low for f in ends], [f.high for f in ends])
            )
            decided = np.isfinite(low)
            yield _study(
                f"event: {100 * share:g} %, likeness within a hospital {likeness:g}",
                f"{k} sites of {patients}",
                True,
                (low, high, decided),
                share,
                1.0,
            )


def new_sites(runs: int, seed: int = 4) -> Iterator[Study]:
    """The observed mean of a further hospital, with patients alike and unlike in number."""
    for kind in ("signed", "positive"):
        population = POPULATIONS[kind][1 if kind == "positive" else 0]
        for k in SITES:
            for sizes in ([10] * k, [(5, 10, 40)[site % 3] for site in range(k)]):
                rng = np.random.default_rng([seed, k, len(set(sizes))])
                most, asked = max(sizes), int(np.median(sizes))
                values, _ = _of_hospitals(population, rng, (runs, k + 1, most))
                observed = values[:, k, :asked].mean(axis=1)
                found = [
                    new_site_interval(
                        {str(site): run[site, :n] for site, n in enumerate(sizes)},
                        kind=population.kind,
                    )
                    for run in values
                ]
                low, high = (
                    np.array([np.nan if e is None else e for e in side], dtype=float)
                    for side in ([f.low for f in found], [f.high for f in found])
                )
                number = "10" if len(set(sizes)) == 1 else "5, 10 or 40"
                yield _study(
                    f"{kind}: {population.name}",
                    f"{k} sites of {number}",
                    True,
                    (low, high, np.isfinite(low)),
                    observed,
                    population.mean,
                )


def equivalence(runs: int, seed: int = 5) -> Iterator[tuple[int, float]]:
    """Patients, and how often TOST at 5 % calls a model equivalent that lies at the margin."""
    for n in PATIENTS:
        values = np.random.default_rng([seed, n]).normal(1.0, 0.7, (runs, n))
        yield n, float(np.mean([tost_p_value(row, low=-1.0, high=1.0) <= 0.05 for row in values]))
