"""Check-ups over time: calibrated rules, missing values, models that share a log."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.simulations.control_charts import drifts, farthest
from qa_suite.checkup import check_up
from qa_suite.checkup.alarms import HORIZON, factor, missing_run, of_one, run_beyond, run_chance
from qa_suite.checkup.cohort import limits_of
from qa_suite.checkup.log import LogRow, append_log, model_key, read_log
from qa_suite.checkup.over_time import control_over_time
from qa_suite.core.errors import InputError
from qa_suite.core.records import ModelFacts
from tests.test_checkup import cohort, row

STEADY = [float(v) for v in np.random.default_rng(5).normal(3, 1, 20)]
QUIET = [float(v) for v in np.random.default_rng(6).normal(3, 1, HORIZON)]
SKEWED = [0.0] * 15 + [0.1, 0.2, 0.3, 0.5, 9.0]


def log_of(values, *, metric="a_measure", model="m 1", start=0) -> list[LogRow]:
    """A log of one measure; None is a value that could not be measured."""
    return [
        LogRow(
            time=f"2026-01-01T{n // 60:02d}:{n % 60:02d}:00+00:00",
            case=f"{model}-{n:03d}",
            evaluation="e",
            metric=metric,
            region="body",
            variant="default",
            unit="HU",
            value=value,
            outside=False,
            model=model,
            status="ok" if value is not None else "undefined",
        )
        for n, value in enumerate(values, start)
    ]


def rules(found) -> set[str]:
    return {signal.rule for signal in found.signals}


# --- the promise ------------------------------------------------------------------------------


@pytest.mark.parametrize("charts", [1, 12])
def test_a_quiet_log_of_forty_alarms_as_seldom_as_is_promised(charts):
    """The function itself over whole logs; the page of simulations has 20,000 of each."""
    rng, logs = np.random.default_rng(charts), 600 if charts == 1 else 120
    hits = dict.fromkeys(("point", "drift", "run", "missing"), 0)
    for _ in range(logs):
        log = []
        for chart in range(charts):
            log += log_of(rng.normal(10, 2, 60).tolist(), metric=f"measure_{chart}")
        for rule in rules(control_over_time(log)):
            hits[rule] += 1
    for rule, n in hits.items():
        assert n <= 0.01 * logs + 3 * np.sqrt(0.01 * logs), (rule, n)


@pytest.mark.parametrize("draw", ["normal", "exponential", "standard_t", "lognormal"])
def test_factors_hold_whatever_the_distribution(draw):
    """The largest of 40 running means of ranks; and for *point* at most the promise."""
    more = {"standard_t": (5,), "lognormal": (0, 0.5)}.get(draw, ())
    drawn = getattr(np.random.default_rng(7), draw)(*more, size=(20_000, 60))
    assert np.mean(drifts(drawn) > factor("drift", 1, 0.05)) == pytest.approx(0.05, abs=0.006)
    assert np.mean(drifts(drawn) > factor("drift", 1, 0.01)) == pytest.approx(0.01, abs=0.003)
    assert np.mean(farthest(drawn) > factor("point", 1, 0.01)) < 0.015
    assert factor("point", 40, 0.01) > factor("point", 10, 0.01) > factor("point", 1, 0.01) > 3
    assert of_one(1, 0.01) == pytest.approx(0.01)


def test_runs_are_exact_for_values_of_any_distribution():
    # one of 40 beyond the largest of 20: 1 - 20 / 60, as each of the 60 is as likely the largest
    assert run_chance(1, 20, 1) == pytest.approx(40 / 60)
    rng, length = np.random.default_rng(8), 4
    drawn = rng.exponential(size=(40_000, 60))
    beyond = drawn[:, 20:] > np.sort(drawn[:, :20], axis=1)[:, [-2]]
    windows = np.lib.stride_tricks.sliding_window_view(beyond, length, axis=1)
    simulated = windows.all(axis=2).any(axis=1).mean()
    assert run_chance(2, 20, length) == pytest.approx(simulated, abs=0.002)
    for charts in (1, 5, 20, 40):
        run = run_beyond(charts, 0.01)
        rate = charts * 2 * run_chance(run.beyond, 20, run.length)
        assert 0.005 <= rate <= 0.015, (charts, run)


# --- what is found ----------------------------------------------------------------------------


def test_a_steady_log_is_in_control_and_a_gross_value_is_not():
    assert control_over_time(log_of(STEADY[:-1])).state == "baseline"
    steady = control_over_time(log_of([*STEADY, *QUIET]))
    assert (steady.state, steady.charts, steady.check_ups) == ("in control", 1, 60)
    assert steady.signals == ()
    jump = control_over_time(log_of([*STEADY, 20.0]))
    assert (jump.state, rules(jump)) == ("out of control", {"point"})
    assert "at check-up 21 (m 1-020)" in jump.signals[0].sentence
    assert control_over_time(log_of([*STEADY, 3 + 5.0])).state == "in control"  # tails may do that


def test_a_signal_stays_for_forty_check_ups_and_no_longer():
    jump, steady = [*STEADY, 20.0], [STEADY[n % 20] for n in range(HORIZON)]
    still = control_over_time(log_of([*jump, *steady[:-1]]))
    assert (still.state, rules(still)) == ("out of control", {"point"})
    assert control_over_time(log_of([*jump, *steady])).state == "in control"


def test_a_shift_of_three_deviations_is_found_by_its_ranks():
    shifted = [value + 3 * np.std(STEADY, ddof=1) for value in QUIET[:20]]
    found = control_over_time(log_of([*STEADY, *shifted]))
    assert "drift" in rules(found)
    (drift,) = [signal for signal in found.signals if signal.rule == "drift"]
    assert len(drift.places) > 1 and "higher" in drift.sentence


def test_too_many_in_a_row_beyond_the_baseline_are_a_run():
    run = run_beyond(1, 0.01)
    up = [8.0 + n for n in range(run.length)]
    almost = control_over_time(log_of([*SKEWED, 0.0, *up[1:]], metric="implausible_voxels"))
    assert "run" not in rules(almost)
    found = control_over_time(log_of([*SKEWED, 0.0, *up], metric="implausible_voxels"))
    assert "run" in rules(found)
    assert any(f"for {run.length} check-ups in a row" in s.sentence for s in found.signals)


def test_a_first_value_beyond_many_equal_ones_is_no_signal_and_several_are():
    nothing = [0.0] * 20
    first = control_over_time(log_of([*nothing, 0.5], metric="implausible_voxels"))
    assert first.state == "in control"  # the check-up itself holds it against the cohort
    several = control_over_time(log_of([*nothing, *[0.5] * 6], metric="implausible_voxels"))
    assert rules(several) == {"drift", "run"}
    small = control_over_time(log_of([*nothing, *[0.005] * 20], metric="implausible_voxels"))
    assert small.state == "in control"  # 0.01 % is the least that means anything


# --- missing values ---------------------------------------------------------------------------


def test_one_missing_value_among_the_first_twenty_drops_no_chart():
    holed = [*STEADY[:5], None, *STEADY[5:]]
    assert control_over_time(log_of(holed[:-1])).state == "baseline"
    found = control_over_time(log_of([*holed, *QUIET[:3]]))
    assert (found.state, found.charts) == ("in control", 1)
    assert (found.measures[0].missing, found.measures[0].baseline) == (1, 21)
    assert control_over_time(log_of([*holed, 20.0])).state == "out of control"


def test_what_is_missing_now_is_undetermined_and_many_in_a_row_are_a_signal():
    longest = missing_run(0, 20, 1, 0.01)
    one = control_over_time(log_of([*STEADY, *QUIET[:5], None]))
    assert one.state == "undetermined"
    assert "a_measure in body has no value (undefined) at the newest check-up" in one.sentence
    almost = control_over_time(log_of([*STEADY, *QUIET[:20], *[None] * (longest - 1)]))
    assert (almost.state, rules(almost)) == ("undetermined", set())
    ten = control_over_time(log_of([*STEADY, *[None] * 10]))
    assert (ten.state, rules(ten)) == ("out of control", {"missing"})
    assert "has no value for 10 check-ups in a row, and 0 of 20" in ten.signals[0].sentence


def test_a_measure_that_stops_being_taken_is_missing_too():
    other = log_of([*STEADY, *QUIET[:12]], metric="fat_level")
    found = control_over_time(sorted([*log_of(STEADY), *other], key=lambda r: r.time))
    assert found.state == "out of control"
    assert [(s.metric, s.rule) for s in found.signals] == [("a_measure", "missing")]


def test_a_chart_that_lacks_too_many_is_undetermined_though_the_newest_has_a_value():
    half = [value if n % 2 else None for n, value in enumerate(QUIET)]
    found = control_over_time(log_of([*STEADY, *half]))
    assert found.state == "undetermined"
    assert "20 of the newest 40 check-ups have no value, more than 20 %" in found.sentence
    never = control_over_time(log_of([None] * 30))
    assert never.state == "undetermined" and "0 of 20 values to learn from" in never.sentence


# --- models -----------------------------------------------------------------------------------


def test_another_version_begins_another_baseline_and_the_log_says_so():
    log = [*log_of(STEADY, model="m 1"), *log_of([v + 50 for v in STEADY[:3]], model="m 2")]
    found = control_over_time(log)
    assert (found.state, found.model, found.check_ups) == ("baseline", "m 2", 3)
    assert found.others == {"m 1": 20}
    assert "The log also holds 20 check-ups of m 1, charted apart from m 2" in found.sentence


def test_two_models_that_share_a_log_are_charted_apart():
    one, two = log_of([*STEADY, *QUIET]), log_of([v + 50 for v in [*STEADY, *QUIET]], model="m 2")
    mixed = [row for pair in zip(one, two, strict=True) for row in pair]
    found = control_over_time(mixed)
    assert (found.state, found.model, found.signals) == ("in control", "m 2", ())


def test_weights_and_settings_are_part_of_a_models_name():
    facts = {"uri": "models:/m/1", "name": "m", "version": "1", "family": "f"}
    keys = {
        model_key(ModelFacts(**facts | more))
        for more in ({}, {"version": "2"}, {"weights_sha256": "a" * 64}, {"asked": {"steps": 5}})
    }
    assert len(keys) == 4


# --- the file ---------------------------------------------------------------------------------


def append(path: Path, value: float, n: int, model: str = "m 1") -> list[LogRow]:
    found = check_up([row("air_error", value, case=f"image-{n:03d}")], LIMITS)
    return append_log(path, found, time=f"2026-01-{n + 1:02d}T08:00Z", evaluation="e", model=model)


LIMITS = limits_of(cohort({"air_error": 0}))


def test_a_log_takes_an_image_once_and_says_what_is_wrong_with_it(tmp_path):
    path = tmp_path / "log.csv"
    for n in range(2):
        log = append(path, STEADY[n], n)
    assert read_log(path) == log and {r.model for r in log} == {"m 1"}
    with pytest.raises(InputError, match="image-000 already"):
        append(path, 1.0, 0)
    assert len(append(path, 1.0, 0, model="m 2")) == 3  # another model's image of that case
    path.write_text(path.read_text() + "t,image-9,e,air_error,body,default,1,many,False,m\n")
    with pytest.raises(InputError, match="Line 5 of"):
        read_log(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no log of check-ups"):
        read_log(path)


def test_a_log_of_the_older_form_goes_on_and_tells_models_by_their_evaluation(tmp_path):
    path = tmp_path / "old.csv"
    append(path, STEADY[0], 0)
    old = re.sub(r",model$|,m 1$", "", path.read_text(), flags=re.M)
    path.write_text(old)
    log = append(path, STEADY[1], 1)
    assert read_log(path) == log and len(log) == 2
    assert path.read_text().startswith(old)  # nothing is rewritten
    assert {r.charted_as for r in log} == {"the model of evaluation e"}
