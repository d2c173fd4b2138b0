"""Plan templates, and the target that a template finds in a case."""

from __future__ import annotations

import re

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from qa_suite.core.errors import InputError, Problems, UnknownName
from qa_suite.core.volume import Grid
from qa_suite.dose.engines import ENGINES, engine_of, load_engines, require_modality
from qa_suite.dose.hlut.tables import load_hlut, shipped_hluts
from qa_suite.dose.plan.targets import find_target
from qa_suite.dose.plan.template import BeamTemplate, PlanTemplate, load_template, shipped_templates

# TG-263 (Mayo et al. 2018) and the one name of the virtual patients and limbs that is not in it
TG263 = {
    "Bladder",
    "Rectum",
    "Femur_Head_L",
    "Femur_Head_R",
    "Prostate",
    "GTV",
    "CTV",
    "PTV",
    "PTV_High",
    "Brainstem",
    "OpticChiasm",
    "OpticNrv_L",
    "OpticNrv_R",
    "SpinalCord",
    "Parotid_L",
    "Parotid_R",
    "Lungs",
    "Heart",
    "Esophagus",
    "Bone",
}
GIVEN_PTV = re.compile(r"PTV_?\d+")  # PTV70 and PTV_7000: dose in Gy and in cGy
MADE = {
    "name": "mine",
    "modality": "photons",
    "anatomy": "box",
    "engine": "photons-pydosert",
    "machine": "varian_10MV",
    "technique": "conformal",
    "beams": [{"gantry_deg": 0}],
    "prescription": {"dose_gy": 60, "fractions": 30},
    "targets": [{"structures": ["PTV"]}],
    "source": "A test.",
}


@pytest.mark.parametrize("name", shipped_templates())
def test_shipped_templates_are_sound(name):
    plan = load_template(name)
    assert plan.name == name and plan.name.startswith(plan.modality[:-1])
    labels = [beam.label for beam in plan.beams]
    assert len(set(labels)) == len(labels)
    assert not any(beam.couch_deg for beam in plan.beams)
    per_fraction = plan.prescribed.dose_gy / plan.prescribed.fractions
    assert 1.7 <= per_fraction <= 2.3  # all are conventional courses
    names = {goal.structure for goal in plan.goals}
    names |= {structure for rule in plan.targets for structure in rule.structures}
    assert {n for n in names if not GIVEN_PTV.fullmatch(n)} <= TG263
    assert plan.targets[0].structures[0] == "PTV" and plan.targets[0].margin_mm == 0
    assert all(rule.margin_mm > 0 for rule in plan.targets[1:])
    assert len(plan.source) > 20 and all(len(goal.source) > 20 for goal in plan.goals)


@pytest.mark.parametrize("name", shipped_templates())
def test_the_engine_of_a_shipped_template_knows_its_machine_and_has_a_table(name):
    plan = load_template(name)
    require_modality(plan)
    assert engine_of(plan) is not None
    takes = ENGINES[plan.engine].facts.hlut
    assert any(load_hlut(table).quantity in takes for table in shipped_hluts())


def test_the_issue_asks_for_these():
    plans = [load_template(name) for name in shipped_templates()]
    anatomies = {m: {p.anatomy for p in plans if p.modality == m} for m in ("photons", "protons")}
    assert anatomies["photons"] == {"brain", "head and neck", "pelvis", "thorax", "extremity"}
    assert anatomies["protons"] == anatomies["photons"] - {"thorax"}
    assert {len(plan.beams) for plan in plans if plan.modality == "photons"} == {5}


def test_limits_are_in_the_range_that_people_use():
    """A typing error in a limit, such as Gy for cGy, would be far off."""
    for name in shipped_templates():
        plan = load_template(name)
        for goal in plan.goals:
            dose = goal.upper_dose_gy(plan.prescribed.dose_gy)
            assert dose is not None and 15 <= dose <= 80, goal.text


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(MADE))
    plan = load_template(path)
    assert plan == PlanTemplate.model_validate(MADE)
    assert (plan.grid_mm, plan.prescribed.coverage_pct) == (3.0, 95.0)
    assert PlanTemplate.model_validate(plan.model_dump(mode="json")) == plan


