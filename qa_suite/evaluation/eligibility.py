"""Before a case is measured: what does not fit, what leaks, and whose dose is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import cast

from qa_suite.core.cohort import Case, Cohort
from qa_suite.core.errors import InputError, LeakageError
from qa_suite.core.failures import is_of_the_run, unfinished
from qa_suite.core.volume import Quantity
from qa_suite.evaluation.case_run import Examination, load_examined, preflight_of
from qa_suite.evaluation.journal import CaseEntry
from qa_suite.instruments.independence import all_shared, trained_on
from qa_suite.io.identity import SAME_SCAN_BITS, fingerprint_distance
from qa_suite.metrics.meaning import require_meaning


def quantity_of(cohort: Cohort) -> Quantity:
    """Return what the values of a cohort's real images are."""
    return cast(Quantity, cohort.reference_quantity)


def require_eligible(examination: Examination) -> None:
    """Refuse what was asked for and has no meaning for the cohort's real images.

    Raises
    ------
    InputError
        If a family of measures, a dose or one of the examiner's networks cannot be applied.
    """
    cohort, settings = examination.cohort, examination.settings
    quantity = quantity_of(cohort)
    require_meaning(quantity, settings.families)
    if quantity == "HU":
        return
    asked = [f"{facts.kind} {facts.name}" for facts in examination.instrument_facts]
    asked += [f"plan {choice.key}" for choice in settings.measures.dose.plans]
    if settings.clinic_files:
        asked.append("doses of the clinic")
    if asked:
        raise InputError(
            f"The {', '.join(asked)} need real images in HU, and those of {cohort.name} are in "
            f"{quantity}; leave them out."
        )


def instrument_notices(examination: Examination, cases: Sequence[Case]) -> tuple[str, ...]:
    """Refuse an instrument trained on an examined patient; announce one that is not applied.

    Raises
    ------
    LeakageError
        If an instrument was trained on an examined patient or scan, and the settings do not
        allow it.
    """
    facts = examination.instrument_facts
    notices = [f"Not applied: {why}." for why in all_shared(facts, examination.model)]
    seen = [text for one in facts if (text := trained_on(one, cases))]
    if seen and not examination.settings.allow_leakage:
        raise LeakageError(
            f"The {'; the '.join(seen)}; train it on other patients, or pass --allow-leakage."
        )
    notices += [f"The {text}. What it finds there is no held-out result." for text in seen]
    return tuple(notices)


def leakage_notices(examination: Examination, cases: Sequence[Case]) -> tuple[str, ...]:
    """Refuse, or with the override announce, a model examined on what it was trained on."""
    model = examination.model
    patients = set(model.training_patients)
    voxels = set(model.training_voxel_hashes)
    seen = [
        case.case
        for case in cases
        if case.patient in patients
        or voxels.intersection(case.voxel_hashes.values())
        or _looks_like(case, model.training_fingerprints)
    ]
    if not seen:
        return ()
    text = f"{model.uri} was trained on {len(seen)} of the examined cases: {', '.join(seen)}"
    if not examination.settings.allow_leakage:
        raise LeakageError(f"{text}; examine it on other patients, or pass --allow-leakage.")
    return (f"{text}. Nothing below is a held-out result.",)


def _looks_like(case: Case, known: Iterable[str]) -> bool:
    return any(
        fingerprint_distance(mine, other) <= SAME_SCAN_BITS
        for mine in case.fingerprints.values()
        for other in known
    )


def cases_with_dose(
    examination: Examination,
    cases: Sequence[Case],
    known: Callable[[str], CaseEntry | None] = lambda case: None,
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
        Returns what the journal of an earlier, killed run holds of a case.

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
        if case.site not in chosen and _may_be_measured(examination, case, known(case.case)):
            chosen[case.site] = case.case
    return frozenset(chosen.values())


def _may_be_measured(examination: Examination, case: Case, known: CaseEntry | None) -> bool:
    if known is not None and known.record.status in ("refused", "evaluated"):
        return known.record.status == "evaluated"
    try:
        return not preflight_of(examination, load_examined(examination, case)).refused
    except Exception as error:  # whatever it is, the case's own turn records it
        if is_of_the_run(error):
            raise unfinished(f"The case {case.case} could not be looked at", error) from error
        return False
