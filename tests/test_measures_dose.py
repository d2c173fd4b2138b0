"""The family of dose: what it says of images whose difference is known."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from pydantic import ValidationError

from qa_suite.core.prediction import Prediction
from qa_suite.core.volume import Grid, Volume
from qa_suite.dose.dvh.curve import Dvh
from qa_suite.dose.gamma import GammaCriterion, GammaSettings
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.dose.plan.template import PlanTemplate, load_template
from qa_suite.lab.phantom import make_patient
from qa_suite.metrics.base import Curve, Pair, Value
from qa_suite.metrics.dose.bands import dvh_envelope
from qa_suite.metrics.dose.computed import ComputedPlan, compute_plan
from qa_suite.metrics.dose.family import dose as measure_dose
from qa_suite.metrics.dose.rows import difference_histogram, difference_rows, goal_rows
from qa_suite.metrics.dose.settings import DoseSettings, PlanChoice
from qa_suite.metrics.facts import METRICS
from qa_suite.metrics.run import Measured, measure_pair, variants_of
from qa_suite.metrics.settings import MeasureSettings

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
        template=template,
        hlut=load_hlut("thomas-1999" if photons else "matrad-default-rsp"),
        other_hluts=tuple(load_hlut(name) for name in others),
    )


def settings_of(*templates: PlanTemplate, **more: object) -> DoseSettings:
    return DoseSettings(plans=tuple(choice(t) for t in templates), **(PLAIN | more))


def pair_of(image: np.ndarray, **more: object) -> Pair:
    made = CT.with_array(image.astype(np.float32))
    given = {"reference": CT, "synthetic": made, "mask": BODY, "structures": STRUCTURES} | more
    return Pair(**given)  # type: ignore[arg-type]


def measured(pair: Pair, dose: DoseSettings) -> Measured:
    return measure_pair(
        pair,
        families=["dose"],
        settings=MeasureSettings(dose=dose),
        case="c",
        patient="p",
        site="A",
    )


def value(done: Measured, metric: str, region: str, variant: str = "photon-pelvis") -> float:
    (row,) = [r for r in done.rows if (r.metric, r.region, r.variant) == (metric, region, variant)]
    assert row.status == "ok" and row.value is not None, row
    return row.value


def curve(
    done: Measured, name: str, region: str, variant: str = "photon-pelvis"
) -> tuple[np.ndarray, np.ndarray]:
    points = [
        (p.x, p.y) for p in done.curves if (p.curve, p.region, p.variant) == (name, region, variant)
    ]
    x, y = np.array(points).T
    return x, y


def causes(done: Measured, variant: str = "photon-pelvis") -> dict[str, float]:
    return {c: value(done, "cause_dmean", f"cause:{c}", variant) for c in TISSUE}


@lru_cache(maxsize=1)
def biased() -> Measured:
    """+30 HU in the body, photons and protons, everything that the family can say."""
    plans = (
        choice(
            beams(PHOTONS, 0, 90, goals=PHOTONS.model_dump(mode="json")["goals"]), "schneider-2000"
        ),
        choice(ONE_PROTON, "electron-density-as-rsp"),
    )
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
    of_plans = {"machine_energy"}  # of the clinic's alone
    assert {row.metric for row in done.rows} == registered - of_plans
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
            choice(
                beams(PHOTONS, 0, 90, goals=PHOTONS.model_dump(mode="json")["goals"]),
                "schneider-2000",
            ),
            choice(ONE_PROTON, "electron-density-as-rsp"),
        ),
        grid_mm=10.0,
    )
    described = variants_of(MeasureSettings(dose=dose))
    used = {row.variant for row in done.rows} | {point.variant for point in done.curves}
    assert used <= set(described)
    unused = {key for key in described if key.split(":")[0] in ("photon-pelvis", "proton-pelvis")}
    assert unused == used
    facts = described["photon-pelvis:2pct2mm"]
    assert facts["hlut_sha256"] == load_hlut("thomas-1999").digest
    assert facts["normalisation"] == "prescription"


def test_doses_and_maps_are_kept():
    roles = {
        f"{role}@{plan}"
        for plan in ("photon-pelvis", "proton-pelvis")
        for role in ("dose_reference", "dose_synthetic", "gamma", "target")
    }
    assert set(biased().volumes) == roles | {"range_error:G090@proton-pelvis"}
    for plan in ("photon-pelvis", "proton-pelvis"):
        kept = {r.split("@")[0]: v for r, v in biased().volumes.items() if r.endswith(plan)}
        assert {kept[r].quantity for r in ("dose_reference", "dose_synthetic")} == {"Gy"}
        assert kept["target"].quantity == "label" and kept["target"].array.any()
        assert (
            len({kept[r].grid for r in ("dose_reference", "dose_synthetic", "gamma", "target")})
            == 1
        )


def test_curves_are_dvhs_their_bands_and_histograms():
    curves = {(p.curve, p.region) for p in biased().curves if p.variant == "photon-pelvis"}
    regions = {"target"} | {f"structure:{name}" for name in ORGANS}
    dvhs = {(f"dvh_{s}", r) for s in ("reference", "synthetic", "low", "high") for r in regions}
    assert curves == dvhs | {("dose_difference_histogram", r) for r in ("body", "target")}
    y = [
        p.y
        for p in biased().curves
        if (p.curve, p.region, p.variant) == ("dvh_reference", "target", "proton-pelvis")
    ]
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
            assert row.metric.startswith("band_") or "cut-off" in row.why or ("gets" in row.why), (
                row
            )
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
    counts = [
        found[(m, "all", "photon-pelvis")].value
        for m in ("goals_lost", "goals_gained", "goals_undecided")
    ]
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
    from qa_suite.dose.scene.gridding import mask_onto
    from qa_suite.imaging.body import ct_body

    body = mask_onto(ct_body(CT.array, CT.grid), CT.grid, one.grid)
    change = 100 * (two.array.astype(float) - one.array) / 78
    assert value(done, "dose_difference_mean", "body") == pytest.approx(change[body].mean())


# --- histograms of the difference --------------------------------------------------------------


@lru_cache(maxsize=1)
def planned() -> ComputedPlan:
    return compute_plan(pair_of(CT.array), choice(TWO_PHOTON), settings_of(TWO_PHOTON))


def histograms(change_gy: np.ndarray | float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of the plan's dose against itself with something added, by region."""
    dose = planned().reference
    other = replace(planned(), synthetic=dose.with_array(dose.array + np.float32(change_gy)))
    found = list(difference_rows(other, settings_of(TWO_PHOTON)))
    return {c.region: (c.x, c.y) for c in found if isinstance(c, Curve)}


