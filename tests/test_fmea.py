"""Hazards and checklists: every row says what looked for it and what was seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qa_suite.judging.checklists import FACTS, checklist_table, facts_of
from qa_suite.judging.criteria.measures import fits
from qa_suite.judging.fmea import NEW_SITE, HazardRow, hazard_table
from qa_suite.judging.references import checklists, hazards, sources
from tests.judging_record import BONE_DICE, Record, criterion, profile

ME = criterion(name="body ME", metric="me", bound=20, direction="within")


def rows_of(record: Record, *criteria, held=True, keys=()) -> dict[str, HazardRow]:
    table = record.table()
    measured = set(zip(table["metric"], table["region"], strict=True)) if held else set()
    verdict = record.judge(profile(*criteria))
    return {row.key: row for row in hazard_table(verdict, measured, keys)}


def test_a_met_bound_is_not_found_and_says_what_remains() -> None:
    row = rows_of(Record(), ME)["value-bias"]
    assert row.seen == "not found" and row.residual.startswith("Reduced; what remains: ")
    assert row.by == tuple(f"body ME (hospital-{site})" for site in "ABC")


def test_a_planted_bias_is_found_and_names_its_site() -> None:
    record = Record()
    for case in record.of_site("hospital-C"):
        record.shift(case, metric="me", by=200)
    row = rows_of(record, ME)["value-bias"]
    assert row.seen == "found" and row.by == ("body ME (hospital-C)",)
    assert row.residual == "Unacceptable until explained: body ME (hospital-C)"


def test_too_few_patients_leave_it_undecided() -> None:
    few = ME.model_copy(update={"min_patients": 9})
    row = rows_of(Record(), few)["value-bias"]
    assert row.seen == "undecided" and row.residual.startswith("Unknown")


def test_what_is_measured_and_not_bounded_is_no_comfort() -> None:
    row = rows_of(Record(), BONE_DICE)["value-bias"]
    assert row.seen == "measured, not judged" and row.residual.startswith("Unknown")


def test_what_nothing_measured_is_not_examined() -> None:
    assert rows_of(Record(), BONE_DICE, held=False)["range"].seen == "not examined"


def test_what_no_image_shows_is_said_to_be_so() -> None:
    row = rows_of(Record(), ME)["interpretation"]
    assert row.seen == "not measurable" and not row.by


def test_a_region_tells_bias_of_the_body_from_that_of_bone() -> None:
    bone = ME.model_copy(update={"name": "bone ME", "region": "bone", "min_patients": 9})
    found = rows_of(Record(), bone)
    assert found["bone-lost"].seen == "undecided"
    assert found["value-bias"].seen == "measured, not judged"


def test_a_new_site_is_shown_by_the_scope() -> None:
    new = criterion(name="a new site", scope="new_site")
    assert rows_of(Record(), new)["other-site"].by == ("a new site (new site)",)


def test_a_profile_chooses_its_hazards_and_the_caller_may() -> None:
    record = Record()
    verdict = record.judge(profile(ME, hazards=("value-bias", "range")))
    assert [row.key for row in hazard_table(verdict, ())] == ["value-bias", "range"]
    assert [row.key for row in hazard_table(verdict, (), ("metal",))] == ["metal"]


def test_the_tables_name_what_there_is() -> None:
    from qa_suite.metrics.places import places_of
    from qa_suite.metrics.run import METRICS

    for key, hazard in hazards().items():
        assert hazard.hazard and hazard.cause and hazard.effect and hazard.remains, key
        for way in hazard.shown_by:
            if way == NEW_SITE:
                continue
            metric, _, region = way.partition("@")
            places = places_of(metric, METRICS[metric].facts.family)
            assert places is not None
            region = f"{region}X" if region.endswith(":") else region
            assert not region or fits(region, places.regions), way
    for key, checklist in checklists().items():
        assert checklist.source in sources(), key
        for item in checklist.items:
            assert set(item.needs) <= set(FACTS), item.id
    used = {need for c in checklists().values() for item in c.items for need in item.needs}
    assert used == set(FACTS)


def test_items_are_answered_by_what_the_record_shows() -> None:
    record = Record()
    table = record.table()
    measured = set(zip(table["metric"], table["region"], strict=True))
    verdict = record.judge(profile(ME, BONE_DICE))
    facts = facts_of(record.evaluation(), verdict, record.cases, measured)
    assert facts >= {"intervals", "several_sites", "unseen_site", "held_out", "preflight"}
    assert not facts & {"dose", "positioning", "uncertainty", "weights"}
    answers = {(row.checklist, row.item): row for row in checklist_table(facts)}
    assert answers["claim", "Uncertainty of results"].answer == "answered"
    assert answers["claim", "Model"].answer == "not answered"
    assert answers["claim", "Model"].lacks == ("weights",)
    assert answers["gmlp", "5"].answer == "partly" and answers["gmlp", "5"].lacks == ("dose",)
    assert answers["future-ai", "Traceability 1"].answer == "partly"
    assert answers["gmlp", "10"].answer == "not answered"
    assert answers["claim", "Ethics and funding"].answer == "not answered"


def test_a_leak_is_no_held_out_test() -> None:
    record = Record()
    record.settings["allow_leakage"] = True
    verdict = record.judge(profile(ME))
    assert "held_out" not in facts_of(record.evaluation(), verdict, record.cases, ())


@pytest.mark.parametrize("as_json", [False, True])
def test_the_verb_prints_both_tables(tmp_path: Path, capsys, as_json: bool) -> None:
    from qa_suite.cli import run

    folder = tmp_path / "record"
    folder.mkdir()
    Record().write(folder)
    before = sorted(path.name for path in folder.rglob("*"))
    more = ["--json"] if as_json else []
    assert run(["fmea", str(folder), "--profile", "mr-to-ct-pelvis-photon", *more]) == 0
    out = capsys.readouterr().out
    assert sorted(path.name for path in folder.rglob("*")) == before
    if as_json:
        said = json.loads(out)
        assert said["profile"] == "mr-to-ct-pelvis-photon" and said["outcome"] == "inconclusive"
        assert {"range", "value-bias"} - {row["key"] for row in said["hazards"]} == {"range"}
        assert {row["answer"] for row in said["checklists"]} == {
            "answered",
            "partly",
            "not answered",
        }
    else:
        assert "residual risk" in out and "this evaluation" in out
