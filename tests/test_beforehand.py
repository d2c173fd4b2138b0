"""What a run cannot measure of a profile is said before it begins: all of it, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from qa_suite.cli import run
from qa_suite.core.cohort import Case, load_cohort, save_cohort
from qa_suite.core.records import Profile
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.dose.plan.template import load_template, shipped_templates
from qa_suite.evaluation.beforehand import announcement, lacking
from qa_suite.evaluation.case_run import EvaluationSettings
from qa_suite.evaluation.unmeasured import Asked, Run, why_unmeasured
from qa_suite.judging.built_in_rules import TOO_GOOD_METRICS
from qa_suite.judging.criteria import list_profiles
from qa_suite.metrics.base import Instruments
from qa_suite.metrics.dose.settings import DoseSettings, PlanChoice
from qa_suite.metrics.run import FAMILIES, METRICS
from qa_suite.metrics.settings import MeasureSettings

GOLDEN = Path(__file__).parent / "data" / "golden" / "measurements.parquet"
SHIPPED = list_profiles()
HLUTS = {"photons": "thomas-1999", "protons": "stoichiometric-schneider"}
QUANTITY = {"MR->PT": "SUVbw"}
every_profile = pytest.mark.parametrize("profile", SHIPPED, ids=lambda one: one.name)


def plans(*names: str) -> DoseSettings:
    templates = [load_template(name) for name in names]
    return DoseSettings(
        plans=tuple(
            PlanChoice(template=one, hlut=load_hlut(HLUTS[one.modality])) for one in templates
        )
    )


def a_run(
    *, structures: set[str], dose: DoseSettings | None = None, patients: int = 100, **more: Any
) -> Run:
    measures = more.pop("measures", {})
    quantity, finished = more.pop("quantity", "HU"), more.pop("finished", False)
    files = {name: f"{name}.nii.gz" for name in structures}
    cases = [
        Case(case=f"{n}", patient=f"{n}", site="A", split="test", source="s", structures=files)
        for n in range(patients)
    ]
    settings = EvaluationSettings(
        measures=MeasureSettings(dose=dose or DoseSettings(), **measures), **more
    )
    return Run(
        settings=settings,
        instruments=Instruments(without={"norms": "No training case."}),
        cases=cases,
        quantity=quantity,
        finished=finished,
    )


def measured() -> list[Asked]:
    """Return every measure that the golden record holds a value of."""
    rows = pd.read_parquet(GOLDEN)
    rows = rows[rows["status"].isin(["ok", "censored"])]
    keys = rows[["metric", "region", "variant"]].drop_duplicates()
    found = [
        Asked(metric=m, region=r, variant=v, facts=METRICS[m].facts)
        for m, r, v in keys.itertuples(index=False)
        if METRICS[m].facts.family in FAMILIES
    ]
    assert len(found) > 1000
    return found


def delineated() -> set[str]:
    named = {one.region for one in measured() if one.region.startswith("structure:")}
    return {region.removeprefix("structure:") for region in named}


def told(this: Run) -> dict[str, list[Asked]]:
    found: dict[str, list[Asked]] = {}
    for one in measured():
        if (why := why_unmeasured(one, this)) is not None:
            found.setdefault(why, []).append(one)
    return found


# A rule too many or too few is seen in what was measured


def test_nothing_is_foretold_of_what_was_measured() -> None:
    this = a_run(structures=delineated(), dose=plans("photon-pelvis", "proton-pelvis"))
    assert told(this) == {}


def test_without_plans_all_of_dose_is_foretold_and_nothing_else() -> None:
    found = told(a_run(structures=delineated()))
    assert set(found) == {
        f"no plan {name} is computed (--plan {name} --hlut TABLE)"
        for name in ("photon-pelvis", "proton-pelvis")
    }
    assert sum(map(len, found.values())) == sum(o.facts.family == "dose" for o in measured())


def test_with_one_plan_that_of_the_other_is_foretold() -> None:
    found = told(a_run(structures=delineated(), dose=plans("photon-pelvis")))
    (lost,) = found.values()
    assert {one.plan for one in lost} == {"proton-pelvis"}


def test_without_structures_all_that_asks_for_one_is_foretold() -> None:
    found = told(a_run(structures=set(), dose=plans("photon-pelvis", "proton-pelvis")))
    lost = {(one.metric, one.region) for some in found.values() for one in some}
    wanted = {
        (one.metric, one.region)
        for one in measured()
        if one.region.startswith("structure") or one.facts.family == "dose"
    }
    assert lost == wanted
    assert any(why.startswith("no case has a target for the plan photon-pelvis") for why in found)


@pytest.mark.parametrize("left", [entry.name for entry in FAMILIES])
def test_a_family_that_is_not_asked_for_is_foretold_whole(left: str) -> None:
    chosen = tuple(entry.name for entry in FAMILIES if entry.name != left)
    dose = plans("photon-pelvis", "proton-pelvis")
    found = told(a_run(structures=delineated(), dose=dose, families=chosen))
    lost = {one.metric for some in found.values() for one in some}
    mine = {one.metric for one in measured() if one.facts.family == left}
    assert lost == mine - set(TOO_GOOD_METRICS)
    assert all("--families" in why and left in why for why in found)


SWITCHED: list[tuple[dict[str, Any], str]] = [
    ({"geometry": {"positioning": {"cbct": False}}}, "positioning_"),
    ({"geometry": {"structure_shift": False}}, "structure_shift"),
    ({"geometry": {"local_shift": False}}, "local_shift"),
    ({"image": {"structures": False}}, "mae"),
    ({"image": {"shells_mm": [4.0]}}, "mae"),
    ({"image": {"bands": {}}}, "mae"),
    ({"image": {"only": ["mae"]}}, "me"),
    ({"image": {"synthrad_modes": []}}, "psnr"),
    ({"segmentation": {"surface_tolerances_mm": [3.0]}}, "surface_dice"),
]


@pytest.mark.parametrize(("measures", "metric"), SWITCHED)
def test_what_the_settings_switch_off_is_foretold(measures: dict[str, Any], metric: str) -> None:
    dose = plans("photon-pelvis", "proton-pelvis")
    found = told(a_run(structures=delineated(), dose=dose, measures=measures))
    lost = [one.metric for some in found.values() for one in some]
    assert any(name.startswith(metric) for name in lost)
    assert {METRICS[name].facts.family for name in lost} == set(measures)


@pytest.mark.parametrize("switch", ["causes", "bulk", "scenarios"])
def test_what_the_settings_of_dose_switch_off_is_foretold(switch: str) -> None:
    dose = plans("photon-pelvis", "proton-pelvis").model_copy(update={switch: False})
    found = told(a_run(structures=delineated(), dose=dose))
    assert set(found) == {f"the settings of dose switch {switch} off"}


# Every shipped profile


def asks_of_plans(profile: Profile) -> list[str]:
    dose = [c for c in profile.criteria if METRICS[c.metric].facts.family == "dose"]
    return sorted({one.variant.partition(":")[0] for one in dose})


def all_structures() -> set[str]:
    found = {"GTV"}
    for name in shipped_templates():
        template = load_template(name)
        found |= {one for rule in template.targets for one in rule.structures}
        found |= {goal.structure for goal in template.goals}
    return found


def run_for(profile: Profile, **more: Any) -> Run:
    return a_run(**({"quantity": QUANTITY.get(profile.direction, "HU")} | more))


@every_profile
def test_a_profile_without_its_plan_is_told_every_measure_of_dose(profile: Profile) -> None:
    found = lacking(profile, run_for(profile, structures=all_structures()))
    wanted = {c.name for c in profile.criteria if METRICS[c.metric].facts.family == "dose"}
    assert {name for lack in found for name in lack.criteria} == wanted
    assert bool(wanted) or not profile.clinical
    for name in asks_of_plans(profile):
        assert any(f"--plan {name} --hlut TABLE" in lack.sentence for lack in found)


@every_profile
def test_a_profile_with_all_it_needs_is_told_nothing(profile: Profile) -> None:
    dose = plans(*asks_of_plans(profile))
    assert announcement(profile, run_for(profile, structures=all_structures(), dose=dose)) == ()


@every_profile
def test_a_profile_without_structures_is_told_every_one(profile: Profile) -> None:
    dose = plans(*asks_of_plans(profile))
    found = lacking(profile, run_for(profile, structures=set(), dose=dose))
    wanted = {
        c.name
        for c in profile.criteria
        if c.region.startswith(("structure", "lesions")) or METRICS[c.metric].facts.family == "dose"
    }
    assert {name for lack in found for name in lack.criteria} == wanted


@every_profile
def test_a_profile_without_a_single_family_loses_it(profile: Profile) -> None:
    for family in {METRICS[c.metric].facts.family for c in profile.criteria}:
        chosen = tuple(entry.name for entry in FAMILIES if entry.name != family)
        dose = plans(*asks_of_plans(profile))
        this = run_for(profile, structures=all_structures(), dose=dose, families=chosen)
        lost = {name for lack in lacking(profile, this) for name in lack.criteria}
        assert lost == {
            c.name for c in profile.criteria if METRICS[c.metric].facts.family == family
        }


def with_criterion(**more: Any) -> Profile:
    shipped = next(one for one in SHIPPED if one.name == "mr-to-ct-pelvis")
    one = shipped.criteria[0].model_copy(update={"name": "it", **more})
    return shipped.model_copy(update={"criteria": (one,)})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"metric": "dice", "region": "seg:Liver", "variant": "liver"}, "no segmenter liver takes"),
        ({"metric": "dice", "region": "seg:Liver"}, "no segmenter that takes part finds Liver"),
        ({"metric": "ood_distance"}, "it needs norms of a training cohort, and no training case"),
        ({"metric": "cycle_error"}, "(--inverse MODEL)"),
        ({"metric": "interval_coverage"}, "neither std nor interval"),
        ({"metric": "sample_disagreement"}, "neither std nor interval"),
        ({"metric": "goals_lost", "region": "all", "variant": "clinic"}, "--clinic FOLDER"),
        (
            {"metric": "gamma_pass_rate", "variant": "photon-pelvis:5pct5mm"},
            "the plan photon-pelvis has no gamma criterion, goal or further HLUT 5pct5mm",
        ),
        (
            {"metric": "wepl_difference_mean", "region": "beam:G090", "variant": "photon-pelvis"},
            "the plan photon-pelvis is one of photons, without a range",
        ),
        (
            {"metric": "path_cut", "region": "beam:G007", "variant": "photon-pelvis"},
            "the plan photon-pelvis has no beam:G007",
        ),
        ({"metric": "suv_mean_bias", "region": "lesions"}, "left out"),
        ({"metric": "mae", "region": "scar"}, "have no tissue band scar"),
    ],
)
def test_everything_else_a_profile_may_ask(more: dict[str, Any], said: str) -> None:
    if more["metric"] not in METRICS:
        more = more | {"metric": "suv_mean_difference_pct"}
    this = a_run(structures={"Prostate"}, dose=plans("photon-pelvis"), finished=True)
    (lack,) = lacking(with_criterion(**more), this)
    assert said in lack.why and lack.criteria == ("it",)


def test_too_few_patients_are_counted_by_hospital_and_in_all() -> None:
    profile = next(one for one in SHIPPED if one.name == "mr-to-ct-pelvis-photon")
    dose = plans("photon-pelvis")
    said = announcement(profile, a_run(structures=all_structures(), dose=dose, patients=40))
    assert said[0].endswith("and its verdict will not pass:")
    assert said[1:] == (
        "  the set 'test' has 40 patients in all, and more are asked for: 72 by 3 criteria.",
    )
    once = a_run(structures=all_structures(), dose=dose, dose_cases="one_per_site")
    assert any(
        "has 1 patient whose dose is computed of A" in one for one in announcement(profile, once)
    )


# On the command line


def test_evaluate_and_lock_say_it_before_a_model_is_looked_for(
    own_store: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = load_cohort(folder)
    save_cohort(cohort.model_copy(update={"anatomy": "pelvis"}), folder)
    words = [str(folder), "models:/nobody/1", "--profile", "mr-to-ct-pelvis-photon", "--no-track"]
    for verb in ("evaluate", "lock"):
        assert run([verb, *words]) == 2
        said = " ".join(capsys.readouterr().err.split())
        before, _, after = said.partition("nobody/1")
        assert "asks for what this run cannot measure or decide, and its verdict will not" in before
        assert "no plan photon-pelvis is computed (--plan photon-pelvis --hlut TABLE)" in before
        assert "'target D98, mean of a site'" in before and "'gamma 2 %/2 mm'" in before
        assert "nobody delineated any structure" in before and after
