"""Planted faults on virtual patients are named without a reference; clean twins are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from qa_suite.checkup import CheckUp, check_up
from qa_suite.checkup.cohort import limits_of
from qa_suite.core.records import Measurement
from qa_suite.core.volume import Volume
from qa_suite.lab.phantom import LABELS, make_patient, oracle_translate
from qa_suite.metrics.facts import METRICS
from qa_suite.metrics.reference_free import FAMILY, Patient, examine
from tests.reference_free_cases import SETTINGS, hu

COARSE = (8.0, 8.0, 8.0)


def rows_of(name: str, patient: Patient) -> list[Measurement]:
    return [
        v.measurement(
            unit=METRICS[v.metric].facts.unit, case=name, patient=name, site="s", family=FAMILY
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
