"""Faults of leakage: the answer was taken from the reference that it is held against."""

from __future__ import annotations

import numpy as np

from qa_suite.core.volume import Volume
from qa_suite.lab.faults.base import FAULTS, FaultFacts, Scene, changed

_LEAKED = (("shared_noise", "body"), ("error_to_noise", "body"))


@FAULTS.add(
    "reference_leaked",
    FaultFacts(
        title="Reference leaked",
        unit="HU SD",
        severities=(6, 3, 1, 0),
        clinical=3,
        why_clinical=(
            "the verdict is about a copied file and not about a translator: its first patient "
            "without a CT is its first examination"
        ),
        hits="all",
        answers=_LEAKED,
    ),
)
def reference_leaked(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Give back the reference with that much white noise."""
    grain = rng.standard_normal(scene.grid.shape, dtype=np.float32) * np.float32(severity)
    array = np.asarray(scene.reference.array, dtype=np.float32) + grain
    return changed(scene.clean, array, f"the reference with noise of {severity:g} HU")


@FAULTS.add(
    "reference_of_one",
    FaultFacts(
        title="Reference leaked in one patient",
        unit="HU SD",
        severities=(6, 3, 1, 0),
        clinical=3,
        why_clinical="as for all patients: this one was not examined",
        hits="patient",
        answers=_LEAKED,
    ),
)
def reference_of_one(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Give back the reference of one patient with that much white noise."""
    return reference_leaked(scene, severity, rng)


@FAULTS.add(
    "reference_filtered",
    FaultFacts(
        title="Reference leaked and filtered",
        unit="mm FWHM",
        severities=(3, 2, 1),
        clinical=2,
        why_clinical="as for a reference that leaked: resampling does not make it an answer",
        hits="all",
        answers=_LEAKED,
    ),
)
def reference_filtered(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Give back the reference, smoothed a little."""
    from scipy import ndimage

    sigma = [severity / 2.3548 / s for s in scene.grid.spacing_mm]
    array = ndimage.gaussian_filter(np.asarray(scene.reference.array, np.float32), sigma)
    return changed(scene.clean, array, f"the reference, {severity:g} mm FWHM")
