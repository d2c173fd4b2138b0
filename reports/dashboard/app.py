"""The dashboard's page; run by ``qa-suite dashboard``."""

from __future__ import annotations

import streamlit as st

from qa_suite.core.errors import QAError
from reports.dashboard import store, views

EVALUATIONS, MODELS = "Evaluations", "Models"


def main() -> None:
    """Lay out the page: what to look at on the left, the rest on the right."""
    st.set_page_config(page_title="qa-suite", page_icon="🔬", layout="wide")
    views.style()
    st.sidebar.markdown("### qa-suite")
    st.sidebar.caption("Validation and QA of medical image translators")
    section = st.sidebar.radio("Section", [EVALUATIONS, MODELS], key="section")
    st.sidebar.button("Read the store again", key="reload")  # any press runs the page again
    try:
        if section == MODELS:
            views.show_models(store.model_versions())
        else:
            views.show_evaluations(store.evaluations())
    except QAError as error:
        st.error(str(error))


if __name__ == "__main__":  # also what streamlit calls it; a process that was spawned does not
    main()
