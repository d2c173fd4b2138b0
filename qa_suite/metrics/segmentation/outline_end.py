"""What is known of a body that goes on beyond the domain in which its outline is looked for.

The domain ends a few millimetres outside the mask, so that the couch is no body. A synthetic
body that reaches its end, where the reference does not, is larger than what is seen of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from qa_suite.core.arrays import Mask
from qa_suite.imaging.threshold import ThresholdSettings
from qa_suite.metrics.base import Pair, Value, censored, undefined

FEWEST_FACES, LEAST_SHARE = 20, 0.01
"""Of the faces of voxels at the end of the domain; a few are noise in the air around a patient."""
_OUTLINE = ("centroid_shift", "hd", "hd95", "assd", "surface_dice", "dice", "volume_difference")


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
