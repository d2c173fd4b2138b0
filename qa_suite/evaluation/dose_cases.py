"""Whose dose an evaluation computes: every case's, or that of one case of each site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qa_suite.core.cohort import Case
from qa_suite.evaluation.case_run import Examination, load_examined, preflight_of
from qa_suite.evaluation.journal import CaseEntry


def cases_with_dose(
    examination: Examination, cases: Sequence[Case], known: Mapping[str, CaseEntry]
) -> frozenset[str]:
    """Choose the cases whose dose is computed, before any of them is measured.

    One of each site is its first case that preflight lets through: a refused case has no dose,
    and its site would go without. What preflight finds here is kept for the case's own turn.

    Parameters
    ----------
    examination
        Its settings say whose dose is asked for.
    cases
        The examined cases, in the cohort's order.
    known
        What the journal of an earlier, killed run holds, by case.

    Returns
    -------
    frozenset of str
        Names of cases. A site without a case that may be measured has none.
    """
    settings = examination.settings
    if settings.dose_cases == "all" or not settings.measures.dose.plans:
        return frozenset(case.case for case in cases)
    chosen: dict[str, str] = {}
    for case in cases:
        if case.site not in chosen and _may_be_measured(examination, case, known.get(case.case)):
            chosen[case.site] = case.case
    return frozenset(chosen.values())


def _may_be_measured(examination: Examination, case: Case, known: CaseEntry | None) -> bool:
    if known is not None and known.record.status in ("refused", "evaluated"):
        return known.record.status == "evaluated"
    try:
        return not preflight_of(examination, load_examined(examination, case)).refused
    except Exception:  # whatever it is, the case's own turn records it
        return False
