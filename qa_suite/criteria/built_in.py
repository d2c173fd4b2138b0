"""What every verdict is held to, whatever its profile says: a score too good to be true.

An image that repeats the reference's own noise was made from the reference. Nobody should have
to remember to ask for it, so the rule stands in no profile and cannot be left out of one.
"""

from __future__ import annotations

from typing import Any

from qa_suite.records import Criterion

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
