"""How often an audit names whom, over simulated hospitals, into docs/audit.md.

    python -m benchmarks.audit_rates --write docs/audit.md       # about two minutes

Every run draws patients of eight hospitals with three measures that go together, divides them by
hospital, sex, age, implant and days between the scans, and names by Holm's procedure over the whole
family, as the audit does: the comparison is :func:`qa_suite.audit.gaps.contrast` over many runs at
once, and a test holds the two together.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from qa_suite.audit.power import chance_at_a_site

BEGIN, END = "<!-- rates: begin -->", "<!-- rates: end -->"
SITES, MEASURES, TRAINED = 8, 3, 2
STATED = 13
"""Patients a site that `qa-suite power gap --training-sites 2 --strata 12` states for 2 SD."""
TOGETHER = 0.5
"""Correlation of the measures of a patient."""
RUNS, AT_ONCE = 4000, 1000
LEAST = 5
ALPHA = 0.05
Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]
Shape = Callable[[Floats], Floats]
"""From standard normal values to those of a measure, of mean 0 and SD 1; worse is more."""


def normal(values: Floats) -> Floats:
    """Leave values as they are."""
    return values


def skewed(values: Floats) -> Floats:
    """Log-normal with a coefficient of variation of 0.5, its tail to the worse side."""
    s = np.sqrt(np.log(1 + 0.5**2))
    return (np.exp(s * values - s**2 / 2) - 1) / 0.5


def bounded(values: Floats) -> Floats:
    """1 - Dice of about 0.9: beta distributed, its tail to the worse side."""
    law = stats.beta(9, 81)
    return (law.ppf(stats.norm.cdf(values)) - law.mean()) / law.std()


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is drawn.

    Parameters
    ----------
    words
        As in the table.
    patients
        Of each hospital.
    site, stratum
        SD by which the last hospital, or the patients with an implant, are worse in one measure.
    between
        SD of the hospitals' own means, in SD of patients.
    measures
        Declared.
    """

    words: str
    patients: int
    shape: Shape = normal
    site: float = 0.0
    stratum: float = 0.0
    between: float = 0.0
    measures: int = MEASURES


