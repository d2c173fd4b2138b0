"""Check-ups over time: whether a translator stays as it was, from the log of its check-ups.

Each model, by version and weights, has charts of its own; another version begins another baseline.
The first 20 values of a measure are its baseline: the clinic's own patients, who need not be like
the held-out cohort's. From then on every check-up is asked, and a signal among the newest 40 puts
the log out of control:

- *point*: is a value grossly far from the baseline?
- *drift*: has the exponentially weighted mean of its ranks left the baseline?
- *run*: do too many values in a row lie beyond what the baseline saw?
- *missing*: are too many values in a row missing, for a baseline that lacked so few?

How far and how many is calibrated in :mod:`qa_suite.checkup.alarms`. What has no value now, or
lacks too many, is undetermined and never in control.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from qa_suite.checkup.alarms import BASELINE, HORIZON
from qa_suite.checkup.findings import FAMILY_ERROR
from qa_suite.checkup.log import LogRow, append_log, model_key, read_log
from qa_suite.checkup.rules import Learnt, Series, Signal, ends, learn, series_of, signals_of
from qa_suite.core.wording import count, known, listing, percent, some

__all__ = ["LogRow", "Signal", "append_log", "control_over_time", "model_key", "read_log"]

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

MOST_MISSING = 0.2
"""Share of the newest 40 values that may be missing before a chart is undetermined."""
ChartState = Literal["baseline", "in control", "undetermined", "out of control"]
State = ChartState


class Chart(BaseModel):
    """One measure over the check-ups of one model.

    Parameters
    ----------
    values, missing, bounds
        Check-ups with a value, without one, and of which only a bound of it is known, since the
        measure was first taken.
    centre, low, high
        Median of the baseline, and the ends that the values of a *run* lie beyond, in the
        measure's unit; None while the baseline is not complete.
    points
        Value of every check-up, None where there is none.
    baseline
        Check-ups up to the one that ended the baseline.
    """

    model_config = _STRICT

    metric: str
    region: str
    variant: str = "default"
    unit: str
    state: ChartState
    values: int
    missing: int
    bounds: int
    centre: float | None = None
    low: float | None = None
    high: float | None = None
    points: tuple[float | None, ...] = ()
    baseline: int = 0
    why: str = ""


class OverTime(BaseModel):
    """What a log says at its newest check-up.

    Parameters
    ----------
    state
        ``baseline`` while no chart has limits of its own; ``out of control`` with a signal among
        the newest 40 check-ups; ``undetermined`` where a chart has no value now, or lacks too many.
    model
        Whose check-ups these are: that of the newest one.
    check_ups
        Of that model.
    others
        Check-ups of other models in the same log.
    charts
        Measures with a baseline.
    measures
        Every chart, those that still learn among them.
    """

    model_config = _STRICT

    state: State
    model: str
    check_ups: int
    others: dict[str, int]
    charts: int
    signals: tuple[Signal, ...]
    measures: tuple[Chart, ...]
    sentence: str

    @property
    def undetermined(self) -> tuple[Chart, ...]:
        """The charts of which nothing can be said now."""
        return tuple(chart for chart in self.measures if chart.state == "undetermined")


def control_over_time(log: Sequence[LogRow], *, family_error: float = FAMILY_ERROR) -> OverTime:
    """Say whether a log is in control, for the model of its newest check-up.

    Parameters
    ----------
    log
        Oldest first.
    family_error
        Chance of any false signal of a rule, over all charts and 40 check-ups.
    """
    model = log[-1].charted_as if log else ""
    mine = [row for row in log if row.charted_as == model]
    check_ups = list({row.case: row for row in mine}.values())
    others: dict[str, int] = {}
    for name in dict.fromkeys(row.charted_as for row in log if row.charted_as != model):
        others[name] = len({row.case for row in log if row.charted_as == name})
    every = list(series_of(mine, [row.case for row in check_ups]))
    ready = [series for series in every if series.learnt]
    signals: list[Signal] = []
    measures = []
    for series in every:
        learnt = learn(series, len(ready), family_error) if series.learnt else None
        found = [] if learnt is None else list(signals_of(learnt, check_ups))
        signals += found
        measures.append(_chart(series, learnt, bool(found)))
    state = _state([chart.state for chart in measures])
    return OverTime(
        state=state,
        model=model,
        check_ups=len(check_ups),
        others=others,
        charts=len(ready),
        signals=tuple(signals),
        measures=tuple(measures),
        sentence=_sentence(state, model, check_ups, others, measures, len(signals)),
    )


# ---------------------------------------------------------------------------------------
# States and sentences


def _chart(series: Series, learnt: Learnt | None, signalled: bool) -> Chart:
    numbers, gone = series.numbers, series.missing
    state, why = _of_chart(series, learnt, signalled)
    lines = {} if learnt is None else _lines(learnt)
    return Chart(
        metric=series.key.metric,
        region=series.key.region,
        variant=series.key.variant,
        unit=series.unit,
        state=state,
        values=sum(value is not None for value in numbers),
        missing=sum(gone),
        bounds=sum(v is None and not g for v, g in zip(numbers, gone, strict=True)),
        points=(None,) * series.first + tuple(numbers),
        baseline=series.first + series.learnt if series.learnt else 0,
        why=why,
        centre=lines.get("centre"),
        low=lines.get("low"),
        high=lines.get("high"),
    )


def _lines(learnt: Learnt) -> dict[str, float]:
    """Return the centre of a chart and the ends of its runs, in the measure's unit."""
    low, high = ends(learnt)
    return {"centre": float(np.median(learnt.limits.values)), "low": low, "high": high}


