"""How often quiet logs of check-ups alarm, and what a change does to them.

``python -m benchmarks.simulations.control_charts`` prints the factors of
``qa_suite.checkup.alarms``; the section of docs/simulations.md comes from :func:`section`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

from qa_suite.checkup.alarms import (
    BASELINE,
    HORIZON,
    MOST_ALIKE,
    SHARES,
    SMOOTHING,
    factor,
    missing_run,
    run_beyond,
)
from qa_suite.checkup.charts import D2

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]
CHARTS = (1, 10, 40)
ERROR = 0.01
RULES = ("point", "drift", "run")
POPULATIONS: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "uniform": lambda rng, shape: rng.random(shape),
    "log-normal, σ 0.5": lambda rng, shape: np.exp(rng.normal(0, 0.5, shape)),
    "exponential": lambda rng, shape: rng.exponential(size=shape),
    "Student t, 5 degrees of freedom": lambda rng, shape: rng.standard_t(5, shape),
    "log-normal, σ 1 †": lambda rng, shape: np.exp(rng.normal(size=shape)),
    "rounded to half standard deviations †": lambda rng, shape: (
        np.round(2 * rng.normal(size=shape)) / 2
    ),
    "nought in nine of ten, else exponential †": lambda rng, shape: (
        rng.exponential(size=shape) * (rng.random(shape) < 0.1)
    ),
}
OF_POINTS = ("normal", "log-normal, σ 0.5", "exponential", "Student t, 5 degrees of freedom")
"""Populations in the worst of which the factor of *point* holds."""


def farthest(values: Array) -> Array:
    """Return the largest distance of each log from its baseline's centre, in its deviations."""
    first, after = values[..., :BASELINE], values[..., BASELINE:]
    ordered = np.sort(first, axis=-1)
    weights = 2 * np.arange(1, BASELINE + 1) - BASELINE - 1
    sigma = 2 * (ordered @ weights) / (BASELINE * (BASELINE - 1)) / D2
    alike = (ordered[..., MOST_ALIKE:] == ordered[..., :-MOST_ALIKE]).any(axis=-1)
    far = np.abs(after - first.mean(axis=-1)[..., None]).max(axis=-1)
    return np.asarray(np.where(alike, 0.0, far / np.where(alike, 1.0, sigma)))


def drifts(values: Array) -> Array:
    """Return the largest exponentially weighted mean of each log's normal scores."""
    first, after = values[..., None, :BASELINE], values[..., BASELINE:, None]
    below, same = (first < after).sum(axis=-1), (first == after).sum(axis=-1)
    scores = special.ndtri((below + same / 2 + 0.5) / (BASELINE + 1))
    smooth, most = np.zeros(scores.shape[:-1]), np.zeros(scores.shape[:-1])
    for step in range(scores.shape[-1]):
        smooth = SMOOTHING * scores[..., step] + (1 - SMOOTHING) * smooth
        most = np.maximum(most, np.abs(smooth))
    return most


def runs(values: Array, beyond: int, length: int) -> NDArray[np.bool_]:
    """Say which logs have ``length`` values in a row beyond all but a few of the baseline's."""
    ordered, after = np.sort(values[..., :BASELINE], axis=-1), values[..., BASELINE:]
    found = np.zeros(values.shape[:-1], dtype=bool)
    for out in (after > ordered[..., [-beyond]], after < ordered[..., [beyond - 1]]):
        windows = np.lib.stride_tricks.sliding_window_view(out, length, axis=-1)
        found |= windows.all(axis=-1).any(axis=-1)
    return found


