"""Body and bone by a HU threshold: no learning, no random numbers, the same for every image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qa_suite.errors import GeometryError, InputError
from qa_suite.io.body import filled_slices
from qa_suite.segment.base import SEGMENTERS, SegmenterFacts
from qa_suite.segment.settings import ThresholdSettings
from qa_suite.volume import Volume

Mask = NDArray[np.bool_]


@SEGMENTERS.add(
    "threshold_body",
    SegmenterFacts(
        title="Body by HU threshold",
        structures=("Body",),
        quantity="HU",
        method=(
            "HU >= threshold inside the domain; parts (26 neighbours) of at least the given share "
            "of the largest part; holes of each slice across the patient's long axis filled"
        ),
        empty="no voxel reaches the threshold: an empty mask",
        reference=(
            "Half way between air (-1000 HU) and soft tissue (about 0 HU): where an edge blurred "
            "by a symmetric point spread function truly lies; also the default of matRad "
            "(Wieser et al. 2017, Med Phys 44:2556)"
        ),
        settings=ThresholdSettings.for_body().model_dump(),
    ),
)
def threshold_body(volume: Volume, domain: Mask, settings: ThresholdSettings) -> dict[str, Mask]:
    """Segment the body; see :func:`segment_threshold`."""
    return {"Body": segment_threshold(volume, domain, settings)}


@SEGMENTERS.add(
    "threshold_bone",
    SegmenterFacts(
        title="Dense bone by HU threshold",
        structures=("Bone",),
        quantity="HU",
        method="HU >= threshold inside the domain; parts (26 neighbours) below 0.1 cm³ removed",
        empty="no voxel reaches the threshold, or specks only: an empty mask",
        reference=(
            "Decision of this suite: above soft tissue with its noise (skeletal tissue begins at "
            "about 100 HU: Schneider, Bortfeld, Schlegel 2000, Phys Med Biol 45:459), so cortical "
            "and dense spongy bone, not fatty marrow. Iodine, calcifications and metal count too"
        ),
        settings=ThresholdSettings.for_bone().model_dump(),
    ),
)
def threshold_bone(volume: Volume, domain: Mask, settings: ThresholdSettings) -> dict[str, Mask]:
    """Segment dense bone; see :func:`segment_threshold`."""
    return {"Bone": segment_threshold(volume, domain, settings)}


def body(volume: Volume, *, domain: Mask | None = None) -> Mask:
    """Body of a CT with the default settings, anywhere or inside ``domain``."""
    where = np.ones(volume.grid.shape, dtype=bool) if domain is None else domain
    return segment_threshold(volume, where, ThresholdSettings.for_body())


def bone(volume: Volume, *, domain: Mask | None = None) -> Mask:
    """Dense bone of a CT with the default settings, anywhere or inside ``domain``."""
    where = np.ones(volume.grid.shape, dtype=bool) if domain is None else domain
    return segment_threshold(volume, where, ThresholdSettings.for_bone())


def segment_threshold(volume: Volume, domain: Mask, settings: ThresholdSettings) -> Mask:
    """Segment one structure by a threshold.

    Parameters
    ----------
    volume
        In HU, finite inside the domain.
    domain
        Where the structure may lie; bool, of the grid's shape.
    settings
        Threshold and what is cleaned up.

    Returns
    -------
    ndarray of bool, of the grid's shape; empty where nothing reaches the threshold.

    Raises
    ------
    InputError
        If the volume is not in HU, or not finite inside the domain.
    GeometryError
        If the domain is not a bool array of the volume's shape.
    """
    if volume.quantity != "HU":
        raise InputError(f"Threshold segmentation needs HU, got {volume.quantity}.")
    if domain.shape != volume.grid.shape or domain.dtype != np.bool_:
        raise GeometryError(
            f"The domain must be a bool array of shape {volume.grid.shape}, got {domain.dtype} "
            f"of shape {domain.shape}."
        )
    result = np.zeros(volume.grid.shape, dtype=bool)
    box = bounding_box(domain)
    if box is None:
        return result
    inside = domain[box]
    values = volume.array[box]
    wrong = int(np.count_nonzero(~np.isfinite(values) & inside))
    if wrong:
        raise InputError(f"Cannot segment an image with {wrong} voxels that are not finite.")
    found = (values >= settings.threshold_hu) & inside
    found = _keep_large_parts(found, settings, volume.grid.voxel_volume_cc)
    if settings.fill_slices:
        found = filled_slices(found, volume.grid.long_axis, outside=~inside)
    result[box] = found
    return result


def bounding_box(mask: Mask, *, margin: int = 0) -> tuple[slice, slice, slice] | None:
    """Return the slices that hold all of ``mask``, grown by ``margin`` voxels inside the grid.

    None where the mask is empty.
    """
    spans: list[slice] = []
    rest = mask  # smaller from axis to axis, which saves most of the reading
    for axis, size in enumerate(mask.shape):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        (hits,) = np.nonzero(rest.any(axis=others))
        if hits.size == 0:
            return None
        span = slice(int(hits[0]), int(hits[-1]) + 1)
        rest = rest[(slice(None),) * axis + (span,)]
        spans.append(slice(max(span.start - margin, 0), min(span.stop + margin, size)))
    return spans[0], spans[1], spans[2]


def _keep_large_parts(mask: Mask, settings: ThresholdSettings, voxel_cc: float) -> Mask:
    if settings.smallest_cc <= 0 and settings.smallest_share <= 0:
        return mask
    from scipy import ndimage

    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3), dtype=bool))
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    smallest = max(settings.smallest_cc / voxel_cc, settings.smallest_share * sizes.max())
    keep = sizes >= smallest * (1 - 1e-9)  # so that a part of exactly the limit stays
    keep[0] = False
    return np.asarray(keep[labels])
