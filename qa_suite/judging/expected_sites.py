"""Which hospitals must be judged, and whose names are too alike. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qa_suite.core.records import CaseRecord, Evaluation, Profile
from qa_suite.core.sites import alike
from qa_suite.core.wording import count, listing


def missing_sites(
    profile: Profile,
    evaluation: Evaluation,
    cases: Sequence[CaseRecord],
    held_out: Sequence[CaseRecord],
) -> dict[str, str]:
    """Return the sites that were expected and have no examined case, each with why.

    Parameters
    ----------
    profile, evaluation
        Both may name sites to expect. A record that does not say is taken to expect those of
        which a case could not be imported, but for the sites that the model was trained at.
    cases, held_out
        All of the record, and those that are examined.
    """
    broken: dict[str, int] = {}
    for case in cases:
        if case.split is None:
            broken[case.site] = broken.get(case.site, 0) + 1
    of_cohort = evaluation.cohort.expected_sites
    if of_cohort is None:
        of_cohort = tuple(sorted(set(broken) - set(evaluation.model.training_sites)))
    here = {case.site for case in held_out}
    missing = {}
    for site in sorted({*of_cohort, *profile.expected_sites} - here):
        if site in broken:
            missing[site] = f"{count(broken[site], 'case')} of it could not be imported"
        else:
            by = "the profile" if site in profile.expected_sites else "the cohort"
            missing[site] = f"{by} expects it, and no case of it is in this set"
    return missing


def like_named(sites: Iterable[str]) -> tuple[str, ...]:
    """Say which names of sites differ by nothing but case, spaces and joints."""
    return tuple(
        f"The sites {listing([repr(name) for name in names])} differ by no more than case, "
        f"spaces and joints, and count as different; give one hospital one name."
        for names in alike(sites)
    )
