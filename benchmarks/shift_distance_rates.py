"""How often a patient or a site is called unlike the training: simulated features.

``python -m benchmarks.shift_distance_rates --write docs/appendix/shift-distance.md`` draws two
registered training sites and two examined ones: C images as the training does, in D is what was
planted. It counts who is named, shares of protocol tags and errors that follow the distance.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.shift_cohorts import case_of
from qa_suite.core.records import TrainingSources
from qa_suite.core.records.shift import ErrorFollows
from qa_suite.judging.shift import distances_of, site_protocols
from qa_suite.judging.shift.features import FEATURES, FeatureTable
from qa_suite.judging.shift.follows import LEVELS, at_level

Rows = NDArray[np.float64]
FEATURES_OF_SOURCE = FEATURES["source"]
P = len(FEATURES_OF_SOURCE)
TRAINING, PATIENTS = (10, 20, 40), 10
"""Patients of each of the two training sites, and of each examined one."""
NUISANCE = 3.0
"""Standard deviation between sites' means, in those within: hospitals are unlike each other."""


def correlation() -> Rows:
    """Return correlations as of images: neighbouring features go together, up to 0.9."""
    apart = np.abs(np.subtract.outer(np.arange(P), np.arange(P)))
    return 0.9**apart


def scores(rng: np.random.Generator, n: int, shape: str) -> Rows:
    """Draw patients of mean nought and deviation one."""
    mixing = np.linalg.cholesky(correlation()).T
    if shape == "heavy":
        return rng.normal(size=(n, P)) @ mixing / np.sqrt(rng.chisquare(4, (n, 1)) / 2)
    if shape == "skewed":
        return (rng.exponential(size=(n, P)) - 1) @ mixing
    return rng.normal(size=(n, P)) @ mixing


def _nothing(rng: np.random.Generator, rows: Rows) -> Rows:
    return rows


def _one(rng: np.random.Generator, rows: Rows) -> Rows:
    return rows + 2.0 * (np.arange(P) == 3)


def _four(rng: np.random.Generator, rows: Rows) -> Rows:
    return rows + 2.0 * np.isin(np.arange(P), (1, 5, 9, 13))


def _together(rng: np.random.Generator, rows: Rows) -> Rows:
    return rows + 1.5


def _third(rng: np.random.Generator, rows: Rows) -> Rows:
    some = (np.arange(len(rows)) % 3 == 0)[:, None]
    return rows + 4.0 * some * np.isin(np.arange(P), (1, 5, 9, 13))


def _apart(rng: np.random.Generator, rows: Rows) -> Rows:
    return rng.normal(size=rows.shape)


PLANTED: dict[str, Callable[[np.random.Generator, Rows], Rows]] = {
    "nothing": _nothing,
    "2 SD in one feature": _one,
    "2 SD in four of sixteen": _four,
    "1.5 SD in all, as they go together": _together,
    "4 SD in four, in every third patient": _third,
    "features no longer go together": _apart,
}


def distances(planted: str, shape: str, n: int, cohorts: int, seed: int) -> dict[str, float]:
    """Return how often patients and sites are named."""
    rng = np.random.default_rng([seed, n, len(planted), len(shape)])
    found: dict[str, list[float]] = {k: [] for k in ("patients C", "site C", "patients D", "D")}
    for _ in range(cohorts):
        means = NUISANCE * rng.normal(size=(2, P))
        training = {s: scores(rng, n, shape) + m for s, m in zip("AB", means, strict=True)}
        home = means[rng.integers(2)]
        rows = [scores(rng, PATIENTS, shape) + home for _ in "CD"]
        rows[1] = PLANTED[planted](rng, rows[1] - home) + home
        told = distances_of(
            _table(np.concatenate(rows)), "CD", training=_registered(training)
        ).sites
        for one in told:
            who = "C" if one.site == "C" else "D"
            found[f"patients {who}"].append((one.unlike or 0) / PATIENTS)
            found["site C" if who == "C" else "D"].append(bool(one.differs))
    return {key: float(np.mean(values)) for key, values in found.items()}


