"""The exam of the examiner: which planted faults this profile's verdict is known to find."""

from __future__ import annotations

import streamlit as st

from qa_suite.core.records import Verdict
from qa_suite.core.wording import listing
from reports.dashboard import parts, selection
from reports.dashboard.hands import hands
from reports.dashboard.opening import open_known
from reports.dashboard.pages.sites import standing_verdict
from reports.dashboard.store import Record
from reports.facts.exams import FaultFound, exam_of, exam_said


def show() -> None:
    """Show how sensitive the examiner is, and which hazards the evaluation answers."""
    st.header("Exam and hazards")
    known = selection.evaluation()
    if known is None:
        return
    record = open_known(known)
    verdict = standing_verdict(record)
    if verdict is None:
        return
    st.markdown(parts.plain(exam_said(verdict.profile)))
    exam = exam_of(verdict.profile)
    if exam is not None:
        candidates = [clean.candidate for clean in exam.clean]
        heads = ("Planted fault", "Severity", *(f"Caught ({c})" for c in candidates), "Found by")
        weakest_first = sorted(exam.faults, key=lambda one: (min(one.caught), one.name))
        parts.show_table(heads, (_fault(one) for one in weakest_first), "Planted faults")
        st.caption(
            "Severities are the smallest that matter to a patient; an image with such a fault was "
            "put before the verdict as often as the second number says."
        )
    _hazards(record, verdict)


def _fault(one: FaultFound) -> tuple[object, ...]:
    caught = (f"{n} of {one.verdicts}" for n in one.caught)
    return one.fault, one.severity, *caught, listing(one.answered_by) or "nothing"


def _hazards(record: Record, verdict: Verdict) -> None:
    """Show the hazards that a translator brings, and how far this verdict sees each."""
    st.subheader("Hazards")
    rows = [
        (row.hazard, row.cause, row.effect, row.seen, row.residual)
        for row in hands().hazards(record.folder, verdict)
    ]
    parts.show_table(("Hazard", "Cause", "Effect", "Seen", "Residual risk"), rows, "Hazards")
