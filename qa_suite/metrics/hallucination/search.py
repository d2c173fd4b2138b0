"""Finding structures that one of two images shows and the other does not.

Three searches over the same fields: bone where there is none, gas where there is none, and
places that stand out from their surroundings in the difference. What is left after the rules
of size, depth and contrast is a :class:`Component`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qa_suite.core.arrays import Float32Array
from qa_suite.core.volume import Grid
from qa_suite.metrics.base import Pair
from qa_suite.metrics.hallucination.blobs import Box, Mask, blobs, dilated, enlarged
from qa_suite.metrics.hallucination.component import KINDS, Component, Kind, Spot, described
from qa_suite.metrics.hallucination.fields import Fields, fields_of
from qa_suite.metrics.hallucination.settings import HallucinationSettings

_SAME = 0.5  # of the contrast: so much of it was told by the larger spot already


def find_components(
    pair: Pair, settings: HallucinationSettings, *, fields: Fields | None = None
) -> list[Component]:
    """Find every false and missed component of a pair.

    Parameters
    ----------
    pair
        In HU, finite inside the mask.
    settings
        Contrasts, sizes and tolerances.
    fields
        The pair on its working grid, where it was made already.

    Returns
    -------
    list of Component
        By kind, the largest first; empty where nothing appeared or vanished.
    """
    fields = fields or fields_of(pair, settings)
    if fields is None:
        return []
    error = fields.synthetic - fields.reference
    slack = np.float32(settings.edge_tolerance_mm) * np.minimum(
        fields.reference_edges, fields.synthetic_edges
    )
    spots = [
        *_tissue(fields, error, slack, settings, "bone"),
        *_tissue(fields, error, slack, settings, "air"),
        *_lesions(fields, error, slack, settings),
    ]
    found = _apart(spots, fields, settings)
    return sorted(found, key=lambda c: (KINDS.index(c.kind), -c.volume_cc, c.position_mm))


def _apart(spots: list[Spot], fields: Fields, settings: HallucinationSettings) -> list[Component]:
    """Describe the spots; what stands out within a spot is another only where it is much stronger.

    The steps of :func:`_peaks` meet a lesion that stands alone more than once. It is then one
    component, as strong as its strongest part: in the mean over a patch that reaches beyond it
    the lesion would be diluted.
    """
    found: list[Component] = []
    told = np.zeros(fields.domain.shape, dtype=np.int64)  # index in found, from 1
    for spot in spots:
        one = described(spot, fields, settings)
        if one is None:
            continue
        if spot.kind == "lesion":
            around = np.unique(told[spot.box][spot.mask])
            same = [
                index
                for index in around[around > 0] - 1
                if (found[index].kind, found[index].false) == (one.kind, one.false)
                and found[index].unexplained_hu >= _SAME * one.unexplained_hu
            ]
            if same:
                widest = max(same, key=lambda index: found[index].volume_cc)
                strongest = max(found[widest].unexplained_hu, one.unexplained_hu)
                found[widest] = replace(found[widest], unexplained_hu=strongest)
                continue
            told[spot.box][spot.mask] = len(found) + 1
        found.append(one)
    return found


def _tissue(
    fields: Fields,
    error: Float32Array,
    slack: Float32Array,
    settings: HallucinationSettings,
    kind: Kind,
) -> Iterator[Spot]:
    """Bone, or gas, of one image where the other has something else."""
    bone = kind == "bone"
    if bone:
        contrast = settings.bone_contrast_hu
        reference, synthetic = (
            image >= settings.bone_hu for image in (fields.reference, fields.synthetic)
        )
    else:
        contrast = settings.gas_contrast_hu
        reference, synthetic = (
            image <= settings.gas_hu for image in (fields.reference, fields.synthetic)
        )
    for false, here, there in ((True, synthetic, reference), (False, reference, synthetic)):
        excess = error if bone == false else -error
        candidate = here & fields.domain & (excess >= contrast)
        for box, mask in _blobs(candidate, fields, settings):
            matched = np.count_nonzero(there[box] & mask) >= settings.matched_share * mask.sum()
            if not matched and _beyond(excess[box], slack[box], mask):
                yield Spot(kind=kind, false=false, box=box, mask=mask, excess=excess)


def _lesions(
    fields: Fields, error: Float32Array, slack: Float32Array, settings: HallucinationSettings
) -> Iterator[Spot]:
    """Places whose difference stands out from that of their surroundings."""
    limit = np.where(
        np.maximum(fields.reference, fields.synthetic) >= settings.bone_hu,
        np.float32(settings.lesion_bone_contrast_hu),
        np.float32(settings.lesion_soft_contrast_hu),
    )
    domain = fields.domain & ~_near_gas(fields, settings)
    local = error - _background(error, fields, settings)
    for sign in (1, -1):
        excess = sign * local
        for box, mask in _peaks(domain, excess, limit, fields, settings):
            compact = _spread(mask, fields.grid) <= settings.lesion_spread
            if compact and _beyond(excess[box], slack[box], mask):
                false = _shown_by_synthetic(fields, box, mask)
                yield Spot(kind="lesion", false=false, box=box, mask=mask, excess=excess)


def _peaks(
    domain: Mask,
    excess: Float32Array,
    limit: Float32Array,
    fields: Fields,
    settings: HallucinationSettings,
) -> Iterator[tuple[Box, Mask]]:
    """Yield what exceeds a limit, and what stands out within a much larger patch of it, by steps.

    A translator errs by more than the limit over centimetres; a lesion in such a patch would be
    averaged away with it.
    """
    patch: NDArray[np.int64] | None = None
    for rise in (0.0, *settings.lesion_peaks_hu):
        here = np.zeros(domain.shape, dtype=np.int64)
        for box, mask in _blobs(domain & (excess >= limit + np.float32(rise)), fields, settings):
            voxels = np.count_nonzero(mask)
            here[box][mask] = voxels
            if patch is None or patch[box][mask].max() >= settings.lesion_patch * voxels:
                yield box, mask
        patch = here


def _blobs(
    candidate: Mask, fields: Fields, settings: HallucinationSettings
) -> Iterator[tuple[Box, Mask]]:
    fewest = max(1, int(np.ceil(settings.smallest_cc / fields.grid.voxel_volume_cc - 1e-6)))
    yield from blobs(
        candidate, fields.grid.spacing_mm, fewest=fewest, radius_mm=settings.ball_radius_mm
    )


def _beyond(excess: Float32Array, slack: Float32Array, mask: Mask) -> bool:
    """Whether a difference is more than a shift of edges that both images show."""
    return float(excess[mask].mean()) > float(slack[mask].mean())


def _spread(mask: Mask, grid: Grid) -> float:
    """How often the largest ball inside a mask goes into its volume: 1 for a ball."""
    from qa_suite.imaging.distance import distance_to

    # to the centres outside: between the inscribed ball of the voxels and one of half a voxel more
    depth = float(distance_to(~np.pad(mask, 1), grid.spacing_mm).max())
    return float(np.count_nonzero(mask) * np.prod(grid.spacing_mm) / (4 / 3 * np.pi * depth**3))


def _near_gas(fields: Fields, settings: HallucinationSettings) -> Mask:
    """Gas of either image and what its partial volume reaches: that is kind ``air``."""
    from qa_suite.imaging.distance import distance_to

    gas = fields.domain & (np.minimum(fields.reference, fields.synthetic) <= settings.gas_hu)
    if not gas.any():
        return gas
    spacing = fields.grid.spacing_mm
    return np.asarray(distance_to(gas, spacing) <= max(settings.blur_mm, *spacing))


def _background(
    error: Float32Array, fields: Fields, settings: HallucinationSettings
) -> Float32Array:
    """Mean difference in a cube around every voxel; large differences count up to a limit."""
    from scipy import ndimage

    limit = settings.lesion_soft_contrast_hu
    size = [2 * int(settings.lesion_background_mm / s / 2) + 1 for s in fields.grid.spacing_mm]
    clipped = np.clip(error, -limit, limit, dtype=np.float32)  # 0 outside the support
    total = ndimage.uniform_filter(clipped, size, mode="constant")
    count = ndimage.uniform_filter(fields.support.astype(np.float32), size, mode="constant")
    return np.asarray(total / np.maximum(count, 1e-3), dtype=np.float32)


def _shown_by_synthetic(fields: Fields, box: Box, mask: Mask) -> bool:
    """Whether the synthetic image has more edges at a place than the reference.

    The total variation, not a contrast with the shell: the anatomy around has edges too, and
    adds the same to both, while its squares would outweigh a faint structure's.
    """
    box, mask = enlarged(box, mask, 1, fields.domain.shape)
    mask = dilated(mask, 1)
    synthetic = float(fields.synthetic_edges[box][mask].sum(dtype=np.float64))
    reference = float(fields.reference_edges[box][mask].sum(dtype=np.float64))
    return synthetic >= reference