def test_all_problems_are_told_at_once(tmp_path):
    path = tmp_path / "mine.yaml"
    bad = {
        **MADE,
        "modality": "neutrons",
        "beams": [{"gantry_deg": 400}],
        "colour": "red",
        "prescription": {"dose_gy": -60, "fractions": 0},
        "grid_mm": 12,
        "goals": [{"structure": "Rectum", "goal": "V60 less than half", "source": "x"}],
    }
    path.write_text(yaml.safe_dump(bad))
    with pytest.raises(Problems) as error:
        load_template(path)
    text = str(error.value)
    for part in (
        "modality",
        "beams.0.gantry_deg",
        "colour: unknown key",
        "prescription.dose_gy",
        "prescription.fractions",
        "grid_mm",
        "goals.0",
    ):
        assert part in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"technique": "spots"}, "photons have no technique 'spots'"),
        ({"modality": "protons"}, "protons have no technique 'conformal'"),
        ({"beams": [{"gantry_deg": 0}, {"gantry_deg": 0.2}]}, "two beams have one name: G000, G00"),
        ({"beams": []}, "a plan needs at least one beam"),
        ({"technique": "imported"}, "an imported plan brings its own beams"),
        ({"prescription": None}, "a plan needs a prescription"),
        ({"targets": []}, "at least 1 item"),
        ({"targets": [{"structures": []}]}, "at least 1 item"),
        ({"prescription": {"dose_gy": float("inf"), "fractions": 30}}, "finite number"),
        ({"prescription": {"dose_gy": 60, "fractions": 30, "coverage_pct": 101}}, "100"),
        ({"aperture_margin_mm": -1}, "greater than or equal to 0"),
        ({"source": ""}, "at least 1 character"),
    ],
)
def test_a_template_that_makes_no_sense(changed, sentence):
    with pytest.raises(ValidationError, match=re.escape(sentence)):
        PlanTemplate.model_validate({**MADE, **changed})


def test_beams_are_called_as_people_call_them():
    beams = [
        BeamTemplate(gantry_deg=0),
        BeamTemplate(gantry_deg=90),
        BeamTemplate(gantry_deg=5, name="ant"),
    ]
    assert [beam.label for beam in beams] == ["G000", "G090", "ant"]


