"""Criteria profiles: those that come with the suite, and what is refused in one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from qa_suite.core.errors import InputError, Problems, QAError, UnknownName
from qa_suite.judging.criteria import list_profiles, load_profile
from tests.judging_record import BONE_DICE, Record, criterion, profile, sites_said


def test_the_page_has_the_bounds_of_the_pelvis_profile() -> None:
    """Between its marks, a row a criterion; the profile's version above them."""
    from reports.facts.wording import criterion_text

    profile = load_profile("mr-to-ct-pelvis")
    scopes = {"each_site": "each site", "pooled": "all patients", "worst_patient": "each patient"}
    rows = [
        f"| {c.name} | `{c.metric}` | {criterion_text(c).split(': ', 1)[1]} | {scopes[c.scope]} |"
        for c in profile.criteria
    ]
    head = f"| Version {profile.version} | Measure | Bound | Of |"
    wanted = [head, "|---|---|---|---|", *(row.replace("\N{NO-BREAK SPACE}", " ") for row in rows)]
    page = (Path(__file__).parent.parent / "docs" / "judging.md").read_text()
    found = page.split("<!-- pelvis: begin -->\n")[1].split("\n<!-- pelvis: end -->")[0]
    assert found.splitlines() == wanted


def test_shipped_profiles_agree_with_the_metrics() -> None:
    from qa_suite.dose.hlut.tables import load_hlut
    from qa_suite.dose.plan.template import load_template
    from qa_suite.metrics.dose.settings import DoseSettings, PlanChoice
    from qa_suite.metrics.facts import unit_for
    from qa_suite.metrics.run import METRICS, variants_of
    from qa_suite.metrics.settings import MeasureSettings

    better = {"at_most": "lower", "at_least": "higher", "within": "zero"}
    hluts = {"photon": load_hlut("thomas-1999"), "proton": load_hlut("electron-density-as-rsp")}
    plans = tuple(
        PlanChoice(template=load_template(f"{beam}-{anatomy}"), hlut=hlut)
        for beam, hlut in hluts.items()
        for anatomy in ("pelvis", "brain", "head-and-neck")
    )
    variants = variants_of(MeasureSettings(dose=DoseSettings(plans=plans)))
    names = [p.name for p in list_profiles()]
    assert names == sorted(names) and "mr-to-ct-pelvis" in names
    for shipped in list_profiles():
        assert load_profile(shipped.name) == shipped
        for item in shipped.criteria:
            facts = METRICS[item.metric].facts
            assert item.unit == unit_for(item.metric, "HU"), item.name  # all are of CT
            assert facts.direction in ("none", better[item.direction]), item.name
            assert item.variant in variants


def test_demo_profile_names_the_third_hospital() -> None:
    record = Record()
    for case in record.cases:  # a body MAE of 40 HU at home, well within the demo's bounds
        record.shift(case.case, by=90 if case.site == "hospital-C" else -10)
    for row in [r for r in record.rows if r.metric == "mae"]:
        record.rows.append(row.model_copy(update={"region": "bone", "value": 150.0 + row.value}))
    verdict = record.judge(load_profile("demo-pelvis"))
    assert verdict.outcome == "fail"
    assert {f.sites for f in verdict.findings if f.outcome == "fail"} == {("hospital-C",)}
    assert sites_said(verdict) == {"holds": ["hospital-A", "hospital-B"], "fails": ["hospital-C"]}


def test_unknown_profile_lists_close_names() -> None:
    with pytest.raises(UnknownName, match="mr-to-ct-pelvis"):
        load_profile("mr-to-ct-pelvs")


def test_profile_file_reports_all_problems_together(tmp_path: Path) -> None:
    data = profile(criterion(), BONE_DICE).model_dump(mode="json")
    data["criteria"][0] |= {"source": "", "confidence": 95, "bond": 70}
    data["criteria"][1]["statistic"] = "fraction_within"
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(Problems) as caught:
        load_profile(path)
    text = str(caught.value)
    for what in (
        "criteria.0.source",
        "criteria.0.confidence",
        "criteria.0.bond",
        "unknown key",
        "fraction_within and per_patient_bound belong together",
    ):
        assert what in text


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[1, 2", "not a readable YAML"),
        ("- 1", "holds no profile"),
        ("!!python/object/apply:os.system ['true']", "not a readable YAML"),
        ("\x00", "not a readable YAML"),
    ],
)
def test_unreadable_profiles_are_one_sentence(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(QAError, match=what):
        load_profile(path)


def test_profile_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no profile at"):
        load_profile(tmp_path / "none.yaml")


def test_two_criteria_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(profile(criterion(), criterion()).model_dump(mode="json")))
    with pytest.raises(Problems, match="two criteria are named 'body MAE'"):
        load_profile(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"statistic": "fraction_within"},
        {"per_patient_bound": 3},
        {"statistic": "fraction_within", "per_patient_bound": 3, "bound": 90},
        {"direction": "within", "bound": -3},
        {"statistic": "min"},
        {"statistic": "median", "scope": "worst_patient"},
        {"statistic": "median", "scope": "new_site"},
    ],
)
def test_criteria_that_contradict_themselves(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        criterion(**wrong)
