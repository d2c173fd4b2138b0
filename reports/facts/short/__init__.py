"""The report in short, as data: what the PDF, the model card and the JSON file say alike.

Texts are those of the HTML page, and beside each stands the number that it is made of.
"""

from __future__ import annotations

from collections.abc import Sequence

from reports.facts.exams import exam_of, exam_said, known_to_find
from reports.facts.meaning import verdict_meaning
from reports.facts.readiness import Readiness
from reports.facts.short.findings import deciding, short_finding, short_gaps
from reports.facts.short.lines import (
    changes_of,
    comparators_of,
    dose_of,
    facts_of,
    provenance_of,
    reference_of,
    worst_cases_of,
)
from reports.facts.short.records import HazardLine, Line, Short, ShortFault, ShortSite, ShortStratum
from reports.facts.worst import worst_site

_FRONT = (
    "Intended use",
    "Evidence",
    "Speaks of",
    "Dose",
    "Protocol",
    "Overall",
    "Signatures",
    "Release",
)
"""Labels of what stands on the front page."""


def short_report(
    found: Readiness, *, hazards: Sequence[HazardLine] = (), log_head: str = ""
) -> Short:
    """Say in short what the report of a verdict says.

    Parameters
    ----------
    found
        Everything that the report says.
    hazards
        The table of hazards, where there is one.
    log_head
        Digest of the last line of the log beside the evaluation.
    """
    verdict, evaluation, standing = found.verdict, found.evaluation, found.standing
    finds = known_to_find(verdict.profile, [one.criterion.name for one in verdict.findings])
    exam = exam_of(verdict.profile)
    identifier = "" if verdict.evidence is None else verdict.evidence.verdict
    model = evaluation.model
    return Short(
        evaluation=evaluation.evaluation,
        verdict=identifier,
        at=evaluation.when.finished if verdict.evidence is None else verdict.evidence.judged_at,
        log_head=log_head,
        model=f"{model.name}{f', version {model.version}' if model.version else ''} ({model.uri})",
        profile=f"{verdict.profile.name} {verdict.profile.version}",
        symbol=standing.title[0],
        headline=standing.title[1],
        outcome=verdict.outcome_word,
        colour=standing.colour,
        own=standing.own,
        sentence=verdict.sentence,
        front=tuple(Line(label=a, text=b) for a, b in facts_of(found) if a in _FRONT),
        about=tuple(Line(label=a, text=b) for a, b in facts_of(found) if a not in _FRONT),
        warnings=found.notices,
        meaning=verdict_meaning(verdict, found.cases),
        deciding=tuple(
            short_finding(f, finds[f.criterion.name], exam is not None) for f in deciding(verdict)
        ),
        worst_site=worst_site(verdict),
        worst_stratum=ShortStratum.model_validate(vars(found.worst_stratum)),
        exam=exam_said(verdict.profile),
        exam_faults=tuple(
            ShortFault.model_validate(one.model_dump())
            for one in (() if exam is None else exam.faults)
        ),
        findings=tuple(
            short_finding(f, finds[f.criterion.name], exam is not None) for f in verdict.findings
        ),
        gaps=short_gaps(verdict),
        sites=tuple(ShortSite.model_validate(vars(one)) for one in found.site_counts),
        worst_cases=worst_cases_of(found),
        dose=tuple(dose_of(found)),
        reference=tuple(reference_of(found)),
        comparators=comparators_of(found),
        hazards=tuple(hazards),
        not_asked=verdict.profile.does_not_ask,
        changes=tuple(changes_of(found)),
        provenance=tuple(provenance_of(found)),
    )
