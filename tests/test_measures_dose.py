"""The family of dose: what it says of images whose difference is known."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from pydantic import ValidationError

from qa_suite.dose.gamma import GammaCriterion, GammaSettings
from qa_suite.dose.hlut import load_hlut
from qa_suite.dose.template import PlanTemplate, load_template
from qa_suite.measures.base import METRICS, Pair
from qa_suite.measures.dose.computed import compute_plan
from qa_suite.measures.dose.rows import goal_rows
from qa_suite.measures.dose_settings import DoseSettings, PlanChoice
from qa_suite.measures.run import Measured, measure_pair, variants_of
from qa_suite.measures.settings import MeasureSettings
from qa_suite.phantom import make_patient
from qa_suite.volume import Grid, Prediction, Volume

PATIENT = make_patient("A", 1, seed=1, spacing_mm=(6, 6, 8))
CT = PATIENT.ct_noise_free
BODY = PATIENT.body
BONE = PATIENT.structures["Bone"]
X, Y, Z = np.moveaxis(CT.grid.to_world(np.stack(np.indices(CT.grid.shape), -1)), -1, 0)
ORGANS = ("Bladder", "Prostate", "Rectum", "Femur_Head_L")
STRUCTURES = {name: PATIENT.structures[name] for name in ORGANS}
PHOTONS = load_template("photon-pelvis")
PROTONS = load_template("proton-pelvis")
PLAIN = {"causes": False, "bulk": False, "scenarios": False, "grid_mm": 10.0}
TISSUE = ("outline", "air", "soft", "bone")


def beams(template: PlanTemplate, *gantry: float, **more: object) -> PlanTemplate:
    """The template with other beams; few, to be fast."""
    data = template.model_dump(mode="json", exclude={"goals"})
    data["goals"] = more.pop("goals", [])
    return PlanTemplate.model_validate(data | {"beams": [{"gantry_deg": g} for g in gantry]} | more)


TWO_PHOTON = beams(PHOTONS, 0, 90)
ONE_PROTON = beams(PROTONS, 90)


def choice(template: PlanTemplate, *others: str) -> PlanChoice:
    photons = template.modality == "photons"
    return PlanChoice(
        template=template, hlut=load_hlut("thomas-1999" if photons else "matrad-protons"),
        other_hluts=tuple(load_hlut(name) for name in others),
    )  # fmt: skip


def settings_of(*templates: PlanTemplate, **more: object) -> DoseSettings:
    return DoseSettings(plans=tuple(choice(t) for t in templates), **(PLAIN | more))


def pair_of(image: np.ndarray, **more: object) -> Pair:
    made = CT.with_array(image.astype(np.float32))
    given = {"reference": CT, "synthetic": made, "mask": BODY, "structures": STRUCTURES} | more
    return Pair(**given)  # type: ignore[arg-type]


def measured(pair: Pair, dose: DoseSettings) -> Measured:
    return measure_pair(
        pair, families=["dose"], settings=MeasureSettings(dose=dose), case="c", patient="p",
        site="A",
    )  # fmt: skip


def value(done: Measured, metric: str, region: str, variant: str = "photon-pelvis") -> float:
    (row,) = [r for r in done.rows if (r.metric, r.region, r.variant) == (metric, region, variant)]
    assert row.status == "ok" and row.value is not None, row
    return row.value


def causes(done: Measured, variant: str = "photon-pelvis") -> dict[str, float]:
    return {c: value(done, "cause_dmean", f"cause:{c}", variant) for c in TISSUE}


@lru_cache(maxsize=1)
def biased() -> Measured:
    """+30 HU in the body, photons and protons, everything that the family can say."""
    plans = (
        choice(beams(PHOTONS, 0, 90, goals=PHOTONS.model_dump(mode="json")["goals"]),
               "schneider-2000"),
        choice(ONE_PROTON, "pyradplan-protons"),
    )  # fmt: skip
    up = CT.array + 30 * BODY
    samples = tuple(CT.with_array((CT.array + s * BODY).astype(np.float32)) for s in (-20, 20))
    prediction = Prediction(mean=CT.with_array(up.astype(np.float32)), samples=samples)
    return measured(
        pair_of(up, prediction=prediction, source=PATIENT.mr),
        DoseSettings(plans=plans, grid_mm=10.0),
    )


# --- what there is -----------------------------------------------------------------------------


def test_every_metric_is_produced_and_no_key_collides():
    done = biased()
    registered = {entry.name for entry in METRICS if entry.facts.family == "dose"}
    assert {row.metric for row in done.rows} == registered
    keys = Counter((row.metric, row.region, row.variant) for row in done.rows)
    assert keys.most_common(1)[0][1] == 1
    assert {row.variant.split(":")[0] for row in done.rows} == {"photon-pelvis", "proton-pelvis"}
    assert all(row.why for row in done.rows if row.status != "ok")
    assert not any(row.status == "error" for row in done.rows)
    for row in done.rows:
        assert row.unit == METRICS[row.metric].facts.unit


def test_every_variant_is_described():
    done = biased()
    dose = DoseSettings(
        plans=(
            choice(beams(PHOTONS, 0, 90, goals=PHOTONS.model_dump(mode="json")["goals"]),
                   "schneider-2000"),
            choice(ONE_PROTON, "pyradplan-protons"),
        ), grid_mm=10.0,
    )  # fmt: skip
    described = variants_of(MeasureSettings(dose=dose))
    used = {row.variant for row in done.rows} | {point.variant for point in done.curves}
    assert used <= set(described)
    unused = {key for key in described if key.split(":")[0] in ("photon-pelvis", "proton-pelvis")}
    assert unused == used
    facts = described["photon-pelvis:2pct2mm"]
    assert facts["hlut_sha256"] == load_hlut("thomas-1999").digest
    assert facts["normalisation"] == "prescription"


def test_doses_and_maps_are_kept():
    roles = {f"{role}@{plan}" for plan in ("photon-pelvis", "proton-pelvis")
             for role in ("dose_reference", "dose_synthetic", "gamma", "target")}  # fmt: skip
    assert set(biased().volumes) == roles | {"range_error:G090@proton-pelvis"}
    for plan in ("photon-pelvis", "proton-pelvis"):
        kept = {r.split("@")[0]: v for r, v in biased().volumes.items() if r.endswith(plan)}
        assert {kept[r].quantity for r in ("dose_reference", "dose_synthetic")} == {"Gy"}
        assert kept["target"].quantity == "label" and kept["target"].array.any()
        assert len({kept[r].grid for r in ("dose_reference", "dose_synthetic", "gamma", "target")
                    }) == 1  # fmt: skip


def test_curves_are_dvhs_of_both_images():
    curves = {(p.curve, p.region) for p in biased().curves if p.variant == "photon-pelvis"}
    regions = {"target"} | {f"structure:{name}" for name in ORGANS}
    assert curves == {(f"dvh_{s}", r) for s in ("reference", "synthetic") for r in regions}
    y = [p.y for p in biased().curves if (p.curve, p.region, p.variant)
         == ("dvh_reference", "target", "proton-pelvis")]  # fmt: skip
    assert y[0] == pytest.approx(100) and all(np.diff(y) <= 1e-9)


def test_no_plan_no_rows():
    done = measured(pair_of(CT.array), DoseSettings())
    assert (done.rows, done.curves, done.volumes) == ([], [], {})


# --- identical images --------------------------------------------------------------------------


def test_identical_images_have_no_difference():
    goals = [{"structure": "Rectum", "goal": "V40Gy <= 50 %", "source": "A test."}]
    plan = beams(PHOTONS, 0, 90, goals=goals)
    done = measured(pair_of(CT.array), settings_of(plan, ONE_PROTON, causes=True, scenarios=True))
    for row in done.rows:
        if row.value is None:
            assert (
                row.metric in ("band_d95", "band_misses_d95")
                or "cut-off" in row.why
                or ("gets" in row.why)
            ), row
        elif row.metric == "gamma_pass_rate":
            assert row.value == 100
        elif row.metric.startswith(("wepl", "range", "cause", "goals", "synthrad", "scenario")) or (
            "difference" in row.metric or row.metric == "gamma_mean"
        ):
            assert row.value == pytest.approx(0, abs=1e-9), row
    for plan_name in ("photon-pelvis", "proton-pelvis"):
        one, two = (done.volumes[f"dose_{s}@{plan_name}"] for s in ("reference", "synthetic"))
        np.testing.assert_array_equal(one.array, two.array)


# --- known errors ------------------------------------------------------------------------------


def test_higher_hu_lower_the_photon_dose_and_lengthen_the_proton_path():
    done = biased()
    change = value(done, "dmean_difference_pct", "target")
    assert -3 < change < -0.5
    assert value(done, "d95_difference", "target") < 0
    gy = value(done, "dmean_synthetic", "target") - value(done, "dmean_reference", "target")
    assert value(done, "dmean_difference", "target") == pytest.approx(gy)
    assert change == pytest.approx(100 * gy / 78)
    wepl = value(done, "wepl_difference_mean", "beam:G090", "proton-pelvis")
    assert 3 < wepl < 8  # 30 HU are 3 % of some 20 cm
    assert value(done, "range_error_pct", "beam:G090", "proton-pelvis") == pytest.approx(2.5, abs=1)
    assert value(done, "gamma_pass_rate", "target", "proton-pelvis:1pct1mm") < 90


def test_a_bias_is_put_down_to_soft_tissue():
    found = causes(biased())
    total = value(biased(), "dmean_difference_pct", "target")
    assert max(found, key=lambda c: abs(found[c])) == "soft"
    assert found["soft"] < 0 and abs(found["soft"]) > 0.7 * abs(total)
    assert sum(found.values()) == pytest.approx(total, abs=0.05)


def test_missing_bone_is_put_down_to_bone():
    lost = np.where(BONE, np.minimum(CT.array, 100), CT.array)
    # beams through the femoral heads
    done = measured(pair_of(lost), settings_of(beams(PHOTONS, 90, 270), causes=True))
    found = causes(done)
    total = value(done, "dmean_difference_pct", "target")
    assert total > 0.5 and max(found, key=lambda c: abs(found[c])) == "bone"
    assert found["bone"] == pytest.approx(total, abs=0.1)


def test_a_larger_outline_is_put_down_to_the_outline():
    from scipy import ndimage

    rim = ndimage.binary_dilation(BODY, np.ones((3, 3, 1))) & ~BODY  # 6 mm
    done = measured(
        pair_of(np.where(rim, np.float32(20), CT.array)), settings_of(TWO_PHOTON, causes=True)
    )
    found = causes(done)
    assert value(done, "dmean_difference_pct", "target") < -0.5
    assert max(found, key=lambda c: abs(found[c])) == "outline" and found["outline"] < -0.5
    assert sum(abs(found[c]) for c in ("air", "soft", "bone")) < 0.05


def test_goals_are_lost_and_gained():
    first = measured(pair_of(CT.array + 30 * BODY), settings_of(TWO_PHOTON))
    one, two = (
        value(first, f"dmean_{s}", "structure:Prostate") for s in ("reference", "synthetic")
    )
    between, source = f"{(one + two) / 2:.3f}", "A test."
    goals = [
        {"structure": "Prostate", "goal": f"Dmean >= {between} Gy", "source": source},
        {"structure": "Prostate", "goal": f"Dmean <= {between} Gy", "source": source},
        {"structure": "Prostate", "goal": "Dmean >= 10 Gy", "source": source},
        {"structure": "Lungs", "goal": "Dmean <= 10 Gy", "source": source},
        # a wish and a limit about one volume: one row
        {"structure": "Rectum", "goal": "V10Gy <= 50 %", "source": source},
        {"structure": "Rectum", "goal": "V10Gy <= 60 %", "source": source},
        {"structure": "Lungs", "goal": "V10Gy <= 60 %", "source": source},
    ]
    # the same plan, judged by other goals: while planning they would pull on the weights
    template = TWO_PHOTON.model_copy(update={"goals": beams(PHOTONS, 0, goals=goals).goals})
    pair = pair_of(CT.array + 30 * BODY)
    plan = compute_plan(pair, choice(TWO_PHOTON), settings_of(TWO_PHOTON))
    plan = replace(plan, template=template)
    rows = list(goal_rows(plan, plan.dvhs(plan.reference), plan.dvhs(plan.synthetic)))
    found = {(r.metric, r.region, r.variant): r for r in rows}
    assert len(found) == len(rows)
    counts = [found[(m, "all", "photon-pelvis")].value for m in
              ("goals_lost", "goals_gained", "goals_undecided")]  # fmt: skip
    assert counts == [1, 1, 2]
    volume = found[("goal_volume_difference", "structure:Rectum", "photon-pelvis:V10Gy")]
    assert volume.value is not None and abs(volume.value) < 100
    missing = found[("goal_volume_difference", "structure:Lungs", "photon-pelvis:V10Gy")]
    assert missing.status == "undefined" and "Lungs" in missing.why


def test_numbers_are_those_of_the_kept_doses():
    done = biased()
    one, two = (done.volumes[f"dose_{s}@photon-pelvis"] for s in ("reference", "synthetic"))
    target = done.volumes["target@photon-pelvis"].array > 0
    change = 100 * (two.array.astype(float) - one.array) / 78
    high = target & (one.array >= 7.8)
    assert value(done, "dose_difference_mean", "target") == pytest.approx(change[high].mean())
    assert value(done, "dose_difference_95", "target") == pytest.approx(
        np.percentile(np.abs(change[high]), 95)
    )
    near = one.array > 0.9 * 78
    mae = np.abs(two.array.astype(float) - one.array)[near].mean() / 78
    assert value(done, "synthrad_dose_mae", "all") == pytest.approx(mae)
    gamma = done.volumes["gamma@photon-pelvis"].array
    judged = target & (gamma >= 0)
    rate = 100 * (gamma[judged] <= 1.0001).mean()
    assert value(done, "gamma_pass_rate", "target", "photon-pelvis:2pct2mm") == pytest.approx(rate)


def test_the_cut_off_of_differences_is_that_of_gamma_even_where_it_is_nothing():
    dose = settings_of(TWO_PHOTON, gamma_settings=GammaSettings(cutoff_pct=0, max_gamma=5.0))
    done = measured(pair_of(CT.array + 30 * BODY), dose)
    one, two = (done.volumes[f"dose_{s}@photon-pelvis"] for s in ("reference", "synthetic"))
    from qa_suite.dose.gridding import mask_onto
    from qa_suite.preflight.bodies import ct_body

    body = mask_onto(ct_body(CT.array, CT.grid), CT.grid, one.grid)
    change = 100 * (two.array.astype(float) - one.array) / 78
    assert value(done, "dose_difference_mean", "body") == pytest.approx(change[body].mean())


# --- what was not seen -------------------------------------------------------------------------


def test_an_unseen_half_carries_the_reference():
    """The source ends in the patient's left half; the synthetic image is wrong everywhere."""
    blank = PATIENT.mr.array.copy()
    blank[X > 50] = blank.min()
    source = PATIENT.mr.with_array(blank)
    wrong = CT.array + 100 * BODY
    done = measured(pair_of(wrong, source=source), settings_of(beams(PHOTONS, 90, 270)))
    unseen = {g: value(done, "path_unseen", f"beam:{g}") for g in ("G090", "G270")}
    assert unseen["G090"] > 40 and unseen["G270"] == 0
    whole = measured(pair_of(wrong), settings_of(beams(PHOTONS, 90, 270)))
    assert value(whole, "path_unseen", "beam:G090") == 0
    parts = [value(d, "dmean_difference_pct", "target") for d in (done, whole)]
    assert parts[1] < parts[0] < 0  # one of the two paths is the reference's
    one, two = (done.volumes[f"dose_{s}@photon-pelvis"] for s in ("reference", "synthetic"))
    only = measured(pair_of(wrong, source=source), settings_of(beams(PHOTONS, 90)))
    one, two = (only.volumes[f"dose_{s}@photon-pelvis"] for s in ("reference", "synthetic"))
    left = one.grid.to_world(np.stack(np.indices(one.grid.shape), -1))[..., 0] > 70
    np.testing.assert_allclose(two.array[left], one.array[left], atol=0.03 * one.array.max())


