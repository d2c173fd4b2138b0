"""Checks without a reference: known answers, properties, and planted faults that must be named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from qa_suite.checkup import CheckUp, check_up
from qa_suite.checkup.cohort import limits_of
from qa_suite.core.cohort import load_cohort
from qa_suite.core.errors import GeometryError, InputError
from qa_suite.core.prediction import Prediction
from qa_suite.core.records import Measurement
from qa_suite.core.volume import Grid, Volume, canonical
from qa_suite.lab.phantom import LABELS, make_patient, oracle_translate
from qa_suite.metrics.base import Instruments, Pair
from qa_suite.metrics.facts import METRICS
from qa_suite.metrics.reference_free import CHECKS, FAMILY, Patient, examine, reference_free
from qa_suite.metrics.reference_free.learning import norms_of
from qa_suite.metrics.reference_free.norms import (
    BINS,
    MIN_PATIENTS,
    NAMES,
    Norms,
    histogram_of,
    shrunk_covariance,
)
from qa_suite.metrics.reference_free.settings import ReferenceFreeSettings
from tests.tiny_cohort import make_tiny_cohort

SETTINGS = ReferenceFreeSettings()
SHAPE = (40, 32, 20)
GRID = Grid(shape=SHAPE, spacing_mm=(4.0, 4.0, 5.0))
COARSE = (8.0, 8.0, 8.0)


def measured(synthetic: Volume, source: Volume | None = None, **more) -> dict:
    patient = Patient(synthetic=synthetic, source=source, **more)
    return {(v.metric, v.region): v for v in examine(patient, SETTINGS)}


def value(found: dict, metric: str, region: str = "body") -> float:
    assert found[metric, region].status == "ok", found[metric, region]
    return found[metric, region].value


def hu(array: np.ndarray, grid: Grid = GRID) -> Volume:
    return Volume(array=array.astype(np.float32), grid=grid, quantity="HU")


def signal(array: np.ndarray, grid: Grid = GRID) -> Volume:
    return Volume(array=array.astype(np.float32), grid=grid, quantity="arbitrary")


def tissue(seed: int = 0, noise: float = 8.0) -> np.ndarray:
    """A box of muscle in a rim of fat, an off-centre bone, air around; noise everywhere."""
    rng = np.random.default_rng(seed)
    array = np.full(SHAPE, -1000.0)
    array[6:34, 6:26, :] = -100
    array[9:31, 9:23, :] = 40
    array[12:17, 12:18, 2:14] = 700
    return array + rng.normal(0, noise, SHAPE)


def mr_of(array: np.ndarray, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shown = np.select([array < -500, array < -40, array < 300], [5.0, 900.0, 400.0], 60.0)
    return shown + rng.normal(0, 10, SHAPE)


# ---------------------------------------------------------------------------------------
# Known answers


def test_the_levels_of_air_fat_and_muscle():
    found = measured(hu(tissue()))
    assert value(found, "air_error", "air") == pytest.approx(0, abs=1)
    assert value(found, "fat_level", "fat") == pytest.approx(-100, abs=1)
    assert value(found, "muscle_level", "soft") == pytest.approx(40, abs=1)
    moved = measured(hu(tissue() + 30))
    for metric, region in (("air_error", "air"), ("fat_level", "fat"), ("muscle_level", "soft")):
        change = value(moved, metric, region) - value(found, metric, region)
        assert change == pytest.approx(30, abs=0.5)


def test_tissue_volumes_add_up_by_hand():
    found = measured(hu(tissue()))
    bone = 5 * 6 * 12 * 0.08
    fat = (28 * 20 - 22 * 14) * 20 * 0.08
    assert value(found, "tissue_volume", "bone") == pytest.approx(bone)
    assert value(found, "tissue_volume", "fat") == pytest.approx(fat)
    assert value(found, "tissue_volume", "air") == 0
    total = 28 * 20 * 20 * 0.08
    assert value(found, "tissue_ratio", "bone") == pytest.approx(100 * bone / total)
    shares = [value(found, "tissue_ratio", r) for r in ("air", "fat", "soft", "bone")]
    assert sum(shares) == pytest.approx(100)


@pytest.mark.parametrize("sd", [5.0, 20.0])
def test_noise_is_its_standard_deviation(sd):
    assert value(measured(hu(tissue(noise=sd))), "noise_level", "soft") == pytest.approx(
        sd, rel=0.06
    )


def test_the_steepness_of_a_step_is_its_height_over_the_spacing():
    array = np.full(SHAPE, -1000.0)
    array[10:30] = 0  # the only surfaces lie across x
    assert value(measured(hu(array)), "sharpness", "skin") == pytest.approx(1000 / 4)


def test_implausible_values_are_counted():
    array = tissue()
    array[20, 15, 8] = 9000
    array[22, 15, 8] = -3000  # a hole of the body that is filled: still body
    array[24, 15, 8] = 1500  # in range, but alone
    body = 28 * 20 * 20
    assert value(measured(hu(array)), "implausible_voxels") == pytest.approx(100 * 5 / body)
    assert value(measured(hu(tissue())), "implausible_voxels") == 0
    # 9000 and -3000 are out of range and alone; 1500 is alone


def test_the_99_9th_percentile_shows_clipping():
    assert value(measured(hu(tissue())), "hu_range_99_9") > 700
    assert value(measured(hu(np.minimum(tissue(), 300))), "hu_range_99_9") == 300


def test_outlines_of_boxes_by_hand():
    rng = np.random.default_rng(0)
    source = rng.uniform(0, 20, SHAPE)
    source[6:34, 6:26] = rng.uniform(200, 800, (28, 20, 20))
    inner = np.full(SHAPE, -1000.0)
    inner[8:32, 6:26] = 0  # two voxels of 4 mm narrower on the left and the right
    found = measured(hu(inner), signal(source))
    assert value(found, "source_contour_distance_95") == pytest.approx(8, abs=0.5)
    assert value(found, "source_body_dice") == pytest.approx(2 * 24 / (24 + 28), abs=2e-3)
    volume = -4 * 20 * 20 * 80.0  # mm³
    sides = [2 * (w * 4 + 20 * 4) * 19 * 5 for w in (28, 24)]
    assert value(found, "source_contour_bias") == pytest.approx(volume / np.mean(sides), rel=0.02)
    same = measured(hu(np.where(source > 30, 0.0, -1000.0)), signal(source))
    assert value(same, "source_contour_distance") == value(same, "source_contour_bias") == 0
    assert value(same, "source_body_dice") == 1
    assert value(same, "cut_body") == 0


def test_where_the_source_ends_no_outline_is_missing():
    source, synthetic = mr_of(tissue()), tissue()
    source[..., 12:] = 0  # padding: the MR's field of view ends here
    found = measured(hu(synthetic), signal(source))
    assert value(found, "source_contour_distance") < 1
    assert value(found, "source_body_dice") > 0.99


def test_a_truncated_field_and_an_empty_slice_cut_the_body():
    whole = tissue()
    cut = whole.copy()
    cut[:16] = -1000
    assert value(measured(hu(whole), signal(mr_of(whole))), "cut_body") < 0.5
    assert value(measured(hu(cut), signal(mr_of(whole))), "cut_body") > 20
    hole = whole.copy()
    hole[..., 10] = -1000
    assert value(measured(hu(hole), signal(mr_of(whole))), "cut_body") == pytest.approx(5, abs=0.5)


def test_a_filled_void_by_hand():
    with_gas = tissue()
    with_gas[20:24, 12:16, 4:10] = -1000
    source = signal(mr_of(with_gas))
    assert value(measured(hu(with_gas), source), "void_filled") == 0
    assert value(measured(hu(with_gas), source), "tissue_volume", "air") == pytest.approx(
        4 * 4 * 6 * 0.08
    )
    filled = with_gas.copy()
    filled[20:24, 12:16, 4:10] = 40
    assert value(measured(hu(filled), source), "void_filled") == pytest.approx(4 * 4 * 6 * 0.08)


def test_symmetry_of_a_symmetric_image_is_one():
    array = tissue(noise=0)
    array[12:17, 12:18, 2:14] = 40
    assert value(measured(hu(array)), "left_right_symmetry") == pytest.approx(1)
    assert value(measured(hu(tissue())), "left_right_symmetry") < 0.9


def test_slices():
    clean, source = tissue(), signal(mr_of(tissue()))
    found = measured(hu(clean), source)
    assert value(found, "slice_jump") < 3
    assert value(found, "slice_repeat") == 0
    jumped = clean.copy()
    jumped[..., 7] += 25
    assert value(measured(hu(jumped), source), "slice_jump") == pytest.approx(25, abs=2)
    last = clean.copy()
    last[..., -1] += 25
    assert value(measured(hu(last), source), "slice_jump") == pytest.approx(25, abs=2)
    doubled = clean.copy()
    doubled[..., 9] = doubled[..., 8]
    doubled[..., 15] = doubled[..., 14]
    assert value(measured(hu(doubled), source), "slice_repeat") == 2
    both = mr_of(tissue())
    both[..., 9] = both[..., 8]  # the scanner repeated it, not the translator
    assert value(measured(hu(doubled), signal(both)), "slice_repeat") == 1


def test_mutual_information_does_not_depend_on_scale():
    source, image = signal(mr_of(tissue())), tissue()
    first = value(measured(hu(image), source), "source_mutual_information")
    scaled = signal(mr_of(tissue()) * 7 + 100)
    assert value(measured(hu(image), scaled), "source_mutual_information") == pytest.approx(
        first, abs=0.01
    )
    assert value(measured(hu(image + 90), source), "source_mutual_information") == pytest.approx(
        first, abs=1e-3
    )
    assert 1 < first < 2


@pytest.mark.parametrize(("metric", "axis"), [("mirror_evidence", 0), ("reversal_evidence", 2)])
def test_evidence_turns_with_the_image(metric, axis):
    source, image = signal(mr_of(tissue())), tissue()
    right = value(measured(hu(image), source), metric)
    wrong = value(measured(hu(np.flip(image, axis)), source), metric)
    assert right > 0.03
    assert wrong == pytest.approx(-right, abs=0.02)


def test_swapped_axes_are_told():
    grid = Grid(shape=(32, 32, 20), spacing_mm=(4.0, 4.0, 5.0))
    image = tissue()[4:36]
    source = signal(mr_of(tissue())[4:36], grid)
    assert value(measured(hu(image, grid), source), "swap_evidence") > 0.05
    swapped = np.ascontiguousarray(image.transpose(1, 0, 2))
    assert value(measured(hu(swapped, grid), source), "swap_evidence") < -0.05


# ---------------------------------------------------------------------------------------
# What must not matter, and what has no value


def test_nothing_of_the_reference_is_looked_at():
    rng = np.random.default_rng(2)
    image, source = hu(tissue()), signal(mr_of(tissue()))
    mask = np.ones(SHAPE, dtype=bool)
    one = Pair(reference=image, synthetic=image, mask=mask, source=source)
    other = Pair(
        reference=hu(rng.normal(0, 500, SHAPE)),
        synthetic=image,
        source=source,
        mask=rng.random(SHAPE) > 0.9,
        structures={"Rectum": rng.random(SHAPE) > 0.5},
        coverage=rng.random(SHAPE) > 0.5,
    )
    assert reference_free(one, SETTINGS) == reference_free(other, SETTINGS)


def test_the_order_of_the_arrays_axes_does_not_matter():
    image, source = hu(tissue()), signal(mr_of(tissue()))

    def turned(volume: Volume) -> Volume:
        """The same patient, stored with k along x from right to left, and so on."""
        array = np.ascontiguousarray(volume.array.transpose(2, 0, 1)[:, ::-1, :])
        axes = np.stack([GRID.axes[:, 2], -GRID.axes[:, 0], GRID.axes[:, 1]], axis=1)
        x, y, z = GRID.spacing_mm
        corner = GRID.to_world([SHAPE[0] - 1, 0, 0])
        grid = Grid(
            shape=array.shape,
            spacing_mm=(z, x, y),
            origin_mm=tuple(corner),
            direction=tuple(axes.ravel()),
        )
        return replace(volume, array=array, grid=grid)

    back = canonical(turned(image))
    assert back.grid.same_as(GRID)
    assert np.array_equal(back.array, image.array)
    one, other = measured(image, source), measured(turned(image), turned(source))
    for key, found in one.items():
        if found.value is not None:
            assert other[key].value == pytest.approx(found.value), key


def test_every_metric_has_a_row_for_every_region():
    rows = measured(hu(tissue()), signal(mr_of(tissue())))
    assert set(rows) == {(c.metric, region) for c in CHECKS.values() for region in c.regions}
    assert {c.metric for c in CHECKS.values()} == {
        entry.name for entry in METRICS if entry.facts.family == FAMILY
    }


def test_a_voxel_that_is_no_number():
    array = tissue()
    array[20, 15, 8], array[1, 1, 1] = np.nan, np.inf
    found = measured(hu(array), signal(mr_of(tissue())))
    assert value(found, "nonfinite_voxels", "all") == 2
    rest = [v for (metric, _), v in found.items() if "finite" in CHECKS[metric].needs]
    assert {v.status for v in rest} == {"error"}
    assert all("2 voxels of the synthetic image are not finite" in v.why for v in rest)
    source = mr_of(tissue())
    source[0, 0, 0] = np.nan
    found = measured(hu(tissue()), signal(source))
    assert found["source_body_dice", "body"].status == "error"
    assert found["muscle_level", "soft"].status == "ok"


@pytest.mark.parametrize(
    ("synthetic", "source", "metric", "why"),
    [
        (hu(tissue()), None, "source_body_dice", "there is no source"),
        (hu(tissue()), None, "slice_lag", "there is no source"),
        (hu(np.full(SHAPE, -1000.0)), None, "hu_range_99_9", "shows no body"),
        (hu(tissue()), signal(np.zeros(SHAPE)), "source_body_dice", "the source shows no body"),
        (hu(tissue()), None, "histogram_distance", "no norms"),
        (hu(tissue()), signal(mr_of(tissue())), "cycle_error", "no inverse"),
        (hu(tissue()), None, "sample_disagreement", "neither a std nor two samples"),
    ],
)
def test_what_is_not_there_is_undefined_with_its_reason(synthetic, source, metric, why):
    found = measured(synthetic, source)[metric, "body"]
    assert (found.status, found.value) == ("undefined", None)
    assert why in found.why


def test_a_body_without_air_around_it_has_no_air_error():
    found = measured(hu(np.full(SHAPE, 40.0)))["air_error", "air"]
    assert found.status == "undefined" and "fills the image" in found.why


def test_a_source_on_another_grid_is_refused():
    other = Grid(shape=SHAPE, spacing_mm=(4.0, 4.0, 6.0))
    with pytest.raises(GeometryError, match="resample it first"):
        Patient(synthetic=hu(tissue()), source=signal(mr_of(tissue()), other))


# ---------------------------------------------------------------------------------------
# The way back, and the translator's doubt


def test_the_way_back():
    source, image = signal(mr_of(tissue())), hu(tissue())

    def exact(volume: Volume) -> Volume:
        return source.with_array(3 * source.array + 50)  # another scale is no error

    assert value(measured(image, source, inverse=exact), "cycle_error") == pytest.approx(
        0, abs=1e-3
    )

    def noisy(volume: Volume) -> Volume:
        return source.with_array(source.array + np.random.default_rng(3).normal(0, 50, SHAPE))

    assert value(measured(image, source, inverse=noisy), "cycle_error") > 3

    def broken(volume: Volume) -> Volume:
        raise InputError("the model answered with shape (1, 2, 3)")

    found = measured(image, source, inverse=broken)["cycle_error", "body"]
    assert (found.status, found.why) == ("error", "the model answered with shape (1, 2, 3)")


def test_the_disagreement_of_samples_and_of_a_std():
    image = hu(tissue())
    draws = tuple(image.with_array(image.array + step) for step in (-10, 0, 10))
    found = measured(image, prediction=Prediction(mean=image, samples=draws))
    assert value(found, "sample_disagreement") == pytest.approx(10, rel=1e-4)
    spread = image.with_array(np.full(SHAPE, 7.0, dtype=np.float32))
    found = measured(image, prediction=Prediction(mean=image, std=spread))
    assert value(found, "sample_disagreement") == pytest.approx(7)
    one = measured(image, prediction=Prediction(mean=image, samples=draws[:1]))
    assert one["sample_disagreement", "body"].status == "undefined"


# ---------------------------------------------------------------------------------------
# Norms


@pytest.fixture(scope="module")
def norms(tmp_path_factory) -> Norms:
    folder = tmp_path_factory.mktemp("norms")
    make_tiny_cohort(folder, "t" * 12 + "s")
    return norms_of(load_cohort(folder), folder)


def test_norms_go_through_json_and_back(norms):
    again = Norms.model_validate_json(norms.model_dump_json())
    assert again == norms
    descriptor = dict(zip(NAMES, np.linspace(-1, 1, len(NAMES)), strict=True))
    assert again.distance(descriptor) == norms.distance(descriptor)
    assert norms.patients == 12 and len(norms.distances) == 12
    assert sum(norms.histogram) == pytest.approx(1)
    assert norms.distance(dict(zip(NAMES, norms.centre, strict=True))) == 0


def test_norms_do_not_depend_on_the_order_of_the_cases(norms, tmp_path):
    make_tiny_cohort(tmp_path, "t" * 12 + "s")
    material = load_cohort(tmp_path)
    turned = material.model_copy(update={"cases": material.cases[::-1]})
    other = norms_of(turned, tmp_path)
    assert other.model_dump(exclude={"cohort_digest"}) == norms.model_dump(
        exclude={"cohort_digest"}
    )


def test_too_few_patients_give_no_norms(tmp_path):
    make_tiny_cohort(tmp_path, "t" * 9 + "s" * 5)
    with pytest.raises(InputError, match=f"need {MIN_PATIENTS} patients, and the set 'train'"):
        norms_of(load_cohort(tmp_path), tmp_path)


def test_a_broken_training_case_is_left_out_and_named(tmp_path):
    cohort = make_tiny_cohort(tmp_path, "t" * 11 + "s")
    (tmp_path / cohort.cases[0].source).write_bytes(b"no image")
    norms = norms_of(cohort, tmp_path)
    assert norms.patients == 10
    assert list(norms.left_out) == [cohort.cases[0].case]
    assert str(tmp_path) not in norms.left_out[cohort.cases[0].case]


def test_the_histogram_distance_of_a_shift_is_the_shift():
    from qa_suite.metrics.reference_free.norms import BIN_HU

    values = np.random.default_rng(4).normal(0, 60, 20_000)
    one, other = np.cumsum(histogram_of(values)), np.cumsum(histogram_of(values + 50))
    assert len(one) == BINS
    assert np.abs(one - other).sum() * BIN_HU == pytest.approx(50, abs=1)


def test_the_shrunk_covariance_by_its_own_formula():
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(25, 6)) @ rng.normal(size=(6, 6))
    rows -= rows.mean(axis=0)
    n, p = rows.shape
    sample = rows.T @ rows / n
    mean = np.trace(sample) / p
    error = np.mean([np.square(np.outer(r, r) - sample).sum() / p for r in rows]) / n
    weight = min(error / (np.square(sample - mean * np.eye(p)).sum() / p), 1)
    found, shrinkage = shrunk_covariance(rows)
    assert shrinkage == pytest.approx(weight)
    assert found == pytest.approx((1 - weight) * sample + weight * mean * np.eye(p))


# ---------------------------------------------------------------------------------------
# Planted faults on virtual patients: named without a reference, and silence on clean twins


def rows_of(name: str, patient: Patient) -> list[Measurement]:
    return [
        Measurement(
            case=name,
            patient=name,
            site="s",
            family=FAMILY,
            metric=v.metric,
            region=v.region,
            value=v.value,
            at_least=v.at_least,
            at_most=v.at_most,
            unit=METRICS[v.metric].facts.unit,
            status=v.status,
            why=v.why,
        )
        for v in examine(patient, SETTINGS)
    ]


@pytest.fixture(scope="module")
def hospital():
    """Twelve virtual patients: sources and noise-free CTs; the limits of their twins."""
    patients = [
        make_patient(name, index, seed=9, spacing_mm=COARSE)
        for name in ("A", "B")
        for index in range(1, 7)
    ]
    rows = [
        row.model_dump()
        for n, p in enumerate(patients)
        for row in rows_of(
            p.case, Patient(synthetic=oracle_translate(p.ct_noise_free, seed=n), source=p.mr)
        )
    ]
    return patients, limits_of(pd.DataFrame(rows))


def looked_at(hospital, synthetic: Volume, source: Volume) -> CheckUp:
    _, limits = hospital
    return check_up(rows_of("new", Patient(synthetic=synthetic, source=source)), limits)


FAULTS = {
    "HU bias 100": (lambda a: a + 100, {"air_error", "muscle_level", "fat_level"}),
    "intercept lost": (lambda a: a + 1024, {"air_error", "sharpness", "source_body_dice"}),
    "left-right flip": (lambda a: a[::-1], {"mirror_evidence", "source_mutual_information"}),
    "reversed slices": (lambda a: a[..., ::-1], {"reversal_evidence"}),
    "not a number": (
        lambda a: np.where(np.arange(a.size).reshape(a.shape) == a.size // 2, np.nan, a),
        {"nonfinite_voxels"},
    ),
    "truncated": (
        lambda a: np.where(np.arange(a.shape[0])[:, None, None] < 14, -1000, a),
        {"cut_body", "source_contour_distance_95"},
    ),
    "duplicate slice": (
        lambda a: np.concatenate([a[..., :9], a[..., 8:9], a[..., 10:]], axis=2),
        {"slice_repeat"},
    ),
    "one-slice jump": (lambda a: a + 40.0 * (np.arange(a.shape[2]) == 11), {"slice_jump"}),
    "clipped bone": (lambda a: np.minimum(a, 300), {"hu_range_99_9", "sharpness"}),
    "noise": (lambda a: a + np.random.default_rng(6).normal(0, 40, a.shape), {"noise_level"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_leaves_the_limits_of_its_metrics(hospital, fault):
    patients, _ = hospital
    spoil, expected = FAULTS[fault]
    for number in (2, 9):
        patient = patients[number]
        twin = oracle_translate(patient.ct_noise_free, seed=500 + number)
        array = np.ascontiguousarray(spoil(twin.array), dtype=np.float32)
        found = looked_at(hospital, twin.with_array(array), patient.mr)
        named = {finding.metric for finding in found.outside}
        assert found.outcome == "outside"
        assert expected <= named, (fault, patient.case, sorted(named))


def test_another_patient_another_modality_and_filled_air_are_named(hospital):
    patients, _ = hospital
    patient, stranger = patients[0], patients[5]
    wrong = looked_at(hospital, oracle_translate(stranger.ct_noise_free, seed=1), patient.mr)
    assert "source_mutual_information" in {f.metric for f in wrong.outside}
    mr = hu(patient.mr.array, patient.grid)
    other = looked_at(hospital, mr, patient.mr)
    assert {"air_error", "sharpness"} <= {f.metric for f in other.outside}
    most, gas = max(
        ((p, np.isin(p.labels.array, [LABELS["gas"]])) for p in patients), key=lambda q: q[1].sum()
    )
    twin = oracle_translate(most.ct_noise_free, seed=700)
    filled = twin.with_array(np.where(gas, np.float32(40), twin.array))
    found = looked_at(hospital, filled, most.mr)
    assert "void_filled" in {f.metric for f in found.outside}


def test_clean_twins_stay_within(hospital):
    patients, _ = hospital
    alarms = []
    for number, patient in enumerate(patients):
        twin = oracle_translate(patient.ct_noise_free, seed=900 + number)
        found = looked_at(hospital, twin, patient.mr)
        alarms += [(patient.case, f.metric) for f in found.outside]
    assert len(alarms) <= 2, alarms
    fresh = [make_patient("A", 100 + n, seed=9, spacing_mm=COARSE) for n in range(2)]
    far = [
        finding.metric
        for number, patient in enumerate(fresh)
        for finding in looked_at(
            hospital, oracle_translate(patient.ct_noise_free, seed=number), patient.mr
        ).findings
        if finding.far_outside
    ]
    assert not far


def test_instruments_reach_the_family(norms):
    image, source = hu(tissue()), signal(mr_of(tissue()))
    pair = Pair(
        reference=image,
        synthetic=image,
        source=source,
        mask=np.ones(SHAPE, dtype=bool),
        instruments=Instruments(norms=norms, without={"inverse": "not asked for"}),
    )
    found = {v.metric: v for v in reference_free(pair, SETTINGS)}
    assert found["ood_distance"].value > 3
    assert found["ood_percentile"].value > 90
    assert found["histogram_distance"].value > 0
    assert found["cycle_error"].why == "not asked for"
