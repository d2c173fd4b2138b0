"""Checks of the numbers: finite, plausible, air and tissues where HU has them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.imaging.robust import otsu, thinned
from qa_suite.metrics.base import Censored, NoValue
from qa_suite.metrics.reference_free.checks import Answer, check
from qa_suite.metrics.reference_free.patient import Scene
from qa_suite.metrics.reference_free.settings import ReferenceFreeSettings

_DEFAULT = ReferenceFreeSettings()
_WINDOW = _DEFAULT.level_window_hu
_BIN_HU = 4.0
_SMOOTHING_BINS = 3.0
_FEWEST = 50  # voxels that make a peak


@check(
    "nonfinite_voxels",
    title="Voxels that are no number",
    unit="voxels",
    direction="lower",
    value_range="[0, inf)",
    kind="positive",
    formula="number of voxels of the synthetic image that are NaN or infinite",
    regions=("all",),
    needs=(),
)
def nonfinite_voxels(scene: Scene, region: str) -> Answer:
    """Count the voxels that are NaN or infinite."""
    return float(scene.nonfinite)


@check(
    "implausible_voxels",
    title="Implausible values",
    unit="%",
    direction="lower",
    value_range="[0, 100]",
    kind="bounded",
    formula=(
        "share of the body's voxels below -1025 or above 3071 HU, or 1000 HU above (below) all six "
        "neighbours"
    ),
)
def implausible_voxels(scene: Scene, region: str) -> Answer:
    """Share of the body with values that no CT has, in %."""
    from qa_suite.metrics.reference_free.kernels import count_isolated

    low, high = scene.settings.plausible_hu
    values = scene.body_values
    wrong = int(np.count_nonzero((values < low) | (values > high)))
    lonely = count_isolated(scene.hu, scene.body, scene.settings.isolated_hu)
    return 100 * min(1.0, (wrong + int(lonely)) / values.size)


@check(
    "air_error",
    title="Air outside the body against -1000 HU",
    unit="HU",
    direction="zero",
    regions=("air",),
    formula="peak of the histogram outside the synthetic image's body, plus 1000 HU",
    empty="undefined where the body fills the image",
)
def air_error(scene: Scene, region: str) -> Answer:
    """How far air lies from -1000 HU."""
    outside = ~scene.body
    if not outside.any():
        return NoValue(why="the body fills the image: there is no air around it")
    level = peak(thinned(scene.hu[outside]), scene.settings.level_halfwidth_hu)
    return level + 1000 if isinstance(level, float) else level


@check(
    "fat_level",
    title="Level of fat",
    unit="HU",
    formula=(
        "peak of the body's histogram below Otsu's threshold of the values within ±300 HU: "
        "median within 40 HU of the mode"
    ),
    regions=("fat",),
    reference="Otsu 1979, IEEE Trans Syst Man Cybern 9:62 (the threshold)",
    empty="undefined where too few voxels lie there",
    censored="at most that where the lower end of that window cuts into the peak",
    ends=(_WINDOW[0] + _DEFAULT.level_halfwidth_hu,),
)
def fat_level(scene: Scene, region: str) -> Answer:
    """Where the lower of the two soft-tissue peaks lies."""
    return _soft_peak(scene, upper=False)


@check(
    "muscle_level",
    title="Level of muscle and organs",
    unit="HU",
    formula=(
        "peak of the body's histogram above Otsu's threshold of the values within ±300 HU: "
        "median within 40 HU of the mode"
    ),
    regions=("soft",),
    reference="Otsu 1979, IEEE Trans Syst Man Cybern 9:62 (the threshold)",
    empty="undefined where too few voxels lie there",
    censored="at least that where the upper end of that window cuts into the peak",
    ends=(_WINDOW[1] - _DEFAULT.level_halfwidth_hu,),
)
def muscle_level(scene: Scene, region: str) -> Answer:
    """Where the upper of the two soft-tissue peaks lies."""
    return _soft_peak(scene, upper=True)


@check(
    "hu_range_99_9",
    title="99.9th percentile in the body",
    unit="HU",
    formula="99.9th percentile of the body's values: clipped or missing dense bone, metal",
)
def hu_range_99_9(scene: Scene, region: str) -> Answer:
    """How high the densest thousandth of the body reaches."""
    return float(np.percentile(scene.body_values, 99.9))


@check(
    "tissue_volume",
    title="Volume of a tissue in the body",
    unit="cc",
    value_range="[0, inf)",
    kind="positive",
    formula=(
        "air < -200 ≤ fat < -30 ≤ soft < 250 ≤ bone, in HU of the synthetic image; air: deeper "
        "than 10 mm below the skin, whose partial volumes are none"
    ),
    regions=("air", "fat", "soft", "bone"),
    reference=(
        "Definition of this suite; bounds between the tissues' HU of Schneider, Bortfeld and "
        "Schlegel 2000, Phys Med Biol 45:459"
    ),
)
def tissue_volume(scene: Scene, region: str) -> Answer:
    """Volume of one tissue inside the body, in cc."""
    return _count(scene, region) * scene.grid.voxel_volume_cc


@check(
    "tissue_ratio",
    title="Share of a tissue in the body",
    unit="%",
    value_range="[0, 100]",
    kind="bounded",
    formula="volume of the tissue over that of the synthetic image's body",
    regions=("air", "fat", "soft", "bone"),
)
def tissue_ratio(scene: Scene, region: str) -> Answer:
    """Share of the body's volume that is one tissue, in %."""
    return 100 * _count(scene, region) / scene.body_values.size


