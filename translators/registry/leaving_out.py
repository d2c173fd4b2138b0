"""Training without some sites, so that a model can be examined at a hospital it never saw."""

from __future__ import annotations

from collections.abc import Sequence

from qa_suite.core.cohort import Cohort
from qa_suite.core.errors import raise_problems
from qa_suite.core.registry import unknown_name
from qa_suite.core.wording import listing


def without_sites(cohort: Cohort, sites: Sequence[str]) -> Cohort:
    """Return a cohort without some sites, and without their patients wherever else they were.

    Raises
    ------
    Problems
        If there is no such site, or none would be left.
    """
    problems = [
        unknown_name(f"site of {cohort.name}", site, list(cohort.sites)).rstrip(".")
        for site in sites
        if site not in cohort.sites
    ]
    if not problems and not set(cohort.sites) - set(sites):
        problems.append(f"without {listing(sorted(sites))} no site of {cohort.name} is left")
    raise_problems("--leave-out-site", problems)
    gone = {case.patient for case in cohort.cases if case.site in sites}
    kept = tuple(case for case in cohort.cases if case.patient not in gone)
    return cohort.model_copy(update={"cases": kept})
