"""What a profile asks and a run cannot measure, told before the first case is translated.

A criterion without a value leaves a verdict undecided after hours. Most of what takes its value
away is known beforehand: the families, plans and segmenters of the settings, the structures that
somebody delineated, the patients of the set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from qa_suite.core.records import Criterion, Described, Profile
from qa_suite.core.wording import count, listing, measure_name
from qa_suite.evaluation.unmeasured import Asked, Run, why_unmeasured
from qa_suite.metrics.facts import METRICS


@dataclass(frozen=True, kw_only=True)
class Lack:
    """One reason, and what it takes the value of: names of criteria, and described measures."""

    why: str
    criteria: tuple[str, ...] = ()
    described: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Reason and way out, then every measure."""
        shown = [*(f"'{name}'" for name in self.criteria), *self.described]
        return f"{self.why}: {listing(shown)}."


def lacking(profile: Profile, run: Run) -> tuple[Lack, ...]:
    """Say which measures a profile asks for that a run cannot measure, by the reason.

    Parameters
    ----------
    profile
        What will judge.
    run
        What is known of the run.
    """
    found: dict[str, Lack] = {}
    for name, is_bounded, asked in _measures(profile):
        why = why_unmeasured(asked, run)
        if why is None:
            continue
        lack = found.get(why, Lack(why=why))
        if is_bounded:
            found[why] = replace(lack, criteria=(*lack.criteria, name))
        else:
            found[why] = replace(lack, described=(*lack.described, name))
    return tuple(found.values())


def announcement(profile: Profile, run: Run) -> tuple[str, ...]:
    """Return the lines that a verb prints before it begins; none where all can be decided.

    What is described alone is shown where the record holds it, and told here only beside what
    leaves a criterion undecided.
    """
    found, short = lacking(profile, run), tuple(too_few(profile, run))
    if not short and not any(lack.criteria for lack in found):
        return ()
    head = (
        f"! {profile.name} {profile.version} asks for what this run cannot measure or decide, and "
        f"its verdict will not pass:"
    )
    return (head, *(f"  {lack.sentence}" for lack in found), *short)


def _measures(profile: Profile) -> Iterator[tuple[str, bool, Asked]]:
    """Yield the name of each measure, whether it is bounded, and where it is measured."""
    named: list[tuple[str, bool, Criterion | Described]] = [
        (one.name, True, one) for one in profile.criteria
    ]
    named += [
        (measure_name(one.metric, one.region, one.variant), False, one) for one in profile.describe
    ]
    for name, is_bounded, one in named:
        if one.metric in METRICS:  # else of a package that is not installed: the reader refuses it
            facts = METRICS[one.metric].facts
            asked = Asked(metric=one.metric, region=one.region, variant=one.variant, facts=facts)
            yield name, is_bounded, asked


def too_few(profile: Profile, run: Run) -> Iterator[str]:
    """Say for how many criteria the set holds fewer patients than ``min_patients``."""
    sites: dict[str, set[str]] = {}
    of_dose: dict[str, set[str]] = {}
    for case in run.cases:
        sites.setdefault(case.site, set()).add(case.patient)
        of_dose.setdefault(case.site, {case.patient})
    once = run.settings.dose_cases == "one_per_site"
    short: dict[str, Counter[int]] = {}
    for one in profile.criteria:
        dose = once and one.metric in METRICS and METRICS[one.metric].facts.family == "dose"
        for where, n in _counted(one, of_dose if dose else sites):
            if n < one.min_patients:
                more = " whose dose is computed" if dose else ""
                short.setdefault(f"{count(n, 'patient')}{more} {where}", Counter())[
                    one.min_patients
                ] += 1
    for where, asked in short.items():
        criteria = [
            f"{number} by {count(n, 'criterion', 'criteria')}" for number, n in asked.items()
        ]
        yield (
            f"  the set '{run.settings.split}' has {where}, and more are asked for: "
            f"{listing(criteria)}."
        )


def _counted(one: Criterion, sites: Mapping[str, set[str]]) -> list[tuple[str, int]]:
    if one.scope == "each_site":
        return [(f"of {site}", len(patients)) for site, patients in sorted(sites.items())]
    if one.scope == "new_site":
        return []  # told by the number of hospitals, which the judge knows
    return [("in all", len(set().union(*sites.values())))]
