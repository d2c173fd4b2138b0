"""Norms of the training patients: kept, compared, and refused where patients are too few."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.cohort import load_cohort
from qa_suite.core.errors import InputError
from qa_suite.metrics.base import Instruments, Pair
from qa_suite.metrics.reference_free import reference_free
from qa_suite.metrics.reference_free.learning import norms_of
from qa_suite.metrics.reference_free.norms import (
    BINS,
    MIN_PATIENTS,
    NAMES,
    Norms,
    histogram_of,
    shrunk_covariance,
)
from tests.reference_free_cases import SETTINGS, SHAPE, hu, mr_of, signal, tissue
from tests.tiny_cohort import make_tiny_cohort


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
