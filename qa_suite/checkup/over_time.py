"""Check-ups over time: an append-only log, and whether a translator stays as it was.

The log is a CSV file with one row a measure a check-up. The first 20 check-ups of a log are
its baseline: an I-MR chart (limits from the ranges of successive values) of the clinic's own
patients, who need not be like the held-out cohort's. From then on every check-up is asked:

- *point*: is the newest value beyond the baseline's limits?
- *range*: is its difference from the one before beyond 3.267 mean moving ranges?
- *run*: do the newest values all lie on one side of the baseline's centre?
- *lost*: could a value not be measured that every check-up of the baseline has?

The run rule of Western Electric (1956) takes eight, which chance alone makes on one chart in
128 check-ups; on forty charts that would be every fourth check-up. So the run is as long, and
the limits are as wide, as keeps the chance of any false signal of that rule at 1 % a check-up
over all charts.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from qa_suite.checkup.charts import D2, RANGE_FACTOR, SETTLED_VALUES, Limits, control_limits
from qa_suite.checkup.charts import widened_sigmas as _widened
from qa_suite.checkup.cohort import RESOLUTION, scale_of
from qa_suite.checkup.findings import FAMILY_ERROR, CheckUp
from qa_suite.core.errors import InputError
from qa_suite.core.records import MeasurementStatus
from qa_suite.core.wording import known
from qa_suite.judging.patient_values import Measure

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

SHORTEST_RUN = 8


class LogRow(BaseModel):
    """One measure of one check-up in the log."""

    model_config = _STRICT

    time: str
    case: str
    evaluation: str
    metric: str
    region: str
    variant: str
    unit: str
    value: float | None
    outside: bool
    at_least: float | None = None
    at_most: float | None = None
    status: MeasurementStatus = "ok"


_COLUMNS = tuple(LogRow.model_fields)[:-3]
"""Of the file: a bound of a censored value stands in the column of the value, as ``>=10``, and
where there is no value it says so: ``undefined`` or ``error``."""


class Signal(BaseModel):
    """One chart that is out of control at the newest check-up."""

    model_config = _STRICT

    metric: str
    region: str
    variant: str = "default"
    rule: Literal["point", "range", "run", "lost"]
    sentence: str


class OverTime(BaseModel):
    """What a log says at its newest check-up.

    Parameters
    ----------
    state
        ``baseline`` while the log is too short for limits of its own.
    check_ups
        In the log.
    charts
        Measures with a baseline.
    run
        How many values on one side make a signal.
    signals
        Charts that are out of control.
    """

    model_config = _STRICT

    state: Literal["baseline", "in control", "out of control"]
    check_ups: int
    charts: int
    run: int
    signals: tuple[Signal, ...]
    sentence: str


def read_log(path: Path) -> list[LogRow]:
    """Read a log of check-ups, oldest first; an absent one is empty.

    Raises
    ------
    InputError
        If it is not such a log; the line is named.
    """
    if not path.exists():
        return []
    rows = []
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise InputError(
                f"{path} is no log of check-ups: its first line should be {','.join(_COLUMNS)}."
            )
        for row in reader:
            try:
                rows.append(LogRow.model_validate({**row, **_read_value(row["value"])}))
            except (ValidationError, AttributeError):
                raise InputError(
                    f"Line {reader.line_num} of {path} is damaged; mend or remove it."
                ) from None
    return rows


def _read_value(text: str) -> dict[str, str | None]:
    """Read a cell: a value, bounds of one, or why there is none (in old logs nothing)."""
    if text in ("", "undefined", "error"):
        return {"value": None, "status": text or "undefined"}
    if not text.startswith((">=", "<=")):
        return {"value": text}
    names = {">=": "at_least", "<=": "at_most"}
    bounds = {names[part[:2]]: part[2:] for part in text.split()}
    return {"value": None, "status": "censored", **bounds}


def _written_value(row: LogRow) -> str | float | None:
    if row.status in ("undefined", "error"):
        return row.status
    bounds = ((">=", row.at_least), ("<=", row.at_most))
    return " ".join(f"{sign}{end!r}" for sign, end in bounds if end is not None) or row.value


def append_log(path: Path, check_up: CheckUp, *, time: str, evaluation: str) -> list[LogRow]:
    """Add a check-up to a log in one write; return the whole log.

    Raises
    ------
    InputError
        If the file is no such log, or holds this case already.
    """
    known = read_log(path)
    if any(row.case == check_up.case for row in known):
        raise InputError(
            f"{path} holds a check-up of {check_up.case} already; a log takes each image once."
        )
    rows = [
        LogRow(
            time=time,
            case=check_up.case,
            evaluation=evaluation,
            metric=f.metric,
            region=f.region,
            variant=f.variant,
            unit=f.unit,
            value=f.value,
            at_least=f.at_least,
            at_most=f.at_most,
            outside=f.outside,
            status=f.status,
        )
        for f in check_up.findings
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n", extrasaction="ignore")
    if not known and (not path.exists() or path.stat().st_size == 0):
        writer.writeheader()
    for row in rows:
        writer.writerow({**row.model_dump(), "value": _written_value(row)})
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        stream.write(text.getvalue().encode())
        stream.flush()
        os.fsync(stream.fileno())
    return [*known, *rows]


def control_over_time(
    log: Sequence[LogRow], *, family_error: float = FAMILY_ERROR, baseline: int = SETTLED_VALUES
) -> OverTime:
    """Say whether the newest check-up of a log is in control.

    Parameters
    ----------
    log
        Oldest first.
    family_error
        Chance of a false signal of each rule, a check-up, over all charts together.
    baseline
        Check-ups that the limits are learnt from: the first ones.
    """
    cases = list(dict.fromkeys(row.case for row in log))
    series = _series(log)
    charts = {
        key: limits
        for key, values in series.items()
        if (limits := _baseline(key, values, cases[:baseline])) is not None
    }
    run = run_length(len(charts), family_error)
    if len(cases) <= baseline or not charts:
        return OverTime(
            state="baseline",
            check_ups=len(cases),
            charts=0,
            run=run,
            signals=(),
            sentence=f"The log holds {len(cases)} check-ups; charts over time begin after "
            f"{baseline}.",
        )
    widest = {key: _widened(limits.n, len(charts), family_error) for key, limits in charts.items()}
    signals = [
        signal
        for key, limits in charts.items()
        for signal in _signals(key, limits, series[key], cases, run, widest[key])
    ]
    signals += [
        signal
        for row in log
        if row.case == cases[-1] and row.value is None and _key(row) in charts
        for signal in _signal_without(row, charts[_key(row)], widest[_key(row)])
    ]
    state: Literal["in control", "out of control"] = "out of control" if signals else "in control"
    signalled = {(s.metric, s.region, s.variant) for s in signals}
    unknown = sum(
        row.case == cases[-1]
        and row.value is None
        and _key(row) in charts
        and (row.metric, row.region, row.variant) not in signalled
        for row in log
    )
    more = f"; {unknown} more of the newest known by a bound only" if unknown else ""
    return OverTime(
        state=state,
        check_ups=len(cases),
        charts=len(charts),
        run=run,
        signals=tuple(signals),
        sentence=f"{state.capitalize()} after {len(cases)} check-ups: {len(signals)} signals on "
        f"{len(charts)} charts of the first {baseline}{more}.",
    )


def run_length(charts: int, family_error: float) -> int:
    """How many values on one side are no chance: at least 8, so that charts · 2^(1−run) ≤ error."""
    return max(SHORTEST_RUN, math.ceil(1 + math.log2(max(charts, 1) / family_error)))


def _key(row: LogRow) -> Measure:
    return Measure(metric=row.metric, region=row.region, variant=row.variant)


def _series(log: Sequence[LogRow]) -> dict[Measure, dict[str, float]]:
    series: dict[Measure, dict[str, float]] = {}
    for row in log:
        if row.value is not None:
            series.setdefault(_key(row), {})[row.case] = row.value
    return series


def _signal_without(row: LogRow, limits: Limits, widened: float) -> list[Signal]:
    """Signal a lost value, or a censored one whose bound already lies beyond the limits."""
    if row.status in ("undefined", "error"):
        sentence = (
            f"{row.metric} in {row.region} has no value ({row.status}), and every check-up of the "
            f"baseline has one."
        )
        return [
            Signal(
                metric=row.metric,
                region=row.region,
                variant=row.variant,
                rule="lost",
                sentence=sentence,
            )
        ]
    above = -math.inf if row.at_least is None else limits.sigmas(row.at_least)
    below = -math.inf if row.at_most is None else -limits.sigmas(row.at_most)
    if max(above, below) <= widened:
        return []
    what = known(row.at_least, row.at_most)
    sentence = (
        f"{row.metric} in {row.region} is {what}, more than {max(above, below):.1f} standard "
        f"deviations off."
    )
    return [
        Signal(
            metric=row.metric,
            region=row.region,
            variant=row.variant,
            rule="point",
            sentence=sentence,
        )
    ]


def _baseline(key: Measure, values: Mapping[str, float], cases: Sequence[str]) -> Limits | None:
    """Limits from the first check-ups; None where one of them has no value."""
    if any(case not in values for case in cases) or len(cases) < SETTLED_VALUES:
        return None
    first = [values[case] for case in cases]
    resolution = RESOLUTION.get(key.metric, 0.0)
    return control_limits(
        first, scale=scale_of(key.metric, first), in_time=True, resolution=resolution
    )


def _signals(
    key: Measure,
    limits: Limits,
    values: Mapping[str, float],
    cases: Sequence[str],
    run: int,
    widened: float,
) -> list[Signal]:
    newest = cases[-1]
    if newest not in values:
        return []
    found: dict[Literal["point", "range", "run"], str] = {}
    now = limits.sigmas(values[newest])
    if abs(now) > widened:
        found["point"] = f"is {values[newest]:.4g}, {abs(now):.1f} standard deviations off"
    if cases[-2] in values:
        step = abs(now - limits.sigmas(values[cases[-2]]))
        if step > RANGE_FACTOR * D2 * widened / 3:
            found["range"] = f"went from {values[cases[-2]]:.4g} to {values[newest]:.4g} at once"
    last = [limits.sigmas(values[case]) for case in cases[-run:] if case in values]
    if len(last) == run and (min(last) > 0 or max(last) < 0):
        found["run"] = f"lies on one side of its centre for {run} check-ups"
    return [
        Signal(
            metric=key.metric,
            region=key.region,
            variant=key.variant,
            rule=rule,
            sentence=f"{key.metric} in {key.region} {what}.",
        )
        for rule, what in found.items()
    ]