def test_coverage_of_the_reference_is_respected_too():
    coverage = X < 50
    done = measured(
        pair_of(CT.array + 100 * BODY, coverage=coverage), settings_of(beams(PHOTONS, 90))
    )
    assert value(done, "path_unseen", "beam:G090") > 40


def test_a_beam_through_the_cut_edge_of_an_image_is_told():
    """A limb that the image cuts: the left flank lies outside."""
    keep = int(np.flatnonzero(X[:, 0, 0] > 60)[0])
    _, ny, nz = CT.grid.shape
    grid = Grid(shape=(keep, ny, nz), spacing_mm=CT.grid.spacing_mm, origin_mm=CT.grid.origin_mm)
    cut = Volume(array=CT.array[:keep], grid=grid, quantity="HU")
    pair = Pair(
        reference=cut, synthetic=cut, mask=BODY[:keep],
        structures={name: mask[:keep] for name, mask in STRUCTURES.items()},
    )  # fmt: skip
    done = measured(pair, settings_of(beams(PHOTONS, 90, 180, 270)))
    shares = [value(done, "path_cut", f"beam:{g}") for g in ("G090", "G180", "G270")]
    assert shares == [100, 0, 0]


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
        ({"reference": replace(CT, quantity="SUVbw")}, "Dose needs HU; the reference holds SUVbw"),
        ({"synthetic": CT.with_array(np.where(BODY, np.nan, CT.array).astype(np.float32))},
         "voxels that are no number"),
        ({"synthetic": CT.with_array(np.full(CT.grid.shape, -1000, np.float32))},
         "The synthetic image shows no body above -400 HU"),
        ({"structures": {"Prostate": np.zeros_like(BODY)}}, "(Prostate is empty)"),
        ({"structures": {"Prostate": (X > 205) & (Y < -150)}}, "outside the patient's body"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_never_a_number(change, sentence):
    done = measured(pair_of(CT.array, **change), settings_of(TWO_PHOTON))
    assert {r.status for r in done.rows} == {"error"} and len(done.rows) > 10
    assert all(sentence in r.why and "\n" not in r.why for r in done.rows)


def test_a_table_that_does_not_fit_is_an_error_too():
    wrong = PlanChoice(template=TWO_PHOTON, hlut=load_hlut("matrad-protons"))
    done = measured(pair_of(CT.array), DoseSettings(plans=(wrong,), **PLAIN))
    assert {r.status for r in done.rows} == {"error"}
    assert "the HLUT matrad-protons gives relative_stopping_power" in done.rows[0].why


# --- samples -----------------------------------------------------------------------------------


def with_samples(*shifts: float) -> Pair:
    samples = tuple(CT.with_array((CT.array + s * BODY).astype(np.float32)) for s in shifts)
    return pair_of(CT.array, prediction=Prediction(mean=CT, samples=samples))


def test_samples_give_a_band():
    around = measured(with_samples(-30, 0, 30), settings_of(TWO_PHOTON))
    width = value(around, "band_d95", "target")
    assert width > 1 and value(around, "band_misses_d95", "target") == 0
    beside = measured(with_samples(30, 60), settings_of(TWO_PHOTON))
    assert value(beside, "band_misses_d95", "target") == pytest.approx(width / 2, rel=0.3)
    few = measured(with_samples(30, 60, 90), settings_of(TWO_PHOTON, most_samples=2))
    assert value(few, "band_d95", "target") == value(beside, "band_d95", "target")


def test_without_samples_there_is_no_band_and_with_bad_ones_an_error():
    alone = measured(with_samples(30), settings_of(TWO_PHOTON))
    rows = [r for r in alone.rows if r.metric.startswith("band")]
    assert [(r.status, r.why) for r in rows] == [("undefined", "fewer than two samples")] * 2
    done = measured(with_samples(0, np.nan), settings_of(TWO_PHOTON))
    rows = [r for r in done.rows if r.metric.startswith("band")]
    assert {r.status for r in rows} == {"error"} and "no number" in rows[0].why
    assert value(done, "dmean_difference_pct", "target") == 0  # the rest stands


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
