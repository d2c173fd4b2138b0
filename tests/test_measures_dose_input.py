"""The family of dose: names and structures, settings, and input that gives no number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from qa_suite.dose.gamma import GammaCriterion
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.metrics.dose.family import dose as measure_dose
from qa_suite.metrics.dose.settings import DoseSettings, PlanChoice
from qa_suite.metrics.run import variants_of
from qa_suite.metrics.settings import MeasureSettings
from tests.measured_dose_cases import (
    BODY,
    CT,
    PHOTONS,
    PLAIN,
    PROTONS,
    STRUCTURES,
    TWO_PHOTON,
    X,
    Y,
    Z,
    beams,
    choice,
    measured,
    pair_of,
    settings_of,
    value,
)

# --- several plans, names, structures ----------------------------------------------------------


def test_a_structure_may_be_called_target():
    core = np.linalg.norm(np.stack([X, Y, Z], -1) - np.array([0.0, 0.0, 0.0]), axis=-1) <= 15
    plan = beams(PHOTONS, 0, 90, targets=[{"structures": ["target"], "margin_mm": 15}])
    done = measured(pair_of(CT.array, structures={"target": core & BODY}), settings_of(plan))
    small, large = (value(done, "d98_reference", r) for r in ("structure:target", "target"))
    assert small > large
    kept = done.volumes["target@photon-pelvis"]
    assert kept.array.sum() * kept.grid.voxel_volume_cc > 4 * core.sum() * CT.grid.voxel_volume_cc


def test_a_structure_outside_the_dose_grid_or_smaller_than_a_voxel_keeps_its_rows():
    far, dot = np.zeros_like(BODY), np.zeros_like(BODY)
    far[:3, :3, :2] = True
    dot[37, 27, 13] = True
    structures = STRUCTURES | {"Far": far, "Dot": dot, "None": np.zeros_like(BODY)}
    done = measured(pair_of(CT.array + 30, structures=structures), settings_of(TWO_PHOTON))
    regions = {}
    for name in ("Prostate", "Far", "Dot", "None"):
        rows = [r for r in done.rows if r.region == f"structure:{name}"]
        regions[name] = {(r.metric, r.variant) for r in rows}
        for row in rows:
            assert row.value is not None or row.why
    assert regions["Far"] == regions["Dot"] == regions["None"] == regions["Prostate"]
    told = {r.metric: r for r in done.rows if r.region == "structure:Far"}
    assert told["d95_difference"].status == told["gamma_pass_rate"].status == "undefined"


def test_a_plan_that_cannot_be_computed_says_so_and_gives_no_number():
    good = beams(PROTONS, 90)
    bad = beams(PHOTONS, 0, 90, targets=[{"structures": ["PTV_7800"]}])
    done = measured(pair_of(CT.array + 30 * BODY), settings_of(bad, good))
    rows = [r for r in done.rows if r.variant.startswith("photon-pelvis")]
    assert rows and {r.status for r in rows} == {"error"}
    assert all(r.value is None and "finds no target: it looks for PTV_7800" in r.why for r in rows)
    named = {(r.metric, r.region) for r in rows}
    for metric in ("d95_difference_pct", "dmean_difference_pct", "gamma_pass_rate"):
        assert (metric, "target") in named
    assert ("goals_lost", "all") in named and ("gamma_pass_rate", "body") in named
    assert value(done, "dmean_difference_pct", "target", "proton-pelvis") != 0
    assert not any(role.endswith("@photon-pelvis") for role in done.volumes)
    assert not any(point.variant == "photon-pelvis" for point in done.curves)
    range_metrics = measured(
        pair_of(CT.array, structures={}), settings_of(PROTONS)
    ).rows  # no structure at all
    assert ("wepl_difference_mean", "beam:G270") in {(r.metric, r.region) for r in range_metrics}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"synthetic": CT.with_array(np.where(BODY, np.nan, CT.array).astype(np.float32))},
            "voxels that are no number",
        ),
        (
            {"synthetic": CT.with_array(np.full(CT.grid.shape, -1000, np.float32))},
            "The synthetic image shows no body above -400 HU",
        ),
        ({"structures": {"Prostate": np.zeros_like(BODY)}}, "(Prostate is empty)"),
        ({"structures": {"Prostate": (X > 205) & (Y < -150)}}, "outside the patient's body"),
    ],
)
def test_bad_input_is_one_sentence_and_never_a_number(change, sentence):
    done = measured(pair_of(CT.array, **change), settings_of(TWO_PHOTON))
    assert {r.status for r in done.rows} == {"error"} and len(done.rows) > 10
    assert all(sentence in r.why and "\n" not in r.why for r in done.rows)


def test_an_image_that_is_not_in_hu_has_no_dose():
    pair = pair_of(CT.array, reference=replace(CT, quantity="SUVbw"))
    assert measured(pair, settings_of(TWO_PHOTON)).rows == []
    rows = measure_dose(pair, settings_of(TWO_PHOTON))  # asked for all the same
    assert {r.status for r in rows} == {"error"} and len(rows) > 10
    assert all("Dose needs HU; the reference holds SUVbw" in r.why for r in rows)


def test_a_table_that_does_not_fit_is_an_error_too():
    wrong = PlanChoice(template=TWO_PHOTON, hlut=load_hlut("matrad-default-rsp"))
    done = measured(pair_of(CT.array), DoseSettings(plans=(wrong,), **PLAIN))
    assert {r.status for r in done.rows} == {"error"}
    assert "the HLUT matrad-default-rsp gives relative_stopping_power" in done.rows[0].why


# --- settings ----------------------------------------------------------------------------------


def test_settings_that_would_collide_are_refused():
    one = choice(TWO_PHOTON)
    with pytest.raises(ValidationError, match="the plan photon-pelvis is given twice"):
        DoseSettings(plans=(one, one))
    with pytest.raises(ValidationError, match="the HLUT thomas-1999 is given twice"):
        choice(TWO_PHOTON, "thomas-1999")
    for name in ("default", "clinic"):
        with pytest.raises(ValidationError, match=f"a plan cannot be called {name}"):
            DoseSettings(plans=(choice(beams(PHOTONS, 0, name=name)),), clinic=TWO_PHOTON)
    with pytest.raises(ValidationError):
        DoseSettings(grid_mm=12.0)


def test_settings_are_recorded_whole():
    dose = settings_of(TWO_PHOTON, gamma=(GammaCriterion(dose_pct=2, distance_mm=2, local=True),))
    again = MeasureSettings.model_validate(MeasureSettings(dose=dose).model_dump(mode="json"))
    assert again.dose == dose
    assert again.dose.plans[0].hlut.points == load_hlut("thomas-1999").points
    assert "photon-pelvis:2pct2mm_local" in variants_of(again)
