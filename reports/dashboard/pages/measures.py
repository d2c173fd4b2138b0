"""Every measure over the patients, and its curves."""

from __future__ import annotations

import streamlit as st

from reports.dashboard import selection, tables
from reports.dashboard.opening import open_known
from reports.dashboard.pages.sites import standing_verdict


def show() -> None:
    """Show the tables of measures, family by family, and the curves."""
    st.header("Measures")
    known = selection.evaluation()
    if known is None:
        return
    record = open_known(known)
    verdict = standing_verdict(record)
    tables.show_measures(record, verdict)
    st.subheader("Curves")
    tables.show_curves(record, verdict)
