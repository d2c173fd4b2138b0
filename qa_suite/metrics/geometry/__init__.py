"""Geometric fidelity: whether the synthetic image is in the right place, whole and in parts.

Contours of body and bone, the position against the source image, shifts of blocks and of
delineated structures, and the positioning test of commissioning; in mm and degrees, LPS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from qa_suite.imaging.boxes import bounding_box
from qa_suite.imaging.masks import centroid
from qa_suite.imaging.threshold import segment_threshold
from qa_suite.metrics.base import NoValue, Pair, Value, absent, as_value, failed, undefined
from qa_suite.metrics.facts import FAMILIES, FamilyFacts
from qa_suite.metrics.geometry.contours import OF_CONTOURS, contour_distances
from qa_suite.metrics.geometry.images import Box, averaged, grown, mask_at
from qa_suite.metrics.geometry.local import OF_BLOCKS, local_shifts
from qa_suite.metrics.geometry.positioning import (
    OF_POSITIONING,
    VARIANTS,
    Plans,
    position,
    positioning_values,
)
from qa_suite.metrics.geometry.settings import GeometrySettings
from qa_suite.metrics.geometry.source_alignment import OF_PLACE, find_place, source_values
from qa_suite.metrics.geometry.structures import structure_regions, structure_values
from qa_suite.metrics.segmentation.family import outline_domain

__all__ = ["geometry", "geometry_variants"]


_AROUND_MM = 30.0  # how far around the mask the images are read
_ATTENUATION_WINDOW_HU = (-1000.0, 3000.0)
_STRUCTURES = ("seg:Body", "seg:Bone")


@FAMILIES.add(
    "geometry",
    FamilyFacts(
        title="Contours, place, local shifts and the positioning test, in mm and degrees",
        needs=("reference in HU", "mask", "source for the place (CT and MR)"),
        quantities=("HU", "arbitrary"),
        because="contours and place are told in CT and MR; a PET is too blurred",
    ),
)
def geometry(pair: Pair, settings: GeometrySettings) -> list[Value]:
    """Measure how far the synthetic image is out of place.

    Parameters
    ----------
    pair
        Reference and synthetic image in HU; the source of any kind.
    settings
        Of all parts.

    Returns
    -------
    list of Value
        Regions ``seg:Body``, ``seg:Bone`` (contours), ``structure:NAME`` and ``structures``
        (their shifts) and ``body`` (everything else); each
        metric has a row for each of its regions and variants, undefined with a reason where
        it cannot be told.
    """
    box = bounding_box(pair.mask, margin=_margin(pair))
    if box is None:
        return list(_all(undefined, "the mask is empty", _every_key(pair)))
    values = _against_source(pair, settings)
    inside = [key for key in _every_key(pair) if key[0] not in OF_PLACE]
    for name, volume in (("reference", pair.reference), ("synthetic image", pair.synthetic)):
        if volume.quantity != "HU":
            why = f"this needs HU, and the {name} is in {volume.quantity}"
            return [*_all(undefined, why, inside), *values]
        wrong = int(np.count_nonzero(~np.isfinite(volume.array[box])))
        if wrong:
            why = f"{wrong} voxels of the {name} in or near the mask are not finite"
            return [*_all(failed, why, inside), *values]
    return [*_contours(pair, settings), *_working(pair, settings, box), *values]


def geometry_variants(settings: GeometrySettings) -> dict[str, dict[str, Any]]:
    """Describe the variants ``cbct`` and ``drr`` for the record."""
    return {name: settings.positioning.model_dump(mode="json") for name in VARIANTS}


def _margin(pair: Pair) -> int:
    return int(np.ceil(_AROUND_MM / min(pair.grid.spacing_mm)))


def _every_key(pair: Pair) -> list[tuple[str, str, str]]:
    """Every (metric, region, variant) that a case gets."""
    keys = [(m, region, "default") for region in _STRUCTURES for m in OF_CONTOURS]
    keys += [(m, "body", "default") for m in OF_BLOCKS]
    keys += [("structure_shift", region, "default") for region in structure_regions(pair)]
    keys += [(m, "body", variant) for variant in VARIANTS for m in OF_POSITIONING]
    return keys + [(m, "body", "default") for m in OF_PLACE]


def _all(
    make: Callable[..., Value], why: str, keys: Iterable[tuple[str, str, str]]
) -> Iterable[Value]:
    return (make(metric, region, why, variant=variant) for metric, region, variant in keys)


# ---------------------------------------------------------------------------------------
# The parts


def _contours(pair: Pair, settings: GeometrySettings) -> list[Value]:
    values = []
    body_domain = outline_domain(pair, settings.body_margin_mm)
    for region, domain, rule in (
        ("seg:Body", body_domain, settings.body),
        ("seg:Bone", pair.mask, settings.bone),
    ):
        reference = segment_threshold(pair.reference, domain, rule)
        synthetic = segment_threshold(pair.synthetic, domain, rule)
        found: Any
        if not reference.any():
            found = absent("the reference does not have it")
        elif not synthetic.any():
            found = NoValue(why="the synthetic image does not have it: see 'missed'")
        else:
            found = contour_distances(
                pair.reference,
                pair.synthetic,
                reference,
                domain=domain,
                threshold=rule.threshold_hu,
                reach_mm=settings.contour_reach_mm,
            )
        for metric, function in OF_CONTOURS.items():
            value = found if isinstance(found, NoValue) else function(found)
            values.append(as_value(metric, region, value))
    return values


def _working(pair: Pair, settings: GeometrySettings, box: Box) -> list[Value]:
    """Shifts of blocks and structures, and positioning, at the working resolution."""
    rule = settings.positioning
    plans: dict[str, Plans] = {}
    for variant, window in (("cbct", rule.window_hu), ("drr", _ATTENUATION_WINDOW_HU)):
        if variant == "drr" and not rule.drr:
            plans[variant] = plans["cbct"]
            continue
        reference, synthetic = (
            averaged(
                volume.array, pair.grid, resolution_mm=rule.resolution_mm, window=window, box=box
            )
            for volume in (pair.reference, pair.synthetic)
        )
        grid = reference.grid
        region = grown(mask_at(pair.mask, pair.grid, grid), grid, rule.margin_mm)
        if pair.coverage is not None:
            region &= mask_at(pair.coverage, pair.grid, grid)
        centre = pair.grid.to_world(centroid(pair.mask))
        plans[variant] = Plans(
            reference=reference, synthetic=synthetic, region=region, centre_mm=centre
        )
    shown = plans["cbct"]
    values = _local(pair, shown, settings)
    values += structure_values(pair, shown.reference, shown.synthetic, settings)
    for variant in VARIANTS:
        values += positioning_values(position(plans[variant], variant, rule), variant)
    return values


def _local(pair: Pair, plans: Plans, settings: GeometrySettings) -> list[Value]:
    found: Any
    if not settings.local_shift:
        found = NoValue(why="switched off by local_shift")
    else:
        inside = mask_at(pair.mask, pair.grid, plans.reference.grid) & plans.region
        found = local_shifts(
            plans.reference,
            plans.synthetic,
            inside,
            block_mm=settings.local_block_mm,
            reach_mm=settings.local_reach_mm,
        )
    return [
        as_value(metric, "body", found if isinstance(found, NoValue) else function(found))
        for metric, function in OF_BLOCKS.items()
    ]


def _against_source(pair: Pair, settings: GeometrySettings) -> list[Value]:
    if pair.source is None:
        return source_values(NoValue(why="no source image"))
    if settings.source_alignment == "off":
        return source_values(NoValue(why="switched off by source_alignment"))
    volumes = {
        "source": pair.source,
        "reference": pair.reference,
        "synthetic image": pair.synthetic,
    }
    for name, volume in volumes.items():
        wrong = int(np.count_nonzero(~np.isfinite(volume.array)))
        if wrong:
            why = f"{wrong} voxels of the {name} are not finite"
            return [failed(metric, "body", why) for metric in OF_PLACE]
    found = find_place(
        pair.source, pair.reference, pair.synthetic, pair.mask, settings.source_alignment
    )
    return source_values(found)
