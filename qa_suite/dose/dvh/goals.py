"""Clinical goals: what a plan must achieve, whether a dose meets it, and which goals flip.

A *flip* is a goal that is met on one image and missed on the other: the planner would have
decided otherwise on the synthetic image.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qa_suite.core.errors import InputError, Problems
from qa_suite.core.validation import describe_validation
from qa_suite.core.yaml_files import read_yaml
from qa_suite.dose.dvh.curve import Dvh
from qa_suite.dose.dvh.metrics import DvhMetric, parse_metric, read_metric

Direction = Literal["at_least", "at_most"]
OF_PRESCRIPTION = "% of prescription"
_OPERATORS: dict[str, Direction] = {
    ">=": "at_least",
    "≥": "at_least",
    "<=": "at_most",
    "≤": "at_most",
}
_GOAL = re.compile(
    r"(?P<metric>\S+(?:\s*%|\s*cc|\s*Gy)?)\s*(?P<sign><=|>=|≤|≥)\s*"
    r"(?P<bound>\d+(?:\.\d+)?)\s*(?P<unit>.*)"
)
_SPELLINGS = {
    "": "",
    "gy": "Gy",
    "cgy": "cGy",
    "%": "%",
    "cc": "cc",
    "cm3": "cc",
    "cm³": "cc",
    "1": "1",
    "% of prescription": OF_PRESCRIPTION,
    "% rx": OF_PRESCRIPTION,
}


class Goal(BaseModel):
    """One clinical goal, written out or as people do: ``goal: "V20Gy <= 35 %"``.

    Parameters
    ----------
    structure
        Name of the structure.
    metric
        See :func:`qa_suite.dose.dvh.metrics.parse_metric`.
    direction
        ``at_least`` or ``at_most``; a value equal to the bound meets it.
    bound
        Not negative, in ``unit``.
    unit
        Doses: ``Gy`` or ``% of prescription`` (``%`` after a dose can mean nothing else).
        Volumes: ``%`` of the structure or ``cc``. The homogeneity index: ``1``.
    source
        Where the bound comes from: a publication, a protocol, or that it is a local decision.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    structure: str = Field(min_length=1)
    metric: str
    direction: Direction
    bound: float = Field(ge=0)
    unit: str
    source: str = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _from_words(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        data = dict(data)
        if "goal" in data:
            words = data.pop("goal")
            if not isinstance(words, str):
                raise ValueError("a goal is a text, such as 'V20Gy <= 35 %'")
            data.update(_read_words(words))
        return _canonical(data)

    @model_validator(mode="after")
    def _one_sense(self) -> Goal:
        metric = self.parsed
        allowed = ("Gy", OF_PRESCRIPTION) if metric.is_dose else (metric.unit,)
        if self.unit not in allowed:
            given = self.unit or "no unit"
            raise ValueError(f"{self.metric} is bounded in {' or '.join(allowed)}, not in {given}")
        if metric.unit == "%" and self.bound > 100:
            raise ValueError(f"{self.metric} cannot exceed 100 % of the volume")
        return self

    @property
    def parsed(self) -> DvhMetric:
        """Its metric, parsed."""
        return parse_metric(self.metric)

    @property
    def text(self) -> str:
        """The goal as people write it: ``V20Gy <= 35 %``."""
        sign = ">=" if self.direction == "at_least" else "<="
        unit = "" if self.unit == "1" else f" {self.unit}"
        return f"{self.metric.removesuffix('_cc')} {sign} {self.bound:g}{unit}"

    @property
    def needs_prescription(self) -> bool:
        """Whether it can be judged with a prescription only."""
        return self.unit == OF_PRESCRIPTION or self.parsed.needs_prescription

    def bound_in(self, prescription_gy: float | None) -> float | None:
        """Return the bound in the metric's unit; None where it lacks its prescription."""
        if self.unit != OF_PRESCRIPTION:
            return self.bound
        return None if prescription_gy is None else self.bound * prescription_gy / 100

    def upper_dose_gy(self, prescription_gy: float) -> float | None:
        """Return the dose in Gy that an upper goal speaks of; None for any other goal.

        For a bound on a dose it is the bound; for a bound on a volume (``V20Gy <= 35 %``) the
        dose of the volume (20 Gy).
        """
        metric = self.parsed
        if self.direction != "at_most":
            return None
        if metric.is_dose:
            return self.bound_in(prescription_gy)
        if metric.kind == "V_gy":
            return metric.value
        return metric.value * prescription_gy / 100 if metric.kind == "V_pct" else None


def _read_words(text: str) -> dict[str, Any]:
    found = _GOAL.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"a goal reads like 'V20Gy <= 35 %' or 'D95 >= 66.5 Gy', not {text!r}")
    return {
        "metric": found["metric"],
        "direction": _OPERATORS[found["sign"]],
        "bound": float(found["bound"]),
        "unit": found["unit"].strip(),
    }


