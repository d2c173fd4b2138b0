"""The bundles of several hospitals, checked and joined into what an audit takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from qa_suite.audit.joined import Material, Source, join, read_source
from qa_suite.bundles.bundle import Opened
from qa_suite.core.errors import InputError, Problems
from qa_suite.core.record_names import digest_of
from qa_suite.core.records import Profile
from qa_suite.core.signing import keys
from qa_suite.core.signing.reviewers import Reviewers, why_not_counted
from qa_suite.core.wording import count, listing


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What is taken in spite of a doubt, which is then told on every page."""

    unconfirmed: bool = False
    unlocked: bool = False


def merge(
    bundles: Sequence[Opened],
    profile: Profile,
    reviewers: Reviewers | None,
    *,
    now: datetime,
    accepted: Accepted = Accepted(),
    leave_out: Collection[str] = (),
) -> Material:
    """Check bundles and join them.

    Parameters
    ----------
    bundles
        As :func:`qa_suite.bundles.bundle.opened` gives them; their order does not matter.
    profile
        What the hospitals were to be judged by.
    reviewers
        Whose signatures count.
    now
        To which signatures are valid or not.
    accepted
        Doubts that are told instead of refused.
    leave_out
        Sites that have withdrawn.

    Raises
    ------
    Problems
        With everything against joining them.
    """
    problems: list[str] = []
    notices: list[str] = []
    for one in bundles:
        for doubts, accept, option in (
            (_unconfirmed(one, reviewers, now), accepted.unconfirmed, "--unconfirmed"),
            (_unlocked(one, profile), accepted.unlocked, "--unlocked"),
        ):
            for doubt in doubts:
                if accept:
                    notices.append(f"{_who(one)}: {doubt} (taken all the same, {option}).")
                else:
                    problems.append(f"{one.path}: {doubt}; {option} takes it and says so")
        notices += _suppressed(one)
    twice = _twice(bundles)
    problems += twice
    whole = [read_source(one.folder) for one in bundles]
    known = {site for source in whole for site in source.evaluation.cohort.sites}
    unknown = sorted(set(leave_out) - known)
    if unknown:
        problems.append(
            f"{listing(unknown)} is left out and in no bundle; there are {listing(sorted(known))}"
        )
    if problems:
        raise Problems("The merge", problems)
    sources = [_without(source, leave_out, one) for source, one in zip(whole, bundles, strict=True)]
    left = [source for source in sources if source.cases]
    if not left:
        raise InputError("No hospital is left to audit.")
    if leave_out:
        notices.append(f"Left out, since they withdrew: {listing(sorted(leave_out))}.")
    material = join(left)
    said = (*notices, *_studies(bundles))
    return replace(material, notices=tuple(dict.fromkeys((*said, *material.notices))))


def _who(one: Opened) -> str:
    return one.path.name


def _unconfirmed(one: Opened, reviewers: Reviewers | None, now: datetime) -> Iterator[str]:
    if not keys.is_signed(one.signed.key, one.signed.signature, one.signed.content):
        yield "its signature is not genuine"
        return
    yield from (
        f"its signature does not count: {w}" for w in why_not_counted(one.signed, reviewers, now)
    )


def _unlocked(one: Opened, profile: Profile) -> Iterator[str]:
    name, digest = f"{profile.name} {profile.version}", digest_of(profile.asks)
    under = [x for x in one.bundle.verdicts if x.profile_sha256 == digest]
    if not under:
        other = listing([x.profile for x in one.bundle.verdicts]) or "nothing"
        yield f"it was not judged by {name} ({digest[:8]}) but by {other}"
    elif under[-1].protocol != "locked":
        yield f"its protocol was {under[-1].protocol} when it was judged by {name}"


def _suppressed(one: Opened) -> list[str]:
    facts = [
        f"{x.fact} of {count(x.patients, 'patient')} at {x.site}" for x in one.bundle.suppressed
    ]
    if not facts:
        return []
    least = one.bundle.small_below
    return [
        f"{_who(one)}: not told, since fewer than {count(least, 'patient')} share the value: "
        f"{listing(facts)}."
    ]


def _twice(bundles: Sequence[Opened]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for one in bundles:
        other = seen.setdefault(one.bundle.evaluation, str(one.path))
        if other != str(one.path):
            yield f"{one.path} and {other} are of the same evaluation"


def _studies(bundles: Sequence[Opened]) -> list[str]:
    """Say whether a patient of two hospitals would be seen."""
    if len(bundles) < 2:
        return []
    studies = {one.bundle.study for one in bundles}
    if len(studies) == 1 and "" not in studies:
        return [
            "The bundles share a study key: a patient whom two of the hospitals import under one "
            "pseudonym, or whose scan both hold, counts once."
        ]
    return [
        "The bundles share no study key, so a patient who was at two of the hospitals counts twice."
    ]


def _without(source: Source, leave_out: Collection[str], one: Opened) -> Source:
    """Return a bundle's record as a source that is told by its file, without some sites."""
    kept = tuple(case for case in source.cases if case.site not in leave_out)
    if len(kept) == len(source.cases):
        return replace(source, folder=one.path)
    cohort = source.evaluation.cohort
    sites = tuple(site for site in cohort.sites if site not in leave_out)
    expected = cohort.expected_sites
    return Source(
        folder=one.path,
        evaluation=source.evaluation.model_copy(
            update={
                "cohort": cohort.model_copy(
                    update={
                        "sites": sites,
                        "expected_sites": None
                        if expected is None
                        else tuple(site for site in expected if site not in leave_out),
                        "cases": len(kept),
                        "patients": len({case.patient for case in kept}),
                    }
                )
            }
        ),
        measurements=source.measurements[
            source.measurements["case"].isin([case.case for case in kept])
        ],
        cases=kept,
    )
