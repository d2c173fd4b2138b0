"""A score too good to be true: copies of the reference hold its noise, no translator does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from qa_suite.measures.base import Pair
from qa_suite.measures.image import image
from qa_suite.measures.image_settings import ImageSettings
from qa_suite.phantom import make_patient, oracle_twin
from qa_suite.volume import Volume

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
    "12 HU of noise": lambda ct: ct + noise(ct.shape, 12),
    "30 HU of noise": lambda ct: ct + noise(ct.shape, 30),
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
    assert shared.value >= 0.45, (ratio.value, shared.value)


def test_the_error_of_a_copy_is_below_the_noise(patient):
    ct = patient.ct.array
    for sd, most in ((0, 0), (3, 0.4)):
        ratio, shared = measured(patient, ct + noise(ct.shape, sd))
        assert ratio.value <= most and shared.value == pytest.approx(1, abs=0.1)


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
        assert shared.value < 0.25, name
        assert ratio.value > 0.9, name


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
    assert measured(patient, fresh, reference)[1].value < 0.25
    assert measured(patient, signal + noise(signal.shape, 2), reference)[1].value > 0.9