def many_contrasts(values: Floats, cell: Masks, site: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Compare a cell with others of the same hospitals, over many runs.

    Parameters
    ----------
    values
        Shape (runs, patients).
    cell
        Shape (runs, patients): who is in it.
    site
        Shape (patients,): hospital of each.

    Returns
    -------
    tuple of arrays
        Gap and two-sided p value, shape (runs,); NaN where either side has fewer than five.
    """
    hospitals = np.eye(int(site.max()) + 1)[site]
    own, rest = cell @ hospitals, ~cell @ hospitals
    shared = (own > 0) & (rest > 0)
    own, rest = own * shared, rest * shared
    taking = shared[:, site]
    here, there = cell & taking, ~cell & taking
    mean = ((values * there) @ hospitals) / np.maximum(rest, 1)
    about = values - mean[:, site]
    n, m = own.sum(axis=1), rest.sum(axis=1)
    free = m - shared.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = (about * here).sum(axis=1) / n
        spread = (about**2 * there).sum(axis=1) / free
        variance = ((about - gap[:, None]) ** 2 * here).sum(axis=1) / (n - 1)
        share = (own / n[:, None]) ** 2 / np.maximum(rest, 1)
        parts = variance / n, spread * share.sum(axis=1)
        total = parts[0] + parts[1]
        freedom = total**2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / free)
        p = 2 * stats.t.sf(np.abs(gap) / np.sqrt(total), freedom)
    enough = (n >= LEAST) & (m >= LEAST)
    return np.where(enough, gap, np.nan), np.where(enough, p, np.nan)


def holm(p: Floats) -> Masks:
    """Reject by Holm's procedure in every run; shape (runs, comparisons), NaN is no comparison."""
    family = np.isfinite(p).sum(axis=1, keepdims=True)
    order = np.argsort(np.where(np.isfinite(p), p, 2.0), axis=1)
    ranked = np.take_along_axis(np.where(np.isfinite(p), p, 2.0), order, axis=1)
    kept = ranked <= ALPHA / np.maximum(family - np.arange(p.shape[1]), 1)
    rejected = np.logical_and.accumulate(kept, axis=1)
    return np.take_along_axis(rejected, np.argsort(order, axis=1), axis=1)


def named(scenario: Scenario, rng: np.random.Generator, runs: int) -> tuple[Masks, list[str]]:
    """Return who is named in the runs, shape (runs, comparisons), and what each comparison is."""
    n, measures = scenario.patients, scenario.measures
    site = np.repeat(np.arange(SITES), n)
    patients = len(site)
    cells: list[tuple[str, Masks]] = [
        ("women", rng.random((runs, patients)) < 0.5),
        ("implant", rng.random((runs, patients)) < 0.15),
    ]
    for words, count in (("age", 4), ("days", 4)):
        dealt = rng.integers(0, count, (runs, patients))
        cells += [(f"{words} {one}", dealt == one) for one in range(count)]
    cells += [("men", ~cells[0][1]), ("no implant", ~cells[1][1])]
    common = rng.standard_normal((runs, patients))
    gaps, p, told = [], [], []
    everywhere = np.zeros(patients, dtype=np.int64)
    for measure in range(measures):
        own = rng.standard_normal((runs, patients))
        values = scenario.shape(np.sqrt(TOGETHER) * common + np.sqrt(1 - TOGETHER) * own)
        values = values + scenario.between * rng.standard_normal((runs, SITES))[:, site]
        if measure == 0:
            values = values + scenario.site * (site == SITES - 1)
            values = values + scenario.stratum * cells[1][1]
        for one in range(SITES):
            homes = [home for home in range(TRAINED) if home != one]
            taking = np.isin(site, [one, *homes])
            mask = np.broadcast_to(site == one, (runs, patients))[:, taking]
            found = many_contrasts(values[:, taking], mask, everywhere[taking])
            gaps.append(found[0])
            p.append(found[1])
            told.append(f"{measure} site {one}")
        for words, mask in cells:
            found = many_contrasts(values, mask, site)
            gaps.append(found[0])
            p.append(found[1])
            told.append(f"{measure} {words}")
    worse = np.stack(gaps, axis=1) > 0
    return holm(np.stack(p, axis=1)) & worse, told


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Shares of audits in which it happened."""

    anybody: float
    planted: float | None
    others: float | None
    promised: float | None


def rates(scenario: Scenario, runs: int = RUNS, seed: int = 0) -> Rates:
    """Audit simulated hospitals many times."""
    rng = np.random.default_rng(seed)
    found = [named(scenario, rng, min(AT_ONCE, runs - at)) for at in range(0, runs, AT_ONCE)]
    told = found[0][1]
    hits = np.concatenate([one for one, _ in found])
    anybody = float(hits.any(axis=1).mean())
    aim = f"0 site {SITES - 1}" if scenario.site else "0 implant" if scenario.stratum else None
    if aim is None:
        return Rates(anybody=anybody, planted=None, others=None, promised=None)
    others = np.array([name != aim for name in told])
    promised = None
    if scenario.site:
        promised = chance_at_a_site(
            scenario.patients,
            size_in_sd=scenario.site,
            measures=scenario.measures,
            sites=SITES,
            training_sites=TRAINED,
            strata=len(told) // scenario.measures - SITES,
        )
    return Rates(
        anybody=anybody,
        planted=float(hits[:, told.index(aim)].mean()),
        others=float(hits[:, others].any(axis=1).mean()),
        promised=promised,
    )


SCENARIOS = (
    *(
        Scenario(words=f"clean, {words}", patients=n, shape=shape)
        for words, shape in (("normal", normal), ("log-normal", skewed), ("Dice-like", bounded))
        for n in (5, 10, 20)
    ),
    *(
        Scenario(words=f"a site 2 SD worse, {words}", patients=n, shape=shape, site=2.0)
        for words, shape in (("normal", normal), ("log-normal", skewed))
        for n in (5, 10, STATED, 20)
    ),
    Scenario(words="a site 2 SD worse in one of 27 measures", patients=5, site=2.0, measures=27),
    Scenario(words="a site 1 SD worse, normal", patients=20, site=1.0),
    *(Scenario(words="implants 2 SD worse, normal", patients=n, stratum=2.0) for n in (10, 20)),
    Scenario(words="sites truly differ by 0.3 SD, normal", patients=20, between=0.3),
)


def table(runs: int) -> str:
    """Write every scenario as a row."""
    lines = [
        "| Simulated | Patients a site | Anybody named | The planted one named | Promised | "
        "Anybody else named |",
        "|---|---|---|---|---|---|",
    ]
    for scenario in SCENARIOS:
        found = rates(scenario, runs if scenario.measures <= MEASURES else min(runs, 2000))
        cells = [found.anybody, found.planted, found.promised, found.others]
        told = ["" if one is None else f"{100 * one:.1f} %" for one in cells]
        lines.append(f"| {scenario.words} | {scenario.patients} | {' | '.join(told)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    """Simulate and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    text = table(asked.runs)
    if asked.write is not None:
        page = asked.write.read_text()
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        asked.write.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
