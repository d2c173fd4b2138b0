"""What a record says of the kinds of its measures, and what it leaves to be told."""

from __future__ import annotations

from qa_suite.core.measure_kinds import kind_in
from qa_suite.core.records import Evaluation, Profile
from qa_suite.core.wording import listing, some


def kinds_not_told(profile: Profile, evaluation: Evaluation) -> tuple[str, ...]:
    """Say of which measures, whose mean is bounded, the record does not hold the kind."""
    asked = {
        criterion.metric
        for criterion in profile.criteria
        if criterion.statistic == "mean" and criterion.scope != "worst_patient"
    }
    found = {metric: kind_in(evaluation.definitions.get(metric)) for metric in sorted(asked)}
    guessed = [f"{metric} as {kind.kind}" for metric, kind in found.items() if not kind.declared]
    if not guessed:
        return ()
    return (
        f"The record does not say of what kind its measures are: the interval of a mean takes "
        f"{listing(some(guessed))}, by the recorded range or for want of one; evaluate again to "
        f"have it written down.",
    )
