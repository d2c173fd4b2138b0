"""Structures of the reference against those of the synthetic image.

One segmenter is applied alike to both images: body and bone by HU threshold, and whatever
the examiner's learned segmenters find. Overlap, volume, position and surfaces are compared.
What happens where one of them, or both, is empty stands in ``docs/measures.md`` and is
tested row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from qa_suite.core.arrays import Mask
from qa_suite.imaging.boxes import bounding_box
from qa_suite.imaging.threshold import ThresholdSettings
from qa_suite.instruments.threshold import SEGMENTERS
from qa_suite.metrics.base import Curve, Pair, Value, censored, failed, undefined
from qa_suite.metrics.facts import FAMILIES, FamilyFacts
from qa_suite.metrics.segmentation.bone_threshold import BY_THRESHOLD, bone_values
from qa_suite.metrics.segmentation.learned import learned_keys, learned_structures
from qa_suite.metrics.segmentation.settings import SegmentationSettings
from qa_suite.metrics.segmentation.structures import compare_masks, structure_keys

FEWEST_FACES, LEAST_SHARE = 20, 0.01
"""Of the faces of voxels at the end of the domain; a few are noise in the air around a patient."""
_OUTLINE = ("centroid_shift", "hd", "hd95", "assd", "surface_dice", "dice", "volume_difference")


@FAMILIES.add(
    "segmentation",
    FamilyFacts(
        title="Body and bone by HU threshold, and learned structures: overlap, volume, surfaces",
        needs=("reference in HU", "mask"),
        quantities=("HU",),
        because="body and bone are told by their HU, and the learned segmenters read CT",
    ),
)
def segmentation(pair: Pair, settings: SegmentationSettings) -> list[Value | Curve]:
    """Segment both images alike and compare what is found.

    Parameters
    ----------
    pair
        Reference and synthetic image in HU, and the learned segmenters among its instruments.
    settings
        Thresholds, margin around the mask and surface tolerances.

    Returns
    -------
    list
        Values of the regions ``seg:Body``, ``seg:Bone`` and ``seg:NAME`` of every learned
        structure; the curve of bone against threshold. Undefined where the images are not in HU.
    """
    if pair.reference.quantity != "HU" or pair.synthetic.quantity != "HU":
        why = f"segmentation needs HU, and the reference is in {pair.reference.quantity}"
        return _nothing(pair, settings, why)
    if not pair.mask.any():
        return _nothing(pair, settings, "the mask is empty")
    body_domain = outline_domain(pair, settings.body_margin_mm)
    wrong = _not_finite(pair, pair.mask)
    bone = [*_compare(pair, "Bone", pair.mask, settings.bone, settings, wrong=wrong)]
    return [
        *_compare(
            pair, "Body", body_domain, settings.body, settings, wrong=_not_finite(pair, body_domain)
        ),
        *bone,
        *_bone_at_thresholds(pair, settings, wrong=wrong),
        *_learned(pair, settings, wrong=wrong),
    ]


def _nothing(pair: Pair, settings: SegmentationSettings, why: str) -> list[Value | Curve]:
    tolerances = settings.surface_tolerances_mm
    keys = [(m, r, v) for r in ("seg:Body", "seg:Bone") for m, v in structure_keys(tolerances)]
    keys += [(metric, "seg:Bone", "default") for metric in BY_THRESHOLD]
    keys += learned_keys(pair.instruments.segmenters, settings)
    return [undefined(metric, region, why, variant=variant) for metric, region, variant in keys]


def outline_domain(pair: Pair, margin_mm: float) -> Mask:
    """Where the body outline is looked for: the mask and ``margin_mm`` around it.

    Inside the mask alone a body drawn too large could not be seen; on the whole grid the
    couch of the reference, which no translator has to show, would count as body. Never
    beyond what the reference covers.
    """
    from qa_suite.imaging.distance import distance_to

    spacing = pair.grid.spacing_mm
    voxels = int(np.ceil(margin_mm / min(spacing)))
    domain = np.zeros_like(pair.mask)
    box = bounding_box(pair.mask, margin=voxels)
    if box is not None:
        domain[box] = distance_to(pair.mask[box], spacing) <= margin_mm
    return domain if pair.coverage is None else domain & pair.coverage


def _not_finite(pair: Pair, domain: Mask) -> int:
    """Count the voxels of both images, inside the domain, that are not finite."""
    return sum(
        int(np.count_nonzero(~np.isfinite(volume.array) & domain))
        for volume in (pair.reference, pair.synthetic)
    )


def _compare(
    pair: Pair,
    name: str,
    domain: Mask,
    rule: ThresholdSettings,
    settings: SegmentationSettings,
    *,
    wrong: int,
) -> list[Value]:
    region, tolerances = f"seg:{name}", settings.surface_tolerances_mm
    if wrong:
        why = f"{wrong} voxels where {name} is looked for are not finite"
        return [failed(m, region, why, variant=v) for m, v in structure_keys(tolerances)]
    segment = SEGMENTERS[f"threshold_{name.lower()}"].function
    reference = segment(pair.reference, domain, rule)[name]
    synthetic = segment(pair.synthetic, domain, rule)[name]
    rows = compare_masks(
        reference, synthetic, pair.grid, region=region, domain=domain, tolerances_mm=tolerances
    )
    beyond = name == "Body" and goes_on(pair, domain, rule)
    return with_bounds(rows, settings.body_margin_mm) if beyond else rows


def _bone_at_thresholds(
    pair: Pair, settings: SegmentationSettings, *, wrong: int
) -> list[Value | Curve]:
    if wrong:
        why = f"{wrong} voxels where Bone is looked for are not finite"
        return [failed(metric, "seg:Bone", why) for metric in BY_THRESHOLD]
    reference, synthetic = pair.reference.array[pair.mask], pair.synthetic.array[pair.mask]
    return bone_values(reference, synthetic, settings)


def _learned(pair: Pair, settings: SegmentationSettings, *, wrong: int) -> list[Value]:
    if not wrong:
        return learned_structures(pair, settings)
    keys = learned_keys(pair.instruments.segmenters, settings)
    why = f"{wrong} voxels where the structure is looked for are not finite"
    return [failed(metric, region, why, variant=variant) for metric, region, variant in keys]


# ---------------------------------------------------------------------------------------
# A body that goes on beyond the domain in which its outline is looked for. The domain ends a
# few millimetres outside the mask, so that the couch is no body: a synthetic body that reaches
# its end, where the reference does not, is larger than what is seen of it.


def goes_on(pair: Pair, domain: Mask, rule: ThresholdSettings) -> bool:
    """Say whether the synthetic body, and not that of the reference, crosses the domain's end."""
    inside = pair.synthetic.array >= rule.threshold_hu
    extra = inside & (pair.reference.array < rule.threshold_hu)
    if pair.coverage is not None:
        extra &= pair.coverage
    faces = crossed = 0
    for axis in range(3):
        here, there = ([slice(None)] * axis + [part] for part in (slice(None, -1), slice(1, None)))
        for one, other in ((tuple(here), tuple(there)), (tuple(there), tuple(here))):
            end = domain[one] & ~domain[other]
            faces += int(np.count_nonzero(end))
            crossed += int(np.count_nonzero(end & inside[one] & extra[other]))
    return crossed >= max(FEWEST_FACES, LEAST_SHARE * faces)


def with_bounds(rows: Sequence[Value], margin_mm: float) -> list[Value]:
    """Put what is known in the place of each number about such a body."""
    why = f"the synthetic body goes on beyond {margin_mm:g} mm outside the mask"
    return [_known(row, margin_mm, why) if row.status == "ok" else row for row in rows]


def _known(row: Value, margin_mm: float, why: str) -> Value:
    if row.metric not in _OUTLINE or row.value is None:
        return row
    more: dict[str, Any] = {"why": why, "variant": row.variant, "coverage": row.coverage}
    if row.metric == "dice":
        return censored(row.metric, row.region, at_least=0.0, at_most=row.value, **more)
    if row.metric == "volume_difference":
        return censored(row.metric, row.region, at_least=row.value, **more)
    if row.metric == "hd":
        return censored(row.metric, row.region, at_least=margin_mm, **more)
    return replace(undefined(row.metric, row.region, why), variant=row.variant)