def test_a_uniform_difference_lies_in_one_bin():
    for region, (x, y) in histograms(0.78).items():  # 1 % of 78 Gy
        assert (y == 100).sum() == 1 and x[y == 100] == 1.0, region
        assert y.sum() == 100
        np.testing.assert_allclose(x, -x[::-1])
        np.testing.assert_allclose(np.diff(x), 0.1)
    none = histograms(0.0)
    assert set(none) == {"body", "target"}
    for x, y in none.values():
        assert x.tolist() == [-0.1, 0, 0.1] and y.tolist() == [0, 100, 0]


def test_a_histogram_counts_the_voxels_above_the_cut_off_and_loses_no_tail():
    dose = planned().reference.array
    high = planned().body & (dose >= 7.8)
    hot, low = np.argwhere(high)[0], np.argwhere(planned().body & (dose < 7.8))[0]
    change = np.zeros(dose.shape, dtype=np.float32)
    change[tuple(hot)] = 0.4 * 78  # far beyond all others
    change[tuple(low)] = 0.8 * 78  # gets too little dose to be looked at
    x, y = histograms(change)["body"]
    assert x[-1] == 40 and x[0] == -40
    assert y[-1] == pytest.approx(100 / high.sum())
    assert y[x == 0] == pytest.approx(100 - 100 / high.sum())


