"""What a verdict means, in a sentence that claims no more than was tested."""

from __future__ import annotations

from collections.abc import Sequence

from qa_suite.core.records import CaseRecord, Finding, ModelFacts, SiteGap, Verdict
from qa_suite.core.wording import count, listing, some


def scope_tested(verdict: Verdict, cases: Sequence[CaseRecord]) -> str:
    """Say how many criteria were applied to how many patients at which sites."""
    judged = [c for c in cases if c.status == "evaluated" and c.case not in verdict.excluded]
    patients, sites = {c.patient for c in judged}, sorted({c.site for c in judged})
    criteria = count(len(verdict.profile.criteria), "criterion", "criteria")
    if not patients:
        return f"{criteria} and no patient who was measured"
    where = f"{count(len(sites), 'site')} ({', '.join(some(sites))})"
    return f"{criteria}, {count(len(patients), 'held-out patient')} at {where}"


def verdict_meaning(verdict: Verdict, cases: Sequence[CaseRecord]) -> str:
    """Say what the outcome means, of how many findings, criteria, patients and sites."""
    of = scope_tested(verdict, cases)
    findings = verdict.findings
    if not verdict.profile.criteria and verdict.outcome != "fail":
        return "The profile sets no bounds: what was measured is described, and nothing was judged."
    if not findings:
        return f"Nothing was tested ({of}); this is not a pass."
    missed = [f for f in findings if f.outcome == "fail"]
    undecided = [f for f in findings if f.outcome == "inconclusive"]
    n = count(len(findings), "finding")
    if missed:
        return (
            f"{len(missed)} of {n} {_verb(missed, 'misses its bound', 'miss their bounds')}, with "
            f"the whole interval or in the worst patient ({of}). The model should not be used for "
            f"this purpose as it is."
        )
    if undecided:
        return (
            f"No bound is proven missed, and {len(undecided)} of {n} could not be decided: "
            f"{_reasons(undecided)} ({of}). More or better data is needed; this is not a pass."
        )
    return (
        f"{n} of {of}: {_verb(findings, 'it meets its bound', 'each meets its bound')} with the "
        f"whole interval, or in the worst patient. Nothing else was tested."
    )


def _verb(findings: Sequence[Finding], one: str, several: str) -> str:
    return one if len(findings) == 1 else several


def _reasons(findings: Sequence[Finding]) -> str:
    """Name the reasons that decided, the commonest first, with how many findings each decided."""
    said: dict[str, int] = {}
    for finding in findings:
        said[finding.because] = said.get(finding.because, 0) + 1
    ordered = sorted(said.items(), key=lambda item: (-item[1], item[0]))
    return listing(some([f"{why} ({n})" for why, n in ordered], 4))


def sites_compared(gaps: Sequence[SiteGap], model: ModelFacts) -> str:
    """Say which comparisons of new sites show no shift, of a verdict in which none does.

    Parameters
    ----------
    gaps
        Of the verdict.
    model
        Whose training sites tell which site is new; where it does not say them, every site is.
    """
    new = [gap for gap in gaps if not gap.in_training]
    told = "the training sites" if model.training_sites else "the other sites"
    if not gaps:
        return ""
    if not new:
        return "No site was judged that the model was not trained on."
    tested = [gap for gap in new if gap.shifted is not None]
    sites = sorted({gap.site for gap in tested})
    if not tested:
        named = listing(some(sorted({gap.site for gap in new})))
        return f"Whether {named} differs from {told} could not be tested in any measure."
    measures = {(gap.metric, gap.region, gap.variant) for gap in tested}
    return (
        f"{listing(some(sites))} compared with {told} in {count(len(measures), 'measure')} "
        f"({count(len(tested), 'comparison')}): worse in none by more than chance explains; with "
        f"few patients that may mean little."
    )
