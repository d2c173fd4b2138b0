"""Summary sentences claim no more than was tested; where nothing was, none claims anything."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from qa_suite.checkup import check_up
from qa_suite.checkup.over_time import control_over_time
from qa_suite.cli import console
from qa_suite.core.record_files import read_cases, read_measurements
from qa_suite.core.records import ModelFacts, SiteGap, Verdict
from qa_suite.judging.dose_line import NO_DOSE, dose_sentences
from qa_suite.judging.judge import judge_tables
from reports.facts.dose import DosePlan
from reports.facts.meaning import scope_tested, sites_compared, verdict_meaning
from reports.facts.readiness import gather
from reports.html.report import render
from tests import dose_record_factory as factory
from tests.record_factory import PROFILE, make_record
from tests.report_dose_cases import gathered

CLAIMS = re.compile(
    r"holds (?:at|over)|criteria over all sites hold|judged flips|worse in none|"
    r"meets? (?:its|their) bound|In order in every case|None of \d+ cases? was|[✓✔] P|"
    r"[Ii]n control after|met on the "
    r"(?:reference|synthetic) CT in [1-9]|lost and \d+ gained"
)


@pytest.fixture(scope="module")
def untested(tmp_path_factory) -> tuple[Path, Verdict]:
    """A record whose cases all failed, judged: nothing was measured."""
    folder = tmp_path_factory.mktemp("untested")
    evaluation, _ = make_record(folder, keep=False)
    cases = [c.model_copy(update={"status": "failed", "reason": "x"}) for c in read_cases(folder)]
    return folder, judge_tables(evaluation, read_measurements(folder).iloc[:0], cases, PROFILE)


def test_the_claims_are_found_where_there_is_something_to_claim(tmp_path):
    _, verdict = make_record(tmp_path, keep=False)
    assert CLAIMS.search(render(gather(tmp_path, verdict)))


def test_with_nothing_tested_no_sentence_claims_anything(untested, capsys):
    folder, verdict = untested
    cases = [c.model_copy(update={"status": "failed", "reason": "x"}) for c in read_cases(folder)]
    empty = replace(gather(folder, verdict), cases=(), site_counts=(), left_out=(), dose=None)
    console.show_verdict(verdict, every=True)
    sentences = {
        "verdict": verdict.sentence,
        "dose": " ".join(verdict.dose_said),
        "findings": " ".join(f.sentence for f in verdict.findings),
        "meaning": verdict_meaning(verdict, cases),
        "sites": sites_compared(verdict.site_gaps, empty.evaluation.model),
        "terminal": capsys.readouterr().out,
        "report": render(replace(empty, distributions=(), families=(), curves=(), pictures=())),
        "check-up": check_up([], {}).sentence,
        "log": control_over_time([]).sentence,
    }
    for where, text in sentences.items():
        found = CLAIMS.search(text)
        assert found is None, f"{where} claims '{found and found[0]}' of nothing"
    assert verdict.outcome == "inconclusive"
    assert "no patient who was measured" in scope_tested(verdict, cases)
    assert verdict.dose_said == (NO_DOSE,)


def test_what_is_said_names_how_much_was_tested(tmp_path):
    _, verdict = make_record(tmp_path, keep=False)
    cases = read_cases(tmp_path)
    judged = [c for c in cases if c.status == "evaluated" and c.case not in verdict.excluded]
    patients, sites = {c.patient for c in judged}, {c.site for c in judged}
    of = f"{len(PROFILE.criteria)} criteria, {len(patients)} patients at {len(sites)} sites"
    assert f"({of})" in verdict.sentence
    meaning = verdict_meaning(verdict, cases)
    assert f"{len(PROFILE.criteria)} criteria" in meaning
    assert f"{len(patients)} held-out patients at {len(sites)} sites" in meaning


# --- dose --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dosed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dosed")
    return folder, *factory.make_dose_record(folder)


def test_the_dose_line_says_plans_patients_coverage_goals_and_gamma(dosed):
    folder, _, _ = dosed
    told = dose_sentences(read_measurements(folder), read_cases(folder), ())
    assert [line.split(":")[0] for line in told] == [
        "Dose, clinic",
        "Dose, photon-drawn",
        "Dose, proton-drawn",
    ]
    line = told[1]
    assert "4 patients of" in line and "at 3 sites" in line
    assert f"target coverage ({factory.ASKED}) met on the reference CT in 4 of 4" in line
    assert "on the synthetic CT in 3 of 4, lost in B01" in line
    assert "of 8 organ goals judged 1 lost and 0 gained, 8 undecided" in line
    assert "γ 2 %/2 mm in the body" in line and "lowest" in line
    assert line.endswith("the profile bounds none of it, so it is described and not judged.")
    criterion = PROFILE.criteria[0].model_copy(
        update={"metric": "gamma_pass_rate", "region": "body", "variant": "photon-drawn:2pct2mm"}
    )
    told = dose_sentences(read_measurements(folder), read_cases(folder), (criterion,))
    assert "judged by 1 criterion of the profile" in told[1] and "described" in told[0]


def test_a_prescription_that_is_undecided_is_no_organ_goal(dosed):
    folder, _, _ = dosed
    rows = read_measurements(folder)
    plan = (rows["case"] == factory.KEPT) & (rows["variant"] == "photon-drawn")
    for metric, more in (("goals_judged", -1), ("goals_undecided", 1)):
        rows.loc[plan & (rows["metric"] == metric), "value"] += more
    lost = plan & (rows["metric"] == "coverage_met_synthetic")
    rows.loc[lost, ["value", "status", "why"]] = [None, "undefined", "outside the dose grid"]
    line = dose_sentences(rows, read_cases(folder), ())[1]
    assert "on the synthetic CT in 2 of 3, lost in B01, undecided in 1;" in line
    assert "of 8 organ goals judged 1 lost and 0 gained, 8 undecided" in line


def test_the_line_quoted_in_the_documentation_is_the_one_that_is_written(dosed):
    _, _, verdict = dosed
    page = (Path(__file__).parent.parent / "docs" / "judging.md").read_text(encoding="utf-8")
    quoted = page.partition("## The line for dose")[2].partition("\n> ")[2].partition("\n\n")[0]
    assert quoted.replace("\n> ", " ") == verdict.dose[1]


def test_a_dose_that_failed_or_lacks_its_rows_claims_nothing(dosed):
    folder, _, _ = dosed
    rows = read_measurements(folder)
    lost = rows[rows["case"] == factory.FAILED]
    only = lost.assign(metric="goals_lost", region="all", variant="photon-drawn")
    (line,) = dose_sentences(only, read_cases(folder), ())
    assert "could not be computed for any of 1 patient, so it was not judged" in line
    older = rows[~rows["metric"].str.startswith(("coverage_", "goals_judged"))]
    for line in dose_sentences(older, read_cases(folder), ()):
        assert "whether the target gets what is prescribed was not measured" in line
        assert "of how many goals the flips are was not recorded" in line
        assert not CLAIMS.search(line)


def test_goals_of_which_none_is_decided_are_not_said_to_hold(dosed):
    plan: DosePlan = gathered(dosed).plans[0]
    undecided = tuple(goal for goal in plan.goals if goal.goal.structure == "Nowhere")
    said = replace(plan, goals=undecided, lost=0, gained=0).goals_said
    assert said.startswith("Whether a goal flips is undecided") and not CLAIMS.search(said)
    met = tuple(goal for goal in plan.goals if goal.goal.metric == "D2")
    said = replace(plan, goals=met, lost=0, gained=0).goals_said
    assert said.startswith("None of 4 goals judged flips (0 prescriptions to targets and 1 organ")


# --- sites -------------------------------------------------------------------------------------


def gap(site: str, shifted: bool | None, *, home: bool = False) -> SiteGap:
    return SiteGap(
        metric="mae",
        region="body",
        unit="HU",
        site=site,
        in_training=home,
        patients=5,
        missing=0,
        estimate=1.0,
        low=None,
        high=None,
        shifted=shifted,
        method="m",
        sentence="s",
    )


@pytest.mark.parametrize(
    ("gaps", "said"),
    [
        ([], ""),
        ([gap("A", False, home=True)], "No site was judged that the model was not trained on."),
        ([gap("C", None)], "Whether C differs from the training sites could not be tested"),
        ([gap("C", False), gap("D", None)], "C compared with the training sites in 1 measure "),
    ],
)
def test_new_sites_are_said_to_be_alike_only_where_they_were_compared(gaps, said):
    facts = ModelFacts(uri="u", name="m", family="f", training_sites=("A", "B"))
    told = sites_compared(gaps, facts)
    assert told.startswith(said) if said else told == ""
    assert ("worse in none" in told) == any(
        one.shifted is False and not one.in_training for one in gaps
    )
