"""Names of hospitals: which are too alike to be two, and which were expected and did not come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from qa_suite.core.cohort import HELD_OUT, Cohort
from qa_suite.core.errors import raise_problems
from qa_suite.core.wording import count, listing


def alike(sites: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return the names that differ by nothing but case, spaces and joints, group by group."""
    groups: dict[str, set[str]] = {}
    for site in sites:
        plain = "".join(letter for letter in site.casefold() if letter.isalnum())
        groups.setdefault(plain or site, set()).add(site)
    return tuple(tuple(sorted(names)) for _, names in sorted(groups.items()) if len(names) > 1)


def require_distinct(expected: Iterable[str], found: Iterable[str]) -> tuple[str, ...]:
    """Return the expected hospitals in alphabetical order; refuse names that cannot be meant.

    Parameters
    ----------
    expected
        As somebody wrote them.
    found
        Hospitals of the scans that are there, readable or not.

    Raises
    ------
    Problems
        With every name that differs from another, or from that of the scans, by its spelling alone:
        it would be expected for ever.
    """
    names = list(expected)
    said = [f"{name!r} is named twice" for name in sorted({n for n in names if names.count(n) > 1})]
    for group in alike([*names, *found]):
        if set(group) & set(names):
            said.append(
                f"{listing([repr(name) for name in group])} differ by their spelling alone; name "
                f"the hospital as its scans do"
            )
    raise_problems("The expected sites", said)
    return tuple(sorted(names))


def not_come(cohort: Cohort) -> Iterator[str]:
    """Say of each expected hospital of which no patient will be examined, why that is."""
    for site in cohort.expected_sites:
        cases = [case for case in cohort.cases if case.site == site]
        readable = [case for case in cases if case.import_problem is None]
        if not cases:
            why = "no scan is of it"
        elif not readable:
            why = f"none of its {count(len(cases), 'case')} could be imported"
        elif all(case.split != HELD_OUT for case in readable):
            why = f"none of its patients is in the set '{HELD_OUT}'"
        else:
            continue
        yield f"{site} is expected, and {why}: a verdict fails there."
