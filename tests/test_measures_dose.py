"""The family of dose: what it says of images whose difference is known."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from qa_suite.core.prediction import Prediction
from qa_suite.dose.gamma import GammaSettings
from qa_suite.dose.hlut.tables import load_hlut
from qa_suite.metrics.base import Curve, Value
from qa_suite.metrics.dose.computed import ComputedPlan, compute_plan
from qa_suite.metrics.dose.rows import difference_histogram, difference_rows, goal_rows
from qa_suite.metrics.dose.settings import DoseSettings
from qa_suite.metrics.facts import METRICS
from qa_suite.metrics.run import Measured, variants_of
from qa_suite.metrics.settings import MeasureSettings
from tests.measured_dose_cases import (
    BODY,
    BONE,
    CT,
    ONE_PROTON,
    ORGANS,
    PATIENT,
    PHOTONS,
    TWO_PHOTON,
    beams,
    causes,
    choice,
    curve,
    measured,
    pair_of,
    settings_of,
    value,
)


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
        elif row.metric == "goals_judged":
            assert row.value > 0
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


def test_what_is_prescribed_is_a_goal_and_is_lost():
    """A plan that covers its target on the CT, and on an image of 60 HU more does not."""
    done = measured(pair_of(CT.array + 60 * BODY), settings_of(TWO_PHOTON))
    for side, met in (("reference", 1), ("synthetic", 0)):
        d95 = value(done, f"d95_{side}", "target")
        assert (d95 >= 0.95 * 78) == bool(met)
        assert value(done, f"coverage_dose_{side}", "target") == pytest.approx(100 * d95 / 78)
        assert value(done, f"coverage_met_{side}", "target") == met
    assert value(done, "goals_lost", "all") == 1  # the template has no other goal
    assert value(done, "coverage_dose_difference", "target") < 0


def test_every_target_of_a_clinics_plan_has_its_own_dose_as_a_goal():
    pair = pair_of(CT.array + 60 * BODY)
    plan = compute_plan(pair, choice(TWO_PHOTON), settings_of(TWO_PHOTON))
    further = {"Rectum": (0.2, "plan.dcm: PTV_low"), "Bladder": (200.0, "plan.dcm: PTV_high")}
    plan = replace(plan, further_targets=further)
    rows = list(goal_rows(plan, plan.dvhs(plan.reference), plan.dvhs(plan.synthetic)))
    found = {(r.metric, r.region): r for r in rows}
    assert found["prescribed_dose", "structure:Rectum"].value == 0.2
    met = {r: found["coverage_met_reference", f"structure:{r}"].value for r in further}
    assert met == {"Rectum": 1, "Bladder": 0}
    assert (
        found["goals_lost", "all"].value == 1
    )  # the plan's own target; the others stay as they are
    goals = {g.structure: g.text for g in plan.coverage_goals}
    assert goals["Rectum"] == "D95 >= 0.19 Gy"


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