def _of_chart(series: Series, learnt: Learnt | None, signalled: bool) -> tuple[ChartState, str]:
    name = f"{series.key.metric} in {series.key.region}"
    gone = series.missing[-HORIZON:]
    share = sum(gone) / len(gone)
    lacking = f"{sum(gone)} of the newest {count(len(gone), 'check-up')} have no value"
    if learnt is None:
        have = sum(value is not None for value in series.numbers)
        if len(series.rows) > BASELINE and share > MOST_MISSING:
            return (
                "undetermined",
                f"{name} has {have} of {BASELINE} values to learn from: {lacking}",
            )
        return "baseline", f"{name} has {have} of {BASELINE} values to learn from"
    if signalled:
        return "out of control", ""
    row = series.rows[-1]
    if row is None or row.value is None:
        what = "was not measured" if row is None else f"has no value ({row.status})"
        if row is not None and row.status == "censored":
            what = f"is known by a bound only ({known(row.at_least, row.at_most, row.unit)})"
        return "undetermined", f"{name} {what} at the newest check-up"
    if share > MOST_MISSING:
        return "undetermined", f"{name}: {lacking}, more than {percent(MOST_MISSING)}"
    return "in control", ""


def _state(states: Sequence[ChartState]) -> State:
    """Return the worst of the charts; a baseline is worst only where no chart has limits."""
    for state in ("out of control", "undetermined", "in control"):
        if state in states:
            return state
    return "baseline"


def _sentence(
    state: State,
    model: str,
    check_ups: Sequence[LogRow],
    others: dict[str, int],
    measures: Sequence[Chart],
    signals: int,
) -> str:
    n = count(len(check_ups), "check-up")
    ready = [chart for chart in measures if chart.baseline]
    learning = [chart for chart in measures if not chart.baseline]
    if not ready:
        text = f"The log holds {n} of {model}; charts over time begin after {BASELINE} values."
    else:
        text = (
            f"{state.capitalize()} after {n} of {model}: {count(signals, 'signal')} among the "
            f"newest {min(HORIZON, len(check_ups))}, on {count(len(ready), 'chart')}."
        )
        if learning:
            names = listing(some([chart.metric for chart in learning], 4))
            text += f" {count(len(learning), 'measure')} still in the baseline: {names}."
    open_ones = [chart.why for chart in measures if chart.state == "undetermined"]
    if open_ones:
        text += f" Undetermined: {'; '.join(some(open_ones, 4))}."
    if others:
        said = listing([f"{count(many, 'check-up')} of {name}" for name, many in others.items()])
        begun = f", whose baseline began on {check_ups[0].time[:10]}" if check_ups else ""
        text += f" The log also holds {said}, charted apart from {model}{begun}."
    return text
