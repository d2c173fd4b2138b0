"""What lies outside the body in one image alone: a couch, a cushion, a coil.

A beam crosses it before it reaches the patient, and no measure inside the mask sees it.
"""

from __future__ import annotations

import numpy as np

from qa_suite.metrics.base import METRICS, MetricFacts, NoValue, Pair
from qa_suite.metrics.hallucination.depth import water_equivalent
from qa_suite.metrics.hallucination.settings import HallucinationSettings

REGION = "outside"
_RIM_VOXELS = 1  # around the mask: partial volume of the skin
_AIR_HU = -700.0  # below it is air with its noise, offset and blur, and no thing
_FEWEST = 20  # lines of a direction, below which it has no mean


@METRICS.add(
    "outside_depth",
    MetricFacts(
        family="hallucination",
        title="Water-equivalent depth error of what lies outside the body",
        unit="mm",
        direction="lower",
        range="[0, inf)",
        formula=(
            "largest |mean over the lines that meet the mask of the sum of (density of synthetic - "
            "of reference) before the mask| over the six directions along the grid's axes; the "
            "mask, the voxels next to it, air below -700 HU and what is not finite are left out; "
            "density: electrons relative to water"
        ),
        empty=(
            f"directions of fewer than {_FEWEST} lines do not count; without any, an empty mask or "
            "an image not in HU: undefined"
        ),
        reference="Definition of this suite",
        settings={"rim_voxels": _RIM_VOXELS, "air_hu": _AIR_HU},
        quantities=("HU",),
        because="only HU say how much water a voxel is to a beam",
    ),
)
def outside_depth(pair: Pair, settings: HallucinationSettings) -> float | NoValue:
    """Millimetres of water that only one image puts between a beam and the body."""
    from scipy import ndimage

    rim = ndimage.binary_dilation(pair.mask, iterations=_RIM_VOXELS)
    counted = ~rim if pair.coverage is None else pair.coverage & ~rim
    counted &= np.isfinite(pair.synthetic.array) & np.isfinite(pair.reference.array)
    synthetic, reference = (
        np.where(
            counted & (v.array > _AIR_HU),
            water_equivalent(v.array, settings.water_points),
            np.float32(0),
        )
        for v in (pair.synthetic, pair.reference)
    )
    change = synthetic - reference
    found = []
    for axis, step in enumerate(pair.grid.spacing_mm):
        for back in (False, True):
            part = slice(None, None, -1 if back else 1)
            here = np.moveaxis(pair.mask, axis, 0)[part]
            lines = here.any(axis=0)
            if np.count_nonzero(lines) < _FEWEST:
                continue
            before = np.cumsum(here, axis=0) == 0
            depth = (np.moveaxis(change, axis, 0)[part] * before).sum(axis=0, dtype=np.float64)
            found.append(abs(float(depth[lines].mean())) * step)
    if not found:
        return NoValue(why=f"no direction has {_FEWEST} lines that meet the mask")
    return max(found)
