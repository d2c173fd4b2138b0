"""The verdict in one sentence: where the model holds, fails and is undecided, by name."""

from __future__ import annotations

from collections.abc import Sequence

from qa_suite.core.records import CaseRecord, Finding, Outcome, Profile
from qa_suite.core.wording import bound_text, count, known, listing, percent, quantity, some, stated
from qa_suite.judging.outcomes import overall_outcome


def verdict_sentence(
    outcome: Outcome,
    findings: Sequence[Finding],
    cases: Sequence[CaseRecord],
    profile: Profile,
    *,
    excluded: int = 0,
) -> str:
    """Say where the model holds, where it fails and where that is undecided, by name."""
    if not cases:
        return f"Inconclusive under {profile.name} {profile.version}: no case is left to judge."
    parts = [*_site_parts(findings), *_whole_parts(findings)]
    status = [case.status for case in cases]
    flow = {
        "refused by preflight": status.count("refused"),
        "excluded by the profile": excluded,
        "failed in translation": status.count("failed"),
    }
    tail = [f"{count(n, 'case')} {what}" for what, n in flow.items() if n]
    tested = f"{count(len(profile.criteria), 'criterion', 'criteria')}, {_measured(cases)}"
    text = (
        f"{outcome.capitalize()} under {profile.name} {profile.version} ({tested}): "
        f"{'; '.join(parts)}."
    )
    if not profile.criteria and not findings:
        text = (
            f"Described under {profile.name} {profile.version}, which sets no bounds "
            f"({_measured(cases)}): not judged."
        )
    return f"{text} Not measured: {listing(tail)}." if tail else text


def _measured(cases: Sequence[CaseRecord]) -> str:
    """Say how many patients, at how many sites, were measured: what the sentence speaks of."""
    measured = [case for case in cases if case.status == "evaluated"]
    patients, sites = ({getattr(c, name) for c in measured} for name in ("patient", "site"))
    where = f" at {count(len(sites), 'site')}" if sites else ""
    return f"{count(len(patients), 'patient')}{where}"


def _site_parts(findings: Sequence[Finding]) -> list[str]:
    """Sort the sites into those where it holds, fails or stays undecided."""
    by_site: dict[str, list[Finding]] = {}
    for finding in findings:
        local = finding.criterion.scope == "each_site"
        missed = finding.criterion.scope == "worst_patient" and finding.outcome == "fail"
        for site in finding.sites if local or missed else ():
            by_site.setdefault(site, []).append(finding)
    outcomes = {s: overall_outcome(f.outcome for f in found) for s, found in by_site.items()}
    if not any(finding.criterion.scope == "each_site" for finding in findings):
        return []
    parts = []
    holding = sorted(site for site, outcome in outcomes.items() if outcome == "pass")
    if holding:
        parts.append(f"holds at {listing(holding)}")
    for kind, verb in (("fail", "fails at"), ("inconclusive", "undecided at")):
        sites = sorted(site for site, outcome in outcomes.items() if outcome == kind)
        said = [f"{s} ({_brief([f for f in by_site[s] if f.outcome == kind])})" for s in sites]
        if said:
            parts.append(f"{verb} {listing(said)}")
    return parts


def _whole_parts(findings: Sequence[Finding]) -> list[str]:
    """Say what the findings over all sites add to those site by site."""
    local = any(finding.criterion.scope == "each_site" for finding in findings)
    rest = [
        finding
        for finding in findings
        if finding.criterion.scope != "each_site"
        and not (local and finding.criterion.scope == "worst_patient" and finding.outcome == "fail")
    ]
    parts = []
    for kind, verb in (("fail", "fails"), ("inconclusive", "undecided")):
        found = [finding for finding in rest if finding.outcome == kind]
        if found:
            parts.append(f"{verb} over all sites ({_brief(found)})")
    if rest and not parts:
        whole = [finding for finding in findings if finding.criterion.scope != "each_site"]
        which = "the criteria" if len(whole) == len(rest) else "the other criteria"
        parts.append(f"{which} over all sites hold" if local else "holds over all sites")
    return parts


def _brief(findings: Sequence[Finding], most: int = 3) -> str:
    """Name the criteria of one outcome, the first few, with what decided it."""
    said: list[str] = []
    if findings[0].outcome == "inconclusive":
        by_reason: dict[str, list[str]] = {}
        for finding in findings:
            by_reason.setdefault(finding.because, []).append(finding.criterion.name)
        said = [f"{why}: {listing(some(names))}" for why, names in by_reason.items()]
    else:
        said = list(dict.fromkeys(_estimate_and_bound(finding) for finding in findings))
    more = [f"{len(said) - most} more"] if len(said) > most else []
    return "; ".join(said[:most] + more)


def _estimate_and_bound(finding: Finding) -> str:
    criterion = finding.criterion
    nobody = finding.estimate is None and finding.at_least is None and finding.at_most is None
    if nobody and finding.reasons:
        return finding.reasons[0].words
    if nobody:
        return f"{criterion.name} has no value"
    if criterion.statistic == "fraction_within":
        bound = stated(100 * criterion.bound, "%")
        share = percent(finding.at_most or 0 if finding.estimate is None else finding.estimate)
        most = "at most " if finding.estimate is None else ""
        return f"{criterion.name} {most}{share}, bound at least {bound}"
    if finding.estimate is None:
        value = known(finding.at_least, finding.at_most, criterion.unit)
    else:
        value = quantity(finding.estimate, criterion.unit, apart_from=criterion.bound)
    bound = bound_text(criterion.direction, stated(criterion.bound, criterion.unit))
    return f"{criterion.name} {value}, bound {bound}"
