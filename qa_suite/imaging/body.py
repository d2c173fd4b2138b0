"""The patient's body, told from one image alone: one way of finding it, by named definitions.

=================  ======================  =======  ==================  ===========================
definition         level                   opening  parts kept          for
=================  ======================  =======  ==================  ===========================
``OUTLINE``        −400 HU, or a quarter   3 mm     ≥ 1/10 of largest,  the mask of an import, the
                   of Otsu's threshold              6 neighbours        preflight, dose, measures
                   above the background                                 without a reference
threshold segmenter −500 HU, its settings  none     ≥ 1/10 of largest,  the structure ``Body`` that
(:mod:`.threshold`)                                 26 neighbours       is measured
=================  ======================  =======  ==================  ===========================

The outline should hold the skin wherever a couch or a coil touches it; the segmenter's body lies
where an edge blurred by a symmetric point spread function truly lies, whatever is near.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Mask
from qa_suite.core.volume import Grid, Quantity, Volume
from qa_suite.imaging.boxes import box_mask, data_box
from qa_suite.imaging.masks import filled_slices, large_parts, opened
from qa_suite.imaging.robust import MAD_TO_SD, otsu, thinned

IMPLANT_HU = 3000.0
IMPLANT_CC = 0.05
_NOISE_REACH = 3.0  # standard deviations
_NOISE_FILTER = 3  # voxels, the size of a median
_RAYLEIGH_MEAN = 1.25  # of the magnitude of noise alone, in its standard deviations


@dataclass(frozen=True, kw_only=True)
class BodyDefinition:
    """What counts as body.

    Parameters
    ----------
    above_hu
        The level of an image in HU.
    share_of_otsu
        The level of any other signal: this share of the way from the background to Otsu's
        threshold. Muscle is dark in T1w, and Otsu's threshold itself parts it from fat (on the T1
        images of 12 limbs, Dice with the body of the CT was 0.30–0.80 at Otsu's threshold and
        0.86–0.99 at 0.3 of it).
    opening_mm
        What a box of so much to every side does not fit into is removed: couch sheets and
        sleeves go, fingers stay. 0: nothing is.
    least_share
        Least size of a part, as a share of the largest: a second leg belongs to the patient.
    """

    above_hu: float = -400.0
    share_of_otsu: float = 0.25
    opening_mm: float = 3.0
    least_share: float = 0.1

    def describe(self, quantity: Quantity) -> str:
        """Say in a few words how the body of an image of this quantity is found."""
        if quantity == "HU":
            level = f"above {self.above_hu:g} HU"
        else:
            level = f"above {self.share_of_otsu:g} of Otsu's threshold over the background"
        opening = f", opened by {self.opening_mm:g} mm" if self.opening_mm else ""
        return f"{level}{opening}, parts of at least {self.least_share:g} of the largest, filled"


OUTLINE = BodyDefinition()
"""The body wherever no mask is given; its settings, and why, are its own documentation."""


def body_of(volume: Volume, definition: BodyDefinition = OUTLINE) -> Mask:
    """Find the body in an image: by HU where it is in HU, else by its signal.

    Parameters
    ----------
    volume
        An image; voxels that are not finite are no body.
    definition
        What counts as body.

    Returns
    -------
    ndarray of bool, of the grid's shape
        Empty where nothing stands out of the background.
    """
    find = ct_body if volume.quantity == "HU" else signal_body
    return find(volume.array, volume.grid, definition)


def ct_body(array: NDArray[Any], grid: Grid, definition: BodyDefinition = OUTLINE) -> Mask:
    """Find the body in numbers that are HU, shape of the grid; lungs and gas are filled."""
    with np.errstate(invalid="ignore"):
        return cleaned_body(array > definition.above_hu, grid, definition)


def signal_body(array: NDArray[Any], grid: Grid, definition: BodyDefinition = OUTLINE) -> Mask:
    """Find the body in an image of arbitrary scale: well above the background's signal.

    An image whose noise reaches the level is median-filtered first, and its background taken to
    be the noise's magnitude (Gudbjartsson & Patz 1995, Magn Reson Med 34:910): else the background
    would be body.
    """
    array = _finite(array)
    box = data_box(array)
    if box is None:
        return np.zeros(array.shape, dtype=bool)
    level, low = signal_level(array[box], definition.share_of_otsu)
    if np.isfinite(level) and _NOISE_REACH * _noise(array[box]) > level - low:
        from scipy import ndimage

        # beyond the image is background, as it is where an image ends in air
        smooth = ndimage.median_filter(
            array.astype(np.float32), _NOISE_FILTER, mode="constant", cval=low
        )
        bright = otsu(thinned(smooth[box]))
        floor = _RAYLEIGH_MEAN * _noise(np.where(smooth > bright, array, np.nan)[box])
        array, level = smooth, floor + definition.share_of_otsu * (bright - floor)
    return cleaned_body((array > level) & box_mask(box, array.shape), grid, definition)


def signal_level(values: NDArray[Any], share_of_otsu: float) -> tuple[float, float]:
    """Return the least signal of tissue, and the background's; infinite without contrast."""
    inside = thinned(values).astype(float)
    low, high = np.percentile(inside, [0.5, 99.5])
    if high <= low:
        return np.inf, float(low)
    return float(low + share_of_otsu * (otsu(np.clip(inside, low, high)) - low)), float(low)


def cleaned_body(found: Mask, grid: Grid, definition: BodyDefinition = OUTLINE) -> Mask:
    """Open a mask, keep its large parts, and fill the holes of each slice across the patient."""
    if definition.opening_mm > 0:
        found = opened(found, grid, definition.opening_mm)
    found = large_parts(found, least_share=definition.least_share)
    return filled_slices(found, grid.long_axis)


def body_width_mm(volume: Volume) -> float | None:
    """Width of the body from left to right in the middle slice of an image, in mm.

    None where the middle slice shows no body. Of several parts (two legs) the extent of all.
    """
    grid = volume.grid
    across, along = grid.turn.order[0], grid.long_axis
    middle = np.moveaxis(body_of(volume), along, 0)[grid.shape[along] // 2]
    left = across - (across > along)
    columns = np.flatnonzero(middle.any(axis=1 - left))
    if not len(columns):
        return None
    return round(float(columns[-1] - columns[0] + 1) * grid.spacing_mm[across], 1)


def shows_implant(volume: Volume) -> bool:
    """Whether a CT holds a connected cluster of at least 0.05 cm³ above 3000 HU.

    Dental fillings count too. Cortical bone and tooth enamel stay below; small clips and
    seeds may be missed, so False says nothing.
    """
    if volume.quantity != "HU":
        return False
    with np.errstate(invalid="ignore"):
        dense = volume.array > IMPLANT_HU
    least = IMPLANT_CC / volume.grid.voxel_volume_cc
    return bool(dense.any()) and bool(large_parts(dense, least_voxels=least).any())


def _finite(array: NDArray[Any]) -> NDArray[Any]:
    """Put the least value where there is none."""
    known = np.isfinite(array)
    if known.all():
        return array
    return np.where(known, array, array[known].min() if known.any() else 0)


def _noise(values: NDArray[Any]) -> float:
    """Estimate the noise (standard deviation) by the median difference of neighbours along i."""
    steps = np.abs(thinned(np.diff(values.astype(np.float32), axis=0)))
    steps = steps[np.isfinite(steps)]
    return MAD_TO_SD * float(np.median(steps)) / np.sqrt(2) if len(steps) else 0.0
