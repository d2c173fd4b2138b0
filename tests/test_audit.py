"""Audits of drawn hospitals: what is planted is named, and what only looks like it is not."""

import dataclasses
import re

import numpy as np
import pytest

from qa_suite.audit.asked import AuditSettings
from qa_suite.audit.audit import audit, audit_material
from qa_suite.audit.joined import Source, join
from qa_suite.core.errors import Problems
from qa_suite.core.records import Audit, CellFinding, PreflightValue
from tests.audit_cases import PRIMARY, at_site, nothing, profile, source, where, write

SETTINGS = AuditSettings(primary=PRIMARY)


def audited(*sources: Source, settings: AuditSettings = SETTINGS) -> Audit:
    return audit_material(join(sources), profile(), settings)


def named(found: Audit) -> list[tuple[str, str, str]]:
    return [(f.dimension, f.cell, f.metric) for f in found.findings if f.test and f.test.named]


def the(found: Audit, dimension: str, cell: str, metric: str = "mae") -> CellFinding:
    (one,) = [
        f for f in found.findings if (f.dimension, f.cell, f.metric) == (dimension, cell, metric)
    ]
    return one


@pytest.fixture(scope="module")
def bad_site() -> Audit:
    return audited(source(change=at_site("F", 2)))


# What is planted is named


def test_a_planted_site_is_named_and_leads_the_page(bad_site):
    assert bad_site.outcome == "named"
    assert named(bad_site) == [("site", "F", "mae")]
    assert bad_site.lead.startswith("Worst: MAE in body, site F: ")


def test_what_a_bad_site_drags_along_is_described_and_not_named(bad_site):
    vendor = the(bad_site, "vendor", "Philips")
    assert vendor.to_rest is not None and vendor.to_rest.low > 0, "its mean is worse"
    assert vendor.test is None, "but it is whole hospitals, one of them bad"


@pytest.mark.parametrize(
    "fact, value, dimension, cell",
    [("implant", "yes", "implant", "implant"), ("sex", "F", "sex", "women")],
)
def test_a_planted_stratum_is_named_and_no_hospital_for_it(fact, value, dimension, cell):
    found = audited(source(change=where(fact, value, 2.5)))
    assert (dimension, cell, "mae") in named(found)
    assert not [one for one in named(found) if one[0] == "site"]
    assert f"Worst: MAE in body, {cell}" in found.lead


def test_a_bias_is_worse_on_either_side_and_dice_below():
    for metric, size in (("me", 3), ("me", -3), ("dice", 3)):
        found = audited(source(change=at_site("D", size, metric)))
        assert named(found) == [("site", "D", metric)], (metric, size)


def test_a_site_that_is_better_is_not_named():
    assert audited(source(change=at_site("F", -3))).outcome == "none_named"


def test_a_clean_audit_says_what_it_would_have_found():
    found = audited(source())
    assert found.outcome == "none_named"
    assert found.power.startswith(
        "A hospital 2 SD worse in one of 3 measures would be named in more than 99 % of audits "
        "with 20 patients a hospital"
    )


def test_few_patients_are_no_all_clear():
    found = audited(source(patients=5))
    assert found.outcome == "undecided"
    assert not any(f.test and f.test.named for f in found.findings)


def test_without_primary_measures_nothing_is_named():
    found = audited(source(change=at_site("F", 4)), settings=AuditSettings())
    assert (found.outcome, named(found), found.family) == ("described", [], 0)
    assert any("--primary" in notice for notice in found.notices)


# Known answers


def test_gaps_are_those_that_can_be_computed_by_hand():
    made = source(sites=("A", "B", "C"), patients=6)
    found = the(audited(made), "site", "C")
    table = made.measurements[made.measurements["metric"] == "mae"]
    means = table.groupby("site")["value"].mean()
    assert found.to_training.estimate == pytest.approx(means["C"] - (means["A"] + means["B"]) / 2)
    assert found.to_rest.estimate == pytest.approx(found.to_training.estimate)
    assert found.to_training.patients == 12


