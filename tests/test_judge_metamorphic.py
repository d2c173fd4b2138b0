"""What must not change a finding, and what never improves one.

Over every form of criterion and every kind of measure, from patients who pass, fail and are
undecided; of whole verdicts see :mod:`tests.test_judge_metamorphic_verdicts`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qa_suite.judging.findings import Rules, apply_criterion
from qa_suite.judging.patient_values import Examined, PatientValues
from tests.judged_kinds import FORMS, LENIENT, STARTS, Form, row

STRICT = Rules(max_refused_fraction=0.0, max_excluded_fraction=0.0, max_absent_fraction=0.0)
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())


def starts(form: Form, seed: int) -> Iterator[tuple[PatientValues, np.random.Generator]]:
    """Yield patients who pass, fail and are undecided, each with random numbers of its own."""
    for number, start in enumerate(STARTS):
        yield form.cohort(start, seed), np.random.default_rng([seed, number])


def test_every_form_is_walked_from_every_outcome() -> None:
    found: dict[str, set[int]] = {}
    for form in FORMS.values():
        ranks = found.setdefault(form.measured.kind.kind, set())
        ranks |= {form.rank(values) for values, _ in starts(form, 0)}
    assert set(found) == {"event", "count", "bounded", "positive", "signed"}
    assert all(ranks == {0, 1, 2} for ranks in found.values())


@every_form
def test_a_patient_worse_than_the_bound_turns_no_failure_into_a_pass(form: Form) -> None:
    for values, rng in starts(form, 1):
        before = form.rank(values)
        for site in ("A", "X"):  # at a hospital that is there, and at one that is new
            more = [*values.rows, row("worse", "worse", site, form.worse(rng))]
            after = form.rank(form.sample(more))
            assert not (before == 0 and after == 2)
            if form.asked.statistic in ("max", "min") or form.asked.scope == "worst_patient":
                assert after == 0


@every_form
def test_a_value_that_is_lost_leaves_what_the_others_prove(form: Form) -> None:
    for values, rng in starts(form, 2):
        one = values.rows[int(rng.integers(len(values.rows)))]
        after = form.rank(form.turned(values, {one.case}, fate="lost", value=None, why="failed"))
        others = form.rank(form.sample([r for r in values.rows if r.case != one.case]))
        assert after <= min(others, 1)


@every_form
def test_no_loss_heals_a_clear_failure_of_the_others(form: Form) -> None:
    """Also where it leaves fewer than are required, or than a mean of their kind has need of."""
    patients = 5
    asked = form.asked.model_copy(update={"min_patients": patients})
    form, rng = replace(form, asked=asked), np.random.default_rng(patients)
    sites = "ABCDEFG" if asked.scope == "new_site" else "A"
    badness = 16 + rng.standard_normal((len(sites), patients))
    rows = [
        row(f"{site}{n}", f"{site}{n}", site, float(form.values(bad[n : n + 1], rng)[0]))
        for site, bad in zip(sites, badness, strict=True)
        for n in range(patients)
    ]
    values = form.sample(rows)
    if form.rank(values) != 0:  # the exact interval of a few shares and medians proves too little
        assert (
            asked.statistic in ("median", "fraction_within") or form.measured.kind.kind == "event"
        )
        return
    gone = form.turned(values, {"A0"}, fate="lost", value=None, why="failed")
    assert form.rank(gone) == 0 or asked.statistic == "median"


@every_form
def test_what_is_censored_where_it_lies_improves_nothing(form: Form) -> None:
    """Of a value that is only known to be as bad as it is, or worse."""
    up = form.asked.direction == "at_most"
    for values, rng in starts(form, 3):
        before = form.rank(values)
        one = values.rows[int(rng.integers(len(values.rows)))]
        assert one.value is not None
        worse_up = one.value >= 0 if form.asked.direction == "within" else up
        known = [{"at_least" if worse_up else "at_most": one.value}]
        known.append({"at_least": one.value, "at_most": one.value})
        for ends in known:
            after = form.rank(form.turned(values, {one.case}, fate="censored", value=None, **ends))
            assert after <= before, ends


@every_form
def test_what_is_known_less_well_gives_no_pass(form: Form) -> None:
    for values, rng in starts(form, 4):
        before = form.rank(values)
        one = values.rows[int(rng.integers(len(values.rows)))]
        assert one.value is not None
        step = 0.1 * max(abs(form.limit), 0.1)
        for known in (
            {"at_least": one.value - step},
            {"at_most": one.value + step},
            {"at_least": one.value - 2 * step, "at_most": one.value},
            {},
        ):
            after = form.rank(form.turned(values, {one.case}, fate="censored", value=None, **known))
            assert after < 2 or before == 2


@every_form
def test_nobody_passes_by_leaving_more_out_than_the_limit(form: Form) -> None:
    for fate, (values, rng) in zip(("refused", "excluded", "absent"), starts(form, 5), strict=True):
        patients = sorted({r.patient for r in values.rows})
        out = set(rng.choice(patients, size=int(rng.integers(1, 6)), replace=False))
        chosen = {r.case for r in values.rows if r.patient in out}
        fewer = form.turned(values, chosen, fate=fate, value=None, why="a reason")
        assert form.rank(fewer, STRICT) < 2


@every_form
def test_an_examination_that_stands_twice_helps_nobody(form: Form) -> None:
    worst_counts = form.asked.statistic in ("max", "min", "fraction_within")
    worst_counts |= form.asked.scope == "worst_patient"
    for values, rng in starts(form, 6):
        single = [r for r in values.rows if values.examinations[r.patient] == 1]
        chosen = list(values.rows) if worst_counts else single  # of others a mean takes the mean
        one = chosen[int(rng.integers(len(chosen)))]
        more = [*values.rows, *(replace(one, case=f"{one.case}-{n}") for n in range(2))]
        before, after = (
            apply_criterion(form.asked, v, LENIENT) for v in (values, form.sample(more))
        )
        assert [f.outcome for f in after] == [f.outcome for f in before]
        assert [f.estimate for f in after] == pytest.approx([f.estimate for f in before])


def renamed(row: Examined) -> Examined:
    """Return the same examination under other names of case, patient and site."""
    names = {what: f"x-{hash_of(getattr(row, what))}" for what in ("case", "patient", "site")}
    return replace(row, **names)


def hash_of(name: str) -> int:
    """Another order of the names, the same in every run."""
    return int(sum(ord(c) * 31**n for n, c in enumerate(name)) * 2654435761 % 2**32)


@every_form
def test_names_and_the_order_of_rows_change_nothing(form: Form) -> None:
    for values, rng in starts(form, 7):
        # one patient seen at two hospitals, and one value that is a bound
        moved, bound = (values.rows[int(n)] for n in rng.choice(len(values.rows), 2, replace=False))
        first = [
            *(r for r in values.rows if r is not bound or form.asked.statistic == "mean"),
            replace(moved, case="elsewhere", site="C" if moved.site != "C" else "B"),
        ]
        rows = [renamed(first[n]) for n in rng.permutation(len(first))]
        assert len({r.case for r in rows}) == len(rows)
        assert told(form, rows) == told(form, first)


def told(form: Form, rows: list[Examined]) -> list[tuple[Any, ...]]:
    """Return outcome, patients and rounded numbers of each finding, whatever its name."""
    found = apply_criterion(form.asked, form.sample(rows), LENIENT)
    numbers = [(f.estimate, f.low, f.high) for f in found]
    rounded = [tuple(None if x is None else round(x, 9) for x in each) for each in numbers]
    return sorted((f.outcome, f.patients, str(n)) for f, n in zip(found, rounded, strict=True))


# --- alike values


@every_form
def test_values_that_are_alike_never_pass_a_mean_and_fail_at_the_worst_end(form: Form) -> None:
    sites = "ABCDEFG" if form.asked.scope in ("pooled", "new_site") else "AB"
    kind, asked = form.measured.kind, form.asked
    worst = {"at_most": kind.high, "at_least": kind.low, "within": kind.high}[asked.direction]
    ends = {end for end in (kind.low, kind.high, worst) if np.isfinite(end)}
    inside = {x for x in (0.5 * form.limit, form.limit, 1.5 * form.limit) if x <= kind.high}
    for value in sorted(ends | inside):
        rows = [row(f"{s}{n}", f"{s}{n}", s, float(value)) for s in sites for n in range(5)]
        found = apply_criterion(asked, form.sample(rows), LENIENT)
        outcomes = {finding.outcome for finding in found}
        at_worst = value in ({kind.low, kind.high} if asked.direction == "within" else {worst})
        if at_worst:
            assert outcomes == {"fail"}
            if asked.statistic not in ("max", "min") and asked.scope != "worst_patient":
                assert [f.reasons[0].code for f in found] == ["alike_at_worst_end"] * len(found)
        elif asked.statistic == "mean" and asked.scope != "worst_patient" and kind.kind != "event":
            assert outcomes == {"inconclusive"}
