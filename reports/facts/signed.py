"""Who signed a verdict, and what was released by it, as a page says it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qa_suite.core.examination_log import LogLine, log_beside, read_log
from qa_suite.core.records import Verdict
from qa_suite.core.signing.reviewers import Reviewers
from qa_suite.core.signing.signatures import sign_off
from qa_suite.core.verdict_files import Overall

_MOVES = ("released", "overridden", "withdrawn")


@dataclass(frozen=True, kw_only=True)
class Signed:
    """Labels and texts for the box of the verdict, and what must be read before it."""

    rows: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


def signed_by(
    folder: Path, judged: Overall, verdict: Verdict, reviewers: Reviewers | None
) -> Signed:
    """Return who signed a verdict and what became of its model, by the files and the log.

    Parameters
    ----------
    folder
        Of the evaluation.
    judged
        All its verdicts.
    verdict
        The one that the page is of.
    reviewers
        Whose signatures count; without it none does, which is said.
    """
    evidence = verdict.evidence
    one = next((x for x in judged.written if evidence and x.identifier == evidence.verdict), None)
    if one is None or evidence is None:
        return Signed()
    off = sign_off(folder, one, reviewers)
    said = [off.sentence, *(f"{x.sentence[:1].upper()}{x.sentence[1:]}." for x in off.signatures)]
    rows = [("Signatures", " ".join(said))]
    warnings = []
    log = read_log(log_beside(folder))
    moved = [line for line in log.lines if line.what in _MOVES and _is_of(line, verdict)]
    for line in moved:
        words = _told(line)
        rows.append(("Release", words))
        if line.what != "released":
            warnings.append(words)
    return Signed(rows=tuple(rows), warnings=tuple(warnings))


def _is_of(line: LogLine, verdict: Verdict) -> bool:
    """Whether a line of the log moved an alias by this verdict's evaluation, or from its model."""
    if line.what == "withdrawn":
        return verdict.evidence is not None and line.model == verdict.evidence.model
    return line.evaluation == verdict.evaluation


def _told(line: LogLine) -> str:
    when = f"{line.at[:16].replace('T', ' ')} UTC by {line.who or 'an unknown person'}"
    if line.what == "withdrawn":
        return f"{line.model} was withdrawn {when}, because: {line.because}"
    if line.what == "overridden":
        return (
            f"{line.model} was released as {line.alias} in spite of what stood against it, {when}, "
            f"because: {line.because}"
        )
    return f"{line.model} was released as {line.alias} {when}."
