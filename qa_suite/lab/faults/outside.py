"""Faults outside the body: what the beam crosses before it reaches the patient."""

from __future__ import annotations

import numpy as np

from qa_suite.core.arrays import Float32Array
from qa_suite.core.errors import InputError
from qa_suite.lab.faults.base import AIR_HU, FAULTS, FaultFacts, Planted, Scene, changed
from qa_suite.lab.faults.numbers import DOSE_RULE

COUCH_HU = 100.0


@FAULTS.add(
    "couch_missing",
    FaultFacts(
        title="Couch missing",
        unit="mm",
        severities=(1.5, 3, 6, 12),
        clinical=3,
        why_clinical=f"{DOSE_RULE}; measured: 5.4 mm in a beam from behind",
        hits="all",
        changes_dose=True,
        answers=(("outside_depth", "outside"),),
    ),
)
def couch_missing(scene: Scene, severity: float, rng: np.random.Generator) -> Planted:
    """Lay the patient on a plate of that thickness, and let the translator leave it out."""
    share = _plate(scene, severity)
    what = f"a couch of {severity:g} mm"
    reference, clean = (
        changed(v, np.asarray(v.array + share * (COUCH_HU - AIR_HU), np.float32), what)
        for v in (scene.reference, scene.clean)
    )
    synthetic = changed(scene.clean, scene.clean.array, f"{what} left out")
    return Planted(synthetic=synthetic, reference=reference, clean=clean, source=scene.source)


def _plate(scene: Scene, thickness_mm: float) -> Float32Array:
    """Share of every voxel inside a plate just behind the body; the patient lies supine."""
    step = scene.grid.spacing_mm[1]
    depth = scene.grid.shape[1]
    rows = np.flatnonzero(scene.body.any(axis=(0, 2)))
    front = (rows[-1] + 0.5) * step
    y = np.arange(depth) * step
    overlap = np.minimum(y + step / 2, front + thickness_mm) - np.maximum(y - step / 2, front)
    along = np.clip(overlap / step, 0, 1)
    if along.sum() * step < 0.9 * thickness_mm:
        raise InputError(f"There is no room for a couch of {thickness_mm:g} mm behind the body.")
    share = np.zeros(scene.grid.shape, dtype=np.float32)
    share += along.astype(np.float32)[None, :, None]
    return np.where(scene.body, np.float32(0), share)
