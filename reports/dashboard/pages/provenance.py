"""Who measured what, with what, and when; the report as it was written."""

from __future__ import annotations

import streamlit as st
from markupsafe import escape

from reports.dashboard import parts, selection
from reports.dashboard.opening import open_known
from reports.facts.plain_rows import plain_rows


def show() -> None:
    """Show the report and everything that the record says of itself."""
    st.header("Report and record")
    known = selection.evaluation()
    if known is None:
        return
    record = open_known(known)
    if record.report is None:
        st.info("No report was written; write one with `qa-suite report FOLDER --profile NAME`.")
    else:
        page = record.report.read_text(encoding="utf-8")
        # Chromium shows no data address above 2 MB. An empty sandbox gives the page an origin of
        # its own and no script: a page from the store never reaches the dashboard.
        st.iframe(
            f'<iframe sandbox srcdoc="{escape(page)}" title="report" '
            f'style="width:100%;height:990px;border:0"></iframe>',
            height=1000,
        )
    st.subheader("The record")
    rows = plain_rows(record.evaluation.model_dump(mode="json"))
    with st.expander("Everything that the record says of itself"):
        parts.show_table(("What", "As recorded"), rows, "Record")