def test_the_outcome_at_a_site_is_that_of_the_judge(bad_site):
    assert the(bad_site, "site", "F").outcome == "pass", "71.6 HU (69 to 74) under 75 HU"
    worse = audited(source(change=at_site("F", 4)))
    assert the(worse, "site", "F").outcome == "fail"
    assert "The bound of 75 HU is missed there." in worse.lead


# Small cells, and who is in which cell


def test_small_cells_are_shown_and_not_interpreted(bad_site):
    small = [cell for cell in bad_site.cells if cell.small]
    assert small
    for cell in small:
        one = the(bad_site, cell.dimension, cell.cell)
        assert one.estimate is not None
        assert (one.low, one.high, one.test, one.outcome) == (None, None, None, None)
        assert one.to_rest is None
        assert one.patients <= cell.patients < bad_site.small_below


def test_every_patient_stands_once_in_every_dimension(bad_site):
    for dimension in {cell.dimension for cell in bad_site.cells}:
        cells = [cell for cell in bad_site.cells if cell.dimension == dimension]
        assert sum(cell.cases for cell in cells) == 160, dimension


def test_spellings_of_one_scanner_and_one_field_are_one_cell(bad_site):
    by = {d: [c.cell for c in bad_site.cells if c.dimension == d] for d in ("vendor", "field")}
    assert by["vendor"] == ["GE", "Philips", "Siemens"]
    assert by["field"] == ["0.35 T", "1.5 T", "3 T"]


# Order and names change nothing


def without_names(found: Audit) -> list[tuple]:
    rows = []
    for f in found.findings:
        test = f.test and (f.test.named, f.test.p, f.test.power, f.test.gap.estimate)
        rows.append((f.metric, f.dimension, f.patients, f.estimate, f.low, test))
    return sorted(rows, key=str)


def test_the_order_of_rows_changes_nothing(bad_site):
    made = source(change=at_site("F", 2))
    order = np.random.default_rng(1).permutation(len(made.measurements))
    turned = dataclasses.replace(
        made, measurements=made.measurements.iloc[order], cases=made.cases[::-1]
    )
    assert audited(turned) == bad_site


def test_new_names_of_sites_change_nothing_but_names(bad_site):
    made = source(change=at_site("F", 2))
    names = {site: f"Z{9 - place}" for place, site in enumerate("ABCDEFGH")}
    model = made.evaluation.model.model_copy(update={"training_sites": (names["A"], names["B"])})
    other = dataclasses.replace(
        made,
        evaluation=made.evaluation.model_copy(update={"model": model}),
        measurements=made.measurements.assign(site=made.measurements["site"].map(names)),
        cases=tuple(c.model_copy(update={"site": names[c.site]}) for c in made.cases),
    )
    a, b = without_names(audited(other)), without_names(bad_site)
    assert [row[:3] for row in a] == [row[:3] for row in b]
    assert [row[3] for row in a] == pytest.approx([row[3] for row in b])


# Joining


def halves() -> tuple[Source, Source]:
    first = source(sites="ABCD", name="north", evaluation="1" * 16)
    second = source(sites="EFGH", name="south", evaluation="2" * 16, seed=6, change=at_site("F", 2))
    return first, second


def test_evaluations_of_one_model_are_joined_in_any_order():
    first, second = halves()
    found = audited(first, second)
    assert named(found) == [("site", "F", "mae")]
    assert audited(second, first) == found


def test_a_patient_of_two_evaluations_counts_once():
    first, _ = halves()
    again = source(sites="ABCD", name="again", evaluation="3" * 16)
    found = audited(first, again)
    alone = audited(first)
    assert [c.patients for c in found.cells] == [c.patients for c in alone.cells]
    assert the(found, "site", "A").estimate == the(alone, "site", "A").estimate
    assert any("80 examinations are in more than one evaluation" in n for n in found.notices)