def test_a_histogram_is_mirrored_with_its_difference_even_on_the_edges_of_bins():
    edges = np.array([-0.05, 0.05, 0.15, 0.25, -0.35])
    for change in (np.random.default_rng(5).normal(0.5, 2, 1000), edges):
        one, two = (difference_histogram(sign * change, "body", "k") for sign in (1, -1))
        np.testing.assert_array_equal(one.x, two.x)
        np.testing.assert_array_equal(one.y, two.y[::-1])
        assert one.y.sum() == pytest.approx(100)


def test_a_histogram_has_the_mean_of_its_row_and_says_what_a_bin_is():
    for region in ("body", "target"):
        x, y = curve(biased(), "dose_difference_histogram", region)
        mean = value(biased(), "dose_difference_mean", region)
        assert (x * y).sum() / 100 == pytest.approx(mean, abs=0.05)
        assert mean < -0.3
    units = {
        (p.x_unit, p.y_unit) for p in biased().curves if p.curve == "dose_difference_histogram"
    }
    assert units == {("% of the prescription", "% of voxels per 0.1 %")}


def test_where_no_voxel_reaches_the_cut_off_there_is_no_histogram():
    nothing = planned().reference.with_array(np.zeros_like(planned().reference.array))
    found = list(difference_rows(replace(planned(), reference=nothing), settings_of(TWO_PHOTON)))
    assert not [c for c in found if isinstance(c, Curve)]
    told = {(v.metric, v.region): v for v in found if isinstance(v, Value)}
    assert "no voxel of the region gets" in told["dose_difference_mean", "body"].why


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
        reference=cut,
        synthetic=cut,
        mask=BODY[:keep],
        structures={name: mask[:keep] for name, mask in STRUCTURES.items()},
    )
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
    assert [value(d, "band_samples", "target") for d in (around, few)] == [3, 2]
    for name in ("dvh_low", "dvh_high"):
        np.testing.assert_array_equal(*(curve(d, name, "target")[1] for d in (few, beside)))


def dvh_of_doses(*doses: float) -> Dvh:
    """The DVH of as many equal parts, each with a dose of its own."""
    return Dvh(
        name="S",
        doses_gy=np.array(sorted(doses)),
        volumes_cc=np.ones(len(doses)),
        lowest_gy=min(doses),
        highest_gy=max(doses),
        volume_cc=len(doses),
        coverage=1.0,
    )


def test_the_envelope_of_two_known_dvhs():
    dvhs = [dvh_of_doses(10.0), dvh_of_doses(5.0, 20.0)]
    x, low, high = dvh_envelope(dvhs, 5.0)
    assert x.tolist() == [0, 5, 10, 15, 20, 25]
    assert low.tolist() == [100, 100, 50, 0, 0, 0]
    assert high.tolist() == [100, 100, 100, 50, 50, 0]
    x, low, high = dvh_envelope(dvhs[:1] * 2, 5.0)
    assert low.tolist() == high.tolist() == dvhs[0].curve(5.0)[1].tolist()


def test_a_dvh_band_is_the_envelope_of_the_samples_own_dvhs():
    done = measured(with_samples(-30, 30), settings_of(TWO_PHOTON))
    alone = [measured(pair_of(CT.array + s * BODY), settings_of(TWO_PHOTON)) for s in (-30, 30)]
    for region in ("target", "structure:Rectum", "structure:Bladder"):
        curves = [curve(d, "dvh_synthetic", region) for d in alone]
        doses = max((x for x, _ in curves), key=len)
        ys = np.array([np.pad(y, (0, len(doses) - len(y))) for _, y in curves])
        for name, expected in (("dvh_low", ys.min(axis=0)), ("dvh_high", ys.max(axis=0))):
            x, y = curve(done, name, region)
            np.testing.assert_array_equal(x, doses)
            np.testing.assert_allclose(y, expected, atol=1e-9)
        assert (ys.max(axis=0) - ys.min(axis=0)).max() > 1


