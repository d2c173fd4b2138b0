"""Two models on the same patients, with answers that are known."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy import stats

from qa_suite.audit.compare import CompareSettings, compare, compare_sources
from qa_suite.audit.joined import Source
from qa_suite.audit.paired import answer, paired
from qa_suite.core.errors import Problems
from qa_suite.core.records import Comparison, PairedFinding
from qa_suite.judging.criteria import load_profile
from tests.audit_cases import profile, source, write

MARGINS = {"mae:body": 3.0, "dice:seg:Bone": 0.02}


def better_by(made: Source, **by: float) -> Source:
    """A second model: every value changed by a little that varies, and by what is given."""
    rng = np.random.default_rng(9)
    table = made.measurements.copy()
    for metric, change in by.items():
        here = table["metric"] == metric
        spread = 0.02 if metric == "dice" else 2.0
        table.loc[here, "value"] += change + spread * rng.standard_normal(here.sum())
    model = made.evaluation.model.model_copy(update={"name": "other", "weights_sha256": "ef" * 32})
    evaluation = made.evaluation.model_copy(update={"model": model, "evaluation": "9" * 16})
    return dataclasses.replace(made, evaluation=evaluation, measurements=table)


def asked(question: str = "difference", **more: Any) -> CompareSettings:
    return CompareSettings(asked=question, **({"margins": MARGINS} | more))


def compared(
    settings: CompareSettings, *, without: tuple[str, ...] = (), **by: float
) -> Comparison:
    old = source(patients=6)
    new = better_by(old, **({"mae": 0.0, "dice": 0.0} | by))
    table = new.measurements
    lost = table["case"].isin(without) & (table["metric"] == "mae")
    return compare_sources(
        dataclasses.replace(new, measurements=table[~lost]), old, profile(), settings
    )


def the(found: Comparison, metric: str) -> PairedFinding:
    (one,) = [f for f in found.findings if f.metric == metric]
    return one


# Known answers


def test_the_numbers_are_those_of_scipy():
    rng = np.random.default_rng(2)
    new, old = rng.normal(60, 5, 25), rng.normal(62, 5, 25)
    found = paired(new, old, "lower")
    low, high = stats.ttest_rel(new, old).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p_t == pytest.approx(stats.ttest_rel(new, old).pvalue)
    assert found.p_ranks == pytest.approx(stats.wilcoxon(new, old).pvalue)
    assert found.wins == (new < old).sum()
    assert found.wins + found.losses + found.ties == 25


def test_events_are_compared_by_mcnemar():
    new, old = np.array([1.0] * 6 + [0.0] * 10), np.zeros(16)
    assert paired(new, old, "lower").p_ranks == pytest.approx(2 * 0.5**6)


def test_a_bias_is_compared_by_its_magnitude():
    found = paired([-1, 1, -2, 2, 1, -1], [4, -4, 5, -5, 6, -6.5], "zero")
    assert found.wins == 6
    assert found.difference == pytest.approx(8 / 6 - 30.5 / 6)


@pytest.mark.parametrize(
    "question, values, margin, expected",
    [
        ("non-inferiority", [0.0, 1.0], 5.0, "yes"),
        ("non-inferiority", [9.0, 11.0], 5.0, "no"),
        ("non-inferiority", [4.0, 6.0], 5.0, "undecided"),
        ("non-inferiority", [-30.0, -31.0], 5.0, "yes"),
        ("equivalence", [0.0, 1.0], 5.0, "yes"),
        ("equivalence", [-30.0, -31.0], 5.0, "no"),
        ("equivalence", [9.0, 11.0], 5.0, "no"),
    ],
)
@pytest.mark.parametrize("better", ["lower", "higher"])
def test_an_answer_is_read_off_the_interval(question, values, margin, expected, better):
    worse = np.tile(values, 10) * (1 if better == "lower" else -1)
    found = paired(100 + worse, np.full(20, 100.0), better)
    assert answer(found, question, margin) == expected


def test_equal_values_answer_nothing():
    found = paired(np.arange(10), np.arange(10), "lower")
    assert (found.low, found.high, found.ties) == (None, None, 10)
    assert answer(found, "equivalence", 1.0) == "undecided"


# Of records


def test_a_better_model_is_shown_and_an_equal_one_is_not():
    def shown(found: Comparison) -> set[str]:
        return {one.metric for one in found.findings if (one.p_holm or 1) < 0.05}

    better, equal = compared(asked(), mae=-5), compared(asked())
    assert (shown(better), shown(equal)) == ({"mae"}, set())
    assert "MAE in body" in better.sentence and "MAE" not in equal.sentence


def test_non_inferiority_asks_every_primary_measure():
    assert compared(asked("non-inferiority")).answer == "yes"
    worse = compared(asked("non-inferiority"), dice=-0.05)
    assert (the(worse, "mae").answer, the(worse, "dice").answer) == ("yes", "no")
    assert worse.answer == "no"


def test_a_question_without_its_margin_is_refused():
    with pytest.raises(Problems, match=r"needs a margin, given before, for dice:seg:Bone"):
        compared(
            asked("equivalence", primary=("mae:body", "dice:seg:Bone"), margins={"mae:body": 3.0})
        )
    with pytest.raises(Problems, match="needs a primary measure"):
        compared(asked("equivalence", margins={}))


def test_the_margins_of_a_profile_are_taken():
    old = source(patients=6)
    new = better_by(old, mae=0.0)
    known = profile(margins={"body MAE": 3.0})
    found = compare_sources(new, old, known, asked("equivalence", margins={}))
    assert (the(found, "mae").margin, found.answer) == (3.0, "yes")


def test_a_value_that_the_new_one_lost_takes_a_yes_away():
    found = compared(asked("non-inferiority"), without=("C03",))
    assert the(found, "mae").lost_by_new == ("patient-C03",)
    assert (the(found, "mae").answer, found.answer) == ("undecided", "undecided")


def test_patients_of_one_alone_are_named():
    old, more = source(patients=6), source(patients=6, sites="ABCDEFGHI")
    found = compare_sources(better_by(more, mae=0.0), old, profile(), asked())
    assert len(found.only_new) == 6
    assert found.patients == 48
    assert the(found, "mae").patients == 48


def test_records_of_other_rules_are_refused():
    old = source(patients=6)
    new = better_by(old, mae=0.0)
    other = new.evaluation.model_copy(update={"definitions": {"mae": {"title": "another"}}})
    with pytest.raises(Problems, match="defines mae otherwise"):
        compare_sources(dataclasses.replace(new, evaluation=other), old, profile(), asked())


def test_the_verb_writes_record_and_page(own_store, tmp_path, capsys):
    from qa_suite.cli import run
    from qa_suite.core.record_files import read_model

    old = source(patients=6)
    folders = [
        str(write(one, tmp_path / name))
        for name, one in (("new", better_by(old, mae=-1.0)), ("old", old))
    ]
    out = tmp_path / "out"
    more = ["--ask", "non-inferiority", "--margin", "mae:body=3", "--out", str(out)]
    assert run(["compare", *folders, *more]) == 0, capsys.readouterr().err
    assert "✔ YES" in capsys.readouterr().out
    found = read_model(out / "comparison.json", Comparison)
    assert found.answer == "yes"
    assert found.sentence in (out / "comparison.html").read_text().replace("&#39;", "'")
    again = asked("non-inferiority", margins={"mae:body": 3.0})
    none = load_profile("descriptive")
    assert compare(tmp_path / "new", tmp_path / "old", none, again) == found
