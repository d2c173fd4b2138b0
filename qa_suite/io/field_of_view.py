"""Where the source image has no signal because nothing was scanned there.

A scan that was turned or cropped onto a regular grid is padded with one constant value: whole
slices, or wedges. A translator cannot know what lies there, so it is not measured there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.volume import Volume, canonical

_THIN_MM = 10.0  # a thinner rim is the outline of a shifted patient, not the end of the scan


def padding_in(source: Volume, body: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the part of the body where the source holds nothing but its padding.

    Parameters
    ----------
    source
        The image to translate.
    body
        The patient as the reference shows him; bool, of the source's shape.

    Returns
    -------
    ndarray of bool, of the source's shape
        Voxels of the body whose value is the lowest of the image, in parts that reach the
        image's border and are at least 10 mm thick in their slice.
    """
    turn = source.grid.turn  # slices lie across the patient, whichever axis counts them
    return turn.undo(_padding(canonical(source), turn.apply(body)))


def _padding(source: Volume, body: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy import ndimage

    array = source.array
    finite = np.isfinite(array)
    if not finite.any():
        return np.zeros(body.shape, dtype=bool)
    blank = finite & (array == array[finite].min())
    # Thickness is told within the slice: the end of a scan is a whole blank slice.
    spacing = source.grid.spacing_mm[:2]
    thick = np.zeros(body.shape, dtype=bool)
    for k in np.flatnonzero((blank & body).any(axis=(0, 1))):
        piece = np.pad(blank[..., k] & body[..., k], 1)  # the image's border cuts, it adds no rim
        core = ndimage.distance_transform_edt(piece, sampling=spacing) > _THIN_MM / 2
        near = ndimage.distance_transform_edt(~core, sampling=spacing) <= _THIN_MM / 2
        thick[..., k] = (near & piece)[1:-1, 1:-1] if core.any() else False
    parts, count = ndimage.label(blank)
    if count == 0:
        return thick
    border = np.ones(body.shape, dtype=bool)
    border[1:-1, 1:-1, 1:-1] = False
    reaching = np.unique(parts[border & blank])
    return thick & np.isin(parts, reaching[reaching > 0])
