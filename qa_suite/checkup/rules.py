"""The rules over time: one measure of one model, its baseline, and where a rule is broken. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from pydantic import BaseModel, ConfigDict

from qa_suite.checkup.alarms import (
    BASELINE,
    HORIZON,
    MOST_ALIKE,
    SMOOTHING,
    factor,
    missing_run,
    run_beyond,
)
from qa_suite.checkup.charts import Limits, control_limits
from qa_suite.checkup.cohort import RESOLUTION, scale_of
from qa_suite.checkup.log import LogRow
from qa_suite.core.wording import count, known, number
from qa_suite.judging.patient_values import Measure

Rule = Literal["point", "drift", "run", "missing"]


class Signal(BaseModel):
    """One rule that one chart broke among the newest 40 check-ups; of several, the latest.

    Parameters
    ----------
    check_up
        Number of the check-up among those of the model, from 1 on.
    places
        Numbers of all check-ups that broke the rule.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    metric: str
    region: str
    variant: str = "default"
    rule: Rule
    check_up: int
    case: str
    time: str
    places: tuple[int, ...]
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Series:
    """One measure over the check-ups of one model, from the first that took it."""

    key: Measure
    unit: str
    first: int
    rows: tuple[LogRow | None, ...]

    @property
    def numbers(self) -> list[float | None]:
        """The value of each check-up; None where there is none."""
        return [None if row is None else row.value for row in self.rows]

    @property
    def missing(self) -> list[bool]:
        """Where there is neither a value nor a bound of one."""
        return [row is None or row.status in ("undefined", "error") for row in self.rows]

    @property
    def learnt(self) -> int:
        """How many check-ups the baseline took; 0 while it is not complete."""
        places = [place for place, value in enumerate(self.numbers) if value is not None]
        return places[BASELINE - 1] + 1 if len(places) >= BASELINE else 0

    @property
    def baseline(self) -> list[float]:
        """The first values, from which the limits are learnt."""
        return [v for v in self.numbers[: self.learnt] if v is not None]


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """What is usual of one chart."""

    series: Series
    limits: Limits
    charts: int
    error: float


# ---------------------------------------------------------------------------------------
# Learning


def series_of(rows: Sequence[LogRow], cases: Sequence[str]) -> Iterator[Series]:
    """Yield every measure of one model's check-ups, in the log's order."""
    by_measure: dict[Measure, dict[str, LogRow]] = {}
    for row in rows:
        key = Measure(metric=row.metric, region=row.region, variant=row.variant)
        by_measure.setdefault(key, {})[row.case] = row
    for key, found in by_measure.items():
        first = next(place for place, case in enumerate(cases) if case in found)
        yield Series(
            key=key,
            unit=next(iter(found.values())).unit,
            first=first,
            rows=tuple(found.get(case) for case in cases[first:]),
        )


def learn(series: Series, charts: int, error: float) -> Learnt:
    """Learn what is usual of a chart whose baseline is complete."""
    limits = control_limits(
        series.baseline,
        scale=scale_of(series.key.metric, series.baseline),
        missing=series.learnt - BASELINE,
        resolution=RESOLUTION.get(series.key.metric, 0.0),
    )
    return Learnt(series=series, limits=limits, charts=charts, error=error)


# ---------------------------------------------------------------------------------------
# Signals


def signals_of(learnt: Learnt, check_ups: Sequence[LogRow]) -> Iterator[Signal]:
    """Yield the rules that a chart breaks among the newest check-ups."""
    series = learnt.series
    newest = max(len(check_ups) - HORIZON, 0)
    broken: tuple[tuple[Rule, dict[int, str]], ...] = (
        ("point", _gross(learnt)),
        ("drift", _drifting(learnt)),
        ("run", _in_a_row(learnt)),
        ("missing", _too_many_missing(learnt)),
    )
    for rule, places in broken:
        recent = {p: why for p, why in places.items() if series.first + p >= newest}
        if not recent:
            continue
        place = max(recent)
        at = check_ups[series.first + place]
        yield Signal(
            metric=series.key.metric,
            region=series.key.region,
            variant=series.key.variant,
            rule=rule,
            check_up=series.first + place + 1,
            case=at.case,
            time=at.time,
            places=tuple(series.first + place + 1 for place in sorted(recent)),
            sentence=f"{series.key.metric} in {series.key.region} {recent[place]}, at check-up "
            f"{series.first + place + 1} ({at.case}).",
        )


