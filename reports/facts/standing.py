"""Where a verdict stands among those of its evaluation, and what it rests on, as a page says it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from qa_suite.core.record_checks import table_digests
from qa_suite.core.records import Evaluation, ProfileTried, Verdict
from qa_suite.core.records.evidence import WHY_COUNTED
from qa_suite.core.signing.reviewers import Reviewers
from qa_suite.core.verdict_files import Overall, overall, worst
from qa_suite.core.wording import count, listing, some
from reports.facts.signed import signed_by
from reports.facts.wording import OUTCOME_SYMBOLS, OUTCOME_WORDS, outcome_title

UNWRITTEN = (
    "This verdict was computed for this page and not written down: it counts in no overall outcome "
    "and among no profiles tried."
)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One verdict among the others.

    ``title`` is the symbol and the words of the headline, ``colour`` the outcome it is shown in:
    those of the evaluation, where they are worse than the verdict's own. ``rows`` are labels and
    texts.
    """

    judged: Overall
    title: tuple[str, str]
    colour: str
    own: str
    rows: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def standing_of(
    folder: Path, evaluation: Evaluation, verdict: Verdict, reviewers: Reviewers | None = None
) -> Standing:
    """Return where a verdict stands and who signed it, as the folder is now."""
    judged = overall(folder)
    found = standing_among(judged, evaluation, verdict)
    signed = signed_by(folder, judged, verdict, reviewers)
    return replace(
        found, rows=(*found.rows, *signed.rows), warnings=(*signed.warnings, *found.warnings)
    )


def standing_among(judged: Overall, evaluation: Evaluation, verdict: Verdict) -> Standing:
    """Return where a verdict stands among those that are at hand."""
    title, own = outcome_title(verdict), ""
    colour: str = verdict.outcome
    whole = worst([judged.outcome, verdict.outcome_word])
    if whole != verdict.outcome_word and whole in OUTCOME_WORDS:
        own = (
            f"This page is of one verdict alone, {title[1]} under {verdict.profile.name} "
            f"{verdict.profile.version}."
        )
        title, colour = (OUTCOME_SYMBOLS[whole], f"{OUTCOME_WORDS[whole]} overall"), whole
    return Standing(
        judged=judged,
        title=title,
        colour=colour,
        own=own,
        rows=tuple(_rows(judged, verdict)),
        warnings=tuple(_warnings(judged, evaluation, verdict)),
    )


def _rows(judged: Overall, verdict: Verdict) -> list[tuple[str, str]]:
    rows = [("Dose", sentence.removeprefix("Dose, ")) for sentence in verdict.dose_said]
    rows.append(("Whom", verdict.speaks_of_said))
    if len(judged.written) > 1:
        rows.append(("Overall", judged.sentence))
    if tried := _tried(judged.tried):
        rows.append(("Profiles tried", tried))
    evidence = verdict.evidence
    if evidence is not None:
        rows += [
            ("Test cohort", evidence.cohort_sentence),
            ("Protocol", evidence.protocol.sentence),
            ("Judged", f"{evidence.judged_sentence}; verdict {evidence.verdict[:8]}"),
        ]
    return rows


def _tried(tried: tuple[ProfileTried, ...]) -> str:
    """Say how many profiles with bounds have been tried on this evaluation until now."""
    bounded = [one.title for one in tried if one.bounds]
    if len(bounded) < 2:
        return "One on this evaluation." if bounded else ""
    return f"{len(bounded)} on this evaluation, in this order: {listing(some(bounded))}."


def _warnings(judged: Overall, evaluation: Evaluation, verdict: Verdict) -> list[str]:
    evidence = verdict.evidence
    if evidence is None:
        return [UNWRITTEN] if verdict.schema_version == 3 else []
    found = []
    if evidence.tables_sha256 != table_digests(evaluation):
        found.append(
            "This verdict rests on other tables than those that lie here now; judge again, and "
            "see 'qa-suite verify'."
        )
    for one in judged.written:
        if one.identifier == evidence.verdict and one.superseded_by:
            found.append(f"This verdict stands no longer: {one.superseded_by[:8]} superseded it.")
    later = [one for one in judged.tried if one.bounds]
    then = {one.sha256 for one in evidence.tried}
    if since := [one.title for one in later if one.sha256 not in then]:
        found.append(
            f"{count(len(since), 'further profile')} tried on this evaluation after this verdict "
            f"({listing(some(since))}): {WHY_COUNTED}."
        )
    return found
