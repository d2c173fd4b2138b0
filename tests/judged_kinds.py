"""Every form of criterion over every kind of measure, and patients to hold against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from pydantic import ValidationError

from qa_suite.core.measure_kinds import KINDS, MeasureKind
from qa_suite.core.records import Criterion
from qa_suite.judging.findings import Rules, apply_criterion
from qa_suite.judging.outcomes import overall_outcome
from qa_suite.judging.patient_values import Examined, PatientValues
from tests.judged_values import MEASURE, criterion

RANK = {"fail": 0, "inconclusive": 1, "pass": 2}
LENIENT = Rules(max_refused_fraction=1.0)
STARTS = {"good": -3.0, "near": -0.2, "bad": 3.0}
"""How far the patients lie to the bad side of the bound, in standard deviations between them."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A kind of measure: its range, its bound, and the value that so much badness gives.

    Parameters
    ----------
    bound
        By direction; a direction that is not there is not asked.
    value
        Of badness in standard deviations beyond the bound, for what is to be ``at_most``; of
        ``at_least`` it is mirrored.
    """

    kind: MeasureKind
    bound: dict[str, float]
    value: Callable[[np.ndarray, np.random.Generator], np.ndarray]
    mirror: float = 0.0


MEASURED = {
    "signed": Measured(
        kind=MeasureKind(kind="signed"),
        bound={"at_most": 5.0, "at_least": -5.0, "within": 5.0},
        value=lambda bad, _: 5.0 + bad,
    ),
    "positive": Measured(
        kind=MeasureKind(kind="positive", low=0),
        bound={"at_most": 60.0},
        value=lambda bad, _: 60.0 * np.exp(0.15 * bad),
    ),
    "positive, the more the better": Measured(
        kind=MeasureKind(kind="positive", low=0),
        bound={"at_least": 60.0},
        value=lambda bad, _: 60.0 * np.exp(-0.15 * bad),
    ),
    "bounded": Measured(
        kind=MeasureKind(kind="bounded", low=0, high=1),
        bound={"at_most": 0.2, "at_least": 0.8},
        value=lambda bad, _: 1 / (1 + np.exp(np.log(4) - 0.3 * bad)),
        mirror=1.0,
    ),
    "bounded on both sides": Measured(
        kind=MeasureKind(kind="bounded", low=-1, high=1),
        bound={"within": 0.4},
        value=lambda bad, _: np.tanh(0.42 + 0.1 * bad),
    ),
    "count": Measured(
        kind=MeasureKind(kind="count", low=0),
        bound={"at_most": 4.0},
        value=lambda bad, rng: rng.poisson(4.0 * np.exp(0.6 * bad)).astype(float),
    ),
    "event": Measured(
        kind=MeasureKind(kind="event", low=0, high=1),
        bound={"at_most": 0.3, "at_least": 0.7},
        value=lambda bad, rng: (rng.random(bad.shape) < 0.3 * np.exp(1.2 * bad)).astype(float),
        mirror=1.0,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Form:
    """One form of criterion over one kind of measure."""

    measured: Measured
    asked: Criterion

    def values(self, bad: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return values that lie so many standard deviations to the bad side of the bound."""
        found = self.measured.value(bad, rng)
        if self.asked.direction == "at_least" and "at_most" in self.measured.bound:
            return self.measured.mirror - found
        return found

    @property
    def limit(self) -> float:
        """What one patient's value is held against."""
        single = self.asked.per_patient_bound
        return self.asked.bound if single is None else single

    def worse(self, rng: np.random.Generator) -> float:
        """Return a value worse than the bound, a little or as much as there is."""
        kind, up = self.measured.kind, self.asked.direction != "at_least"
        if self.asked.direction == "within":
            up = bool(rng.random() < 0.5)
            limit = self.limit if up else -self.limit
        else:
            limit = self.limit
        end = kind.high if up else kind.low
        if kind.kind == "event":
            return end
        step = 1.0 if kind.kind in ("count", "signed") else 0.05 * abs(limit)
        far = end if np.isfinite(end) else limit + (20 if up else -20) * step
        return float(rng.choice([limit + (step if up else -step), far]))

    def cohort(self, start: str, seed: int) -> PatientValues:
        """Draw patients of hospitals that are about alike, some with two examinations."""
        rng = np.random.default_rng([seed, sorted(STARTS).index(start)])
        rows = []
        for site in "ABCDEFG" if self.asked.scope in ("pooled", "new_site") else "AB":
            shift = STARTS[start] + 0.3 * rng.standard_normal()
            for number in range(int(rng.integers(5, 7))):
                patient = f"{site}{number}"
                bad = shift + rng.standard_normal()
                several = int(rng.choice([1, 1, 2]))
                found = self.values(bad + 0.3 * rng.standard_normal(several), rng)
                rows += [
                    row(f"{patient}-{n}", patient, site, float(value))
                    for n, value in enumerate(found)
                ]
        return self.sample(rows)

    def sample(self, rows: list[Examined]) -> PatientValues:
        """Return rows as values of this kind."""
        return PatientValues(measure=MEASURE, unit="mm", rows=tuple(rows), kind=self.measured.kind)

    def turned(self, values: PatientValues, chosen: set[str], **update: Any) -> PatientValues:
        """Change some cases."""
        return self.sample([replace(r, **update) if r.case in chosen else r for r in values.rows])

    def rank(self, values: PatientValues, rules: Rules = LENIENT) -> int:
        """Return the outcome of all findings together, 0 to 2."""
        found = apply_criterion(self.asked, values, rules)
        return RANK[overall_outcome(finding.outcome for finding in found)]


def row(case: str, patient: str, site: str, value: float) -> Examined:
    return Examined(case=case, patient=patient, site=site, fate="value", value=value)


def _forms() -> Iterator[tuple[str, Form]]:
    statistics = ("mean", "median", "max", "min", "fraction_within")
    scopes = ("pooled", "each_site", "worst_patient", "new_site")
    for (name, measured), statistic, scope in product(MEASURED.items(), statistics, scopes):
        for direction, bound in measured.bound.items():
            more: dict[str, Any] = {"bound": bound, "min_patients": 3}
            if statistic == "fraction_within":
                more = {"bound": 0.5, "per_patient_bound": bound, "min_patients": 3}
            try:
                asked = criterion(direction, statistic=statistic, scope=scope, **more)
            except ValidationError:
                continue
            yield f"{name}-{statistic}-{scope}-{direction}", Form(measured=measured, asked=asked)


FORMS = dict(_forms())
"""Every statistic in every scope and direction that a criterion can have, by kind of measure."""

assert {form.measured.kind.kind for form in FORMS.values()} == set(KINDS)
