"""Who is judged under a profile: the cases in it, those excluded and why, those not held out."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from qa_suite.core.errors import InputError, raise_problems
from qa_suite.core.records import (
    CaseRecord,
    Evaluation,
    Limit,
    PreflightValue,
    Profile,
    bare_numbers,
    limit_of,
)
from qa_suite.core.wording import listing, quantity, some, stated


def require_fit(profile: Profile, *, cohort: str, anatomy: str, directions: set[str]) -> None:
    """Refuse a profile that was not written for this direction and anatomy.

    Parameters
    ----------
    cohort, anatomy
        Name and anatomy of the cohort.
    directions
        Of the cohort and, where it says one, of the model.
    """
    wrong = sorted(directions - {profile.direction})
    if wrong and profile.direction != "any":
        raise InputError(
            f"The profile {profile.name} is for {profile.direction}, but the evaluation is of "
            f"{' and '.join(wrong)}; choose a profile for that direction, or 'descriptive', which "
            f"sets no bounds."
        )
    if profile.anatomy not in ("any", anatomy):
        raise InputError(
            f"The profile {profile.name} is for the anatomy '{profile.anatomy}', but the cohort "
            f"{cohort} is '{anatomy}'; choose a profile for it or for 'any'."
        )


def is_examined(case: CaseRecord, evaluation: Evaluation) -> bool:
    """Say whether a case is one of those held out, whatever became of it."""
    return case.split == evaluation.cohort.split or case.status == "evaluated"


def exclusions(
    profile: Profile, cases: Sequence[CaseRecord]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the cases that the profile excludes with their reasons, and what to announce."""
    known = sorted({name for case in cases for name in case.preflight})
    excluded: dict[str, list[str]] = {}
    notices = []
    for name, asked in sorted(profile.exclude.items()):
        limit = limit_of(asked)
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3) or known
            raise InputError(
                f"The profile {profile.name} excludes by {name!r}, which preflight did not "
                f"record; it recorded {', '.join(close) or 'nothing'}."
            )
        unknown = []
        for case in cases:
            if case.status != "evaluated":
                continue  # what is refused stays refused, and a failure stays a failure
            check = case.preflight.get(name)
            _require_unit(profile, name, limit, check)
            reason = _reason_to_exclude(name, check, limit)
            if check is None or check.value is None:
                unknown.append(case.case)
            if reason:
                excluded.setdefault(case.case, []).append(reason)
        if unknown:
            notices.append(
                f"{name} is undetermined for {listing(some(sorted(unknown)))}, who "
                f"{'is' if len(unknown) == 1 else 'are'} excluded: the profile excludes by it."
            )
    raise_problems(f"The profile {profile.name}", bare_numbers(profile.exclude))
    return {case: "; ".join(why) for case, why in sorted(excluded.items())}, tuple(notices)


def _require_unit(profile: Profile, name: str, limit: Limit, check: PreflightValue | None) -> None:
    if limit.unit is not None and check is not None and check.unit != limit.unit:
        raise InputError(
            f"The profile {profile.name} excludes by {name} in {limit.unit!r}, and preflight "
            f"recorded it in {check.unit!r}; give the limit in that unit."
        )


def _reason_to_exclude(name: str, check: PreflightValue | None, limit: Limit) -> str:
    """Why a preflight value excludes a case, or nothing; what is not known excludes too."""
    if check is None:
        return f"{name} was not checked, and the profile excludes by it"
    if check.value is not None:
        if limit.allows(check.value):
            return ""
        found = quantity(check.value, check.unit, apart_from=_end(limit, check.value))
        return f"{name} is {found}, {_beyond(limit, check.value, check.unit)}"
    if check.at_least is not None and not limit.allows_at_least(check.at_least):
        found = quantity(check.at_least, check.unit, apart_from=_end(limit, check.at_least))
        return f"{name} is at least {found}, {_beyond(limit, check.at_least, check.unit)}"
    return f"{name} is undetermined ({check.why}), and the profile excludes by it"


def _end(limit: Limit, value: float) -> float:
    """Return the end of the good side that a value lies beyond."""
    if limit.at_least is not None and value < limit.at_least:
        return limit.at_least
    end = limit.within if limit.within is not None else limit.at_most
    assert end is not None
    return end


def _beyond(limit: Limit, value: float, unit: str) -> str:
    end = _end(limit, value)
    if limit.within is not None:
        return f"beyond {stated(end, unit)}"
    return f"{'below' if value < end else 'above'} {stated(end, unit)}"


def seen_in_training(evaluation: Evaluation, cases: Sequence[CaseRecord]) -> frozenset[str]:
    """Return the patients who are not held out.

    An evaluation made under the leakage override says so in its notices; which of its
    patients were recognised by their voxels alone is not in the case table, so none counts.
    """
    if evaluation.settings.get("allow_leakage") and evaluation.notices:
        return frozenset(case.patient for case in cases)
    return frozenset(evaluation.model.training_patients) & {case.patient for case in cases}


def not_imported(cases: Sequence[CaseRecord], held_out: Sequence[CaseRecord]) -> tuple[str, ...]:
    """Say which cases of the record are not judged, with the reason."""
    inside = {case.case for case in held_out}
    outside = [case for case in cases if case.case not in inside]
    return tuple(
        f"{case.case} at {case.site} is not judged: {case.reason.rstrip('.')}." for case in outside
    )