def test_unknown_names_suggest(tmp_path):
    with pytest.raises(UnknownName, match="did you mean photon-pelvis"):
        load_template("photon-pelvs")
    with pytest.raises(InputError, match=r"There is no plan template at .*none\.yaml"):
        load_template(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(InputError, match="not a readable YAML file"):
        load_template(tmp_path / "broken.yaml")


# --- engines -----------------------------------------------------------------------------------


def test_engines_have_their_facts():
    load_engines()
    assert {entry.name for entry in ENGINES} == {"photons-pydosert", "protons-range"}
    for entry in ENGINES:
        assert "lung" in entry.facts.believed_for  # said plainly
        assert all(entry.facts.model_dump().values())


def test_an_unknown_engine_suggests():
    plan = PlanTemplate.model_validate({**MADE, "engine": "photons-pydose"})
    with pytest.raises(UnknownName, match="did you mean photons-pydosert"):
        engine_of(plan)


def test_an_engine_of_the_other_modality_is_refused():
    plan = PlanTemplate.model_validate({**MADE, "engine": "protons-range"})
    with pytest.raises(InputError, match="protons-range computes protons; the plan mine is one of"):
        engine_of(plan)


# --- targets -----------------------------------------------------------------------------------

GRID = Grid(shape=(60, 50, 40), spacing_mm=(2.0, 2.0, 3.0), origin_mm=(-59.0, -49.0, -58.5))
WORLD = GRID.to_world(np.stack(np.indices(GRID.shape), axis=-1))
BODY = np.hypot(WORLD[..., 0] / 56, WORLD[..., 1] / 46) <= 1


def ball(radius: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> np.ndarray:
    return np.linalg.norm(WORLD - np.array(centre), axis=-1) <= radius


def rules(*targets: dict[str, object]) -> PlanTemplate:
    return PlanTemplate.model_validate({**MADE, "targets": list(targets)})


PTV_FIRST = rules({"structures": ["PTV", "PTV_High"]}, {"structures": ["GTV"], "margin_mm": 10})


def test_a_delineated_ptv_comes_first_and_is_taken_as_it_is():
    case = {"GTV": ball(8), "PTV_High": ball(12), "PTV": ball(15)}
    name, target = find_target(PTV_FIRST, case, BODY, GRID)
    assert name == "PTV" and (target == ball(15)).all()
    del case["PTV"]
    assert find_target(PTV_FIRST, case, BODY, GRID)[0] == "PTV_High"


@pytest.mark.parametrize("margin", [5.0, 7.5, 15.0])
def test_a_margin_grows_a_sphere_by_millimetres_whatever_the_voxel(margin):
    name, target = find_target(
        rules({"structures": ["GTV"], "margin_mm": margin}), {"GTV": ball(15)}, BODY, GRID
    )
    assert name == f"GTV + {margin:g} mm"
    radius = (3 * target.sum() * GRID.voxel_volume_cc * 1000 / (4 * np.pi)) ** (1 / 3)
    assert radius == pytest.approx(15 + margin, abs=0.35)
    for axis in range(3):  # as far to every side; the poles of a sphere are small
        low, high = WORLD[target][:, axis].min(), WORLD[target][:, axis].max()
        assert -low == high == pytest.approx(15 + margin, abs=1.6 * GRID.spacing_mm[axis])


def test_a_margin_does_not_leave_the_body_or_the_image():
    case = {"GTV": ball(10, (40.0, 0.0, 50.0))}
    _, target = find_target(rules({"structures": ["GTV"], "margin_mm": 20}), case, BODY, GRID)
    assert target.any() and not (target & ~BODY).any()
    assert target[..., -1].any()  # the last slice


def test_all_of_them_together():
    case = {"PTV": ball(8, (-20.0, 0.0, 0.0)), "PTV_High": ball(8, (20.0, 0.0, 0.0))}
    made = rules({"structures": ["PTV", "PTV_High", "PTV70"], "unions": True})
    name, target = find_target(made, case, BODY, GRID)
    assert name == "PTV + PTV_High"
    assert (target == case["PTV"] | case["PTV_High"]).all()


def test_an_empty_structure_is_passed_over():
    nothing = np.zeros(GRID.shape, bool)
    name, _ = find_target(PTV_FIRST, {"PTV": nothing, "GTV": ball(8)}, BODY, GRID)
    assert name == "GTV + 10 mm"


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        (
            {},
            "The plan mine finds no target: it looks for PTV, PTV_High, GTV and it has no "
            "structure.",
        ),
        (
            {"Rectum": ball(8), "Bladder": ball(8)},
            "it looks for PTV, PTV_High, GTV and it has Bladder, Rectum.",
        ),
        ({"PTV": np.zeros(GRID.shape, bool)}, "and it has PTV (PTV is empty)."),
    ],
)
def test_no_target_is_one_sentence(case, sentence):
    with pytest.raises(InputError) as error:
        find_target(PTV_FIRST, case, BODY, GRID)
    assert sentence in str(error.value)


def test_a_target_outside_the_body_is_one_sentence():
    outside = ~BODY & ball(300)
    with pytest.raises(InputError, match=r"^The target PTV lies outside the patient's body\.$"):
        find_target(PTV_FIRST, {"PTV": outside}, BODY, GRID)
