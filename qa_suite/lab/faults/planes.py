"""Faults of single planes: a network that works slice by slice and forgets its neighbours."""

from __future__ import annotations

import numpy as np

from qa_suite.core.volume import Volume
from qa_suite.lab.faults.base import FAULTS, FaultFacts, Scene, changed
from qa_suite.lab.faults.numbers import DOSE_RULE
from qa_suite.lab.faults.placement import MM_RULE


@FAULTS.add(
    "slices_alternate",
    FaultFacts(
        title="Slices too bright and too dark by turns",
        unit="HU, ±",
        severities=(10, 20, 30, 60),
        clinical=30,
        why_clinical=f"{DOSE_RULE}; coplanar beams run within the slice, so as for a HU bias",
        hits="all",
        changes_dose=True,
        answers=(("plane_jitter", "body"), ("slice_error", "body")),
        answers_alone=("slice_jump", "slice_agreement_drop"),
    ),
)
def slices_alternate(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Raise every second axial slice of the body and lower the others by as much."""
    sign = np.where(np.arange(scene.grid.shape[2]) % 2, 1, -1) * np.float32(severity)
    array = scene.clean.array + (scene.body * sign).astype(np.float32)
    return changed(scene.clean, array, f"slices by turns ±{severity:g} HU")


@FAULTS.add(
    "slice_levels",
    FaultFacts(
        title="Every slice at a level of its own",
        unit="HU SD",
        severities=(5, 10, 20, 40),
        clinical=20,
        why_clinical=(
            f"{DOSE_RULE}; one slice in eight lies 1.5 standard deviations off, 30 HU: as for a HU "
            "bias in that slice"
        ),
        hits="all",
        changes_dose=True,
        answers=(("plane_jitter", "body"), ("slice_error", "body")),
        answers_alone=("slice_jump", "slice_agreement_drop"),
    ),
)
def slice_levels(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Add a number of its own to every axial slice of the body; the mean over them stays."""
    level = rng.standard_normal(scene.grid.shape[2])
    share = scene.body.sum(axis=(0, 1))
    level = (level - np.average(level, weights=share)) * severity
    array = scene.clean.array + (scene.body * level).astype(np.float32)
    return changed(scene.clean, array, f"slices off by {severity:g} HU (SD)")


@FAULTS.add(
    "slice_jitter",
    FaultFacts(
        title="Slices shifted against each other",
        unit="mm SD",
        severities=(1, 2, 3, 6),
        clinical=2,
        why_clinical=MM_RULE,
        hits="all",
        answers=(
            ("local_shift_95", "body"),
            ("local_shift_median", "body"),
            ("contour_distance_95", "seg:Body"),
            ("contour_distance", "seg:Body"),
            ("contour_loss", "seg:Body"),
            ("positioning_shift", "body"),
        ),
        answers_alone=(
            "slice_agreement_drop",
            "source_contour_distance",
            "source_contour_distance_95",
            "source_mutual_information",
        ),
    ),
)
def slice_jitter(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Shift every axial slice within its plane, each on its own; the mean shift is zero."""
    from scipy import ndimage

    count = scene.grid.shape[2]
    shift = rng.standard_normal((count, 2))
    shift = (shift - shift.mean(axis=0)) * severity / np.asarray(scene.grid.spacing_mm[:2])
    clean = scene.clean.array
    moved = np.stack(
        [ndimage.shift(clean[..., k], shift[k], order=3, mode="nearest") for k in range(count)],
        axis=-1,
    )
    array = np.clip(moved, clean.min(), clean.max()).astype(np.float32)
    return changed(scene.clean, array, f"slices shifted by {severity:g} mm (SD)")
