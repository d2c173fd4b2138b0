"""Simulated studies: how often an interval holds the truth, and a model at its bound passes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulations.populations import EVENT, POPULATIONS, Array, Population
from benchmarks.simulations.vectorised import limits, predictions
from qa_suite.core.measure_kinds import Kind
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

    Hospitals differ by a factor of mean one (positive, counts; bounded: of the distance from the
    upper end) or a shift, CV and SD 15 % of the mean.
    """
    effect = rng.normal(0, 0.15, shape[:2])
    factor = np.exp(effect - 0.15**2 / 2)
    if population.kind.kind == "count":
        assert population.of_mean is not None
        return population.of_mean(rng, population.mean * factor, shape[2]), population.mean * factor
    values = population.draw(rng, shape)
    if population.kind.kind == "positive":
        return values * factor[..., None], population.mean * factor
    if population.kind.kind == "bounded":
        end = population.kind.high
        far = (end - values) * factor[..., None]
        return np.maximum(end - far, population.kind.low), end - (end - population.mean) * factor
    return values + effect[..., None], population.mean + effect


OVER_HOSPITALS: tuple[tuple[Kind, int], ...] = (
    ("signed", 0),
    ("positive", 1),
    ("positive", 4),
    ("bounded", 1),
    ("bounded", 3),
    ("count", 2),
)
"""Kind and place in :data:`POPULATIONS` of those that are drawn over hospitals."""
PATIENTS_A_SITE = (5, 10, 20)


def pooled(runs: int, seed: int = 2) -> Iterator[Study]:
    """Several hospitals: hospitals as the sample from six, as strata of these alone below."""
    for kind, place in OVER_HOSPITALS:
        population = POPULATIONS[kind][place]
        for k, patients in product((3, *SITES), PATIENTS_A_SITE):
            rng = np.random.default_rng([seed, k, len(kind), place, patients])
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


def new_sites(runs: int, few: int, seed: int = 4) -> Iterator[Study]:
    """The observed mean of a further hospital, with patients alike and unlike in number.

    Where they are unlike, each of ``few`` studies takes the judge's own function.
    """
    for kind, place in OVER_HOSPITALS:
        population = POPULATIONS[kind][place]
        name = f"{kind}: {population.name}"
        for k in SITES:
            for patients in PATIENTS_A_SITE:
                rng = np.random.default_rng([seed, k, len(kind), place, patients])
                values, _ = _of_hospitals(population, rng, (runs, k + 1, patients))
                found, observed = predictions(values[:, :k], population.kind), values[:, k]
                design = f"{k} sites of {patients}"
                yield _study(name, design, True, found, observed.mean(axis=1), population.mean)
            rng = np.random.default_rng([seed, k, len(kind), place])
            values, _ = _of_hospitals(population, rng, (few, k + 1, 40))
            found = _with_numbers_unlike(values[:, :k], population)
            observed = values[:, k, :10].mean(axis=1)
            design = f"{k} sites of 5, 10 or 40"
            yield _study(name, design, True, found, observed, population.mean)


def _with_numbers_unlike(
    values: Array, population: Population
) -> tuple[Array, Array, NDArray[np.bool_]]:
    found = [
        new_site_interval(
            {str(site): row[: (5, 10, 40)[site % 3]] for site, row in enumerate(study)},
            kind=population.kind,
        )
        for study in values
    ]
    low, high = (
        np.array([np.nan if end is None else end for end in ends], dtype=np.float64)
        for ends in ([f.low for f in found], [f.high for f in found])
    )
    return low, high, np.isfinite(low)


def equivalence(runs: int, seed: int = 5) -> Iterator[tuple[int, float]]:
    """Patients, and how often TOST at 5 % calls a model equivalent that lies at the margin."""
    for n in PATIENTS:
        values = np.random.default_rng([seed, n]).normal(1.0, 0.7, (runs, n))
        yield n, float(np.mean([tost_p_value(row, low=-1.0, high=1.0) <= 0.05 for row in values]))
