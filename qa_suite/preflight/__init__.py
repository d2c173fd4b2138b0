"""What must hold before a case is measured: geometry, units, orientation, alignment.

Only the unreadable, the impossible and gross misalignment are refused. Every check leaves its
value and bound in the record, so that a criteria profile may exclude more when it judges.
"""

from __future__ import annotations

from qa_suite.core.cohort import Cohort
from qa_suite.imaging.registration.alignment import Alignment, estimate_alignment
from qa_suite.io.cases import LoadedCase
from qa_suite.preflight.alignment import check_alignment
from qa_suite.preflight.checks import (
    CHECKS,
    FIRST_CHECKS,
    PreflightResult,
    check_swapped,
    conclude,
    unreadable,
)
from qa_suite.preflight.evidence import Evidence, Values
from qa_suite.preflight.settings import PreflightSettings

__all__ = [
    "Alignment",
    "PreflightResult",
    "PreflightSettings",
    "estimate_alignment",
    "preflight",
    "unreadable",
]


def preflight(
    loaded: LoadedCase, cohort: Cohort, settings: PreflightSettings | None = None
) -> PreflightResult:
    """Check one case before it is measured.

    Parameters
    ----------
    loaded
        The volumes of the case, all on the grid of its source.
    cohort
        Says what source and reference should be.
    settings
        The bounds; the defaults where None.

    Returns
    -------
    PreflightResult
        With every check's value; checks that make no sense after an earlier refusal
        (the alignment of a constant image) are left out.
    """
    settings = settings or PreflightSettings()
    values: Values = {}
    for first in FIRST_CHECKS:
        values |= first(loaded)
        if any(value.status == "refused" for value in values.values()):
            return conclude(values)
    assert loaded.reference is not None
    evidence = Evidence(loaded=loaded, reference=loaded.reference, settings=settings)
    for check in CHECKS:
        values |= check(evidence)
    values |= check_swapped(evidence, cohort)
    if settings.estimate_alignment and not conclude(values).refused:
        values |= check_alignment(evidence)
    return conclude(values)
