"""Judging is pure and repeatable, refuses tables that cannot be true, and stands on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from qa_suite.core.errors import InputError, Problems
from qa_suite.core.record_files import MEASUREMENTS_FILE, write_table
from qa_suite.core.records import Measurement, Profile
from qa_suite.judging.judge import judge, judge_tables
from tests.judging_record import SITES, Record, codes, criterion, profile

# ---------------------------------------------------------------------------------------
# Tables that cannot be true


def test_nan_is_refused() -> None:
    record = Record()
    table = record.table()
    table.loc[table["case"] == "A1", "value"] = np.nan
    with pytest.raises(Problems, match="mae in body of case A1 is ok but not a finite number"):
        judge_tables(record.evaluation(), table, record.cases, profile())


def test_all_contradictions_are_reported_together() -> None:
    record = Record()
    table = pd.concat([record.table(), record.table().iloc[:1]], ignore_index=True)
    table.loc[table["case"] == "B2", "site"] = "hospital-Z"
    table.loc[table["case"] == "B3", "case"] = "B33"
    with pytest.raises(Problems) as caught:
        judge_tables(record.evaluation(), table, record.cases, profile())
    text = str(caught.value)
    assert len(caught.value.problems) == 3
    for named in ("A1", "B2", "B33"):
        assert sum(named in problem for problem in caught.value.problems) == 1, text


def test_other_unit_is_refused() -> None:
    with pytest.raises(InputError, match=r"bounds mae in 'mm', but it was measured in 'HU'"):
        Record().judge(profile(criterion(unit="mm")))


# ---------------------------------------------------------------------------------------
# Pure, repeatable, and on disk


def test_same_input_same_verdict_and_nothing_is_changed() -> None:
    record = Record()
    table, before = record.table(), record.table()
    first = judge_tables(record.evaluation(), table, record.cases, profile())
    shuffled = table.sample(frac=1, random_state=1)
    again = judge_tables(record.evaluation(), shuffled, record.cases[::-1], profile())
    assert first == again
    pd.testing.assert_frame_equal(table, before)


def test_new_bounds_judge_an_old_record_anew() -> None:
    record = Record()
    outcomes = {b: record.judge(profile(criterion(bound=b))).outcome for b in (70, 50, 30)}
    assert outcomes == {70: "pass", 50: "inconclusive", 30: "fail"}


def test_changed_table_is_not_judged(tmp_path: Path) -> None:
    record = Record()
    record.write(tmp_path)
    record.shift("A1", by=1)
    write_table(tmp_path / MEASUREMENTS_FILE, record.rows, Measurement)
    with pytest.raises(Problems, match="was changed after it was measured"):
        judge(tmp_path, profile())


# ---------------------------------------------------------------------------------------
# HU beyond the HLUT


def with_beyond(share: float) -> Record:
    """A good record in which the first case's beams met HU beyond their table."""
    record = Record()
    for index, case in enumerate(record.cases):
        record.rows.append(
            Measurement(
                case=case.case,
                patient=case.patient,
                site=case.site,
                family="dose",
                metric="path_beyond_table",
                region="all",
                variant="photon-pelvis",
                value=share if index == 0 else 0.0,
                unit="%",
            )
        )
    return record


def test_beams_through_hu_beyond_the_table_leave_every_profile_undecided() -> None:
    verdict = with_beyond(12.0).judge(profile(criterion()))
    assert verdict.outcome == "inconclusive"
    (found,) = [f for f in verdict.findings if f.criterion.metric == "path_beyond_table"]
    assert found.outcome == "inconclusive" and found.scope_name == "patient-A1"
    assert "photon-pelvis" in found.criterion.name
    assert codes(found) == ["beyond_hlut"] and "12" in found.sentence


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_beams_within_the_table_are_no_finding(share: float) -> None:
    verdict = with_beyond(share).judge(profile(criterion()))
    assert verdict.outcome == "pass"
    assert not any(f.criterion.metric == "path_beyond_table" for f in verdict.findings)


# ---------------------------------------------------------------------------------------
# What is judged whatever the profile says, and what it only describes


def with_noise(value: float) -> Record:
    """A good record in which the first case's image shares noise with its reference."""
    record = Record()
    first = next(row for row in record.rows if row.metric == "mae")
    facts = {"metric": "shared_noise", "unit": "1", "family": "noise"}
    for row in [row for row in record.rows if row.metric == "mae"]:
        shared = value if row.case == first.case else 0.0
        record.rows.append(row.model_copy(update={**facts, "value": shared}))
    return record


@pytest.mark.parametrize(("value", "outcome"), [(0.35, "pass"), (0.36, "fail")])
def test_a_score_at_the_end_of_what_is_plausible_is_no_finding(value: float, outcome: str) -> None:
    verdict = with_noise(value).judge(profile(criterion()))
    assert verdict.outcome == outcome
    found = [f for f in verdict.findings if f.criterion.metric == "shared_noise"]
    assert [f.estimate for f in found] == ([] if outcome == "pass" else [value])


def test_who_was_never_asked_about_its_noise_is_named() -> None:
    record = with_noise(0.0)
    record.rows = [r for r in record.rows if (r.case, r.metric) != ("B2", "shared_noise")]
    verdict = record.judge(profile(criterion()))
    (notice,) = verdict.notices
    assert "B2" in notice and "shared_noise" not in {f.criterion.metric for f in verdict.findings}


def test_described_measures_are_compared_between_sites_in_their_own_variant() -> None:
    record = Record()
    for row in [row for row in record.rows if row.metric == "mae"]:
        record.rows.append(row.model_copy(update={"variant": "inner", "value": 3.0}))
    wanted = [
        {"metric": "mae", "region": "body", "variant": "inner"},
        {"metric": "mae", "region": "nowhere"},
    ]
    plain = Profile(
        name="only",
        version="1",
        direction="any",
        anatomy="any",
        intended_use="tests",
        describe=wanted,
    )
    definitions = {"mae": {"direction": "lower"}}
    evaluation = record.evaluation().model_copy(update={"definitions": definitions})
    verdict = judge_tables(evaluation, record.table(), record.cases, plain)
    found = [(g.metric, g.region, g.variant, g.site, g.estimate) for g in verdict.site_gaps]
    assert found == [("mae", "body", "inner", site, 3.0) for site in SITES]
    assert (
        verdict.sentence
        == "Described under only 1, which sets no bounds (24 patients at 3 sites): not judged."
    )
    assert verdict.outcome == "inconclusive"
