"""A metric of every region, and a family of its own."""

from __future__ import annotations

import numpy as np

from qa_suite.metrics.base import Pair, Value, ok, undefined
from qa_suite.metrics.facts import FAMILIES, METRICS, REFERENCE_UNIT, FamilyFacts, MetricFacts
from qa_suite.metrics.image.regions import BY_REGION, RegionVoxels


@BY_REGION.add(
    "acme_spread",
    MetricFacts(
        family="image",
        title="Largest minus smallest error",
        unit=REFERENCE_UNIT,
        direction="lower",
        range="[0, inf)",
        kind="positive",
        formula="largest minus smallest (synthetic - reference) over the region's voxels",
        empty="a region without voxels is undefined; a voxel that is not finite is an error",
        reference="Definition of Acme",
    ),
)
def acme_spread(voxels: RegionVoxels) -> float:
    """Spread of the error; 0 for a mere offset."""
    return float(np.ptp(voxels.difference))


METRICS.declare(
    "acme_mask_volume",
    MetricFacts(
        family="acme",
        title="Volume of the mask",
        unit="cc",
        direction="none",
        range="(0, inf)",
        kind="positive",
        formula="voxels of the mask times the volume of one",
        empty="an empty mask is undefined",
        reference="Definition of Acme",
    ),
)


@FAMILIES.add("acme", FamilyFacts(title="What Acme asks of a pair", needs=("mask",)))
def acme(pair: Pair, settings: None) -> list[Value]:
    """Measure the mask; a family from outside has no settings of the suite."""
    voxels = int(np.count_nonzero(pair.mask))
    if voxels == 0:
        return [undefined("acme_mask_volume", "body", "the mask is empty")]
    return [ok("acme_mask_volume", "body", voxels * pair.grid.voxel_volume_cc)]
