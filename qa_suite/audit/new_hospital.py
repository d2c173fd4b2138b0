"""What the observed mean of a hospital never seen may be, by the hospitals that were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from qa_suite.audit.asked import AuditSettings, Question
from qa_suite.audit.findings import side_of
from qa_suite.core.records import NewSite
from qa_suite.core.wording import count, listing, number, quantity, stated
from qa_suite.judging.hospitals import new_site_interval
from qa_suite.judging.mean_regions import LEAST_HOSPITALS, LEAST_PATIENTS
from qa_suite.judging.outcomes import interval_outcome
from qa_suite.judging.patient_values import PatientValues
from qa_suite.judging.worst_end import alike_at_worst_end


def new_hospitals(
    by_measure: Mapping[Question, PatientValues],
    training_sites: Sequence[str],
    settings: AuditSettings,
) -> tuple[NewSite, ...]:
    """Predict a further hospital's mean in every primary and bounded measure.

    Only hospitals that the model was not trained on take part, if the training sites are known.
    """
    return tuple(
        _predict(question, values, frozenset(training_sites), settings)
        for question, values in by_measure.items()
        if question.primary or question.criterion is not None
    )


def _predict(
    question: Question, values: PatientValues, training: frozenset[str], settings: AuditSettings
) -> NewSite:
    elsewhere = values.where(lambda row: row.site not in training)
    abroad = side_of(elsewhere.rows)
    sizes = {site: len(found) for site, found in abroad.values.items()}
    patients = settings.new_site_patients or (int(np.median(list(sizes.values()))) if sizes else 0)
    target = f"observed mean of {count(patients, 'patient')} at a further hospital"
    why = _undecided(sizes, abroad.censored)
    found = None
    if not why:
        found = new_site_interval(
            abroad.values,
            kind=values.kind,
            confidence=settings.confidence,
            patients=settings.new_site_patients,
        )
        why = found.why
    low, high = (found.low, found.high) if found else (None, None)
    outcome, worst = None, None
    if question.criterion is not None:
        outcome = "inconclusive"
        worst = alike_at_worst_end(question.criterion, elsewhere) if sizes else None
        if worst:
            outcome = "fail"
        elif low is not None and high is not None:
            outcome = interval_outcome(question.criterion, low, high)
    measure = question.measure
    if worst:
        sentence = f"{question.name}, {target}: fails, {worst.words}."
    elif found is None or low is None or high is None:
        sentence = f"{question.name}, {target}: undecided, {why}."
    else:
        sentence = (
            f"{question.name}, {target}: {quantity(found.estimate, question.unit)} "
            f"({100 * settings.confidence:.4g} % prediction {number(low)} to {number(high)}, from "
            f"{count(len(sizes), 'hospital')})."
        )
        if question.criterion is not None:
            bound = stated(question.criterion.bound, question.unit)
            sentence += {
                "pass": f" The whole of it meets the bound of {bound}.",
                "fail": f" The whole of it misses the bound of {bound}.",
            }.get(str(outcome), f" The bound of {bound} lies within it.")
    return NewSite(
        metric=measure.metric,
        region=measure.region,
        variant=measure.variant,
        unit=question.unit,
        sites=tuple(sorted(sizes)),
        target=target,
        estimate=found.estimate if found else None,
        low=low,
        high=high,
        method=found.method if found else why,
        outcome=outcome,
        sentence=sentence,
    )


def _undecided(sizes: Mapping[str, int], censored: int) -> str:
    """Say why a further hospital cannot be predicted; empty if it can."""
    if censored:
        return f"{count(censored, 'patient')} of whom only a bound is known"
    if len(sizes) < LEAST_HOSPITALS:
        return (
            f"{count(len(sizes), 'hospital')} that the model was not trained on, and "
            f"{LEAST_HOSPITALS} are needed"
        )
    few = sorted(site for site, n in sizes.items() if n < LEAST_PATIENTS)
    return f"fewer than {LEAST_PATIENTS} patients at {listing(few)}" if few else ""