def test_without_samples_there_is_no_band_and_with_bad_ones_an_error():
    alone = measured(with_samples(30), settings_of(TWO_PHOTON))
    rows = [r for r in alone.rows if r.metric.startswith("band")]
    assert [(r.status, r.why) for r in rows] == [("undefined", "fewer than two samples")] * 3
    done = measured(with_samples(0, np.nan), settings_of(TWO_PHOTON))
    rows = [r for r in done.rows if r.metric.startswith("band")]
    assert {r.status for r in rows} == {"error"} and "no number" in rows[0].why
    assert value(done, "dmean_difference_pct", "target") == 0  # the rest stands
    wrong = replace(CT, quantity="arbitrary")
    pair = pair_of(CT.array, prediction=Prediction(mean=CT, samples=(CT, wrong)))
    other = measured(pair, settings_of(TWO_PHOTON))
    rows = [r for r in other.rows if r.metric.startswith("band")]
    assert {(r.status, r.why) for r in rows} == {
        ("error", "a sample: dose needs HU, and it holds arbitrary.")
    }
    for case in (alone, done, other):
        assert not {p.curve for p in case.curves} & {"dvh_low", "dvh_high"}


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


# --- HU beyond the table's ends ----------------------------------------------------------------


def with_hu(hu: float, x_mm: float) -> np.ndarray:
    """The patient with a ball of 15 mm of some HU beside the target, in the beam from its side."""
    places = PATIENT.structures["Prostate"]
    centre = [float(axis[places].mean()) for axis in (X, Y, Z)]
    distance = np.sqrt((X - centre[0] - x_mm) ** 2 + (Y - centre[1]) ** 2 + (Z - centre[2]) ** 2)
    return np.where(distance < 15, hu, CT.array)


def test_an_image_within_its_table_says_so() -> None:
    done = measured(pair_of(CT.array), settings_of(TWO_PHOTON))
    assert value(done, "hu_beyond_reference", "body") == 0
    assert value(done, "hu_beyond_synthetic", "body") == 0
    assert value(done, "path_beyond_table", "all") == 0


def test_metal_beyond_the_table_is_counted_and_found_in_its_beam() -> None:
    """On the patient's left, before the target for the beam from 90°, not for that from 0°."""
    metal = with_hu(3071, 60.0)
    done = measured(pair_of(metal), settings_of(TWO_PHOTON))
    number = int(((metal > 3001) & BODY).sum())
    assert number > 5
    assert value(done, "hu_beyond_reference", "body") == 0
    assert value(done, "hu_beyond_synthetic", "body") == number
    (row,) = [r for r in done.rows if r.metric == "hu_beyond_synthetic"]
    assert row.why == f"{number} voxels above 3000 HU (up to 3071), where thomas-1999 ends"
    share = value(done, "path_beyond_table", "beam:G090")
    assert share > 20
    assert value(done, "path_beyond_table", "beam:G000") == 0
    assert value(done, "path_beyond_table", "all") == share


def test_metal_behind_the_target_is_in_no_beams_path() -> None:
    done = measured(pair_of(with_hu(3071, -60.0)), settings_of(beams(PHOTONS, 90)))
    assert value(done, "hu_beyond_synthetic", "body") > 5
    assert value(done, "path_beyond_table", "all") == 0


def test_padding_outside_the_body_and_gas_in_it_are_not_beyond_a_table() -> None:
    image = np.where(BODY, CT.array, -2048.0)
    image = np.where(with_hu(-1024, 60.0) == -1024, -1024.0, image)
    done = measured(pair_of(image), settings_of(TWO_PHOTON))
    assert value(done, "hu_beyond_synthetic", "body") == 0


def test_a_table_that_begins_above_air_is_exceeded_below() -> None:
    short = load_hlut("thomas-1999").model_copy(
        update={"name": "short", "points": ((-200.0, 0.8), (3000.0, 2.5))}
    )
    plans = (PlanChoice(template=TWO_PHOTON, hlut=short),)
    done = measured(pair_of(with_hu(-700, 60.0)), DoseSettings(plans=plans, **PLAIN))
    assert value(done, "hu_beyond_synthetic", "body") > value(done, "hu_beyond_reference", "body")
    (row,) = [r for r in done.rows if r.metric == "hu_beyond_synthetic"]
    assert "below -200 HU (down to -" in row.why and row.why.endswith("where short ends")
    assert value(done, "path_beyond_table", "beam:G090") > 20