def _count(scene: Scene, region: str) -> int:
    settings = scene.settings
    values = scene.hu[scene.deep_body] if region == "air" else scene.body_values
    low, high = settings.fat_hu
    bounds = {
        "air": (-np.inf, low),
        "fat": (low, high),
        "soft": (high, settings.bone_hu),
        "bone": (settings.bone_hu, np.inf),
    }[region]
    return int(np.count_nonzero((values >= bounds[0]) & (values < bounds[1])))


def _soft_peak(scene: Scene, *, upper: bool) -> Answer:
    low, high = scene.settings.level_window_hu
    values = thinned(scene.body_values)
    values = values[(values >= low) & (values <= high)]
    if values.size < _FEWEST:
        return NoValue(why=f"only {values.size} voxels lie between {low:g} and {high:g} HU")
    if "parting" not in scene.shared:
        scene.shared["parting"] = otsu(values)
    parting = scene.shared["parting"]
    part = values[values > parting] if upper else values[values <= parting]
    level = peak(part, scene.settings.level_halfwidth_hu)
    return level if isinstance(level, NoValue) else _cut(level, scene, upper=upper)


def _cut(level: float, scene: Scene, *, upper: bool) -> float | Censored:
    """Say what is known of a peak where the window cuts off the part that lies beyond its end."""
    low, high = scene.settings.level_window_hu
    why = f"the peak is cut by the window of {low:g} to {high:g} HU"
    if upper and level + scene.settings.level_halfwidth_hu >= high:
        return Censored(at_least=level, why=why)
    if not upper and level - scene.settings.level_halfwidth_hu <= low:
        return Censored(at_most=level, why=why)
    return level


def peak(values: NDArray[np.floating], halfwidth: float) -> float | NoValue:
    """Median of the values around the mode of their smoothed histogram."""
    from scipy.ndimage import gaussian_filter1d

    if values.size < _FEWEST:
        return NoValue(why=f"only {values.size} voxels, too few for a peak")
    low, high = np.percentile(values, [0.5, 99.5])
    bins = int(np.clip((high - low) / _BIN_HU, 1, 4096))
    counts, edges = np.histogram(values, bins=bins, range=(low, max(high, low + _BIN_HU)))
    smooth = gaussian_filter1d(counts.astype(float), _SMOOTHING_BINS, mode="constant")
    top = int(np.argmax(smooth))
    mode = (edges[top] + edges[top + 1]) / 2
    return float(np.median(values[np.abs(values - mode) <= max(halfwidth, _BIN_HU)]))