def factors(logs: int = 2_000_000, seed: int = 1) -> dict[str, Array]:
    """Return the quantiles of quiet charts at the shares of ``alarms.SHARES``."""
    rng, wanted = np.random.default_rng(seed), 1 - np.array(SHARES)
    shape, chunks = (50_000, BASELINE + HORIZON), range(logs // 50_000)
    points = [
        np.quantile(
            np.concatenate([farthest(POPULATIONS[name](rng, shape)) for _ in chunks]), wanted
        )
        for name in OF_POINTS
    ]
    drift = np.quantile(np.concatenate([drifts(rng.random(shape)) for _ in chunks]), wanted)
    return {"point": np.max(points, axis=0), "drift": drift}


def alarms(
    draw: Draw,
    charts: int,
    logs: int,
    rng: np.random.Generator,
    shift: float = 0.0,
    lasts: int = 99,
) -> dict[str, float]:
    """Return the share of logs with a signal of each rule, over all their charts.

    ``shift`` is added to one chart from the sixth check-up after the baseline on, for so many
    check-ups.
    """
    counts = dict.fromkeys((*RULES, "any"), 0)
    run = run_beyond(charts, ERROR)
    for _ in range(logs // 500):
        values = draw(rng, (500, charts, BASELINE + HORIZON))
        values[:, 0, BASELINE + 5 : BASELINE + 5 + lasts] += shift
        hits = {
            "point": (farthest(values) > factor("point", charts, ERROR)).any(1),
            "drift": (drifts(values) > factor("drift", charts, ERROR)).any(1),
            "run": runs(values, run.beyond, run.length).any(1),
        }
        hits["any"] = np.any(list(hits.values()), axis=0)
        for rule, hit in hits.items():
            counts[rule] += int(hit.sum())
    return {rule: n / (logs // 500 * 500) for rule, n in counts.items()}


def missing_alarms(share: float, charts: int, logs: int, rng: np.random.Generator) -> float:
    """Return the share of logs that signal missing values where a share of all is missing."""
    hits = 0
    for _ in range(logs):
        for chart in rng.random((charts, 4 * (BASELINE + HORIZON))) < share:
            end = int(np.flatnonzero(~chart)[BASELINE - 1]) + 1
            length = missing_run(int(chart[:end].sum()), end, charts, ERROR)
            after = chart[end : end + HORIZON]
            windows = np.lib.stride_tricks.sliding_window_view(after, min(length, HORIZON))
            if windows.all(axis=-1).any():
                hits += 1
                break
    return hits / logs


_HEAD = """
## Control charts over time

Quiet logs of check-ups: a baseline of {baseline}, then {horizon} more; {logs:,} logs a row. The
share of *logs* in which a rule signals at all, over all their charts together, is promised to be
1 % a rule (0.5 to 1.5 %) for *drift* and *run*, of continuous values of any distribution and
independent charts, and less where charts are alike. *Point* is for gross errors: at most 1.5 %
for tails up to those of the exponential and of Student's t with 5 degrees of freedom. Rows with †
lie outside: heavier tails, and values that are often the same (which alarm less).

| Values | Charts | point | drift | run | any |
|---|---|---|---|---|---|
"""


def section(logs: int, seed: int = 2) -> str:
    """Return the section of the page, from so many logs a row."""
    rng = np.random.default_rng(seed)
    text = _HEAD.format(baseline=BASELINE, horizon=HORIZON, logs=logs)
    for name, draw in POPULATIONS.items():
        for charts in CHARTS:
            found = alarms(draw, charts, logs, rng)
            cells = [f"{100 * found[rule]:.2f} %" for rule in (*RULES, "any")]
            text += f"| {name} | {charts} | " + " | ".join(cells) + " |\n"
    text += "\nValues missing by chance, in the baseline as after it; logs that signal *missing* "
    text += "(at most 1 %):\n\n| Missing | Charts | missing |\n|---|---|---|\n"
    for share in (0.02, 0.1, 0.3):
        for charts in (1, 10):
            rate = missing_alarms(share, charts, 2_000, rng)
            text += f"| {100 * share:g} % | {charts} | {100 * rate:.2f} % |\n"
    text += "\nOne chart of normal values moves for good, or a single value; logs in which it is "
    text += "found within 35 check-ups:\n\n"
    text += "| Moves by | Charts | point | drift | run | any |\n|---|---|---|---|---|---|\n"
    for shift, lasts in ((1.0, 99), (1.5, 99), (2.0, 99), (3.0, 99), (10.0, 1), (30.0, 1)):
        for charts in (1, 40):
            found = alarms(POPULATIONS["normal"], charts, 2_000, rng, shift, lasts)
            cells = [f"{100 * found[rule]:.0f} %" for rule in (*RULES, "any")]
            what = f"{shift:g} SD" + (", one value" if lasts == 1 else "")
            text += f"| {what} | {charts} | " + " | ".join(cells) + " |\n"
    return text


def main() -> None:
    """Print the factors, as they stand in the source."""
    for rule, values in factors().items():
        print(f'    "{rule}": ({", ".join(f"{v:.3f}" for v in values)}),')


if __name__ == "__main__":
    main()
