"""A score too good to be true: copies of the reference hold its noise, no translator does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from qa_suite.core.volume import Grid, Volume
from qa_suite.judging.criteria.built_in import TOO_GOOD
from qa_suite.lab.exam.scenes import virtual_person
from qa_suite.lab.phantom import make_patient, oracle_twin
from qa_suite.lab.phantom.candidates import BULK, REALISTIC, TWIN
from qa_suite.metrics.base import Pair
from qa_suite.metrics.image.family import image
from qa_suite.metrics.image.family import noise as noise_alone
from qa_suite.metrics.image.settings import ImageSettings

BOUNDS = {criterion.metric: criterion.bound for criterion in TOO_GOOD}
MARBLED = ((1, "B", 43), (2, "C", 13), (1, "B", 10))  # seed, hospital, number
"""Fat between the fibres of their muscles differs from voxel to voxel, as noise does."""
SETTINGS = ImageSettings(structures=False, shells_mm=(), synthrad_modes=())


@pytest.fixture(scope="module", params=[("A", 1), ("C", 2)])
def patient(request):
    return make_patient(*request.param, seed=4, spacing_mm=(6, 6, 6))


def noise(shape, sd, seed=0):
    return np.random.default_rng(seed).normal(0, sd, shape).astype(np.float32)


def measured(patient, synthetic, reference=None):
    reference = patient.ct if reference is None else reference
    pair = Pair(
        reference=reference,
        synthetic=reference.with_array(np.asarray(synthetic, dtype=np.float32)),
        mask=patient.body,
    )
    found = {v.metric: v for v in image(pair, SETTINGS) if v.region == "body"}
    return found["error_to_noise"], found["shared_noise"]


COPIES = {
    "as it is": lambda ct: ct,
    "int16": lambda ct: ct.astype(np.int16),
    "float16": lambda ct: ct.astype(np.float16),
    "steps of 16 HU": lambda ct: np.round(ct / 16) * 16,
    "less its intercept": lambda ct: ct + 1024,
    "scaled": lambda ct: 0.9 * ct - 30,
    "clipped": lambda ct: np.clip(ct, -200, 300),
    "without its background": lambda ct: np.where(ct < -300, -1000, ct),
    "3 HU of noise": lambda ct: ct + noise(ct.shape, 3),
    "6 HU of noise": lambda ct: ct + noise(ct.shape, 6),
    "blurred a little": lambda ct: ndimage.gaussian_filter(ct, 0.6),
    "mixed with the truth of another": lambda ct: 0.6 * ct + 0.4 * ndimage.gaussian_filter(ct, 3),
    "one voxel on": lambda ct: np.roll(ct, 1, 0),
    "two voxels back": lambda ct: np.roll(ct, (-2, 1), (1, 2)),
    "cropped": lambda ct: np.where(np.arange(ct.shape[2]) < ct.shape[2] // 2, ct, -1000),
    "shaded": lambda ct: ct + 40 * np.linspace(-1, 1, ct.shape[0])[:, None, None],
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_of_the_reference_hold_its_noise(patient, name):
    ratio, shared = measured(patient, COPIES[name](patient.ct.array.astype(np.float32)))
    assert shared.value >= BOUNDS["shared_noise"] + 0.2, (ratio.value, shared.value)


def test_the_error_of_a_copy_is_below_the_noise(patient):
    ct = patient.ct.array
    for sd, most in ((0, 0), (3, 0.55)):
        ratio, shared = measured(patient, ct + noise(ct.shape, sd))
        assert ratio.value <= most and shared.value == pytest.approx(1, abs=0.2)


def accused(reference, synthetic, mask):
    pair = Pair(
        reference=reference,
        synthetic=reference.with_array(np.asarray(synthetic, dtype=np.float32)),
        mask=mask,
    )
    ratio, shared = (value.value for value in noise_alone(pair, SETTINGS))
    return ratio < BOUNDS["error_to_noise"], shared > BOUNDS["shared_noise"]


@pytest.mark.parametrize(("seed", "hospital", "number"), (*MARBLED, (1, "A", 41), (1, "C", 41)))
def test_no_candidate_is_accused_for_the_anatomy_that_it_knows(seed, hospital, number):
    person = virtual_person(hospital, number, seed=seed)
    reference, mask = person.reference, person.truth.body
    for name in (TWIN, REALISTIC, BULK):
        synthetic = person.scene(name).clean.array
        assert accused(reference, synthetic, mask) == (False, False), name
    copy = reference.array + noise(reference.grid.shape, 3)
    assert accused(reference, copy, mask) == (True, True)


def test_the_share_of_independent_noise_is_below_zero_and_its_error_is_known():
    shape = (40, 40, 40)
    mask = np.ones(shape, dtype=bool)
    reference = Volume(
        array=noise(shape, 10, 1), grid=Grid(shape=shape, spacing_mm=(1, 1, 1)), quantity="HU"
    )
    found = []
    for seed in range(2, 12):
        pair = Pair(
            reference=reference, synthetic=reference.with_array(noise(shape, 10, seed)), mask=mask
        )
        found.append(noise_alone(pair, SETTINGS)[1].value)
    assert max(found) < 0.02  # the largest of 125 lower limits of three standard errors


def test_too_few_quiet_places_are_undefined_with_their_number():
    shape = (15, 15, 15)  # 13³ = 2197 voxels with all their neighbours, 2500 are needed
    mask = np.ones(shape, dtype=bool)
    reference = Volume(
        array=noise(shape, 10, 1), grid=Grid(shape=shape, spacing_mm=(1, 1, 1)), quantity="HU"
    )
    for value in noise_alone(Pair(reference=reference, synthetic=reference, mask=mask), SETTINGS):
        assert value.status == "undefined"
        assert "2197 voxels" in value.why and "2500" in value.why


def test_images_that_know_nothing_of_the_noise_are_not_accused(patient):
    truth = patient.ct_noise_free
    bulk = np.select([truth.array < -400, truth.array > 200], [-1000, 700], 30).astype(np.float32)
    honest = {
        "twin": oracle_twin(truth, seed=3).array,
        "truth": truth.array,
        "truth with noise": truth.array + noise(truth.grid.shape, 12, 7),
        "bulk densities": bulk,
        "smooth": ndimage.gaussian_filter(truth.array, 1.0),
        "too noisy": truth.array + noise(truth.grid.shape, 60, 8),
        "texture of another": np.roll(patient.ct.array - truth.array, 11, 0) + truth.array,
    }
    for name, synthetic in honest.items():
        ratio, shared = measured(patient, synthetic)
        assert shared.value < BOUNDS["shared_noise"] - 0.15, name
        assert ratio.value > BOUNDS["error_to_noise"] + 0.2, name


def test_a_reference_without_noise_tells_nothing(patient):
    flat = patient.ct.with_array(np.where(patient.body, 40.0, -1000.0).astype(np.float32))
    for found in measured(patient, flat.array, flat):
        assert found.status == "undefined" and "noise" in found.why


def test_other_quantities_are_asked_alike(patient):
    rng = np.random.default_rng(2)
    smooth = 200 + 50 * np.sin(np.indices(patient.grid.shape).sum(axis=0) / 9)
    signal = (smooth + rng.normal(0, 8, smooth.shape)).astype(np.float32)
    reference = Volume(array=signal, grid=patient.grid, quantity="SUVbw")
    fresh = smooth + rng.normal(0, 8, smooth.shape)
    assert measured(patient, fresh, reference)[1].value < 0.1
    assert measured(patient, signal + noise(signal.shape, 2), reference)[1].value > 0.8