def _gross(learnt: Learnt) -> dict[int, str]:
    """Return where a value, or the bound of a censored one, lies grossly far off, and how far.

    Nowhere, where many values of the baseline are the same (a count that is mostly nought): their
    spread says nothing of how far a single one may lie.
    """
    if max(Counter(learnt.limits.values).values()) > MOST_ALIKE:
        return {}
    limits, most = learnt.limits, factor("point", learnt.charts, learnt.error)
    found = {}
    for place, row in _after(learnt.series):
        if row.value is None:
            off, what = _proven(row, limits), known(row.at_least, row.at_most, row.unit)
        else:
            off, what = abs(limits.sigmas(row.value)), number(row.value)
        if off > most and _beyond_meaning(learnt, row):
            found[place] = f"is {what}, {off:.1f} standard deviations off (allowed {most:.1f})"
    return found


def _beyond_meaning(learnt: Learnt, row: LogRow) -> bool:
    """Say whether a value lies outside the baseline by more than a difference can mean."""
    margin = RESOLUTION.get(learnt.series.key.metric, 0.0)
    values = learnt.limits.values
    ends = [end for end in (row.value, row.at_least, row.at_most) if end is not None]
    return any(end < values[0] - margin or end > values[-1] + margin for end in ends)


def _after(series: Series) -> Iterator[tuple[int, LogRow]]:
    """Yield the check-ups after the baseline that took the measure, with their places."""
    for place, row in enumerate(series.rows):
        if place >= series.learnt and row is not None:
            yield place, row


def _drifting(learnt: Learnt) -> dict[int, str]:
    """Return where the exponentially weighted mean of normal scores is too far from nought."""
    most = factor("drift", learnt.charts, learnt.error)
    smooth, found = 0.0, {}
    for place, row in _after(learnt.series):
        if row.value is None:
            continue
        smooth = SMOOTHING * _score(learnt, row.value) + (1 - SMOOTHING) * smooth
        if abs(smooth) > most:
            way = "higher" if smooth > 0 else "lower"
            found[place] = (
                f"has drifted {way} than its baseline (running mean of its ranks {smooth:+.2f}, "
                f"allowed ±{most:.2f})"
            )
    return found


def _score(learnt: Learnt, value: float) -> float:
    """Return the normal score of a value's rank among the baseline; like values share a rank."""
    margin = RESOLUTION.get(learnt.series.key.metric, 0.0) + 1e-9 * max(abs(value), 1e-3)
    below = bisect_left(learnt.limits.values, value - margin)
    same = bisect_right(learnt.limits.values, value + margin) - below
    return NormalDist().inv_cdf((below + same / 2 + 0.5) / (BASELINE + 1))


def _proven(row: LogRow, limits: Limits) -> float:
    """Return how far off a censored value is at least."""
    above = -math.inf if row.at_least is None else limits.sigmas(row.at_least)
    below = -math.inf if row.at_most is None else -limits.sigmas(row.at_most)
    return max(above, below)


def _in_a_row(learnt: Learnt) -> dict[int, str]:
    """Return where too many values in a row lie beyond what the baseline saw."""
    run = run_beyond(learnt.charts, learnt.error)
    low, high = ends(learnt)
    found: dict[int, str] = {}
    length, side = 0, 0
    for place, row in _after(learnt.series):
        if row.value is None:
            continue  # what is missing breaks no run
        now = 1 if row.value > high else -1 if row.value < low else 0
        length = (length + 1 if now == side else 1) if now else 0
        side = now
        if length >= run.length:
            word, end = ("above", high) if side > 0 else ("below", low)
            found[place] = f"lies {word} {number(end)} for {count(length, 'check-up')} in a row"
    return found


def ends(learnt: Learnt) -> tuple[float, float]:
    """Return what a run lies beyond, by at least what a difference of the measure can mean."""
    run = run_beyond(learnt.charts, learnt.error)
    margin = RESOLUTION.get(learnt.series.key.metric, 0.0)
    return (
        learnt.limits.values[run.beyond - 1] - margin,
        learnt.limits.values[-run.beyond] + margin,
    )


def _too_many_missing(learnt: Learnt) -> dict[int, str]:
    series = learnt.series
    gone = series.missing
    before = sum(gone[: series.learnt])
    longest = missing_run(before, series.learnt, learnt.charts, learnt.error)
    found, length = {}, 0
    for place in range(series.learnt, len(gone)):
        length = length + 1 if gone[place] else 0
        if length >= longest:
            found[place] = (
                f"has no value for {count(length, 'check-up')} in a row, and {before} of "
                f"{series.learnt} in its baseline had none"
            )
    return found