def _canonical(data: dict[str, Any]) -> dict[str, Any]:
    """Spell metric and unit in one way, so that equal goals are equal."""
    if not isinstance(data.get("metric"), str):
        return data
    try:
        metric = parse_metric(data["metric"])
    except InputError as error:
        raise ValueError(str(error)) from None
    given = str(data.get("unit", ""))
    unit = _SPELLINGS.get(" ".join(given.lower().split()), given)
    if metric.is_dose and unit == "%":
        unit = OF_PRESCRIPTION
    if metric.kind[0] == "V" and unit == "cc":
        metric = DvhMetric(kind=metric.kind, value=metric.value, cc=True)
    if metric.kind == "HI" and unit == "":
        unit = "1"
    return {**data, "metric": metric.name, "unit": unit}


@dataclass(frozen=True, kw_only=True)
class GoalResult:
    """One goal on one dose: ``met`` is None, with a reason, where it cannot be said."""

    goal: Goal
    value: float | None
    unit: str
    bound: float | None
    met: bool | None
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class ConstraintFlip:
    """A goal that one dose meets and the other misses.

    ``kind`` is ``lost`` (met on the reference only: the synthetic image would make the planner
    reject a good plan) or ``gained`` (met on the synthetic only: it would make him accept one
    that misses the goal).
    """

    goal: Goal
    kind: Literal["lost", "gained"]
    reference: float
    synthetic: float
    unit: str


def evaluate_goals(
    dvhs: Mapping[str, Dvh], goals: Sequence[Goal], *, prescription_gy: float | None = None
) -> tuple[GoalResult, ...]:
    """Say of every goal, in order, whether the dose meets it.

    A missing or empty structure, too little coverage or a missing prescription leave a goal
    undecided (``met`` is None), never met and never missed.
    """
    return tuple(_evaluate(dvhs.get(goal.structure), goal, prescription_gy) for goal in goals)


def _evaluate(dvh: Dvh | None, goal: Goal, prescription_gy: float | None) -> GoalResult:
    unit = goal.parsed.unit
    bound = goal.bound_in(prescription_gy)
    if dvh is None:
        why = f"there is no structure {goal.structure}"
        return GoalResult(goal=goal, value=None, unit=unit, bound=bound, met=None, why=why)
    reading = read_metric(dvh, goal.metric, prescription_gy=prescription_gy)
    why = reading.why
    if bound is None and not why:
        why = f"{goal.text} needs the prescription in Gy"
    met = None
    if reading.value is not None and bound is not None:
        met = _meets(reading.value, bound, goal.direction)
    return GoalResult(goal=goal, value=reading.value, unit=unit, bound=bound, met=met, why=why)


def _meets(value: float, bound: float, direction: Direction) -> bool:
    """Compare; rounding in the last digits of a float32 dose decides nothing."""
    if math.isclose(value, bound, rel_tol=1e-6, abs_tol=1e-6):
        return True
    return value > bound if direction == "at_least" else value < bound


def constraint_flips(
    reference: Sequence[GoalResult], synthetic: Sequence[GoalResult]
) -> tuple[ConstraintFlip, ...]:
    """Return the goals that one dose meets and the other misses; undecided ones do not flip.

    Raises
    ------
    InputError
        If the results are not of the same goals, in the same order.
    """
    if [result.goal for result in reference] != [result.goal for result in synthetic]:
        raise InputError("Flips need the results of the same goals on both doses.")
    flips = []
    for first, second in zip(reference, synthetic, strict=True):
        if first.met is None or second.met is None or first.met == second.met:
            continue
        assert first.value is not None
        assert second.value is not None
        flips.append(
            ConstraintFlip(
                goal=first.goal,
                kind="lost" if first.met else "gained",
                reference=first.value,
                synthetic=second.value,
                unit=first.unit,
            )
        )
    return tuple(flips)


def load_goals(path: Path) -> tuple[Goal, ...]:
    """Read a YAML list of goals.

    ::

        - {structure: Lung, goal: "V20Gy <= 35 %", source: "QUANTEC (Marks et al. 2010)"}

    Raises
    ------
    InputError
        If there is no such file, or it is no list.
    Problems
        With everything that is wrong in it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There are no goals at {path}.")
    data = read_yaml(path)
    if not isinstance(data, list) or not data:
        raise InputError(f"{path} must hold a list of goals, each with structure, goal, source.")
    goals, problems = [], []
    for number, item in enumerate(data, start=1):
        try:
            goals.append(Goal.model_validate(item))
        except ValidationError as error:
            problems += [
                f"goal {number}: {p.removeprefix('the file: ')}" for p in describe_validation(error)
            ]
    if problems:
        raise Problems(str(path), problems)
    return tuple(goals)
