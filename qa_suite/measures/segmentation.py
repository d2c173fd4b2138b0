"""Body and bone of the reference against those of the synthetic image.

One segmenter is applied alike to both images; overlap, volume, position and surfaces of what
it finds are compared. What happens where one of them, or both, is empty stands in
``docs/measures.md`` and is tested row by row.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from qa_suite.measures.base import (
    FAMILIES,
    FamilyFacts,
    NoValue,
    Pair,
    Value,
    failed,
    ok,
    undefined,
)
from qa_suite.measures.overlap import (
    Overlap,
    centroid_shift,
    count_overlap,
    dice,
    missed,
    volume_difference,
    why_absent,
)
from qa_suite.measures.segmentation_settings import SegmentationSettings
from qa_suite.measures.surfaces import (
    SurfaceDistances,
    assd,
    hd,
    hd95,
    surface_dice,
    surface_distances,
)
from qa_suite.segment.base import SEGMENTERS
from qa_suite.segment.settings import ThresholdSettings
from qa_suite.segment.threshold import bounding_box
from qa_suite.volume import Grid

Mask = NDArray[np.bool_]

_OVERLAP_METRICS = {
    "dice": dice,
    "volume_difference": volume_difference,
    "centroid_shift": centroid_shift,
    "missed": missed,
}
_SURFACE_METRICS = {"hd": hd, "hd95": hd95, "assd": assd}


# ---------------------------------------------------------------------------------------
# The family


@FAMILIES.add(
    "segmentation",
    FamilyFacts(
        title="Body and bone by HU threshold: overlap, volume, position and surfaces",
        needs=("reference in HU", "mask"),
    ),
)
def segmentation(pair: Pair, settings: SegmentationSettings) -> list[Value]:
    """Segment body and bone in both images alike and compare them.

    Parameters
    ----------
    pair
        Reference and synthetic image in HU.
    settings
        Thresholds, margin around the mask and surface tolerances.

    Returns
    -------
    list of Value
        Regions ``seg:Body`` and ``seg:Bone``; undefined where the images are not in HU.
    """
    keys = list(_keys(settings))
    names = ("seg:Body", "seg:Bone")
    if pair.reference.quantity != "HU" or pair.synthetic.quantity != "HU":
        why = f"threshold segmentation needs HU, and the reference is in {pair.reference.quantity}"
        return [undefined(m, name, why, variant=v) for name in names for m, v in keys]
    if not pair.mask.any():
        return [
            undefined(m, name, "the mask is empty", variant=v) for name in names for m, v in keys
        ]
    body_domain = outline_domain(pair, settings.body_margin_mm)
    return [
        *_compare(pair, "Body", body_domain, settings.body, settings),
        *_compare(pair, "Bone", pair.mask, settings.bone, settings),
    ]


def outline_domain(pair: Pair, margin_mm: float) -> Mask:
    """Where the body outline is looked for: the mask and ``margin_mm`` around it.

    Inside the mask alone a body drawn too large could not be seen; on the whole grid the
    couch of the reference, which no translator has to show, would count as body. Never
    beyond what the reference covers.
    """
    from qa_suite.measures.edt import distance_to

    spacing = pair.grid.spacing_mm
    voxels = int(np.ceil(margin_mm / min(spacing)))
    domain = np.zeros_like(pair.mask)
    box = bounding_box(pair.mask, margin=voxels)
    if box is not None:
        domain[box] = distance_to(pair.mask[box], spacing) <= margin_mm
    return domain if pair.coverage is None else domain & pair.coverage


def tolerance_variant(tolerance_mm: float) -> str:
    """Return the variant key of a surface tolerance, such as ``tol2mm``."""
    return f"tol{tolerance_mm:g}mm"


def _keys(settings: SegmentationSettings) -> Iterator[tuple[str, str]]:
    """Yield every (metric, variant) that one structure gets."""
    for metric in (*_OVERLAP_METRICS, *_SURFACE_METRICS):
        yield metric, "default"
    for tolerance in settings.surface_tolerances_mm:
        yield "surface_dice", tolerance_variant(tolerance)


def _compare(
    pair: Pair, name: str, domain: Mask, rule: ThresholdSettings, settings: SegmentationSettings
) -> list[Value]:
    region = f"seg:{name}"
    wrong = sum(
        int(np.count_nonzero(~np.isfinite(volume.array) & domain))
        for volume in (pair.reference, pair.synthetic)
    )
    if wrong:
        why = f"{wrong} voxels where {name} is looked for are not finite"
        return [failed(m, region, why, variant=v) for m, v in _keys(settings)]
    segment = SEGMENTERS[f"threshold_{name.lower()}"].function
    reference = segment(pair.reference, domain, rule)[name]
    synthetic = segment(pair.synthetic, domain, rule)[name]
    return compare_masks(
        reference, synthetic, pair.grid, region=region, domain=domain,
        tolerances_mm=settings.surface_tolerances_mm,
    )  # fmt: skip


def compare_masks(
    reference: Mask,
    synthetic: Mask,
    grid: Grid,
    *,
    region: str,
    domain: Mask | None,
    tolerances_mm: tuple[float, ...],
) -> list[Value]:
    """Measure one structure in every metric of the family.

    Parameters
    ----------
    reference, synthetic
        The structure in the two images; bool, of the grid's shape.
    grid
        Where they lie.
    region
        Name of the region in the values.
    domain
        Where both could be found; beyond it there is no surface. None is the whole grid.
    tolerances_mm
        Of the surface Dice.

    Returns
    -------
    list of Value
        By the empty-case table in ``docs/measures.md``.
    """
    overlap = count_overlap(reference, synthetic, grid)
    distances = _distances(reference, synthetic, overlap, grid, domain)
    values = [_value(metric, region, f(overlap)) for metric, f in _OVERLAP_METRICS.items()]
    for metric, function in _SURFACE_METRICS.items():
        found = distances if isinstance(distances, NoValue) else function(distances)
        values.append(_value(metric, region, found))
    for tolerance in tolerances_mm:
        found = (
            distances
            if isinstance(distances, NoValue)
            else surface_dice(distances, tolerance_mm=tolerance)
        )
        values.append(_value("surface_dice", region, found, tolerance_variant(tolerance)))
    return values


def _distances(
    reference: Mask, synthetic: Mask, overlap: Overlap, grid: Grid, domain: Mask | None
) -> SurfaceDistances | NoValue:
    if overlap.reference == 0 or overlap.synthetic == 0:
        return NoValue(why=why_absent(overlap))
    distances = surface_distances(reference, synthetic, grid.spacing_mm, domain=domain)
    if distances.reference_empty or distances.synthetic_empty:
        which = "the reference" if distances.reference_empty else "the synthetic image"
        return NoValue(why=f"the structure has no surface inside {which}: it fills all of it")
    return distances


def _value(metric: str, region: str, found: float | NoValue, variant: str = "default") -> Value:
    if isinstance(found, NoValue):
        return undefined(metric, region, found.why, variant=variant)
    return ok(metric, region, found, variant=variant)
