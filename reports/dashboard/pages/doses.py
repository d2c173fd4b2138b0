"""The plan on both images: targets, goals, gamma, range, and a case's dose in slices."""

from __future__ import annotations

import streamlit as st

from reports.dashboard import dose, selection
from reports.dashboard.opening import open_known
from reports.dashboard.pages.sites import standing_verdict


def show() -> None:
    """Show the doses of an evaluation."""
    st.header("Dose")
    known = selection.evaluation()
    if known is None:
        return
    record = open_known(known)
    dose.show_dose(record, standing_verdict(record))