def _table(rows: Rows) -> FeatureTable:
    return FeatureTable(
        features=FEATURES_OF_SOURCE,
        patients=tuple(f"p{n}" for n in range(len(rows))),
        sites=tuple("CD"[n // PATIENTS] for n in range(len(rows))),
        values=rows,
    )


def _registered(training: dict[str, Rows]) -> TrainingSources:
    ratio = np.array([feature.ratio for feature in FEATURES_OF_SOURCE])
    rows = {s: np.where(ratio, np.exp(found), found) for s, found in training.items()}
    return TrainingSources(
        features=tuple(feature.key for feature in FEATURES_OF_SOURCE),
        rows={s: tuple(tuple(map(float, row)) for row in found) for s, found in rows.items()},
    )


def shares(cohorts: int, seed: int) -> tuple[float, float]:
    """Return how often any share is named where none differs, and a planted one where it does.

    Six sites of ten patients, four tags of two values each, 30 training patients; planted: at
    the last site 9 of 10 have the value that a quarter of the training has.
    """
    rng = np.random.default_rng(seed)
    tags = ("source_manufacturer", "field_strength_t", "sequence", "ct_kernel")
    false = right = 0
    for _ in range(cohorts):
        trained = {t: int(rng.binomial(30, 0.75)) for t in tags}
        protocols = {t: {"a": k, "b": 30 - k} for t, k in trained.items() if 0 < k < 30}
        known = TrainingSources(features=(), rows={}, protocols={"A": protocols})
        cases = []
        for site in "CDEFGH":
            for n in range(10):
                strata = {t: "a" if rng.random() < 0.75 else "b" for t in tags}
                if site == "H":
                    strata["sequence"] = "a" if n == 0 else "b"
                cases.append(case_of(f"{site}{n}", f"p{site}{n}", site, strata=strata))
        found = [s for one in site_protocols(cases, training=known) for s in _named(one)]
        false += any(one != ("H", "sequence") for one in found)
        right += ("H", "sequence") in found
    return false / cohorts, right / cohorts


def _named(one: object) -> list[tuple[str, str]]:
    return [(one.site, share.tag) for share in one.shares if share.differs]  # type: ignore[attr-defined]


def follows(rho: float, cohorts: int, seed: int) -> dict[str, tuple[float, float]]:
    """Return how often an association is shown, and how often its interval holds the true one.

    Eight sites of eight patients with sites' levels of their own in both; distances are skewed.
    """
    rng = np.random.default_rng(seed)
    shown: dict[str, list[bool]] = {level: [] for level in LEVELS}
    held: dict[str, list[bool]] = {level: [] for level in LEVELS}
    truth = 6 / np.pi * np.arcsin(rho / 2)  # Spearman's of normal values
    for cohort in range(cohorts):
        rows = []
        for site in "ABCDEFGH":
            level = rng.normal(size=2)
            for _ in range(8):
                x = rng.normal()
                y = rho * x + np.sqrt(1 - rho**2) * rng.normal()
                rows.append((site, float(np.exp(0.3 * (x + level[0]))), 60 + 8 * (y + level[1])))
        for level in LEVELS:
            blank = ErrorFollows(metric="mae", region="body", unit="HU", level=level, n=0)
            told = at_level(blank, rows, 0.95, cohort)
            if told.rho_low is None or told.rho_high is None:
                continue  # over all patients it is described
            shown[level].append(" goes with " in told.sentence)
            held[level].append(told.rho_low <= truth <= told.rho_high)
    tested = [level for level in LEVELS if shown[level]]
    return {k: (float(np.mean(shown[k])), float(np.mean(held[k]))) for k in tested}


# ---------------------------------------------------------------------------------------
# The page


def page(cohorts: int, seed: int) -> str:
    """Return the page."""
    lines = [
        "# How often a distance, a share and an association are named",
        "",
        "Written by `python -m benchmarks.shift_distance_rates --write "
        "docs/appendix/shift-distance.md`.",
        "",
        "## Patients and sites unlike the training",
        "",
        f"{cohorts} cohorts a row: two registered training sites of so many patients each, whose "
        f"means lie {NUISANCE:g} SD apart in each of {P} features; C images as one of them, in D "
        f"is what was planted; {PATIENTS} patients each. Promised: at most 5 % of the patients "
        "like the training's, and at most 5 % of the cohorts with a site named falsely.",
        "",
        "| Planted in D | Features | Training patients | Patients of C named | C named | "
        "Patients of D named | D named |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    kinds = [("nothing", shape) for shape in ("normal", "heavy", "skewed")]
    kinds += [(kind, "normal") for kind in PLANTED if kind != "nothing"]
    for kind, shape in kinds:
        for n in TRAINING:
            told = distances(kind, shape, n, cohorts, seed)
            lines.append(f"| {kind} | {shape} | {2 * n} | {_percents(list(told.values()))} |")
            print(lines[-1], flush=True)
    false, right = shares(cohorts, seed)
    lines += [
        "",
        "## Shares of protocol tags",
        "",
        f"{cohorts} cohorts of six sites of ten patients, four tags of two values, 30 training "
        f"patients: a share is named falsely in {_percent(false)} of cohorts (promised: at most "
        f"5 %; Fisher's test is conservative); a value of a quarter of the training in nine of "
        f"ten patients of one site is named in {_percent(right)}.",
        "",
        "## Errors that follow the distance",
        "",
        f"{cohorts} cohorts a row of eight sites of eight patients, with sites' own levels in "
        "both. *Within sites* is the association that was planted; between sites there is none.",
        "",
        "| Correlation within sites | Shown within sites | Interval holds it | "
        "Shown between sites |",
        "|---:|---:|---:|---:|",
    ]
    for rho in (0.0, 0.3, 0.6):
        told = follows(rho, cohorts, seed)
        within = told["within sites"]
        values = [*within, told["between sites"][0]]
        lines.append(f"| {rho:g} | {_percents(values)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def _percents(values: Sequence[float]) -> str:
    return " | ".join(map(_percent, values))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    text = page(asked.cohorts, asked.seed)
    if asked.write is not None:
        asked.write.write_text(text)
