"""What there is: every evaluation with its outcome, its worst finding and what awaits review."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import streamlit as st

from qa_suite.core.errors import QAError
from qa_suite.core.record_files import read_evaluation
from qa_suite.core.review_queue import QUEUE_FILE, items_of, read_queue
from qa_suite.core.verdict_files import overall
from qa_suite.core.wording import count, listing
from reports.dashboard import parts, selection, store
from reports.dashboard.catalogue import Known
from reports.dashboard.opening import folder_of, state_of
from reports.facts import wording
from reports.facts.short.findings import deciding

_ORDER: Final = ("fail", "inconclusive", "not judged", "described", "pass")
SORTS: Final = ("awaiting review first", "newest first", "worst first", "by model")


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One line of the overview; ``problem`` says why there is no more to say."""

    known: Known
    direction: str = ""
    anatomy: str = ""
    sites: str = ""
    patients: int = 0
    outcome: str = "not judged"
    worst: str = ""
    waiting: int = 0
    problem: str = ""


def show() -> None:
    """List the evaluations, what awaits review first."""
    st.header("Overview")
    found = selection.everything()
    if not found.known:
        selection.nothing_yet(found)
        return
    for problem in found.problems:
        st.warning(parts.plain(problem))
    rows = [summary(one) for one in found.known]
    kept = _filtered(rows)
    if not kept:
        st.warning("No evaluation matches; take a choice away above.")
        return
    waiting = sum(row.waiting for row in kept)
    failed = sum(row.outcome == "fail" for row in kept)
    st.caption(
        f"{count(len(kept), 'evaluation')}, {failed} failed, {count(waiting, 'item')} awaiting "
        f"review. The outcome is the worst of all verdicts that stand, read from the record itself."
    )
    aliases = _aliases()
    heads = (
        "Model", "Cohort", "Outcome", "Worst finding", "Sites", "Patients", "Review", "Examined",
    )  # fmt: skip
    parts.show_table(heads, (_cells(row, aliases) for row in kept), "Evaluations")


def _cells(row: Summary, aliases: dict[str, str]) -> list[object]:
    known = row.known
    name = known.evaluation[:12]
    alias = aliases.get(known.model, "")
    model = f"{known.model}{f' ({alias})' if alias else ''}"
    about = ", ".join(part for part in (row.direction.replace("->", "→"), row.anatomy) if part)
    waiting = f"{row.waiting} open" if row.waiting else "none open"
    return [
        parts.link("readiness", model, evaluation=name),
        f"{known.cohort} ({about})" if about else known.cohort,
        parts.outcome_mark(row.outcome),
        row.problem or row.worst or "no finding",
        row.sites,
        row.patients or "",
        parts.link("review", waiting, evaluation=name),
        known.begun[:16].replace("T", " "),
    ]


def _filtered(rows: Sequence[Summary]) -> list[Summary]:
    left, middle, right = st.columns((3, 2, 2))
    text = left.text_input(
        "Search", value=selection.asked("search"), key="search",
        placeholder="model, cohort, anatomy, site",
    )  # fmt: skip
    selection.put("search", text)
    outcomes = middle.multiselect(
        "Outcome", [o for o in _ORDER if any(r.outcome == o for r in rows)]
    )
    order = right.selectbox("Order", SORTS, key="order")
    words = text.casefold().split()
    kept = [
        row
        for row in rows
        if (not outcomes or row.outcome in outcomes)
        and all(word in _searched(row) for word in words)
    ]
    if order == "worst first":
        kept.sort(key=lambda row: _ORDER.index(row.outcome))
    elif order == "by model":
        kept.sort(key=lambda row: row.known.model)
    elif order == SORTS[0]:
        kept.sort(key=lambda row: not row.waiting)
    return kept


def _searched(row: Summary) -> str:
    known = row.known
    said = (known.model, known.cohort, known.evaluation, row.direction, row.anatomy, row.sites)
    return " ".join((*said, row.outcome)).casefold()


def _aliases() -> dict[str, str]:
    """Return the aliases of registered models by URI; nothing where the store does not answer."""
    try:
        return store.aliases()
    except QAError:
        return {}


def summary(known: Known) -> Summary:
    """Say in one line what an evaluation comes to; a record that is not whole says why."""
    try:
        folder = folder_of(known)
        queue = folder / QUEUE_FILE
        return _summary(known, folder, (*state_of(folder), _moment(queue)))
    except QAError as error:
        return Summary(known=known, outcome="not judged", problem=str(error))


def _moment(path: Path) -> tuple[str, int, int]:
    if not path.is_file():
        return (path.name, 0, 0)
    facts = path.stat()
    return (path.name, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=1000)
def _summary(known: Known, folder: Path, _: tuple[tuple[str, int, int], ...]) -> Summary:
    evaluation = read_evaluation(folder)
    judged = overall(folder)
    worst = ""
    standing = [one for one in judged.standing if one.outcome == judged.outcome]
    if standing:
        verdict = standing[-1].verdict
        first = deciding(verdict)[:1]
        if first:
            one = first[0]
            worst = (
                f"{one.criterion.name}, {wording.scope_text(one)}: {wording.estimate_text(one)} "
                f"(asked: {wording.criterion_text(one.criterion)})"
            )
    items = items_of(read_queue(folder).lines)
    cohort = evaluation.cohort
    return Summary(
        known=known,
        direction=cohort.direction,
        anatomy=cohort.anatomy,
        sites=listing(cohort.sites),
        patients=cohort.patients,
        outcome=judged.outcome,
        worst=worst,
        waiting=sum(item.state == "open" for item in items),
    )
