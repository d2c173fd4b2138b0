"""What audit_virtual examines: the truth with a learned translator's errors, and some by design."""

from __future__ import annotations

import hashlib

import numpy as np

from qa_suite.core.prediction import Prediction
from qa_suite.io.cases import LoadedCase
from qa_suite.lab.phantom.candidate_errors import error_model, with_errors

BAD_SITE, OFFSET_HU = "hospital-G", 15.0
STOUT_MM, NOISE_HU = 400.0, 25.0


def translate(loaded: LoadedCase) -> Prediction:
    """Return the truth with a learned translator's errors, and with what is planted."""
    truth, case = loaded.truth["noise_free_reference"], loaded.case
    assert loaded.mask is not None
    seed = int(hashlib.sha256(case.case.encode()).hexdigest()[:8], 16)
    image = with_errors(truth, loaded.mask, error_model(), seed=seed)
    values = image.array.astype(np.float32)
    if case.site == BAD_SITE:
        values = np.where(loaded.mask, values + OFFSET_HU, values)
    if (case.strata.body_width_mm or 0) >= STOUT_MM:
        noise = np.random.default_rng(seed).normal(0, NOISE_HU, values.shape)
        values = np.where(loaded.mask, values + noise, values)
    return Prediction(mean=image.with_array(values.astype(np.float32), step="planted"))
