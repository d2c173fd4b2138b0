"""The known-good candidates of the exam: what each of them is, and that they are reproducible."""

from __future__ import annotations

import numpy as np
import pytest

from qa_suite.errors import InputError
from qa_suite.exam.scenes import exam_grid
from qa_suite.phantom import CANDIDATES, make_patient
from qa_suite.phantom.candidates import BULK_HU, Truth

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
def test_no_voxel_of_the_body_has_the_number_of_the_reference(name, patients):
    for patient in patients:
        made = CANDIDATES[name].function(patient, 5).array
        assert (made == patient.ct.array)[patient.body].sum() == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_candidate_needs_hounsfield_units(name, patients):
    patient = patients[0]
    truth = Truth(ct_noise_free=patient.mr, body=patient.body, structures=patient.structures)
    with pytest.raises(InputError, match="HU"):
        CANDIDATES[name].function(truth, 1)


def test_bulk_densities_are_four_values_and_nothing_else(patients):
    made = CANDIDATES["bulk"].function(patients[0], 5).array
    assert sorted(np.unique(made)) == sorted(BULK_HU.values())
