"""FID, KID, precision and recall: closed forms, double sums, toy sets, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_suite.core.cohort import load_cohort
from qa_suite.core.errors import InputError
from qa_suite.core.prediction import Prediction
from qa_suite.core.record_files import read_evaluation
from qa_suite.core.records import InstrumentFacts, ModelFacts
from qa_suite.core.volume import Grid, Volume
from qa_suite.evaluation.evaluate import EvaluationSettings, Examination, evaluate
from qa_suite.metrics.base import Instruments
from qa_suite.metrics.set_distances.distances import (
    fid,
    fid_without_each,
    frechet,
    jackknife_error,
    kid,
    kid_without_each,
)
from qa_suite.metrics.set_distances.family import FeaturedCase, measure_sets
from qa_suite.metrics.set_distances.features import (
    OF_SETS,
    CaseFeatures,
    FeatureSet,
    feature_sets,
    features_of,
)
from qa_suite.metrics.set_distances.neighbours import Coverage, precision, recall
from qa_suite.metrics.set_distances.settings import SetDistanceSettings
from qa_suite.preflight import PreflightSettings
from tests.tiny_cohort import make_tiny_cohort

GRID = Grid(shape=(6, 5, 40), spacing_mm=(6.0, 6.0, 6.0))
SETTINGS = SetDistanceSettings()


def a_set(vectors, patients=None) -> FeatureSet:
    vectors = np.atleast_2d(np.asarray(vectors, dtype=float))
    owner = np.arange(len(vectors)) if patients is None else np.asarray(patients)
    return FeatureSet(vectors=vectors, patients=owner.astype(np.int64))


def clustered(
    rng, patients=12, slices=6, dimensions=4, shift=0.0, spread=1.0, first=0
) -> FeatureSet:
    """Slices that scatter around their patient."""
    centres = rng.normal(shift, spread, (patients, dimensions))
    own = rng.normal(0, 0.3, (patients, slices, dimensions))
    vectors = (centres[:, None] + own).reshape(-1, dimensions)
    return a_set(vectors, first + np.repeat(np.arange(patients), slices))


# ---------------------------------------------------------------------------------------
# FID


@given(
    shift=st.floats(-3, 3),
    scale=st.floats(0.2, 3),
    dimensions=st.integers(1, 6),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_the_closed_form_of_two_gaussians(shift, scale, dimensions, seed):
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(dimensions, dimensions)))
    variances = rng.uniform(0.1, 4, dimensions)
    first = (turn * variances) @ turn.T
    second = (turn * variances * scale**2) @ turn.T  # they commute: the standard deviations differ
    expected = dimensions * shift**2 + ((1 - scale) ** 2 * variances).sum()
    mean = np.zeros(dimensions)
    found = frechet(mean, first, mean + shift, second)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert frechet(mean + shift, second, mean, first) == pytest.approx(found, rel=1e-9, abs=1e-9)


def test_frechet_equals_the_matrix_square_root_of_scipy():
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(0)
    a, b = (m @ m.T for m in rng.normal(size=(2, 5, 5)))
    cross = np.trace(sqrtm(a @ b)).real
    expected = np.trace(a) + np.trace(b) - 2 * cross
    assert frechet(np.zeros(5), a, np.zeros(5), b) == pytest.approx(expected, rel=1e-8)


def test_fid_of_a_set_from_itself_and_from_itself_moved():
    one = clustered(np.random.default_rng(1))
    moved = a_set(one.vectors + 2.0, one.patients)
    assert fid(one, one) == pytest.approx(0, abs=1e-9)
    assert fid(one, moved) == pytest.approx(4 * 2.0**2)


def test_fid_approaches_the_truth_from_above():
    rng = np.random.default_rng(2)
    found = [
        np.mean(
            [fid(a_set(rng.normal(size=(n, 8))), a_set(rng.normal(size=(n, 8)))) for _ in range(20)]
        )
        for n in (32, 128, 1024)
    ]
    assert found[0] > found[1] > found[2] > 0
    assert found[2] < 0.06


def test_fid_without_a_patient_is_that_of_the_others():
    rng = np.random.default_rng(3)
    real, made = clustered(rng, shift=100.0), clustered(rng, shift=100.2)
    without = fid_without_each(real, made)
    others = np.arange(12) != 5
    left = fid(real.of(np.flatnonzero(others)), made.of(np.flatnonzero(others)))
    assert without.shape == (12,)
    assert without[5] == pytest.approx(left, rel=1e-8)


# ---------------------------------------------------------------------------------------
# KID


def double_sum(real: FeatureSet, made: FeatureSet) -> float:
    def mean(a: FeatureSet, b: FeatureSet) -> float:
        found = [
            (x @ y / len(x) + 1) ** 3
            for x, p in zip(a.vectors, a.patients, strict=True)
            for y, q in zip(b.vectors, b.patients, strict=True)
            if p != q
        ]
        return float(np.mean(found))

    return mean(real, real) + mean(made, made) - 2 * mean(real, made)


def test_kid_equals_the_double_sum():
    rng = np.random.default_rng(4)
    real, made = clustered(rng, patients=5), clustered(rng, patients=5, shift=0.5)
    assert kid(real, made) == pytest.approx(double_sum(real, made), rel=1e-10)
    keep = np.array([0, 1, 2, 4])
    without = kid_without_each(real, made)
    assert without[3] == pytest.approx(double_sum(real.of(keep), made.of(keep)), rel=1e-10)
    lone = a_set(real.vectors), a_set(made.vectors, 100 + np.arange(len(made.vectors)))
    assert kid(*lone) == pytest.approx(double_sum(*lone), rel=1e-10)


def test_kid_is_zero_on_average_for_one_distribution_and_its_error_is_that_of_repetitions():
    rng = np.random.default_rng(5)
    found, errors = [], []
    for _ in range(150):
        real, made = clustered(rng), clustered(rng, first=100)
        found.append(kid(real, made))
        errors.append(jackknife_error(kid_without_each(real, made)))
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))
    assert 0.6 < np.mean(errors) / np.std(found) < 1.7
    away = [kid(clustered(rng), clustered(rng, shift=2, first=100)) for _ in range(20)]
    assert np.mean(away) > 10 * np.std(found)


def test_slices_that_are_alike_within_a_patient_are_no_distance():
    """Pairs within a patient would make KID positive for two sets of one distribution."""
    rng = np.random.default_rng(6)
    naive = []
    for _ in range(60):
        real, made = clustered(rng, patients=8), clustered(rng, patients=8)
        loose = [
            a_set(s.vectors, n * 1000 + np.arange(len(s.vectors)))
            for n, s in enumerate((real, made))
        ]
        naive.append((kid(real, made), kid(*loose)))
    ours, theirs = np.mean(naive, axis=0)
    assert abs(ours) < 0.5 * theirs


# ---------------------------------------------------------------------------------------
# Precision and recall


def brute(manifold: FeatureSet, asked: FeatureSet, k: int) -> float:
    covered = 0
    for x, p in zip(asked.vectors, asked.patients, strict=True):
        for y, q in zip(manifold.vectors, manifold.patients, strict=True):
            if p == q:
                continue
            other = manifold.vectors[manifold.patients != q]
            radius = np.sort(np.linalg.norm(other - y, axis=1))[k - 1]
            if np.linalg.norm(x - y) <= radius:
                covered += 1
                break
    return covered / len(asked.vectors)


def test_precision_and_recall_of_toy_sets():
    line = np.arange(10.0)[:, None]
    near, far = a_set(line), a_set(line + 100, 50 + np.arange(10))
    assert precision(near, far, neighbours=2) == recall(near, far, neighbours=2) == 0
    some = a_set([[2.5], [3.5], [4.5], [5.5], [200.0]], 50 + np.arange(5))
    assert precision(near, some, neighbours=2) == pytest.approx(0.8)
    # the balls around 2.5 to 5.5 reach from 1.5 to 6.5, that of the outlier down to 5.5
    assert recall(near, some, neighbours=1) == pytest.approx(0.8)
    same = a_set(line, 50 + np.arange(10))  # the same images, as if of other patients
    assert precision(near, same) == recall(near, same) == 1


def test_precision_and_recall_equal_the_exhaustive_search():
    rng = np.random.default_rng(7)
    real, made = clustered(rng, patients=7, slices=3), clustered(rng, patients=7, slices=3, shift=1)
    assert precision(real, made) == brute(real, made, 3)
    assert recall(real, made) == brute(made, real, 3)
    without = Coverage(real, made, 3).without_each()
    keep = np.array([0, 1, 2, 3, 5, 6])
    assert without[4] == pytest.approx(brute(real.of(keep), made.of(keep), 3))


def test_one_image_over_and_over_has_no_recall():
    rng = np.random.default_rng(8)
    real = clustered(rng, patients=15)
    again = a_set(np.zeros((90, 4)) + rng.normal(0, 1e-3, (90, 4)), real.patients)
    assert precision(real, again) > 0.9
    assert recall(real, again) < 0.1


# ---------------------------------------------------------------------------------------
# From cases to measurements


class Means:
    """An extractor for tests: mean, spread and largest value of each slice."""

    facts = InstrumentFacts(kind="extractor", name="means", uri="test:means", weights_sha256="0")
    calls = 0

    def features(self, volume, mask):
        self.calls += 1
        shown = mask.any(axis=(0, 1))
        values = volume.array[..., shown]
        columns = (values.mean(axis=(0, 1)), values.std(axis=(0, 1)), values.max(axis=(0, 1)))
        return np.stack(columns, axis=1).astype(np.float32)


def volume_of(rng, level: float) -> Volume:
    array = rng.normal(level, 20, GRID.shape).astype(np.float32)
    return Volume(array=array, grid=GRID, quantity="HU")


def cases_of(count=24, bias=0.0, sites=("A", "B")) -> list[FeaturedCase]:
    rng = np.random.default_rng(9)
    mask = np.ones(GRID.shape, dtype=bool)
    found = []
    for number in range(count):
        level = rng.normal(40, 15)
        features = features_of(
            Means(), volume_of(rng, level), volume_of(rng, level + bias), mask, most=10
        )
        site = sites[number % len(sites)]
        found.append(
            FeaturedCase(case=f"{number:03d}", patient=f"p{number}", site=site, features=features)
        )
    return found


def test_the_distances_of_cases_pooled_and_by_site():
    rows = {(r.metric, r.scope, r.variant): r for r in measure_sets(cases_of(), SETTINGS)}
    assert set(rows) == {
        (m, s, v) for m in OF_SETS for s in ("pooled", "A", "B") for v in ("default", "floor")
    }
    pooled = rows["kid", "pooled", "default"]
    assert (pooled.patients, pooled.n_reference, pooled.n_synthetic) == (24, 240, 240)
    assert pooled.standard_error is not None and pooled.standard_error > 0
    floor = rows["kid", "pooled", "floor"]
    assert (floor.n_reference, floor.n_synthetic, floor.status) == (120, 120, "ok")
    assert rows["fid", "A", "default"].status == "ok"
    assert rows["fid", "A", "floor"].why == "6 patients in each half are fewer than the 10 required"
    away = {(r.metric, r.scope, r.variant): r for r in measure_sets(cases_of(bias=80), SETTINGS)}
    for metric in ("fid", "kid"):
        assert away[metric, "pooled", "default"].value > 5 * rows[metric, "pooled", "default"].value
    for metric in ("precision", "recall"):
        assert away[metric, "pooled", "default"].value < rows[metric, "pooled", "default"].value
        assert away[metric, "pooled", "floor"] == rows[metric, "pooled", "floor"]


def test_the_order_of_the_cases_does_not_matter():
    cases = cases_of(12)
    assert measure_sets(cases, SETTINGS) == measure_sets(cases[::-1], SETTINGS)


def test_too_few_patients_or_vectors_are_refused():
    rows = measure_sets(cases_of(9), SETTINGS)
    assert {(r.status, r.value) for r in rows} == {("undefined", None)}
    assert rows[0].why == "9 patients are fewer than the 10 required"
    strict = SETTINGS.model_copy(update={"fid_vectors_per_dimension": 100})
    found = {r.metric: r for r in measure_sets(cases_of(20, sites=("A",)), strict)}
    assert found["fid"].status == "undefined" and "300 that FID needs" in found["fid"].why
    assert found["kid"].status == "ok"
    again = [
        FeaturedCase(case=c.case, patient="p0", site="A", features=c.features) for c in cases_of(24)
    ]
    assert measure_sets(again, SETTINGS)[0].why == "1 patient is fewer than the 10 required"
    assert measure_sets([], SETTINGS) == ()


def test_a_case_without_features_is_never_dropped():
    cases = cases_of(24)
    broken = np.full(GRID.shape, np.nan, dtype=np.float32)
    rng = np.random.default_rng(0)
    features = features_of(
        Means(),
        volume_of(rng, 0),
        Volume(array=broken, grid=GRID, quantity="HU"),
        np.ones(GRID.shape, dtype=bool),
        most=10,
    )
    cases[3] = FeaturedCase(case="003", patient="p3", site="B", features=features)
    rows = measure_sets(cases, SETTINGS)
    assert {r.status for r in rows if r.scope in ("pooled", "B")} == {"error"}
    assert "003" in rows[0].why and "not finite" in rows[0].why
    assert {r.status for r in rows if r.scope == "A" and r.variant == "default"} == {"ok"}


def test_features_come_back_as_they_were():
    rng = np.random.default_rng(1)
    one, other = volume_of(rng, 0), volume_of(rng, 50)
    mask = np.zeros(GRID.shape, dtype=bool)
    mask[..., 5:] = True
    features = features_of(Means(), one, other, mask, most=8)
    again = CaseFeatures.model_validate_json(features.model_dump_json())
    reference, synthetic = feature_sets([again, again], ["a", "b"])
    whole = Means().features(one, mask)
    assert np.array_equal(reference.vectors[:8], whole[[0, 5, 10, 15, 19, 24, 29, 34]])
    assert synthetic.vectors.shape == (16, 3) and list(reference.patients) == [0] * 8 + [1] * 8
    assert len(features.model_dump_json()) < 500


def test_damaged_features_are_refused():
    good = features_of(
        Means(),
        volume_of(np.random.default_rng(1), 0),
        volume_of(np.random.default_rng(2), 0),
        np.ones(GRID.shape, dtype=bool),
        most=8,
    )
    damaged = good.model_copy(update={"reference": good.reference[:-8]})
    with pytest.raises(InputError, match="damaged"):
        feature_sets([damaged], ["a"])
    with pytest.raises(InputError, match="NaN"):
        a_set([[np.nan, 1.0]])
    with pytest.raises(ValueError, match="not both"):
        CaseFeatures(dimensions=3, why="no")

    class Broken:
        def features(self, volume, mask):
            raise RuntimeError("a map of odd size")

    array = np.zeros(GRID.shape, dtype=np.float32)
    volume = Volume(array=array, grid=GRID, quantity="HU")
    found = features_of(Broken(), volume, volume, array == 0, most=8)
    assert found.why == "RuntimeError: a map of odd size"


def test_an_evaluation_with_an_extractor_measures_the_sets_and_carries_on(tmp_path):
    folder, out = tmp_path / "cohort", tmp_path / "out"
    make_tiny_cohort(folder, "t" + 12 * "s")
    stopped: list[str] = []

    def translate(loaded) -> Prediction:
        if loaded.case.case == stopped[0]:
            raise KeyboardInterrupt
        array = loaded.reference.array
        noise = np.random.default_rng(1).normal(0, 20, array.shape)
        return Prediction(mean=loaded.reference.with_array((array + noise).astype(np.float32)))

    extractor = Means()
    examination = Examination(
        cohort=load_cohort(folder),
        folder=folder,
        translate=translate,
        model=ModelFacts(uri="test:noisy", name="noisy", family="test"),
        settings=EvaluationSettings(
            preflight=PreflightSettings(estimate_alignment=False), families=("image",)
        ),
        instruments=Instruments(extractor=extractor),
    )
    stopped[:] = ["case9"]
    with pytest.raises(KeyboardInterrupt):
        evaluate(examination, out)
    stopped[:] = [""]
    evaluate(examination, out)
    assert extractor.calls == 2 * 12  # what was done before the stop was not done again
    found = read_evaluation(out)
    rows = {(r.metric, r.scope, r.variant): r for r in found.set_measurements}
    assert rows["kid", "pooled", "default"].status == "ok"
    assert rows["kid", "pooled", "default"].patients == 12
    assert rows["kid", "pooled", "floor"].status == "undefined"
    assert rows["precision", "A", "default"].why == "6 patients are fewer than the 10 required"
    assert {"fid", "kid"} <= set(found.definitions) and "floor" in found.variants
