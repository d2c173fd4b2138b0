"""The dashboard's cases: what became of each, and what preflight said of it."""

from __future__ import annotations

import streamlit as st

from qa_suite.core.records import CaseRecord, Verdict, preflight_sentence, preflight_status
from reports.dashboard.store import Record
from reports.facts import wording
from reports.facts.readiness import preflight_counts

_SYMBOLS = {"ok": "✓", "warning": "⚠", "undetermined": "?", "refused": "✕"}


def show_cohort(record: Record, verdict: Verdict | None) -> None:
    """List every case with its status and its preflight, and the checks of one of them."""
    excluded = {} if verdict is None else verdict.excluded
    cases = sorted(record.cases, key=lambda case: (case.site, case.case))
    st.dataframe([_row(case, excluded) for case in cases], hide_index=True, width="stretch")
    counts = preflight_counts(record.cases)
    if not counts:
        st.info("undefined: no preflight was recorded with this evaluation.")
        return
    st.markdown("**Preflight, by check**")
    st.dataframe(
        [
            {"check": check.name.replace("_", " ")}
            | {status_text(word): count for word, count in check.counts.items()}
            | {"cases not in order": ", ".join(check.cases) or "none"}
            for check in counts
        ],
        hide_index=True,
        width="stretch",
    )
    checked = [case for case in cases if case.preflight]
    place = st.selectbox(
        "Checks of the case",
        range(len(checked)),
        format_func=lambda i: f"{checked[i].case}, {preflight_status(checked[i].preflight)}",
        key="preflight-case",
    )
    st.dataframe(
        [
            {
                "check": name.replace("_", " "),
                "value": wording.check_value(check),
                "bound": check.bound or "no bound",
                "status": status_text(check.status),
                "why": check.why,
            }
            for name, check in checked[place].preflight.items()
        ],
        hide_index=True,
        width="stretch",
    )


def status_text(status: str) -> str:
    """Write a status of preflight as symbol and word."""
    return f"{_SYMBOLS[status]} {status}"


def _row(case: CaseRecord, excluded: dict[str, str]) -> dict[str, str]:
    said = [case.reason, preflight_sentence(case.preflight), excluded.get(case.case, "")]
    checked = status_text(preflight_status(case.preflight)) if case.preflight else "not checked"
    return {
        "case": case.case,
        "site": case.site,
        "set": case.split or "none: not imported",
        "status": "excluded" if case.case in excluded else case.status,
        "preflight": checked,
        "why": "; ".join(dict.fromkeys(part.rstrip(".") for part in said if part)),
    }
