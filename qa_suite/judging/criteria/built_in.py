"""What every verdict is held to, whatever its profile says.

An image that repeats the reference's own noise was made from the reference: a score too good to be
true. Doses of beams that met voxels beyond the HLUT's ends rest on a value that nobody stated.
Nobody should have to remember to ask, so these rules stand in no profile and cannot be left out.
"""

from __future__ import annotations

from typing import Any

from qa_suite.core.records import Criterion

_COMMON: dict[str, Any] = {
    "region": "body",
    "unit": "1",
    "scope": "worst_patient",
    "min_patients": 1,
}

TOO_GOOD = (
    Criterion(
        name="too good: the reference's noise",
        metric="shared_noise",
        statistic="max",
        bound=0.35,
        direction="at_most",
        source=(
            "Built into every verdict: no translator can know the noise of a scan that it never "
            "saw. Half way between images that do not know it (at most 0.17, of candidates 0.01) "
            "and copies with 6 HU of noise or blurred by 0.7 voxels (at least 0.53) in virtual "
            "patients (docs/measures/image.md)."
        ),
        **_COMMON,
    ),
    Criterion(
        name="too good: an error below the noise",
        metric="error_to_noise",
        statistic="min",
        bound=0.7,
        direction="at_least",
        source=(
            "Built into every verdict: an image without any noise errs by the reference's own, "
            "which is 1. Between images that do not know it (at least 0.95) and copies with 3 HU "
            "of noise (at most 0.53) in virtual patients (docs/measures/image.md)."
        ),
        **_COMMON,
    ),
)
"""Bounds that no patient of any evaluation may miss."""

TOO_GOOD_METRICS = tuple(criterion.metric for criterion in TOO_GOOD)

BEYOND_TABLE = "path_beyond_table"
"""Metric of the rule on HU beyond a table's ends."""


def beyond_table(variant: str) -> Criterion:
    """Return the rule on beams that met HU beyond the HLUT's ends, for one plan."""
    return Criterion(
        name=f"HU beyond the HLUT in the beams of {variant}",
        metric=BEYOND_TABLE,
        region="all",
        variant=variant,
        statistic="max",
        bound=1.0,
        direction="at_most",
        unit="%",
        scope="worst_patient",
        min_patients=1,
        source=(
            "Built into every verdict: beyond its ends a table holds its last value, which nobody "
            "stated (metal above all). A hundredth of a beam's rays moves no DVH."
        ),
    )
