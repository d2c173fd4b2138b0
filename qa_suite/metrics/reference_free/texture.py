"""Checks of texture: noise, sharpness and streaks."""

from __future__ import annotations

import numpy as np

from qa_suite.core.wording import count
from qa_suite.imaging.robust import MAD_TO_SD_EXACT, thinned
from qa_suite.metrics.base import Censored, NoValue
from qa_suite.metrics.reference_free.checks import Answer, check
from qa_suite.metrics.reference_free.patient import Scene

_P90 = 1.6448536269514722  # 90th percentile of |x| of a standard normal
_FEWEST = 100
_LEAVES = "such noise carries voxels out of the window of soft tissue, which leaves them out"


def largest_level(scene: Scene) -> float:
    """Return the noise up to which the window of soft tissue keeps nearly all voxels, in HU."""
    low, high = scene.settings.soft_window_hu
    return (high - low) / 8


@check(
    "noise_level",
    title="Noise in soft tissue",
    unit="HU",
    value_range="[0, inf)",
    kind="positive",
    formula=(
        "1.4826 median |r|, r = the slice filtered with [1 −2 1] ⊗ [1 −2 1] / 6, where all nine "
        "voxels are body within ±250 HU"
    ),
    regions=("soft",),
    reference="Immerkær 1996, Comput Vis Image Underst 64:300 (the filter)",
    empty="undefined with fewer than 100 such voxels",
    censored="at least that beyond a quarter of 250 HU, where noise carries voxels out of ±250 HU",
    ends=(62.5,),
)
def noise_level(scene: Scene, region: str) -> Answer:
    """Robust standard deviation of the noise, in HU."""
    values, _ = scene.residuals
    if values.size < _FEWEST:
        return NoValue(why=f"only {values.size} voxels lie inside soft tissue")
    level = MAD_TO_SD_EXACT * float(np.median(np.abs(thinned(values))))
    if level >= largest_level(scene):
        return Censored(at_least=level, why=_LEAVES)
    return level


@check(
    "streak_index",
    title="Unrest of the worst slice",
    unit="1",
    value_range="[1, inf)",
    kind="positive",
    formula=(
        "largest over median of the slices' 90th percentile |r|, r as in noise_level: metal "
        "streaks and broken slices"
    ),
    regions=("soft",),
    reference="Immerkær 1996, Comput Vis Image Underst 64:300 (the filter)",
    empty="undefined with fewer than 5 slices of soft tissue, without any noise, or where the "
    "usual slice is too noisy to tell",
    censored="at least that where the worst slice is so noisy that voxels leave ±250 HU",
)
def streak_index(scene: Scene, region: str) -> Answer:
    """How much the most restless slice exceeds the usual one."""
    values, counts = scene.residuals
    parts = np.split(np.abs(values), np.cumsum(counts)[:-1])
    levels = [float(np.percentile(part, 90)) for part in parts if part.size >= _FEWEST]
    if len(levels) < 5:
        return NoValue(why=f"only {count(len(levels), 'slice')} of soft tissue to compare")
    usual = float(np.median(levels))
    if usual == 0:
        return NoValue(why="the image has no noise to compare with")
    most = _P90 * largest_level(scene)
    if usual > most:
        return NoValue(why=f"the usual slice is too noisy: {_LEAVES}")
    if max(levels) > most:
        return Censored(at_least=max(levels) / usual, why=_LEAVES)
    return max(levels) / usual


@check(
    "sharpness",
    title="Steepness of edges",
    unit="HU/mm",
    value_range="[0, inf)",
    kind="positive",
    formula=(
        "median length of the gradient in the cells of eight voxels that the surface crosses; "
        "skin: of the body; bone: of all above 250 HU in it"
    ),
    regions=("skin", "bone"),
    empty="undefined where there is no such surface",
)
def sharpness(scene: Scene, region: str) -> Answer:
    """How steep the skin and the bones are, in HU/mm."""
    from qa_suite.metrics.reference_free.kernels import edge_gradients

    mask = scene.body
    if region == "bone":
        mask = mask & (scene.hu >= scene.settings.bone_hu)
    found = edge_gradients(scene.hu, mask, np.asarray(scene.grid.spacing_mm))
    if found.size < _FEWEST:
        return NoValue(why=f"only {found.size} cells at the edge of {region}")
    return float(np.median(thinned(found)))
