"""Faults of the numbers: the anatomy stays where it is and its HU are wrong."""

from __future__ import annotations

import numpy as np

from qa_suite.core.volume import Volume
from qa_suite.lab.faults.base import AIR_HU, FAULTS, FaultFacts, Scene, changed

DOSE_RULE = (
    "costs 1 % of the dose in the mean over all beams (2.5 mm of water), or 2 % of one beam "
    "(5 mm), at the 0.4 %/mm by which a 6 MV beam falls (TPR20,10 = 0.67; IAEA TRS-398). 2 % is "
    "what the dose of 95 % of the patients should hold in all (Korsholm et al. 2014, Radiat "
    "Oncol 9:16)"
)
_LEVELS = ("muscle_level", "fat_level", "air_error")
_BIAS = (("me", "body"), ("me", "soft"))


@FAULTS.add(
    "hu_bias",
    FaultFacts(
        title="HU bias",
        unit="HU",
        severities=(10, 20, 30, 60),
        clinical=30,
        why_clinical=f"{DOSE_RULE}; measured: 3.2 mm in the mean",
        hits="all",
        changes_dose=True,
        answers=_BIAS,
        answers_alone=_LEVELS,
    ),
)
def hu_bias(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Add the same number of HU everywhere."""
    return changed(scene.clean, scene.clean.array + np.float32(severity), f"{severity:+g} HU")


@FAULTS.add(
    "hu_scale",
    FaultFacts(
        title="HU scale",
        unit="%",
        severities=(1, 2, 3, 6),
        clinical=3,
        why_clinical=f"{DOSE_RULE}; measured: 3.1 mm in the mean",
        hits="all",
        changes_dose=True,
        answers=(("slope_error", "body"), ("me", "body"), ("me", "soft")),
        answers_alone=("muscle_level", "fat_level"),
    ),
)
def hu_scale(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Stretch the scale about air: HU + 1000 grows by some percent."""
    factor = np.float32(1 + severity / 100)
    scaled = (scene.clean.array - np.float32(AIR_HU)) * factor + np.float32(AIR_HU)
    return changed(scene.clean, scaled, f"HU + 1000 times {factor:g}")


@FAULTS.add(
    "intercept_lost",
    FaultFacts(
        title="Rescale intercept lost",
        unit="HU",
        severities=(1024,),
        clinical=1024,
        why_clinical="The image says twice the density of water; any dose is wrong",
        hits="all",
        changes_dose=True,
        answers=_BIAS,
        answers_alone=_LEVELS,
    ),
)
def intercept_lost(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Store the numbers without their rescale intercept: all are too high by 1024."""
    return changed(scene.clean, scene.clean.array + np.float32(severity), "intercept lost")


@FAULTS.add(
    "blurred",
    FaultFacts(
        title="Blurred",
        unit="mm FWHM",
        severities=(3, 5, 8, 12),
        clinical=8,
        why_clinical=(
            "an edge is spread over 3.4 mm (SD), more than the 3 mm of distance to agreement by "
            "which contours and doses are commonly judged (AAPM TG-218: Miften et al. 2018, Med "
            "Phys 45:e53, asks 2 mm)"
        ),
        hits="all",
        answers=(("high_frequency_ratio", "body"),),
        answers_alone=("sharpness", "noise_level"),
    ),
)
def blurred(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Smooth by a Gaussian."""
    from scipy import ndimage

    sigma = [severity / 2.3548 / s for s in scene.grid.spacing_mm]
    smooth = ndimage.gaussian_filter(scene.clean.array, sigma, mode="nearest")
    return changed(scene.clean, smooth, f"blurred, {severity:g} mm FWHM")


@FAULTS.add(
    "noise",
    FaultFacts(
        title="Noise",
        unit="HU SD",
        severities=(20, 40, 80, 160),
        clinical=40,
        why_clinical=(
            "not by dose: by Rose's criterion (a contrast of five SD is seen: Rose 1948, J Opt Soc "
            "Am 38:196) fat against muscle, 150 HU, is lost in single voxels above 30 HU"
        ),
        hits="all",
        answers=(("noise_level", "soft"), ("high_frequency_ratio", "body"), ("rmse", "soft")),
        answers_alone=("noise_level",),
    ),
)
def noise(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Add white noise."""
    grain = rng.standard_normal(scene.grid.shape, dtype=np.float32) * np.float32(severity)
    return changed(scene.clean, scene.clean.array + grain, f"noise of {severity:g} HU")


@FAULTS.add(
    "slice_jump",
    FaultFacts(
        title="One slice with another intensity",
        unit="HU",
        severities=(10, 20, 30, 60),
        clinical=30,
        why_clinical=f"{DOSE_RULE}; coplanar beams run within the slice, so as for a HU bias",
        hits="patient",
        changes_dose=True,
        answers=(("slice_error", "body"),),
        answers_alone=("slice_jump",),
    ),
)
def slice_jump(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Raise one axial slice of the middle half."""
    array = scene.clean.array.copy()
    k = _middle_slice(scene, rng)
    array[..., k] += np.float32(severity)
    return changed(scene.clean, array, f"slice {k} {severity:+g} HU")


@FAULTS.add(
    "streaks",
    FaultFacts(
        title="Streaks as of metal",
        unit="HU",
        severities=(50, 100, 200, 400),
        clinical=200,
        why_clinical=f"{DOSE_RULE}; measured: 9 mm in one beam",
        hits="patient",
        changes_dose=True,
        answers=(("percentile_99_error", "soft"), ("rmse", "soft")),
        answers_alone=("streak_index", "noise_level", "implausible_voxels"),
    ),
)
def streaks(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Draw bright and dark bands from two centres in the hips through a third of the slices."""
    nx, ny, nz = scene.grid.shape
    dx, dy, _ = scene.grid.spacing_mm
    centres = ((0.3 * nx, 0.5 * ny), (0.7 * nx, 0.5 * ny))
    phase = rng.uniform(0, 2 * np.pi)
    pattern = np.zeros((nx, ny), dtype=np.float32)
    for cx, cy in centres:
        x, y = np.ix_((np.arange(nx) - cx) * dx, (np.arange(ny) - cy) * dy)
        fade = np.exp(-np.hypot(x, y) / 120.0)
        pattern += (fade * np.cos(6 * np.arctan2(y, x) + phase)).astype(np.float32)
    pattern *= np.float32(severity / max(float(np.abs(pattern).max()), 1e-6))
    array = scene.clean.array.copy()
    third = slice(nz // 3, 2 * nz // 3)
    array[..., third] += pattern[..., None] * scene.body[..., third]
    return changed(scene.clean, array, f"streaks of {severity:g} HU")


@FAULTS.add(
    "nan",
    FaultFacts(
        title="Voxels that are no number",
        unit="voxels",
        severities=(1, 10, 1000),
        clinical=1,
        why_clinical="a planning system cannot read it, or reads anything",
        hits="patient",
        answers=(("nonfinite_voxels", "all"),),
        answers_alone=("nonfinite_voxels",),
    ),
)
def nan(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Replace voxels of the body by NaN."""
    array = scene.clean.array.copy()
    inside = np.argwhere(scene.body)
    chosen = inside[rng.choice(len(inside), size=int(severity), replace=False)]
    array[tuple(chosen.T)] = np.nan
    return scene.clean.with_array(array, step=f"fault: {severity:g} voxels are NaN")


def _middle_slice(scene: Scene, rng: np.random.Generator) -> int:
    depth = scene.grid.shape[2]
    return int(rng.integers(depth // 4, depth - depth // 4))


@FAULTS.add(
    "one_site",
    FaultFacts(
        title="One site bad while the pool is good",
        unit="HU",
        severities=(20, 30, 40),
        clinical=30,
        why_clinical=f"{DOSE_RULE}; measured: 3.2 mm in the mean, for the patients of that site",
        hits="site",
        changes_dose=True,
        answers=_BIAS,
        answers_alone=_LEVELS,
    ),
)
def one_site(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Bias the HU of the smallest site; the mean over all patients stays within its bound."""
    return hu_bias(scene, severity, rng)


@FAULTS.add(
    "one_patient",
    FaultFacts(
        title="One patient terrible while the mean is good",
        unit="HU",
        severities=(30, 60, 120),
        clinical=30,
        why_clinical=f"{DOSE_RULE}; measured: 3.2 mm in the mean, for this patient",
        hits="patient",
        changes_dose=True,
        answers=(*_BIAS, ("mae", "body")),
        answers_alone=_LEVELS,
    ),
)
def one_patient(scene: Scene, severity: float, rng: np.random.Generator) -> Volume:
    """Bias the HU of one patient; the mean over all patients hardly moves."""
    return hu_bias(scene, severity, rng)
