"""The patient's outline by threshold, and what can be read off an image at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.volume import Volume

BODY_HU = -400.0
IMPLANT_HU = 3000.0
IMPLANT_CC = 0.05
_OTSU_SHARE = 0.3
_PART = 0.2  # of the largest component: a second leg belongs to the patient, a couch does not


def threshold_body(volume: Volume) -> tuple[NDArray[np.bool_], str]:
    """Return the body of a patient, and in a few words how it was found.

    Above −400 HU for HU; above 0.3 of Otsu's threshold for other signal, because Otsu's own
    parts fat from muscle where an image holds little air (on the T1 images of 12 limbs, Dice
    with the body of the CT was 0.30–0.80 at Otsu's threshold and 0.86–0.99 at 0.3 of it). The
    largest connected part, and any at least a fifth as large (the other leg), is kept and its
    holes are filled slice by slice across the body.

    References
    ----------
    Otsu N (1979) A threshold selection method from gray-level histograms, IEEE Trans Syst
    Man Cybern 9:62.
    """
    if volume.quantity == "HU":
        level, how = BODY_HU, f"above {BODY_HU:g} HU"
    else:
        level = _OTSU_SHARE * otsu(volume.array)
        how = f"above {level:.4g} ({_OTSU_SHARE:g} of Otsu's threshold)"
    with np.errstate(invalid="ignore"):
        inside = volume.array > level
    return filled_slices(
        _main_parts(inside), volume.grid.long_axis
    ), f"{how}, largest parts, filled"


def otsu(array: NDArray) -> float:
    """Return Otsu's threshold of the finite values below their 99.5th percentile."""
    values = array[np.isfinite(array)].astype(np.float64)
    if not values.size:
        return 0.0
    top = np.percentile(values, 99.5)
    counts, edges = np.histogram(values[values <= top], bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    total = np.cumsum(counts * centres)
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = total / below - (total[-1] - total) / above
        between = below * above * difference**2
    return float(centres[int(np.argmax(np.nan_to_num(between)))])


def body_width_mm(volume: Volume) -> float | None:
    """Width of the body from left to right in the middle slice of an image, in mm.

    None where the middle slice shows no body. Of several parts (two legs) the extent of all.
    """
    grid = volume.grid
    across, along = grid.turn.order[0], grid.long_axis
    middle = grid.shape[along] // 2
    slab = [slice(None)] * 3
    slab[along] = slice(middle, middle + 1)
    level = BODY_HU if volume.quantity == "HU" else _OTSU_SHARE * otsu(volume.array)
    with np.errstate(invalid="ignore"):
        inside = _main_parts(volume.array[tuple(slab)] > level)
    columns = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != across)))
    if not len(columns):
        return None
    return round(float(columns[-1] - columns[0] + 1) * grid.spacing_mm[across], 1)


def shows_implant(volume: Volume) -> bool:
    """Whether a CT holds a connected cluster of at least 0.05 cm³ above 3000 HU.

    Dental fillings count too. Cortical bone and tooth enamel stay below; small clips and
    seeds may be missed, so False says nothing.
    """
    from scipy import ndimage

    if volume.quantity != "HU":
        return False
    with np.errstate(invalid="ignore"):
        dense = volume.array > IMPLANT_HU
    if not dense.any():
        return False
    labels, _ = ndimage.label(dense)
    largest = int(np.bincount(labels.ravel())[1:].max())
    return largest * volume.grid.voxel_volume_cc >= IMPLANT_CC


def _main_parts(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy import ndimage

    labels, count = ndimage.label(inside)
    if count <= 1:
        return inside
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= _PART * sizes.max())[labels] & inside)


def filled_slices(
    inside: NDArray[np.bool_], axis: int, *, outside: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Fill the holes of every slice of a mask.

    Lungs and bowel end at the last slice, so they are no holes in three dimensions; within a
    slice across the patient they are. The one filling of holes in the suite.

    Parameters
    ----------
    inside
        The mask, of three axes.
    axis
        Across which its slices lie: :attr:`~qa_suite.core.volume.Grid.long_axis`, never just the
        last.
    outside
        What is open like the image's border, of the same shape, or None.

    Returns
    -------
    ndarray of bool, of the mask's shape
        The mask, and the background that within its slice (4 neighbours) reaches neither the
        border of the image nor ``outside``.
    """
    from scipy import ndimage

    planes = np.moveaxis(~inside, axis, 0)
    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[1, 1, :] = in_plane[1, :, 1] = True
    labels, count = ndimage.label(planes, structure=in_plane)
    open_ = np.zeros(count + 1, dtype=bool)
    open_[0] = True  # the mask itself
    edges = [labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]]
    if outside is not None:
        edges.append(labels[np.moveaxis(outside, axis, 0)])
    for edge in edges:
        open_[edge.ravel()] = True
    return np.ascontiguousarray(inside | np.moveaxis(~open_[labels], 0, axis))