def test_two_patients_of_one_case_name_stay_two():
    first, second = halves()
    second = dataclasses.replace(
        second,
        measurements=second.measurements.assign(
            case=second.measurements["case"].map(lambda c: "A" + c[1:] if c[0] == "E" else c)
        ),
        cases=tuple(
            c.model_copy(update={"case": "A" + c.case[1:]}) if c.site == "E" else c
            for c in second.cases
        ),
    )
    found = audited(first, second)
    assert sum(c.cases for c in found.cells if c.dimension == "site") == 160


def test_other_weights_definitions_and_settings_are_refused_all_at_once():
    first, second = halves()
    model = second.evaluation.model.model_copy(update={"weights_sha256": "cd" * 32})
    other = second.evaluation.model_copy(
        update={
            "model": model,
            "definitions": {"mae": {"title": "Another error", "direction": "lower"}},
            "settings": {"measures": {"image": {"clip_hu": 3000}}},
        }
    )
    with pytest.raises(Problems) as caught:
        join([first, dataclasses.replace(second, evaluation=other)])
    told = str(caught.value)
    for part in ("3 problems", "other weights (cdcdcdcdcdcd", "defines mae otherwise", "image"):
        assert part in told


def test_one_evaluation_twice_is_refused():
    first, _ = halves()
    with pytest.raises(Problems, match="was given 2 times"):
        join([first, first])


def test_what_is_asked_and_not_in_the_record_is_refused_all_at_once():
    settings = AuditSettings(primary=("mae:bod", "bone Dise"), sizes={"rmse:body": 3.0})
    with pytest.raises(Problems) as caught:
        audited(source(change=nothing), settings=settings)
    assert len(caught.value.problems) == 3
    for asked, meant in (("mae:bod", "mae:body"), ("bone Dise", "bone Dice"), ("rmse:body", "")):
        assert any(asked in told and meant in told for told in caught.value.problems)


def test_an_audit_of_folders_is_that_of_their_tables(tmp_path, bad_site):
    folder = write(source(change=at_site("F", 2)), tmp_path / "evaluation")
    found = audit([folder], profile(), SETTINGS)
    facts = {"audit", "evaluations"}  # a written record has an identifier of its own
    assert found.model_dump(exclude=facts) == bad_site.model_dump(exclude=facts)


# What the judge leaves out, and who was expected


def test_what_the_profile_excludes_is_no_value_and_leaves_a_site_undecided():
    made = source(patients=10)
    shift = PreflightValue(value=1.0, unit="mm", bound="<= 10 mm", status="ok")
    far = shift.model_copy(update={"value": 8.0})
    cases = tuple(
        c.model_copy(
            update={
                "preflight": {
                    "alignment_shift": far if c.case[:2] == "C0" and c.case < "C04" else shift
                }
            }
        )
        for c in made.cases
    )
    found = audit_material(
        join([dataclasses.replace(made, cases=cases)]),
        profile(exclude={"alignment_shift": 5.0}),
        SETTINGS,
    )
    one = the(found, "site", "C")
    assert one.patients == 6
    assert one.outcome == "inconclusive", "four of ten are excluded"
    assert the(found, "site", "D").outcome == "pass"


def test_a_hospital_that_was_expected_and_has_no_case_is_no_all_clear():
    found = audit_material(join([source()]), profile(expected_sites=["A", "Z"]), SETTINGS)
    assert found.outcome == "undecided"
    assert re.search(r"\bZ\b", found.sentence)
    assert any(notice.startswith("Z has no patient here") for notice in found.notices)


def test_the_same_scan_under_two_names_is_one_patient():
    first, second = halves()
    cases = list(second.cases)
    hashes = {"source": "same", "reference": "too"}
    cases[0] = cases[0].model_copy(update={"voxel_hashes": hashes})
    a = first.cases[0].model_copy(update={"voxel_hashes": hashes})
    first = dataclasses.replace(first, cases=(a, *first.cases[1:]))
    found = join([first, dataclasses.replace(second, cases=tuple(cases))])
    assert len({case.patient for case in found.cases}) == 159
    assert any(a.case in notice and cases[0].case in notice for notice in found.notices)
