"""One patient held against a cohort: percentile and control limits, measure by measure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from qa_suite.checkup.charts import Limits, false_alarm_rate, widened_sigmas
from qa_suite.core.errors import InputError
from qa_suite.core.records import Measurement, MeasurementStatus
from qa_suite.core.wording import count, known
from qa_suite.judging.patient_values import Measure
from qa_suite.metrics.run import METRICS

_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

Side = Literal["low", "high", "both"]
State = Literal["within", "outside", "unknown"]
FAMILY_ERROR = 0.01

_SIDES: dict[str, Side] = {"lower": "high", "higher": "low", "zero": "both", "none": "both"}


class ChartFinding(BaseModel):
    """One measure of one patient against what is usual of it.

    Parameters
    ----------
    at_least, at_most
        What is known of a censored value.
    percentile, tail
        Where it lies among the cohort's values, and the share of patients at least as
        extreme; None without a value.
    sigmas
        Distance from the centre in standard deviations; None where infinite or without value.
    low, high
        Control limits.
    side
        Which side is looked at: too high only where lower is better, and so on.
    outside
        Whether it lies beyond the control limit of that side, or could not be measured at
        all although every patient of the cohort has a value. A censored value is outside
        where its bound is.
    status
        Of the measurement; ``why`` is its reason where it is not ok.
    far_outside
        Whether it would still be outside with limits that hold for all measures together.
    state
        ``unknown`` where there is no value to compare.
    """

    model_config = _STRICT

    metric: str
    region: str
    variant: str = "default"
    unit: str
    value: float | None
    at_least: float | None = None
    at_most: float | None = None
    status: MeasurementStatus = "ok"
    why: str = ""
    percentile: float | None
    tail: float | None
    sigmas: float | None
    low: float
    high: float
    side: Side
    n: int
    outside: bool
    far_outside: bool
    state: State
    sentence: str


class CheckUp(BaseModel):
    """One patient's check-up.

    Parameters
    ----------
    outcome
        ``outside`` where a finding is; else ``inconclusive`` where a measure has no value or
        nothing could be compared; else ``within``.
    findings
        One a measure that the cohort knows, in a fixed order.
    not_compared
        Measures of the patient that the cohort has no limits for, with the reason.
    false_alarms
        How many findings a patient without fault is expected to have outside: the sum over
        the measures. Also the most that the chance of any can be.
    family_error
        The most that the chance of any *far* outside can be, for normal values.
    """

    model_config = _STRICT

    outcome: State | Literal["inconclusive"]
    case: str
    patients: int = Field(description="fewest patients that any limit rests on; 0 without any")
    findings: tuple[ChartFinding, ...]
    not_compared: dict[str, str] = Field(default_factory=dict)
    false_alarms: float
    family_error: float
    sentence: str

    @property
    def outside(self) -> tuple[ChartFinding, ...]:
        """The findings beyond their limits, the farthest first."""
        found = [f for f in self.findings if f.outside]
        return tuple(sorted(found, key=lambda f: (f.sigmas is not None, -abs(f.sigmas or 0))))


def side_of(metric: str) -> Side:
    """Which side of its limits a measure is judged on, by its direction in the registry."""
    return _SIDES[METRICS[metric].facts.direction] if metric in METRICS else "both"


def check_up(
    rows: Sequence[Measurement],
    limits: Mapping[Measure, Limits],
    *,
    family_error: float = FAMILY_ERROR,
) -> CheckUp:
    """Hold one patient's measurements against control limits.

    Parameters
    ----------
    rows
        Of one case.
    limits
        Of each measure, as :func:`qa_suite.checkup.cohort.limits_of` learns them.
    family_error
        Chance of any false finding over all measures together that the wide limits allow.

    Raises
    ------
    InputError
        If the rows are of several cases.
    """
    cases = sorted({row.case for row in rows})
    if len(cases) > 1:
        raise InputError(f"A check-up is of one case, got {', '.join(cases)}.")
    by_key = {Measure(metric=r.metric, region=r.region, variant=r.variant): r for r in rows}
    compared = [key for key in by_key if key in limits]
    questions = sum(1.0 if side_of(key.metric) == "both" else 0.5 for key in compared)
    findings = [
        _finding(by_key[key], limits[key], questions, family_error)
        for key in sorted(compared, key=lambda k: (k.metric, k.region, k.variant))
    ]
    absent = {
        f"{key.metric} in {key.region}": row.why or "the cohort has no limits for it"
        for key, row in by_key.items()
        if key not in limits
    }
    rates = [
        false_alarm_rate(limits[key].n, two_sided=side_of(key.metric) == "both") for key in compared
    ]
    outcome = _outcome(findings)
    return CheckUp(
        outcome=outcome,
        case=cases[0] if cases else "",
        patients=min((limits[key].n for key in compared), default=0),
        findings=tuple(findings),
        not_compared=absent,
        false_alarms=float(sum(rates)),
        family_error=family_error,
        sentence=_sentence(outcome, findings, float(sum(rates))),
    )


def _outcome(findings: Sequence[ChartFinding]) -> State | Literal["inconclusive"]:
    if any(f.outside for f in findings):
        return "outside"
    if not findings or any(f.state == "unknown" for f in findings):
        return "inconclusive"
    return "within"


def _sentence(outcome: str, findings: Sequence[ChartFinding], false_alarms: float) -> str:
    if not findings:
        return "Nothing could be compared: the cohort has limits for none of the measures."
    outside = [f for f in findings if f.outside]
    far = sum(f.far_outside for f in findings)
    unknown = [f.status for f in findings if f.state == "unknown"]
    censored = unknown.count("censored")
    text = f"{len(outside)} of {count(len(findings), 'measure')} outside their control limits"
    if far:
        text += f", {far} of them also outside the limits that hold for all together"
    if len(unknown) > censored:
        text += f"; {len(unknown) - censored} without a value"
    if censored:
        text += f"; {censored} known by a bound only, which decides nothing"
    return f"{text}; about {false_alarms:.2g} outside are expected of a patient without fault."


def _finding(
    row: Measurement, limits: Limits, questions: float, family_error: float
) -> ChartFinding:
    side = side_of(row.metric)
    found: dict[str, Any] = {
        "metric": row.metric,
        "region": row.region,
        "variant": row.variant,
        "unit": row.unit,
        "value": row.value,
        "low": limits.low,
        "high": limits.high,
        "side": side,
        "n": limits.n,
        "status": row.status,
        "why": row.why,
    }
    name = f"{row.metric} in {row.region}"
    if row.status == "censored":
        return _censored(row, limits, questions, family_error, found)
    if row.value is None:
        gone = row.status == "error" or limits.missing == 0
        return ChartFinding.model_validate(
            found
            | {
                "percentile": None,
                "tail": None,
                "sigmas": None,
                "outside": gone,
                "far_outside": gone,
                "state": "outside" if gone else "unknown",
                "sentence": f"{name} has no value ({row.status}): {row.why}.",
            }
        )
    sigmas = limits.sigmas(row.value)
    towards = {"low": -sigmas, "high": sigmas, "both": abs(sigmas)}[side]
    outside, far = _beyond(towards, limits, questions, family_error)
    percentile = limits.percentile(row.value)
    finite = abs(sigmas) < 1e300
    unit = "" if row.unit in ("", "1") else f" {row.unit}"
    return ChartFinding.model_validate(
        found
        | {
            "percentile": percentile,
            "tail": limits.tail(row.value, side),
            "sigmas": sigmas if finite else None,
            "outside": outside,
            "far_outside": far,
            "state": "outside" if outside else "within",
            "sentence": (
                f"{name} is {row.value:.4g}{unit}, percentile {percentile:.0f} of "
                f"{count(limits.n, 'patient')}, {'outside' if outside else 'within'} its limits "
                f"({_usual(limits, side)})."
            ),
        }
    )


def _beyond(
    towards: float, limits: Limits, questions: float, family_error: float
) -> tuple[bool, bool]:
    """Say whether a distance in standard deviations is outside, and far outside."""
    outside = towards > 3.0 * (1 + 1e-9)
    return outside, outside and towards > widened_sigmas(limits.n, questions, family_error)


def _usual(limits: Limits, side: Side) -> str:
    return {
        "low": f"at least {limits.low:.4g}",
        "high": f"at most {limits.high:.4g}",
        "both": f"{limits.low:.4g} to {limits.high:.4g}",
    }[side]


def _censored(
    row: Measurement, limits: Limits, questions: float, family_error: float, found: dict[str, Any]
) -> ChartFinding:
    """Hold what is known of a value against the limits: outside where its bound is, or unknown."""
    side = found["side"]
    above = -math.inf if row.at_least is None else limits.sigmas(row.at_least)
    below = -math.inf if row.at_most is None else -limits.sigmas(row.at_most)
    towards = {"low": below, "high": above, "both": max(above, below)}[side]
    outside, far = _beyond(towards, limits, questions, family_error)
    what = known(row.at_least, row.at_most, row.unit)
    stand = "outside its limits" if outside else "which may lie within its limits or outside"
    return ChartFinding.model_validate(
        found
        | {
            "at_least": row.at_least,
            "at_most": row.at_most,
            "percentile": None,
            "tail": None,
            "sigmas": None,
            "outside": outside,
            "far_outside": far,
            "state": "outside" if outside else "unknown",
            "sentence": f"{row.metric} in {row.region} is {what}, {stand} "
            f"({_usual(limits, side)}): {row.why}.",
        }
    )
