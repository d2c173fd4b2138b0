"""What every profile that comes with the suite has to say and to ask."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from qa_suite.core.errors import Problems
from qa_suite.core.records import Profile
from qa_suite.evaluation.profiles import load_profile
from qa_suite.judging import criteria
from qa_suite.judging.criteria import list_profiles
from qa_suite.judging.criteria.asked import (
    QUESTIONS,
    has_power,
    mean_findings,
    not_asked_of,
    planned_patients,
    question_of,
)
from qa_suite.judging.power import all_must_meet, chance_to_pass
from qa_suite.judging.references import sources

SHIPPED = {profile.name: profile for profile in list_profiles()}
CLINICAL = [profile for profile in SHIPPED.values() if profile.clinical]
IMAGE_ERROR = {"mae", "rmse", "psnr", "ssim", "ms_ssim", "me", "percentile_99_error", "ncc"}
PAGE = Path(__file__).parent.parent / "docs" / "judging.md"


@pytest.mark.parametrize("name", SHIPPED)
def test_it_is_read_against_the_registry(name: str) -> None:
    assert load_profile(name) == SHIPPED[name]


@pytest.mark.parametrize("profile", SHIPPED.values(), ids=SHIPPED)
def test_every_bound_says_why_and_of_whom(profile: Profile) -> None:
    assert profile.schema_version == 2 and profile.does_not_ask
    for one in profile.criteria:
        assert one.source and one.rationale and one.population, one.name


def test_there_is_one_for_each_use() -> None:
    wanted = {
        *(f"mr-to-ct-{a}-{m}" for a in ("pelvis", "brain", "head-and-neck")
          for m in ("photon", "proton")),
        "cbct-to-ct-pelvis-adaptive", "cbct-to-ct-head-and-neck-adaptive", "mr-to-pet",
        "mr-to-ct-any", "descriptive", "mr-to-ct-pelvis", "mr-to-ct-pelvis-dose", "demo-pelvis",
    }  # fmt: skip
    assert set(SHIPPED) == wanted
    assert len(CLINICAL) == 8


@pytest.mark.parametrize("profile", CLINICAL, ids=lambda profile: profile.name)
def test_a_clinical_profile_asks_every_question_of_radiotherapy(profile: Profile) -> None:
    asked = {question_of(one.metric, one.region) for one in profile.criteria}
    assert asked >= set(QUESTIONS)
    if "proton" in profile.name:
        assert any(one.metric == "wepl_difference_mean" for one in profile.criteria)
    bounded = {one.metric for one in profile.criteria if one.region == "target"}
    assert bounded >= {"d98_difference_pct", "d50_difference_pct", "d2_difference_pct"}
    assert not any(one.metric == "mae" for one in profile.criteria)  # no clinical bound exists
    assert profile.hazards


@pytest.mark.parametrize("profile", SHIPPED.values(), ids=SHIPPED)
def test_no_profile_of_image_error_alone_is_clinical(profile: Profile) -> None:
    metrics = {one.metric for one in profile.criteria}
    if metrics and metrics <= IMAGE_ERROR:
        pytest.fail(f"{profile.name} gates on image error alone")
    if "mae" in metrics:
        assert not profile.clinical


@pytest.mark.parametrize("profile", CLINICAL, ids=lambda profile: profile.name)
def test_korsholm_is_asked_as_it_was_proposed(profile: Profile) -> None:
    shares = [c for c in profile.criteria if c.statistic == "fraction_within" and c.unit == "%"]
    assert {c.metric for c in shares} == {f"{d}_difference_pct" for d in ("d98", "d50", "d2")}
    for one in shares:
        assert (one.per_patient_bound, one.bound, one.direction) == (2, 0.95, "within")
        assert "bulk densities" in one.population and "Korsholm" in one.source


@pytest.mark.parametrize("profile", SHIPPED.values(), ids=SHIPPED)
def test_min_patients_follow_from_the_stated_power(profile: Profile) -> None:
    """A model two standard deviations inside passes every mean with at least 80 %."""
    if not profile.criteria:
        return
    plan = profile.planned
    assert plan is not None and (plan.sites, plan.sd_inside, plan.power) == (3, 2, 0.8)
    needed = planned_patients(profile)
    assert needed is not None
    findings = mean_findings(profile.criteria, plan.sites)
    least = min(c.min_patients for c in profile.criteria if has_power(c))
    assert least >= needed
    assert chance_to_pass(least, sd_inside=2) ** findings >= 0.8
    for one in profile.criteria:
        if one.statistic == "fraction_within":
            assert one.min_patients >= all_must_meet(one.bound, confidence=one.confidence)


def test_a_plan_that_its_patients_do_not_keep_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    shipped = Path(criteria.__file__).parent / "demo-pelvis.yaml"
    path.write_text(shipped.read_text().replace("min_patients: 8", "min_patients: 5", 1))
    with pytest.raises(Problems, match="5 are fewer than the 7 that the planned power needs"):
        load_profile(path)


def test_a_clinical_profile_of_image_error_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    shipped = Path(criteria.__file__).parent / "mr-to-ct-pelvis.yaml"
    path.write_text(shipped.read_text().replace("clinical: false", "clinical: true"))
    with pytest.raises(Problems, match="clinical: a profile that carries a clinical decision"):
        load_profile(path)
    lacks = not_asked_of([{"metric": "mae", "region": "body"}])
    assert lacks == list(QUESTIONS.values())


@pytest.mark.parametrize("key", ["clinical", "does_not_ask", "rationale", "population"])
def test_schema_2_says_what_schema_1_need_not(tmp_path: Path, key: str) -> None:
    path = tmp_path / "mine.yaml"
    shipped = Path(criteria.__file__).parent / "demo-pelvis.yaml"
    path.write_text(shipped.read_text().replace(f"{key}:", f"not_{key}:", 1))
    with pytest.raises(Problems, match=rf"{key}( \('body MAE'\))?: field required by schema 2"):
        load_profile(path)


def test_all_that_the_profiles_of_the_pelvis_bound_is_measured() -> None:
    """A name that the registry allows and nothing writes would stay undecided for ever."""
    rows = pd.read_parquet(Path(__file__).parent / "data" / "golden" / "measurements.parquet")
    held = set(zip(rows["metric"], rows["region"], rows["variant"], strict=True))
    for profile in SHIPPED.values():
        if profile.direction == "MR->CT" and profile.anatomy in ("pelvis", "any"):
            for one in profile.criteria:
                assert (one.metric, one.region, one.variant) in held, (profile.name, one.name)


def test_the_beams_that_are_bounded_are_those_of_the_plans() -> None:
    from qa_suite.dose.plan.template import load_template

    for profile in SHIPPED.values():
        for one in profile.criteria:
            if one.region.startswith("beam:"):
                beams = {f"beam:{beam.label}" for beam in load_template(one.variant).beams}
                assert one.region in beams, (profile.name, one.name)
            if one.region.startswith("structure:") and one.unit == "%":
                plan = load_template(one.variant)
                names = {goal.structure for goal in plan.goals}
                assert one.region.removeprefix("structure:") in names, (profile.name, one.name)


def test_a_profile_of_schema_1_keeps_its_digest() -> None:
    """What schema 2 adds stands in no record where nothing is said."""
    from tests.judging_record import profile

    said = profile().model_dump(mode="json")
    assert not {"clinical", "does_not_ask", "hazards", "planned"} & set(said)
    assert not {"rationale", "population", "confirmed"} & set(said["criteria"][0])
    whole = SHIPPED["mr-to-ct-pelvis-photon"]
    assert Profile.model_validate_json(whole.model_dump_json()) == whole


def test_no_bound_on_mean_error_lets_an_image_without_bone_pass() -> None:
    research = SHIPPED["mr-to-ct-any"]
    assert "mae" not in {one.metric for one in research.criteria}
    (missed,) = [one for one in research.criteria if one.metric == "missed"]
    assert (missed.scope, missed.bound) == ("worst_patient", 0)


def marked(name: str) -> list[str]:
    page = PAGE.read_text(encoding="utf-8").split(f"<!-- {name}: begin -->\n")[1]
    return page.split(f"\n<!-- {name}: end -->")[0].split("\n")


def test_the_page_has_every_profile() -> None:
    rows = [
        f"| `{p.name}` {p.version} | {p.direction}, {p.anatomy} | "
        f"{'clinical' if p.clinical else 'no clinical decision'} | "
        f"{', '.join(sorted({question_of(c.metric, c.region) for c in p.criteria})) or '–'} | "
        f"{min((c.min_patients for c in p.criteria if has_power(c)), default='–')} | "
        f"{', '.join(filter(None, (p.examined.on, p.examined.version)))} |"
        for p in SHIPPED.values()
    ]
    assert marked("profiles")[2:] == rows


def test_a_bound_after_an_unconfirmed_source_says_so() -> None:
    """TRS-398, Paganetti and Rose were not found to say what is taken from them."""
    doubtful = ("TRS-398", "Paganetti", "Rose A")
    found = {key for key, one in sources().items() if not one.confirmed}
    assert found == {"paganetti-2012", "trs-398", "rose-1948"}
    for profile in SHIPPED.values():
        for one in profile.criteria:
            if any(name in one.source for name in doubtful):
                assert not one.confirmed, (profile.name, one.name)


def test_the_page_has_every_source() -> None:
    rows = [
        f"| {s.reference} | {s.says} | {s.population} | "
        f"{'yes' if s.confirmed else '**no**'}{f', by: {s.confirmed_by}' if s.confirmed_by else ''}"
        f"{f'; open: {s.open}' if s.open else ''} |"
        for s in sources().values()
    ]
    assert marked("sources")[2:] == rows
