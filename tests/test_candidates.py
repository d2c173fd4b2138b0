"""The known-good candidates of the exam: what each of them is, and that they are reproducible."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.core.errors import InputError
from qa_suite.lab.exam.scenes import exam_grid
from qa_suite.lab.phantom import CANDIDATES, make_patient
from qa_suite.lab.phantom.candidate_errors import BorderError, displaced, error_model, with_errors
from qa_suite.lab.phantom.candidates import BULK_HU, Truth

NAMES = [entry.name for entry in CANDIDATES]


@pytest.fixture(scope="module")
def patients():
    grid = exam_grid((6.0, 6.0, 6.0))
    return [make_patient(hospital, 1, seed=1, grid=grid) for hospital in "ABC"]


@pytest.mark.parametrize("name", NAMES)
def test_a_candidate_is_the_same_for_a_seed_and_needs_only_the_truth(name, patients):
    make, patient = CANDIDATES[name].function, patients[0]
    truth = Truth(
        ct_noise_free=patient.ct_noise_free, body=patient.body, structures=patient.structures
    )
    first, again, other = make(patient, 5), make(truth, 5), make(patient, 6)
    assert first.quantity == "HU"
    assert first.grid == patient.grid
    assert np.array_equal(first.array, again.array)
    assert not np.array_equal(first.array, other.array)


@pytest.mark.parametrize("name", NAMES)
def test_hardly_a_voxel_of_the_body_has_the_number_of_the_reference(name, patients):
    for patient in patients:
        made = CANDIDATES[name].function(patient, 5).array
        assert (made == patient.ct.array)[patient.body].mean() < 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_a_candidate_needs_hounsfield_units(name, patients):
    patient = patients[0]
    truth = Truth(ct_noise_free=patient.mr, body=patient.body, structures=patient.structures)
    with pytest.raises(InputError, match="HU"):
        CANDIDATES[name].function(truth, 1)


def test_bulk_densities_are_four_values_and_nothing_else(patients):
    made = CANDIDATES["bulk"].function(patients[0], 5).array
    assert sorted(np.unique(made)) == sorted(BULK_HU.values())


def test_the_realistic_candidate_errs_as_published_translators_do(patients):
    """About 30 HU in the body, about 105 HU in bone, hardly any bias; see their page."""
    body, bone, bias = [], [], []
    for number, patient in enumerate(patients):
        made = CANDIDATES["realistic"].function(patient, number).array
        error = made - patient.ct.array
        dense = patient.body & (patient.ct_noise_free.array >= 150)
        body.append(np.abs(error)[patient.body].mean())
        bone.append(np.abs(error)[dense].mean())
        bias.append(error[patient.body].mean())
    assert min(body) > 28 and max(body) < 40
    assert np.mean(body) > 29.5
    assert min(bone) > 60 and max(bone) < 130
    assert max(np.abs(bias)) < 15


def test_a_realistic_error_leaves_every_tissue_what_it_is(patients):
    model = error_model().model_copy(
        update={"border": BorderError(sd_mm=0, fwhm_mm=10), "blur_mm": 0.0, "noise_hu": 0.0}
    )
    patient = patients[0]
    made = with_errors(patient.ct_noise_free, patient.body, model, seed=3).array
    true = patient.ct_noise_free.array
    dense = patient.body & (true >= 300)
    assert (made[dense] >= 40 + 0.5 * (true[dense] - 40) - 50).all()


def test_errors_outside_the_body_are_noise_alone(patients):
    patient = patients[0]
    far = patient.ct_noise_free.array < -999
    made = CANDIDATES["realistic"].function(patient, 4).array
    assert np.abs(made - patient.ct_noise_free.array)[far & ~patient.body].mean() < 20


def test_a_displacement_of_nothing_is_the_image(patients):
    image = patients[0].ct_noise_free.array
    still = [np.zeros(image.shape, dtype=np.float32)] * 3
    assert np.allclose(displaced(image, still), image, atol=0.5)
