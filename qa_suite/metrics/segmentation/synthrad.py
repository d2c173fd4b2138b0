"""Segmentation scores as the evaluation code of SynthRAD2025 computes them.

Compared with ``segmentation_metrics.py`` of the repository ``SynthRAD2025/evaluation`` (commit
17cac47), whose numbers ``tests/test_synthrad.py`` holds. It takes the classes of TotalSegmentator
that its list names and the reference has, and writes the mean of their Dice and of their HD95.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from qa_suite.core.arrays import Mask
from qa_suite.core.volume import Triple
from qa_suite.imaging.boxes import box_of_both
from qa_suite.instruments.base import Segmenter
from qa_suite.metrics.base import NoValue, Value, absent, as_value, undefined

BodyRegion = Literal["AB", "HN", "TH"]

MODE = "synthrad2025"
REGION = "seg:classes"
METRICS_OF_MODE = ("dice", "hd95")

_VERTEBRAE = tuple(
    f"vertebrae_{part}{number}"
    for part, numbers in (
        ("S", (1,)),
        ("L", range(5, 0, -1)),
        ("T", range(12, 0, -1)),
        ("C", range(7, 0, -1)),
    )
    for number in numbers
)
_RIBS = tuple(f"rib_{side}_{number}" for side in ("left", "right") for number in range(1, 13))
_TRUNK = (
    "kidney_right",
    "kidney_left",
    "liver",
    "stomach",
    "lung_upper_lobe_left",
    "lung_lower_lobe_left",
    "lung_upper_lobe_right",
    "lung_middle_lobe_right",
    "lung_lower_lobe_right",
    *_VERTEBRAE,
    "heart",
    "spinal_cord",
    *_RIBS,
    "sternum",
)
CLASSES: Mapping[BodyRegion, tuple[str, ...]] = {
    "AB": _TRUNK,
    "HN": ("esophagus", "trachea", "thyroid_gland", *_VERTEBRAE, "spinal_cord", "brain", "skull"),
    "TH": _TRUNK,
}
"""The challenge's classes by its region of the body, by TotalSegmentator's names (version 2)."""


def mode_variant(segmenter: str) -> str:
    """Return the variant key of the challenge's scores by one segmenter."""
    return f"{segmenter}:{MODE}"


def mode_keys(
    segmenters: Iterable[Segmenter], region: BodyRegion | None
) -> list[tuple[str, str, str]]:
    """Return every (metric, region, variant) that :func:`mode_values` gives."""
    if region is None:
        return []
    return [
        (metric, REGION, mode_variant(segmenter.facts.name))
        for segmenter in segmenters
        for metric in METRICS_OF_MODE
    ]


def mode_variants(
    segmenters: Iterable[Segmenter], region: BodyRegion | None
) -> dict[str, dict[str, Any]]:
    """Describe the variant of every segmenter."""
    if region is None:
        return {}
    return {
        mode_variant(segmenter.facts.name): {
            "segmenter": segmenter.facts.name,
            "weights_sha256": segmenter.facts.weights_sha256,
            "body_region": region,
            "classes": list(CLASSES[region]),
            "hd95": "95th percentile, linear between ranks, of the outermost voxels' centres",
        }
        for segmenter in segmenters
    }


def mode_values(
    segmenter: str,
    reference: Mapping[str, Mask],
    synthetic: Mapping[str, Mask],
    spacing_mm: Triple,
    region: BodyRegion,
) -> list[Value]:
    """Return the challenge's two scores of one case.

    Parameters
    ----------
    segmenter
        Name of who found the structures.
    reference, synthetic
        What it found in the two images, by name; bool, of one shape.
    spacing_mm
        Voxel spacing along i, j, k.
    region
        Which of the challenge's lists of classes counts.
    """
    variant = mode_variant(segmenter)
    lacking = [name for name in CLASSES[region] if name not in reference]
    if lacking:
        why = (
            f"{segmenter} does not know {len(lacking)} of the {len(CLASSES[region])} classes of "
            f"the challenge's region {region}, such as {lacking[0]}"
        )
        return [undefined(metric, REGION, why, variant=variant) for metric in METRICS_OF_MODE]
    found = scores([(reference[name], synthetic[name]) for name in CLASSES[region]], spacing_mm)
    return [
        as_value(metric, REGION, value, variant=variant)
        for metric, value in zip(METRICS_OF_MODE, found, strict=True)
    ]


def scores(
    classes: Iterable[tuple[Mask, Mask]], spacing_mm: Triple
) -> tuple[float | NoValue, float | NoValue]:
    """Return the mean Dice and the mean HD95 of classes, each as (reference, synthetic).

    A class that the reference lacks is left out of both. One that the synthetic image lacks has
    a Dice of 0 and is left out of the mean of HD95.
    """
    dices, distances = [], []
    for reference, synthetic in classes:
        box = box_of_both(reference, synthetic)
        if box is None or not reference.any():
            continue
        one, two = reference[box], synthetic[box]
        total = np.count_nonzero(one) + np.count_nonzero(two)
        dices.append(2 * np.count_nonzero(one & two) / total)
        if two.any():
            distances.append(hd95(one, two, spacing_mm))
    if not dices:
        none = absent("the reference has no class of the list (the challenge writes 0)")
        return none, none
    dice = float(np.mean(dices))
    if not distances:
        return dice, NoValue(
            why="the synthetic image has no class of the reference (the challenge writes 0 mm)"
        )
    return dice, float(np.mean(distances))


def hd95(reference: Mask, synthetic: Mask, spacing_mm: Triple) -> float:
    """Return the larger of the two directed 95th percentiles, in mm, as MONAI takes them.

    Between the centres of the outermost voxels, each counted once, those at the array's end
    included; linear between ranks. Neither mask is empty.
    """
    from qa_suite.imaging.distance import distance_to

    edges = [_outermost(mask) for mask in (reference, synthetic)]
    return max(
        float(np.percentile(distance_to(there, spacing_mm)[here], 95))
        for here, there in (edges, edges[::-1])
    )


def _outermost(mask: Mask) -> Mask:
    """Voxels of a mask with a face neighbour outside it, or outside the array."""
    from scipy import ndimage

    return np.asarray(mask & ~ndimage.binary_erosion(mask))
