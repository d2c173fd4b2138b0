"""The result of an exam for people: sentences and the table of faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from qa_suite.core.wording import count
from qa_suite.judging.statistics import proportion_interval
from qa_suite.lab.exam.counting import ranked
from qa_suite.lab.exam.result import CandidateResult, Cell, CleanCheck, ExamResult
from qa_suite.lab.faults import FAULTS

_MOST_NAMES = 3


def sentences(result: ExamResult) -> list[str]:
    """Say how the exam went, one entry a candidate and one a check."""
    said = [
        " ".join(filter(None, (sentence(one), sentence_alone(one)))) for one in result.candidates
    ]
    return said + [_check_sentence(check, result) for check in result.checks]


def sentence(result: CandidateResult) -> str:
    """Say in two sentences how the exam went with one candidate."""
    tried = [cell for cell in result.cells if cell.clinical]
    caught = sum(cell.caught == cell.verdicts for cell in tried)
    clean = result.clean
    rate = proportion_interval(clean.alarms, clean.cohorts, side="upper").high
    assert rate is not None  # an exact limit exists for any number of cohorts
    of = count(len(tried), "fault and severity", "faults and severities")
    return (
        f"Candidate {result.candidate}: {caught} of {of} that matter were caught and named. "
        f"{clean.alarms} of {count(clean.cohorts, 'clean cohort')} of "
        f"{count(clean.patients, 'patient')} alarmed (rate at most {100 * rate:.1f} %, one-sided "
        f"95 %)."
    )


def sentence_alone(result: CandidateResult) -> str:
    """Say how clean images fare without a reference; empty where nobody looked."""
    clean = result.clean
    if not clean.alone_images:
        return ""
    share = 100 * clean.alone_alarms / clean.alone_images
    return (
        f"Without a reference, {clean.alone_alarms} of {count(clean.alone_images, 'clean image')} "
        f"({share:.1f} %) lay outside the limits that hold for all measures together."
    )


def _check_sentence(check: CleanCheck, result: ExamResult) -> str:
    head = f"Candidate {check.candidate}, one clean cohort"
    if check.outcome == "pass":
        return f"{head}: passes."
    asked = "" if check.must_pass else " (it need not pass this profile)"
    if check.not_asked:
        asked = f" (it need not meet {', '.join(check.not_asked)})"
    return (
        f"{head}: {check.outcome} under {result.settings.profile}{asked}, by "
        f"{', '.join(check.failed_by)}."
    )


def columns(result: ExamResult) -> tuple[str, ...]:
    """Return the headings of :func:`table`."""
    names = [one.candidate for one in result.candidates]
    parts = [f"{what}, {name}" for what in ("caught", "turned", "misnamed") for name in names]
    alone = [f"alone, {name}" for name in names]
    return ("fault", "severity", "matters", *parts, "answered by", *alone, "alone, by")


def table(result: ExamResult) -> list[tuple[str, ...]]:
    """Return one row a fault and severity, for people, each candidate in columns of its own."""
    return [_row(cells) for cells in zip(*(one.cells for one in result.candidates), strict=True)]


def _row(cells: tuple[Cell, ...]) -> tuple[str, ...]:
    first = cells[0]
    facts = FAULTS[first.fault].facts
    return (
        facts.title,
        f"{first.severity:g} {facts.unit}" if facts.unit != "1" else "–",
        "●" if first.clinical else "",
        *(f"{cell.caught}/{cell.verdicts}" for cell in cells),
        *(f"{cell.turned}/{cell.verdicts}" for cell in cells),
        *(f"{cell.misnamed}/{cell.verdicts}" for cell in cells),
        _most(cell.answered_by for cell in cells),
        *(f"{c.alone_caught}/{c.alone_images}" if c.alone_images else "–" for c in cells),
        _most(cell.alone_by for cell in cells),
    )


def _most(counts: Iterable[Mapping[str, int]]) -> str:
    """Name what answered most often; those alike in alphabetical order, so that a table repeats."""
    whole: Counter[str] = Counter()
    for one in counts:
        whole.update(one)
    return ", ".join(list(ranked(whole))[:_MOST_NAMES]) or "–"


def markdown(result: ExamResult) -> str:
    """Write the table and what the clean cohorts said, as Markdown."""
    heads = columns(result)
    left = {"fault", "answered by", "alone, by"}
    rule = [":-:" if h == "matters" else "---" if h in left else "--:" for h in heads]
    lines = ["| " + " | ".join(heads) + " |", "|" + "|".join(rule) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in table(result)]
    for said in sentences(result):
        lines += ["", said]
    return "\n".join(lines) + "\n"
