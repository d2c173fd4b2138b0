"""The judge's statistics beside SciPy's and statsmodels', into docs/simulations.md.

    python -m benchmarks.simulations.peers --write docs/simulations.md

statsmodels is no dependency: 'pip install statsmodels' beside the suite, for this table alone.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from qa_suite.audit.paired import paired
from qa_suite.judging.comparisons import holm_p_values, tost_p_value, welch_interval, welch_p_value
from qa_suite.judging.statistics import mean_interval, median_interval, proportion_interval

BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"
_SAMPLES = 100
_HEAD = """
## Beside SciPy and statsmodels

The same {samples} random samples of 5 to 40 patients each, largest difference relative to the
value (p values: absolute), SciPy {scipy}, statsmodels {statsmodels}. Generalised limits, Korn and
Graubard's, Woodruff's and the prediction of a new hospital have no counterpart there; they are held
to their definitions by tests and to their promises above.

| What | Beside | Differs by at most | Ours, ms | Theirs, ms |
|---|---|---|---|---|
"""
Sample = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Beside:
    """One number or interval of ours, and who else has it."""

    what: str
    whom: str
    ours: Callable[[Sample], Sequence[float]]
    theirs: Callable[[Sample], Sequence[float]]


def _ends(interval: Any) -> tuple[float, float]:
    return interval.low, interval.high


def _met(one: np.ndarray) -> int:
    return int((one < 1.2).sum())


def of_scipy() -> list[Beside]:
    """Return what SciPy has."""
    return [
        Beside(
            what="t interval of a mean",
            whom="scipy.stats.ttest_1samp",
            ours=lambda s: _ends(mean_interval(s[0])),
            theirs=lambda s: _ends(stats.ttest_1samp(s[0], 0).confidence_interval()),
        ),
        Beside(
            what="Clopper-Pearson",
            whom="scipy.stats.binomtest",
            ours=lambda s: _ends(proportion_interval(_met(s[0]), s[0].size)),
            theirs=lambda s: _ends(stats.binomtest(_met(s[0]), s[0].size).proportion_ci()),
        ),
        Beside(
            what="median by order statistics",
            whom="scipy.stats.quantile_test (the level 0.05 of both ends)",
            ours=lambda s: _ends(median_interval(np.concatenate(s))),
            theirs=lambda s: _ends(
                stats.quantile_test(np.concatenate(s)).confidence_interval(0.95)
            ),
        ),
        Beside(
            what="Welch's p value",
            whom="scipy.stats.ttest_ind",
            ours=lambda s: [welch_p_value(*s)],
            theirs=lambda s: [stats.ttest_ind(*s, equal_var=False).pvalue],
        ),
        Beside(
            what="paired t, p value",
            whom="scipy.stats.ttest_rel",
            ours=lambda s: [paired(*s, "lower").p_t or 0.0],
            theirs=lambda s: [stats.ttest_rel(*s).pvalue],
        ),
        Beside(
            what="Wilcoxon's signed ranks, p value",
            whom="scipy.stats.wilcoxon",
            ours=lambda s: [paired(*s, "lower").p_ranks or 0.0],
            theirs=lambda s: [stats.wilcoxon(*s).pvalue],
        ),
    ]


def of_statsmodels() -> list[Beside]:
    """Return what statsmodels has; nothing where it is not installed."""
    try:
        api = importlib.import_module("statsmodels.stats.api")
        power = importlib.import_module("statsmodels.stats.multitest")
    except ImportError:
        return []
    return [
        Beside(
            what="t interval of a mean",
            whom="statsmodels DescrStatsW.tconfint_mean",
            ours=lambda s: _ends(mean_interval(s[0])),
            theirs=lambda s: api.DescrStatsW(s[0]).tconfint_mean(),
        ),
        Beside(
            what="Clopper-Pearson",
            whom="statsmodels proportion_confint, beta",
            ours=lambda s: _ends(proportion_interval(_met(s[0]), s[0].size)),
            theirs=lambda s: api.proportion_confint(_met(s[0]), s[0].size, method="beta"),
        ),
        Beside(
            what="Welch's interval",
            whom="statsmodels CompareMeans.tconfint_diff",
            ours=lambda s: _ends(welch_interval(*s)),
            theirs=lambda s: api.CompareMeans(
                api.DescrStatsW(s[0]), api.DescrStatsW(s[1])
            ).tconfint_diff(usevar="unequal"),
        ),
        Beside(
            what="two one-sided tests, p value",
            whom="statsmodels DescrStatsW.ttost_mean",
            ours=lambda s: [tost_p_value(s[0], low=0.6, high=1.4)],
            theirs=lambda s: [api.DescrStatsW(s[0]).ttost_mean(0.6, 1.4)[0]],
        ),
        Beside(
            what="paired t interval",
            whom="statsmodels DescrStatsW of differences",
            ours=lambda s: _ends(mean_interval(s[0] - s[1])),
            theirs=lambda s: api.DescrStatsW(s[0] - s[1]).tconfint_mean(),
        ),
        Beside(
            what="Holm's p values",
            whom="statsmodels multipletests",
            ours=lambda s: holm_p_values(list(np.minimum(s[0] ** 4, 1))),
            theirs=lambda s: power.multipletests(np.minimum(s[0] ** 4, 1), method="holm")[1],
        ),
    ]


def section() -> str:
    """Return the part of the page, between its marks."""
    rng = np.random.default_rng(11)
    sizes = rng.integers(5, 41, _SAMPLES)
    samples = [(rng.gamma(9, 1 / 9, n), rng.gamma(9, 1 / 9, n)) for n in sizes]
    found = of_statsmodels()
    version = importlib.import_module("statsmodels").__version__ if found else "not installed"
    text = _HEAD.format(
        samples=_SAMPLES, scipy=importlib.import_module("scipy").__version__, statsmodels=version
    )
    for one in (*of_scipy(), *found):
        ours, mine = _timed(one.ours, samples)
        theirs, other = _timed(one.theirs, samples)
        absolute = "p value" in one.what
        differs = max(
            float(np.max(np.abs(a - b) / (1.0 if absolute else np.maximum(np.abs(b), 1e-12))))
            for a, b in zip(ours, theirs, strict=True)
        )
        told = "nothing" if differs == 0 else f"{differs:.0e}"
        text += f"| {one.what} | {one.whom} | {told} | {mine:.2f} | {other:.2f} |\n"
    return f"{BEGIN}{text}{END}\n"


def _timed(
    function: Callable[[Sample], Sequence[float]], samples: Sequence[Sample]
) -> tuple[list[np.ndarray], float]:
    begun = time.process_time()
    found = [np.asarray(function(sample), dtype=np.float64) for sample in samples]
    return found, 1000 * (time.process_time() - begun) / len(samples)


def put(page: str, part: str) -> str:
    """Return a page with the part in the place of the one it had, or at its end."""
    if not part:
        return page
    if BEGIN not in page:
        return f"{page.rstrip()}\n\n{part}"
    before, rest = page.split(BEGIN)
    return before + part.rstrip("\n") + rest.split(END)[1]


def part_of(page: str) -> str:
    """Return the part that a page has; empty where it has none."""
    if BEGIN not in page:
        return ""
    return BEGIN + page.split(BEGIN)[1].split(END)[0] + END + "\n"


def main() -> None:
    """Compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="the page; else the part is printed")
    asked = parser.parse_args()
    if asked.write:
        page = asked.write.read_text(encoding="utf-8")
        asked.write.write_text(put(page, section()), encoding="utf-8")
    else:
        print(section())


if __name__ == "__main__":
    main()
